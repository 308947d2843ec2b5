"""Velocities and forces by differences, with the error they state; forces from a force field."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError, InsufficientDataError, MissingFieldError


def oscillators(spacing, n_frames=400, n_atoms=20):
    """Exact harmonic motion: x, v and F known in closed form."""
    rng = np.random.default_rng(5)
    omega = rng.uniform(10.0, 60.0, (n_atoms, 3))
    phase = rng.uniform(0, 2 * np.pi, (n_atoms, 3))
    masses = rng.uniform(5.0, 50.0, n_atoms)
    angle = omega * (spacing * np.arange(n_frames))[:, None, None] + phase
    x, v = 0.01 * np.sin(angle), 0.01 * omega * np.cos(angle)
    f = -masses[:, None] * omega**2 * x
    return ama.Trajectory.from_arrays(positions=x, masses=masses, timestep=spacing), v, f


def test_differences_state_their_own_error():
    trajectory, v, f = oscillators(0.003)
    found = trajectory.with_derived("velocities")
    np.testing.assert_array_equal(found.times, trajectory.times[2:-2])
    true = np.sqrt(((found.velocities - v[2:-2]) ** 2).mean() / (v**2).mean())
    message = next(n.message for n in found.notices if n.code == "derived_velocities")
    stated = float(message.split("error of about ")[1].split(" %")[0]) / 100
    assert stated == pytest.approx(true, rel=0.1)
    assert found.metadata["derived"] == ["velocities"]
    both = trajectory.with_derived()
    expected = f[4:-4]
    assert np.sqrt(((both.forces - expected) ** 2).mean() / (expected**2).mean()) < 0.03
    assert {"derived_velocities", "derived_forces"} <= {n.code for n in both.notices}
    assert "derived_forces" in ama.check(both).codes


def test_second_order():
    errors = []
    for spacing in (0.001, 0.002, 0.004):
        trajectory, v, _ = oscillators(spacing)
        found = trajectory.with_derived("velocities")
        errors.append(np.sqrt(((found.velocities - v[2:-2]) ** 2).mean()))
    np.testing.assert_allclose(np.log2(np.divide(errors[1:], errors[:-1])), 2.0, atol=0.05)


def test_frames_too_far_apart_are_refused():
    trajectory, _, _ = oscillators(0.04)
    with pytest.raises(InsufficientDataError, match=r"would be wrong by \d+ %"):
        trajectory.with_derived("velocities")


def test_what_cannot_be_derived():
    trajectory, v, _ = oscillators(0.003)
    with pytest.raises(MissingFieldError, match="differences of velocities"):
        trajectory.with_derived("forces")
    with pytest.raises(InputError, match="holds velocities"):
        trajectory.replace(velocities=v).with_derived("velocities")
    with pytest.raises(InputError, match="Only velocities and forces"):
        trajectory.with_derived("charges")
    with pytest.raises(InsufficientDataError, match="at least 9"):
        trajectory.frames(slice(0, 5)).with_derived("velocities")


def test_recomputed_forces_are_those_of_the_run():
    """Lennard-Jones atoms in a tilted box, and a virtual site: OpenMM's own forces come back."""
    import openmm

    rng = np.random.default_rng(3)
    box = np.array([[3.0, 0, 0], [1.0, 2.9, 0], [-0.8, 0.9, 2.8]])
    grid = np.stack(np.meshgrid(*[np.arange(3) * 0.45] * 3), axis=-1).reshape(-1, 3)
    system = openmm.System()
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(1.0)
    for _ in grid:
        system.addParticle(39.948)
        force.addParticle(0.0, 0.34, 1.0)
    system.addForce(force)
    system.setDefaultPeriodicBoxVectors(*box)
    context = openmm.Context(system, openmm.VerletIntegrator(0.005), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(grid + rng.normal(scale=0.02, size=grid.shape))
    x, f = [], []
    for _ in range(5):
        context.getIntegrator().step(20)
        state = context.getState(getPositions=True, getForces=True)
        x.append(state.getPositions(asNumpy=True)._value)
        f.append(state.getForces(asNumpy=True)._value)
    trajectory = ama.Trajectory.from_arrays(positions=np.array(x), masses=np.full(27, 39.948), timestep=0.1, box=box)
    seen = []
    found = ama.recompute_forces(trajectory, system, progress=lambda a, b: seen.append(a), platform="Reference")
    np.testing.assert_allclose(found.forces, f, rtol=1e-5, atol=1e-5)
    assert seen[-1] == 1.0
    assert "recomputed_forces" in {n.code for n in found.notices}
    with pytest.raises(InputError, match="27 particles, the trajectory 26"):
        ama.recompute_forces(
            ama.Trajectory.from_arrays(positions=np.array(x)[:, 1:], masses=np.full(26, 39.948), timestep=0.1), system
        )
    with pytest.raises(InputError, match="order of atoms"):
        ama.recompute_forces(trajectory.replace(masses=np.full(27, 12.0)), system)


def test_virtual_sites_are_placed_before_forces_are_computed():
    """A charged site halfway between two atoms: its force goes to them, q1 q2/(4πε0 r²) along x, half to each."""
    import openmm

    system = openmm.System()
    force = openmm.NonbondedForce()
    for mass, charge in ((12.0, 0.0), (12.0, 0.0), (0.0, 1.0), (40.0, 1.0)):
        system.addParticle(mass)
        force.addParticle(charge, 0.3, 0.0)
    system.setVirtualSite(2, openmm.TwoParticleAverageSite(0, 1, 0.5, 0.5))
    system.addForce(force)
    # the site is stored in a wrong place, as by engines that do not write it
    x = np.array([[[0.0, 0.1, 0.0], [0.0, -0.1, 0.0], [7.0, 7.0, 7.0], [0.5, 0.0, 0.0]]] * 2)
    trajectory = ama.Trajectory.from_arrays(positions=x, masses=np.array([12.0, 12.0, 0.0, 40.0]), timestep=1.0)
    found = ama.recompute_forces(trajectory, system, platform="Reference")
    size = 138.935457 / 0.5**2
    np.testing.assert_allclose(found.forces[0, 3], [size, 0, 0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.forces[0, :2], [[-size / 2, 0, 0]] * 2, rtol=1e-5, atol=1e-4)
