"""Base class of the losses, and the form of predictions and targets.

A loss is a module called with

* ``logits`` ``(B, C, H, W)``, any real values, and
* ``target`` ``(B, H, W)`` int64, class indices 0 … C − 1, or 255 for ignored pixels; for losses with
  `Loss.takes_soft` also class probabilities ``(B, C, H, W)``, all 0 at ignored pixels.

Logits of one channel, ``(B, 1, H, W)``, are those of the foreground. `prepared` and `InputForm` convert other forms.

The result is a scalar. Neither its value nor its gradient depends on the logits of ignored pixels, even if these are
NaN; if all pixels are ignored, the loss is 0 with zero gradients. NaN at any other pixel gives NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.catalogue import LOSSES, loss_class
from wsss.losses.config import InputForm
from wsss.losses.constructor import part_of, signature_of, takes_positional, with_form
from wsss.losses.conversion import converted
from wsss.losses.inputs import check_distribution, check_foreground, check_form, check_logits
from wsss.losses.targets import check_indices, checked_once, has_ignored, has_labelled
from wsss.validation import Settings, validate


class Loss(nn.Module):
    """Base class of all losses. Keyword arguments are the fields of `config_type` and of `InputForm`.

    Attributes:
        config_type: pydantic model of the settings.
        takes_soft: whether the target may be probabilities; other losses get `hard` targets.
        traceable: whether ``torch.compile`` can trace the loss; one that computes in NumPy runs outside its graphs.
        config: the validated settings.
        form: form of predictions and targets.
    """

    config_type: ClassVar[type[Settings]] = Settings
    takes_soft = False
    traceable: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = signature_of(cls.config_type)  # type: ignore[attr-defined]

    def __new__(cls, *positional: Any, **settings: Any) -> Self:
        """Refuse positional arguments, unless a subclass has a constructor that takes them."""
        if positional and not takes_positional(cls):
            names = [name for name in cls.config_type.model_fields if name != "name"]
            raise InvalidInput(
                subject=cls.__name__,
                found=Verbatim(counted(len(positional), "positional argument")),
                allowed=f"keyword arguments, such as {names[0]}=…" if names else "keyword arguments",
            )
        return super().__new__(cls)

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        plain = {key: self._plain(key, value, settings) for key, value in settings.items()}
        valid = validate(with_form(self.config_type), plain, where=type(self).__name__)
        self.config: Any = part_of(valid, self.config_type)
        self.form = part_of(valid, InputForm)

    def _plain(self, key: str, value: Any, settings: Mapping[str, Any]) -> Any:
        """Return the config of an inner loss: of ``base=DiceLoss()`` or ``base="dice"``.

        Raises:
            InvalidInput: an inner loss with a form of its own, or of a class derived from its config's loss; both would
                have no effect.
        """
        if key == "base" and isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Loss):
            return value
        subject, outer = f"{type(self).__name__}.{key}", type(self).__name__
        name = str(getattr(value.config, "name", ""))
        if name in LOSSES and loss_class(name) is not type(value):
            raise InvalidInput(
                "only the settings of an inner loss are used",
                subject=subject,
                found=Verbatim(type(value).__name__),
                allowed=f"a {loss_class(name).__name__}",
                hint=f"Add both losses: {outer}(base_weight=0, …) and {type(value).__name__}(…).",
            )
        for field, setting in value.form:
            default = InputForm.model_fields[field].default
            if setting not in (default, settings.get(field, default)):
                raise InvalidInput(
                    "the outer loss determines this setting of its inner losses",
                    subject=f"{subject}.{field}",
                    found=setting,
                    allowed=repr(settings.get(field, default)),
                    hint=f"Pass it to the outer loss: {outer}({field}={setting!r}, …).",
                )
        return value.config

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Build the loss of a pipeline from its config."""
        return cls(**dict(config))

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of predictions and target, in the form set in the constructor.

        Raises:
            InvalidInput: the predictions or the target do not have the expected form.
        """
        if torch.compiler.is_compiling() and not self.traceable:
            # Only here: torch.compiler.disable imports Dynamo, which takes seconds.
            return torch.compiler.disable(Loss._mean)(self, logits, target)
        return self._mean(logits, target)

    def _mean(self, logits: Tensor, target: Tensor) -> Tensor:
        with checked_once():
            losses = [
                super(Loss, self).__call__(values, labels if self.takes_soft else _hardened(values, labels))
                for values, labels in converted(logits, target, self.form)
            ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()

    def begin_step(self, step: int, steps: int) -> None:
        """Announce training step ``step`` of ``steps`` (from 0), for losses that change during training.

        Raises:
            InvalidInput: not integers, or ``step`` outside 0 … ``steps`` − 1.
        """
        for subject, value, least in (("begin_step.steps", steps, 1), ("begin_step.step", step, 0)):
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise InvalidInput(subject=subject, found=value, allowed=f"an integer of at least {least}")
        if step >= steps:
            raise InvalidInput(subject="begin_step.step", found=step, allowed=f"0 to {steps - 1}, counted from 0")

    def extra_repr(self) -> str:
        """Return the settings, except those of inner losses and forms at their defaults."""
        shown = {name: value for name, value in self.config if name != "name" and not isinstance(value, Settings)}
        shown |= {name: value for name, value in self.form if value != InputForm.model_fields[name].default}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of ``logits`` ``(B, C, H, W)`` and ``target`` ``(B, H, W)``."""
        raise NotImplementedError


def build_loss(config: Any) -> Loss:
    """Build a loss from its config (see `wsss.losses.any_loss.LossConfig`).

    Raises:
        InvalidInput: unknown name.
    """
    loss: Loss = loss_class(config.name).from_config(config)
    return loss


def labelled(target: Tensor) -> Tensor:
    """Return ``(B, H, W)`` bool: the pixels that are not ignored."""
    return target.sum(1) > 0.5 if is_soft(target) else target != IGNORE


def labelled_mask(target: Tensor) -> Tensor | None:
    """Return the `labelled` pixels, or ``None`` if no pixel is ignored, which saves passes over all pixels.

    The mask of an empty target is empty.
    """
    if not is_soft(target):
        return labelled(target) if has_ignored(target) or not target.numel() else None
    mask = labelled(target)
    return None if mask.numel() and mask.all() else mask


def is_unlabelled(target: Tensor, mask: Tensor | None) -> bool:
    """Return whether all pixels are ignored.

    Args:
        target: see `wsss.losses.base`.
        mask: its `labelled_mask`.
    """
    if mask is None:
        return False
    return not (mask.any() if is_soft(target) else has_labelled(target))


def is_soft(target: Tensor) -> bool:
    """Return whether a target holds probabilities ``(B, C, H, W)`` rather than class indices."""
    return target.ndim == 4 and target.is_floating_point()


def hard(target: Tensor) -> Tensor:
    """Return the most probable class of each pixel, ``(B, H, W)`` int64, 255 at ignored pixels.

    Class indices are returned unchanged.
    """
    return target.argmax(1).masked_fill_(~labelled(target), IGNORE) if is_soft(target) else target


def _hardened(logits: Tensor, target: Tensor) -> Tensor:
    """Return class indices ``(B, H, W)`` int64 of a target of any form; floats are validated."""
    if target.is_floating_point():
        return hard(prepared(logits, target)[1])
    target = target.squeeze(1) if target.ndim == 4 and target.shape[1] == 1 else target
    return target.long()


def full_precision(logits: Tensor) -> Tensor:
    """Return half-precision logits as float32, since sums over pixels need it."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def prepared(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Validate logits and target and convert them to the form that losses compute with.

    Args:
        logits: ``(B, C, H, W)`` of any float type. One channel is the foreground's: a background logit of 0 is added,
            with which softmax equals the sigmoid of the foreground.
        target: ``(B, H, W)`` or ``(B, 1, H, W)`` class indices of bool or any integer type; or probabilities
            ``(B, C, H, W)``; or, with logits of one channel, foreground probabilities ``(B, 1, H, W)``.

    Returns:
        Logits ``(B, max(C, 2), H, W)``, float32 or float64, and a target as described in `wsss.losses.base`. Logits of
        ignored pixels are 0 without a gradient, so that losses never see NaN there.

    Raises:
        InvalidInput: mismatched shapes, class indices as floats or out of range, or invalid probabilities.
    """
    check_logits(logits)
    channels = logits.shape[1]
    if channels == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    if target.ndim == 4 and target.shape[1] == 1:
        if not target.is_floating_point():
            target = target.squeeze(1)
        elif channels == 1:
            check_foreground(target)
            target = torch.cat([1 - target, target], 1)
    check_form(target, logits, channels)
    logits = full_precision(logits)
    if is_soft(target):
        check_distribution(target)
        target = target.to(logits.dtype)
    else:
        target = target if target.dtype == torch.int64 else target.long()
        check_indices(target, logits.shape[1])
    mask = labelled_mask(target)
    return (logits if mask is None else torch.where(mask.unsqueeze(1), logits, 0.0)), target


def weighted_logs(weights: Tensor, logs: Tensor) -> Tensor:
    """Return ``weights · logs``, with a finite gradient; 0 where the weight is 0, even if the logarithm is −∞."""
    return weights * logs.masked_fill((weights == 0) & logs.isneginf(), 0.0)


def zero_loss(logits: Tensor) -> Tensor:
    """Return 0, connected to ``logits`` with zero gradients whatever their values."""
    return full_precision(logits[:0]).sum()


def nan_loss(logits: Tensor) -> Tensor:
    """Return NaN, connected to ``logits`` with NaN gradients."""
    return (full_precision(logits) * math.nan).sum()
