"""Settings of maps from a CLIP model; without torch and open_clip, because the command line validates pipelines."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from wsss.errors import InvalidInput
from wsss.models.config import Deviation, Mean
from wsss.validation import Settings

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

BACKGROUND = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway"),
    *("railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley"),
    *("bridge", "sign"),
)
"""The background prompts of CLIP-ES for PASCAL VOC (Lin et al., CVPR 2023)."""

NAME = "{}"
"""Placeholder of a name in a template."""


def _one_name(template: str) -> str:
    if template.count(NAME) != 1:
        raise ValueError(f"expected text with {NAME} once, in place of the name")
    return template


ImageEmbedding = Literal["patches", "class_token"]
"""``patches``: mean over the patches, as in the code of CLIP-ES; ``class_token``: CLIP's own."""

Template = Annotated[str, AfterValidator(_one_name)]
Prompt = Annotated[str, Field(min_length=1)]


class ClipWeights(Settings):
    """Weights of a CLIP model from a file, with the normalisation they were trained with."""

    path: Path = Field(description="torch file (state dict) or .safetensors, with the key names of open_clip")
    mean: Mean = Field(default=CLIP_MEAN, description="mean of red, green, blue, in [0, 1]")
    std: Deviation = Field(
        default=CLIP_STD, description="standard deviation of red, green, blue, above 0 and at most 1"
    )


class ClassAwareAttention(Settings):
    """Refinement of a map by the model's own attention, as in CLIP-ES."""

    blocks: int = Field(default=8, ge=1, description="blocks whose attention is averaged, counted from the last")
    rounds: int = Field(
        default=3,
        ge=1,
        le=100,
        description="rounds of Sinkhorn's normalisation of columns, then rows, of the attention",
    )
    steps: int = Field(default=2, ge=1, le=1 << 10, description="steps of the walk on the attention")
    box_threshold: float = Field(
        default=0.4,
        ge=0,
        lt=1,
        description="fraction of a map's maximum; the walk starts from the bounding boxes of its regions above this",
    )


def require_open_clip() -> None:
    """Require that the package open_clip is installed.

    Raises:
        InvalidInput: it is not.
    """
    if find_spec("open_clip") is None:
        raise InvalidInput(
            "clip requires the package open_clip, which is not installed",
            subject="clip.model",
            hint="Install it: pip install 'wsss[clip]'",
        )
