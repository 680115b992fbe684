from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import TOYS

from wsss.errors import InvalidInput
from wsss.pipeline.config.source import Source, parse_yaml
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.plan.graph import build_jobs
from wsss.pipeline.plan.job import Job, downstream, select, upstream


def jobs_of(text: str) -> dict[str, Job]:
    return build_jobs(spec_from(parse_yaml("name: t\n" + text, "p.yaml")), TOYS)


def error(text: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        jobs_of(text)
    return caught.value


def test_jobs_are_in_topological_order_and_bound_to_their_inputs() -> None:
    jobs = jobs_of("""\
seed: 4
stages:
  train: {uses: train, needs: [double], seed: 9, with: {steps: 2}}
  double: {uses: double, needs: [make]}
  make: {uses: make}
""")
    assert list(jobs) == ["make", "double", "train"]
    assert jobs["train"].inputs == {"numbers": ("double",), "start": ()}
    assert jobs["train"].config.model_dump()["steps"] == 2
    assert (jobs["train"].seed, jobs["double"].seed) == (9, 4)


MATRIX = """\
matrix:
  loss: [ce, dice]
  size: {small: {n: 1}, large: {n: 2}}
  seed: [0, 1]
stages:
  make: {uses: make, with: {n: "${{ matrix.size.n }}"}}
  plain: {uses: make}
  double: {uses: double, needs: [plain]}
  train: {uses: train, needs: [make], seed: "${{ matrix.seed }}"}
  all: {uses: gather, needs: [train, double]}
"""


def test_a_stage_fans_out_over_the_axes_of_its_references_and_needs() -> None:
    jobs = jobs_of(MATRIX)
    assert list(jobs) == [
        "make@size=small",
        "make@size=large",
        "plain",
        "double",
        "train@size=small,seed=0",
        "train@size=small,seed=1",
        "train@size=large,seed=0",
        "train@size=large,seed=1",
        "all",
    ]
    assert jobs["train@size=large,seed=1"].inputs["numbers"] == ("make@size=large",)
    assert jobs["train@size=large,seed=1"].seed == 1
    assert jobs["make@size=large"].config.model_dump()["n"] == 2
    assert len(jobs["all"].inputs["stages"]) == 5  # many: all instances, no fan


def test_a_collecting_stage_that_refers_to_an_axis_collects_the_instances_that_agree() -> None:
    jobs = jobs_of(MATRIX.replace("needs: [train, double]", 'needs: [train], with: {title: "of ${{ matrix.seed }}"}'))
    assert jobs["all@seed=1"].inputs["stages"] == ("train@size=small,seed=1", "train@size=large,seed=1")


def test_a_disabled_stage_is_replaced_by_its_needs() -> None:
    jobs = jobs_of("""\
stages:
  make: {uses: make}
  double: {uses: double, needs: [make], enabled: false}
  again: {uses: double, needs: [double], enabled: false}
  train: {uses: train, needs: [again]}
  all: {uses: gather, needs: [train, double]}
""")
    assert list(jobs) == ["make", "train", "all"]
    assert jobs["train"].inputs["numbers"] == ("make",)
    assert jobs["all"].inputs["stages"] == ("train", "make")


def test_a_stage_may_be_disabled_at_some_points_of_the_matrix() -> None:
    jobs = jobs_of("""\
matrix: {way: {with: {on: true}, without: {on: false}}}
stages:
  make: {uses: make}
  double: {uses: double, needs: [make], enabled: "${{ matrix.way.on }}"}
  train: {uses: train, needs: [double]}
""")
    assert list(jobs) == ["make", "double@way=with", "train@way=with", "train@way=without"]
    assert jobs["train@way=with"].inputs["numbers"] == ("double@way=with",)
    assert jobs["train@way=without"].inputs["numbers"] == ("make",)


def test_dependants_of_an_invalid_stage_are_not_reported() -> None:
    invalid = error("stages:\n  a: {uses: make, with: {text: '${{ matrix.f }}'}}\n  b: {uses: double, needs: [a]}\n")
    assert invalid.subject == "p.yaml:3: stages.a" and not invalid.errors


def test_enabled_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "stages:\n  make: {uses: make}\n  double: {uses: double, needs: [make], enabled: '${{ env.ON }}'}\n"
    monkeypatch.setenv("ON", "False")
    assert list(jobs_of(text)) == ["make"]
    monkeypatch.setenv("ON", "maybe")
    assert (error(text).subject, error(text).found) == ("p.yaml:4: stages.double.enabled", "maybe")


@pytest.mark.parametrize(
    ("stages", "subject", "fields"),
    [
        ("a: {uses: mkae}", "p.yaml:3: stages.a.uses", {"found": "mkae", "allowed": tuple(TOYS)}),
        ("a: {uses: double, needs: [b]}", "p.yaml:3: stages.a.needs.0", {"found": "b"}),
        ("a: {uses: double, needs: [a]}", "p.yaml:3: stages.a.needs", {"problem": "a → a"}),
        (
            "a: {uses: double, needs: [b]}\n  b: {uses: double, needs: [a]}",
            "p.yaml:3: stages.a.needs",
            {"problem": "a → b → a"},
        ),
        ("m: {uses: make}\n  a: {uses: double}", "p.yaml:4: stages.a.needs", {"problem": "add one of the stages m"}),
        ("a: {uses: double}", "p.yaml:3: stages.a.needs", {"problem": "make, double"}),
        (
            "m: {uses: make}\n  n: {uses: make}\n  a: {uses: double, needs: [m, n]}",
            "p.yaml:5: stages.a.needs",
            {"found": ["m", "n"], "allowed": "one stage"},
        ),
        (
            "m: {uses: make}\n  t: {uses: train, needs: [m]}\n  a: {uses: double, needs: [m, t]}",
            "p.yaml:5: stages.a.needs",
            {"problem": "'t'"},
        ),
        ("a: {uses: make, needs: [b]}\n  b: {uses: make}", "p.yaml:3: stages.a.needs", {"problem": "'b'"}),
        ("m: {uses: make}\n  a: {uses: double, needs: [m, m]}", "p.yaml:4: stages.a.needs.1", {"problem": "'m'"}),
        ("a: {uses: make, with: {m: 3}}", "p.yaml:3: stages.a.with.m", {}),
        ("a: {uses: make, with: {n: x}}", "p.yaml:3: stages.a.with.n", {}),
        ("a: {uses: make, with: {weights: no.pth}}", "p.yaml:3: stages.a.with.weights", {"problem": "no.pth"}),
        ("a: {uses: make, seed: x}", "p.yaml:3: stages.a.seed", {"found": "x"}),
        ("a: {uses: make, with: {text: '${{ matrix.f }}'}}", "p.yaml:3: stages.a", {"found": "f"}),
        ("a: {uses: make, enabled: false}", "t", {}),
    ],
)
def test_invalid_graphs_name_line_and_key(stages: str, subject: str, fields: dict[str, Any]) -> None:
    invalid = error(f"stages:\n  {stages}\n")
    assert invalid.message.startswith(f"{subject}: ")
    assert fields.pop("problem", "") in invalid.problem
    assert {name: getattr(invalid, name) for name in fields} == fields


def test_a_matrix_is_counted_before_its_instances_are_made() -> None:
    axes = "".join(f"  a{n}: {list(range(100))}\n" for n in range(10))
    seed = "".join(f"${{{{ matrix.a{n} }}}}" for n in range(10))
    invalid = error(f"matrix:\n{axes}stages:\n  make: {{uses: make, seed: '{seed}'}}\n")
    assert invalid.subject == "p.yaml:14: stages.make" and f"{100**10:,}" in invalid.problem and invalid.hint


def test_many_problems_are_counted() -> None:
    invalid = error(
        "matrix: {n: [1, 2, 3]}\n"
        + "stages:\n"
        + "".join(f"  s{k}: {{uses: make, with: {{wrong{k}: '${{{{ matrix.n }}}}'}}}}\n" for k in range(30))
    )
    assert len(invalid.problem.splitlines()) == 21 and len(invalid.errors) == 90


def test_problems_of_all_stages_are_listed() -> None:
    invalid = error(
        "stages:\n  a: {uses: make, with: {n: x}}\n  b: {uses: double, needs: [a], with: {facto: 1}}\n"
        "  c: {uses: double}\n"
    )
    assert [str(one.subject).split(":")[1] for one in invalid.errors] == ["3", "4", "5"]


def test_presets_named_by_an_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, n in (("one", 1), ("two", 2)):
        (tmp_path / "configs").mkdir(exist_ok=True)
        (tmp_path / "configs" / f"{name}.yaml").write_text(f"n: {n}\ntext: ${{{{ matrix.p }}}}\n")
    jobs = jobs_of("matrix: {p: [one, two]}\nstages:\n  make: {uses: make, with: {preset: '${{ matrix.p }}'}}\n")
    assert [(job.config.model_dump()["n"], job.config.model_dump()["text"]) for job in jobs.values()] == [
        (1, "one"),
        (2, "two"),
    ]


def test_selection() -> None:
    jobs = jobs_of(MATRIX)
    assert select(jobs, "make", "--from") == ["make@size=small", "make@size=large"]
    assert select(jobs, "make@size=large", "--from") == ["make@size=large"]
    with pytest.raises(InvalidInput) as invalid:
        select(jobs, "mak", "--from")
    assert (invalid.value.subject, invalid.value.found) == ("--from", "mak")
    down = downstream(jobs, ["make@size=large"])
    assert down == {"make@size=large", "train@size=large,seed=0", "train@size=large,seed=1", "all"}
    assert upstream(jobs, ["train@size=large,seed=0"]) == {"train@size=large,seed=0", "make@size=large"}


@given(st.lists(st.sets(st.integers(0, 6), max_size=3), min_size=1, max_size=7), st.randoms())
def test_order_respects_needs_and_the_file(needs: list[set[int]], random: Any) -> None:
    """A random acyclic graph in a random order of the file, with an independent oracle of `downstream`."""
    size = len(needs)
    stages = {}
    for index, wanted in enumerate(needs):
        lower = sorted(f"s{need}" for need in wanted if need < index)
        stages[f"s{index}"] = {"uses": "gather" if lower else "make", "needs": lower}
        if lower and any(stages[need]["uses"] == "gather" for need in lower):
            stages[f"s{index}"]["needs"] = [need for need in lower if stages[need]["uses"] == "make"]
            if not stages[f"s{index}"]["needs"]:
                stages[f"s{index}"]["uses"] = "make"
    shuffled = list(stages)
    random.shuffle(shuffled)
    value = {"name": "t", "stages": {name: stages[name] for name in shuffled}}
    jobs = build_jobs(spec_from(Source(value)), TOYS)
    assert sorted(jobs) == sorted(stages)
    position = {id: index for index, id in enumerate(jobs)}
    for job in jobs.values():
        assert all(position[need] < position[job.id] for need in job.needs)
    for id in jobs:
        reach = {id}
        for _ in range(size):
            reach |= {job.id for job in jobs.values() if reach & set(job.needs)}
        assert downstream(jobs, [id]) == reach
