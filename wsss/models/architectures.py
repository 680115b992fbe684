"""Names of backbones; without torch, because the command line validates pipelines with them."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from wsss.errors import InvalidInput
from wsss.extensions import Entry, Extensions


def _check(entry: Entry, loaded: Any) -> None:
    if not callable(loaded):
        raise InvalidInput(subject=entry.subject, allowed="a function", found=loaded)


ARCHITECTURES = Extensions(
    "wsss.backbones",
    {
        "resnet18": "wsss.models.backbones:resnet",
        "resnet50": "wsss.models.backbones:resnet",
        "mobilenet_v2": "wsss.models.backbones:mobilenet",
        "mobilenet_v3_large": "wsss.models.backbones:mobilenet",
    },
    _check,
)
"""Name of a backbone → function that builds its `wsss.models.backbones.Architecture`."""

TIMM = "timm/"
"""Prefix of the names of timm's networks."""


def without_tag(name: str) -> str:
    """Return the name of a network without timm's tag of weights (``timm/NAME.TAG`` → ``timm/NAME``)."""
    return name.partition(".")[0] if name.startswith(TIMM) else name


def _architecture(name: str) -> str:
    if name not in ARCHITECTURES and not re.fullmatch(rf"{TIMM}\w+(\.\w+)*", name, re.ASCII):
        names = ", ".join(map(repr, (*ARCHITECTURES, f"{TIMM}NAME")))
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": names})
    return name


ArchitectureName = Annotated[str, AfterValidator(_architecture)]
"""A key of `ARCHITECTURES`, or ``timm/NAME``, such as ``timm/convnext_tiny`` or, with a tag of weights,
``timm/convnext_tiny.fb_in1k``. Whether timm has the network is checked before a run begins (timm imports torch)."""


def require_timm(name: str) -> None:
    """Require that timm is installed if a backbone is one of its networks.

    Raises:
        InvalidInput: timm is not installed.
    """
    if name.startswith(TIMM) and find_spec("timm") is None:
        raise InvalidInput(
            f"{name} requires the package timm, which is not installed",
            subject="backbone.name",
            hint="Install it: pip install 'wsss[timm]', or choose another backbone.",
        )
