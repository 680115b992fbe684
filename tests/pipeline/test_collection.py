"""The garbage collector is paused, and afterwards as before, also after an error."""

from __future__ import annotations

import gc

import pytest

from wsss.pipeline.run.execute import paused_collection


def test_paused_inside_only() -> None:
    with paused_collection():
        assert not gc.isenabled()
        with paused_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_enabled_again_after_an_error() -> None:
    with pytest.raises(KeyError), paused_collection():
        raise KeyError
    assert gc.isenabled()
