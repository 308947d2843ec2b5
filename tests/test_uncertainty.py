"""Standard errors against what they promise: exact variances, and coverage over seeded repeats."""

import numpy as np
import pytest
from scipy import stats

from amaexplore.errors import InputError, InsufficientDataError
from amaexplore.uncertainty import (
    block_bounds,
    correlation_time,
    delete_one,
    jackknife_std,
    mean_with_error,
    student_factor,
)


def ornstein_uhlenbeck(rng, n_runs, n_frames, memory):
    """Unit variance, ρ(k) = exp(−k/memory)."""
    decay = np.exp(-1.0 / memory)
    values = np.empty((n_runs, n_frames))
    values[:, 0] = rng.normal(size=n_runs)
    noise = np.sqrt(1 - decay**2) * rng.normal(size=(n_runs, n_frames))
    for k in range(1, n_frames):
        values[:, k] = decay * values[:, k - 1] + noise[:, k]
    return values


def test_delete_one_equals_a_naive_loop(rng):
    sums, counts = rng.normal(size=(5, 4)), rng.integers(1, 9, size=(5, 4)).astype(float)
    for k in range(5):
        others = [g for g in range(5) if g != k]
        np.testing.assert_allclose(delete_one(sums, counts)[k], sums[others].sum(0) / counts[others].sum(0))


def test_delete_one_is_nan_where_nothing_is_left():
    out = delete_one(np.ones((2, 1)), np.array([[3.0], [0.0]]))
    assert np.isnan(out[0, 0])
    assert out[1, 0] == pytest.approx(1.0 / 3.0)


def test_jackknife_of_a_mean_is_the_textbook_error(rng):
    values = rng.normal(size=12)
    estimates = delete_one(values, np.ones(12))
    expected = values.std(ddof=1) / np.sqrt(12) * student_factor(11)
    assert jackknife_std(estimates) == pytest.approx(expected)
    assert np.isnan(jackknife_std(np.zeros((1, 3)))).all()


def test_student_factor_makes_one_standard_error_hold_68_percent(rng):
    values = rng.normal(size=(20_000, 4))
    std = values.std(axis=1, ddof=1) / 2.0
    inside = np.mean(np.abs(values.mean(axis=1)) < student_factor(3) * std)
    # √(0.68 × 0.32/20000) = 0.0033
    assert inside == pytest.approx(stats.norm.cdf(1) - stats.norm.cdf(-1), abs=0.01)
    assert student_factor(1) == pytest.approx(1.8373, abs=1e-3)
    assert student_factor(5000) == 1.0


def test_correlation_time_of_an_ornstein_uhlenbeck_series(rng):
    memory = 20.0
    exact = 0.5 + 1.0 / (np.exp(1.0 / memory) - 1.0)
    times = [correlation_time(ornstein_uhlenbeck(rng, 1, 20_000, memory)).integrated for _ in range(20)]
    # each is known to about √(2 (2W+1)/n) = 14 %, and cutting at five times loses 1 %
    assert np.mean(times) == pytest.approx(exact, rel=0.1)
    assert correlation_time(np.ones(10)).integrated == 0.5
    assert correlation_time(rng.normal(size=(5, 2000))).n_effective == pytest.approx(10_000, rel=0.2)


def test_error_of_a_mean_covers_the_truth_as_often_as_it_promises(rng):
    inside = 0
    for series in ornstein_uhlenbeck(rng, 300, 2000, 10.0):
        mean, std, _ = mean_with_error(series)
        inside += abs(mean) < std
    # 0.68 ± 0.027 by counting; the estimated time is short by some per cent
    assert 0.58 < inside / 300 < 0.78


def test_too_few_correlation_times_are_refused_with_numbers(rng):
    with pytest.raises(InsufficientDataError, match="an average needs about 30"):
        mean_with_error(ornstein_uhlenbeck(rng, 1, 200, 60.0)[0], "the force")
    with pytest.raises(InputError, match="not finite"):
        mean_with_error(np.array([0.0, np.nan]))


def test_blocks_cover_everything_once():
    bounds = block_bounds(103, 10)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, 103, 11)
    assert set(np.diff(bounds)) == {10, 11}
