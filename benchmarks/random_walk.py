"""Random walk: CPU seconds per photograph, by step, on one thread.

    python benchmarks/random_walk.py IMAGES [--images 20] [--classes 2]

IMAGES is a folder of photographs, of which only the sizes are used: boundaries and maps are random, since the time does
not depend on their values. Settings are the defaults of the stage `propagate`.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np

from wsss.io.rasters.rgb_images import image_size
from wsss.refine.random_walk import affinities_along_paths, transition_matrix, walk
from wsss.stages.propagate import STRIDE, PropagateConfig


def seconds(size: tuple[int, int], classes: int, config: PropagateConfig) -> tuple[float, float]:
    """Return the CPU seconds to build the matrix, and to walk, on a grid of this height and width."""
    generator = np.random.default_rng(0)
    boundary = generator.random(size, np.float32)
    maps = generator.random((classes, *size), np.float32)
    begin = time.process_time()
    pairs = affinities_along_paths(boundary, config.radius)
    transition = transition_matrix(pairs, size, radius=config.radius, beta=config.beta)
    built = time.process_time()
    walk(maps, transition, config.steps)
    return built - begin, time.process_time() - built


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--classes", type=int, default=2)
    arguments = parser.parse_args()
    config = PropagateConfig()
    paths = sorted(arguments.folder.rglob("*.jpg"))[: arguments.images]
    sizes = [tuple(math.ceil(side / STRIDE) for side in image_size(path)) for path in paths]
    taken = np.array([seconds((height, width), arguments.classes, config) for height, width in sizes])
    print(f"{len(paths)} photographs, {arguments.classes} classes, {config.steps} steps")
    for name, values in {"matrix": taken[:, 0], "walk": taken[:, 1], "both": taken.sum(1)}.items():
        print(f"{name:6} mean {values.mean():.2f} s, longest {values.max():.2f} s")


if __name__ == "__main__":
    main()
