"""Union-find on a flat array of links; a root links to itself, every other cell towards its root."""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel


@kernel
def find(links, cell):
    """Return the root of ``cell``, with path halving."""
    here = np.uint32(cell)
    while True:
        parent = links[here]
        if parent == here:
            return here
        grandparent = links[parent]
        links[here] = grandparent
        here = grandparent
