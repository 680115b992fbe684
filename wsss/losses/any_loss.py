"""The union of the configs of all losses, those of other packages included.

It is separate from `wsss.losses.config`, so that these packages can import their base classes from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from wsss.losses.catalogue import LOSSES
from wsss.losses.config import LossSettings

if TYPE_CHECKING:
    LossConfig = LossSettings
else:
    LossConfig = Annotated[Union[tuple(LOSSES.usable(LossSettings))], Field(discriminator="name")]  # noqa: UP007
"""The config of any loss in `wsss.losses.catalogue.LOSSES`, selected by ``name``.

`wsss.losses.base.build_loss` builds the class that the config's class attribute ``loss`` names.
"""
