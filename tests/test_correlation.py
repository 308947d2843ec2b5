"""Correlation functions against a naive loop, against exact ones, and their errors against the scatter of repeats."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.correlation import group_correlation
from amaexplore.errors import InputError, MissingFieldError, UnevenTimesError
from amaexplore.synthetic import bed
from amaexplore.uncertainty import student_factor


def naive(first, second, n_lags):
    n_replicas, n_frames, _ = first.shape
    out = np.zeros((n_lags, 3, 3))
    for lag in range(n_lags):
        for replica in range(n_replicas):
            for start in range(n_frames - lag):
                out[lag] += np.outer(first[replica, start], second[replica, start + lag])
        out[lag] /= n_replicas * (n_frames - lag)
    return out


@pytest.mark.parametrize("n_replicas", [1, 3, 11])
def test_fft_equals_a_naive_loop(rng, n_replicas):
    momentum, force = rng.normal(size=(2, n_replicas, 60, 3))
    series = ama.OrderParameters.from_arrays(timestep=0.5, mass=1.0, momentum=momentum, net_force=force)
    result = ama.momentum_correlation(series, max_lag=7.0)
    np.testing.assert_allclose(result.values, naive(momentum, momentum, 15), atol=1e-13)
    np.testing.assert_allclose(result.lags, 0.5 * np.arange(15))
    centred = force - force.mean(axis=(0, 1))
    np.testing.assert_allclose(
        ama.force_correlation(series, max_lag=7.0).values, naive(centred, centred, 15), atol=1e-13
    )
    np.testing.assert_allclose(
        ama.force_correlation(series, max_lag=7.0, subtract_mean=False).values, naive(force, force, 15), atol=1e-13
    )
    groups = group_correlation(momentum, force, 15)
    np.testing.assert_allclose(np.moveaxis(groups.stacked()[0], -1, 0), naive(momentum, force, 15), atol=1e-13)
    backward = np.moveaxis(groups.stacked(groups.backward)[0], -1, 0)
    np.testing.assert_allclose(backward, naive(force, momentum, 15).swapaxes(1, 2), atol=1e-13)


def test_leaving_a_group_out_equals_computing_without_it(rng):
    momentum = rng.normal(size=(12, 40, 3))
    stacked = group_correlation(momentum, momentum, 9).stacked()
    np.testing.assert_allclose(
        np.moveaxis(stacked[5], -1, 0), naive(np.delete(momentum, 4, axis=0), np.delete(momentum, 4, axis=0), 9)
    )


def test_exact_correlation_functions_are_met_and_errors_are_calibrated():
    system = bed("trap, τ_R = 3 τ_P")
    lags = np.array([0, 20, 60, 150])
    exact = {"momentum": system.momentum_correlation(0.02 * lags), "force": system.force_correlation(0.02 * lags)}
    deviations = {"momentum": [], "force": []}
    for seed in range(40):
        series = system.sample(seed=seed, n_replicas=10, n_frames=1500)
        for name, compute in (("momentum", ama.momentum_correlation), ("force", ama.force_correlation)):
            result = compute(series, max_lag=3.0)
            diagonal = np.diagonal(result.values[lags], axis1=1, axis2=2)
            std = np.diagonal(result.values_std[lags], axis1=1, axis2=2)
            deviations[name].append((diagonal - exact[name][:, None]) / std)
    for name, values in deviations.items():
        values = np.array(values)
        # 40 × 4 × 3 deviations, of which lags of one run are correlated: some 200 independent ones
        assert np.abs(values.mean()) < 0.25, name
        assert 0.58 < np.mean(np.abs(values) < 1) < 0.78, name
        assert 0.88 < np.mean(np.abs(values) < 2) < 0.99, name


def test_blocks_of_one_run_give_the_same_error_as_replicas():
    system = bed("free, one mode")

    def mean_square(n_replicas, n_frames, seeds):
        runs = [system.sample(seed=seed, n_replicas=n_replicas, n_frames=n_frames) for seed in seeds]
        return np.mean([ama.momentum_correlation(run, max_lag=2.0).isotropic_std ** 2 for run in runs])

    replicas, blocks = mean_square(20, 5000, range(4)), mean_square(1, 20_000, range(100, 116))
    # five times less data, and Student's t for 9 instead of 19 degrees of freedom
    expected = 5.0 * (student_factor(9) / student_factor(19)) ** 2
    # 16 × 27 and 4 × 57 degrees of freedom: √(2/432 + 2/228) = 12 %
    assert blocks / replicas == pytest.approx(expected, rel=0.3)


def test_scaled_correlations_are_those_of_the_scaled_variables(rng):
    momentum, force = rng.normal(size=(2, 50, 3))
    series = ama.OrderParameters.from_arrays(
        timestep=1.0, mass=10.0, momentum=momentum, net_force=force, typical_mass=2.0
    )
    scaled = series.scaled()
    again = ama.OrderParameters.from_arrays(
        timestep=1.0, mass=10.0, momentum=scaled.scaled_momentum, net_force=scaled.scaled_force
    )
    for compute in (ama.momentum_correlation, ama.force_correlation):
        left, right = compute(series, max_lag=5.0).scaled(series.epsilon), compute(again, max_lag=5.0)
        np.testing.assert_allclose(left.values, right.values, rtol=1e-12)
        np.testing.assert_allclose(left.values_std, right.values_std, rtol=1e-9)
    with pytest.raises(InputError, match="epsilon"):
        left.scaled(0.0)


def test_traces_and_isotropic_parts(rng):
    series = ama.OrderParameters.from_arrays(timestep=1.0, mass=1.0, momentum=rng.normal(size=(12, 50, 3)))
    result = ama.momentum_correlation(series, max_lag=5.0)
    np.testing.assert_allclose(result.trace, 3 * result.isotropic)
    np.testing.assert_allclose(result.trace[0], np.mean(np.sum(series.momentum**2, axis=-1)))
    again = type(result).from_dict(result.to_dict())
    np.testing.assert_array_equal(again.values, result.values)


@pytest.mark.parametrize(
    ("max_lag", "sentence"),
    [
        (-1.0, "positive time in ps"),
        (float("nan"), "positive time in ps"),
        (float("inf"), "positive time in ps"),
        (100.0, "longer than the data allow"),
        (0.01, "less than half the time between frames"),
        ("long", "must be a time in ps"),
    ],
)
def test_wrong_lags_get_a_sentence(rng, max_lag, sentence):
    series = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=rng.normal(size=(50, 3)))
    with pytest.raises(InputError, match=sentence):
        ama.momentum_correlation(series, max_lag=max_lag)


def test_missing_and_uneven_data_get_a_sentence(rng):
    series = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=rng.normal(size=(50, 3)))
    with pytest.raises(MissingFieldError, match="No net force"):
        ama.force_correlation(series)
    uneven = ama.OrderParameters.from_arrays(time=np.arange(50.0) ** 1.5, mass=1.0, momentum=rng.normal(size=(50, 3)))
    with pytest.raises(UnevenTimesError, match="not evenly spaced"):
        ama.momentum_correlation(uneven)


def test_very_short_series_still_answer(rng):
    series = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=rng.normal(size=(2, 3)))
    result = ama.momentum_correlation(series)
    assert result.values.shape == (2, 3, 3)
    assert np.isfinite(result.values).all()
