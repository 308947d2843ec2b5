"""Held and free dynamics: what is conserved, what is held, and what mean force and friction come out."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.simulate.dynamics import Engine, equilibrate
from amaexplore.simulate.nanocanonical import held_statistics, memory_time, sample_held
from amaexplore.simulate.potentials import DoubleWell, HarmonicTrap
from amaexplore.simulate.systems import (
    argon_beside_fixed_particle,
    argon_between_walls,
    argon_nanoparticle,
    fullerene,
    fullerene_in_argon,
    rahman_argon,
    umbrella,
)
from amaexplore.units import BOLTZMANN

SMALL = {"n_atoms": 180, "density": 0.4}


def engine_of(system, seed=1, duration=2.0):
    engine = Engine(system, seed=seed)
    equilibrate(engine, duration=duration)
    return engine


def momentum_of(engine, velocities, atoms):
    return engine.masses[atoms] @ velocities[atoms]


# -- held -------------------------------------------------------------------------------------------------


def test_held_dynamics_pins_position_and_momentum_and_keeps_energy():
    engine = engine_of(argon_nanoparticle(**SMALL))
    engine.hold("held")
    particle, host = engine.particle, engine.system.host
    start = engine.centre_of_mass()
    host_start = engine.masses[host] @ engine.positions[host] / engine.masses[host].sum()
    energies = []
    for _ in range(300):
        potential = engine.potential_energy()
        snapshot = engine.step()
        energies.append(potential + engine.kinetic_energy(snapshot.velocities))
        assert np.abs(momentum_of(engine, snapshot.velocities, particle)).max() <= 1e-12
        assert np.abs(momentum_of(engine, snapshot.velocities, host)).max() <= 1e-12
        assert np.abs(engine.centre_of_mass() - start).max() <= 1e-14
    host_end = engine.masses[host] @ engine.positions[host] / engine.masses[host].sum()
    np.testing.assert_allclose(host_end, host_start, atol=1e-13)
    # 6 ps; velocity Verlet at 20 fs fluctuates by some 0.1 % of the kinetic energy of 540 kT/2, and must not drift
    thermal = BOLTZMANN * 240.0
    assert np.ptp(energies) < 2.0 * thermal
    drift = np.polyfit(np.arange(300), energies, 1)[0] * 300
    assert abs(drift) < 1.0 * thermal


def test_the_force_of_a_held_particle_is_the_momentum_taken_out():
    """F from the velocity change of the atoms against the force OpenMM computes, in held dynamics."""
    engine = engine_of(argon_nanoparticle(**SMALL))
    engine.hold("held")
    engine.run(20)
    expected = engine._context.getState(forces=True).getForces(asNumpy=True)._value[engine.particle].sum(axis=0)
    measured = engine.step().forces[engine.particle].sum(axis=0)
    np.testing.assert_allclose(measured, expected, atol=0.02)


def test_holding_the_host_alone_leaves_the_particle_free():
    engine = engine_of(argon_nanoparticle(**SMALL, potential=HarmonicTrap(50.0)))
    engine.hold("host held")
    start = engine.centre_of_mass()
    for _ in range(100):
        snapshot = engine.step()
    assert np.abs(momentum_of(engine, snapshot.velocities, engine.system.host)).max() <= 1e-12
    assert np.abs(engine.centre_of_mass() - start).max() > 1e-3


def test_walls_take_the_hosts_momentum_along_their_normal_only():
    engine = engine_of(argon_between_walls(n_atoms=250))
    engine.hold("held")
    engine.run(20)
    momentum = momentum_of(engine, engine.half_step_velocities, engine.system.host)
    assert np.abs(momentum[1:]).max() <= 1e-12
    assert abs(momentum[0]) > 1.0


def test_the_bath_touches_the_host_only_and_keeps_its_temperature():
    system = argon_nanoparticle(**SMALL, host_friction=5.0)
    engine = engine_of(system, duration=4.0)
    before = engine.half_step_velocities.copy()
    engine._bath.kick(before_kicked := before.copy(), np.random.default_rng(1))
    np.testing.assert_array_equal(before_kicked[system.particle], before[system.particle])
    temperature = [engine.kinetic_temperature(engine.step().velocities) for _ in range(1000)]
    # 20 ps at 5/ps: some 100 independent values with a scatter of 240 sqrt(2/540) = 15 K
    assert np.mean(temperature) == pytest.approx(240.0, abs=6.0)


def test_a_held_particle_can_be_dragged():
    engine = engine_of(argon_nanoparticle(**SMALL))
    engine.hold("held")
    target = engine.centre_of_mass() + [0.15, 0.0, -0.1]
    engine.move_particle(target, temperature=240.0)
    np.testing.assert_allclose(engine.centre_of_mass(), target, atol=1e-12)
    engine.hold("free")
    with pytest.raises(ama.InputError, match="held"):
        engine.move_particle(target, temperature=240.0)


def test_unknown_dynamics():
    engine = Engine(argon_nanoparticle(**SMALL))
    with pytest.raises(ama.InputError, match="host held"):
        engine.hold("pinned")


# -- potentials -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "potential", [HarmonicTrap((50.0, 0.0, 15.0), centre=(0.1, -0.2, 0.3)), DoubleWell(3.0, 0.8, 15.0)]
)
def test_potentials_force_is_minus_the_gradient_and_what_openmm_applies(potential, rng):
    place = rng.normal(scale=0.3, size=3)
    step = 1e-5
    slope = [(potential.energy(place + step * e) - potential.energy(place - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(potential.force(place), -np.array(slope), atol=1e-6)
    bare = argon_nanoparticle(**SMALL)
    shifted = bare.positions + place
    forces = []
    for system in (bare, bare.with_potential(potential)):
        engine = Engine(system, platform="Reference")
        engine.place(shifted, np.zeros_like(shifted))
        forces.append(engine._context.getState(forces=True).getForces(asNumpy=True)._value)
        energy = engine.potential_energy()
        forces.append(energy)
    np.testing.assert_allclose(forces[3] - forces[1], potential.energy(place), atol=1e-6)
    extra = (forces[2] - forces[0])[bare.particle]
    np.testing.assert_allclose(extra.sum(axis=0), potential.force(place), atol=1e-6)
    # each atom its mass's share: the particle is moved, not deformed
    np.testing.assert_allclose(extra, np.tile(potential.force(place) / 13.0, (13, 1)), atol=1e-6)


def test_potentials_refuse_nonsense():
    with pytest.raises(ama.InputError, match="stiffness"):
        HarmonicTrap(0.0)
    with pytest.raises(ama.InputError, match="barrier"):
        DoubleWell(barrier=-1.0)


def test_umbrella_is_a_trap_at_a_place():
    system = umbrella(argon_nanoparticle(**SMALL), (0.2, 0.0, 0.0), 1000.0)
    assert system.potential.energy([0.2, 0.0, 0.0]) == 0.0
    assert not system.conserves_momentum


def test_umbrella_finds_the_force_that_pulls_on_it():
    """k (⟨R⟩ − c) in an umbrella against −∂U/∂R of a trap at ⟨R⟩."""
    trap = HarmonicTrap(300.0)
    inner = argon_nanoparticle(**SMALL, host_friction=1.0, potential=trap)
    stiffness, centre = 3000.0, np.array([0.2, 0.0, 0.0])
    engine = engine_of(umbrella(inner, centre, stiffness), seed=3)
    masses = engine.masses[engine.particle]
    visited = np.array([masses @ engine.step().positions[engine.particle] for _ in range(3000)]) / masses.sum()
    mean = visited[500:].mean(axis=0)
    measured = stiffness * (mean - centre)
    # R scatters by √(kT/k) = 0.025 nm and forgets in 0.1 ps: ± 0.0016 nm over 50 ps, ± 5 kJ/mol/nm in the force
    np.testing.assert_allclose(measured, trap.force(mean), atol=20.0)
    assert measured[0] < -30.0


# -- systems ----------------------------------------------------------------------------------------------


def test_fullerene_has_ninety_equal_bonds_and_three_per_atom():
    points = fullerene(0.1435)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    bonded = np.isclose(distance, 0.1435, rtol=1e-6)
    assert points.shape == (60, 3)
    assert bonded.sum() == 180
    assert (bonded.sum(axis=1) == 3).all()
    # radius of a truncated icosahedron of unit edge: 2.47801866
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.1435 * 2.478018659, rtol=1e-8)


@pytest.mark.parametrize(
    ("build", "n_particle"),
    [
        (lambda: argon_nanoparticle(n_particle=55, n_atoms=400), 55),
        (lambda: argon_between_walls(n_atoms=250), 13),
        (lambda: argon_beside_fixed_particle(n_atoms=400), 13),
        (lambda: fullerene_in_argon(n_host=300), 60),
        (lambda: rahman_argon(n_atoms=256), 1),
    ],
)
def test_every_system_runs_at_its_temperature(build, n_particle):
    system = build()
    assert len(system.particle) == n_particle
    engine = engine_of(system, duration=1.0)
    fixed = np.flatnonzero(engine.masses == 0)
    temperature = [engine.kinetic_temperature(engine.step().velocities) for _ in range(60)]
    assert np.mean(temperature) == pytest.approx(system.temperature, rel=0.2)
    np.testing.assert_array_equal(engine.positions[fixed], system.positions[fixed])


def test_walls_keep_the_atoms_in():
    engine = engine_of(argon_between_walls(n_atoms=250, gap=3.0))
    engine.run(200)
    assert np.abs(engine.positions[:, 0]).max() < 1.5


# -- sampling ---------------------------------------------------------------------------------------------


def test_mean_force_and_friction_of_a_known_random_force(rng):
    """Synthetic forces, AR(1) with a known mean and integral, through the statistics of held runs."""
    system = argon_nanoparticle(**SMALL)
    n_places, n_replicas, n_steps, memory = 2, 4, 20_000, 0.9
    noise = rng.normal(size=(n_places, n_replicas, n_steps, 3))
    force = np.empty_like(noise)
    force[:, :, 0] = noise[:, :, 0]
    for n in range(1, n_steps):
        force[:, :, n] = memory * force[:, :, n - 1] + np.sqrt(1 - memory**2) * noise[:, :, n]
    mean = np.array([[5.0, 0.0, -2.0], [1.0, 1.0, 1.0]])
    spread = 20.0
    force = mean[:, None, None] + spread * force
    temperature = np.array([240.0, 240.0])
    result = held_statistics(force, temperature, np.zeros((2, 3)), system, max_lag=4.0)
    assert np.abs((result.mean_force - mean) / result.mean_force_std).max() < 4.0
    # trapezoid over the lags of memory^k
    integral = spread**2 * system.timestep * (0.5 + memory / (1 - memory))
    friction = integral / (BOLTZMANN * 240.0)
    assert np.abs((result.friction - friction) / result.friction_std).max() < 4.0
    np.testing.assert_allclose(result.friction, friction, rtol=0.1)
    np.testing.assert_allclose(result.theta_raw[0], integral * np.eye(3), atol=0.15 * integral)
    assert result.plateau.all()
    np.testing.assert_allclose(result.theta, result.theta_raw * 13.0)
    np.testing.assert_allclose(result.diffusion * result.friction, BOLTZMANN * 240.0)
    assert "ζ" in repr(result)


def test_error_bars_of_the_mean_force_cover_the_truth(rng):
    """60 repeats of independent synthetic forces: one standard error holds about 68 % of them."""
    system = argon_nanoparticle(**SMALL)
    inside = []
    for _ in range(60):
        force = rng.normal(loc=3.0, size=(1, 2, 400, 3))
        result = held_statistics(force, np.array([240.0]), np.zeros((1, 3)), system)
        inside.append(np.abs(result.mean_force - 3.0) < result.mean_force_std)
    # 180 values: the fraction has a standard error of 0.035
    assert np.mean(inside) == pytest.approx(0.683, abs=0.12)


def test_potential_of_mean_force_is_the_integral_of_a_known_force():
    x = np.linspace(0.0, 0.6, 7)
    positions = np.stack([x, 0 * x, 0 * x], axis=1)
    force = np.stack([-15.0 * x, 0 * x, 0 * x], axis=1)
    sampling = _sampling(positions, force, np.full((7, 3), 0.5))
    potential, std = sampling.potential_of_mean_force()
    np.testing.assert_allclose(potential, 0.5 * 15.0 * x**2, atol=1e-12)
    # trapezoid weights h/2, h, ..., h/2 of independent errors
    np.testing.assert_allclose(std[-1], 0.5 * 0.1 * np.sqrt(0.5 + 5))
    assert std[0] == 0.0


def _sampling(positions, force, std):
    n = len(positions)
    one = np.ones(n)
    return ama.HeldSampling(
        positions=positions,
        mean_force=force,
        mean_force_std=std,
        theta_raw=np.ones((n, 3, 3)),
        theta_raw_std=np.ones((n, 3, 3)),
        friction=one,
        friction_std=one,
        memory_time=one,
        window=one,
        plateau=one.astype(bool),
        lags=np.arange(3.0),
        running_friction=np.ones((n, 3)),
        running_friction_std=np.ones((n, 3)),
        temperature=one,
        mass=1.0,
        epsilon=1.0,
        n_replicas=1,
        duration=1.0,
    )


def test_memory_time_of_an_exponential():
    lags = np.linspace(0.0, 40.0, 8001)
    assert memory_time(lags, 1.0 - np.exp(-lags / 0.4), 8000) == pytest.approx(0.4, rel=1e-3)
    # overshoots by half: counted until it is within 1/e of its end
    late = 1.0 + 0.5 * np.exp(-lags / 2.0) - 1.5 * np.exp(-lags / 0.02)
    assert memory_time(lags, late, 8000) == pytest.approx(2.0 * np.log(0.5 * np.e), abs=0.01)


def test_sampling_with_the_particle_held_finds_the_trap():
    """f^th = −∂U/∂R in a trap, whose host is the same everywhere."""
    trap = HarmonicTrap(300.0)
    system = argon_nanoparticle(**SMALL, host_friction=1.0, potential=trap)
    places = np.array([[0.0, 0.0, 0.0], [0.2, 0.0, -0.1]])
    seen = []
    options = {"duration": 10.0, "equilibration": 2.0, "n_replicas": 2, "workers": 1, "seed": 3}
    result = sample_held(system, places, progress=lambda fraction, text: seen.append(fraction), **options)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    np.testing.assert_allclose(result.positions, places, atol=1e-12)
    assert np.abs((result.mean_force - trap.force(places)) / result.mean_force_std).max() < 4.0
    assert abs(result.mean_force[1, 0] + 60.0) < 15.0


def test_bad_requests():
    system = argon_nanoparticle(**SMALL)
    with pytest.raises(ama.InputError, match=r"\(n_positions, 3\)"):
        sample_held(system, [[0.0, 0.0]])
    with pytest.raises(ama.InputError, match="duration"):
        sample_held(system, duration=-1.0)
    with pytest.raises(ama.InputError, match="MolecularSystem"):
        sample_held(42)
    with pytest.raises(ama.InputError, match="argon-nanoparticle"):
        sample_held("no such demo")
