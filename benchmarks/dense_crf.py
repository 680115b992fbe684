"""Dense CRF: the built-in lattice against pydensecrf, in CPU seconds per photograph; one thread against several.

    python benchmarks/dense_crf.py IMAGES [--images 50] [--labels 3]
    python benchmarks/dense_crf.py IMAGES [--images 50] [--labels 3] --threads 2

IMAGES is a folder of photographs. Unary energies are smooth random scores. The engines alternate on every photograph,
and the numbers of threads on every few photographs, so that other work on the machine affects both. The first form
needs ``pip install '.[pydensecrf]'``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss.data.image_transforms.resizing import resize
from wsss.io.rasters.rgb_images import read_image
from wsss.refine.dense_crf import CrfConfig, _marginals

FIELDS = ("gauss_sigma", "gauss_weight", "bilateral_sigma_xy", "bilateral_sigma_rgb", "bilateral_weight")
PRESETS = {"psa": (3, 3, 80, 13, 10), "irn": (3, 3, 50, 5, 10), "deeplab": (1, 3, 67, 3, 4)}


def scores(labels: int, size: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw smooth class scores ``(labels, H, W)`` in [0.01, 1]."""
    coarse = generator.integers(0, 256, (6, 8, labels), np.uint8)
    planes = [resize(np.repeat(coarse[..., i : i + 1], 3, 2), size)[..., 0] for i in range(labels)]
    return np.clip(np.stack(planes) / 255, 0.01, 1).astype(np.float32)


def config_of(values: tuple[float, ...], engine: str) -> CrfConfig:
    """Return the config with the values of a preset."""
    return CrfConfig.model_validate({**dict(zip(FIELDS, values, strict=True)), "engine": engine})


def compare_threads(paths: Sequence[Path], labels: int, threads: int) -> None:
    """Print the elapsed time of the lattice with one thread, with several, and with as many processes.

    Processes share neither the interpreter nor the allocator: if they are not faster than threads, the machine is the
    limit.
    """
    print(f"{len(paths)} photographs, {labels} labels, 10 iterations, elapsed time per photograph")
    print(f"preset     1 thread  {threads} threads  ratio  {threads} processes  ratio")
    with ProcessPoolExecutor(threads, get_context("spawn")) as processes:
        for name, values in PRESETS.items():
            config, generator = config_of(values, "lattice"), np.random.default_rng(0)
            seconds = {1: 0.0, threads: 0.0, "processes": 0.0}
            for start in range(0, len(paths), 4 * threads):
                images = [read_image(path) for path in paths[start : start + 4 * threads]]
                unary = [-np.log(scores(labels, (image.shape[0], image.shape[1]), generator)) for image in images]
                work = images, unary, [config] * len(images)
                if start == 0:  # compiles
                    _refine(images[0], unary[0], config)
                    list(processes.map(_refine, *work))
                for count in seconds:
                    with ThreadPoolExecutor(count) if isinstance(count, int) else nullcontext(processes) as pool:
                        begin = time.perf_counter()
                        list(pool.map(_refine, *work))
                        seconds[count] += time.perf_counter() - begin
            one, several, apart = (value / len(paths) for value in seconds.values())
            threaded = f"{one:6.3f} s {several:8.3f} s {one / several:6.2f}×"
            print(f"{name:10} {threaded} {apart:10.3f} s {one / apart:6.2f}×")


def _refine(image: NDArray[np.uint8], unary: NDArray[np.float32], config: CrfConfig) -> None:
    _marginals(image, unary, config)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--labels", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*.jpg"))[: arguments.images]
    if arguments.threads > 1:
        compare_threads(paths, arguments.labels, arguments.threads)
    else:
        compare_engines(paths, arguments.labels)


def compare_engines(paths: Sequence[Path], labels: int) -> None:
    """Print the CPU time of both engines, and how far their results agree."""
    print(f"{len(paths)} photographs, {labels} labels, 10 iterations")
    print("preset     pydensecrf  lattice  ratio  equal labels  largest and mean difference of marginals")
    for name, values in PRESETS.items():
        generator = np.random.default_rng(0)
        seconds = {"pydensecrf": 0.0, "lattice": 0.0}
        equal, largest, mean, pixels = 0, 0.0, 0.0, 0
        for number, path in enumerate(paths):
            image = read_image(path)
            unary = -np.log(scores(labels, (image.shape[0], image.shape[1]), generator))
            marginals = {}
            for engine in seconds:
                config = config_of(values, engine)
                if number == 0:
                    _marginals(image, unary, config)  # compiles
                begin = time.process_time()
                marginals[engine] = _marginals(image, unary, config)
                seconds[engine] += time.process_time() - begin
            first, second = marginals.values()
            equal += int((first.argmax(0) == second.argmax(0)).sum())
            difference = np.abs(first - second)
            largest, mean = max(largest, float(difference.max())), mean + float(difference.sum())
            pixels += image.shape[0] * image.shape[1]
        old, new = (value / len(paths) for value in seconds.values())
        row = f"{old:9.3f} s {new:7.3f} s {old / new:5.2f}× {100 * equal / pixels:11.4f} %"
        print(f"{name:10} {row}   {largest:.0e} {mean / pixels / labels:.0e}")


if __name__ == "__main__":
    main()
