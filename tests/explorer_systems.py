"""Small made-up systems with known coefficients for the tests of the explorer."""

import numpy as np
from scipy.signal import lfilter

import amaexplore as ama
from amaexplore.units import BOLTZMANN

MASS, THERMAL, RATE, TIMESTEP = 100.0, 2.0, 0.5, 0.1
"""u, kJ/mol, 1/ps, ps: an Ornstein-Uhlenbeck momentum, so γ = m k_BT / rate = 400 u² nm²/ps."""


def brownian_particle(n_frames=6000, seed=4):
    """R, P and F of a free particle whose momentum forgets exponentially."""
    rng = np.random.default_rng(seed)
    # finer than what is stored, so that F is close to dP/dt
    fine = 10
    step = TIMESTEP / fine
    forget = np.exp(-RATE * step)
    kicks = rng.normal(scale=np.sqrt(MASS * THERMAL * (1.0 - forget**2)), size=(n_frames * fine, 3))
    momentum = lfilter([1.0], [1.0, -forget], kicks, axis=0)
    position = np.cumsum(momentum, axis=0) * step / MASS
    stored = momentum[::fine]
    force = np.gradient(stored, TIMESTEP, axis=0)
    return ama.OrderParameters.from_arrays(
        timestep=TIMESTEP,
        mass=MASS,
        momentum=stored,
        net_force=force,
        centre_of_mass=position[::fine],
        temperature=THERMAL / BOLTZMANN,
        label="made-up particle",
        n_atoms=10,
    )


def write_series(path):
    """The particle as a file that the explorer can open; returns the path."""
    from amaexplore.trajectory.series_files import write_series as write

    write(brownian_particle(), path)
    return path


def trapped_cluster(n_atoms=40, n_frames=3000, seed=9):
    """Atoms with momenta that forget exponentially, each in a harmonic well of its own: something to select from."""
    rng = np.random.default_rng(seed)
    mass, rate, stiffness, step = 40.0, 1.0, 40.0, 0.05
    position, velocity = np.zeros((n_atoms, 3)), rng.normal(scale=np.sqrt(THERMAL / mass), size=(n_atoms, 3))
    kept = {name: np.empty((n_frames, n_atoms, 3)) for name in ("positions", "velocities", "forces")}
    forget, fine = np.exp(-rate * step / 5), 5
    before = velocity.copy()
    for frame in range(n_frames * fine):
        if frame % fine == 0:
            kept["positions"][frame // fine], kept["velocities"][frame // fine] = position, velocity
            kept["forces"][frame // fine] = mass * (velocity - before) / (step / fine)
        before = velocity.copy()
        kick = rng.normal(scale=np.sqrt(THERMAL / mass * (1.0 - forget**2)), size=velocity.shape)
        velocity = forget * velocity - stiffness / mass * position * step / fine + kick
        position = position + velocity * step / fine
    places = 0.4 * np.stack(np.unravel_index(np.arange(n_atoms), (4, 4, 4)), axis=1)
    kept["positions"] += places
    return ama.Trajectory.from_arrays(masses=np.full(n_atoms, mass), timestep=step, **kept)
