"""Reading of XML files: no document types and entities, a bounded size, errors name the file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from wsss.errors import InvalidInput
from wsss.io.text.text_files import read_text


def read_xml(path: Path, *, most: int) -> ElementTree.Element:
    """Return the root element of an XML file.

    The text is decoded before it is searched: a declaration in UTF-16 would pass unseen otherwise.

    Args:
        path: the file, UTF-8.
        most: largest size in bytes.

    Raises:
        InvalidInput: missing, too large, not UTF-8, not well-formed, or with a document type or an entity.
    """
    if path.is_file() and path.stat().st_size > most:
        raise InvalidInput(f"{path}: {path.stat().st_size:,} bytes; at most {most:,} are read.")
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InvalidInput(f"{path}: a document type or entity is declared, which no annotation needs; refused.")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InvalidInput(f"{path}: not well-formed XML ({error}).") from error
