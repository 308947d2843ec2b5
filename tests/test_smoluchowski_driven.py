"""Equation (29) with a force that depends on time, against exact Gaussians and balance of probability."""

import re

import numpy as np
import pytest
from scipy.integrate import quad

from amaexplore import Grid, InputError, Smoluchowski
from amaexplore.reduced_density import driven
from amaexplore.reduced_density.driven import depends_on_time
from amaexplore.units import thermal_energy

TEMPERATURE = 300.0
KT = thermal_energy(TEMPERATURE)
DIFFUSION, SPRING = 0.05, 2.0 * KT
RATE = DIFFUSION * SPRING / KT


def trap_mean(time, speed, start=0.0):
    """Of a trap whose centre moves at constant speed: it lags behind by speed/rate."""
    return speed * time - speed / RATE * (1.0 - np.exp(-RATE * time)) + start * np.exp(-RATE * time)


def test_a_trap_that_is_dragged():
    speed, times = 0.08, np.array([0.0, 1.0, 5.0, 20.0, 30.0])
    grid = Grid(-3.0, 5.0, 400)
    s = Smoluchowski(grid, DIFFUSION, mean_force=lambda R, t: -SPRING * (R - speed * t), temperature=TEMPERATURE)
    w = s.evolve(("gaussian", 0.2, 0.4), times)
    variance = KT / SPRING + (0.16 - KT / SPRING) * np.exp(-2.0 * RATE * times)
    exact = np.exp(-0.5 * (grid.centres - trap_mean(times, speed, 0.2)[:, None]) ** 2 / variance[:, None])
    exact /= np.sqrt(2.0 * np.pi * variance)[:, None]
    assert np.abs(w.values - exact).max() < 5e-4 * exact.max()
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    assert w.values.min() >= 0.0
    assert w.diagnostics["scheme"].startswith("TR-BDF2")


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_a_force_that_happens_not_to_change(boundary):
    """The same density as by the solvers for constant forces."""
    grid = Grid(-1.0, 1.0, 120, boundary)

    def force(R):
        return 3.0 * KT * np.sin(np.pi * R) + 0.5 * KT

    times = [0.5, 4.0, 40.0]
    start = ("gaussian", -0.3, 0.15)
    still = Smoluchowski(grid, DIFFUSION, mean_force=force, temperature=TEMPERATURE).evolve(start, times)
    driven = Smoluchowski(grid, DIFFUSION, mean_force=lambda R, t: force(R), temperature=TEMPERATURE).evolve(
        start, times
    )
    assert np.abs(driven.values - still.values).max() < 4e-4 * still.values.max()


def test_a_field_that_is_shaken():
    """The mean in a trap under F₀ cos ωt obeys dx/dt = −kx/ζ + F(t)/ζ, whatever the density."""
    amplitude, omega = 1.5 * KT, 0.7
    grid = Grid(-4.0, 4.0, 400)
    s = Smoluchowski(
        grid, DIFFUSION, mean_force=lambda R, t: -SPRING * R + amplitude * np.cos(omega * t), temperature=TEMPERATURE
    )
    times = np.linspace(0.0, 25.0, 26)
    mean = s.evolve(("gaussian", 0.0, np.sqrt(KT / SPRING)), times).mean
    mobility = DIFFUSION / KT
    exact = [
        mobility * amplitude * quad(lambda u, t=t: np.exp(-RATE * (t - u)) * np.cos(omega * u), 0.0, t)[0]
        for t in times
    ]
    assert np.ravel(mean) == pytest.approx(exact, abs=5e-4)


def test_a_step_that_would_be_negative_stays_positive():
    """A needle in one cell, thrown by a strong field that turns: no density below zero, none lost."""
    grid = Grid(0.0, 1.0, 200)
    start = np.zeros(200)
    start[60] = 1.0
    s = Smoluchowski(
        grid, DIFFUSION, mean_force=lambda R, t: 40.0 * KT * np.sign(np.sin(3.0 * t)) + 0.0 * R, temperature=TEMPERATURE
    )
    w = s.evolve(start, [1e-4, 0.01, 1.0, 3.0])
    assert w.values.min() >= 0.0
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)


def test_what_is_stationary_has_no_meaning_then():
    s = Smoluchowski(Grid(-1.0, 1.0, 50), DIFFUSION, mean_force=lambda R, t: -R * t, temperature=TEMPERATURE)
    for ask in (s.equilibrium, s.relaxation_rates, lambda: s.mean_first_passage_time(0.5), s.relaxation_modes):
        with pytest.raises(InputError, match="depends on time"):
            ask()
    with pytest.raises(InputError, match="along one axis"):
        Smoluchowski(
            (Grid(-1, 1, 9), Grid(-1, 1, 9)), DIFFUSION, mean_force=lambda x, y, t: (x, y), temperature=TEMPERATURE
        )


def test_which_callables_take_the_time():
    assert depends_on_time(lambda R, t: R)
    assert not depends_on_time(lambda R: R)
    assert not depends_on_time(lambda R, k=2.0: k * R)
    assert not depends_on_time(np.sin)
    assert not depends_on_time(lambda x, y: x, n_axes=2)
    assert not depends_on_time(3.0)


def test_steps_that_are_too_long_fall_back_to_what_stays_positive(monkeypatch):
    """With the error left uncontrolled TR-BDF2 rings below zero; backward Euler takes those steps, and the trap is met all the same."""
    monkeypatch.setattr(driven, "TOLERANCE", 1e3)
    grid = Grid(-3.0, 3.0, 1200)
    s = Smoluchowski(grid, DIFFUSION, mean_force=lambda R, t: -SPRING * R * (1.0 + 0.0 * t), temperature=TEMPERATURE)
    w = s.evolve(("gaussian", 0.5, 0.005), [0.0, 40.0, 80.0])
    assert w.values.min() >= 0.0
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    number = re.fullmatch(r"TR-BDF2, (\d+) steps by backward Euler to stay positive", w.diagnostics["scheme"])
    assert number is not None
    assert 0 < int(number[1]) <= w.diagnostics["n_steps"]
    # after 16 relaxation times nothing of the way is left
    boltzmann = np.exp(-0.5 * SPRING * grid.centres**2 / KT)
    boltzmann /= boltzmann.sum() * grid.width
    assert np.abs(w.values[-1] - boltzmann).max() < 1e-3 * boltzmann.max()


def test_probability_is_kept_on_a_fine_grid():
    """3,000 cells and 248 steps: what rounding adds up to does not stay in the density."""
    grid = Grid(-3.0, 3.0, 3000)
    s = Smoluchowski(grid, DIFFUSION, mean_force=lambda R, t: -SPRING * R * (1.0 + 0.0 * t), temperature=TEMPERATURE)
    w = s.evolve(("gaussian", 0.5, 0.004), [0.0, 40.0, 80.0])
    assert np.abs(w.values.sum(axis=1) * grid.width - 1.0).max() < 1e-12
    # what was taken out is rounding, and no leak of the scheme
    assert w.diagnostics["rounding"] < 1e-10
