"""Configs of the losses, without torch: the command line validates pipelines against them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from wsss.validation import NotInIdentity, Settings

Weight = Annotated[float, Field(ge=0)]
Weighting = Literal["inverse", "linear"]


class InputForm(Settings):
    """Form of the predictions and targets that a loss is called with."""

    from_logits: bool = Field(default=True, description="predictions are logits; false: probabilities")
    targets: Literal["auto", "indices", "one-hot"] = Field(
        default="auto",
        description="auto: integers are class indices, floats probabilities; indices: class indices of any type, even "
        "floats; one-hot: a 0/1 channel per class of any type, as the second dimension, where pixels without a class "
        "are ignored",
    )
    multilabel: bool = Field(
        default=False,
        description="channels are independent foreground regions (sigmoid) that may overlap, without a background "
        "channel; the loss is the mean over channels",
    )
    ignore_index: int = Field(default=255, description="class index of ignored pixels")

    @model_validator(mode="after")
    def _forms_agree(self) -> InputForm:
        if self.multilabel and self.targets == "one-hot":
            raise ValueError("targets: expected auto or indices with multilabel targets")
        if self.targets == "one-hot" and self.ignore_index != 255:
            raise ValueError("ignore_index: no effect on one-hot targets, whose pixels without a class are ignored")
        return self


class LossSettings(Settings):
    """Base of the configs of all losses."""

    loss: ClassVar[str]
    """``"module:Class"`` of the `wsss.losses.base.Loss` with these settings; not a key of pipelines.

    The key ``loss`` of the stage `segment` is an object of such a config, selected by its ``name``.
    """

    name: str


class CrossEntropyConfig(LossSettings):
    """Cross-entropy per pixel."""

    loss: ClassVar[str] = "wsss.losses.region:CrossEntropyLoss"
    name: Literal["ce"] = "ce"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="fraction of target spread over all classes")


class DiceConfig(LossSettings):
    """Soft Dice over classes."""

    loss: ClassVar[str] = "wsss.losses.region:DiceLoss"
    name: Literal["dice"] = "dice"
    background: bool = Field(default=True, description="include the background class")
    absent: Literal["skip", "count"] = Field(
        default="skip",
        description="classes without a target pixel: excluded from the mean (skip) or included, so that their "
        "probabilities are penalised (count)",
    )
    per_image: bool = Field(default=False, description="mean of the Dice of each image; false: Dice of the whole batch")
    smooth: float = Field(default=1e-5, gt=0, description="added to numerator and denominator")


class CrossEntropyDiceConfig(LossSettings):
    """Weighted sum of cross-entropy and soft Dice."""

    loss: ClassVar[str] = "wsss.losses.region:CrossEntropyDiceLoss"
    name: Literal["ce_dice"] = "ce_dice"
    ce: CrossEntropyConfig = Field(default_factory=CrossEntropyConfig, description="settings of the cross-entropy")
    dice: DiceConfig = Field(default_factory=DiceConfig, description="settings of soft Dice")
    ce_weight: float = Field(default=1.0, ge=0, description="weight of the cross-entropy")
    dice_weight: float = Field(default=1.0, ge=0, description="weight of soft Dice")


RegionLossConfig = Annotated[CrossEntropyConfig | DiceConfig | CrossEntropyDiceConfig, Field(discriminator="name")]
"""A region loss, the base of a topological term."""


class RegionWiseConfig(LossSettings):
    """Region-wise loss with rectified maps."""

    loss: ClassVar[str] = "wsss.losses.region_wise:RegionWiseLoss"
    name: Literal["region_wise"] = "region_wise"
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="memory for cached maps of labels in MiB; 0: no cache"
    )


def _dice_per_image() -> DiceConfig:
    return DiceConfig(absent="count", per_image=True)


def _foreground_dice() -> DiceConfig:
    return DiceConfig(background=False, absent="count", smooth=1.0)


class WeightedTermConfig(LossSettings):
    """Weights of ``base_weight · base + alpha · term``."""

    base_weight: float = Field(default=1.0, ge=0, description="weight of the base loss; 0: only the term")
    alpha: float = Field(default=0.5, ge=0, description="weight of the topological term")
    active_from: float = Field(
        default=0.0,
        ge=0,
        description="first step with the term; below 1: as a fraction of all steps (0.7: the last 30 %)",
    )


class TermConfig(WeightedTermConfig):
    """A topological term with a choice of base losses."""

    base: RegionLossConfig = Field(default_factory=_foreground_dice, description="base loss: ce, dice or ce_dice")


class BettiMatchingConfig(TermConfig):
    """Betti matching loss."""

    loss: ClassVar[str] = "wsss.losses.topological.betti_matching:BettiMatchingLoss"
    name: Literal["betti_matching"] = "betti_matching"
    filtration: Literal["superlevel", "sublevel", "bothlevel"] = Field(
        default="superlevel", description="bright pixels first, dark pixels first, or the sum of both losses"
    )
    frame: Literal["none", "own-max", "zero"] = Field(
        default="none", description="frame of one pixel around each image; own-max is the paper's relative=True"
    )
    essential: Literal["omit", "match"] = Field(
        default="omit",
        description="essential components: left out (Betti-Matching-3D) or matched with each other (Betti-matching)",
    )
    dimension_weights: tuple[Weight, Weight] = Field(default=(1.0, 1.0), description="weights of components and holes")
    background: bool = Field(default=False, description="include the background class")
    absent: Literal["skip", "count"] = Field(
        default="count",
        description="classes absent from an image: left out (skip), or all their predicted features are penalised "
        "(count)",
    )
    crop: int | None = Field(
        default=None, ge=2, description="side of the square windows that are matched; null: the whole image"
    )
    stride: int | None = Field(default=None, ge=1, description="step between windows; null: their side")
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None,
        ge=1,
        description="number of pairs matched in parallel; null: one per core, divided among training processes",
    )

    @model_validator(mode="after")
    def _stride_of_windows(self) -> BettiMatchingConfig:
        if self.stride is not None and self.crop is None:
            raise ValueError("stride: expected together with crop, the side of the windows")
        return self


class ClDiceConfig(TermConfig):
    """Soft centreline Dice."""

    loss: ClassVar[str] = "wsss.losses.topological.cldice:ClDiceLoss"
    name: Literal["cldice"] = "cldice"
    base_weight: float = Field(default=0.5, ge=0, description="weight of the base loss; 0: only the term")
    iterations: int = Field(
        default=3,
        ge=0,
        le=10_000,
        description="erosions of the soft skeleton: at least half the width of the structures in pixels",
    )
    smooth: float = Field(default=1.0, gt=0, description="added to numerators and denominators")
    per_image: bool = Field(
        default=False, description="mean of the clDice of each image, as in MONAI; false: clDice of the whole batch"
    )
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="memory for cached skeletons of labels in MiB (CPU only); 0: no cache"
    )


class SkeletonRecallConfig(TermConfig):
    """Recall of the label's skeleton."""

    loss: ClassVar[str] = "wsss.losses.topological.skeleton_recall:SkeletonRecallLoss"
    name: Literal["skeleton_recall"] = "skeleton_recall"
    base: RegionLossConfig = Field(default_factory=CrossEntropyConfig, description="base loss: ce, dice or ce_dice")
    alpha: float = Field(default=1.0, ge=0, description="weight of the topological term")
    dilations: int = Field(
        default=2, ge=0, le=10_000, description="number of dilations of the skeleton inside the label"
    )
    smooth: float = Field(default=1.0, gt=0, description="added to numerator and denominator")
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="memory for cached skeletons of labels in MiB; 0: no cache"
    )


class TopoLossConfig(TermConfig):
    """Distance between persistence diagrams."""

    loss: ClassVar[str] = "wsss.losses.topological.topoloss:TopoLoss"
    name: Literal["topoloss"] = "topoloss"
    base: RegionLossConfig = Field(default_factory=CrossEntropyConfig, description="base loss: ce, dice or ce_dice")
    alpha: float = Field(default=100.0, ge=0, description="weight of the topological term, a mean over pixels")
    patch: int = Field(default=50, ge=2, description="side of the patches whose diagrams are compared, in pixels")
    frame: Literal["none", "own-max", "zero"] = Field(
        default="own-max", description="frame of one pixel around each patch"
    )
    dimension_weights: tuple[Weight, Weight] = Field(default=(1.0, 1.0), description="weights of components and holes")
    min_persistence: float = Field(
        default=0.03, ge=0, lt=1, description="maximum persistence of spurious features that are not penalised"
    )
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None,
        ge=1,
        description="number of images processed in parallel; null: one per core, divided among training processes",
    )


class TopoConfig(WeightedTermConfig):
    """TOPO: a regressed distance map whose background regions stay separate and connected."""

    loss: ClassVar[str] = "wsss.losses.topological.topo_window:TopoWindowLoss"
    name: Literal["topo"] = "topo"
    revision: Literal[2] = Field(default=2, description="revision of the formula; older results are recomputed")
    alpha: float = Field(default=1e-3, ge=0, description="weight of the topological term, a sum over windows")
    beta: float = Field(default=0.1, ge=0, description="weight of the connectivity of regions within the term")
    window: int = Field(default=64, ge=2, description="side of the windows, in pixels")
    d_max: float = Field(default=20.0, gt=0, description="maximum distance, in pixels; larger ones are clipped")
    d_min: float = Field(
        default=10.0, gt=0, description="minimum distance to the structure of pixels that must stay connected"
    )
    margin: float = Field(
        default=5.0, ge=0, description="dilation of the structure before it divides the background, in pixels"
    )
    gaps: Literal["keep", "close"] = Field(
        default="keep",
        description="gaps of the label that the dilated structure closes: allowed in the prediction (keep), or "
        "penalised as in the authors' code (close), so that a perfect prediction has a loss above 0",
    )
    pixels_per_logit: float = Field(
        default=5.0, gt=0, description="distance in pixels that corresponds to a logit difference of 1"
    )
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None,
        ge=1,
        description="number of images processed in parallel; null: one per core, divided among training processes",
    )

    @model_validator(mode="after")
    def _distances_in_order(self) -> TopoConfig:
        if not self.margin < self.d_min <= self.d_max:
            raise ValueError(f"expected margin < d_min ≤ d_max, got {self.margin:g}, {self.d_min:g} and {self.d_max:g}")
        return self


class CbDiceConfig(TermConfig):
    """Centerline boundary Dice."""

    loss: ClassVar[str] = "wsss.losses.topological.cbdice:CbDiceLoss"
    name: Literal["cbdice"] = "cbdice"
    base: RegionLossConfig = Field(
        default_factory=lambda: CrossEntropyDiceConfig(ce_weight=0.5, dice_weight=0.25, dice=_dice_per_image()),
        description="base loss: ce, dice or ce_dice",
    )
    alpha: float = Field(default=0.25, ge=0, description="weight of the topological term")
    smooth: float = Field(default=1.0, gt=0, description="added to numerators and denominators")
    weighting: Weighting = Field(
        default="inverse",
        description="weight of a skeleton pixel: 1 / radius (inverse: the authors' code of September 2024 and "
        "TopoMortar's), or decreasing linearly with the radius (linear: the authors' current code)",
    )
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="memory for cached skeletons of labels in MiB; 0: no cache"
    )


class WarpingConfig(TermConfig):
    """Cross-entropy at the pixels where homotopy warping finds a topological difference."""

    loss: ClassVar[str] = "wsss.losses.topological.warping_loss:WarpingLoss"
    name: Literal["warping"] = "warping"
    base: RegionLossConfig = Field(default_factory=_dice_per_image, description="base loss: ce, dice or ce_dice")
    alpha: float = Field(default=0.1, ge=0, description="weight of the topological term")
    connectivity: Literal[4, 8] = Field(
        default=4, description="connectivity of the foreground; the background uses the other"
    )
    mean_over: Literal["all", "critical"] = Field(
        default="all", description="divisor of the cross-entropy: the number of all pixels or of critical pixels"
    )
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None,
        ge=1,
        description="number of masks warped in parallel; null: one per core, divided among training processes",
    )
