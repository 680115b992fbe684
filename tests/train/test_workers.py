"""Processes that prepare batches."""

import os
import subprocess
import sys

import pytest

LEAVE = """
import os, sys, time
from multiprocessing import resource_sharer, reduction, process
from multiprocessing.connection import Client
from wsss.train.workers import begin_worker

if sys.argv[1] == "worker":
    begin_worker(0)
shared = reduction.DupFd(0)  # starts the thread that transfers file descriptors
address = resource_sharer._resource_sharer._address
other_end = Client(address, authkey=process.current_process().authkey)
other_end.close()  # without a request, like an interrupted main process
time.sleep(0.3)
if sys.argv[1] == "worker":
    sys.excepthook(ValueError, ValueError("another error"), None)
"""


@pytest.mark.parametrize("role", ["worker", "any"])
def test_workers_ignore_closed_connections(role: str) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVE, role], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    if role == "worker":
        assert done.stderr.strip() == "ValueError: another error"
    else:
        assert "EOFError" in done.stderr or "ConnectionResetError" in done.stderr
