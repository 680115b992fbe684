"""Conversion of births and deaths (edges and faces) to pixels of the padded layout and of the image."""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel
from wsss.topology.kernels.edge_sort import ends


@kernel
def birth_and_death_pixels(keys, faces, columns, births0, deaths0, births1, deaths1, essential):
    """Return the pixels of all births and deaths, as padded indices in the order of `results.Barcode`.

    Args:
        keys, faces, columns: keys, face values and width of the image.
        births0, deaths0: ``(n0,)`` birth pixels and death events of components.
        births1, deaths1: ``(n1,)`` birth events of holes, and the faces that fill them.
        essential: birth pixel of the essential class.
    """
    n0, n1 = births0.size, births1.size
    pixels = np.empty(2 * (n0 + n1) + 1, np.int64)
    for n in range(n0):
        pixels[n] = births0[n]
        pixels[n0 + n] = _edge_pixel(deaths0[n], keys, columns)
    for n in range(n1):
        pixels[2 * n0 + n] = _edge_pixel(births1[n], keys, columns)
        pixels[2 * n0 + n1 + n] = _face_pixel(np.int64(deaths1[n]), keys, faces, columns)
    pixels[2 * (n0 + n1)] = essential
    return pixels


@kernel
def _edge_pixel(event, keys, columns):
    """Return the pixel of an edge that has the edge's value; the second one if both do."""
    p, q = ends(event, columns)
    return np.int64(q if keys[q] >= keys[p] else p)


@kernel
def _face_pixel(face, keys, faces, columns):
    """Return the first pixel with the face's value, in the order (+1,+1), (+1,0), (0,+1), (0,0)."""
    for pixel in (face + columns + 2, face + columns + 1, face + 1):
        if keys[pixel] == faces[face]:
            return pixel
    return face


@kernel
def locate(padded, image, margin, substitute, indices, values):
    """Convert indices of the padded layout to indices of the flattened image, and look up their values.

    Args:
        padded: ``(n,)`` int64 indices in the layout of the framed image.
        image: ``(H, W)`` float or bool.
        margin: width of the frame.
        substitute: index that replaces pixels of the frame; -1: no pixel, with the value 0.
        indices: ``(n,)`` int64; output for the indices.
        values: ``(n,)`` float64; output for the values.
    """
    rows, columns = image.shape
    flat = image.ravel()
    stride = columns + 2 * margin + 1
    for i in range(padded.size):
        position = padded[i] - 1
        # Exact: the quotient is at least 1 / (2 stride) from the next integer, far more than the rounding error.
        row = np.int64((position + 0.5) / stride)
        r, c = row - 1 - margin, position - row * stride - margin
        inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
        index = r * columns + c if inside else substitute
        indices[i] = index
        values[i] = np.float64(flat[index]) if index >= 0 else 0.0
