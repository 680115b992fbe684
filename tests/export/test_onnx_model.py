"""Networks as ONNX files: their results, their metadata, and the comparison that precedes writing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from inprocess import document, error_of, refused
from learning import BACKBONE, CLASSES, random_segmenter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import wsss
from wsss.errors import InvalidInput, RunFailed
from wsss.export.network import onnx_comparison, onnx_model, onnx_packages
from wsss.export.network.onnx_comparison import compare, picture
from wsss.models.config import SegmenterConfig
from wsss.models.padding import padded
from wsss.models.segmentation_networks.segmenters import SegmentationNetwork, build_segmenter, save_segmenter
from wsss.models.segmentation_networks.upsampling import to_pixels

WEIGHT = np.array([[2.0, -1, 0.5], [-1, 2, 0], [0.5, 0.5, 2]], np.float32)


class Colours(nn.Module):
    """A network whose logits are a linear function of the colour of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(WEIGHT.copy()))

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(images.float() / 255, self.weight[:, :, None, None])


def colours_file(
    *, weight: NDArray[np.float32] = WEIGHT, values: tuple[int, ...] = (0, 40, 90), rows: int = 0
) -> bytes:
    """Return the ONNX file of `Colours`, written operator by operator.

    Args:
        weight: of the convolution.
        values: mask values of the classes.
        rows: number of rows missing from the top of the results.
    """
    constants = {
        "scale": np.float32(255),
        "batch": np.array([0], np.int64),
        "weight": weight[:, :, None, None],
        "values": np.array(values, np.uint8),
        "start": np.array([rows], np.int64),
        "end": np.array([2**31], np.int64),
        "axis": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["channels"], perm=[2, 0, 1]),
        helper.make_node("Cast", ["channels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "scale"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "batch"], ["batched"]),
        helper.make_node("Slice", ["batched", "start", "end", "axis"], ["cut"]),
        helper.make_node("Conv", ["cut", "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["softmax"], axis=1),
        helper.make_node("Squeeze", ["softmax", "batch"], ["probabilities"]),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=0, keepdims=0),
        helper.make_node("Gather", ["values", "index"], ["mask"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", 3])],
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, None),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def test_equal_results_agree() -> None:
    found = compare(colours_file(), Colours().eval(), CLASSES, sizes=[(30, 41), (8, 8)])  # type: ignore[arg-type]
    assert (found.pictures, found.pixels) == (2, 30 * 41 + 64)
    assert found.equal == found.agreeing == 1 and found.largest_difference < 1e-5


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"weight": WEIGHT * np.float32(1.3)}, "different mask values on 0.00%"),  # same classes, other probabilities
        ({"weight": WEIGHT[[1, 0, 2]]}, "different mask values on"),
        ({"values": (0, 1, 2)}, "different mask values on"),
        ({"rows": 1}, "a mask of shape (29, 41) for an image of 30×41 pixels"),
    ],
)
def test_other_results_are_an_error(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(RunFailed) as error:
        compare(colours_file(**changes), Colours().eval(), CLASSES, sizes=[(30, 41)])  # type: ignore[arg-type]
    assert named in error.value.problem and error.value.subject == "--format onnx"
    assert str(error.value.hint).startswith("Nothing was written.")


def test_damaged_files_are_an_error() -> None:
    with pytest.raises(RunFailed) as error:
        compare(colours_file()[:-40], Colours().eval(), CLASSES)  # type: ignore[arg-type]
    assert error.value.subject == "--format onnx" and "ONNX Runtime" in error.value.problem


def test_a_thousandth_of_the_pixels_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pixel of a thousand with another value passes, two do not."""

    class Session:
        def __init__(self, content: bytes) -> None:
            self.wrong = int(content)

        def __call__(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
            with torch.no_grad():
                logits = Colours()(torch.from_numpy(image).permute(2, 0, 1)[None])
            probabilities = logits.softmax(1)[0].numpy()
            mask = CLASSES.decode(probabilities.argmax(0).astype(np.uint8))
            mask.reshape(-1)[: self.wrong] = 7
            return mask, probabilities

    monkeypatch.setattr(onnx_comparison, "_Session", Session)
    found = compare(b"1", Colours().eval(), CLASSES, sizes=[(25, 40)])  # type: ignore[arg-type]
    assert found.equal == 0.999
    with pytest.raises(RunFailed) as error:
        compare(b"2", Colours().eval(), CLASSES, sizes=[(25, 40)])  # type: ignore[arg-type]
    assert error.value.subject == "--format onnx" and " 0.20% " in error.value.problem


def test_pictures_are_reproducible_and_varied() -> None:
    one = picture((40, 50), 3)
    assert one.shape == (40, 50, 3) and one.dtype == np.uint8 and np.array_equal(one, picture((40, 50), 3))
    assert not np.array_equal(one, picture((40, 50), 4)) and np.ptp(one) > 200
    assert picture((1, 1), 0).shape == (1, 1, 3)


@pytest.mark.parametrize(("size", "least", "expected"), [((30, 32), 1, (32, 32)), ((5, 70), 2, (32, 80))])
def test_padding_repeats_the_last_row_and_column(size: tuple[int, int], least: int, expected: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    below, right = expected[0] - size[0], expected[1] - size[1]
    reference = np.pad(images.numpy(), ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
    assert np.array_equal(padded(images, 16, least=least).numpy(), reference)


def test_unneeded_padding_copies_nothing() -> None:
    images = torch.rand(1, 3, 32, 48)
    assert padded(images, 16, least=2) is images


@pytest.mark.slow
@pytest.mark.parametrize(("stride", "offset"), [(8, 0.0), (16, 7.5), (32, 31.0)])
def test_symbolic_sizes_give_the_same_upsampling(stride: int, offset: float) -> None:
    """Maps are placed at every pixel alike, whether sizes are numbers or the symbols of an export."""

    class Upsampled(nn.Module):
        def forward(self, image: Tensor, maps: Tensor) -> Tensor:
            return to_pixels(maps, (image.shape[0], image.shape[1]), stride=stride, offset=offset)

    def inputs(height: int, width: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(height, width), torch.rand(1, 2, -(-height // stride), -(-width // stride))

    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(
        Upsampled(),
        inputs(75, 107),
        dynamic_shapes={"image": free, "maps": {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}},
    ).module()
    for size in ((75, 107), (64, 200), (333, 66)):
        image, maps = inputs(*size)
        torch.testing.assert_close(exported(image, maps), Upsampled()(image, maps), atol=1e-5, rtol=0)


def test_missing_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx_packages, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(InvalidInput) as error:
        onnx_packages.require_onnx()
    assert "no_such_package" in error.value.problem and "pip install 'wsss[onnx]'" in str(error.value.hint)
    model = random_segmenter(tmp_path / "model")
    assert "wsss[onnx]" in refused("export-model", model, "--format", "onnx", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_torch_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_packages, "version", lambda name: "2.8.1+cpu")
    with pytest.raises(InvalidInput) as error:
        onnx_packages.require_onnx()
    assert error.value.found == "torch 2.8.1+cpu" and "--upgrade" in str(error.value.hint)


def test_folders_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = random_segmenter(tmp_path / "model")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    stage = tmp_path / "run" / "predict"
    stage.mkdir(parents=True)
    (stage / "stage.json").write_text("{}")
    options = ["--format", "onnx", "--out"]
    error = error_of("export-model", model, *options, "full")
    assert error.subject == "--out full" and "--force" in str(error.hint)
    error = error_of("export-model", model, *options, "full", "--force")
    assert error.subject == "--out full" and "export.json" in error.problem
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "export.json").write_text('{"made_by": "wsss export", "format": "voc", "files": []}')
    error = error_of("export-model", model, *options, "masks", "--force")
    assert error.subject == "--out masks" and "(masks)" in error.problem
    error = error_of("export-model", model, *options, stage / "onnx")
    assert error.subject == f"--out {stage / 'onnx'}" and str(stage) in error.problem
    error = error_of("export-model", "model", *options, "model", "--force")
    assert (error.subject, error.problem) == ("--out model", "contains model")
    error = error_of("export-model", "nothing", *options, "out")
    assert error.subject == "nothing" and "runs/nothing" in error.problem
    error = error_of("export-model", tmp_path, *options, "out")
    assert error.subject == str(tmp_path) and str(model) in str(error.hint)
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine" and not (tmp_path / "out").exists()


def test_networks_that_cannot_be_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is stated, and nothing is written."""
    model = random_segmenter(tmp_path / "model")

    def fail(*arguments: Any, **settings: Any) -> None:
        raise RuntimeError("no operator for aten::strange\nand a long explanation")

    monkeypatch.setattr(torch.onnx, "export", fail)
    message = refused("export-model", model, "--format", "onnx", "--out", tmp_path / "out")
    assert (
        f"{BACKBONE['name']} with head lraspp" in message and "RuntimeError: no operator for aten::strange)" in message
    )
    assert "long explanation" not in message and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_branches_on_the_size_are_noticed() -> None:
    """Code that branches on the size of the image is exported with one of its branches."""

    class Branching(Colours):
        config = SegmenterConfig()

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * (2 if images.shape[2] % 2 else 1)

    network: Any = Branching().eval()
    content = onnx_model.to_onnx(network, CLASSES)
    assert compare(content, network, CLASSES, sizes=[(75, 90)]).agreeing == 1
    with pytest.raises(RunFailed, match="the results of the ONNX file differ from torch's"):
        compare(content, network, CLASSES)


def random_network(config: dict[str, Any]) -> SegmentationNetwork:
    """Return a network with random weights and statistics that predicts every class somewhere."""
    torch.manual_seed(1)
    network = build_segmenter(SegmenterConfig.model_validate(config), len(CLASSES)).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_mean"):
                value.normal_(0, 0.1)
        images = torch.stack([torch.from_numpy(picture((96, 96), seed)).permute(2, 0, 1) for seed in range(4)])
        logits = network(images)
        last = [part for part in network.modules() if isinstance(part, nn.Conv2d) and part.out_channels == len(CLASSES)]
        scale = 2 / logits.std()
        for part in last:
            part.weight *= scale
            if part.bias is not None:
                part.bias *= scale
        bias = next(part.bias for part in last if part.bias is not None)
        bias -= network(images).mean((0, 2, 3))
    return network


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {
            "backbone": {"name": "resnet18", "weights": "none", "output_stride": 8},
            "head": "deeplabv3",
            "head_channels": 16,
        },
        {"head": "dynunet", "unet": {"levels": 3, "filters": [4, 8, 8]}},
        {"backbone": {"name": "timm/test_efficientnet", "weights": "none"}, "head": "lraspp"},
        {"backbone": {"name": "timm/test_vit", "weights": "none"}, "head": "deeplabv3", "head_channels": 16},
    ],
    ids=["deeplabv3", "dynunet", "timm", "vit"],
)
def test_files_give_the_masks_of_the_function(config: dict[str, Any], tmp_path: Path) -> None:
    """With the smallest networks of each kind: a conversion takes as long as the network has layers."""
    save_segmenter(tmp_path / "model", random_network(config), CLASSES, background_weight=0.5)
    arguments = ("export-model", tmp_path / "model", "--format", "onnx", "--out", tmp_path / "out")
    written = document(*arguments)
    assert written["agreement"]["equal"] >= 0.999 and written["classes"] == {"background": 0, "red": 40, "green": 90}
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [written["opset"]]
    assert b"site-packages" not in content and str(Path.home()).encode() not in content
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == written["classes"] and about["wsss"] == wsss.__version__
    assert json.loads(about["palette"])[3:9] == [128, 0, 0, 0, 128, 0]
    assert written["background_weight"] == float(about["background_weight"]) == 0.5
    [image] = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["height", "width", 3])
    segment = wsss.load_segmenter(tmp_path / "model", device="cpu")
    seen: set[int] = set()
    for number, size in enumerate([(1, 1), (2, 300), (97, 61), (160, 240)]):
        pixels = picture(size, 10 + number)
        mask, probabilities = session.run(["mask", "probabilities"], {"image": pixels})
        assert mask.dtype == np.uint8 and (mask == segment(pixels)).mean() >= 0.999, size
        np.testing.assert_allclose(probabilities, segment.probabilities(pixels), atol=1e-3)
        seen |= set(np.unique(mask).tolist())
    assert len(seen) > 1
    if config["head"] == "dynunet":
        assert "--force" in str(error_of(*arguments).hint)
        assert document(*arguments, "--force") == written
        assert (tmp_path / "out" / "model.onnx").read_bytes() == content
