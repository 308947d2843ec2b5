"""Velocities half an MD step away from positions and forces: found in the data, ⟨P·F⟩ = o⟨F²⟩.

In equilibrium ⟨v(t)·F(t)⟩ = 0. Leapfrog engines store v(t − dt/2) = v(t) − F(t)dt/2m, so that ⟨m v·F/m⟩ = −½dt⟨F²/m⟩.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import Notice
from .degrees_of_freedom import rigid_pairs
from .memory import frame_by_frame

__all__ = ["MeasuredOffset", "measure_offset", "with_detected_offset"]

MOST_FRAMES, MOST_VALUES = 400, 6_000_000  # frames, and atoms times frames: enough for a significant answer


@dataclass(frozen=True)
class MeasuredOffset:
    """Time of velocities minus time of forces, ps, with its standard error, as the data shows it."""

    offset: float
    std: float
    n_frames: int


def measure_offset(trajectory):
    """The offset Σ P·F/m / Σ F²/m over rigid units, whose constraint forces (not stored) cancel within each.

    Returns
    -------
    MeasuredOffset or None
        ``None`` without velocities and forces in common frames, or when no force is felt.
    """
    held = np.flatnonzero(trajectory.frames_with["velocities"] & trajectory.frames_with["forces"])
    if len(held) < 10:
        return None
    n_frames = int(np.clip(MOST_VALUES // trajectory.n_atoms, 20, MOST_FRAMES))
    frames = held[np.unique(np.linspace(0, len(held) - 1, n_frames).round().astype(int))]
    masses = trajectory.masses
    label, unit_mass = _rigid_units(trajectory)
    power, squares = np.empty(len(frames)), np.empty(len(frames))
    velocities, forces = (frame_by_frame(values, frames) for values in (trajectory.velocities, trajectory.forces))
    for n, (velocity, force) in enumerate(zip(velocities, forces, strict=True)):
        momentum = _summed(velocity * masses[:, None], label, len(unit_mass))
        force = _summed(force.astype(float), label, len(unit_mass))
        power[n] = (momentum * force).sum(axis=1) @ unit_mass
        squares[n] = (force * force).sum(axis=1) @ unit_mass
    if not squares.sum() > 0:
        return None
    offset = power.sum() / squares.sum()
    residual = power - offset * squares
    return MeasuredOffset(float(offset), float(np.sqrt((residual**2).sum()) / squares.sum()), len(frames))


def _rigid_units(trajectory):
    """Label of the rigid unit of each atom, and 1/mass of each unit (0 for those without mass)."""
    n_atoms = trajectory.n_atoms
    pairs = rigid_pairs(trajectory)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(n_atoms, n_atoms))
    n_units, label = connected_components(links, directed=False)
    mass = np.bincount(label, weights=trajectory.masses, minlength=n_units)
    return label, np.divide(1.0, mass, out=np.zeros_like(mass), where=mass > 0)


def _summed(values, label, n_units):
    return np.stack([np.bincount(label, weights=values[:, axis], minlength=n_units) for axis in range(3)], axis=1)


def with_detected_offset(trajectory):
    """The trajectory with ``velocity_offset`` set to half an MD step where the data shows it, and a notice that says so."""
    found = measure_offset(trajectory)
    if found is None:
        return trajectory
    step = trajectory.md_timestep
    if abs(found.offset) < 5.0 * found.std:
        return trajectory
    if step and min(abs(found.offset / step - half) for half in (-0.5, 0.5)) > 0.15:
        return trajectory
    offset = float(np.sign(found.offset)) * 0.5 * step if step else found.offset
    side = "behind" if offset < 0 else "ahead of"
    known = (
        f"half of the MD step of {step:.4g} ps" if step else "the MD step is not known, so the measured value is used"
    )
    notice = Notice(
        "half_step_velocities",
        f"Velocities are {abs(found.offset) * 1e3:.3g} ± {found.std * 1e3:.1g} fs {side} positions and forces (from <P.F> against "
        f"<F^2>; {known}): a leapfrog engine. Momenta are put right by P - offset*F before anything is computed from them; the "
        "stored values stay as they are. Give integrator= if that is wrong.",
        "warning",
    )
    return trajectory.replace(velocity_offset=offset, notices=(*trajectory.notices, notice))
