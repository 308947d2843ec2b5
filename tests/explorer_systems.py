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
