"""Random walks of `propagate` on affinities of a network that is not trained for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.pipeline.stage import Context
from wsss.refine.attention_walk import attention_transition, walk_on_patches
from wsss.refine.fixed_affinities import cosine_affinities
from wsss.refine.random_walk import Affinities
from wsss.stages.common.refined_maps import read_reduced
from wsss.stages.common.walking.walk_config import PropagateConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wsss.data.sample import Sample
    from wsss.models.affinity_networks.walk_network import WalkNetwork

    Floats = NDArray[np.float32]


def network_of(ctx: Context[PropagateConfig]) -> WalkNetwork:
    """Load the network on every rank: the trunk of the input classifier, or the backbone of the config.

    Raises:
        InvalidInput, RunFailed: see `wsss.models.affinity_networks.walk_network`.
    """
    from wsss.models.affinity_networks.walk_network import build_walk_network, load_walk_network
    from wsss.models.weights.folding import fold_for_inference
    from wsss.train.runtime import leader_first, torch_device

    def load() -> WalkNetwork:
        artifact, backbone = ctx.inputs["classifier"], ctx.config.backbone
        if artifact is not None:
            return load_walk_network(artifact.path)
        assert backbone is not None, "ensured by check_network_inputs"
        return build_walk_network(backbone)

    network = leader_first(ctx.ranks, load).to(torch_device(ctx.device))
    fold_for_inference(network)
    return network


def feature_affinities(
    sample: Sample, size: tuple[int, int], *, network: WalkNetwork, config: PropagateConfig
) -> Affinities:
    """Return the affinities of an image's features on a grid of height and width ``size``."""
    vectors = network.vectors(_pixels(sample, network, config), size, config.feature_levels)
    return cosine_affinities(_finite(vectors, "features"), config.radius)


def attention_walk(sample: Sample, maps: Floats, *, network: WalkNetwork, config: PropagateConfig) -> Floats:
    """Return maps ``(K, h, w)`` of an image after the walk on the network's attention."""
    image = _pixels(sample, network, config)
    attention = _finite(network.attention(image, config.attention_blocks), "attention")
    rows, columns = network.patch_interpolation((image.shape[1], image.shape[2]), (maps.shape[1], maps.shape[2]))
    return walk_on_patches(
        maps, attention_transition(attention, config.beta), rows.numpy(), columns.numpy(), config.steps
    )


def _pixels(sample: Sample, network: WalkNetwork, config: PropagateConfig) -> Tensor:
    import torch

    device = next(network.parameters()).device
    return torch.from_numpy(read_reduced(sample, config.max_side)).permute(2, 0, 1).to(device)


def _finite(values: Tensor, what: str) -> Floats:
    from wsss.models.segmentation_networks.inference import require_finite

    require_finite(values, what)
    return values.cpu().numpy()


def check_network_inputs(config: PropagateConfig, ids: Mapping[str, Sequence[str]]) -> None:
    """Require a single network for ``features`` and ``attention``, and none for other affinities.

    Raises:
        InvalidInput: no network, two networks, or a network that has no effect.
    """
    classifier, uses = bool(ids.get("classifier")), config.uses_network
    if uses and classifier == (config.backbone is not None):
        raise InvalidInput(
            f"affinity: {config.affinity} requires one network, got {'two' if classifier else 'none'}",
            subject="propagate",
            hint="Either add a classify stage to its needs (or pass --classifier DIR), or set backbone.",
        )
    if classifier and not uses:
        raise InvalidInput(
            f"affinity: {config.affinity} takes no classifier",
            subject="propagate",
            hint="Omit the classifier, or set affinity: features or attention.",
        )


def check_network(config: PropagateConfig, trunk: Any = None) -> None:
    """Require that the backbone of the config, or a trunk, has the features or the attention that the config selects.

    Raises:
        InvalidInput: a feature level or the attention is missing.
    """
    from wsss.models.affinity_networks.walk_network import check_backbone, check_trunk

    features = config.affinity == "features"
    needs: dict[str, Any] = {"levels": config.feature_levels} if features else {"blocks": config.attention_blocks}
    if trunk is not None:
        check_trunk(trunk, **needs)
    elif config.backbone is not None:
        check_backbone(config.backbone, **needs)
