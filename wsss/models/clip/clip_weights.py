"""CLIP models of open_clip with weights from a local file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wsss.errors import InvalidInput, Verbatim
from wsss.io.files.atomic import sha256_file
from wsss.io.weights import require_usable
from wsss.models.clip.clip_config import ClipWeights, ImageEmbedding, require_open_clip
from wsss.models.clip.clip_network import ClipNetwork
from wsss.models.weights.initial import Origin, read_weights
from wsss.models.weights.state_dicts import mismatches, without_prefix

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Sizes that OpenAI's state dicts contain besides weights."""

CUSTOM_BLOCKS = (
    *("block_type", "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"),
)
"""Settings of a vision transformer in open_clip that replace its `torch.nn.MultiheadAttention`."""


def load_clip(name: str, weights: ClipWeights, embedding: ImageEmbedding) -> ClipNetwork:
    """Return a CLIP model with its weights, on the CPU.

    Args:
        name: of the architecture in open_clip.
        weights: file of its state dict, and normalisation.
        embedding: see `ClipNetwork`.

    Raises:
        InvalidInput: see `model_config` and `read_clip_weights`.
    """
    config = model_config(name)
    import open_clip

    model = open_clip.CLIP(**config)
    model.load_state_dict(read_clip_weights(name, config, model.state_dict(), weights.path))
    record = {"file": weights.path.name, "sha256": sha256_file(weights.path)}
    origin = Origin(record, weights.mean, weights.std)
    return ClipNetwork(model, _tokenizer(config, model), origin=origin, embedding=embedding)


def _tokenizer(config: Mapping[str, Any], model: Any) -> Any:
    import open_clip

    return open_clip.SimpleTokenizer(
        context_length=model.context_length, **config["text_cfg"].get("tokenizer_kwargs", {})
    )


def check_clip(name: str, weights: ClipWeights, blocks: int, texts: Sequence[str]) -> None:
    """Require that an architecture has some number of blocks, reads texts as a whole, and fits the weights of a file.

    Raises:
        InvalidInput: it does not; or see `model_config` and `read_clip_weights`.
    """
    config = model_config(name)
    import open_clip

    with torch.device("meta"):  # shapes are enough
        model = open_clip.CLIP(**config)
    most = len(model.visual.transformer.resblocks)
    if blocks > most:
        raise InvalidInput(
            "more blocks than the network has", subject="clip.attention.blocks", found=blocks, allowed=f"1 to {most}"
        )
    tokenizer, longest = _tokenizer(config, model), model.context_length - 2  # without the tokens of start and end
    for text in texts:
        if (length := len(tokenizer.encode(text))) > longest:
            raise InvalidInput(
                f"the prompt {text!r} is too long for the model",
                subject="clip.prompts",
                found=Verbatim(f"{length} tokens"),
                allowed=f"at most {longest}",
            )
    read_clip_weights(name, config, model.state_dict(), weights.path)


def model_config(name: str) -> dict[str, Any]:
    """Return open_clip's config of an architecture: a vision transformer with a class token and built-in tokenizer.

    Raises:
        InvalidInput: open_clip is not installed, has no such architecture, or one of another kind.
    """
    require_open_clip()
    import open_clip

    configs: dict[str, dict[str, Any]] = {each: open_clip.get_model_config(each) for each in open_clip.list_models()}
    reason = _unsupported(configs[name]) if name in configs else "unknown architecture"
    if reason:
        supported = [each for each, config in configs.items() if not _unsupported(config)]
        raise InvalidInput(reason, subject="clip.model", found=name, allowed=supported)
    return configs[name]


def _unsupported(config: Mapping[str, Any]) -> str | None:
    """Return why maps of an architecture cannot be computed; ``None`` if they can."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if text.get("hf_model_name") or text.get("hf_tokenizer_name"):
        return "its tokenizer is not part of open_clip and would be downloaded"
    plain = (
        not (vision.get("timm_model_name") or vision.get("attentional_pool"))
        and isinstance(vision.get("layers", 12), int)
        and isinstance(vision.get("patch_size", 16), int)
        and vision.get("pool_type", "tok") == "tok"
        and not any(vision.get(key) for key in CUSTOM_BLOCKS)
        and not (config.get("custom_text") or config.get("multimodal_cfg"))
    )
    return None if plain else "not a vision transformer of open_clip whose class token is the image embedding"


def read_clip_weights(
    name: str, config: Mapping[str, Any], expected: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Read the state dict of an architecture.

    Args:
        name, config: the architecture.
        expected: state dict of the model (which may be on the meta device).
        path: see `wsss.models.weights.initial.read_weights`.

    Raises:
        InvalidInput: the file is missing, invalid, of another architecture, trained with another activation (if it is
            OpenAI's, which can be recognised), or contains values that are not finite.
    """
    state = without_prefix(list(expected), read_weights(path))
    if not config.get("quick_gelu") and any(key in state for key in NOT_WEIGHTS):
        raise InvalidInput(
            "the weights are OpenAI's, whose activation is QuickGELU",
            subject="clip.model",
            found=name,
            allowed=f"{name}-quickgelu",
        )
    state = {key: value for key, value in state.items() if key not in NOT_WEIGHTS}
    if problem := mismatches(expected, state):
        raise InvalidInput(
            f"weights of a different architecture: {name} has {len(expected)} tensors; this file has {problem}",
            subject=path,
            hint="Set clip.model to the file's architecture, or use another file, with the key names of open_clip or "
            "OpenAI, not of transformers.",
        )
    require_usable(state, path)
    return state
