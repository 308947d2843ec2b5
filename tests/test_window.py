"""Where the window is put: on curves whose plateau is known."""

import numpy as np
import pytest

from amaexplore.window import axes_std, propose_before_decay, propose_maximum, propose_plateau

LAGS = 0.1 * np.arange(401)


def noisy(rng, curve, n_groups=10, noise=0.01):
    """Curves of groups whose mean is about ``curve``, as delete-one estimates, with errors growing as √t."""
    steps = rng.normal(size=(n_groups, 1, len(curve))) * noise * np.sqrt(0.1)
    walks = curve + np.cumsum(steps, axis=-1)
    left_out = (walks.sum(axis=0) - walks) / (n_groups - 1)
    return walks.mean(axis=0)[0], left_out


def test_a_plateau_is_found_where_the_rise_ends(rng):
    rise = 1.0 - np.exp(-LAGS)
    found = []
    for _ in range(50):
        curve, left_out = noisy(rng, rise)
        proposal = propose_plateau(LAGS, curve, left_out)
        if proposal.found:
            assert "changes by less than twice the error" in proposal.reason
            found.append(rise[proposal.index])
    # a random walk may stray by two errors over every doubling, but seldom does
    assert len(found) >= 45
    # read where less than a hundredth of the rise is left, as the noise is of that size
    assert np.mean(found) > 0.98


def test_no_plateau_is_an_answer(rng):
    curve, left_out = noisy(rng, LAGS.copy())
    proposal = propose_plateau(LAGS, curve, left_out)
    assert not proposal.found
    assert "no plateau" in proposal.reason
    assert 0 < proposal.index < len(LAGS)


def test_without_noise_the_doubling_rule_is_exact():
    # flat from lag 40 on, with an error that is the same everywhere: the first candidate at or after 40 is taken
    curve = np.minimum(LAGS, 4.0)
    left_out = curve + 1e-6 * np.sin(np.arange(10))[:, None, None] * np.arange(401)
    proposal = propose_plateau(LAGS, curve, left_out)
    assert proposal.found
    assert 80 <= proposal.index <= 90


def test_the_decay_to_zero_is_not_taken_for_the_plateau(rng):
    curve, left_out = noisy(rng, LAGS * np.exp(-LAGS), noise=0.002)
    assert propose_plateau(LAGS, curve, left_out).index > 50
    proposal = propose_before_decay(LAGS, curve, left_out)
    assert not proposal.found
    assert LAGS[proposal.index] == pytest.approx(1.0, abs=0.3)
    assert "rises and decays" in proposal.reason


def test_a_plateau_below_an_overshoot_is_taken(rng):
    """∫⟨PP⟩ of an atom in a cage overshoots, then settles lower: not a decay to zero."""
    curve, left_out = noisy(rng, 1.0 + 0.4 * (LAGS - 1.0) * np.exp(-LAGS) * 3.0 - np.exp(-5 * LAGS), noise=0.003)
    proposal = propose_before_decay(LAGS, curve, left_out)
    assert proposal.found
    assert curve[proposal.index] == pytest.approx(1.0, abs=0.03)


def test_maximum(rng):
    assert propose_maximum(LAGS, LAGS * np.exp(-LAGS)).index == 10
    rising = propose_maximum(LAGS, LAGS)
    assert not rising.found
    assert "still rises" in rising.reason


def test_very_short_curves_answer():
    proposal = propose_plateau(LAGS[:2], np.ones(2), np.ones((3, 1, 2)))
    assert not proposal.found
    assert proposal.index == 1


def test_axes_std_adds_axes_in_quadrature(rng):
    left_out = rng.normal(size=(400, 3, 7))
    one = axes_std(left_out[:, :1])
    assert np.mean(axes_std(left_out) / one) == pytest.approx(1 / np.sqrt(3), rel=0.1)
