"""The processes that prepare batches, and what they do when the main process leaves."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from types import TracebackType

from wsss.io.process.orphans import end_with_parent


def begin_worker(_: int) -> None:
    """Set a process that prepares batches up.

    A process per core is enough, so OpenCV gets no threads of its own. Ctrl-C reaches the whole process group, but it
    is for the main process to answer; SIGTERM is how that one ends its workers.
    """
    import cv2

    cv2.setNumThreads(0)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        end_with_parent(parent.pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.excepthook = _print_unless_parent_left


def _print_unless_parent_left(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print an uncaught error, as Python does, except that of a connection which the main process closed.

    A thread of ``multiprocessing`` hands batches over in shared memory. An interrupted main process leaves in the
    middle of that; the thread would print a traceback under the message that tells the user how to resume.
    Errors of the examples themselves don't come here: the data loader carries them to the main process.
    """
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, traceback)
