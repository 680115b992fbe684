from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError
from toys import COUNT, DOUBLE, MAKE, ToyData, make_toy_data

from wsss.errors import InvalidInput
from wsss.pipeline.plan.identity import Contents, Fingerprints, identity_of, identity_parts, plain, ranks_of
from wsss.pipeline.plan.identity_changes import describe_changes
from wsss.pipeline.stage import Input, Result, Stage, StageConfig
from wsss.validation import InIdentityIfSet, NotInIdentity, Settings


def parts(stage: Any = MAKE, config: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    values = {"seed": 0, "inputs": {}, "fingerprints": Fingerprints(None), "contents": Contents(), **more}
    return identity_parts(stage, stage.config(**(config or {})), **values)


def test_the_identity_is_a_hash_of_canonical_json() -> None:
    result = parts()
    text = json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert identity_of(result) == hashlib.sha256(text.encode()).hexdigest()
    assert identity_of(json.loads(json.dumps(result))) == identity_of(result)  # as in stage.json


def test_every_part_changes_the_identity() -> None:
    other = Stage("make", 2, MAKE.config, MAKE.run, "numbers", "x")
    ids = [
        identity_of(parts()),
        identity_of(parts(config={"n": 5})),
        identity_of(parts(seed=1)),
        identity_of(parts(other)),
        identity_of(parts(DOUBLE, inputs={"numbers": "a"})),
        identity_of(parts(DOUBLE, inputs={"numbers": "b"})),
    ]
    assert len(set(ids)) == len(ids)


def test_paths_count_by_content_not_by_name(tmp_path: Path) -> None:
    for name, text in (("a", "same"), ("b", "same"), ("c", "other")):
        (tmp_path / name).write_text(text)
    a, b, c = (identity_of(parts(config={"weights": tmp_path / name})) for name in "abc")
    assert a == b != c


def test_a_folder_counts_by_names_and_bytes_of_its_visible_files(tmp_path: Path) -> None:
    def fill(folder: Path, files: dict[str, str]) -> str:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return Contents().of(folder)

    one = fill(tmp_path / "one", {"x/a.png": "1", "b.png": "2"})
    # Another value, for example by another order of the files, would run the stages of existing runs again.
    assert one == "f01ac2f6f1aa1abf74796a70c6d68fd795713349c618a05bd07febd77aefb007"
    assert fill(tmp_path / "two", {"b.png": "2", "x/a.png": "1", ".DS_Store": "junk", ".h/x": "y"}) == one
    assert fill(tmp_path / "three", {"x/a.png": "1", "c.png": "2"}) != one
    assert fill(tmp_path / "four", {"x/a.png": "1", "b.png": "3"}) != one
    with pytest.raises(InvalidInput) as error:
        Contents().of(tmp_path / "none")
    assert error.value.subject == str(tmp_path / "none")


def test_a_changed_file_is_hashed_again(tmp_path: Path) -> None:
    contents, path = Contents(), tmp_path / "a"
    path.write_text("1")
    first = contents.of(path)
    path.write_text("22")
    assert contents.of(path) != first


def test_fingerprints_are_computed_once(tmp_path: Path) -> None:
    data = ToyData(make_toy_data(tmp_path))
    fingerprints = Fingerprints(data)
    for _ in range(3):
        result = identity_parts(COUNT, COUNT.config(), 0, {}, fingerprints, Contents())
    assert data.asked == [("val", "masks")]
    assert result["reads"] == {"val/masks": hashlib.sha256(b"val masks").hexdigest()}


def test_reading_requires_a_dataset() -> None:
    with pytest.raises(InvalidInput) as caught:
        Fingerprints(None).of("val", "masks")
    assert "--data.root" in str(caught.value.hint)


def test_excluded_fields_do_not_count() -> None:
    class Config(StageConfig):
        a: int = 1
        chatty: bool = Field(False, exclude=True)

    stage = Stage("s", 1, Config, lambda ctx: Result({}), "numbers", "x")
    assert parts(stage) == parts(stage, {"chatty": True})


def test_marked_fields_do_not_count_but_are_shown() -> None:
    class Inner(Settings):
        steps: int = 1
        cache_mb: Annotated[int, NotInIdentity()] = Field(5, ge=0)

    class Config(StageConfig):
        train: Inner = Inner()
        folds: tuple[Inner, ...] = (Inner(),)
        by_name: dict[str, Inner] = Field(default_factory=lambda: {"a": Inner()})

    stage = Stage("s", 1, Config, lambda ctx: Result({}), "numbers", "x")
    other = {"train": {"cache_mb": 9}, "folds": [{"cache_mb": 8}], "by_name": {"a": {"cache_mb": 7}}}
    assert parts(stage) == parts(stage, other)
    assert parts(stage)["config"] == {"train": {"steps": 1}, "folds": [{"steps": 1}], "by_name": {"a": {"steps": 1}}}
    for changed in ({"train": {"steps": 2}}, {"folds": [{"steps": 2}]}, {"by_name": {"a": {"steps": 2}}}):
        assert parts(stage) != parts(stage, changed)
    with pytest.raises(ValidationError):
        Config.model_validate({"train": {"cache_mb": -1}})


def test_fields_that_count_if_they_are_set() -> None:
    class Before(StageConfig):
        n: int = 1

    class After(Before):
        ema: Annotated[float | None, InIdentityIfSet()] = Field(None, gt=0)

    before, after = (Stage("s", 1, config, lambda ctx: Result({}), "numbers") for config in (Before, After))
    assert parts(before) == parts(after) == parts(after, {"ema": None})
    assert parts(after, {"ema": 0.5})["config"] == {"n": 1, "ema": 0.5}
    assert describe_changes(parts(after), parts(after, {"ema": 0.5})) == ["config changed: ema added (0.5)"]


def test_a_field_that_a_stage_has_gained_is_named() -> None:
    class Before(StageConfig):
        n: int = 1

    class After(Before):
        method: Literal["cam", "layercam"] = "cam"

    before = Stage("s", 1, Before, lambda ctx: Result({}), "numbers", "x")
    after = replace(before, config=After, inputs={"tiles": Input(("tiles",), "tiles", optional=True)})
    assert describe_changes(parts(before), parts(after)) == [
        "config changed: method added (cam)",
        "input tiles declared",
    ]
    assert describe_changes(parts(after), parts(before)) == [
        "config changed: method left out (was cam)",
        "input tiles no longer declared",
    ]


def test_checkpoint_settings_do_not_count() -> None:
    from wsss.stages import STAGES

    for name in ("classify", "segment"):
        stage = replace(STAGES[name], reads=lambda config: ())
        train = {"checkpoint_every": 1.0, "checkpoint_steps": 3, "cache_mb": 0}
        assert parts(stage) == parts(stage, train)
        assert parts(stage) != parts(stage, {"epochs": 99})
        assert stage.config.model_validate(train).model_dump()["cache_mb"] == 0


def test_the_identity_of_every_stage_holds_its_dumped_config() -> None:
    from wsss.stages import STAGES

    unmarked = {
        "checkpoint_every",
        "checkpoint_steps",
        "cudnn_benchmark",
        "cache_mb",
        "corrections",
        "correction_weight",
    }
    gained = {
        "cam": {"clamp_weights"},
        "classify": {"freeze_to_stride"},
        "propagate": {"feature_levels", "attention_blocks", "backbone"},
        "segment": {"ema", "freeze_to_stride"},
        "snap": {"oracle"},
    }

    def without(value: Any, keys: set[str]) -> Any:
        return {k: without(v, keys) for k, v in value.items() if k not in keys} if isinstance(value, dict) else value

    for name in STAGES:
        stage = replace(STAGES[name], reads=lambda config: ())
        expected = without(plain(stage.config().model_dump()), unmarked | gained.get(name, set()))
        assert parts(stage)["config"] == expected


def test_plain_values() -> None:
    class Colour(Enum):
        RED = "red"

    class Nested(BaseModel):
        p: Path

    value = {"a": (1, {3, 2}), 4: Colour.RED, "p": Path("x"), "f": float("inf"), "n": Nested(p=Path("y")).model_dump()}
    assert plain(value) == {"a": [1, [2, 3]], "4": "red", "p": "x", "f": "inf", "n": {"p": "y"}}
    json.dumps(plain(value), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"config": {"iterations": 5, "g": {"w": 1}}}, ["config changed: iterations 10 → 5"]),
        ({"config": {"iterations": 10, "g": {"w": 2}}}, ["config changed: g.w 1 → 2"]),
        ({"config": {"iterations": 10, "g": {"w": 1, "s": 3}}}, ["config changed: g.s added (3)"]),
        ({"config": {"iterations": 10}}, ['config changed: g left out (was {"w": 1})']),
        ({"seed": 4}, ["seed changed: 0 → 4"]),
        ({"version": 2}, ["code of crf changed: version 1 → 2"]),
        ({"stage": "cam"}, ["stage changed: crf → cam"]),
        ({"inputs": {"masks": "b", "cams": None, "all": {"x": "1"}}}, ["input masks changed"]),
        ({"inputs": {"masks": "a", "cams": "c", "all": {"x": "1"}}}, ["input cams added"]),
        ({"inputs": {"masks": None, "cams": None, "all": {"x": "1"}}}, ["input masks left out"]),
        ({"inputs": {"masks": "a", "cams": None, "all": {"x": "2"}}}, ["input all: x changed"]),
        (
            {"inputs": {"masks": "a", "cams": None, "all": {"y": "1", "z": "1"}}},
            ["input all: y, z added", "input all: x left out"],
        ),
        ({"reads": {"train/images": "2"}}, ["images of train changed"]),
        ({"reads": {"train/images": "1", "val/masks": "1"}}, ["masks of val now read"]),
        ({"reads": {}}, ["images of train no longer read"]),
    ],
)
def test_changes_are_described(change: dict[str, Any], reasons: list[str]) -> None:
    old = {
        "stage": "crf",
        "version": 1,
        "seed": 0,
        "config": {"iterations": 10, "g": {"w": 1}},
        "inputs": {"masks": "a", "cams": None, "all": {"x": "1"}},
        "reads": {"train/images": "1"},
    }
    assert describe_changes(old, {**old, **change}) == reasons


def test_a_changed_file_is_described() -> None:
    one, two = {"config": {"weights": {"sha256": "a"}}}, {"config": {"weights": {"sha256": "b"}}}
    assert describe_changes(one, two) == ["config changed: content of weights"]
    assert describe_changes({"config": {"weights": None}}, one) == ["config changed: weights null → SHA-256 a…"]


def test_the_number_of_processes_counts_for_trainings() -> None:
    fingerprints, contents = Fingerprints(None), Contents()
    plain_stage = Stage("s", 1, StageConfig, lambda ctx: Result({}), "numbers", "x")
    trains = replace(plain_stage, trains=lambda config: 4)

    def of(stage: Stage[Any], ranks: int) -> dict[str, Any]:
        return identity_parts(stage, StageConfig(), 0, {}, fingerprints, contents, ranks)

    assert of(plain_stage, 1) == of(plain_stage, 3) == of(trains, 1)
    assert of(trains, 3) != of(trains, 2) != of(trains, 1)
    assert (ranks_of(of(trains, 3)), ranks_of(of(trains, 1)), ranks_of(of(plain_stage, 3))) == (3, 1, 1)
    assert describe_changes(of(trains, 2), of(trains, 1)) == [
        "number of processes (and thus the effective batch) changed: 2 → 1"
    ]
    assert describe_changes(of(trains, 1), of(trains, 2))[0].endswith("1 → 2")


def test_every_stage_that_trains_declares_it() -> None:
    from wsss.stages import STAGES
    from wsss.train.config import TrainConfig

    training = {name for name in STAGES if issubclass(STAGES[name].config, TrainConfig)}
    assert training == {name for name in STAGES if STAGES[name].trains is not None}
    assert training == {"classify", "expand", "shrink", "affinity", "segment"}
    for name in training:
        config = STAGES[name].config.model_validate({"batch_size": 3, "accumulate": 5})
        assert STAGES[name].trains(config) == 15
