from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wsss.errors import InvalidInput
from wsss.io.weights import DESCRIPTION, WEIGHTS, load_description, load_weights, save_model


def test_round_trip_is_deterministic(tmp_path: Path) -> None:
    weights = {
        "a.weight": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).t(),  # not contiguous
        "b": torch.arange(5),
        "c": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    }
    for name in ("one", "two"):
        save_model(tmp_path / name, weights, {"classes": ["cat"], "size": 3})
    result = load_weights(tmp_path / "one")
    assert result.keys() == weights.keys()
    for name, tensor in weights.items():
        assert result[name].dtype == tensor.dtype
        assert torch.equal(result[name], tensor)
    assert load_description(tmp_path / "one") == {"classes": ["cat"], "size": 3}
    for file in (WEIGHTS, DESCRIPTION):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_weights_are_refused(tmp_path: Path, value: float) -> None:
    weights = {"head.weight": torch.zeros(2, 2), "low.bias": torch.zeros(3), "high.bias": torch.zeros(3)}
    weights["low.bias"][1] = value
    save_model(tmp_path, weights, {})
    with pytest.raises(InvalidInput) as error:
        load_weights(tmp_path)
    assert error.value.subject == f"{tmp_path / WEIGHTS}: tensor 'low.bias'" and "1 of 3 values" in error.value.problem
    weights["head.weight"][0] = value
    save_model(tmp_path, weights, {})
    with pytest.raises(InvalidInput) as error:
        load_weights(tmp_path)
    assert str(error.value.subject).startswith(str(tmp_path / WEIGHTS)) and "2 of 3 tensors" in error.value.problem


def test_negative_variance_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, {"bn.running_var": torch.tensor([1.0, -0.5]), "bn.running_mean": torch.tensor([-1.0])}, {})
    with pytest.raises(InvalidInput) as error:
        load_weights(tmp_path)
    assert "'bn.running_var'" in str(error.value.subject) and error.value.found == -0.5


def test_description_is_written_last(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_model(tmp_path, {"a": torch.zeros(1)}, {"x": float("nan")})
    assert (tmp_path / WEIGHTS).is_file() and not (tmp_path / DESCRIPTION).exists()
    with pytest.raises(InvalidInput) as error:
        load_description(tmp_path)
    assert error.value.subject == str(tmp_path)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, {"a": torch.zeros(100)}, {})
    content = (tmp_path / WEIGHTS).read_bytes()
    for wrong in (b"", content[:7], content[:-1], b"\xff" * 64, b"PK\x03\x04" + content, None):
        if wrong is None:
            (tmp_path / WEIGHTS).unlink()
        else:
            (tmp_path / WEIGHTS).write_bytes(wrong)
        with pytest.raises(InvalidInput) as error:
            load_weights(tmp_path)
        assert error.value.subject == str(tmp_path / WEIGHTS)
    for wrong in (b"{", b"[1]", b"\xff"):
        (tmp_path / DESCRIPTION).write_bytes(wrong)
        with pytest.raises(InvalidInput) as error:
            load_description(tmp_path)
        assert error.value.subject == str(tmp_path / DESCRIPTION)
