"""Unpacking of the zip archives in which annotation tools export masks."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from wsss.errors import InvalidInput, listing, unreadable
from wsss.io.files.atomic import convert_os_errors
from wsss.io.files.contained import name_problem

PICTURES = (".png", ".bmp", ".tif", ".tiff", ".gif")
TEXTS = (".txt", ".xml", ".json", ".geojson")
"""Suffixes of the files that readers of masks use."""

NOT_MASKS = frozenset({"JPEGImages", "SegmentationObject", "images"})
"""Folders of images and object masks in archives; labelme's JSON files may be beside its images."""

NOT_READ = "__MACOSX"

MAX_BYTES = 8 << 30
"""Maximum size of the unpacked files."""

MAX_FILES = 1_000_000


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the annotations and masks of an archive into an empty folder; images are left out.

    Raises:
        InvalidInput: not a zip, damaged, too large, or with a duplicate name or one that leads out of the folder.
        RunFailed: the folder cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = [member for member in source.infolist() if _is_read(member)]
            size = sum(member.file_size for member in members)
            if size > MAX_BYTES or len(members) > MAX_FILES:
                raise InvalidInput("too large", subject=archive, allowed=f"at most {MAX_BYTES >> 30} GB of masks")
            twice = [name for name, count in Counter(one.filename for one in members).items() if count > 1]
            if twice:
                raise InvalidInput(f"several files have the same name: {listing(twice)}", subject=archive)
            with convert_os_errors(folder):
                for member in members:
                    _extract(source, member, folder, archive)
    except OSError as error:
        raise unreadable(archive, error) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"not a readable zip archive ({error})", subject=archive) from error


def _is_read(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    if member.is_dir() or NOT_READ in path.parts:
        return False
    suffix = path.suffix.lower()
    return suffix in TEXTS or (suffix in PICTURES and not NOT_MASKS.intersection(path.parts[:-1]))


def _extract(source: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, archive: Path) -> None:
    problem = name_problem(member.filename)
    if problem:
        raise InvalidInput(f"the name {member.filename!r} {problem}", subject=archive)
    target = folder / member.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open(member) as content, target.open("xb") as file:
            shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        problem = f"the name {member.filename!r} is that of another file or folder"
        raise InvalidInput(problem, subject=archive) from error
