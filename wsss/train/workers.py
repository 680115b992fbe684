"""Set-up of the processes that prepare batches."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from types import TracebackType

from wsss.io.process.orphans import end_with_parent


def begin_worker(_: int) -> None:
    """Initialise a process that prepares batches.

    OpenCV gets no threads, because there is a process per core. Ctrl-C reaches the whole process group, but only the
    main process handles it; it stops its workers by SIGTERM.
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
    """Print uncaught errors as Python does, except those of a connection closed by the main process.

    When the main process is interrupted, the thread of ``multiprocessing`` that transfers batches would print a
    traceback below the message for the user. Errors of examples do not arrive here: the data loader forwards them.
    """

    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, traceback)
