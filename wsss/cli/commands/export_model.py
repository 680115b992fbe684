"""``wsss export-model``: a trained network, for programs without torch."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, is_run, named_run
from wsss.cli.options.command import Command
from wsss.cli.options.option_table import FOLDER, json_option, shared
from wsss.cli.options.shared_options import print_json


@click.command("export-model", cls=Command)
@click.argument("network", type=NAMED)
@shared(
    "--format", "format_name", type=click.Choice(["onnx"]), metavar="NAME", required=True, help="Output format: onnx."
)
@shared("--out", type=FOLDER, required=True, more=" of model.onnx")
@shared("--force", is_flag=True)
@json_option
def export_model(network: str, format_name: str, out: Path, force: bool, as_json: bool) -> None:
    """Export the trained network in the folder NETWORK, such as RUN/segment, for programs without torch.

    The model takes an RGB image of any size, (H, W, 3) uint8, and returns its mask, (H, W) uint8 with the dataset's own
    values, and the class probabilities, (C, H, W). Normalisation and resizing are part of the model. Before the file is
    written, its masks are compared with those of the original network. Requires pip install 'wsss[onnx]'.

    \b
    wsss export-model runs/quickstart/segment --format onnx --out deploy
    """
    from wsss.export.export_folder import check_apart, check_out
    from wsss.export.network.onnx_packages import require_onnx
    from wsss.io.weights import DESCRIPTION
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.store.outdated import warn_of_outdated

    folder = named_run(
        network,
        fits=lambda path: is_run(path) or (path / DESCRIPTION).is_file(),
        otherwise=Path.is_dir,  # `load_segmenter` reports the problem
        expected="a folder with a trained network, such as RUN/segment",
    )
    check_apart(out, folder)
    check_out(out, force=force, kind="network")
    require_onnx()
    from wsss.export.network.export_network import export_network

    reporter = Reporter()
    warn_of_outdated([folder], "NETWORK", reporter.log)
    with reporter.working("export-model"):
        written = export_network(folder, out, force=force, advance=reporter.track("export-model", 2))
    if as_json:
        print_json(written)
        return
    agreement = written["agreement"]
    echo(
        f"{out}/model.onnx: {written['bytes'] / 1e6:.1f} MB; masks differ from torch's at "
        f"{round((1 - agreement['equal']) * agreement['pixels']):,} of {agreement['pixels']:,} pixels "
        f"({agreement['pictures']} generated images), largest difference between probabilities "
        f"{agreement['largest_difference']:.2g}"
    )
