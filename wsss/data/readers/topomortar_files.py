"""Index files of TopoMortar: lists of images and groups of test images."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput
from wsss.io.text.text_files import read_lines, read_text

PARTS = ("train", "val", "test")
GROUPS = ("indistr", "angles", "colors", "graffiti", "objects", "occlusion", "shadows")
"""Groups of test images: the first is in-distribution, the others are out-of-distribution."""

MAX_LIST_BYTES = 4_000_000
"""The public lists are below 20 kB."""

_LISTED = re.compile(r"(?:\./)?(?:dataset/)?(train|val|test)/images/([^/]+)\.png")


def read_lists(path: Path) -> dict[str, list[str]]:
    """Read ``splits.yaml``: ``{1: {train: [dataset/train/images/001.png, …], val: …, test: …}}``.

    Returns:
        Part (train, val, test) → ids in order; empty for a part that is not listed.

    Raises:
        InvalidInput: a missing file, an unexpected structure, a path other than ``<part>/images/<id>.png`` (paths must
            not lead out of the dataset), or a duplicate id.
    """
    if path.is_file() and path.stat().st_size > MAX_LIST_BYTES:
        raise InvalidInput(
            "file too large for a list of images",
            subject=path,
            allowed=f"at most {MAX_LIST_BYTES:,} bytes",
            found=path.stat().st_size,
        )
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InvalidInput(f"not valid YAML ({' '.join(str(error).split())})", subject=path) from error
    folds = list(content.values()) if isinstance(content, dict) else []
    if len(folds) != 1 or not isinstance(folds[0], dict):
        raise InvalidInput(subject=path, allowed="one fold, '1:', with lists of images under train, val and test")
    for part in folds[0]:
        if part not in PARTS:
            raise InvalidInput("unknown part", subject=path, found=str(part), allowed=PARTS)
    lists = {part: _ids(folds[0].get(part), part, path) for part in PARTS}
    owner: dict[str, str] = {}
    for part, ids in lists.items():
        for position, name in enumerate(ids):
            if name in owner:
                subject = f"{path}: {part}[{position}]"
                raise InvalidInput(f"duplicate image {name!r}, first listed under {owner[name]}", subject=subject)
            owner[name] = part
    return lists


def read_groups(path: Path) -> dict[str, str]:
    """Read ``dataset_types.txt``: a line ``ID,group`` per image.

    Returns:
        Id → group, one of `GROUPS`.

    Raises:
        InvalidInput: a missing file, an invalid header, an unknown group, or a duplicate id.
    """
    lines = read_lines(path)
    header = lines[0].text if lines else ""
    if header.replace(" ", "") != "ID,group":
        raise InvalidInput("invalid header", subject=path, allowed="'ID,group'", found=header)
    groups: dict[str, str] = {}
    for line in lines[1:]:
        name, _, group = (cell.strip() for cell in line.text.partition(","))
        check_id(name, line)
        if group not in GROUPS:
            raise InvalidInput("unknown group", subject=line, found=group, allowed=GROUPS)
        if name in groups:
            raise InvalidInput(f"duplicate image id {name!r}, first listed in group {groups[name]}", subject=line)
        groups[name] = group
    return groups


def _ids(entries: object, part: str, path: Path) -> list[str]:
    if not isinstance(entries, list | None):
        raise InvalidInput(subject=f"{path}: {part}", allowed="a list of images", found=entries)
    return [_id(entry, part, f"{path}: {part}[{position}]") for position, entry in enumerate(entries or ())]


def _id(entry: object, part: str, where: str) -> str:
    match = _LISTED.fullmatch(entry) if isinstance(entry, str) else None
    if match is None or match[1] != part:
        raise InvalidInput(subject=where, allowed=f"dataset/{part}/images/ID.png", found=entry)
    return check_id(match[2], where)
