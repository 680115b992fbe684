"""Speed of Betti matching: sizes, kinds of input, growth, threads; gudhi and the C++ reference beside ours.

Run it with ``python benchmarks/topology.py`` (``--help`` for the options). It needs gudhi, which is part of the test
extra. Times are CPU time, the median over repetitions, after compilation; only the lines on threads use the clock on
the wall, and mean something on an idle machine only. As many processes as threads match the same pairs: they share
nothing but the machine, so what they gain is the limit of threads.

gudhi's time is that of the persistence of one image; it has no matching. The C++ reference (nstucki/Betti-Matching-3D)
is timed if its Python module ``betti_matching`` can be imported, that is, if you have built it; else there is no C++
figure, since none can be derived from gudhi's: their ratio varies with kind and size. To even out changes of the
machine's speed, all are timed in turn.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import gudhi
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from wsss.topology import betti_matching, betti_matching_batch, warmup

KINDS = ("binary", "blurred", "noise")


def bricks(size: int, seed: int) -> NDArray[np.bool_]:
    """Return a mask of mortar between bricks, with gaps and specks as in a noisy label."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    course = rows // 24
    mortar = (rows % 24 < 5) | ((columns + 25 * (course % 2)) % 50 < 5)
    waves = gaussian_filter(random.standard_normal((size, size)), 4)
    return (mortar & (waves < 0.12)) | (waves > 0.19)


def pair(kind: str, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a prediction and a label of one kind."""
    if kind == "noise":
        pred, gt = np.random.default_rng(0).random((2, size, size))
        return pred.astype(np.float32), gt.astype(np.float32)
    pred, gt = bricks(size, 0).astype(np.float32), bricks(size, 1).astype(np.float32)
    return (gaussian_filter(pred, 2) if kind == "blurred" else pred), gt


def cpu_ms(function: Callable[[], object]) -> float:
    """Return the CPU milliseconds of one call."""
    start = time.process_time_ns()
    function()
    return (time.process_time_ns() - start) / 1e6


def gudhi_persistence(image: NDArray[np.float32]) -> None:
    """Superlevel persistence of one image with gudhi."""
    gudhi.CubicalComplex(vertices=-image.astype(np.float64)).persistence()


def cpp_reference() -> Any:
    """Return the module of the C++ reference, or ``None`` where it isn't built."""
    try:
        found = importlib.import_module("betti_matching")
    except ModuleNotFoundError:
        return None
    return found if hasattr(found, "compute_matching") else None


def cpp_matching(module: Any, pred: NDArray[np.float32], gt: NDArray[np.float32]) -> None:
    """Superlevel matching with the C++ reference, which knows sublevel filtrations only."""
    module.compute_matching(1 - pred.astype(np.float64), 1 - gt.astype(np.float64))


def measure_speed(sizes: list[int], budget: float, cpp: Any) -> list[dict[str, object]]:
    """Time ours, gudhi and, unless ``cpp`` is ``None``, the C++ reference in turn, ``budget`` seconds per line."""
    lines: list[dict[str, object]] = []
    for kind in KINDS:
        for size in sizes:
            pred, gt = pair(kind, size)
            ours, gudhis, cpps = [], [], []
            end = time.perf_counter() + budget
            betti_matching(pred, gt)
            while len(gudhis) < 3 or (time.perf_counter() < end and len(gudhis) < 50):
                ours += [cpu_ms(lambda p=pred, g=gt: betti_matching(p, g)) for _ in range(3)]
                gudhis.append(cpu_ms(lambda p=pred: gudhi_persistence(p)))
                if cpp is not None:
                    cpps.append(cpu_ms(lambda p=pred, g=gt: cpp_matching(cpp, p, g)))
            mine = statistics.median(ours)
            lines.append({"kind": kind, "size": size, "ms": mine, "gudhi_ms": statistics.median(gudhis)})
            if cpps:
                lines[-1] |= {"cpp_ms": statistics.median(cpps), "cpp_ratio": statistics.median(cpps) / mine}
            _print_line(lines[-1])
    return lines


def growth(lines: list[dict[str, object]]) -> dict[str, float]:
    """Return the exponent of time over the number of pixels per kind: 1 is linear. Least squares on logarithms."""
    exponents = {}
    for kind in KINDS:
        chosen = [line for line in lines if line["kind"] == kind and int(str(line["size"])) >= 256]
        if len(chosen) >= 2:
            x = np.log([float(str(line["size"])) ** 2 for line in chosen])
            y = np.log([float(str(line["ms"])) for line in chosen])
            exponents[kind] = float(np.polyfit(x, y, 1)[0])
    return exponents


@functools.cache
def copies(kind: str, size: int, count: int) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return predictions and labels: copies of a pair, each in memory of its own."""
    pred, gt = pair(kind, size)
    return [pred.copy() for _ in range(count)], [gt.copy() for _ in range(count)]


def match_copies(kind: str, size: int, count: int, threads: int = 1) -> None:
    """Match `copies`; called in processes, too."""
    betti_matching_batch(*copies(kind, size, count), threads=threads)


def gains(kind: str, size: int, number: int, rounds: int = 5) -> dict[str, float]:
    """Return the speed-up by threads and by processes, on the wall clock: medians over rounds of all in turn."""
    pred, gt = pair(kind, size)
    each = max(2, int(150 / cpu_ms(lambda: betti_matching(pred, gt))))
    with ProcessPoolExecutor(number, multiprocessing.get_context("spawn")) as pool:
        ways: dict[str, Callable[[], object]] = {
            "one": lambda: match_copies(kind, size, number * each),
            "threads": lambda: match_copies(kind, size, number * each, number),
            "processes": lambda: list(pool.map(match_copies, [kind] * number, [size] * number, [each] * number)),
        }
        seconds = [{name: wall_seconds(way) for name, way in ways.items()} for _ in range(rounds + 1)][1:]
    return {name: statistics.median(turn["one"] / turn[name] for turn in seconds) for name in ("threads", "processes")}


def measure_threads(sizes: list[int], most: int) -> list[dict[str, Any]]:
    """Return the speed-up of ``most`` threads and processes for each kind and size."""
    lines: list[dict[str, Any]] = []
    for size in sizes:
        for kind in KINDS:
            gain = gains(kind, size, most)
            print(
                f"{kind}, {size}²: {most} threads {gain['threads']:.2f}×, {most} processes {gain['processes']:.2f}×",
                flush=True,
            )
            lines.append({"kind": kind, "size": size, "number": most, **gain})
    return lines


def wall_seconds(function: Callable[[], object]) -> float:
    """Return the seconds of one call on the wall clock."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _print_line(line: dict[str, object]) -> None:
    cells = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in line.values()]
    print(("{:>9}" * len(cells)).format(*cells), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024], metavar="N")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds per line of the table")
    parser.add_argument(
        "--threads", type=int, default=min(4, os.cpu_count() or 1), help="number of threads and processes"
    )
    parser.add_argument("--thread-sizes", type=int, nargs="+", default=[256, 512], metavar="N", help="for threads")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    options = parser.parse_args()

    print(f"compilation, or loading from the cache: {warmup():.1f} s", file=sys.stderr)
    cpp = cpp_reference()
    head = ["kind", "size", "ours", "gudhi", *([] if cpp is None else ["C++", "C++/ours"])]
    print("milliseconds per pair, of gudhi per image" + ("; no C++ reference is built" if cpp is None else ""))
    print(("{:>9}" * len(head)).format(*head))
    lines = measure_speed(options.sizes, options.budget, cpp)
    exponents = growth(lines)
    for kind, exponent in exponents.items():
        print(f"growth, {kind}: time ~ pixels^{exponent:.2f} from 256² on")
    speeds = measure_threads(options.thread_sizes, options.threads) if options.threads > 1 else []
    if options.json:
        print(json.dumps({"speed": lines, "growth": exponents, "threads": speeds}))


if __name__ == "__main__":
    main()
