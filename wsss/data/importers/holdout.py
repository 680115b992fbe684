"""A held-out part of multi-label images with a proportional share of every class."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping

TRAIN, VAL = "train", "val"
_NO_CLASS = None
"""Pseudo class of the images without any class, so that they are divided evenly, too."""


def stratified(
    labels: Mapping[str, Collection[Hashable]],
    val_fraction: float,
    *,
    seed: int = 0,
    equal: Collection[Collection[str]] = (),
) -> dict[str, str]:
    """Divide images into ``train`` and ``val``.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011): the class with the fewest remaining
    images is divided first. Each of its images is added to the part that lacks the most images of this class; ties are
    broken by the number of all images that the parts lack, then in favour of ``train``. The order of the images of a
    class is a hash of seed and id, so the result depends on nothing else.

    Args:
        labels: id → classes of the image.
        val_fraction: fraction of the images in ``val``, in [0, 1). Above 0, and with two images or more,
            no part is empty.
        seed: a different seed gives a different division.
        equal: groups of ids of identical images, which stay together.

    Returns:
        id → ``"train"`` or ``"val"``, in the order of ``labels``.
    """
    leader = {name: sorted(group)[0] for group in equal for name in group}
    units: dict[str, set[str]] = {}
    for name in labels:
        units.setdefault(leader.get(name, name), set()).add(name)
    classes = {unit: frozenset(c for n in names for c in labels[n]) or {_NO_CLASS} for unit, names in units.items()}
    order = sorted(units, key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest())
    shares = {TRAIN: 1 - val_fraction, VAL: val_fraction}
    if val_fraction == 0 or len(units) < 2:
        return dict.fromkeys(labels, TRAIN)
    lacking: dict[str, dict[Hashable, float]] = {part: defaultdict(float) for part in shares}
    for part, share in shares.items():
        for unit in order:
            for kind in classes[unit]:
                lacking[part][kind] += share * len(units[unit])
    images = {part: share * len(labels) for part, share in shares.items()}
    part_of: dict[str, str] = {}
    while len(part_of) < len(units):
        left: dict[Hashable, list[str]] = {}
        for unit in order:
            if unit not in part_of:
                for kind in classes[unit]:
                    left.setdefault(kind, []).append(unit)
        rarest = min(left, key=lambda kind: (len(left[kind]), str(kind)))
        for unit in left[rarest]:
            # Rounded, so that equal shares (0.8 · 5 - 3 and 1) compare as equal.
            part = max((TRAIN, VAL), key=lambda part: (round(lacking[part][rarest], 9), round(images[part], 9)))
            part_of[unit] = part
            images[part] -= len(units[unit])
            for kind in classes[unit]:
                lacking[part][kind] -= len(units[unit])
    if len(set(part_of.values())) == 1:  # a share so small (or large) that one part is empty
        part_of[order[0]] = VAL if part_of[order[0]] == TRAIN else TRAIN
    return {name: part_of[leader.get(name, name)] for name in labels}
