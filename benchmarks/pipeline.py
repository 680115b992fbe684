"""Cost of the photograph pipeline by stage: two versions of wsss, hand-written loops, and other packages.

    python benchmarks/pipeline.py --before PATH [--data FOLDER] [--images 64] [--repeats 3] [--stages …]
    python benchmarks/pipeline.py --before PATH --whole quickstart [--set KEY=VALUE …]
    python benchmarks/pipeline.py --whole voc_animals voc_animals_fast [--set KEY=VALUE …]

The stages and settings are those of ``pipelines/voc_animals.yaml``, on one split, without validation, one epoch each,
with all weights of the classifier in ``cam``.
``--before`` is another source tree of this repository (for example a ``git worktree``), or the folder that contains an
installed ``wsss``; the tree of this file is the version after. Two pipelines of this tree are compared likewise. The
data are photographs in the layout of PASCAL VOC, or generated ones. All commands run in turn, in processes of their
own, and every round yields one ratio; the tables show medians over rounds, with minimum and maximum. Other work on the
machine affects both sides, so compare ratios.

CPU seconds are those of the process and its workers, as the kernel counts them. Most of a small run is start-up:
importing torch, loading the network, starting workers. Therefore every command runs on few images and on many images,
and the cost of an image is the slope between the two. This applies equally to hand-written loops and to versions whose
records differ; ``stage.json`` has wall-clock times only, and includes start-up within the stage. The slope of a cheap
stage is uncertain, since the noise of two start-ups is divided by the number of images: use more images or rounds if
minimum and maximum are far apart. The intercept at zero images is listed as start-up.

Training is measured per image of one epoch, including decoding, which wsss does once per run. Hand-written loops are
described in `pipeline_floors`, other packages in `pipeline_peers`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline_costs import COLUMNS, Costs, ratio, row, table
from pipeline_peers import PEERS, installed
from pipeline_versions import (
    ROOT,
    STAGES,
    WEIGHTS,
    Usage,
    Version,
    compare_files,
    generate,
    list_samples,
    measured,
    with_inputs,
    write_settings,
    write_subset,
)

WHOLE = ("pipeline", "measure", "before", "after", "before / after")
LISTED = 5
"""Number of files listed by name."""


def machine() -> str:
    """Describe the machine and the versions of Python and torch."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    omp = os.environ.get("OMP_NUM_THREADS", "not set")
    threads = f"{torch.get_num_threads()} torch threads (OMP_NUM_THREADS {omp})"
    return f"{cores} cores, {threads}, torch {torch.__version__}, Python {platform.python_version()}, {_processor()}"


def _processor() -> str:
    names = [line for line in _read(Path("/proc/cpuinfo")).splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def loop(script: str, stage: str, version: Version, size: str) -> Usage:
    """Run a hand-written loop on the results of a version."""
    results = version.folder(size)
    words = (ROOT / "benchmarks" / f"pipeline_{script}.py", stage, version.work.parent / f"{size}.json", results)
    return measured((*words, results / f"{script}-{stage}"), version.source, results)


def contestants(stage: str, versions: Sequence[Version], data: Path) -> dict[str, Callable[[str], Usage]]:
    """Return what is compared for a stage, by name, as functions of the subset."""
    after = versions[-1]
    chosen: dict[str, Callable[[str], Usage]] = {
        version.name: lambda size, version=version: version.run(stage, size, data / size)  # type: ignore[misc]
        for version in versions
    }
    chosen["floor"] = lambda size: loop("floors", stage, after, size)
    if stage in PEERS and installed(stage):
        chosen["peer"] = lambda size: loop("peers", stage, after, size)
    return chosen


def measure_stages(
    stages: Sequence[str], versions: Sequence[Version], data: Path, images: tuple[int, int], repeats: int
) -> list[tuple[str, ...]]:
    """Measure stages in turn; return the rows of the table."""
    costs: dict[str, dict[str, Costs]] = {stage: defaultdict(lambda: Costs(images)) for stage in stages}
    prepared = with_inputs(stages)
    whole = with_inputs(stage for stage in prepared if stage not in stages)  # not measured, so not run later
    for stage in prepared:  # also warms up: file caches, compiled functions
        for size in ("few", "many") if stage in whole else ("few",):
            for version in versions:
                report(f"preparing {stage}, {size} images, {version.name}")
                version.run(stage, size, data / size)
    for number in range(repeats):
        for stage in stages:
            runs = contestants(stage, versions, data)
            for size in ("few", "many"):
                for name, run in runs.items():
                    usage = run(size)
                    getattr(costs[stage][name], size).append(usage)
                    times = f"{usage.cpu:.2f} CPU s, {usage.wall:.2f} s"
                    report(f"round {number + 1} of {repeats}: {stage}, {size} images, {name}: {times}")
    folders = [version.folder("many") for version in versions]
    return [
        row(stage, costs[stage], compare_files(*(one / stage for one in folders)) if len(folders) == 2 else None)
        for stage in stages
    ]


def measure_whole(pipelines: Sequence[str], versions: Sequence[Version], options: Sequence[str], repeats: int) -> str:
    """Run a whole pipeline with both versions in turn, or two of them; return a table and the comparison of results."""
    usages: dict[str, list[Usage]] = {version.name: [] for version in versions}
    for number in range(repeats):
        for pipeline, version in zip(pipelines, versions, strict=True):
            usage = version.run_pipeline(pipeline, version.work / f"run-{number}", options)
            usages[version.name].append(usage)
            report(f"{pipeline}: {version.name}: {usage.cpu:.1f} CPU s, {usage.wall:.1f} s")
    rows = []
    for kind, label in (("cpu", "CPU s"), ("wall", "s")):
        values = {name: [getattr(usage, kind) for usage in each] for name, each in usages.items()}
        medians = [f"{statistics.median(values[version.name]):.1f}" for version in versions]
        rows.append((" → ".join(dict.fromkeys(pipelines)), label, *medians, ratio(*values.values())))
    if len(set(pipelines)) > 1:
        return table(WHOLE, rows)
    files = compare_files(*(version.work / "run-0" for version in versions))
    lines = [f"- {kind}: {len(names)}{_some(names) if kind != 'equal' else ''}" for kind, names in files.items()]
    return "\n".join((table(WHOLE, rows), "", "Files of the results, by SHA-256, without logs and times:", "", *lines))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:LISTED])
    return (f" ({shown}{', …' if len(names) > LISTED else ''})") if names else ""


def report(line: str) -> None:
    """Print progress."""
    print(line, file=sys.stderr, flush=True)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options.

    Raises:
        SystemExit: an option is invalid.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="folder that contains another version of the package wsss")
    parser.add_argument("--data", type=Path, help="photographs in the layout of PASCAL VOC; default: generated")
    parser.add_argument("--weights", type=Path, help=f"initial weights; default: DATA/../weights/{WEIGHTS}, or random")
    parser.add_argument("--images", type=int, default=64, help="rounded up to whole batches; default 64")
    parser.add_argument("--batch-size", type=int, help="images per step of training; default: that of the presets")
    parser.add_argument("--size", default="500x375", metavar="WxH", help="of generated photographs; default 500x375")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; default 3")
    parser.add_argument("--stages", nargs="+", choices=STAGES, metavar="STAGE", help=f"of {', '.join(STAGES)}")
    parser.add_argument("--whole", nargs="+", help="a pipeline that both versions run from start to end, or two")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="setting of the whole pipeline")
    parser.add_argument("--workers", type=int, help="parallel workers of wsss; default: number of cores")
    parser.add_argument("--work", type=Path, help="new folder for data and results, kept; default: temporary")
    arguments = parser.parse_args(words)
    if arguments.whole and len(arguments.whole) != (1 if arguments.before else 2):
        parser.error("--whole takes one pipeline with --before, or two without")
    if min(arguments.images, arguments.repeats) < 1:
        parser.error("--images and --repeats: expected a number of at least 1")
    return arguments


def prepare(arguments: argparse.Namespace, work: Path) -> tuple[tuple[int, int], list[str]]:
    """Write data and settings; return the numbers of images of `Costs`, and options of every stage."""
    default = arguments.data and arguments.data.resolve().parent / "weights" / WEIGHTS
    weights = arguments.weights or (default if default and default.is_file() else None)
    batch = write_settings(work / "settings", weights and weights.resolve(), arguments.batch_size)
    images = batch, -(-arguments.images // batch) * batch
    source = arguments.data
    if source is None:
        width, _, height = arguments.size.partition("x")
        source = work / "photographs"
        generate(source, sum(images), (int(height), int(width)))
    classes: list[str] = []
    for size, count in (("few", images[0]), ("many", sum(images))):
        classes = write_subset(source, work / "data" / size, count)
        list_samples(work / "data" / size, classes, work / f"{size}.json")
    return images, ["--data.classes", f"[{', '.join(classes)}]"] if classes else []


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print Markdown."""
    arguments = parse(words)
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary) / "work").resolve()
        work.mkdir(parents=True)
        workers = () if arguments.workers is None else ("--workers", arguments.workers)
        sources = {"before": arguments.before or (ROOT if arguments.whole else None), "after": ROOT}
        images, options = ((0, 0), []) if arguments.whole else prepare(arguments, work)
        versions = [
            Version(name, path.resolve(), work / name, (*workers, *options)) for name, path in sources.items() if path
        ]
        for version in versions:
            version.require()
        print(f"{machine()}; median of {arguments.repeats} rounds (minimum–maximum).\n", flush=True)
        if arguments.whole:
            settings = [word for each in arguments.set for word in ("--set", each)]
            pipelines = arguments.whole if len(arguments.whole) == 2 else arguments.whole * 2
            print(measure_whole(pipelines, versions, (*workers, *settings), arguments.repeats))
            return
        rows = measure_stages(arguments.stages or [*STAGES], versions, work / "data", images, arguments.repeats)
        print(f"CPU seconds per image, from runs on {images[0]} and {sum(images)} images; start-up in CPU seconds.\n")
        print(table(COLUMNS, rows))


if __name__ == "__main__":
    main()
