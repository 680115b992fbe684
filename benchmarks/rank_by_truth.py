"""How many wrong pixels the first images of `wsss rank` have, compared with random images and with the best choice.

    python benchmarks/rank_by_truth.py RUN [--split train] [--count 20]

Reads the ground truth of the run's dataset, which the ranking itself does not use.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import IGNORE, read_mask
from wsss.pipeline.config.source import Source
from wsss.stages.common.expected_gain import find_sources, rank_images
from wsss.stages.common.run_dataset import open_run_dataset


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        data = open_run_dataset(options.run, Source({}), work=Path(work), log=print)
        samples = data.split(options.split)
        sources = find_sources(options.run, samples)
        ranked = rank_images(samples, data.classes, sources)
        by_id = {sample.id: sample for sample in samples}
        wrong, doubt = [], []
        for one in ranked:
            signals = [value for value in (one.disagreement, one.entropy) if value is not None]
            doubt.append(one.pixels * sum(signals) / len(signals))
            truth = read_sample_mask(by_id[one.id], data.classes)
            path = mask_path(sources.masks[-1], one.id)
            mask = data.classes.encode(read_mask(path), where=str(path))
            wrong.append(int(((mask != truth) & (truth != IGNORE)).sum()))
    total, count = sum(wrong), options.count
    print(f"masks of {', '.join(one.name for one in sources.masks)}; wrong pixels of {sources.masks[-1].name}:")
    print(f"  first {count} of {len(wrong)}: {sum(wrong[:count]) / total:.3f} of all wrong pixels")
    doubtful = np.argsort(np.negative(doubt), kind="stable")[:count]
    print(f"  first {count} by doubt alone: {float(np.take(wrong, doubtful).sum()) / total:.3f}")
    print(f"  random {count}:        {count / len(wrong):.3f} expected")
    print(f"  worst {count}:         {float(np.sort(wrong)[::-1][:count].sum()) / total:.3f}")


if __name__ == "__main__":
    main()
