from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from wsss.errors import InvalidInput
from wsss.validation import Settings, discriminator_at, validate


class Base(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fixed(Base):
    kind: Literal["fixed"] = "fixed"
    threshold: float = 0.3


class Power(Base):
    kind: Literal["power"]
    alpha: float


class Inner(Base):
    count: Annotated[int, Field(gt=0)] = 1


class Model(Base):
    policy: Annotated[Fixed | Power, Field(discriminator="kind")] = Fixed()
    union: Fixed | Power = Fixed()
    optional: int | None = 1
    scales: tuple[float, ...] = (1.0,)
    mixed: int | str | list[int] = 2
    inner: Inner = Inner()
    inners: list[Inner] = []
    named: dict[str, Inner] = {}
    choice: Literal["one", "three"] = "one"
    file: Path | None = None
    with_: dict[str, Any] = Field(default={}, alias="with")

    @model_validator(mode="after")
    def _rule(self) -> Model:
        if self.optional == 99:
            raise ValueError("optional may not be 99")
        return self


def message(value: dict[str, Any]) -> str:
    def locate(path: tuple[str | int, ...]) -> str:
        return f"f.yaml:{len(path)}"

    with pytest.raises(InvalidInput) as caught:
        validate(Model, value, where="with", locate=locate)
    return caught.value.message


def test_valid_values_become_the_model() -> None:
    model = validate(Model, {"policy": {"kind": "power", "alpha": "1e-4"}, "with": {"a": 1}}, where="")
    assert model.policy == Power(kind="power", alpha=1e-4)
    assert model.with_ == {"a": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"wit": {}},
            "f.yaml:1: with.wit: unknown key; allowed are choice, file, inner, inners, mixed, named, optional, policy, "
            "scales, union, with; did you mean 'with'?",
        ),
        (
            {"policy": {"kind": "fixed", "treshold": 1}},
            "f.yaml:2: with.policy.treshold: unknown key; allowed are kind, threshold; did you mean 'threshold'?",
        ),
        (
            {"policy": {"kind": "fix"}},
            "f.yaml:2: with.policy.kind: found 'fix'; allowed are fixed, power; did you mean 'fixed'?",
        ),
        (
            {"policy": {"threshold": 1}},
            "f.yaml:2: with.policy.kind: this key is required and missing; allowed are fixed, power",
        ),
        ({"policy": {"kind": "power"}}, "f.yaml:2: with.policy.alpha: this key is required and missing"),
        (
            {"union": {"kind": "power", "alpha": "x"}},
            "f.yaml:2: with.union.alpha: input should be a valid number, unable to parse string as a number; found 'x'",
        ),
        (
            {"optional": "a"},
            "f.yaml:1: with.optional: input should be a valid integer, unable to parse string as an integer; found 'a'",
        ),
        (
            {"scales": [1, "b"]},
            "f.yaml:2: with.scales.1: input should be a valid number, unable to parse string as a number; found 'b'",
        ),
        (
            {"mixed": {}},
            "f.yaml:1: with.mixed: should be a valid integer, or should be a valid string, or should be a valid list; "
            "found {}",
        ),
        ({"inner": {"count": 0}}, "f.yaml:2: with.inner.count: input should be greater than 0; found 0"),
        ({"inners": [{"count": 1}, {"k": 1}]}, "f.yaml:3: with.inners.1.k: unknown key; allowed are count"),
        (
            {"named": {"a": {"count": "x"}}},
            "f.yaml:3: with.named.a.count: input should be a valid integer, unable to parse string as an integer; "
            "found 'x'",
        ),
        (
            {"choice": "tree"},
            "f.yaml:1: with.choice: input should be 'one' or 'three'; found 'tree'; did you mean 'three'?",
        ),
        ({"optional": 99}, "f.yaml:1: with: optional may not be 99"),
    ],
)
def test_messages_name_place_key_found_and_allowed(value: dict[str, Any], expected: str) -> None:
    assert message(value) == expected


def test_the_meant_member_of_a_union_speaks() -> None:
    assert message({"union": {"kind": "power", "alhpa": 1}}).splitlines() == [
        "f.yaml:2: with.union.alpha: this key is required and missing",
        "f.yaml:2: with.union.alhpa: unknown key; allowed are alpha, kind; did you mean 'alpha'?",
    ]


def test_all_problems_are_found_at_once() -> None:
    assert len(message({"optional": "a", "choice": "b", "nope": 1}).splitlines()) == 3


Alias = Annotated[Fixed | Power, Field(discriminator="kind")]


class Holder(Base):
    plain: Alias = Fixed()
    optional: Alias | None = None
    many: list[Alias] = []
    nested: Model = Model()
    none: Fixed | Power = Fixed()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("plain",), "kind"),
        (("optional",), "kind"),
        (("nested", "policy"), "kind"),
        (("nested",), None),
        (("none",), None),
        (("plain", "threshold"), None),
        (("no", "such"), None),
        ((), None),
    ],
)
def test_discriminators_are_found(path: tuple[str, ...], expected: str | None) -> None:
    assert discriminator_at(Holder, path) == expected


def test_long_values_are_cut() -> None:
    assert len(message({"optional": "x" * 5000})) < 300


class Margins(Settings):
    name: Literal["margins"]
    low: float = 1.0
    high: float = 2.0
    lists: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (1,)

    @model_validator(mode="after")
    def _ordered(self) -> Margins:
        if self.low > self.high:
            raise ValueError("low < high is needed")
        if self.low == 0:
            raise ValueError("low: 0 does not go with high")
        return self


class Other(Settings):
    name: Literal["other"]


class Nested(Settings):
    inner: Annotated[Margins | Other, Field(discriminator="name")] = Margins(name="margins")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"low": 3}, "at low: inner: low < high is needed"),
        ({"low": 3, "high": 2.5}, "at low and at high: inner: low < high is needed"),
        ({"low": 0, "high": 1}, "at low: inner: low: 0 does not go with high"),
        ({"high": 0}, "at high: inner: low < high is needed"),
        ({"lists": [0]}, "at lists: inner.lists.0: input should be greater than 0; found 0"),
        ({"high": float("inf")}, "at high: inner.high: input should be a finite number; found inf"),
        ({"high": float("nan")}, "at high: inner.high: input should be a finite number; found nan"),
    ],
)
def test_a_rule_about_several_keys_is_located_by_those_it_names(value: dict[str, Any], expected: str) -> None:
    def locate(path: tuple[str | int, ...]) -> str:
        return f"at {path[1]}" if len(path) > 1 else "elsewhere"

    with pytest.raises(InvalidInput) as caught:
        validate(Nested, {"inner": {"name": "margins", **value}}, where="", locate=locate)
    assert caught.value.message == expected
