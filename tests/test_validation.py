from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from wsss.errors import InvalidInput
from wsss.model_fields import discriminator_at
from wsss.validation import Settings, validate


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
    threshold: float | Literal["none"] = "none"
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
        if self.optional == 98:
            raise ValueError("expected an optional below 98")
        return self


def error_of(value: dict[str, Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        validate(Model, value, where="with", locate=lambda path: f"f.yaml:{len(path)}")
    return caught.value


def test_valid_values_become_the_model() -> None:
    model = validate(Model, {"policy": {"kind": "power", "alpha": "1e-4"}, "with": {"a": 1}}, where="")
    assert model.policy == Power(kind="power", alpha=1e-4)
    assert model.with_ == {"a": 1}


@pytest.mark.parametrize(
    ("value", "subject", "found", "allowed"),
    [
        ({"policy": {"kind": "fixed", "treshold": 1}}, "2: with.policy.treshold", "treshold", ("kind", "threshold")),
        ({"policy": {"kind": "fix"}}, "2: with.policy.kind", "fix", ("fixed", "power")),
        ({"policy": {"threshold": 1}}, "2: with.policy.kind", None, ("fixed", "power")),
        ({"policy": {"kind": "power"}}, "2: with.policy.alpha", None, None),
        ({"union": {"kind": "power", "alpha": "x"}}, "2: with.union.alpha", "x", "a number"),
        ({"optional": "a"}, "1: with.optional", "a", "an integer"),
        ({"scales": [1, "b"]}, "2: with.scales.1", "b", "a number"),
        ({"scales": None}, "1: with.scales", "null", "a list"),
        ({"mixed": {}}, "1: with.mixed", {}, "an integer, text or a list"),
        ({"threshold": "many"}, "1: with.threshold", "many", "a number or none"),
        ({"inner": {"count": 0}}, "2: with.inner.count", 0, "a number above 0"),
        ({"inners": [{"count": 1}, {"k": 1}]}, "3: with.inners.1.k", "k", ("count",)),
        ({"named": {"a": {"count": "x"}}}, "3: with.named.a.count", "x", "an integer"),
        ({"choice": "tree"}, "1: with.choice", "tree", ("one", "three")),
        ({"optional": 99}, "1: with", None, None),
        ({"optional": 98}, "1: with", None, None),
    ],
)
def test_errors_hold_location_key_value_and_allowed_values(
    value: dict[str, Any], subject: str, found: Any, allowed: Any
) -> None:
    error = error_of(value)
    assert (error.subject, error.found, error.allowed) == (f"f.yaml:{subject}", found, allowed)
    assert error.errors == ()


def test_closest_key_is_suggested() -> None:
    error = error_of({"wit": {}})
    assert error.subject == "f.yaml:1: with.wit" and error.message.endswith("did you mean 'with'?")


def test_closest_member_of_a_union_is_reported() -> None:
    first, second = error_of({"union": {"kind": "power", "alhpa": 1}}).errors
    assert first.subject == "f.yaml:2: with.union.alpha"
    assert (second.subject, second.found, second.allowed) == ("f.yaml:2: with.union.alhpa", "alhpa", ("alpha", "kind"))


def test_all_problems_are_reported_at_once() -> None:
    error = error_of({"optional": "a", "choice": "b", "nope": 1})
    assert error.message.splitlines() == [one.message for one in error.errors]
    assert [one.found for one in error.errors] == ["a", "b", "nope"]


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
def test_discriminators(path: tuple[str, ...], expected: str | None) -> None:
    assert discriminator_at(Holder, path) == expected


def test_long_values_are_truncated() -> None:
    assert len(error_of({"optional": "x" * 5000}).message) < 300


class Margins(Settings):
    name: Literal["margins"]
    low: float = 1.0
    high: float = 2.0
    lists: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (1,)

    @model_validator(mode="after")
    def _ordered(self) -> Margins:
        if self.low > self.high:
            raise ValueError("expected low < high")
        if self.low == 0:
            raise ValueError("low: 0 and high exclude each other")
        return self


class Other(Settings):
    name: Literal["other"]


class Nested(Settings):
    inner: Annotated[Margins | Other, Field(discriminator="name")] = Margins(name="margins")


@pytest.mark.parametrize(
    ("value", "subject", "allowed"),
    [
        ({"low": 3}, "at low: inner", None),
        ({"low": 3, "high": 2.5}, "at low and at high: inner", None),
        ({"low": 0, "high": 1}, "at low: inner", None),
        ({"high": 0}, "at high: inner", None),
        ({"lists": [0]}, "at lists: inner.lists.0", "a number above 0"),
        ({"lists": []}, "at lists: inner.lists", "a length of at least 1"),
        ({"high": float("inf")}, "at high: inner.high", "a finite number"),
        ({"high": float("nan")}, "at high: inner.high", "a finite number"),
    ],
)
def test_rule_about_several_keys_is_located_by_the_keys_it_names(
    value: dict[str, Any], subject: str, allowed: str | None
) -> None:
    def locate(path: tuple[str | int, ...]) -> str:
        return f"at {path[1]}" if len(path) > 1 else "elsewhere"

    with pytest.raises(InvalidInput) as caught:
        validate(Nested, {"inner": {"name": "margins", **value}}, where="", locate=locate)
    assert (caught.value.subject, caught.value.allowed) == (subject, allowed)
