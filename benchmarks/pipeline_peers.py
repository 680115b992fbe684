"""The work of some stages as users of other packages write it; see `pipeline`.

    python benchmarks/pipeline_peers.py STAGE SAMPLES RESULTS OUT

Maps are those of torch-cam, the CRF is pydensecrf, and training follows torchvision's reference scripts
(references/classification and references/segmentation: transforms of PIL images, DataLoader, SGD, a loss read back at
every step), with the networks, batch sizes, crops and scales of the stages.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from pipeline_work import Work, present, read_labels, read_rgb, views, write_labels


class Examples:
    """Images opened by PIL, with the target and the transform of a stage."""

    def __init__(self, work: Work, target: Callable[[Any], Any], transform: Callable[[Any, Any], Any]) -> None:
        self.work, self.target, self.transform = work, target, transform

    def __len__(self) -> int:
        return len(self.work.samples)

    def __getitem__(self, index: int) -> Any:
        """Return image and target."""
        sample = self.work.samples[index]
        return self.transform(Image.open(sample["image"]).convert("RGB"), self.target(sample))


def train(work: Work, network: Any, examples: Examples, criterion: Callable[..., Any]) -> None:
    """Train for an epoch as ``train_one_epoch`` of torchvision's references does."""
    import torch
    from torch.utils.data import DataLoader

    loader = DataLoader(examples, batch_size=work.settings["batch_size"], shuffle=True, drop_last=True)  # type: ignore[arg-type, var-annotated]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, total_iters=max(1, len(loader)), power=0.9)
    network.train()
    for images, targets in loader:
        loss = criterion(network(images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        loss.item()


def classify(work: Work) -> None:
    """Train a classifier: random resized crops, flips."""
    import torch
    from torchvision.transforms import v2

    from wsss.models.classifier import load_classifier

    side = work.settings["augmentation"]["size"]
    steps = (v2.RandomResizedCrop(side, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor())
    transform = v2.Compose([*steps, v2.ToDtype(torch.float, scale=True)])

    def labels(sample: Any) -> Any:
        present = torch.zeros(len(work.values) - 1)
        present[[index - 1 for index in sample["labels"]]] = 1
        return present

    examples = Examples(work, labels, lambda image, target: (transform(image), target))
    network, _ = load_classifier(work.results / "classify")
    train(work, network, examples, torch.nn.MultiLabelSoftMarginLoss())


def segment(work: Work) -> None:
    """Train a segmentation network: random scale, flip and crop."""
    import torch
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as T
    from torchvision.tv_tensors import Mask

    from wsss.models.segmentation_networks.segmenters import load_segmenter

    settings, indices = work.settings["augmentation"], work.indices
    fills = {Image.Image: tuple(settings["fill"]), Mask: 255}
    crop = v2.RandomCrop(settings["size"], pad_if_needed=True, fill=fills)
    steps = v2.Compose([v2.RandomHorizontalFlip(settings["flip"]), crop, v2.PILToTensor()])

    def transform(image: Any, mask: Any) -> Any:
        side = int(min(image.size) * np.random.uniform(*settings["scale"]))
        image, mask = steps(
            T.resize(image, [side], antialias=True), T.resize(mask, [side], T.InterpolationMode.NEAREST)
        )
        return T.to_dtype(image, torch.float, scale=True), mask[0].long()

    def target(sample: Any) -> Any:
        mask = read_labels(work.results / "crf" / "masks" / f"{sample['id']}.png")
        return Mask(torch.from_numpy(indices[mask])[None])

    network, _ = load_segmenter(work.results / "segment")
    train(work, network, Examples(work, target, transform), torch.nn.CrossEntropyLoss(ignore_index=255))


def cam(work: Work) -> None:
    """Compute class activation maps with torch-cam, summed over the views."""
    import torch
    import torch.nn.functional as F
    from torchcam.methods import CAM

    from wsss.models.classifier import load_classifier

    network, _ = load_classifier(work.results / "classify")
    with CAM(network, network.backbone.last, network.head) as extract, torch.inference_mode():
        for sample in work.samples:
            image = read_rgb(sample["image"])
            size = [-(-side // work.settings["stride"]) for side in image.shape[:2]]
            total = torch.zeros(len(sample["labels"]), *size)
            for view, mirrored in views(image, work.settings):
                scores = network(view)
                maps = torch.cat([extract(index - 1, scores, normalized=False)[0] for index in sample["labels"]])
                maps = F.interpolate(maps[None].relu(), size, mode="bilinear")[0]
                total += maps.flip(2) if mirrored else maps
            total /= total.amax((1, 2), keepdim=True).clamp(min=1e-9)
            np.savez(work.out / f"{sample['id']}.npz", maps=total.half().numpy(), classes=np.array(sample["labels"]))


def crf(work: Work) -> None:
    """Refine pseudo masks by pydensecrf."""
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_labels

    settings = work.settings
    for sample in work.samples:
        image, labels, values = present(work, sample)
        if len(values) == 1:
            write_labels(work.out / f"{sample['id']}.png", np.zeros_like(labels))
            continue
        model = DenseCRF2D(image.shape[1], image.shape[0], len(values))
        model.setUnaryEnergy(unary_from_labels(labels, len(values), settings["label_probability"], zero_unsure=False))
        model.addPairwiseGaussian(sxy=settings["gauss_sigma"], compat=settings["gauss_weight"])
        model.addPairwiseBilateral(
            sxy=settings["bilateral_sigma_xy"],
            srgb=settings["bilateral_sigma_rgb"],
            rgbim=np.ascontiguousarray(image),
            compat=settings["bilateral_weight"],
        )
        marginals = np.asarray(model.inference(settings["iterations"]))
        write_labels(work.out / f"{sample['id']}.png", values[marginals.argmax(0).reshape(labels.shape)])


PEERS: dict[str, tuple[str, str, Callable[[Work], None]]] = {
    "classify": ("torchvision's reference loop", "torchvision", classify),
    "cam-plain": ("torch-cam", "torchcam", cam),
    "crf": ("pydensecrf", "pydensecrf", crf),
    "segment": ("torchvision's reference loop", "torchvision", segment),
}
"""Stage → name of the peer, its package, and the loop."""


def installed(stage: str) -> bool:
    """Return whether the package of a stage's peer is installed."""
    return importlib.util.find_spec(PEERS[stage][1]) is not None


if __name__ == "__main__":
    PEERS[sys.argv[1]][2](Work.load(*sys.argv[1:]))
