"""Commands of single stages, generated from their declarations: inputs, config fields and the dataset are options."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, is_recorded, is_stage, named_input, named_run
from wsss.cli.options.data_options import read_data_options
from wsss.cli.options.field_options import as_source, dashed, field_options, fields_with_option, option_of, variable
from wsss.cli.options.option_table import FOLDER, shared
from wsss.cli.options.shared_options import machine_options, print_json, set_resume_message
from wsss.cli.stage_command import StageCommand
from wsss.errors import InvalidInput, RunFailed, counted, listing
from wsss.io.process.cores import worker_count
from wsss.model_fields import discriminator_at
from wsss.pipeline.config.source import Source
from wsss.pipeline.stage import Artifact, Input, Stage
from wsss.stages import STAGES
from wsss.whole_run import open_data

PRINTED = frozenset({"scores", "comparison"})
"""Kinds whose result is printed: ``--out`` is optional, and ``--json`` prints only the metrics."""


def stage_command(stage: Stage[Any]) -> click.Command:
    """Return the command that runs a single stage, with options for its inputs and settings."""

    @click.pass_context
    def call(context: click.Context, **values: Any) -> None:
        run_single(stage, context.meta["data"], values)

    summary = STAGES.help_of(stage.name) if stage.name in STAGES else stage.help
    named = [_input_option(name, declared) for name, declared in stage.inputs.items()]
    return StageCommand(
        stage.name,
        stage=stage,
        callback=call,
        help=f"{summary}\n\n{_usage(stage)}",
        short_help=summary,
        params=[*named, *_common_options(stage), *field_options(stage), *_options_of(machine_options)],
        renamed={
            f"--{dashed(name)}": f"--{declared.alias}" for name, declared in stage.inputs.items() if declared.alias
        },
        positional="--images" if stage.name == "predict" else next((option.opts[0] for option in named), None),
    )


def run_single(
    stage: Stage[Any],
    data_options: list[tuple[str, str]],
    values: dict[str, Any],
    *,
    generated: Path | None = None,
    opener: Callable[..., Any] | None = None,
    base: Source | None = None,
) -> None:
    """Validate the options, run the stage and print the result.

    Args:
        data_options: ``--data.…`` options.
        values: values of all other options.
        generated: folder of existing generated datasets; by default they are generated next to the result.
        opener: opens the dataset; by default `open_data`.
        base: settings overridden by the options.

    Raises:
        WsssError: invalid options, or the stage failed.
    """
    from wsss.pipeline.processes.ranks import join_ranks
    from wsss.pipeline.run.guard import locked_for
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.run.runner import run_stage
    from wsss.pipeline.run.task import Session
    from wsss.validation import validate

    source = config_source(stage, values, base)
    config = validate(stage.config, source.value, where="", locate=source.locate)
    _check_paths(config, source)
    data_source = read_data_options(data_options)
    _refuse_unread(stage, config, data_source)
    with join_ranks(values["device"]) as ranks, _out_folder(stage, values["out"]) as out:
        resumes = values["out"] is not None
        if ranks.rank == 0 and resumes:
            set_resume_message(started=False)
        reporter = Reporter(quiet=ranks.rank != 0)
        session = Session(out.parent, values["device"], worker_count(values["workers"], ranks.size), reporter, ranks)
        if resumes:
            session.on_start = set_resume_message
        with locked_for(out, session, temporary=not resumes) as work:
            inputs = {name: _input(name, declared, values, reporter) for name, declared in stage.inputs.items()}
            data = None
            if data_source.value:
                data = (opener or open_data)(
                    data_source.value, work=generated or work, log=reporter.log, locate=data_source.locate
                )
            with _failure_printed(values, out, quiet=ranks.rank != 0):
                outcome = run_stage(
                    stage,
                    config,
                    out=out,
                    inputs=inputs,
                    data=data,
                    seed=values["seed"],
                    force=values["force"],
                    session=session,
                )
    if ranks.rank == 0:
        _print(stage, outcome, values)


@contextmanager
def _failure_printed(values: Mapping[str, Any], out: Path, *, quiet: bool) -> Iterator[None]:
    """With ``--json``, print a document if the stage fails; the error itself goes to stderr."""
    from wsss.data.masks.predicted_masks import read_predicted

    try:
        yield
    except RunFailed as error:
        if values["as_json"] and not quiet:
            predicted = read_predicted(out)
            failed = {} if predicted is None else {id: vars(reason) for id, reason in predicted.failed.items()}
            shown = str(values["out"]) if values["out"] else None
            print_json({"out": shown, "status": "failed", "error": error.message, "failed": failed})
        raise


def config_source(stage: Stage[Any], values: Mapping[str, Any], base: Source | None = None) -> Source:
    """Return the config: ``base``, ``--config``, options and ``--set``, each overriding the previous ones."""
    from wsss.pipeline.config.presets import with_presets
    from wsss.pipeline.config.source import merge, parse_yaml, read_yaml

    tag_at = partial(discriminator_at, stage.config)
    base = base or Source({})
    if values["config_file"]:
        base = merge(base, read_yaml(values["config_file"]))
    over = Source({})
    for part in as_source(stage, values).values():
        over = merge(over, part)
    for text in values["sets"]:
        key, equals, value = text.partition("=")
        location = f"--set {text}"
        if not equals or not all(key.split(".")):
            raise InvalidInput(subject=location, allowed="key.path=value, such as batch_size=8")
        over = merge(over, parse_yaml(value, location, lines=False).under(tuple(key.split("."))), tag_at)
    return with_presets(merge(base, over, tag_at), where=stage.name, tag_at=tag_at)


def _input(name: str, declared: Input, values: Mapping[str, Any], reporter: Any) -> Any:
    """Return the artifact (or several) of an input option."""
    from wsss.pipeline.plan.external_inputs import artifact_at, artifacts_of_run
    from wsss.pipeline.store.outdated import warn_of_outdated

    option, value = f"--{dashed(declared.alias or name)}", values[variable(name)]
    if not declared.many:
        if value is None:
            return None
        folder = named_input(value, option=option, log=reporter.log)
        _refuse_incomplete(folder, option)
        warn_of_outdated([folder], option, reporter.log)
        return artifact_at(folder, declared.kinds, option, reporter.log)
    artifacts: list[Artifact] = []
    folders = [name if isinstance(name, Path) else named_run(name, fits=is_recorded, option=option) for name in value]
    warn_of_outdated(folders, option, reporter.log)
    for given, named in zip(value, folders, strict=True):
        by = "" if isinstance(given, Path) else option  # `wsss report RUN` has an argument
        of_run = artifacts_of_run(named, declared.kinds, by, reporter.log)
        artifacts += [artifact_at(named, declared.kinds, by, reporter.log)] if of_run is None else of_run
    return tuple(artifacts)


def _refuse_incomplete(folder: Path, option: str) -> None:
    """Reject a prediction with failed images: the result would cover fewer images.

    Raises:
        InvalidInput: some images failed.
    """
    from wsss.data.masks.predicted_masks import PREDICTED, read_predicted

    predicted = read_predicted(folder) if is_stage(folder) else None
    if predicted is not None and predicted.failed:
        count = counted(len(predicted.failed), "image has", "images have")
        raise InvalidInput(
            f"{count} no mask, because their prediction failed: {listing(predicted.failed)} (see {folder / PREDICTED})",
            subject=f"{option} {folder}",
            hint="Repair these images and predict them again, or remove them from the split (the result then covers a "
            "smaller split).",
        )


def _check_paths(config: Any, source: Source) -> None:
    from wsss.pipeline.plan.instance import paths_in

    for path, value in paths_in(config):
        if not value.exists():
            raise InvalidInput(f"no such file or folder: {value}", subject=source.subject(path))


def _refuse_unread(stage: Stage[Any], config: Any, data: Source) -> None:
    """Reject options of a dataset if the stage reads none."""
    if not data.value or list(stage.reads(config)):
        return
    keys, options = listing(f"--data.{key}" for key in data.value), fields_with_option(stage)
    instead = [
        f"--{option_of(name, options[name])}" if name in options else name
        for name, value in config
        if isinstance(value, Path) and list(stage.reads(config.model_copy(update={name: None})))
    ]
    cause = " ".join([stage.name, *(f"with {option}" for option in instead)])
    hint = f"Omit {keys}" + (f", or {listing(instead)} to use the dataset." if instead else ".")
    raise InvalidInput(f"no effect, because {cause} reads no dataset", subject=keys, hint=hint)


@contextmanager
def _out_folder(stage: Stage[Any], out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix=f"wsss-{stage.name}-") as folder:
        yield Path(folder) / stage.name


def _print(stage: Stage[Any], outcome: Any, values: Mapping[str, Any]) -> None:
    from wsss.cli.stage_table import benchmark_tables
    from wsss.io.text.times import duration

    out = str(values["out"]) if values["out"] else None
    if values["as_json"]:
        report = {"out": out, "status": outcome.status, "seconds": outcome.seconds, "metrics": dict(outcome.metrics)}
        print_json(dict(outcome.metrics) if stage.provides in PRINTED else report)
        return
    tables = benchmark_tables(stage.name, Path(out)) if out else None
    for line in _metric_lines(outcome.metrics) if tables is None else (tables,):
        echo(line)
    if out:
        echo(f"{stage.name} {outcome.status} in {duration(outcome.seconds)}: {out}")


def _metric_lines(metrics: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in metrics.items():
        if value is None or value == {} or value == []:  # unknown or not applicable
            continue
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _metric_lines(value, indent + "  ")
        elif isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            yield f"{indent}{key}:"
            yield from (f"{indent}  {', '.join(str(cell) for cell in row.values())}" for row in value)
        else:
            yield f"{indent}{key}: {f'{value:.4f}' if isinstance(value, float) else value}"


def _usage(stage: Stage[Any]) -> str:
    others = [key for key in stage.config.model_fields if key not in fields_with_option(stage)]
    lines = ["Dataset: --data.root DIR, and --data.layout NAME with its keys if the layout is not recognised."]
    if others:
        lines.append(f"Settings without an option (use --set or --config): {', '.join(others)}.")
    return "\n\n".join(lines)


def _common_options(stage: Stage[Any]) -> list[click.Option]:
    printed = stage.provides in PRINTED
    more = "; an unfinished run resumes" + (". [default: only print the result]" if printed else "")
    return _options_of(
        shared("--out", type=FOLDER, required=not printed, more=more),
        shared("--config", "config_file", type=click.Path(path_type=Path)),
        shared("--set", "sets", multiple=True),
        shared("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True),
        shared("--force", is_flag=True),
    )


def _options_of(*decorators: Callable[[Callable[..., Any]], Callable[..., Any]]) -> list[click.Option]:
    """Return the options added by decorators, in order."""

    def bare() -> None: ...

    for decorator in reversed(decorators):
        decorator(bare)
    return list(reversed(getattr(bare, "__click_params__", [])))


def _input_option(name: str, declared: Input) -> click.Option:
    return click.Option(
        [f"--{dashed(declared.alias or name)}", variable(name)],
        type=NAMED,
        required=not declared.optional,
        multiple=declared.many,
        metavar="DIR",
        help=declared.help[:1].upper() + declared.help[1:] + (" (repeatable)" if declared.many else "") + ".",
    )
