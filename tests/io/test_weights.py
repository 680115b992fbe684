"""Model folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wsss.errors import InvalidInput
from wsss.io.weights import DESCRIPTION, WEIGHTS, load_description, load_weights, save_model


def test_round_trip_and_equal_bytes(tmp_path: Path) -> None:
    weights = {
        "a.weight": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).t(),  # not contiguous
        "b": torch.arange(5),
        "c": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    }
    for name in ("one", "two"):
        save_model(tmp_path / name, weights, {"classes": ["cat"], "size": 3})
    found = load_weights(tmp_path / "one")
    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert load_description(tmp_path / "one") == {"classes": ["cat"], "size": 3}
    for file in (WEIGHTS, DESCRIPTION):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    weights = {"head.weight": torch.zeros(2, 2), "low.bias": torch.zeros(3), "high.bias": torch.zeros(3)}
    weights["low.bias"][1] = value
    save_model(tmp_path, weights, {})
    with pytest.raises(InvalidInput, match=r"model\.safetensors: tensor 'low\.bias'.* in 1 of 3 values\.\n") as caught:
        load_weights(tmp_path)
    assert caught.value.hint
    weights["head.weight"][0] = value
    save_model(tmp_path, weights, {})
    with pytest.raises(InvalidInput, match="in all 2 of 3 tensors: "):
        load_weights(tmp_path)


def test_a_negative_variance_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, {"bn.running_var": torch.tensor([1.0, -0.5]), "bn.running_mean": torch.tensor([-1.0])}, {})
    with pytest.raises(InvalidInput, match=r"'bn\.running_var': expected variances of 0 or more, got -0\.5"):
        load_weights(tmp_path)


def test_the_description_is_written_last(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_model(tmp_path, {"a": torch.zeros(1)}, {"x": float("nan")})
    assert (tmp_path / WEIGHTS).is_file() and not (tmp_path / DESCRIPTION).exists()
    with pytest.raises(InvalidInput, match=r"no model here \(model\.json is missing\)"):
        load_description(tmp_path)


def test_broken_files_are_named(tmp_path: Path) -> None:
    save_model(tmp_path, {"a": torch.zeros(100)}, {})
    content = (tmp_path / WEIGHTS).read_bytes()
    for wrong in (b"", content[:7], content[:-1], b"\xff" * 64, b"PK\x03\x04" + content):
        (tmp_path / WEIGHTS).write_bytes(wrong)
        with pytest.raises(InvalidInput, match=r"model\.safetensors: not a readable"):
            load_weights(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(InvalidInput, match=r"model\.safetensors: no such file"):
        load_weights(tmp_path)
    for wrong_json, words in (("{", "not valid JSON"), ("[1]", "expected a JSON object"), ("\xff", "not valid JSON")):
        (tmp_path / DESCRIPTION).write_text(wrong_json, encoding="latin-1")
        with pytest.raises(InvalidInput, match=words):
            load_description(tmp_path)
