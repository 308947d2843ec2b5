"""Temperature of atoms, and whether these atoms are all that was simulated: decided by physics where no file says."""

import weakref

import numpy as np

from ..units import BOLTZMANN
from .degrees_of_freedom import degrees_of_freedom
from .memory import frame_by_frame, let_go

__all__ = [
    "host_is_missing",
    "is_complete",
    "measure_temperature",
    "system_temperature",
    "temperature_series",
    "total_momentum_is_zero",
]

MOST_VALUES = 3_000_000  # atoms times frames that a temperature is measured on: more adds time, not accuracy
NET_FORCE_VANISHES = (
    3e-4  # of the atoms' own forces; particle-mesh sums leave 1e-4, a particle in a host feels over 1e-3
)
FEW_FRAMES = 50  # enough to see whether a sum over all atoms vanishes

# trajectory -> (temperature, std) of all its atoms; whether its total momentum is zero; degrees of freedom per atom
_temperatures: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_zero_momentum: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_freedom: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def measure_temperature(trajectory, subset):
    """Kinetic temperature of the subset's atoms, T = ⟨Σ m_i v_i²⟩ / (k_B n_f).

    The number of degrees of freedom n_f leaves out what rigid distances (found in the data), massless sites, frozen
    atoms and a total momentum of zero take away. Velocities half a step behind the positions do as well as others.

    Parameters
    ----------
    trajectory : Trajectory
    subset : AtomSubset

    Returns
    -------
    temperature, std : float, K
        The standard error allows for the correlation between frames. ``(None, None)`` without velocities; the second is
        ``None`` when the run is too short to tell.
    """
    _, series = temperature_series(trajectory, subset)
    if not series.any():
        return None, None
    return float(series.mean()), _standard_error(series)


def system_temperature(trajectory):
    """Kinetic temperature of all atoms of the data, measured once per trajectory.

    A nanoparticle in equilibrium has the temperature of its host, and the many atoms of the host tell it with a much
    smaller error than the few of the particle; `amaexplore.check` compares the two.

    Returns
    -------
    temperature, std : float, K
        As from `measure_temperature`.
    """
    if trajectory not in _temperatures:
        _temperatures[trajectory] = measure_temperature(trajectory, trajectory.select(np.arange(trajectory.n_atoms)))
    return _temperatures[trajectory]


def temperature_series(trajectory, subset):
    """Kinetic temperature frame by frame, at most about three million atoms in all.

    Returns
    -------
    frames : ndarray of int, shape (n_chosen,)
    temperature : ndarray, shape (n_chosen,), K
        Empty without velocities or degrees of freedom.
    """
    frames = spread_frames(trajectory, "velocities", max(50, MOST_VALUES // max(1, subset.n_atoms)))
    freedom = atoms_freedom(trajectory)[subset.indices].sum() if len(frames) else 0.0
    if freedom <= 0:
        return frames[:0], np.empty(0)
    return frames, _twice_kinetic_energy(trajectory, subset.indices, frames) / (freedom * BOLTZMANN)


def atoms_freedom(trajectory):
    """Degrees of freedom of each atom, computed once per trajectory."""
    if trajectory not in _freedom:
        total = None
        if total_momentum_is_zero(trajectory):
            total = trajectory.metadata.get("total_mass", float(trajectory.masses.sum()))
        _freedom[trajectory] = degrees_of_freedom(trajectory, total)
    return _freedom[trajectory]


def spread_frames(trajectory, name, most):
    """At most so many of the frames that hold a field, evenly spread."""
    held = np.flatnonzero(trajectory.frames_with[name])
    step = -(-len(held) // most) if len(held) else 1
    return held[::step]


def _twice_kinetic_energy(trajectory, indices, frames):
    """Σ m_i v_i² at each of the frames, kJ/mol."""
    masses = trajectory.masses[indices]
    whole = len(indices) == trajectory.n_atoms
    energy = np.empty(len(frames))
    for n, velocities in enumerate(frame_by_frame(trajectory.velocities, frames)):
        velocities = velocities if whole else velocities[indices]
        energy[n] = np.einsum("ij,ij->i", velocities, velocities, dtype=float) @ masses
    return energy


def _standard_error(series):
    from ..uncertainty import correlation_time

    if len(series) < 5:
        return None
    time = correlation_time(series)
    if time.n_effective < 2:
        return None
    return float(series.std() / np.sqrt(time.n_effective))


# -- is this everything that was simulated? -----------------------------------------------------------


def is_complete(trajectory):
    """Whether these atoms are all that was simulated: True, False, or None when nothing tells.

    Decided by what the file says, else by physics: internal forces cancel, so that the net force of a complete system
    vanishes against the atoms' own forces and its momentum does not fluctuate.
    """
    if trajectory.complete_system is not None:
        return trajectory.complete_system
    force, momentum = net_force_fraction(trajectory), _momentum_fluctuation(trajectory)
    if force is None and momentum is None:
        return None
    if force is not None and force < NET_FORCE_VANISHES:
        return True
    return (force is None or force < 10 * NET_FORCE_VANISHES) and (momentum is None or momentum < 1e-2)


def total_momentum_is_zero(trajectory):
    """Whether the whole simulated system is in the data, or described by it, and has zero total momentum."""
    told = trajectory.metadata.get("zero_total_momentum")
    if told is not None:
        return bool(told)
    if trajectory not in _zero_momentum:
        _zero_momentum[trajectory] = _momentum_vanishes(trajectory)
    return _zero_momentum[trajectory]


def _momentum_vanishes(trajectory):
    if trajectory.velocities is None or not is_complete(trajectory):
        return False
    momentum, thermal = total_momentum(trajectory)
    return len(momentum) > 0 and float(np.linalg.norm(momentum, axis=1).max()) < 1e-2 * thermal


def host_is_missing(trajectory, subset):
    """Why a selection leaves no host medium, as a sentence; ``None`` when there is (or may be) one.

    A selection of all atoms is fine when the file holds only the particle's atoms, and senseless when it holds
    everything that was simulated.
    """
    if subset.n_atoms < trajectory.n_atoms or not is_complete(trajectory):
        return None
    force = net_force_fraction(trajectory)
    proof = "the file says that they are all that was simulated"
    if force is not None:
        proof = f"their net force is {force:.1e} of their own forces, so nothing else acts on them"
    return (
        f"The selection {subset.selection!r} takes all {trajectory.n_atoms} atoms and {proof}: no host medium is left for the "
        "nanoparticle to move in. Select part of the atoms, such as 'protein', 'resname NP' or 'index 0 to 12'."
    )


def net_force_fraction(trajectory):
    """|ΣF| against √Σ|F|², root mean square over a few frames."""
    frames = spread_frames(trajectory, "forces", FEW_FRAMES)
    if len(frames) == 0 or trajectory.n_atoms < 2:
        return None
    forces = trajectory.forces[frames].astype(float)
    let_go(trajectory.forces)
    own = np.sqrt((forces**2).sum(axis=(1, 2)).mean())
    if own == 0:
        return None
    return float(np.sqrt((forces.sum(axis=1) ** 2).sum(axis=1).mean()) / own)


def _momentum_fluctuation(trajectory):
    """Standard deviation of the total momentum over that of a particle of this mass in a bath."""
    momentum, thermal = total_momentum(trajectory)
    if len(momentum) < 3 or thermal == 0:
        return None
    return float(np.sqrt(momentum.var(axis=0).sum()) / thermal)


def total_momentum(trajectory):
    """Σ m_i v_i in a few frames, and √(3 m k_B T) with the temperature of all 3N degrees of freedom."""
    frames = spread_frames(trajectory, "velocities", FEW_FRAMES)
    if len(frames) == 0:
        return np.empty((0, 3)), 0.0
    velocities = trajectory.velocities[frames].astype(float)
    let_go(trajectory.velocities)
    momentum = np.einsum("i,fij->fj", trajectory.masses, velocities)
    twice_energy = np.einsum("i,fij,fij->f", trajectory.masses, velocities, velocities).mean()
    return momentum, float(np.sqrt(trajectory.masses.sum() * twice_energy / trajectory.n_atoms))
