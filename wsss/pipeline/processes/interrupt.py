"""Ctrl-C and SIGTERM as one exception with an exit code."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

LAG = 0.5
"""Seconds to wait, after a worker process died, for a signal sent to the whole process group."""

AGAIN = 1.0
"""A signal this many seconds after the first ends the process at once. An earlier one is treated as the same: a shell
or ``timeout`` signals a process and its group."""


class Interrupted(KeyboardInterrupt):
    """The user (SIGINT) or the system (SIGTERM) ended the process."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = int(number)

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal, as in shells: 130 or 143."""
        return 128 + self.number


_received: int | None = None
"""The signal received in the current `interruptible` block."""

_active = False
"""Whether there is such a block."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` inside the block on SIGINT or SIGTERM; a second signal ends the process at once.

    An error that follows a signal is raised as that `Interrupted`, see `as_interrupt`. Inside another such block and
    outside the main thread (where Python allows no handlers) it does nothing. A long native call delays the exception
    until it returns: see `wsss.pipeline.processes.supervise`.
    """
    global _received, _active
    if _active or threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, since = os.getpid(), 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        global _received
        nonlocal since
        forked = os.getpid() != owner  # a worker process just forked, without handlers of its own
        if not forked and _received is not None and time.monotonic() - since < AGAIN:
            return
        if forked or _received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        # torch watches its worker processes by SIGCHLD and raises an error when one dies. Those that received the same
        # signal die now, which is not an error.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _received, since = number, time.monotonic()
        raise Interrupted(number)

    _received, _active = None, True
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception as error:
        interrupt = as_interrupt(error)
        if interrupt is error:
            raise
        raise interrupt from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received, _active = None, False


def as_interrupt(error: BaseException) -> BaseException:
    """Return the `Interrupted` that caused an error, or the error itself if no signal was received.

    Worker processes that die of the same signal, and code in which the exception cannot be raised (a finaliser, for
    example), raise other errors. If a worker died first, this waits for the signal to this process.
    """
    if isinstance(error, Exception) and _received is None and _worker_died(error):
        with suppress(Interrupted):
            time.sleep(LAG)
    return error if _received is None or isinstance(error, KeyboardInterrupt) else Interrupted(_received)


def _worker_died(error: BaseException | None) -> bool:
    from concurrent.futures.process import BrokenProcessPool

    while error is not None:
        if isinstance(error, BrokenProcessPool) or "DataLoader worker" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
