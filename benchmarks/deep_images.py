"""Memory of reading deep images: the largest resident set per pixel, without that of the process before.

Run it with ``python benchmarks/deep_images.py``; it requires the extra ``geo``. Every image is read in a process of its
own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

SIDE = 4000
"""Width and height of the images."""

KINDS = (("uint16", 1), ("uint16", 3), ("uint16", 4), ("float32", 1), ("float32", 3), ("float32", 4))
"""Types and numbers of bands; the fourth one is alpha."""


def write(path: Path, kind: str, bands: int, side: int) -> None:
    """Write a TIFF of random values from 0 to 4095."""
    import numpy as np
    import rasterio

    profile = {"photometric": "RGB", "alpha": "YES"} if bands == 4 else {}
    size = {"height": side, "width": side, "count": bands}
    values = np.random.default_rng(0).integers(0, 4096, (bands, side, side)).astype(kind)
    with rasterio.open(path, "w", driver="GTiff", dtype=kind, **size, **profile) as data:
        data.write(values)


def bytes_per_pixel(folder: Path, kind: str, bands: int) -> float:
    """Read an image after a small one, which loads the libraries; return the growth of the largest resident set."""
    from wsss.io.rasters.pixel_values.reading import Reading
    from wsss.io.rasters.rgb_images import read_image

    reading = Reading((0, 4095))
    for side in (16, SIDE):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        read_image(folder / f"{kind}-{bands}-{side}.tif", reading)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / SIDE**2


def main() -> None:
    """Print the table, or, for a child process, one of its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read", nargs=3, metavar=("FOLDER", "TYPE", "BANDS"), help="read one of the images")
    chosen = parser.parse_args().read
    warnings.simplefilter("ignore")
    if chosen is not None:
        print(f"| {chosen[1]} | {chosen[2]} | {bytes_per_pixel(Path(chosen[0]), chosen[1], int(chosen[2])):.0f} |")
        return
    print("| type | bands | bytes per pixel |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind, bands in KINDS:
            for side in (16, SIDE):
                program = f"import deep_images as d, pathlib; d.write(pathlib.Path({folder!r}) / "
                program += f"'{kind}-{bands}-{side}.tif', {kind!r}, {bands}, {side})"
                subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, cwd=Path(__file__).parent)
            subprocess.run([sys.executable, __file__, "--read", folder, kind, str(bands)], check=True)
            (Path(folder) / f"{kind}-{bands}-{SIDE}.tif").unlink()


if __name__ == "__main__":
    main()
