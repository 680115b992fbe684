"""Dense CRF: the built-in lattice against pydensecrf, in CPU seconds per photograph.

    python benchmarks/dense_crf.py IMAGES [--images 50] [--labels 3]

IMAGES is a folder of photographs. Unary energies are smooth random scores. The engines alternate on every photograph,
so that other work on the machine affects both. Needs ``pip install '.[pydensecrf]'``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss.data.resizing import resize
from wsss.io.rasters.rgb_images import read_image
from wsss.refine.dense_crf import CrfConfig, _marginals

FIELDS = ("gauss_sigma", "gauss_weight", "bilateral_sigma_xy", "bilateral_sigma_rgb", "bilateral_weight")
PRESETS = {"psa": (3, 3, 80, 13, 10), "irn": (3, 3, 50, 5, 10), "deeplab": (1, 3, 67, 3, 4)}


def scores(labels: int, size: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw smooth class scores ``(labels, H, W)`` in [0.01, 1]."""
    coarse = generator.integers(0, 256, (6, 8, labels), np.uint8)
    planes = [resize(np.repeat(coarse[..., i : i + 1], 3, 2), size)[..., 0] for i in range(labels)]
    return np.clip(np.stack(planes) / 255, 0.01, 1).astype(np.float32)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--labels", type=int, default=3)
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*.jpg"))[: arguments.images]
    print(f"{len(paths)} photographs, {arguments.labels} labels, 10 iterations")
    print("preset     pydensecrf  lattice  ratio  equal labels  largest and mean difference of marginals")
    for name, values in PRESETS.items():
        generator = np.random.default_rng(0)
        seconds = {"pydensecrf": 0.0, "lattice": 0.0}
        equal, largest, mean, pixels = 0, 0.0, 0.0, 0
        for number, path in enumerate(paths):
            image = read_image(path)
            unary = -np.log(scores(arguments.labels, (image.shape[0], image.shape[1]), generator))
            marginals = {}
            for engine in seconds:
                config = CrfConfig.model_validate({**dict(zip(FIELDS, values, strict=True)), "engine": engine})
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
        print(f"{name:10} {row}   {largest:.0e} {mean / pixels / arguments.labels:.0e}")


if __name__ == "__main__":
    main()
