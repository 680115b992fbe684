"""Reading of XML files of bounded size, without document types and entities."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from wsss.errors import InvalidInput
from wsss.io.text.text_files import read_text


def read_xml(path: Path, *, max_bytes: int) -> ElementTree.Element:
    """Return the root element of an XML file.

    The text is decoded before the search for declarations, so that none in UTF-16 is missed.

    Args:
        path: the file, UTF-8.

    Raises:
        InvalidInput: missing, too large, not UTF-8, not well-formed, or with a document type or entity.
    """
    if path.is_file() and path.stat().st_size > max_bytes:
        raise InvalidInput(subject=path, allowed=f"at most {max_bytes:,} bytes", found=path.stat().st_size)
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InvalidInput("document type and entity declarations are not supported", subject=path)
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InvalidInput(f"not well-formed XML ({error})", subject=path) from error
