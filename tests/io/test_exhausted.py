from __future__ import annotations

import errno
from pathlib import Path

import pytest

from wsss.errors import RunFailed
from wsss.io.process import exhausted as module
from wsss.io.process import shared_state
from wsss.io.process.exhausted import exhausted, raise_if_exhausted
from wsss.io.rasters.rgb_images import read_image

LOADER = "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback:\n  File x\nRuntimeError: "


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files: the limit", "ulimit -n"),
        (RuntimeError("received 0 items of ancdata"), "Too many open files", "--workers 1"),
        (MemoryError(), "Memory ran out", "--workers 1"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Memory ran out", "--workers 1"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "Memory ran out", "--workers 1"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "Memory ran out", "--workers 1"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory of the GPU", "batch_size"),
        (RuntimeError("can't start new thread"), "no more processes or threads", "OMP_NUM_THREADS"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no more processes", "--workers 1"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "worker process was killed", "1"),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "worker process was killed", "1"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It"), "shared memory", "/dev/shm"),
        (RuntimeError(LOADER + "unable to allocate shared memory(shm) for file </torch_1>"), "shared memory", "shm"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:5] Connection closed by peer"), "Another rank", "same command"),
    ],
)
def test_what_ran_out_is_named_with_a_hint(error: Exception, message: str, hint: str) -> None:
    found = exhausted(error)
    assert found is not None and found.exit_code == 1
    assert message in found.message and hint in (found.hint or "")
    assert "Traceback" not in str(found)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
    ],
)
def test_a_batch_size_is_what_to_lower_first(error: Exception) -> None:
    with shared_state.batches_of(64):
        found = exhausted(error)
    assert found is not None and str(found.hint).startswith("Lower batch_size (64;")
    for size in (None, 1):
        with shared_state.batches_of(size):
            alone = exhausted(error)
        assert alone is not None and "batch_size" not in str(alone.hint)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("CUDA out of memory"),
        ValueError("Too many open files"),
        FileNotFoundError(errno.ENOENT, "No such file", "std::bad_alloc.png"),
        OSError(errno.ENOSPC, "No space left", "file.png"),
        RuntimeError("shape mismatch"),
    ],
)
def test_other_errors_are_left_alone(error: Exception) -> None:
    assert exhausted(error) is None
    raise_if_exhausted(error)


def test_a_full_shared_memory_is_told_from_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(module, "_shared", lambda: (1 << 30, 1 << 31))
    assert exhausted(error) is None
    monkeypatch.setattr(module, "_shared", lambda: (0, 64 << 20))
    found = exhausted(error)
    assert found is not None and "/dev/shm, 64 MiB in all" in found.message


def test_a_sound_image_is_not_called_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def fails(*args: object, **named: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files", str(tmp_path / "a.png"))

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(RunFailed, match="Too many open files"):
        read_image(tmp_path / "a.png")
