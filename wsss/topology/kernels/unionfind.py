"""Union-find on a flat array of links: a root links to itself, every other cell to a cell nearer to its root."""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel


@kernel
def find(links, cell):
    """Return the root of ``cell``; every other cell on the way is linked to its grandparent (path halving)."""
    here = np.uint32(cell)
    while True:
        parent = links[here]
        if parent == here:
            return here
        grandparent = links[parent]
        links[here] = grandparent
        here = grandparent
