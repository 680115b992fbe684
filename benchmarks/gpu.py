"""One command for a GPU: is it equal to the CPU, and how fast is it?

    python benchmarks/gpu.py > gpu.md                        # a few minutes on a data-centre GPU
    python benchmarks/gpu.py --device cpu --quick            # tiny, to check the program itself

Images and masks are generated, weights are random; nothing is downloaded. The tables are Markdown, with the device, the
versions and the date. The exit status is 1 if maps, masks, losses or gradients differ by more than the tolerance in the
table (`gpu_equality`). Speed is that of the code which the stages run: training steps are those of the training loop,
from examples in main memory to the optimiser's step, with forward passes in the precision of the row and TF32 as torch
sets it. "Waits per step" counts how often the host waits for the GPU in one step, as torch reports it
(``torch.cuda.set_sync_debug_mode``); it does not see Betti matching wait for the copy of its probabilities.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import gpu_equality
import gpu_inference
import gpu_training
import torch
from gpu_setting import Setting
from pipeline import machine
from pipeline_costs import table

from wsss.topology import warmup

LOSSES = ("ce_dice", "cldice", "skeleton_recall", "cbdice", "region_wise", "topoloss", "warping", "betti_matching")
SECTIONS = ("equality", "training", "losses", "inference")


def device_name(device: torch.device) -> str:
    """Return the name of a device; for a GPU, also its memory and the versions of CUDA and cuDNN."""
    if device.type == "cpu":
        return "CPU"
    about = torch.cuda.get_device_properties(device)
    memory = f"{about.total_memory / 2**30:.0f} GiB"
    return f"{about.name} ({memory}), CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def reported(section: str, lines: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return rows of a table; print each of them on stderr as progress."""
    rows = []
    for cells in lines:
        print(f"{section}: {', '.join(cells)}", file=sys.stderr, flush=True)
        rows.append(tuple(cells))
    return rows


def equality(setting: Setting) -> bool:
    """Print all comparisons; return whether all are within their tolerances."""
    found = []

    def cells() -> Iterable[Sequence[str]]:
        for one in gpu_equality.compared(setting):
            found.append(one)
            yield one.cells

    print(table(("CPU and device", "difference", "tolerance", "equal"), reported("equality", cells())))
    wrong = [one.what for one in found if not one.equal]
    named = f" Not equal: {', '.join(wrong)}" if wrong else ""
    print(f"\n{len(found) - len(wrong)} of {len(found)} are equal.{named}", end="\n\n")
    return not wrong


def training(setting: Setting) -> bool:
    """Print the speed of training steps."""
    rows = (gpu_training.row(case, setting) for case in gpu_training.cases(setting))
    print(table(gpu_training.COLUMNS, reported("training", rows)), end="\n\n")
    return True


def losses(setting: Setting) -> bool:
    """Print the time of losses alone."""
    rows = gpu_training.loss_rows(setting, setting.sized(LOSSES, LOSSES[:2] + LOSSES[-1:]))
    print(table(("loss, forward and backward, 10 × 512²", "ms", "peak GiB"), reported("losses", rows)), end="\n\n")
    return True


def inference(setting: Setting) -> bool:
    """Print the speed of `cam` and `predict`."""
    print(table(gpu_inference.COLUMNS, reported("inference", gpu_inference.rows(setting))), end="\n\n")
    return True


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options.

    Raises:
        SystemExit: an option is invalid, or there is no such device.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the numbers mean nothing")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS, help="default: all")
    parser.add_argument("--seconds", type=float, default=3.0, help="time of each measurement of a loss or of inference")
    parser.add_argument("--workers", type=int, help="default: number of cores; half of them load images")
    arguments = parser.parse_args(words)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU; to check the program: --device cpu --quick")
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print Markdown.

    Returns:
        The exit status: 1 if results differ.
    """
    arguments = parse(words)
    start, device = time.perf_counter(), torch.device(arguments.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = 0 if arguments.quick else arguments.workers or cores
    setting = Setting(device, arguments.quick, 0.0 if arguments.quick else arguments.seconds, workers)
    notes = ("QUICK: THE NUMBERS MEAN NOTHING",) if setting.quick else ()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    print("; ".join((device_name(device), machine(), today, *notes)), end=".\n\n")
    if not setting.quick:
        warmup()
    sections: dict[str, Callable[[Setting], bool]] = {
        "equality": equality,
        "training": training,
        "losses": losses,
        "inference": inference,
    }
    passed = [sections[name](setting) for name in arguments.sections]
    print(f"{time.perf_counter() - start:.0f} s in all.")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
