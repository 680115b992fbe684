"""Errors of a machine that has run out of something: memory, open files, processes, shared memory, another rank.

They come as exceptions of many kinds, some of which usually mean a damaged file. Whoever turns exceptions into an error
about a file calls `raise_if_exhausted` first, so that a sound file is never called broken (or discarded).
"""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

from wsss.errors import RunFailed
from wsss.io.process.headroom import size_text
from wsss.io.process.shared_state import batch_size

AGAIN_HINT = "then run the same command again: finished work is kept."
SHARED = Path("/dev/shm")

OUT_OF_MEMORY = (
    "Run the same command again with --workers 1, and have large images made smaller for the work on them (max_side "
    "of cam, crf and predict); finished work is kept."
)
"""The hint where memory ran out, or most likely did, in work on single images; see `out_of_memory_hint`."""

_ALMOST_FULL = 1 << 20
"""Free bytes of the shared memory below which a missing place is taken for its fault."""

_WORKER = re.compile(r"DataLoader worker \(pid\S* [\d, ]+\) (?:is killed by signal: (?P<signal>[\w ]+)|exited unexp)")


def out_of_memory_hint(batch_size: int) -> str:
    """Return the hint where memory ran out, or most likely did.

    Args:
        batch_size: images that went through a network together.
    """
    if batch_size <= 1:
        return OUT_OF_MEMORY
    lower = f"Lower batch_size ({batch_size}; in training, accumulate keeps the effective batch size)"
    return f"{lower}, or free memory: {OUT_OF_MEMORY[0].lower()}{OUT_OF_MEMORY[1:]}"


def exhausted(error: BaseException) -> RunFailed | None:
    """Return the error to show where a machine has run out of something, ``None`` for any other error."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[-1] if lines[0].startswith("Caught ") else str(error)  # what a loader's process raised comes in full
    for applies, explain in _RULES:
        if applies(error, text):
            return explain(text)
    return None


def raise_if_exhausted(error: BaseException) -> None:
    """Raise the error of a machine that has run out of something; return for any other one.

    Raises:
        RunFailed: see `exhausted`.
    """
    found = exhausted(error)
    if found is not None:
        raise found from error


def too_many_files() -> RunFailed:
    """Return the error for a process that may open no more files."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return RunFailed(
        f"Too many open files: the limit of a process is {limit} (ulimit -n).",
        hint=f"Raise the limit (ulimit -n {max(4096, 2 * limit)}) or use fewer processes (--workers 1); {AGAIN_HINT}",
    )


def memory_limit() -> str:
    """Return the limit that the shell sets on a process's memory in words, empty without one."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f"a process may use {size_text(limit)} (ulimit -v)"


def _errno(*numbers: int) -> Callable[[BaseException, str], bool]:
    marks = tuple(f"[Errno {number}]" for number in numbers)
    return lambda error, text: (
        isinstance(error, OSError)
        and (error.errno in numbers or (error.errno is None and any(m in text for m in marks)))
    )


def _either(*rules: Callable[[BaseException, str], bool]) -> Callable[[BaseException, str], bool]:
    return lambda error, text: any(rule(error, text) for rule in rules)


def _native(*signs: str) -> Callable[[BaseException, str], bool]:
    """Signs in errors of libraries; one of the system has a number, and a file's name that may hold the same words."""
    return lambda error, text: (
        (
            isinstance(error, RuntimeError | ImportError)
            or (isinstance(error, OSError) and error.errno is None)
            or type(error).__module__.startswith("cv2")
        )
        and any(sign in text for sign in signs)
    )


def _shared_memory_full(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        return _shared()[0] < _ALMOST_FULL
    found = _WORKER.search(text)
    bus = found is not None and found["signal"] is not None and found["signal"].startswith("Bus error")
    return isinstance(error, RuntimeError) and (bus or "shared memory(shm)" in text or "</torch_" in text)


def _shared() -> tuple[int, int]:
    """Return the free bytes and the size of the shared memory; as if there were no limit where there is none."""
    try:
        state = os.statvfs(SHARED)
    except OSError:
        return 1 << 62, 1 << 62
    return state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize


def _explain_shared(text: str) -> RunFailed:
    size = _shared()[1]
    known = f", {size_text(size)} in all" if size < 1 << 62 else ""
    return RunFailed(
        f"The shared memory through which processes exchange images ({SHARED}{known}) is full.",
        hint="Use --workers 1, which needs none; or free space in /dev/shm or enlarge it (docker run --shm-size=2g …); "
        + AGAIN_HINT,
    )


def _explain_memory(text: str) -> RunFailed:
    limit = memory_limit()
    why = f" ({' '.join(text.split())[:200]})" if text else ""
    hint = out_of_memory_hint(batch_size())
    return RunFailed(
        f"Memory ran out{why}{'; ' + limit if limit else ''}.",
        hint=f"Raise the limit (ulimit -v unlimited). {hint}" if limit else hint,
    )


def _explain_gpu(text: str) -> RunFailed:
    return RunFailed(
        f"The memory of the GPU ran out ({' '.join(text.split())[:200]}).",
        hint="See with nvidia-smi whether another process uses it. Lower batch_size (accumulate keeps the effective "
        "batch size) or augmentation.size for training, max_side and scales elsewhere, or use --device cpu; "
        + AGAIN_HINT,
    )


def _explain_processes(text: str) -> RunFailed:
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    known = "" if limit == resource.RLIM_INFINITY else f" (a user may have {limit}: ulimit -u)"
    return RunFailed(
        f"The system starts no more processes or threads{known}: {text}.",
        hint=f"Use --workers 1 and OMP_NUM_THREADS=1, end other processes, or raise the limits; {AGAIN_HINT}",
    )


def _explain_worker(text: str) -> RunFailed:
    found = _WORKER.search(text)
    how = (found["signal"] or "").strip() if found else ""
    if how and how not in ("Killed", "Terminated"):
        return RunFailed(
            f"A process that loads images crashed ({how}).",
            hint="Run the same command again with --workers 1: it resumes, and names the image if one is the cause.",
        )
    return RunFailed(
        "A worker process was killed. Most often memory ran out.",
        hint=out_of_memory_hint(batch_size()),
    )


def _explain_rank(text: str) -> RunFailed:
    return RunFailed(
        f"Another rank of this run has ended, or its machine can't be reached ({' '.join(text.split())[:200]}).",
        hint="The message of that rank says why; if it was killed, memory most often ran out. Run the same command "
        "again: finished work is kept.",
    )


_RULES: tuple[tuple[Callable[[BaseException, str], bool], Callable[[str], RunFailed]], ...] = (
    (
        _either(_errno(errno.EMFILE, errno.ENFILE), _native("Too many open files", "items of ancdata")),
        lambda text: too_many_files(),
    ),
    (_shared_memory_full, _explain_shared),
    (_native("CUDA out of memory", "CUDA error: out of memory"), _explain_gpu),
    (
        _either(
            lambda error, text: isinstance(error, MemoryError),
            _errno(errno.ENOMEM),
            _native("can't allocate memory", "Insufficient memory", "std::bad_alloc", "Cannot allocate memory"),
            _native("failed to map segment from shared object", "unable to mmap", "Failed to allocate"),
        ),
        _explain_memory,
    ),
    (
        _either(
            _native("can't start new thread"),
            lambda error, text: isinstance(error, BlockingIOError) and os.strerror(errno.EAGAIN) in text,
        ),
        _explain_processes,
    ),
    (
        lambda error, text: (
            (isinstance(error, RuntimeError) and _WORKER.search(text) is not None)
            # of a process that we write to; our own output is dropped where nobody reads it (wsss.cli.streams)
            or isinstance(error, BrokenPipeError)
        ),
        _explain_worker,
    ),
    (
        lambda error, text: (
            isinstance(error, RuntimeError)
            and any(sign in text for sign in ("gloo/transport", "Connection closed by peer", "NCCL error"))
        ),
        _explain_rank,
    ),
)
"""What an exception looks like → how it is explained; the first one that fits counts."""
