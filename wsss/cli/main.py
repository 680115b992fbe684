"""Entry point of ``wsss``: dispatches commands and converts errors to messages and exit codes.

Exit codes: 0 success; 1 failure; 2 invalid usage or input; 130 and 143 interrupted by SIGINT and SIGTERM. Nothing heavy
is imported here, so that ``wsss --help`` is instant.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from wsss import __version__
from wsss.cli.echo import echo
from wsss.cli.options.command import Group
from wsss.cli.streams import settle_streams
from wsss.errors import InvalidInput, WsssError
from wsss.extensions import ExtensionWarning
from wsss.io.process import shared_state
from wsss.io.process.exhausted import exhausted
from wsss.pipeline.processes.interrupt import interruptible
from wsss.pipeline.processes.supervise import supervise
from wsss.stages import STAGES

COMMANDS = {
    "run": ("wsss.cli.commands.run:run", "Run a pipeline from images to masks, scores and a report."),
    "status": ("wsss.cli.commands.status:status", "Show the progress of a run."),
    "init": ("wsss.cli.commands.init:init", "Write a pipeline for your own images and labels."),
    "ask": ("wsss.cli.commands.ask:ask", "Collect yes/no answers about tiles or images on a local web page."),
    "export": ("wsss.cli.commands.export:export", "Export masks for other tools: VOC, COCO, CVAT, Label Studio …"),
    "export-model": ("wsss.cli.commands.export_model:export_model", "Export a trained network to ONNX."),
    "rank": ("wsss.cli.commands.rank:rank", "List the images whose masks are most worth correcting."),
    "import-masks": ("wsss.cli.commands.import_masks:import_masks", "Import masks that were corrected in other tools."),
    "data": ("wsss.cli.commands.data:data", "Check datasets and generate synthetic ones."),
    "topo": ("wsss.cli.commands.topo:topo", "Compare the topology of masks: Betti matching, Betti numbers."),
    "plugins": ("wsss.cli.commands.plugins:plugins", "List extensions from other installed packages."),
    "bench": ("wsss.cli.commands.bench:bench", "Compare losses on TopoMortar: tables, significance tests, plots."),
}
"""Command → its function, and its line in ``wsss --help``."""

_NO_OUTPUT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF})
"""System errors that, without a file name, concern stdout or stderr."""


class LazyGroup(Group):
    """A command group that imports commands on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all command names, stages in the order of the pipeline."""
        return [*COMMANDS, *(name for name in STAGES if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        if cmd_name == "report":  # also takes whole runs
            from wsss.cli.commands.report import report

            return report
        if cmd_name in STAGES:
            from wsss.cli.commands.stages import stage_command

            return stage_command(STAGES[cmd_name])
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in two sections, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        with formatter.section("Single stages"):
            formatter.write_dl([(name, STAGES.help_of(name)) for name in STAGES if name not in COMMANDS])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsss")
def cli() -> None:
    """Pixel masks from image-level labels.

    \b
    First run:    wsss run quickstart
    Your images:  wsss init --images FOLDER --labels FILE, then wsss run
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; the entry point of the ``wsss`` script.

    Args:
        arguments: arguments of a call from Python, which runs in this process; by default those of the program, which
            runs in a supervised child process (see `wsss.pipeline.processes.supervise`).
    """
    settle_streams(replace=arguments is None)
    if arguments is None:
        supervise()
    code = _call(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:  # torch raises errors for processes that we end
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.exit(_flushed(code))


def _call(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    debug = "--debug" in arguments
    try:
        with interruptible(), extension_warnings():
            code: Any = cli.main(args=arguments, prog_name="wsss", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(file=shown)
        echo(shown.getvalue(), err=True, nl=False)
        return error.exit_code
    except WsssError as error:
        if debug:
            traceback.print_exc()
        show_error(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        if debug:
            traceback.print_exc()
        _print_interrupted()
        interrupt = error if isinstance(error, KeyboardInterrupt) else error.__cause__  # which click wraps
        return getattr(interrupt, "exit_code", 130) if isinstance(interrupt, KeyboardInterrupt) else 130
    except Exception as error:
        return _report_unexpected(error, debug)
    return code if isinstance(code, int) else 0


def _report_unexpected(error: Exception, debug: bool) -> int:
    """Print an error not raised by wsss: an exhausted machine, an output that cannot be written, or a bug."""
    failure = exhausted(error)
    if failure is None and isinstance(error, OSError):
        if error.filename is None and error.errno in _NO_OUTPUT:
            show_error(f"Cannot write the output: {error.strerror}.")
            return 1
        if error.errno == errno.ENAMETOOLONG:
            show_error(f"{error.filename}: the file name is too long.")
            return InvalidInput.exit_code
    if debug:
        traceback.print_exc()
    if failure is not None:
        show_error(str(failure))
        return failure.exit_code
    show_error(
        f"Unexpected {type(error).__name__}: {error}\n"
        "This is a bug in wsss; please report it with the output of --debug."
    )
    return 1


@contextmanager
def extension_warnings() -> Iterator[None]:
    """Print each `ExtensionWarning` as one line."""
    show, shown = warnings.showwarning, set[str]()

    def show_line(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if not issubclass(category, ExtensionWarning):
            show(message, category, *rest)
        elif str(message) not in shown:
            shown.add(str(message))
            echo(f"warning: {message}", err=True)

    warnings.showwarning = show_line  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = show


def _print_interrupted() -> None:
    """Print how to resume."""
    echo(shared_state.message() or "Interrupted.", err=True)
    shared_state.clear_messages()  # the supervisor need not print it


def _flushed(code: int) -> int:
    """Flush stdout; return ``code``, or 1 if the output cannot be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes again on exit
        if not code and not isinstance(error, BrokenPipeError):
            show_error(f"Cannot write the output: {error.strerror}.")
        return code or 1
    return code


def show_error(message: str) -> None:
    """Print an error on stderr."""
    echo(message, err=True, label="error")


if __name__ == "__main__":
    main()
