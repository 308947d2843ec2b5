"""The test beds against themselves: closed forms against quadrature, sampled data against closed forms."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from amaexplore.errors import InputError
from amaexplore.synthetic import BEDS, GeneralizedLangevin, MemoryMode, bed


@pytest.mark.parametrize("mode", [MemoryMode(0.6, 0.15), MemoryMode(0.4, 0.2, 7.5)])
def test_integrals_of_a_mode(mode):
    for time in (0.1, 0.7):
        assert mode.integral(time) == pytest.approx(quad(mode.kernel, 0, time)[0], rel=1e-9)
    assert quad(mode.kernel, 0, 40 * mode.decay, limit=400)[0] == pytest.approx(mode.rate, rel=1e-8)
    missing = quad(lambda t: mode.rate - mode.integral(t), 0, 40 * mode.decay, limit=400)[0]
    assert mode.time_integral() == pytest.approx(missing, rel=1e-7)


@pytest.mark.parametrize("name", [name for name, system in BEDS.items() if not system.barrier])
def test_momentum_correlation_obeys_the_memory_equation(name):
    """dC/dt = −∫₀ᵗ [K(s) + k/m] C(t−s) ds, an independent route to ⟨PP⟩ (trapezoid, second order)."""
    system = bed(name)
    errors = []
    for step in (0.01, 0.005):
        times = step * np.arange(round(1.5 / step) + 1)
        exact = system.momentum_correlation(times)
        memory = system.kernel(times) + system.trap / system.mass
        residual = []
        for n in range(1, len(times) - 1):
            product = memory[: n + 1] * exact[n::-1]
            integral = step * (product.sum() - 0.5 * (product[0] + product[-1]))
            residual.append((exact[n + 1] - exact[n - 1]) / (2 * step) + integral)
        errors.append(np.max(np.abs(residual)) / exact[0] / system.rate)
    assert errors[1] < 0.02
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


def test_force_correlation_is_the_second_derivative_of_the_momentum_correlation():
    system = bed("trap, τ_R = 3 τ_P")
    step, time = 1e-3, 0.4
    c = system.momentum_correlation(np.array([time - step, time, time + step]))
    assert system.force_correlation(time) == pytest.approx(-(c[0] - 2 * c[1] + c[2]) / step**2, rel=1e-4)


@pytest.mark.parametrize("name", BEDS)
def test_green_kubo_of_the_free_bed_gives_gamma(name):
    system = bed(name)
    assert system.gamma * system.theta_raw == pytest.approx((system.mass * system.thermal_energy) ** 2)
    if not system.trap and not system.barrier:
        times = np.linspace(0, 30 * system.tau_momentum, 6001)
        assert np.trapezoid(system.momentum_correlation(times), times) == pytest.approx(system.gamma, rel=1e-4)


@pytest.mark.parametrize("name", BEDS)
def test_samples_have_the_exact_moments_and_force_is_the_change_of_momentum(name):
    system = bed(name)
    series = system.sample(seed=5, n_replicas=20, n_frames=4000)
    momentum, force = series.replicas("momentum"), series.replicas("net_force")
    # 60 runs of some 25 τ_P each, so ⟨P²⟩ is known to about √(2/1500)
    assert np.mean(momentum**2) == pytest.approx(system.mass * system.thermal_energy, rel=0.12)
    change = np.diff(momentum, axis=1)
    impulse = 0.5 * series.timestep * (force[:, 1:] + force[:, :-1])
    # a force as rough as Brownian motion within its memory τ leaves h/(6 τ) of the variance to the trapezoid, h/τ ≤ 1/4
    assert np.mean((change - impulse) ** 2) < 0.05 * np.mean(change**2)
    position = series.replicas("centre_of_mass")
    if system.trap:
        assert np.mean(position**2) == pytest.approx(system.thermal_energy / system.trap, rel=0.25)
    elif not system.barrier:
        np.testing.assert_array_equal(position[:, 0], 0.0)


def test_double_well_is_sampled_with_its_boltzmann_density():
    system = bed("double well")
    position = system.sample(seed=1, n_replicas=60, n_frames=2500, timestep=0.04).replicas("centre_of_mass")
    weight = lambda x: np.exp(-system.potential(x) / system.thermal_energy)  # noqa: E731
    norm = quad(weight, -3, 3)[0]
    within = quad(weight, -0.3, 0.3)[0] / norm
    # about 180 runs × 5 independent visits to the barrier region
    assert np.mean(np.abs(position) < 0.3) == pytest.approx(within, rel=0.12)


def test_splitting_in_the_double_well_follows_the_noise_free_motion():
    """Without noise and memory the double well is Newton's equation; the splitting is of second order."""
    from amaexplore.kernels.synthetic import propagate_double_well

    mass, barrier, minimum, time = 520.0, 4.0, 0.6, 4.0
    system = GeneralizedLangevin(mass=mass, barrier=barrier, minimum=minimum)
    exact = solve_ivp(
        lambda _, y: [y[1] / mass, system.mean_force(y[0])], (0, time), [0.1, 20.0], rtol=1e-11, atol=1e-11
    )
    errors = []
    for n in (200, 400):
        step = time / n
        state, out = np.array([[0.1, 20.0]]), np.empty((1, n, 2))
        flow = np.array([[1.0, step / mass], [0.0, 1.0]])
        propagate_double_well(state, flow, np.zeros((n, 1, 2)), step / 2, 4 * barrier / minimum**2, minimum**-2, 1, out)
        errors.append(abs(state[0, 0] - exact.y[0, -1]))
    assert errors[0] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


def test_held_force_has_the_memory_kernel_as_its_correlation():
    system = bed("free, two modes")
    force = system.sample_held(seed=2, n_replicas=20, n_frames=10_000).replicas("net_force")
    for lag in (0, 5, 20):
        measured = np.mean(force[:, : force.shape[1] - lag] * force[:, lag:])
        expected = system.held_force_correlation(lag * 0.02)
        assert measured == pytest.approx(expected, abs=0.03 * system.held_force_correlation(0.0))


def test_wrong_systems_get_a_sentence():
    with pytest.raises(InputError, match="nor both"):
        GeneralizedLangevin(trap=1.0, barrier=1.0)
    with pytest.raises(InputError, match="there are: free, one mode"):
        bed("unknown")
    with pytest.raises(InputError, match="no closed form"):
        bed("double well").momentum_correlation(1.0)
