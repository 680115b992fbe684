"""A held-out part of the images in which every class has its share, though an image may show several."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Mapping

TRAIN, VAL = "train", "val"
_NONE = None
"""Stands for a class that all images without any class have: they are dealt out evenly, too."""


def stratified(
    labels: Mapping[str, Collection[Hashable]],
    val_share: float,
    *,
    seed: int = 0,
    equal: Collection[Collection[str]] = (),
) -> dict[str, str]:
    """Deal images out to ``train`` and ``val``.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011): the class with the fewest images left is
    dealt out first, each of its images to the part that still lacks most of that class, then most images. Where both
    lack the same, ``train`` gets it. In which order the images of a class come is decided by a hash of the seed and the
    id, so the same images and seed give the same parts on any machine.

    Args:
        labels: id → classes of the image.
        val_share: share of the images that ``val`` gets, from 0 to 1 (exclusive). With two images or more, and a
            share above 0, neither part is empty.
        seed: another seed gives other parts.
        equal: groups of ids whose images are the same picture: they stay together.

    Returns:
        id → ``"train"`` or ``"val"``, in the order of ``labels``.
    """
    leader = {name: sorted(group)[0] for group in equal for name in group}
    units: dict[str, set[str]] = {}
    for name in labels:
        units.setdefault(leader.get(name, name), set()).add(name)
    classes = {unit: frozenset(c for name in names for c in labels[name]) or {_NONE} for unit, names in units.items()}
    order = sorted(units, key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest())
    shares = {TRAIN: 1 - val_share, VAL: val_share}
    if val_share == 0 or len(units) < 2:
        return dict.fromkeys(labels, TRAIN)
    lacking: dict[str, dict[Hashable, float]] = {part: {} for part in shares}
    for part, share in shares.items():
        for unit in order:
            for kind in classes[unit]:
                lacking[part][kind] = lacking[part].get(kind, 0.0) + share * len(units[unit])
    images = {part: share * len(labels) for part, share in shares.items()}
    placed: dict[str, str] = {}
    while len(placed) < len(units):
        left: dict[Hashable, list[str]] = {}
        for unit in order:
            if unit not in placed:
                for kind in classes[unit]:
                    left.setdefault(kind, []).append(unit)
        rarest = min(left, key=lambda kind: (len(left[kind]), str(kind)))
        for unit in left[rarest]:
            # Rounded, so that shares that are equal on paper (0.8 · 5 - 3 and 1) compare as equal.
            part = max((TRAIN, VAL), key=lambda part: (round(lacking[part][rarest], 9), round(images[part], 9)))
            placed[unit] = part
            images[part] -= len(units[unit])
            for kind in classes[unit]:
                lacking[part][kind] -= len(units[unit])
    if len(set(placed.values())) == 1:  # a share so small (or large) that one part has got none
        found = next(iter(placed.values()))
        placed[order[0]] = VAL if found == TRAIN else TRAIN
    return {name: placed[leader.get(name, name)] for name in labels}
