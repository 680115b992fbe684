"""One command per stage, made from its declaration: inputs, config fields and the dataset become options."""

from __future__ import annotations

import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from wsss.cli.options import machine_options, open_data, print_json, resume_command, worker_count
from wsss.errors import InvalidInput
from wsss.pipeline.source import Source
from wsss.pipeline.stage import Artifact, Input, Stage

RESERVED = frozenset({"out", "seed", "config", "set", "force", "device", "workers", "json", "debug", "help", "data"})
PRINTED = frozenset({"scores", "comparison"})
"""Kinds whose result is printed: ``--out`` may be left out, and ``--json`` prints the metrics alone."""


class StageCommand(click.Command):
    """A command that also takes ``--data.KEY VALUE`` for any key of the dataset's config."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the ``--data.…`` options out before click sees the rest."""
        pairs, rest = split_data_options(args)
        ctx.meta["data"] = pairs
        return super().parse_args(ctx, rest)


def split_data_options(args: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (``[("data.root", "voc"), …]``, the other arguments).

    Raises:
        click.UsageError: the last ``--data.KEY`` has no value.
    """
    pairs: list[tuple[str, str]] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if not word.startswith("--data."):
            rest.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        if not equals:
            following = next(words, None)
            if following is None:
                raise click.UsageError(f"Option '--{key}' requires a value.")
            value = following
        pairs.append((key, value))
    return pairs, rest


def stage_command(stage: Stage[Any]) -> click.Command:
    """Return the command of one stage."""

    @click.pass_context
    def call(context: click.Context, **given: Any) -> None:
        run_single(stage, context.meta["data"], given)

    call = machine_options(call)
    params = [*getattr(call, "__click_params__", [])]
    named = [_input_option(name, declared) for name, declared in stage.inputs.items()]
    fields = [_field_option(key, field) for key, field in _option_fields(stage).items()]
    return StageCommand(
        stage.name,
        callback=call,
        help=f"{stage.help}\n\n{_usage(stage)}",
        short_help=stage.help,
        params=[*named, *_common_options(stage), *fields, *reversed(params)],
    )


def run_single(
    stage: Stage[Any],
    data_options: list[tuple[str, str]],
    given: dict[str, Any],
    *,
    generated: Path | None = None,
    opener: Callable[..., Any] | None = None,
    base: Source | None = None,
) -> None:
    """Check the options, run the stage, print the result.

    Args:
        stage: what to run.
        data_options: ``--data.…`` options.
        given: values of all other options.
        generated: a folder that holds generated datasets already; by default they are drawn beside the result.
        opener: opens the dataset in place of `open_data`.
        base: settings to lay the given ones over.

    Raises:
        WsssError: wrong options, or the stage failed.
    """
    from wsss.pipeline.execute import locked_for
    from wsss.pipeline.interrupt import interruptible
    from wsss.pipeline.progress import Reporter
    from wsss.pipeline.ranks import is_first_rank, join_ranks
    from wsss.pipeline.runner import run_stage
    from wsss.pipeline.task import Session
    from wsss.validation import validate

    source = config_source(stage, given, base)
    config = validate(stage.config, source.value, where="", locate=source.locate)
    _check_paths(config, source)
    data_source = read_data_options(data_options)
    try:
        with interruptible(), join_ranks(given["device"]) as ranks, _out_folder(stage, given["out"]) as out:
            reporter = Reporter(quiet=ranks.rank != 0)
            session = Session(out.parent, given["device"], worker_count(given["workers"]), reporter, ranks)
            with locked_for(out, session) as work:
                inputs = {name: _take(name, declared, given, reporter) for name, declared in stage.inputs.items()}
                data = None
                if data_source.value:
                    data = (opener or open_data)(
                        data_source.value, work=generated or work, log=reporter.log, locate=data_source.locate
                    )
                outcome = run_stage(
                    stage,
                    config,
                    out=out,
                    inputs=inputs,
                    data=data,
                    seed=given["seed"],
                    force=given["force"],
                    session=session,
                )
    except KeyboardInterrupt:
        if is_first_rank():
            click.echo(f"Interrupted. Finished work is kept; resume with:\n  {resume_command()}", err=True)
        raise
    if ranks.rank == 0:
        _print(stage, outcome, given)


def config_source(stage: Stage[Any], given: Mapping[str, Any], base: Source | None = None) -> Source:
    """Return the config as written: ``base``, ``--config``, options, ``--set``, each laid over the one before."""
    from wsss.pipeline.presets import with_presets
    from wsss.pipeline.source import merge, parse_yaml, read_yaml
    from wsss.validation import discriminator_at

    base = base or Source({})
    if given["config_file"]:
        base = merge(base, read_yaml(given["config_file"]))
    over = Source({})
    for key, field in _option_fields(stage).items():
        value = given.get(_variable(key))
        if value is None:
            continue
        place = f"--{_dashed(key)} {value}"
        if isinstance(value, bool):
            parsed, place = value, f"--{'' if value else 'no-'}{_dashed(key)}"
        elif _is_list(field.annotation):
            parsed = parse_yaml(f"[{value}]", place, lines=False).value
        else:
            parsed = value if _is_text(field.annotation) else parse_yaml(value, place, lines=False).value
        over = merge(over, Source({key: parsed}, {(): place, (key,): place}))
    for text in given["sets"]:
        key, equals, value = text.partition("=")
        place = f"--set {text}"
        if not equals or not all(key.split(".")):
            raise InvalidInput(f"{place}: expected key.path=value, for example batch_size=8.")
        over = merge(over, parse_yaml(value, place, lines=False).under(tuple(key.split("."))))
    tag_at = partial(discriminator_at, stage.config)
    return with_presets(merge(base, over, tag_at), where=stage.name, tag_at=tag_at)


def read_data_options(pairs: list[tuple[str, str]]) -> Source:
    """Return the dataset's config from ``--data.KEY VALUE`` options (values are YAML)."""
    from wsss.pipeline.source import merge, parse_yaml

    source = Source({})
    for key, value in pairs:
        place = f"--{key} {value}"
        words = key.split(".")[1:]
        if not all(words):
            raise InvalidInput(f"--{key}: expected --data.KEY VALUE.")
        source = merge(source, parse_yaml(value, place, lines=False).under(tuple(words)))
    return source


def _take(name: str, declared: Input, given: Mapping[str, Any], reporter: Any) -> Any:
    """Return the artifact (or several) that an input option names."""
    from wsss.pipeline.given import artifact_at, artifacts_of_run

    option, value = f"--{_dashed(declared.alias or name)}", given[_variable(name)]
    if not declared.many:
        return artifact_at(value, declared.kinds, option, reporter) if value is not None else None
    found: list[Artifact] = []
    for folder in value:
        of_run = artifacts_of_run(folder, declared.kinds, option, reporter)
        one = artifact_at(folder, declared.kinds, option, reporter) if of_run is None else None
        if one is not None and one.uses is None:
            raise InvalidInput(
                f"{option} {folder}: neither a run directory nor a stage's folder.",
                mend="Name a folder that holds run.json or stage.json.",
            )
        found += [one] if one is not None else of_run or []
    return tuple(found)


def _check_paths(config: Any, source: Source) -> None:
    from wsss.pipeline.graph import paths_in

    for path, value in paths_in(config):
        if not value.exists():
            key = ".".join(map(str, path))
            raise InvalidInput(
                ": ".join(part for part in (source.locate(path), key, f"no such file or folder: {value}") if part)
            )


@contextmanager
def _out_folder(stage: Stage[Any], out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix=f"wsss-{stage.name}-") as folder:
        yield Path(folder) / stage.name


def _print(stage: Stage[Any], outcome: Any, given: Mapping[str, Any]) -> None:
    from wsss.pipeline.progress import duration

    out = str(given["out"]) if given["out"] else None
    if given["as_json"]:
        report = {"out": out, "status": outcome.status, "seconds": outcome.seconds, "metrics": dict(outcome.metrics)}
        print_json(dict(outcome.metrics) if stage.provides in PRINTED else report)
        return
    for line in _metric_lines(outcome.metrics):
        click.echo(line)
    if out:
        click.echo(f"{stage.name} {outcome.status} in {duration(outcome.seconds)}: {out}")


def _metric_lines(metrics: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _metric_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {f'{value:.4f}' if isinstance(value, float) else value}"


def _usage(stage: Stage[Any]) -> str:
    others = [key for key in _fields(stage) if key not in _option_fields(stage)]
    lines = ["The dataset is given by --data.root DIR and, where it is not recognised, --data.layout NAME and the "]
    lines[0] += "layout's other keys (--data.KEY VALUE)."
    if others:
        lines.append(f"Keys without an option of their own, for --set and --config: {', '.join(others)}.")
    return "\n\n".join(lines)


def _common_options(stage: Stage[Any]) -> list[click.Option]:
    printed = stage.provides in PRINTED
    out_help = "Folder of the result; an unfinished one is gone on with."
    return [
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path, file_okay=False),
            required=not printed,
            help=out_help + (" [default: print the result only]" if printed else ""),
        ),
        click.Option(
            ["--config", "config_file"],
            type=click.Path(path_type=Path),
            help="YAML file with config keys; may have preset:.",
        ),
        click.Option(["--set", "sets"], multiple=True, metavar="KEY=VALUE", help="Set any config key (YAML value)."),
        click.Option(["--seed"], type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Random seed."),
        click.Option(["--force"], is_flag=True, help="Run from scratch."),
    ]


def _input_option(name: str, declared: Input) -> click.Option:
    return click.Option(
        [f"--{_dashed(word)}" for word in (name, declared.alias) if word] + [_variable(name)],
        type=click.Path(path_type=Path),
        required=not declared.optional,
        multiple=declared.many,
        metavar="DIR",
        help=declared.help[:1].upper() + declared.help[1:] + (" (several times)" if declared.many else "") + ".",
    )


def _field_option(key: str, field: FieldInfo) -> click.Option:
    text = (field.description or key.replace("_", " ")).rstrip(".")
    default = field.get_default(call_default_factory=True) if not field.is_required() else None
    text = text[:1].upper() + text[1:] + "."
    if field.is_required():
        text += " [required]"
    elif default is not None:
        text += f" [default: {_shown(default)}]"
    dashed, variable = _dashed(key), _variable(key)
    if _bare(field.annotation) == {bool}:
        return click.Option([f"--{dashed}/--no-{dashed}", variable], default=None, help=text)
    return click.Option([f"--{dashed}", variable], default=None, metavar=_metavar(field.annotation), help=text)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fields(stage: Stage[Any]) -> dict[str, FieldInfo]:
    return dict(stage.config.model_fields)


def _option_fields(stage: Stage[Any]) -> dict[str, FieldInfo]:
    """Return the config fields that get an option: scalars and lists of scalars whose name is not taken."""
    taken = RESERVED | set(stage.inputs)
    return {key: field for key, field in _fields(stage).items() if key not in taken and _has_option(field.annotation)}


def _bare(annotation: Any) -> set[Any]:
    """Return the types an annotation allows, without ``None``; all values of a Literal count as one type."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return {kind for argument in get_args(annotation) for kind in _bare(argument)}
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    return set() if annotation is type(None) else {annotation}


def _is_scalar(annotation: Any) -> bool:
    kinds = _bare(annotation)
    return bool(kinds) and kinds <= {bool, int, float, str, Path}


def _without_none(annotation: Any) -> Any:
    """Return ``T`` for ``T | None``, anything else as it is."""
    members = [kind for kind in get_args(annotation) if kind is not type(None)]
    return members[0] if get_origin(annotation) in (Union, types.UnionType) and len(members) == 1 else annotation


def _is_list(annotation: Any) -> bool:
    """Tell whether an annotation is a list of scalars of any length; it is given as ``A,B,C``."""
    annotation = _without_none(annotation)
    if get_origin(annotation) is list:
        return _is_scalar(get_args(annotation)[0])
    return (
        get_origin(annotation) is tuple and get_args(annotation)[1:] == (...,) and _is_scalar(get_args(annotation)[0])
    )


def _has_option(annotation: Any) -> bool:
    return _is_scalar(annotation) or _is_list(annotation)


def _is_text(annotation: Any) -> bool:
    return _bare(annotation) <= {str, Path}


def _metavar(annotation: Any) -> str:
    if _is_list(annotation):
        one = _metavar(get_args(_without_none(annotation))[0])
        return f"{one},…"
    words = [
        str(value)
        for part in (annotation, *get_args(annotation))
        if get_origin(part) is Literal
        for value in get_args(part)
    ]
    if words:
        return "|".join(words)
    names = {bool: "BOOL", int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}
    return "|".join(sorted({names[kind] for kind in _bare(annotation)}))


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _variable(name: str) -> str:
    return f"key_{name}"
