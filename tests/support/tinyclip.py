"""A tiny CLIP architecture, registered with open_clip, and weights for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

NAME = "tiny-clip"
CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "layers": 3, "width": 32, "head_width": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    "quick_gelu": True,
}


def register(folder: Path, name: str = NAME, config: dict[str, Any] = CONFIG) -> str:
    """Add an architecture to open_clip, for this process; return its name."""
    import open_clip

    path = folder / f"{name}.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(path)
    return name


def random_clip(image_size: int | tuple[int, int] = 32) -> Any:
    """Return an ``open_clip.CLIP`` with random weights, whose attention differs between patches."""
    import open_clip

    torch.manual_seed(0)
    config = CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"image_size": image_size}}
    model = open_clip.CLIP(**config).eval()
    with torch.no_grad():
        for block in model.visual.transformer.resblocks:
            block.attn.in_proj_weight *= 8
            block.attn.in_proj_bias.normal_()
    return model


def write_weights(folder: Path) -> Path:
    """Write the weights of `random_clip`; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "clip.pt"
    torch.save(random_clip().state_dict(), path)
    return path
