"""Export of a trained network: converted, compared with the original, and written only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsss import __version__
from wsss.export.export_folder import check_out, new_folder
from wsss.export.network.onnx_comparison import compare
from wsss.export.network.onnx_model import OPSET, to_onnx
from wsss.export.network.onnx_packages import require_onnx
from wsss.io.files.atomic import write_bytes
from wsss.models.segmentation_networks.segmenters import load_background_weight, load_segmenter

NAME = "model.onnx"


def export_network(
    folder: Path, out: Path, *, force: bool = False, advance: Callable[[int], None] = lambda steps: None
) -> dict[str, Any]:
    """Write the network of a `segment` or `calibrate` stage as ``model.onnx``, checked against torch.

    Args:
        folder: the stage's folder, or another one with ``model.json`` and ``model.safetensors``.
        out: output folder; it appears when it is complete.
        force: replace an earlier export in ``out``.
        advance: called after each of the two steps, conversion and comparison.

    Returns:
        The content of ``export.json``, and the sizes of the file in bytes.

    Raises:
        InvalidInput: no segmentation network in the folder, one that torch cannot convert, a missing package, or an
            output folder that is not empty.
        RunFailed: the file does not agree with the network, or cannot be written.
    """
    require_onnx()
    check_out(out, force=force, kind="network")
    network, classes = load_segmenter(folder)
    weight = load_background_weight(folder)
    content = to_onnx(network, classes, background_weight=weight)
    advance(1)
    agreement = compare(content, network, classes)
    advance(1)
    record = {
        "format": "onnx",
        "network": str(folder),
        "classes": {name: values[0] for name, values in zip(classes.names, classes.values, strict=True)},
        **({} if weight is None else {"background_weight": weight}),
        "wsss": __version__,
        "opset": OPSET,
        "agreement": asdict(agreement),
    }
    with new_folder(out, record) as making:
        write_bytes(making / NAME, content)
        check_out(out, force=force, kind="network")  # files may have been added meanwhile
    return {"out": str(out), **record, "bytes": len(content)}
