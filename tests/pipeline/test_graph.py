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
from wsss.pipeline.plan.graph import Job, build_jobs, downstream, select, upstream


def jobs_of(text: str) -> dict[str, Job]:
    return build_jobs(spec_from(parse_yaml("name: t\n" + text, "p.yaml")), TOYS)


def error(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        jobs_of(text)
    return caught.value.message


def test_jobs_stand_behind_what_they_need_and_get_their_inputs() -> None:
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


def test_a_stage_fans_out_over_what_it_and_its_needs_refer_to() -> None:
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


def test_a_collecting_stage_that_refers_to_an_axis_collects_what_agrees() -> None:
    jobs = jobs_of(MATRIX.replace("needs: [train, double]", 'needs: [train], with: {title: "of ${{ matrix.seed }}"}'))
    assert jobs["all@seed=1"].inputs["stages"] == ("train@size=small,seed=1", "train@size=large,seed=1")


def test_a_disabled_stage_hands_on_what_it_needs() -> None:
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


def test_what_follows_a_broken_stage_is_not_called_broken_too() -> None:
    found = error("stages:\n  a: {uses: make, with: {text: '${{ matrix.f }}'}}\n  b: {uses: double, needs: [a]}\n")
    assert len(found.splitlines()) == 1


def test_enabled_takes_words_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "stages:\n  make: {uses: make}\n  double: {uses: double, needs: [make], enabled: '${{ env.ON }}'}\n"
    monkeypatch.setenv("ON", "False")
    assert list(jobs_of(text)) == ["make"]
    monkeypatch.setenv("ON", "maybe")
    assert error(text) == "p.yaml:4: stages.double.enabled: found 'maybe'; allowed are true and false."


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("a: {uses: mkae}", "p.yaml:3: stages.a.uses: found 'mkae'; stages are make, double, train, gather, fail"),
        ("a: {uses: double, needs: [b]}", "p.yaml:3: stages.a.needs.0: found 'b'; the other stages are"),
        ("a: {uses: double, needs: [a]}", "p.yaml:3: stages.a.needs: the stages need each other in a circle: a → a"),
        (
            "a: {uses: double, needs: [b]}\n  b: {uses: double, needs: [a]}",
            "p.yaml:3: stages.a.needs: the stages need each other in a circle: a → b → a",
        ),
        (
            "m: {uses: make}\n  a: {uses: double}",
            "p.yaml:4: stages.a.needs: 'double' requires numbers as input 'numbers' and no needed stage provides it; "
            "add one of the stages m.",
        ),
        (
            "a: {uses: double}",
            "p.yaml:3: stages.a.needs: 'double' requires numbers as input 'numbers' and no needed stage provides it; "
            "no stage here provides it; those that would are make, double.",
        ),
        (
            "m: {uses: make}\n  n: {uses: make}\n  a: {uses: double, needs: [m, n]}",
            "p.yaml:5: stages.a.needs: input 'numbers' takes one stage and several fit: m, n; leave one of them.",
        ),
        (
            "m: {uses: make}\n  t: {uses: train, needs: [m]}\n  a: {uses: double, needs: [m, t]}",
            "p.yaml:5: stages.a.needs: 't' provides model, which 'double' has no input for; its inputs are: numbers "
            "(numbers).",
        ),
        (
            "a: {uses: make, needs: [b]}\n  b: {uses: make}",
            "p.yaml:3: stages.a.needs: 'b' provides numbers, which 'make'",
        ),
        ("m: {uses: make}\n  a: {uses: double, needs: [m, m]}", "p.yaml:4: stages.a.needs.1: duplicate 'm'"),
        ("a: {uses: make, with: {m: 3}}", "p.yaml:3: stages.a.with.m: unknown key; expected n, pause, split, text"),
        ("a: {uses: make, with: {n: x}}", "p.yaml:3: stages.a.with.n: expected an integer"),
        ("a: {uses: make, with: {weights: no.pth}}", "p.yaml:3: stages.a.with.weights: no such file or folder: no.pth"),
        ("a: {uses: make, seed: x}", "p.yaml:3: stages.a.seed: found 'x'; a seed is a whole number"),
        (
            "a: {uses: make, with: {text: '${{ matrix.f }}'}}",
            "p.yaml:3: stages.a: matrix.f: there is no such axis; the",
        ),
        ("a: {uses: make, enabled: false}", "Every stage of the pipeline is disabled."),
    ],
)
def test_wrong_graphs_name_line_key_and_what_is_allowed(stages: str, message: str) -> None:
    assert error(f"stages:\n  {stages}\n").startswith(message)


def test_a_matrix_is_counted_before_its_instances_are_made() -> None:
    axes = "".join(f"  a{n}: {list(range(100))}\n" for n in range(10))
    seed = "".join(f"${{{{ matrix.a{n} }}}}" for n in range(10))
    message = error(f"matrix:\n{axes}stages:\n  make: {{uses: make, seed: '{seed}'}}\n")
    assert message.startswith(f"make: {100**10:,} combinations of the matrix (a0: 100 × a1: 100")
    assert "10,000 instances" in message and message.count("\n") == 1


def test_problems_of_a_large_matrix_are_counted_and_a_few_listed() -> None:
    message = error(
        "matrix: {n: [1, 2, 3]}\n"
        + "stages:\n"
        + "".join(f"  s{k}: {{uses: make, with: {{wrong{k}: '${{{{ matrix.n }}}}'}}}}\n" for k in range(30))
    )
    assert len(message.splitlines()) == 21 and message.endswith("and 10 more.")


def test_problems_of_all_stages_come_together() -> None:
    found = error(
        "stages:\n  a: {uses: make, with: {n: x}}\n  b: {uses: double, needs: [a], with: {facto: 1}}\n"
        "  c: {uses: double}\n"
    )
    assert [line.split(":")[1] for line in found.splitlines()] == ["3", "4", "5"]


def test_unchanged_names_of_presets_with_an_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    with pytest.raises(InvalidInput, match=r"--from mak: no such stage; .* did you mean 'make'\?"):
        select(jobs, "mak", "--from")
    down = downstream(jobs, ["make@size=large"])
    assert down == {"make@size=large", "train@size=large,seed=0", "train@size=large,seed=1", "all"}
    assert upstream(jobs, ["train@size=large,seed=0"]) == {"train@size=large,seed=0", "make@size=large"}


@given(st.lists(st.sets(st.integers(0, 6), max_size=3), min_size=1, max_size=7), st.randoms())
def test_order_respects_needs_and_the_file(needs: list[set[int]], random: Any) -> None:
    """A random acyclic graph in a random order of the file."""
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
    for id in jobs:  # an independent oracle for what lies downstream
        reach = {id}
        for _ in range(size):
            reach |= {job.id for job in jobs.values() if reach & set(job.needs)}
        assert downstream(jobs, [id]) == reach
