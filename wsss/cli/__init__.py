"""Command line: click commands, one thin file per group."""

import os
import signal
import sys

_PROGRAM = (sys.argv[:1] == ["-m"] and "wsss.cli.main" in sys.orig_argv) or os.fspath(sys.argv[0]).endswith("/wsss")

if _PROGRAM and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C during the imports ends the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
