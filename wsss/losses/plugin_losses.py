"""Checks of the losses that other packages add."""

from __future__ import annotations

from wsss.errors import InvalidInput
from wsss.extensions import Entry, config_class
from wsss.losses.catalogue import LOSSES, target_of
from wsss.losses.config import LossSettings


def check_loss(name: str) -> None:
    """Validate the loss of another package by its name; those of `wsss` itself would only import torch.

    Raises:
        InvalidInput: see `check_entry`.
    """
    if not LOSSES.entry(name).own:
        check_entry(LOSSES.entry(name))


def check_entry(entry: Entry) -> None:
    """Validate the config and the class of a loss.

    Raises:
        InvalidInput: one cannot be imported or is not of its base class, or the config names no loss.
    """
    from wsss.losses.base import Loss

    config_class(entry, LossSettings)
    loss = target_of(entry)
    if not (isinstance(loss, type) and issubclass(loss, Loss)):
        raise InvalidInput(subject=f"{entry.subject}: loss", allowed="a subclass of wsss.losses.Loss", found=loss)
