"""Maps and masks of photographs on a device, with and without reading and writing files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gpu_setting import CLASSES, Setting, classifier, photographs

from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.io.rasters.rgb_images import write_png
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.mixed_precision import MixedPrecision
from wsss.models.segmentation_networks.blockwise_prediction import predict
from wsss.models.segmentation_networks.segmenters import build_segmenter
from wsss.models.weights.folding import fold_for_inference
from wsss.stages.cam import CamConfig
from wsss.stages.common.inference.cam_batch import write_maps
from wsss.stages.common.inference.cam_size import cam_size
from wsss.stages.common.inference.predict_batch import predict_batch
from wsss.stages.predict import PredictConfig
from wsss.stages.segment import SegmentConfig
from wsss.train.runtime import deterministic

COLUMNS = ("inference", "precision", "batch", "ms per image", "images/s", "peak GiB")


def rows(setting: Setting) -> Iterator[tuple[str, ...]]:
    """Measure both stages."""
    size = setting.sized((375, 500), (30, 40))
    with tempfile.TemporaryDirectory() as folder, deterministic(setting.device.type, 0):
        samples = []
        for number, picture in enumerate(photographs(setting.sized(8, 2), size)):
            path = Path(folder) / f"{number}.png"
            write_png(path, picture)
            samples.append(Sample(path.stem, path, (1 + number, 2 + number)))
        for precision in setting.sized(("32-true", "bf16-mixed"), ("32-true",)):
            for batch in setting.sized((1, 8), (2,)):
                chosen = tuple(samples[:batch])
                calls = [each(setting, chosen, precision, folder) for each in (_cam, _predict)]
                for name, call in (pair for each in calls for pair in each.items()):
                    setting.reset_peak()
                    each = setting.milliseconds(call) / batch
                    yield name, precision, str(batch), f"{each:.1f}", f"{1000 / each:.1f}", setting.peak()


def _cam(setting: Setting, samples: tuple[Sample, ...], precision: str, folder: str) -> dict[str, Callable[[], object]]:
    model = classifier(setting).eval().to(setting.device).to(memory_format=torch.channels_last)
    fold_for_inference(model)
    config = CamConfig.model_validate({"precision": precision, "scales": setting.sized((1.0, 0.5, 1.5, 2.0), (1.0,))})
    images = photographs(len(samples), setting.sized((375, 500), (30, 40)))
    size = cam_size(model, config)
    views = {"scales": config.scales, "flip": config.flip, "stride": config.stride, "max_side": size.max_side}
    name = f"cam, {len(config.scales)} scales, mirror image"
    return {
        name: lambda: class_maps(model, images, precision=config.precision, select=lambda _: [0, 1], **views),  # type: ignore[arg-type]
        f"{name}, with files": lambda: write_maps(model, samples, config, size, Path(folder)),
    }


def _predict(
    setting: Setting, samples: tuple[Sample, ...], precision: str, folder: str
) -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    head = setting.sized("deeplabv3", "lraspp")
    network = build_segmenter(SegmentConfig.model_validate({"backbone": setting.trunk, "head": head}), CLASSES + 1)
    network.eval().to(setting.device).to(memory_format=torch.channels_last)
    model = MixedPrecision(network, precision)  # type: ignore[arg-type]
    config = PredictConfig.model_validate({"save_probabilities": True})
    names = ("background", *(f"class{number}" for number in range(CLASSES)))
    classes = Classes(names, tuple((value,) for value in range(CLASSES + 1)))
    images, out = photographs(len(samples), setting.sized((375, 500), (30, 40))), Path(folder)
    return {
        "predict": lambda: predict(model, images, CLASSES + 1),
        "predict, with files and probabilities": lambda: predict_batch(model, classes, samples, config, None, out),
    }
