"""Errors caused by exhausted resources: memory, open files, processes, shared memory, a lost rank.

They arrive as many kinds of exceptions, some of which usually mean a damaged file. Code that turns exceptions into
errors about a file calls `raise_if_exhausted` first, so that an intact file is never reported as broken (or discarded).
"""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

from wsss.errors import RunFailed
from wsss.io.process.memory_budget import size_text
from wsss.io.process.shared_state import batch_size

Rule = Callable[[BaseException, str], bool]

AGAIN_HINT = "then run the same command again: finished work is kept."
SHARED = Path("/dev/shm")

OUT_OF_MEMORY = (
    "Run the same command again with --workers 1, and reduce large images with max_side (of cam, clip, propagate, par, "
    "crf and predict); finished work is kept."
)
"""Hint for certain or probable lack of memory; see `out_of_memory_hint`."""

_ALMOST_FULL = 1 << 20
"""Shared memory with fewer free bytes is the cause of a "no space left" error."""

_WORKER = re.compile(r"DataLoader worker \(pid\S* [\d, ]+\) (?:is killed by signal: (?P<signal>[\w ]+)|exited unexp)")


def out_of_memory_hint(batch_size: int) -> str:
    """Return the hint for certain or probable lack of memory.

    Args:
        batch_size: images per forward pass.
    """
    if batch_size <= 1:
        return OUT_OF_MEMORY
    lower = f"Lower batch_size ({batch_size}; in training, accumulate keeps the effective batch size)"
    return f"{lower}, or free memory: {OUT_OF_MEMORY[0].lower()}{OUT_OF_MEMORY[1:]}"


def exhausted(error: BaseException) -> RunFailed | None:
    """Return the error to report if a resource is exhausted, ``None`` for any other error."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[-1] if lines[0].startswith("Caught ") else str(error)  # a DataLoader includes the worker's traceback
    return next((explain(text) for applies, explain in _RULES if applies(error, text)), None)


def raise_if_exhausted(error: BaseException) -> None:
    """Raise the error of `exhausted`, if any.

    Raises:
        RunFailed: a resource is exhausted.
    """
    failure = exhausted(error)
    if failure is not None:
        raise failure from error


def memory_limit() -> str:
    """Return the shell's limit on a process's memory as a phrase, ``""`` without a limit."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f"a process may use {size_text(limit)} (ulimit -v)"


def _errno(*numbers: int) -> Rule:
    marks = tuple(f"[Errno {number}]" for number in numbers)
    return lambda error, text: (
        isinstance(error, OSError)
        and (error.errno in numbers or (error.errno is None and any(mark in text for mark in marks)))
    )


def _either(*rules: Rule) -> Rule:
    return lambda error, text: any(rule(error, text) for rule in rules)


def _native(*signs: str) -> Rule:
    """Match library errors by text; system errors have a number, and a file name that may contain the same words."""
    return lambda error, text: (
        (
            isinstance(error, RuntimeError | ImportError)
            or (isinstance(error, OSError) and error.errno is None)
            or type(error).__module__.startswith("cv2")
        )
        and any(sign in text for sign in signs)
    )


def _runtime(*signs: str) -> Rule:
    return lambda error, text: isinstance(error, RuntimeError) and any(sign in text for sign in signs)


def _kind(kind: type[BaseException]) -> Rule:
    return lambda error, text: isinstance(error, kind)


def _shared_memory_full(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        return _shared()[0] < _ALMOST_FULL
    match = _WORKER.search(text)
    bus_error = match is not None and (match["signal"] or "").startswith("Bus error")
    return isinstance(error, RuntimeError) and (bus_error or "shared memory(shm)" in text or "</torch_" in text)


def _shared() -> tuple[int, int]:
    """Return the free bytes and the size of the shared memory; huge numbers on systems without it."""
    try:
        state = os.statvfs(SHARED)
    except OSError:
        return 1 << 62, 1 << 62
    return state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize


def _shortened(text: str) -> str:
    return " ".join(text.split())[:200]


def _explain_files(text: str) -> RunFailed:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return RunFailed(
        f"Too many open files: the limit per process is {limit} (ulimit -n)",
        hint=f"Raise the limit (ulimit -n {max(4096, 2 * limit)}) or use fewer processes (--workers 1); {AGAIN_HINT}",
    )


def _explain_shared(text: str) -> RunFailed:
    size = _shared()[1]
    known = f", {size_text(size)} in all" if size < 1 << 62 else ""
    return RunFailed(
        f"The shared memory for passing images between processes ({SHARED}{known}) is full",
        hint="Use --workers 1, which needs no shared memory, or free space in /dev/shm or enlarge it "
        "(docker run --shm-size=2g …); " + AGAIN_HINT,
    )


def _explain_memory(text: str) -> RunFailed:
    limit = memory_limit()
    why = f" ({_shortened(text)})" if text else ""
    hint = out_of_memory_hint(batch_size())
    return RunFailed(
        f"Out of memory{why}{'; ' + limit if limit else ''}",
        hint=f"Raise the limit (ulimit -v unlimited). {hint}" if limit else hint,
    )


def _explain_gpu(text: str) -> RunFailed:
    return RunFailed(
        f"Out of GPU memory ({_shortened(text)})",
        hint="Check with nvidia-smi whether another process uses the GPU. Lower batch_size (accumulate keeps the "
        "effective batch size) or augmentation.size for training, max_side and scales elsewhere, or use --device cpu; "
        + AGAIN_HINT,
    )


def _explain_processes(text: str) -> RunFailed:
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    known = "" if limit == resource.RLIM_INFINITY else f" (the limit per user is {limit}: ulimit -u)"
    return RunFailed(
        f"Cannot start more processes or threads{known}: {text}",
        hint=f"Use --workers 1 and OMP_NUM_THREADS=1, end other processes, or raise the limits; {AGAIN_HINT}",
    )


def _explain_worker(text: str) -> RunFailed:
    match = _WORKER.search(text)
    signal = (match["signal"] or "").strip() if match else ""
    if signal and signal not in ("Killed", "Terminated"):
        return RunFailed(
            f"A data-loading process crashed ({signal})",
            hint="Run the same command again with --workers 1: it resumes, and names the image if one is the cause.",
        )
    return RunFailed(
        "A worker process was killed, most likely for lack of memory", hint=out_of_memory_hint(batch_size())
    )


def _explain_rank(text: str) -> RunFailed:
    return RunFailed(
        f"Another rank of this run has exited, or its machine is unreachable ({_shortened(text)})",
        hint="See the message of that rank; if it was killed, it most likely ran out of memory. Run the same command "
        "again: finished work is kept.",
    )


_RULES: tuple[tuple[Rule, Callable[[str], RunFailed]], ...] = (
    (_either(_errno(errno.EMFILE, errno.ENFILE), _native("Too many open files", "items of ancdata")), _explain_files),
    (_shared_memory_full, _explain_shared),
    (_native("CUDA out of memory", "CUDA error: out of memory"), _explain_gpu),
    (
        _either(
            _kind(MemoryError),
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
    # A broken pipe is that of a worker: `wsss.cli.streams` handles our own output.
    (
        lambda error, text: (
            isinstance(error, BrokenPipeError) or (isinstance(error, RuntimeError) and bool(_WORKER.search(text)))
        ),
        _explain_worker,
    ),
    (_runtime("gloo/transport", "Connection closed by peer", "NCCL error"), _explain_rank),
)
"""Predicate → explanation; the first match is used."""
