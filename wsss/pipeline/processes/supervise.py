"""A command runs in a child process, and the process that the user started ends it in time.

Python's signal handlers run between two steps of Python code. A long native call (the dense CRF of a large image, a
compiled kernel, decoding) can hold a signal up for minutes, and so can a thread that is waited for. So the command
runs in a child, which ends by itself in most cases, with everything recorded. Where it has not done so `GRACE` seconds
after SIGINT or SIGTERM, or at once after a second signal, this process kills it, prints what the child would have
printed, deletes its temporary files, and exits with 130 or 143. Files are written atomically and the lock of a run is
the kernel's, so the next run resumes as after any other interrupt.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from wsss.errors import WsssError, listing
from wsss.io.process import shared_state
from wsss.io.process.exhausted import AGAIN_HINT, memory_limit, out_of_memory_hint
from wsss.io.process.orphans import end_with_parent
from wsss.io.text.printable import printable
from wsss.pipeline.processes.interrupt import AGAIN

if TYPE_CHECKING:
    from wsss.io.files.scratch import Scratch

GRACE = 3.0
"""Seconds that a command has to end by itself after a signal."""

FORWARD = 0.1
"""Seconds to wait before a signal is forwarded: one to the whole group (Ctrl-C) reaches the child by itself."""

CRASHES = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


def supervise() -> None:
    """Return in a child process; the calling process watches it and exits with its exit code.

    Where that can't be done safely (other threads run, a debugger is attached, there is no ``fork``) it returns in the
    calling process, which then runs the command itself.
    """
    if not hasattr(os, "fork") or threading.active_count() > 1 or sys.gettrace() is not None:
        return
    memory = shared_state.Memory()
    scratch = _scratch()
    try:
        reports, report = os.pipe()  # the child's signals, as its C-level handler sees them
        own, wake = os.pipe()  # those of this process
    except OSError:  # too many open files: without a supervisor the command may have enough, or explains it
        return
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    parent = os.getpid()
    try:
        child = os.fork()
    except OSError:  # no more processes are allowed: one can do the work, only without a supervisor
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        return
    if child:
        os.close(report)
        _Supervisor(child, reports, memory, scratch).run(signals, own, wake)
    for descriptor in (reports, own, wake):
        os.close(descriptor)
    end_with_parent(parent)
    _settle(report, scratch)
    shared_state.set_message("Interrupted.")
    shared_state.share(memory)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def visible_pid() -> int:
    """Return the id of the process that the user started and can signal: the supervisor's, or our own."""
    return os.getppid() if shared_state.is_shared() else os.getpid()


def _scratch() -> Scratch | None:
    """Make a folder for the child's temporary files, so that none stays behind."""
    from wsss.io.files.scratch import Scratch

    try:
        return Scratch()
    except OSError:  # no place for temporary files: the code that needs one explains it
        return None


def _settle(report: int, scratch: Scratch | None) -> None:
    """Set up the child: where its signals are reported, where its temporary files go."""
    os.set_blocking(report, False)
    signal.set_wakeup_fd(report, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: _stop_reporting(report))
    if scratch is not None:
        scratch.leave()
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch.path)
    # A killed child's semaphores are deleted by multiprocessing's tracker, which would print a warning about it.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")


def _stop_reporting(report: int) -> None:
    """In a process forked from the child: don't report its signals to the supervisor."""
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)
    os.close(report)


class _Supervisor:
    """The process that waits for the child.

    Args:
        child: its process id.
        reports: file descriptor from which a byte can be read for every signal that the child got.
        memory: the child's state.
        scratch: folder of its temporary files.
    """

    def __init__(self, child: int, reports: int, memory: shared_state.Memory, scratch: Scratch | None) -> None:
        self.child, self.reports, self.memory, self.scratch = child, reports, memory, scratch
        self.received: int | None = None  # the signal to end, and when it came
        self.since = 0.0
        self.forward: int | None = None  # a signal that the child may not have got
        self.reported = False  # whether the child has got one
        self.killed = False

    def run(self, signals: set[signal.Signals], own: int, wake: int) -> NoReturn:
        """Wait for the child's end, and exit.

        Args:
            signals: which this process gets.
            own, wake: ends of a pipe to read them from, and for their handler to write to.
        """
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for one in signals:
            signal.signal(one, lambda *_: None)  # the byte in the pipe is what we act on
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        watched = [own, self.reports]
        while (status := self._status()) is None:
            ready, _, _ = select.select(watched, [], [], self._timeout())
            for source in ready:
                numbers = os.read(source, 64)
                if not numbers:  # the child has gone, or is going
                    watched.remove(source)
                for number in numbers:
                    self._heard(number, reported=source != own)
            self._act()
        self._exit(status)

    def _status(self) -> int | None:
        """Return the exit status of the child as ``subprocess`` has it (−N: signal N), ``None`` while it runs."""
        done, status = os.waitpid(self.child, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if done else None

    def _heard(self, number: int, *, reported: bool) -> None:
        """Take a signal that we got, or that the child ``reported``."""
        if number not in (signal.SIGINT, signal.SIGTERM):
            return
        now = time.monotonic()
        first = self.received is None or (reported and not self.reported)
        if self.received is None:
            self.received, self.since, self.forward = number, now, number
        if reported:
            self.reported, self.forward = True, None
        if not first and now - self.since >= AGAIN:
            self._kill()

    def _timeout(self) -> float | None:
        """Return the seconds until something is to be done without a new signal."""
        if self.received is None or self.killed:
            return None
        waits = FORWARD if self.forward is not None else GRACE
        return max(0.0, self.since + waits - time.monotonic())

    def _act(self) -> None:
        passed = time.monotonic() - self.since
        if self.received is None or self.killed:
            return
        if self.forward is not None and passed >= FORWARD:
            os.kill(self.child, self.forward)
            self.forward = None
        if passed >= GRACE:
            self._kill()

    def _kill(self) -> None:
        self.killed = True
        os.kill(self.child, signal.SIGKILL)

    def _exit(self, status: int) -> NoReturn:
        state = self.memory.read()
        code = self._after_signal(-status, state) if status < 0 else status
        if self.scratch is not None:
            self.scratch.delete()
        os._exit(code)

    def _after_signal(self, number: int, state: shared_state.State) -> int:
        """Clean up after a child that a signal ended; return the exit code."""
        shared_state.delete(state.paths)
        ended = self.received or (number if number in (signal.SIGINT, signal.SIGTERM) else None)
        if ended is not None:
            _print(2, state.message)
            _print(1, state.document)
            return 128 + ended
        if number in CRASHES:
            _print(2, crash_message(number, state.items, state.batch_size))
            _print(1, state.failure)
            return 1
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return 128 + number


def crash_message(number: int, items: list[str], batch_size: int = 1) -> str:
    """Return what to print for a command that a signal ended which no user sends to stop one."""
    work = f" while it worked on {'one of: ' if len(items) > 1 else ''}{listing(items, limit=12)}" if items else ""
    ended = f"error: The process{_rank()} was ended by the system ({signal.Signals(number).name}){work}."
    return f"{ended}\n{_cause(number, batch_size)}"


def _rank() -> str:
    """Return which process it was of several that work together."""
    from wsss.pipeline.processes.ranks import ranks_in

    with suppress(WsssError):  # the child has said what is wrong with the environment
        ranks = ranks_in(os.environ)
        return "" if ranks is None else f" of rank {ranks[0]} (of {ranks[1]})"
    return ""


def _cause(number: int, batch_size: int) -> str:
    """Return the likely cause of a signal, and what to do."""
    if number == signal.SIGKILL:
        return f"Most often memory ran out. {out_of_memory_hint(batch_size)}"
    if number == signal.SIGBUS:
        return (
            "Most often the shared memory (/dev/shm) or the disk of a file in use is full, or a file was truncated "
            f"while it was read. Free some space, or use --workers 1; {AGAIN_HINT}"
        )
    limit = memory_limit()
    if limit:
        hint = out_of_memory_hint(batch_size)
        return f"Most likely memory ran out: {limit}. Raise the limit (ulimit -v unlimited). {hint}"
    return (
        "Unless memory ran out, this is an error in wsss or in a library that it uses: please report it. Finished work "
        "is kept."
    )


def _print(descriptor: int, text: str) -> None:
    if text:
        try:
            os.write(descriptor, f"{printable(text)}\n".encode(errors="backslashreplace"))
        except OSError:  # nobody reads it any more
            return
