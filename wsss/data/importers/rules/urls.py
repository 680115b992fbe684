"""Which file the URL of an image is about."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput

SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
LOCAL = ("/data/upload/", "/data/local-files/")
"""How Label Studio begins the URLs of what it serves itself."""

UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of a file that is uploaded to it."""

UPLOAD_FOLDER = re.compile(r"(?:^|.*/)upload/[^/]+/(?=[^/]+$)")
"""Where Label Studio keeps uploaded files, in URLs and in paths on its disk: it says nothing of the user's folders."""


def is_url(name: str) -> bool:
    """Whether a name in a label file is a URL: in a path, ``%`` and ``?`` are characters like any other."""
    return SCHEME.match(name) is not None or name.startswith(LOCAL)


def image_of(url: str) -> str:
    """Return the path of an image from its URL: of Label Studio's uploads or local files (``?d=``), or any other.

    Raises:
        InvalidInput: it is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput(f"{url[:200]!r} is no URL ({error}).") from error
    local = parse_qs(parts.query).get("d") if parts.path.endswith("/local-files/") else None
    path = local[0] if local else unquote(parts.path) or url
    return path.lstrip("/")


def without_prefix(path: str) -> str:
    """Return a path without the prefix of an upload before the file's name (``a/0123abcd-1.jpg`` → ``a/1.jpg``)."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + UPLOAD.sub("", name)


def without_upload_folder(path: str) -> str:
    """Return the file's name alone where the folder is Label Studio's own (``data/upload/1/a.jpg`` → ``a.jpg``)."""
    return UPLOAD_FOLDER.sub("", path)


def ends_like_an_image(url: str) -> bool:
    """Whether a text is the path or URL of a file with an image's suffix."""
    try:
        path = image_of(url)
    except InvalidInput:
        return False
    return without_suffix(path) != path
