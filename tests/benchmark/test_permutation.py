"""The paired permutation test, against SciPy and the authors' procedure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from wsss.benchmark.permutation import permutation_test


def scipy_p(differences: np.ndarray, permutations: int, seed: int = 0) -> float:
    """One-sided p-value in the direction of the observed difference."""
    side = "greater" if differences.mean() >= 0 else "less"
    result = stats.permutation_test(
        (differences, np.zeros_like(differences)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        alternative=side,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


@pytest.mark.parametrize("pairs", [2, 5, 9, 13])
def test_p_is_exact_for_few_pairs(pairs: int) -> None:
    generator = np.random.default_rng(pairs)
    differences = generator.normal(0.3, 1, (pairs, 6))
    differences[:, 4] = generator.integers(-2, 3, pairs)  # ties
    result = permutation_test(differences)
    assert result == pytest.approx([scipy_p(column, 2**pairs) for column in differences.T], abs=1e-12)


@pytest.mark.slow
def test_p_matches_scipy_for_many_pairs() -> None:
    generator = np.random.default_rng(3)
    differences = np.stack([generator.normal(mean, 1, 120) for mean in (0, 0.05, -0.12, 0.15, 1)], 1)
    result = permutation_test(differences)
    expected = [scipy_p(column, 20_000) for column in differences.T]
    assert result == pytest.approx(expected, abs=0.015)
    assert result[4] == 0


def test_p_matches_the_authors_procedure_on_continuous_scores() -> None:
    """Upper tail: means of swapped samples, compared with the absolute difference."""
    generator = np.random.default_rng(0)
    first, other = generator.normal(0, 1, 60), generator.normal(0.2, 1, 60)
    swap = generator.random((20_000, 60)) > 0.5
    swapped = np.where(swap, first, other).mean(1) - np.where(swap, other, first).mean(1)
    expected = (swapped > abs(first.mean() - other.mean())).mean()
    result = permutation_test(np.stack([first - other, other - first], 1))
    assert result == pytest.approx(expected, abs=0.012)


def test_differences_of_constant_sign_are_not_significant_by_themselves() -> None:
    """If only greater differences counted, p of a single pair would be 0."""
    assert permutation_test(np.array([[1.0]]))[0] == 0.5
    assert permutation_test(np.ones((4, 1)))[0] == 1 / 16
    sparse = np.zeros((40, 1))
    sparse[[3, 17, 30]] = 1
    assert permutation_test(sparse)[0] == pytest.approx(1 / 8, abs=0.01)


def test_p_is_1_without_differences() -> None:
    assert (permutation_test(np.zeros((30, 2))) == 1).all()


def test_p_is_seeded_and_independent_of_the_other_columns() -> None:
    differences = np.random.default_rng(1).normal(0.1, 1, (50, 5))
    together = permutation_test(differences, seed=4)
    alone = [permutation_test(differences[:, [i]], seed=4)[0] for i in range(5)]
    assert together.tolist() == alone
    assert (permutation_test(differences, seed=5) != together).any()


def test_weights_test_the_weighted_mean() -> None:
    """A pair of weight 0 is ignored; equal weights change nothing, whatever their sum."""
    generator = np.random.default_rng(2)
    differences = generator.normal(0.3, 1, (11, 1))
    padded = np.concatenate([differences, [[50.0]]])
    weights = np.append(np.full(11, 0.2), 0.0)
    assert permutation_test(padded, weights=weights) == permutation_test(differences)
    assert permutation_test(differences, weights=np.full(11, 7.0)) == permutation_test(differences)
    uneven = np.append(np.full(10, 1e-6), 1.0)  # the last pair decides; the others break its ties
    rest = permutation_test(np.sign(differences[-1]) * differences[:-1])[0]
    below = rest if np.sign(differences[-1]) * differences[:-1].sum() > 0 else 1 - rest
    assert permutation_test(differences, weights=uneven)[0] == pytest.approx(below / 2, abs=1 / 2**10)


def test_the_p_value_of_noise_is_uniform() -> None:
    """One-sided: uniform on (0, 0.5)."""
    result = permutation_test(np.random.default_rng(7).normal(0, 1, (80, 400)), permutations=2000)
    assert stats.kstest(result, stats.uniform(0, 0.5).cdf).pvalue > 0.01


@pytest.mark.parametrize("bad", [np.zeros((0, 2)), np.zeros(3), np.array([[np.nan]])])
def test_invalid_differences(bad: np.ndarray) -> None:
    with pytest.raises(ValueError):
        permutation_test(bad)
