"""Ensembles against densities: exact processes first, then atoms."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.simulate.ensemble import Ensemble, _wasserstein, compare, release
from amaexplore.simulate.potentials import DoubleWell, HarmonicTrap
from amaexplore.simulate.systems import argon_nanoparticle
from amaexplore.units import BOLTZMANN

TEMPERATURE, STIFFNESS, DIFFUSION = 240.0, 15.0, 0.006
THERMAL = BOLTZMANN * TEMPERATURE
RATE = DIFFUSION * STIFFNESS / THERMAL  # 1/ps
START = 0.6
TIMES = np.linspace(0.0, 60.0, 31)


def ornstein_uhlenbeck(rng, n_replicas, rate=RATE):
    """Exact overdamped motion in a harmonic trap, released from START along x."""
    step = TIMES[1]
    decay = np.exp(-rate * step)
    spread = np.sqrt(THERMAL / STIFFNESS * (1 - decay**2))
    position = np.zeros((n_replicas, len(TIMES), 3))
    position[:, 0, 0] = START
    for n in range(1, len(TIMES)):
        position[:, n] = decay * position[:, n - 1] + spread * rng.normal(size=(n_replicas, 3))
    return Ensemble(
        times=TIMES,
        position=position,
        momentum=rng.normal(size=position.shape),
        start=np.array([START, 0.0, 0.0]),
        mass=519.0,
        temperature=TEMPERATURE,
    )


@pytest.fixture(scope="module")
def density():
    grid = ama.Grid(-1.5, 1.5, 300)
    smoluchowski = ama.Smoluchowski(
        grid, DIFFUSION, potential=lambda x: 0.5 * STIFFNESS * x**2, temperature=TEMPERATURE
    )
    return smoluchowski.evolve(("gaussian", START, 0.01), TIMES)


def test_the_true_density_is_accepted_and_a_wrong_one_rejected(rng, density):
    ensemble = ornstein_uhlenbeck(rng, 200)
    right = compare(ensemble, density)
    assert right.accepted
    assert "holds" in right.verdict
    assert abs(right.relaxation_ratio - 1.0) < 4.0 * right.relaxation_ratio_std
    assert len(right.times) == 30
    # what sampling alone gives, on average over the times
    assert right.wasserstein.mean() == pytest.approx(right.wasserstein_expected.mean(), rel=0.5)
    slow = compare(ornstein_uhlenbeck(rng, 200, rate=0.5 * RATE), density)
    assert not slow.accepted
    assert slow.smallest_p < 1e-6
    assert "rejected" in slow.verdict
    assert slow.relaxation_ratio == pytest.approx(2.0, rel=0.3)


def test_true_densities_are_rejected_as_rarely_as_promised(rng, density):
    rejected = [not compare(ornstein_uhlenbeck(rng, 24), density).accepted for _ in range(40)]
    # at most 1 % by construction (Bonferroni): more than 3 of 40 has a probability below 1e-3
    assert sum(rejected) <= 3


def test_relaxation_ratio_and_its_error_are_calibrated(rng, density):
    results = [compare(ornstein_uhlenbeck(rng, 24), density) for _ in range(60)]
    pulls = np.array([np.log(r.relaxation_ratio) * r.relaxation_ratio / r.relaxation_ratio_std for r in results])
    # a standard normal's spread over 60 repeats is known to 0.09, its mean to 0.13; the ratio is not quite linear
    assert pulls.std() == pytest.approx(1.0, abs=0.35)
    assert abs(pulls.mean()) < 0.5


def test_wasserstein_of_known_distributions():
    edges = np.linspace(0.0, 1.0, 11)
    uniform = np.linspace(0.0, 1.0, 11)
    # all samples at 0 against uniform on [0, 1]: the mean distance is 1/2
    assert _wasserstein(np.zeros(5), edges, uniform) == pytest.approx(0.5)
    # the best four samples of a uniform: each carries a quarter by 1/16 on average
    assert _wasserstein(np.array([0.125, 0.375, 0.625, 0.875]), np.linspace(0, 1, 801), np.linspace(0, 1, 801)) == (
        pytest.approx(1 / 16, rel=1e-2)
    )


def test_empirical_moments_and_densities(rng):
    ensemble = ornstein_uhlenbeck(rng, 500)
    mean, mean_std = ensemble.mean()
    exact = START * np.exp(-RATE * TIMES)
    assert np.abs((mean[1:] - exact[1:]) / mean_std[1:]).max() < 4.5
    variance, variance_std = ensemble.variance("y")
    exact = THERMAL / STIFFNESS * (1 - np.exp(-2 * RATE * TIMES))
    assert np.abs((variance[1:] - exact[1:]) / variance_std[1:]).max() < 4.5
    edges = np.linspace(-2.0, 2.0, 41)
    density, std = ensemble.reduced_density(edges)
    np.testing.assert_allclose(density.sum(axis=1) * 0.1, 1.0)
    assert density.shape == std.shape == (31, 40)
    assert (std > 0).all()
    both, _ = ensemble.phase_density(edges, np.linspace(-6.0, 6.0, 25))
    np.testing.assert_allclose(both.sum(axis=2) * 0.5, density, atol=1e-12)


def test_error_of_the_empirical_density_is_that_of_repeats(rng):
    edges = np.linspace(0.0, 0.8, 5)
    repeats = [ornstein_uhlenbeck(rng, 60).reduced_density(edges) for _ in range(150)]
    scatter = np.std([value[5] for value, _ in repeats], axis=0)
    stated = np.sqrt(np.mean([np.square(std[5]) for _, std in repeats], axis=0))
    # a scatter over 150 repeats is known to 6 %
    np.testing.assert_allclose(stated, scatter, rtol=0.25)


def test_comparison_refuses_what_cannot_be_compared(rng, density):
    ensemble = ornstein_uhlenbeck(rng, 10)
    with pytest.raises(ama.InputError, match="No time to compare"):
        compare(ensemble, density, after=100.0)
    with pytest.raises(ama.InputError, match="'x', 'y' or 'z'"):
        compare(ensemble, density, axis="w")
    with pytest.raises(ama.InputError, match="at least 2 replicas"):
        release(argon_nanoparticle(), [0.0, 0.0, 0.0], n_replicas=1)


def test_released_replicas_start_where_they_should():
    """R exactly at the place, P Maxwellian, and a seed that decides everything, however the jobs are spread."""
    system = argon_nanoparticle(n_atoms=180, density=0.4, potential=HarmonicTrap(50.0))
    options = {"n_replicas": 6, "duration": 0.2, "interval": 0.1, "equilibration": 1.6, "seed": 5}
    ensemble = release(system, [0.2, 0.0, 0.0], workers=1, **options)
    np.testing.assert_allclose(ensemble.position[:, 0], np.tile([0.2, 0.0, 0.0], (6, 1)), atol=1e-12)
    assert ensemble.times.tolist() == pytest.approx([0.0, 0.1, 0.2])
    spread = np.sqrt(np.mean(ensemble.momentum[:, 0] ** 2))
    # 18 values: their root mean square is known to 17 %
    assert spread == pytest.approx(np.sqrt(ensemble.mass * THERMAL), rel=0.5)
    # R moves with P/m
    moved = ensemble.position[:, 1] - ensemble.position[:, 0]
    np.testing.assert_allclose(
        moved, 0.05 * (ensemble.momentum[:, 0] + ensemble.momentum[:, 1]) / ensemble.mass, atol=3e-3
    )
    spread_out = release(system, [0.2, 0.0, 0.0], workers=2, **options)
    np.testing.assert_array_equal(spread_out.position, ensemble.position)


def test_a_spread_of_starting_places():
    system = argon_nanoparticle(n_atoms=180, density=0.4, potential=HarmonicTrap(50.0))
    ensemble = release(
        system,
        [0.1, 0.0, 0.0],
        n_replicas=8,
        duration=0.1,
        interval=0.1,
        spread=(0.05, 0.0, 0.0),
        equilibration=1.6,
        workers=1,
    )
    start = ensemble.position[:, 0]
    np.testing.assert_allclose(start[:, 1:], 0.0, atol=1e-12)
    # eight values: their standard deviation is known to 27 %
    assert 0.02 < start[:, 0].std(ddof=1) < 0.1


# -- atoms against theory: minutes ------------------------------------------------------------------------


def densities(friction, temperature, stiffness, start, spread, mass, times):
    """W̃(R, t) of both equations in a harmonic trap, from the same Gaussian."""
    grid = ama.Grid(-2.0, 2.0, 200)

    def energy(x):
        return 0.5 * stiffness * x**2

    initial = ("gaussian", start, spread)
    diffusion = BOLTZMANN * temperature / friction
    smoluchowski = ama.Smoluchowski(grid, diffusion, potential=energy, temperature=temperature)
    kinetic = ama.FokkerPlanck(grid, mass=mass, friction=friction, potential=energy, temperature=temperature)
    return smoluchowski.evolve(initial, times), kinetic.evolve(initial, times)


def held_friction(system):
    """ζ outside any trap, read where the plateau is."""
    sampling = ama.sample_held(system, duration=300.0, n_replicas=4, window=5.0, seed=7)
    return sampling.friction[0]


@pytest.mark.slow
def test_underdamped_atoms_obey_fokker_planck_and_not_smoluchowski():
    """A heavy particle at ρ* = 0.3 in a stiff trap; its friction from a held run outside any trap."""
    heavy = {"density": 0.3, "mass_factor": 5.0}
    friction = held_friction(argon_nanoparticle(**heavy))
    trapped = argon_nanoparticle(**heavy, potential=HarmonicTrap(50.0))
    ensemble = release(trapped, [0.5, 0.0, 0.0], spread=(0.1, 0.0, 0.0), n_replicas=24, duration=60.0, seed=9)
    smoluchowski, kinetic = densities(
        friction, ensemble.temperature, 50.0, 0.5, 0.1, ensemble.mass, np.linspace(0.0, 60.0, 121)
    )
    against_smoluchowski, against_kinetic = compare(ensemble, smoluchowski), compare(ensemble, kinetic)
    print(friction, against_smoluchowski, against_kinetic)
    assert against_smoluchowski.smallest_p < 1e-6
    assert against_kinetic.accepted
    assert abs(against_kinetic.relaxation_ratio - 1.0) < 4.0 * against_kinetic.relaxation_ratio_std


@pytest.mark.slow
def test_overdamped_atoms_obey_both_once_the_momentum_has_relaxed():
    friction = held_friction(argon_nanoparticle())
    trapped = argon_nanoparticle(potential=HarmonicTrap(15.0))
    ensemble = release(trapped, [0.6, 0.0, 0.0], spread=(0.1, 0.0, 0.0), n_replicas=24, duration=60.0, seed=9)
    smoluchowski, kinetic = densities(
        friction, ensemble.temperature, 15.0, 0.6, 0.1, ensemble.mass, np.linspace(0.0, 60.0, 121)
    )
    late = [compare(ensemble, density, after=10.0) for density in (smoluchowski, kinetic)]
    print(friction, late)
    assert all(result.accepted for result in late)


@pytest.mark.slow
def test_held_mean_force_in_a_double_well_is_the_imposed_one():
    well = DoubleWell(3.0, 0.8, 15.0)
    system = argon_nanoparticle(potential=well, host_friction=1.0)
    places = np.array([[x, 0.0, 0.0] for x in (0.0, 0.3, 0.6, 0.9)])
    sampling = ama.sample_held(system, places, duration=100.0, n_replicas=2, seed=3)
    pulls = (sampling.mean_force - well.force(places)) / sampling.mean_force_std
    print(sampling)
    assert np.abs(pulls).max() < 4.0
    potential, std = sampling.potential_of_mean_force()
    exact = well.energy(places) - well.energy(places[0])
    trapezoid = -np.cumsum(0.15 * (well.force(places)[1:, 0] + well.force(places)[:-1, 0]))
    # the rule's own error at this spacing, and four standard errors
    allowed = np.abs(trapezoid - exact[1:]) + 4.0 * std[1:]
    assert (np.abs(potential - exact)[1:] <= allowed).all()


@pytest.mark.slow
def test_held_mean_force_is_that_of_the_free_density():
    """f^th from held runs against k_BT ∂ ln ρ/∂R of a free run in the same trap."""
    system = argon_nanoparticle(n_atoms=180, density=0.4, host_friction=1.0, potential=HarmonicTrap(300.0))
    sampling = ama.sample_held(system, [[0.15, 0.0, 0.0]], duration=100.0, n_replicas=2, seed=3)
    run = ama.simulate(system, duration=600.0, stride=20, store="subset", seed=4)
    centre = run.order_parameters("resname NP").centre_of_mass
    # a Gaussian: k_BT ∂ ln ρ/∂R = −k_BT R/⟨R²⟩
    blocks = (centre**2).reshape(30, -1, 3).mean(axis=(1, 2))
    variance, variance_std = blocks.mean(), blocks.std(ddof=1) / np.sqrt(30)
    from_density = -BOLTZMANN * 240.0 * 0.15 / variance
    std = np.hypot(sampling.mean_force_std[0, 0], abs(from_density) * variance_std / variance)
    print(sampling.mean_force[0], from_density, std)
    assert abs(sampling.mean_force[0, 0] - from_density) < 3.0 * std
    assert std < 0.15 * abs(from_density)


@pytest.mark.slow
def test_heavy_particle_obeys_einstein():
    """θ from held runs, γ from free ones: γ Θ = (m k_BT)²."""
    heavy = {"density": 0.3, "mass_factor": 5.0, "host_friction": 1.0}
    held = ama.sample_held(argon_nanoparticle(**heavy), duration=300.0, n_replicas=4, window=2.0, seed=5)
    runs = [ama.demo("argon-heavy", duration=600.0, seed=seed, cache=False) for seed in (1, 2, 3, 4)]
    series = [run.order_parameters(run.metadata["subset"]) for run in runs]
    together = ama.OrderParameters.from_arrays(
        timestep=series[0].timestep,
        mass=series[0].mass,
        momentum=[one.momentum for one in series],
        temperature=float(np.mean([one.temperature for one in series])),
        n_atoms=13,
    )
    # the momentum of the heavy particle dies in 10 ps
    gamma = ama.gamma(together, window=40.0, estimator="window", isotropic=True)
    friction = BOLTZMANN * together.temperature / gamma.diffusion
    std = friction * gamma.relative_error
    print(held.friction, held.friction_std, friction, std)
    assert abs(friction - held.friction[0]) < 3.0 * np.hypot(std, held.friction_std[0])


@pytest.mark.slow
def test_published_diffusion_of_liquid_argon():
    """Rahman, Phys. Rev. 136, A405 (1964): D = 2.43e-5 cm²/s."""
    from amaexplore.simulate.dynamics import Engine, equilibrate
    from amaexplore.simulate.systems import rahman_argon

    engine = Engine(rahman_argon(), seed=1)
    equilibrate(engine, duration=10.0)
    positions = []
    for n in range(2000):
        snapshot = engine.step()
        if n % 10 == 0:
            positions.append(snapshot.positions)
    positions = np.array(positions)
    lag = 30  # 3 ps
    squared = ((positions[lag:] - positions[:-lag]) ** 2).sum(axis=-1).mean()
    diffusion = squared / (6.0 * 3.0) * 1e-14 / 1e-12  # nm²/ps -> cm²/s
    print(diffusion)
    # 864 atoms over 20 ps: some 3 %; the temperature of a run scatters by 2 %, D with it by 4 %
    assert diffusion == pytest.approx(2.43e-5, rel=0.1)


@pytest.mark.slow
def test_dipeptide_is_warned_about():
    """Its momentum relaxes before the force forgets: the held friction is not the free one."""
    sampling = ama.sample_held("alanine-dipeptide", duration=10.0, equilibration=2.0, n_replicas=1, max_lag=2.0)
    assert "fixed_solute" in [notice.code for notice in sampling.warnings]
