"""The exactly solvable N-atom system: against its own equations of motion, and the derivation's limits on it."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.harmonic_bath import HarmonicBath

SMALL = HarmonicBath(mass=300.0, friction=200.0, memory=0.12, trap=400.0, n_atoms=7)


def scaled_bath(epsilon, trap=20.0, n_atoms=400):
    """Section 3's scaling: m = m̂/ε, and forces that cancel so that F = O(ε^½), hence ζ and k are O(ε)."""
    return HarmonicBath(mass=40.0 / epsilon, friction=400.0 * epsilon, trap=trap * epsilon, n_atoms=n_atoms)


def test_rows_solve_newtons_equations(rng):
    bath = SMALL
    w, c, host = bath.frequencies, bath.couplings, bath.typical_mass
    position, momentum = rng.normal(), rng.normal() * 100.0
    y, p = rng.normal(size=7) * 0.01, rng.normal(size=7) * 10.0
    q = y + c * position / (host * w**2)
    start = np.concatenate([[position, momentum], y, p])
    times = np.linspace(0.0, 1.0, 11)

    # velocity Verlet with a step far below the fastest period
    step, state = 2e-5, []
    x, v = np.concatenate([[position], q]), np.concatenate([[momentum / bath.mass], p / host])

    def force(x):
        stretched = x[1:] - c * x[0] / (host * w**2)
        return np.concatenate([[-bath.trap * x[0] + c @ stretched], -host * w**2 * stretched])

    masses = np.concatenate([[bath.mass], np.full(7, host)])
    f = force(x)
    for n in range(50_001):
        if n % 5_000 == 0:
            state.append([x[0], bath.mass * v[0], f[0]])
        v = v + 0.5 * step * f / masses
        x = x + step * v
        f = force(x)
        v = v + 0.5 * step * f / masses
    exact = bath.rows(times) @ start
    scale = np.abs(exact).max(axis=0)
    np.testing.assert_allclose(exact / scale, np.array(state) / scale, atol=1e-5)


def test_equilibrium_stays():
    bath = SMALL
    energy = bath.thermal_energy
    equilibrium = np.diag([energy / bath.trap, bath.mass * energy])
    state = bath.evolve([0.0, 0.4, 3.0], covariance=equilibrium)
    for covariance in state.covariance:
        np.testing.assert_allclose(covariance[:2, :2], equilibrium, rtol=1e-9, atol=1e-7)
    # F is −kR + δF, and its variance that of both
    expected = bath.trap * energy + bath.kernel(0.0) * energy
    np.testing.assert_allclose(state.covariance[:, 2, 2], expected, rtol=1e-9)


def test_kernel_is_what_was_asked_for():
    bath = HarmonicBath(friction=330.0, memory=0.1)
    t = np.linspace(0.0, 0.5, 11)
    exact = 330.0 * np.sqrt(2.0 / np.pi) / 0.1 * np.exp(-0.5 * (t / 0.1) ** 2)
    np.testing.assert_allclose(bath.kernel(t), exact, atol=1e-6 * exact[0])
    assert bath.kernel_integral(2.0) == pytest.approx(330.0, rel=1e-7)


def test_held_samples_have_the_kernel():
    bath = HarmonicBath(n_atoms=120)
    series = bath.sample(seed=3, n_replicas=40, n_frames=200, held=True)
    curve = ama.force_correlation(series, max_lag=0.5)
    expected = bath.thermal_energy * bath.kernel(curve.lags)
    assert np.abs(curve.isotropic - expected).max() < 5.0 * curve.isotropic_std.max()
    assert not series.has("momentum")


def test_sampled_force_is_the_change_of_momentum():
    series = SMALL.sample(seed=1, n_replicas=2, n_frames=400, timestep=0.0005)
    p, f = series.momentum, series.net_force
    change = (p[:, 2:] - p[:, :-2]) / 0.001
    np.testing.assert_allclose(change, f[:, 1:-1], atol=1e-3 * np.abs(f).max())


def _state_error(bath, times, mean, theory):
    """Largest difference of the means, each in its own thermal unit."""
    unit = np.array([np.sqrt(bath.thermal_energy / bath.trap), np.sqrt(bath.mass * bath.thermal_energy)])
    exact = bath.evolve(times, mean).mean[:, :2]
    return np.abs((exact - theory(times, mean).mean) / unit).max()


def _order(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def test_liouville_equation_holds_on_the_first_slow_time():
    # (51): over t₁ = εt of order one, what (51) leaves out is O(ε)
    errors = []
    for epsilon in (1 / 20, 1 / 40, 1 / 80):
        bath = scaled_bath(epsilon)
        times = np.linspace(0.05, 0.25, 6) / epsilon
        mean = (np.sqrt(bath.thermal_energy / bath.trap), 0.0)
        errors.append(_state_error(bath, times, mean, bath.liouville))
    assert np.all(np.abs(_order(errors) - 1.0) < 0.15)


def test_fokker_planck_is_one_order_better_than_liouville():
    errors = []
    for epsilon in (1 / 20, 1 / 40, 1 / 80):
        bath = scaled_bath(epsilon)
        times = np.linspace(0.05, 0.25, 6) / epsilon
        mean = (np.sqrt(bath.thermal_energy / bath.trap), 0.0)
        assert times[-1] < bath.recurrence_time
        errors.append(_state_error(bath, times, mean, bath.fokker_planck))
    assert np.all(_order(errors) > 1.8)


def test_conditional_force_is_the_closure():
    # ∫Δ f ρ = f^th W − εθ (βΠ/m̂ + ∂_Π) W: for the mean, ⟨F⟩ = F^th − ζ⟨P⟩/m
    bath = scaled_bath(1 / 160)
    unit = np.sqrt(bath.mass * bath.thermal_energy)
    state = bath.evolve([1.0], (0.1, unit))
    position, momentum, force = state.mean[0]
    predicted = -bath.trap * position - bath.friction * momentum / bath.mass
    assert force == pytest.approx(predicted, rel=0.01)


def test_smoluchowski_is_the_late_limit():
    bath = HarmonicBath(mass=40.0, friction=3000.0, memory=0.002, trap=0.0, n_atoms=600)
    times = np.array([0.4, 0.6])
    growth = np.diff(bath.evolve(times).covariance[:, 0, 0]) / np.diff(times)
    assert growth[0] / 2.0 == pytest.approx(bath.diffusion, rel=0.01)


@pytest.mark.parametrize("name", ["mass", "friction", "memory", "temperature", "n_atoms"])
def test_refuses_what_is_not_positive(name):
    with pytest.raises(ama.InputError, match=name):
        HarmonicBath(**{name: -1})


def test_long_times_keep_their_digits():
    # free particle: ⟨ΔR²⟩ = 2D [t − τ_P (1 − e^{−t/τ_P})], equation (56)
    bath = HarmonicBath(mass=500.0, friction=300.0)
    t = np.array([0.1, 10.0, 500.0])
    tau = bath.tau_momentum
    expected = 2.0 * bath.diffusion * (t - tau * (1.0 - np.exp(-t / tau)))
    np.testing.assert_allclose(bath.fokker_planck(t).covariance[:, 0, 0], expected, rtol=1e-9)
