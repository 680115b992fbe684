from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain, islice

from hypothesis import given, settings
from hypothesis import strategies as st

from wsss.train.sample_order import Plan, derive_seed

plans = st.builds(
    Plan,
    images=st.integers(1, 30),
    batch_size=st.integers(1, 6),
    accumulate=st.integers(1, 3),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 5),
)


@given(plans)
@settings(max_examples=60)
def test_each_epoch_contains_each_image_and_full_batches(plan: Plan) -> None:
    batches = list(plan.batches())
    assert len(batches) == plan.steps * plan.accumulate
    assert {len(batch) for batch in batches} == {plan.batch_size}
    per_epoch = plan.steps_per_epoch * plan.accumulate
    for epoch in range(plan.epochs):
        items = list(chain(*batches[epoch * per_epoch : (epoch + 1) * per_epoch]))
        counts = Counter(index for index, _ in items)
        assert set(counts) == set(range(plan.images))
        assert max(counts.values()) - min(counts.values()) <= 1
        assert [index for index, _ in items[: plan.images]] == plan.permutation(epoch)
    seeds = [seed for _, seed in chain(*batches)]
    assert len(set(seeds)) == len(seeds)  # repeated images are augmented differently


@given(plans, st.data())
@settings(max_examples=60)
def test_batches_from_a_later_step(plan: Plan, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, plan.steps))
    assert list(plan.batches(start)) == list(islice(plan.batches(), start * plan.accumulate, None))


@given(plans, st.integers(1, 4))
@settings(max_examples=60)
def test_processes_divide_each_step(plan: Plan, ranks: int) -> None:
    shares = [list(replace(plan, rank=rank, ranks=ranks).batches()) for rank in range(ranks)]
    single = replace(plan, batch_size=plan.batch_size * ranks)
    together = [list(chain(*parts)) for parts in zip(*shares, strict=True)]
    assert together == list(single.batches())


def test_epochs_and_seeds_differ() -> None:
    plan = Plan(images=20, batch_size=4, accumulate=1, epochs=2, seed=0)
    assert plan.permutation(0) != plan.permutation(1)
    assert plan.permutation(0) != Plan(images=20, batch_size=4, accumulate=1, epochs=2, seed=1).permutation(0)


def test_derived_seeds_never_change() -> None:
    """A change alters all results and requires new versions of the stages."""
    assert derive_seed("augmentation", 0, 1, 2, 0) == 3189199903
    assert Plan(images=8, batch_size=4, accumulate=1, epochs=2, seed=0).permutation(0) == [1, 6, 7, 0, 4, 2, 5, 3]
