"""A segmentation network as an ONNX file for images of any size."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from wsss import __version__
from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.export.network.deployed import INPUT, OUTPUTS, Deployed
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.io.rasters.label_masks import voc_palette
from wsss.models.segmentation_networks.segmenters import SegmentationNetwork

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""Version of ONNX's operators: the first with antialiased resizing, for the position embeddings of transformers."""

EXAMPLE = (75, 107)
"""Size (height, width) of the image that the network is traced with: unequal, and not multiples of a stride."""

SHAPES = {INPUT: ("height", "width", 3), "mask": ("height", "width"), "probabilities": ("classes", "height", "width")}
"""Input or output → names of its axes."""


def to_onnx(network: SegmentationNetwork, classes: Classes, *, background_weight: float | None = None) -> bytes:
    """Return the content of an ONNX file that computes what `Deployed` does.

    Args:
        network: in evaluation mode, on the CPU.
        classes: names and mask values; stored in the metadata, see `metadata`.
        background_weight: of a calibrated network; stored in the metadata.

    Raises:
        InvalidInput: torch cannot convert the network for images of any size.
    """
    example = torch.zeros(*EXAMPLE, 3, dtype=torch.uint8)
    sizes = {INPUT: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                Deployed(network, classes).eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=sizes,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # whatever a network, or an operator that ONNX lacks, raises
        raise_if_exhausted(error)
        raise _not_convertible(network, f"{type(error.__cause__ or error).__name__}: {_first_line(error)}") from error
    assert program is not None, "returned by the exporter that uses torch.export"
    model = program.model_proto
    _require_opset(model, network)
    _tidy(model)
    for key, value in metadata(classes, background_weight).items():
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def metadata(classes: Classes, background_weight: float | None = None) -> dict[str, str]:
    """Return the metadata of the file.

    Returns:
        ``background_weight``: of a calibrated network, the factor of the background's probability in its last layer.
        ``classes``: JSON object, name → value in masks, the background first. ``palette``: JSON list of 768 numbers,
        red, green and blue of each mask value. ``wsss``: version of this package.
    """
    values = {name: values[0] for name, values in zip(classes.names, classes.values, strict=True)}
    return {
        "wsss": __version__,
        "classes": json.dumps(values),
        "palette": json.dumps(voc_palette().ravel().tolist()),
        **({} if background_weight is None else {"background_weight": repr(background_weight)}),
    }


def _tidy(model: ModelProto) -> None:
    """Name the axes of inputs and outputs, and remove what only helps to debug the export, such as paths of sources."""
    graph = model.graph
    model.producer_name, model.producer_version = "wsss", __version__
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
        for axis, name in zip(value.type.tensor_type.shape.dim, SHAPES[value.name], strict=True):
            if isinstance(name, str) and not axis.dim_value:
                axis.dim_param = name
    del graph.value_info[:], graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *(node for function in model.functions for node in function.node)):
        del part.metadata_props[:]
        part.doc_string = ""


def _require_opset(model: ModelProto, network: SegmentationNetwork) -> None:
    """Require version `OPSET`: torch keeps a newer one, with a warning only, if it cannot convert an operator.

    Raises:
        InvalidInput: the file has a different one.
    """
    found = next(entry.version for entry in model.opset_import if not entry.domain)
    if found != OPSET:
        raise _not_convertible(network, f"an operator requires ONNX opset {found}, expected {OPSET}")


def _first_line(error: Exception) -> str:
    lines = (line.strip() for line in str(error.__cause__ or error).splitlines())
    return next((line for line in lines if line), "")[:300]


def _not_convertible(network: SegmentationNetwork, reason: str) -> InvalidInput:
    config = network.config
    name = config.head if config.backbone is None else f"{config.backbone.name} with head {config.head}"
    return InvalidInput(
        f"torch cannot convert this network, {name}, for images of any size ({reason})",
        subject="--format onnx",
        hint="Update torch and onnxscript (pip install --upgrade 'wsss[onnx]'), train another backbone, or use the "
        "network through wsss.load_segmenter.",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings and log messages of the exporter."""
    names: tuple[Any, ...] = ("torch", "onnxscript", "onnx_ir")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
