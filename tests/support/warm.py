"""Server of preloaded ``wsss`` processes, which halve the time of a run on tiny images.

The server imports what the stages import, and forks for every command of a client. The client is a separate program
(``python warm.py SOCKET ARGUMENTS``) that a test can use like the command: it forwards arguments, working directory,
environment and standard streams, and returns the exit code. A forked process behaves like a new one: it has no other
threads, and sets torch's number of threads from the environment. Tests of signals, process groups and the start of
commands use new processes.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

STARTED = b"ready"
SHARED = "WSSS_TEST_WARM"
"""Environment variable with the folder of the server that several test processes share; see `share`."""


def command(python: str = sys.executable) -> list[str]:
    """Return the command line of a client, without arguments of ``wsss``; the first call starts the server.

    Args:
        python: interpreter of the server, for example of a virtual environment with further packages.
    """
    return [sys.executable, "-I", "-S", __file__, _server(python)]


@functools.cache
def _server(python: str) -> str:
    """Start the server of an interpreter, which ends with this process, or find the shared one; return its socket."""
    if SHARED in os.environ and python == sys.executable:
        return _shared_server(Path(os.environ[SHARED]))
    folder = tempfile.TemporaryDirectory(prefix="wsss-warm-")
    path = str(Path(folder.name) / "socket")  # short: socket names are limited to 107 bytes
    process = _start_server(python, path, subprocess.PIPE)
    assert process.stdin is not None

    def end(stdin: IO[bytes] = process.stdin) -> None:
        stdin.close()
        process.wait(timeout=300)
        folder.cleanup()

    atexit.register(end)
    return path


def share() -> None:
    """Let the test processes that this one starts share a server, which ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="wsss-warm-")
    alive = Path(folder.name) / "alive"
    os.mkfifo(alive)
    os.open(alive, os.O_RDWR)  # until the end of this process
    os.environ[SHARED] = folder.name
    atexit.register(folder.cleanup)


def _shared_server(folder: Path) -> str:
    path = folder / "socket"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with (folder / "alive").open("rb", buffering=0) as alive:
                _start_server(sys.executable, str(path), alive)
    return str(path)


def _start_server(python: str, path: str, stdin: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server that ends when its stdin does, and wait until clients can connect."""
    here = Path(__file__).parent
    search_path = os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path, "NO_ALBUMENTATIONS_UPDATE": "1"}
    call = [python, __file__, "--serve", path]
    process = subprocess.Popen(call, stdin=stdin, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.read(len(STARTED)) == STARTED, "the server did not start"
    return process


def client(server: str, arguments: list[str]) -> int:
    """Run a command in the server with the streams of this process; return its exit code, or end by its signal."""
    request = json.dumps({"arguments": arguments, "cwd": str(Path.cwd()), "environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(server)
        socket.send_fds(connection, [len(request).to_bytes(8, "little")], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(16)
    code = int(answer) if answer else 1
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


def serve(path: str) -> None:
    """Fork for every client until stdin is closed; kill the processes of clients that disconnect."""
    children: dict[int, socket.socket] = {}
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door, selectors.DefaultSelector() as waiting:
        door.bind(path)
        door.listen(16)
        os.write(1, STARTED)  # the first clients wait for the imports
        gc.disable()
        preload()
        gc.freeze()  # the children collect none of these objects
        gc.enable()
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for source in (0, ended, door):
            waiting.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj == 0:
                    return
                if key.fileobj == ended:
                    os.read(ended, 64)
                    _answer(children, waiting)
                elif key.fileobj is door:
                    connection, _ = door.accept()
                    child = _start(connection, [door, waiting, *children.values()])
                    children[child] = connection
                    waiting.register(connection, selectors.EVENT_READ, child)
                elif key.data in children:
                    os.kill(key.data, signal.SIGKILL)
                    waiting.unregister(key.fileobj)


def _answer(children: dict[int, socket.socket], waiting: selectors.BaseSelector) -> None:
    """Send the exit codes of ended processes to their clients."""
    for child in list(children):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            connection = children.pop(child)
            if connection in waiting.get_map():
                waiting.unregister(connection)
            with suppress(BrokenPipeError):  # the client has disconnected
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            connection.close()


def _start(connection: socket.socket, ours: list[Any]) -> int:
    """Fork a child that runs the command; return its process id in the parent."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    left, parts = int.from_bytes(size, "little"), []
    while left:
        parts.append(connection.recv(min(left, 1 << 20)))
        left -= len(parts[-1])
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        return child
    for one in [connection, *ours]:
        one.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in enumerate("rww"))  # noqa: SIM115, PTH123
    request = json.loads(b"".join(parts))
    os.chdir(request["cwd"])
    return become(request["arguments"], request["environment"])


def become(arguments: Sequence[str], environment: Mapping[str, str], *, supervised: bool = True) -> NoReturn:
    """Run ``wsss ARGUMENTS`` like a new process, and exit.

    Args:
        arguments: arguments of the command; or ``--script FILE …``: a Python program instead, with its arguments.
        environment: all environment variables.
        supervised: run in a supervised child process, like the program.
    """
    os.environ.clear()
    os.environ.update(environment)
    import torch

    threads = environment.get("OMP_NUM_THREADS")
    torch.set_num_threads(int(threads) if threads else len(os.sched_getaffinity(0)))
    if arguments[0] == "--script":
        _run_script(list(arguments[1:]))
    sys.argv = ["wsss", *arguments]
    from killing import strike_as_asked

    if strike_as_asked():
        supervised = False  # the working process has to kill itself
    from wsss.cli.main import main

    try:
        main(None if supervised else list(arguments))
    except SystemExit as end:
        _exit(end.code)
    raise AssertionError("a command does not return")


def _run_script(arguments: list[str]) -> NoReturn:
    sys.argv = arguments
    sys.path.insert(0, str(Path(arguments[0]).parent))
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        _exit(end.code)
    except BaseException:
        traceback.print_exc()
        _exit(1)
    _exit(0)


def _exit(code: object) -> NoReturn:
    """Exit without the cleanup of modules, which takes a second with torch."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def preload() -> None:
    """Import what commands import, and load compiled kernels and templates, before forking. Starts no threads."""
    import albumentations  # noqa: F401
    import lightning_fabric  # noqa: F401
    import monai.networks.nets  # noqa: F401
    import numpy as np
    import pi_heif  # noqa: F401
    import pydensecrf.densecrf  # noqa: F401
    import rich.table  # noqa: F401
    import scipy.ndimage  # noqa: F401
    import skimage.morphology  # noqa: F401
    import torchvision  # noqa: F401
    from torch.utils import tensorboard  # noqa: F401

    import wsss

    for module in pkgutil.walk_packages(wsss.__path__, "wsss."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    from wsss.refine.dense_crf import CrfConfig, refine_labels
    from wsss.viz.report.page import environment

    os.fsync = lambda descriptor: None  # type: ignore[assignment]  # as in conftest.py
    for template in ("report.html.j2", "parts.html.j2"):
        environment().get_template(template)
    refine_labels(np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=np.uint8), 2, CrfConfig(iterations=1))


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
        os._exit(0)  # without the cleanup of modules
    else:
        sys.exit(client(sys.argv[1], sys.argv[2:]))
