"""The file path in the URL of an image."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import parse_qs, unquote, urlsplit

from wsss.data.image_ids import composed
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput

SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
LOCAL = ("/data/upload/", "/data/local-files/")
"""Beginnings of the URLs that Label Studio serves itself."""

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""The prefix that Label Studio adds to the name of an uploaded file."""

_UPLOAD_FOLDER = re.compile(r"(?:^|.*/)upload/[^/]+/(?=[^/]+$)")
"""Label Studio's own folder of uploaded files, in URLs and in paths on its disk."""


def is_url(name: str) -> bool:
    """Return whether a name in a label file is a URL: in a path, ``%`` and ``?`` have no special meaning."""
    return SCHEME.match(name) is not None or name.startswith(LOCAL)


def image_path(url: str) -> str:
    """Return the path in the URL of an image: of Label Studio's uploads or local files (``?d=``), or any other.

    Raises:
        InvalidInput: not a URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput(f"not a URL ({error})", found=url) from error
    local = parse_qs(parts.query).get("d") if parts.path.endswith("/local-files/") else None
    path = local[0] if local else unquote(parts.path) or url
    return path.lstrip("/")


def without_prefix(path: str) -> str:
    """Return a path without the upload prefix of the file name (``a/0123abcd-1.jpg`` → ``a/1.jpg``)."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + _UPLOAD.sub("", name)


def uploaded_names(name: str) -> set[str]:
    """Return the names (in normal form NFC) under which Label Studio may store an uploaded file, without its prefix.

    Spaces become ``_``. Django removes all characters except letters, digits, ``-``, ``_`` and ``.``, also the accents
    of names in normal form NFD, as macOS writes them (``é.jpg`` → ``e.jpg``).
    """
    forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}
    return {composed(re.sub(r"[^-\w.]", "", form.replace(" ", "_"))) for form in forms}


def without_upload_folder(path: str) -> str:
    """Return the bare file name if the folder is Label Studio's own (``data/upload/1/a.jpg`` → ``a.jpg``)."""
    return _UPLOAD_FOLDER.sub("", path)


def is_image_url(text: str) -> bool:
    """Return whether a text is a path or URL with the suffix of an image."""
    try:
        path = image_path(text)
    except InvalidInput:
        return False
    return without_suffix(path) != path
