"""A failing download of initial weights does not cost the network of an earlier run."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
from learning import coloured_dataset

from wsss.cli.main import _call


@pytest.mark.slow
def test_an_earlier_classifier_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = coloured_dataset(tmp_path / "data")
    rows = [
        f"{sample.id},{' '.join(data.classes.names[label] for label in sample.labels)}"
        for sample in data.split("train")
    ]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(["image_id,labels", *rows]) + "\n")
    values = [f"{value[0]} {name}" for name, value in zip(data.classes.names[1:], data.classes.values[1:], strict=True)]
    (tmp_path / "data" / "classes.txt").write_text("\n".join(values) + "\n")
    (tmp_path / "data" / "splits").mkdir()
    (tmp_path / "data" / "splits" / "train.txt").write_text("".join(f"{sample.id}\n" for sample in data.split("train")))
    settings = ["backbone.name=resnet18", "backbone.weights=none", "steps=1", "epochs=null", "augmentation.size=32"]
    command = ["classify", "--data.root", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--workers", "0"]
    options = [word for setting in settings for word in ("--set", setting)]
    assert _call([*command, *options]) == 0
    before = (tmp_path / "out" / "model.safetensors").read_bytes()

    def no_network(*_: object, **__: object) -> None:
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    assert _call([*command, *options, "--set", "backbone.weights=imagenet-v1", "--force"]) == 1
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    assert (tmp_path / "out" / "stage.json").is_file()
