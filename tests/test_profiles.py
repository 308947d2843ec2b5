"""Coefficients that depend on position, on a system whose friction varies by a known law."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError, InsufficientDataError, MissingFieldError
from amaexplore.synthetic import MemoryMode, VaryingFriction, bed


def test_the_varying_bed_is_at_equilibrium():
    system = VaryingFriction()
    series = system.sample(seed=0, n_replicas=40, n_frames=5000)
    assert np.mean(series.centre_of_mass**2) == pytest.approx(system.thermal_energy / system.trap, rel=0.15)
    assert np.mean(series.momentum**2) == pytest.approx(system.mass * system.thermal_energy, rel=0.05)
    # ⟨F²⟩ given R is g² K₀ m k_BT: the law of the friction, read off without any kernel
    fluctuating = series.net_force + system.trap * series.centre_of_mass
    for low, high in ((-0.6, -0.3), (-0.1, 0.1), (0.3, 0.6)):
        there = (series.centre_of_mass > low) & (series.centre_of_mass < high)
        expected = np.mean(system.friction(series.centre_of_mass[there])) * system.thermal_energy / system.mode.decay
        assert np.mean(fluctuating[there] ** 2) == pytest.approx(expected, rel=0.05)


NODES = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])


def local_frictions(seeds, n_frames):
    """ζ at the nodes over the true one, and its error, for each seed."""
    system = VaryingFriction()
    profiles = [
        ama.coefficient_profile(system.sample(seed=seed, n_replicas=20, n_frames=n_frames), nodes=NODES, window=1.0)
        for seed in seeds
    ]
    exact = system.friction(NODES)
    return np.array([p.friction for p in profiles]) / exact, np.array([p.friction_std for p in profiles]) / exact


def test_local_kernels_follow_the_friction():
    ratio, _ = local_frictions(range(2), 5000)
    # the hats and the motion within the window, √(2D) ≈ 0.1 nm, smooth a law that varies over 0.3 nm: a tenth at most;
    # the rest is noise of 7 %
    assert np.all(np.abs(ratio.mean(axis=0) - 1) < 0.25)
    friction = ratio.mean(axis=0) * VaryingFriction().friction(NODES)
    assert friction[-1] > 2.0 * friction[0]


@pytest.mark.slow
def test_errors_of_local_kernels_over_repeats():
    ratio, std = local_frictions(range(100, 140), 10_000)
    bias, scatter = ratio.mean(axis=0) - 1, ratio.std(axis=0, ddof=1)
    print("\nbias", bias.round(3), "scatter", scatter.round(3), "claimed", np.sqrt(np.mean(std**2, axis=0)).round(3))
    assert np.all(np.abs(bias) < 0.1)
    np.testing.assert_allclose(np.sqrt(np.mean(std**2, axis=0)), scatter, rtol=0.4)


def test_a_constant_friction_gives_a_flat_profile():
    system = bed("trap, τ_R = 3 τ_P")
    profile = ama.coefficient_profile(system.sample(seed=2, n_replicas=20), nodes=5, window=1.2)
    deviation = (profile.friction - system.friction) / profile.friction_std
    assert np.sqrt(np.mean(deviation**2)) < 2.0
    np.testing.assert_allclose(profile.diffusion * profile.friction, system.thermal_energy)
    np.testing.assert_allclose(profile.gamma, system.mass**2 * profile.diffusion)
    np.testing.assert_allclose(profile.gamma * profile.theta_raw, (system.mass * system.thermal_energy) ** 2)
    np.testing.assert_allclose(profile.diffusion_std / profile.diffusion, profile.theta_raw_std / profile.theta_raw)
    assert profile.source == "local kernels"


def test_interpolation_is_smooth_positive_and_flat_beyond():
    profile = ama.CoefficientProfile(
        axis="x",
        positions=np.array([0.0, 1.0, 2.0, 3.0]),
        theta_raw=np.array([100.0, 1.0, np.nan, 50.0]),
        theta_raw_std=np.ones(4),
        mass=10.0,
        temperature=300.0,
        epsilon=0.1,
        window=1.0,
        source="held",
    )
    x = np.linspace(-2, 5, 701)
    friction = profile.friction_at(x)
    assert (friction > 0).all()
    np.testing.assert_allclose(profile.friction_at([0.0, 1.0, 3.0]), profile.friction[[0, 1, 3]])
    assert np.ptp(friction[x < 0]) == 0
    assert np.ptp(friction[x > 3]) == 0
    # monotone where the data are
    assert np.all(np.diff(friction[(x > 0) & (x < 1)]) < 0)
    assert np.all(np.diff(friction[(x > 1) & (x < 3)]) > 0)
    np.testing.assert_allclose(profile.diffusion_at(x) * friction, profile.thermal_energy)
    again = ama.CoefficientProfile.from_dict(profile.to_dict())
    np.testing.assert_allclose(again.friction_at(x), friction)


def test_profile_from_held_runs():
    """Friction ζ₀(1 + c tanh(R/w)), held at five places: a plain plateau at each."""
    law = VaryingFriction()
    places, results = [0.4, -0.4, 0.0], []
    for k, place in enumerate(places):
        rate = float(law.friction(place)) / law.mass
        held = bed("free, one mode").__class__(
            modes=(MemoryMode(rate, 0.06),), mass=law.mass, temperature=law.temperature
        )
        results.append(ama.theta(held.sample_held(seed=k, n_replicas=20, n_frames=4000), window=0.6))
    profile = ama.CoefficientProfile.from_results(places, results, axis="x")
    np.testing.assert_allclose(profile.positions, [-0.4, 0.0, 0.4])
    deviation = (profile.friction - law.friction(profile.positions)) / profile.friction_std
    assert np.abs(deviation).max() < 3.5
    assert profile.source == "held"
    with pytest.raises(InputError, match="at least two positions"):
        ama.CoefficientProfile.from_results([0.0], results[:1])


def test_little_visited_nodes_are_said_and_left_open():
    series = bed("trap, τ_R = 3 τ_P").sample(seed=0, n_replicas=10, n_frames=3000)
    profile = ama.coefficient_profile(series, nodes=[-0.2, 0.0, 0.2, 1.5], window=1.0)
    assert np.isnan(profile.theta_raw[-1])
    assert np.isfinite(profile.theta_raw[:3]).all()
    assert "near 1.5 nm" in {n.code: n.message for n in profile.warnings}["little_visited"]
    assert profile.friction_at(1.5) == pytest.approx(profile.friction[2])
    with pytest.raises(InsufficientDataError, match="No node was visited"):
        ama.coefficient_profile(series, nodes=[5.0, 6.0, 7.0], window=1.0)


@pytest.mark.parametrize("nodes", [1, 0, 500, [0.0], [1.0, 0.0], [0.0, np.nan], True])
def test_wrong_nodes_get_a_sentence(nodes):
    series = bed("trap, τ_R = 3 τ_P").sample(seed=0, n_replicas=4, n_frames=500)
    with pytest.raises(InputError, match="nodes"):
        ama.coefficient_profile(series, nodes=nodes)


def test_positions_momenta_and_forces_are_all_needed(rng):
    series = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=rng.normal(size=(100, 3)))
    with pytest.raises(MissingFieldError, match="No centre of mass"):
        ama.coefficient_profile(series)
