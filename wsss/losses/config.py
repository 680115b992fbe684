"""Configs of the losses. No torch here: the command line reads configs to check a pipeline."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wsss.validation import NotInIdentity, Settings

Weight = Annotated[float, Field(ge=0)]
Weighting = Literal["inverse", "linear"]


class CrossEntropyConfig(Settings):
    """Cross-entropy per pixel."""

    name: Literal["ce"] = "ce"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of the target spread over all classes")


class DiceConfig(Settings):
    """Soft Dice over classes."""

    name: Literal["dice"] = "dice"
    background: bool = Field(default=True, description="the background counts as a class")
    absent: Literal["skip", "count"] = Field(
        default="skip",
        description="classes without a target pixel: left out of the mean, or counted (any probability costs)",
    )
    per_image: bool = Field(default=False, description="Dice of each image, then the mean; else of the whole batch")
    smooth: float = Field(default=1e-5, gt=0, description="added to numerator and denominator")


class CrossEntropyDiceConfig(Settings):
    """Weighted sum of cross-entropy and soft Dice."""

    name: Literal["ce_dice"] = "ce_dice"
    ce: CrossEntropyConfig = Field(default_factory=CrossEntropyConfig, description="settings of the cross-entropy")
    dice: DiceConfig = Field(default_factory=DiceConfig, description="settings of soft Dice")
    ce_weight: float = Field(default=1.0, ge=0, description="weight of the cross-entropy")
    dice_weight: float = Field(default=1.0, ge=0, description="weight of soft Dice")


RegionLossConfig = Annotated[CrossEntropyConfig | DiceConfig | CrossEntropyDiceConfig, Field(discriminator="name")]
"""A loss over regions, which a topological term can be added to."""


class RegionWiseConfig(Settings):
    """Region-wise loss with rectified maps."""

    name: Literal["region_wise"] = "region_wise"
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="maps of labels are kept in memory up to so many MiB; 0: none"
    )


def _dice_per_image() -> DiceConfig:
    return DiceConfig(absent="count", per_image=True)


def _foreground_dice() -> DiceConfig:
    return DiceConfig(background=False, absent="count", smooth=1.0)


class WeightedTermConfig(Settings):
    """``base_weight · base + alpha · term``: what all topological losses share."""

    base_weight: float = Field(default=1.0, ge=0, description="weight of the base loss; 0: the term alone")
    alpha: float = Field(default=0.5, ge=0, description="weight of the topological term")
    active_from: float = Field(
        default=0.0,
        ge=0,
        description="the term counts from this step on; below 1: from this share of all steps on (0.7: the last 30 %)",
    )


class TermConfig(WeightedTermConfig):
    """A term beside a loss over regions, which is a choice, too."""

    base: RegionLossConfig = Field(default_factory=_foreground_dice, description="ce, dice or ce_dice")


class BettiMatchingConfig(TermConfig):
    """Betti matching loss."""

    name: Literal["betti_matching"] = "betti_matching"
    filtration: Literal["superlevel", "sublevel", "bothlevel"] = Field(
        default="superlevel", description="bright pixels first, dark ones first, or the sum of both"
    )
    frame: Literal["none", "own-max", "zero"] = Field(
        default="none", description="a pixel around each image; own-max is the paper's relative"
    )
    essential: Literal["omit", "match"] = Field(
        default="omit",
        description="essential components: left out (Betti-Matching-3D), or matched with each other (Betti-matching)",
    )
    dimension_weights: tuple[Weight, Weight] = Field(default=(1.0, 1.0), description="of components and of holes")
    background: bool = Field(default=False, description="the background counts as a class")
    absent: Literal["skip", "count"] = Field(
        default="count", description="classes that an image doesn't show: left out, or all that is predicted is wrong"
    )
    crop: int | None = Field(default=None, ge=2, description="side of square windows to match in; by default the image")
    stride: int | None = Field(default=None, ge=1, description="step between windows; by default their side")
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None, ge=1, description="pairs matched at a time; by default as many as there are processors"
    )

    @model_validator(mode="after")
    def _stride_of_windows(self) -> BettiMatchingConfig:
        if self.stride is not None and self.crop is None:
            raise ValueError("stride: it is the step between windows; give crop, their side, too")
        return self


class ClDiceConfig(TermConfig):
    """Soft centreline Dice."""

    name: Literal["cldice"] = "cldice"
    base_weight: float = Field(default=0.5, ge=0, description="weight of the base loss; 0: the term alone")
    iterations: int = Field(
        default=3,
        ge=0,
        le=10_000,
        description="erosions of the soft skeleton: at least half the width of the structures, in pixels",
    )
    smooth: float = Field(default=1.0, gt=0, description="added to numerators and denominators")
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="skeletons of labels are kept in memory up to so many MiB (on a CPU); 0: none"
    )


class SkeletonRecallConfig(TermConfig):
    """Recall of the label's skeleton."""

    name: Literal["skeleton_recall"] = "skeleton_recall"
    base: RegionLossConfig = Field(default_factory=CrossEntropyConfig, description="ce, dice or ce_dice")
    alpha: float = Field(default=1.0, ge=0, description="weight of the topological term")
    tube: int = Field(default=2, ge=0, le=10_000, description="times the skeleton is dilated, inside the label")
    smooth: float = Field(default=1.0, gt=0, description="added to numerator and denominator")
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="skeletons of labels are kept in memory up to so many MiB; 0: none"
    )


class TopoLossConfig(TermConfig):
    """Distance of persistence diagrams."""

    name: Literal["topoloss"] = "topoloss"
    base: RegionLossConfig = Field(default_factory=CrossEntropyConfig, description="ce, dice or ce_dice")
    alpha: float = Field(default=100.0, ge=0, description="weight of the topological term, a mean over pixels")
    patch: int = Field(default=50, ge=2, description="side of the patches whose diagrams are compared, in pixels")
    frame: Literal["none", "own-max", "zero"] = Field(default="own-max", description="a pixel around each patch")
    dimension_weights: tuple[Weight, Weight] = Field(default=(1.0, 1.0), description="of components and of holes")
    min_persistence: float = Field(
        default=0.03, ge=0, lt=1, description="what the prediction has too much isn't removed up to this persistence"
    )
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None, ge=1, description="images worked on at a time; by default as many as there are processors"
    )


class TopoConfig(WeightedTermConfig):
    """A distance map in which regions stay apart, and whole."""

    name: Literal["topo"] = "topo"
    revision: Literal[2] = Field(default=2, description="of what is computed, so that older results are not reused")
    alpha: float = Field(default=1e-3, ge=0, description="weight of the topological term, a sum over windows")
    beta: float = Field(default=0.1, ge=0, description="weight of regions that should stay whole, inside the term")
    window: int = Field(default=64, ge=2, description="side of the windows, in pixels")
    d_max: float = Field(default=20.0, gt=0, description="distances are clipped here, in pixels")
    d_min: float = Field(
        default=10.0, gt=0, description="pixels that are to stay connected are at least so far from the structure"
    )
    margin: float = Field(
        default=5.0, ge=0, description="the structure is made so many pixels wider before it divides the background"
    )
    gaps: Literal["keep", "close"] = Field(
        default="keep",
        description="gaps of the label that the wider structure closes: they stay (keep), or are to be closed, as in "
        "the authors' code (close): a perfect prediction then costs something",
    )
    pixels_per_logit: float = Field(
        default=5.0, gt=0, description="pixels of distance that a difference of 1 between two logits stands for"
    )
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None, ge=1, description="images worked on at a time; by default as many as there are processors"
    )

    @model_validator(mode="after")
    def _distances_in_order(self) -> TopoConfig:
        if not self.margin < self.d_min <= self.d_max:
            raise ValueError(
                f"margin < d_min ≤ d_max is needed, found {self.margin:g}, {self.d_min:g} and {self.d_max:g}"
            )
        return self


class CbDiceConfig(TermConfig):
    """Centerline boundary Dice."""

    name: Literal["cbdice"] = "cbdice"
    base: RegionLossConfig = Field(
        default_factory=lambda: CrossEntropyDiceConfig(ce_weight=0.5, dice_weight=0.25, dice=_dice_per_image()),
        description="ce, dice or ce_dice",
    )
    alpha: float = Field(default=0.25, ge=0, description="weight of the topological term")
    smooth: float = Field(default=1.0, gt=0, description="added to numerators and denominators")
    weighting: Weighting = Field(
        default="inverse",
        description="how skeleton pixels of thin branches gain weight: 1 / radius (inverse: the authors' code of "
        "September 2024, and TopoMortar's), or falling linearly with the radius (linear: the authors' present code)",
    )
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=64, ge=0, description="skeletons of labels are kept in memory up to so many MiB; 0: none"
    )


class WarpingConfig(TermConfig):
    """Cross-entropy where homotopy warping finds the topology to differ."""

    name: Literal["warping"] = "warping"
    base: RegionLossConfig = Field(default_factory=_dice_per_image, description="ce, dice or ce_dice")
    alpha: float = Field(default=0.1, ge=0, description="weight of the topological term")
    connectivity: Literal[4, 8] = Field(default=4, description="of the foreground; the background has the other")
    mean_over: Literal["all", "critical"] = Field(
        default="all", description="the cross-entropy is divided by the number of all pixels, or of critical ones"
    )
    threads: Annotated[int | None, NotInIdentity()] = Field(
        default=None, ge=1, description="masks warped at a time; by default as many as there are processors"
    )


LossConfig = Annotated[
    CrossEntropyConfig
    | DiceConfig
    | CrossEntropyDiceConfig
    | RegionWiseConfig
    | BettiMatchingConfig
    | ClDiceConfig
    | SkeletonRecallConfig
    | TopoConfig
    | TopoLossConfig
    | CbDiceConfig
    | WarpingConfig,
    Field(discriminator="name"),
]
"""Any loss, told apart by ``name``. A new loss adds its config here, and its class to `wsss.losses.base.LOSSES`."""
