"""The ``wsss`` command with the toy stages and the toy dataset in a separate process: ``python toycli.py run …``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that imports wsss from this checkout."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}


def toy(*arguments: str, cwd: Path, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the toy command line in a separate process; `inprocess.toy` does so in this one."""
    command = [sys.executable, str(HERE / "toycli.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=timeout)


def start_toy(*arguments: str, cwd: Path, **more: Any) -> subprocess.Popen[str]:
    """Start the toy command line."""
    return start(HERE / "toycli.py", *arguments, cwd=cwd, **more)


def start(*words: object, **more: Any) -> subprocess.Popen[str]:
    """Start Python with arguments in a separate process, whose output is read through pipes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *map(str, words)], env=environment(), text=True, **pipes, **more)


def main() -> None:
    from toys import TOYS, check_toy_data, open_toy_data

    import wsss.data.readers.registry
    from wsss.cli.main import main as real_main
    from wsss.stages import STAGES

    for name in TOYS:
        STAGES.register(name, f"toys:{name.upper()}")
    wsss.data.readers.registry.open_dataset = open_toy_data  # type: ignore[assignment]
    wsss.data.readers.registry.parse_config = check_toy_data  # type: ignore[assignment]
    real_main()


if __name__ == "__main__":
    main()
