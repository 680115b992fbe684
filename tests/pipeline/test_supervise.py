"""A command and its supervisor, as real processes with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toycli
from clocks import wait_until
from killing import is_alive
from toycli import environment

from wsss.pipeline.processes.supervise import GRACE, crash_message

SLACK = 15
"""Seconds that a busy machine may take in addition."""

START = """
import ctypes, os, signal, sys, time
from wsss.io.process import shared_state
from wsss.pipeline.processes.interrupt import Interrupted, interruptible
from wsss.pipeline.processes import supervise as supervising
from wsss.pipeline.processes.supervise import supervise, visible_pid

def busy():  # a loop in C that blocks signal handlers for many minutes
    print("busy", os.getpid(), flush=True)
    sum(range(10**11))

supervise()
"""

POLITE = """
try:
    with interruptible():
        {body}
except Interrupted as error:
    print("told", file=sys.stderr, flush=True)
    shared_state.clear_messages()
    sys.exit(error.exit_code)
"""


def test_a_run_that_does_not_react_ends_within_five_seconds() -> None:
    """What the documentation promises; the other tests allow for a busy machine."""
    assert GRACE <= 4


def start(body: str, grace: float = GRACE, **more: object) -> subprocess.Popen[str]:
    code = START.replace("supervise()", f"supervising.GRACE = {grace}\nsupervise()") + body
    return toycli.start("-c", code, **more)


def run(body: str, grace: float = GRACE) -> tuple[int, str, str]:
    process = start(body, grace)
    output, messages = process.communicate(timeout=60)
    return process.returncode, output, messages


def until_busy(process: subprocess.Popen[str]) -> int:
    """Wait until the child is inside its native call; return its process id."""
    assert process.stdout is not None
    pid = int(process.stdout.readline().split()[1])
    time.sleep(0.3)
    return pid


@pytest.mark.parametrize(("body", "code"), [("pass", 0), ("sys.exit(3)", 3), ("raise SystemExit(2)", 2)])
def test_the_exit_code_of_the_child(body: str, code: int) -> None:
    assert run(body) == (code, "", "")


def test_a_command_that_ends_by_itself_after_a_signal() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(POLITE.format(body='print("busy", os.getpid(), flush=True); time.sleep(60)'))
        until_busy(process)
        process.send_signal(number)
        output, messages = process.communicate(timeout=30)
        assert (process.returncode, output, messages) == (128 + number, "", "told\n")


def test_the_visible_process_is_the_supervisor() -> None:
    process = start("print(visible_pid())")
    assert process.communicate(timeout=30)[0] == f"{process.pid}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGTERM, "supervisor"),
        (signal.SIGTERM, "child"),
        (signal.SIGINT, "supervisor"),
        (signal.SIGINT, "group"),
    ],
)
def test_a_native_call_is_ended_after_the_grace_period(tmp_path: Path, number: signal.Signals, whom: str) -> None:
    """The supervisor prints the child's message and deletes its temporary files."""
    (tmp_path / "half").mkdir()
    body = f"""
shared_state.set_message("how to resume")
shared_state.set_documents("the document", "another")
from pathlib import Path
with shared_state.deleted_if_killed(Path({str(tmp_path)!r}) / "half"):
    {POLITE.format(body="busy()").replace(chr(10), chr(10) + "    ")}
"""
    process = start(body, grace=1, start_new_session=True)
    child = until_busy(process)
    begun = time.monotonic()
    if whom == "group":
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid if whom == "supervisor" else child, number)
    output, messages = process.communicate(timeout=30)
    assert 1 <= time.monotonic() - begun < 1 + SLACK
    assert process.returncode == 128 + number
    assert (output, messages) == ("the document\n", "how to resume\n")
    assert not is_alive(child)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_an_immediate_one_is_the_same() -> None:
    process = start(POLITE.format(body="busy()"), grace=600)
    until_busy(process)
    for _ in range(3):  # as ``timeout`` signals a process and its group
        process.send_signal(signal.SIGINT)
    time.sleep(1.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_signals_in_quick_succession_let_the_command_end_by_itself() -> None:
    body = 'print("busy", os.getpid(), flush=True)\n        try: time.sleep(60)\n        finally: time.sleep(0.5)'
    process = start(POLITE.format(body=body))
    until_busy(process)
    for _ in range(5):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert process.communicate(timeout=20)[1] == "told\n"
    assert process.returncode == 143


def test_no_child_outlives_a_killed_supervisor() -> None:
    process = start("busy()")
    child = until_busy(process)
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(child), 60)


def test_a_process_killed_by_the_system_is_reported() -> None:
    """As the kernel does if memory runs out."""
    body = """
shared_state.set_documents("interrupted", "failed")
shared_state.set_current_items(["photo_17"])
os.kill(os.getpid(), signal.SIGKILL)
"""
    code, output, messages = run(body)
    assert (code, output) == (1, "failed\n")
    assert "SIGKILL" in messages and "photo_17" in messages and "memory" in messages
    assert "--workers 1" in messages and "max_side" in messages and "batch_size" not in messages


def test_a_killed_process_that_worked_in_batches_names_the_batch_size() -> None:
    code, _, messages = run("with shared_state.batches_of(64):\n    os.kill(os.getpid(), signal.SIGKILL)")
    assert code == 1 and "memory ran out. Lower batch_size (64;" in messages


def test_a_crash_is_reported_and_other_signals_are_passed_on() -> None:
    code, _, messages = run("os.kill(os.getpid(), signal.SIGSEGV)")
    assert code == 1 and "SIGSEGV" in messages and "please report it" in messages
    code, _, messages = run("os.kill(os.getpid(), signal.SIGHUP)")
    assert (code, messages) == (-signal.SIGHUP, "")


def test_signals_of_forked_processes_are_ignored() -> None:
    body = """
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
os.waitpid(child, 0)
time.sleep(1)
print("finished")
"""
    assert run(body, grace=0.5) == (0, "finished\n", "")


def test_temporary_files_are_always_deleted(tmp_path: Path) -> None:
    for body in ("", "os.kill(os.getpid(), signal.SIGKILL)"):
        code = "import tempfile; print(tempfile.mkdtemp(), os.environ['TMPDIR'], flush=True)\n" + body
        _, output, _ = run(code)
        folder, parent = map(Path, output.split())
        assert folder.parent == parent
        assert not parent.exists()


def test_no_supervisor_with_a_debugger() -> None:
    code = START.replace("supervise()\n", "sys.settrace(lambda *_: None)\nsupervise()\nprint(os.getpid())")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment())
    assert process.communicate(timeout=30)[0] == f"{process.pid}\n"


def test_crash_messages_name_one_or_several_images() -> None:
    assert "while it processed a.\n" in crash_message(signal.SIGKILL, ["a"])
    assert "while it processed one of: a, b.\n" in crash_message(signal.SIGKILL, ["a", "b"])
    assert "processed" not in crash_message(signal.SIGSEGV, [])
