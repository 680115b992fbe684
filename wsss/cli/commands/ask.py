"""``wsss ask``: a local web page that collects answers about tiles or whole images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from wsss.cli.answer_output import print_answers
from wsss.cli.check_output import progress
from wsss.cli.echo import echo, log
from wsss.cli.named_runs import NAMED, is_recorded, named_run
from wsss.cli.options.config_options import config_of
from wsss.cli.options.data_options import DataCommand
from wsss.cli.options.option_table import FILE, json_option, shared
from wsss.cli.options.shared_options import print_json, set_resume_message
from wsss.errors import InvalidInput, counted, listing

if TYPE_CHECKING:
    from wsss.data.answers.answer_rows import Item
    from wsss.data.answers.questions import QuestionsConfig
    from wsss.data.dataset import Dataset

PAGE_ONLY = ("single_label", "whole", "count", "size", "order", "run", "seed", "annotator", "host", "port", "open_page")
"""Options of the questions and of the page, without effect on --summary and --export."""

MAX_CLASSES = 9
"""One key of the page each."""


@click.command("ask", cls=DataCommand)
@click.argument("path")
@shared(
    "--answers",
    type=FILE,
    default=Path("answers.csv"),
    show_default=True,
    help="Table of answers; new answers are added to an existing table.",
)
@click.option(
    "--about",
    "names",
    multiple=True,
    metavar="NAME",
    help="Class to ask about, to summarise or to export (repeatable). [default: all]",
)
@click.option(
    "--single-label",
    is_flag=True,
    help="With several classes: each tile or image shows at most one of them, so one key press is enough.",
)
@click.option("--whole", is_flag=True, help="Ask about whole images instead of tiles.")
@shared("--split", default="train", show_default=True, help="Split that the images are taken from.")
@click.option("--count", type=int, help="Number of tiles. [default: 1000]")
@click.option("--size", type=int, help="Side length of a tile in pixels. [default: 18]")
@click.option(
    "--order",
    type=click.Choice(["random", "file", "uncertain"]),
    help="Order of the questions: random, by file, or most uncertain first (by the maps of --run). [default: random]",
)
@shared("--run", type=NAMED, help="Run or stage with maps or probabilities, for --order uncertain.")
@shared("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--annotator", metavar="NAME", help="Name of the person who answers. [default: entered on the page]")
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="IP address to serve the page on."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to serve the page on. [default: any free one]"
)
@click.option("--open", "open_page", is_flag=True, help="Also open the page in the default browser.")
@click.option("--summary", is_flag=True, help="Print counts and disagreements of the answers, and exit.")
@click.option(
    "--export",
    type=FILE,
    metavar="FILE",
    help="Write the answers about whole images as a table of labels (image_id,labels), and exit.",
)
@json_option
@click.pass_context
def ask(
    context: click.Context,
    path: str,
    answers: Path,
    names: tuple[str, ...],
    summary: bool,
    export: Path | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Ask people about tiles or whole images of the dataset PATH on a local web page, and save their answers.

    PATH is a dataset, a pipeline, or a folder of images (with --about NAME); masks are not needed. The command
    prints the address of the page, which contains a secret. Each answer is saved before the next picture is shown; run
    the command again to continue. Several people can answer; all answers are kept.

    \b
    wsss ask photos --about mortar
    wsss ask photos --about mortar --order uncertain --run runs/photos
    wsss ask photos --about cat --about dog --whole
    wsss data tiles photos tiles --answers answers.csv
    """
    from wsss.data.answers.answer_rows import check_class
    from wsss.data.answers.questions import QuestionsConfig

    config = config_of(QuestionsConfig, {key: values[key] for key in ("whole", "count", "size", "order")})
    _check_usage(config, values)
    for name in names:
        check_class(name, "--about")
    if summary or export is not None:
        _check_alone(context)
    with _dataset(context, path, names, answers) as dataset:
        asked = _asked(dataset, names)
        if summary or export is not None:
            print_answers(dataset, answers, values["split"], names, export, as_json)
            return
        _serve(dataset, asked, config, answers, as_json, values)


def _check_usage(config: QuestionsConfig, values: dict[str, Any]) -> None:
    if (config.order == "uncertain") != (values["run"] is not None):
        raise click.UsageError("--order uncertain and --run RUN must be used together.")
    if config.whole and (values["count"] is not None or values["size"] is not None):
        raise click.UsageError("--whole asks about all images of the split; omit --count and --size.")


def _check_alone(context: click.Context) -> None:
    """Refuse options that have no effect on the output of --summary or --export."""
    options = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    set_here = [name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    reports = [options[name] for name in ("summary", "export") if name in set_here]
    if len(reports) > 1:
        raise click.UsageError("--summary and --export cannot be used together.")
    others = [options[name] for name in set_here if name in PAGE_ONLY]
    if others:
        raise click.UsageError(f"{others[0]} has no effect with {reports[0]}.")


@contextmanager
def _dataset(context: click.Context, path: str, names: Sequence[str], answers: Path) -> Iterator[Dataset]:
    """Open the dataset; a plain folder has the classes asked about, now and before."""
    from wsss.cli.dataset_argument import named_dataset
    from wsss.cli.plain_images import asked_classes, with_plain_images
    from wsss.data.answers.answer_rows import check_new_class
    from wsss.data.readers.registry import open_dataset

    classes = list(dict.fromkeys([*names, *(asked_classes(answers) if answers.exists() else ())]))
    dataset = named_dataset(path, context.meta["data"], log)
    named = with_plain_images(dataset, classes, option="--about")
    if named is not dataset:  # no class list will say that these are classes
        for name in classes if context.params["export"] is not None else names:
            check_new_class(name, "--about" if name in names else answers)
    with tempfile.TemporaryDirectory(prefix="wsss-") as work:
        yield open_dataset(named.config, work=Path(work), log=log, locate=named.source.locate)


def _asked(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Return the names of the classes to ask about."""
    for name in names:
        if name not in dataset.classes.foreground:
            raise InvalidInput("unknown class", subject="--about", found=name, allowed=dataset.classes.foreground)
    asked = list(dict.fromkeys(names or dataset.classes.foreground))
    if len(asked) > MAX_CLASSES:
        raise InvalidInput(
            f"{len(asked)} classes, but the page has keys for {MAX_CLASSES}",
            subject="--about",
            hint=f"Ask about fewer classes at a time, for example --about {asked[0]} --about {asked[1]}.",
        )
    return asked


def _serve(
    dataset: Dataset, asked: list[str], config: QuestionsConfig, answers: Path, as_json: bool, values: dict[str, Any]
) -> None:
    """Open the table, choose the questions, and serve the page until the command is interrupted."""
    ask_app, access, server = _server()
    from wsss.data.answers.annotation_session import AnnotationSession, check_known
    from wsss.data.answers.answer_log import AnswerLog
    from wsss.data.answers.answer_rows import check_annotator
    from wsss.data.answers.votes import Ballot

    samples = dataset.split(values["split"])
    name = values["annotator"]
    annotator = None if name is None else check_annotator(name, "--annotator")
    images = {sample.id: sample.source for sample in samples}
    known, size = dataset.classes.foreground, 0 if config.whole else config.size
    with server.listen(values["host"], values["port"]) as bound, closing(AnswerLog(answers, log)) as table:
        ballot = Ballot(table.answers, answers)
        check_known(ballot, answers, images=images, classes=known, size=size)
        answered: dict[Item, set[str]] = {}
        for item, about in ballot.questions():
            answered.setdefault(item, set()).add(about)
        session = AnnotationSession(_items(dataset, asked, config, values, answered), asked, table)
        origin, hosts = server.addresses(bound)
        token = access.new_token()
        questions = ask_app.Questions(session, images, annotator, _default_annotator(), values["single_label"])
        app = ask_app.ask_app(questions, token=token, hosts=hosts)
        _announce(f"{origin}/{token}/", session, answers, as_json, values)
        set_resume_message()
        server.serve(app, bound)


def _server() -> Any:
    """Import the server, which is optional."""
    try:
        from wsss.server import access, ask_app, serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise InvalidInput(
            f"requires the package {error.name}", subject="wsss ask", hint="Install it: pip install 'wsss[ask]'."
        ) from error
    return ask_app, access, serve


def _items(
    dataset: Dataset,
    asked: list[str],
    config: QuestionsConfig,
    values: dict[str, Any],
    answered: Mapping[Item, set[str]],
) -> list[Item]:
    """Return the items to ask about; ``answered`` are those with answers, and the classes that these are about."""
    from wsss.data.answers.questions import question_items
    from wsss.stages.common.stored_maps import stored_maps

    samples = dataset.split(values["split"])
    unfinished = {item for item, about in answered.items() if not about.issuperset(asked)}
    choose = partial(question_items, samples, config, seed=values["seed"], answered=answered, unfinished=unfinished)
    if config.order != "uncertain":
        return choose()
    run = named_run(values["run"], fits=is_recorded, otherwise=Path.is_dir, option="--run")
    folder, maps_of = stored_maps(run, samples, dataset.classes, asked)
    log(f"Order: by the maps in {folder}.")
    with progress("Reading maps") as start:
        advance = start(len(samples))
        return choose(maps_of=maps_of, advance=advance)


def _announce(url: str, session: Any, answers: Path, as_json: bool, values: dict[str, Any]) -> None:
    items = len(session.items)
    people = {name: session.progress(name).done for name in session.ballot.annotators()}
    if as_json:
        print_json({"url": url, "answers": str(answers), "items": items, "done": people, "classes": session.classes})
    else:
        what = "image" if session.items[0].size == 0 else "tile"
        log(f"{counted(items, what)}, {listing(session.classes, limit=9)}; answers are saved in {answers}.")
        for name, done in people.items():
            log(f"{name}: {done} of {items} answered.")
        log("Open this address in a browser; press Ctrl-C here to stop:")
        echo(url)
    from wsss.server.serve import is_local

    if not is_local(values["host"]):
        log("warning: anyone on the network who has the address can see the images and answer; nothing is encrypted.")
    if values["open_page"]:
        click.launch(url)


def _default_annotator() -> str:
    """Return the user's name on this machine, proposed as the annotator's."""
    import getpass

    from wsss.data.answers.answer_rows import check_annotator

    try:
        return check_annotator(getpass.getuser())
    except (OSError, KeyError, ImportError, InvalidInput):
        return ""
