"""The mean force in one to three dimensions, on the cells' grid, and tabulated for particles."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..units import thermal_energy
from .landscape import landscape

__all__ = ["ForceField", "force_table", "sample_force", "sample_potential"]


@dataclass(frozen=True, eq=False)
class ForceField:
    """Force at evenly spaced nodes.

    Parameters
    ----------
    values : ndarray, shape (d, *nodes), kJ/mol/nm
    energy : ndarray, shape (*nodes), in k_BT
        Zero at the lowest node.
    lower, inverse_width : ndarray, shape (d,)
        Position of the first node, and nodes per nm.
    refinement : int
        Nodes per cell.
    boltzmann : ndarray, shape (*cells,)
    warnings : tuple of Notice
    """

    values: np.ndarray
    energy: np.ndarray
    lower: np.ndarray
    inverse_width: np.ndarray
    refinement: int
    boltzmann: np.ndarray
    warnings: tuple

    @property
    def table(self):
        """``values`` with three axes of nodes, as the kernels want it."""
        shape = self.values.shape + (1,) * (4 - self.values.ndim)
        return np.ascontiguousarray(self.values.reshape(shape))

    def from_faces(self, faces):
        """Values on the faces of one axis carried to the nodes; shape (1, nodes, 1, 1)."""
        fine = np.empty(2 * len(faces) - 1)
        fine[0::2] = faces
        fine[1::2] = 0.5 * (faces[1:] + faces[:-1])
        return np.ascontiguousarray(fine[None, :, None, None])


def sample_potential(grids, potential, temperature):
    """U/k_BT at the cells' centres.

    Parameters
    ----------
    grids : tuple of Grid
    potential : float, ndarray of the cells' shape, or callable of one position array per axis, kJ/mol

    Raises
    ------
    InputError
    """
    shape = tuple(axis.n_cells for axis in grids)
    if callable(potential):
        potential = potential(*np.meshgrid(*(axis.centres for axis in grids), indexing="ij"))
    try:
        values = np.broadcast_to(np.asarray(potential, dtype=float), shape)
    except (TypeError, ValueError):
        raise InputError(f"potential has shape {np.shape(potential)}, but the grid has {shape} cells.") from None
    if not np.isfinite(values).all():
        raise InputError(f"potential is not finite in {int((~np.isfinite(values)).sum())} of {values.size} cells.")
    return values / thermal_energy(temperature)


def sample_force(grids, mean_force):
    """Force components at the cells' centres; ndarray (d, *cells).

    Parameters
    ----------
    grids : tuple of Grid
    mean_force : sequence of d numbers, ndarray (d, *cells), or callable of one position array per axis that returns
        d arrays; kJ/mol/nm

    Raises
    ------
    InputError
    """
    shape = tuple(axis.n_cells for axis in grids)
    if callable(mean_force):
        mean_force = mean_force(*np.meshgrid(*(axis.centres for axis in grids), indexing="ij"))
    parts = [mean_force] * len(grids) if np.ndim(mean_force) == 0 else mean_force
    try:
        if len(parts) != len(grids):
            raise ValueError
        values = np.stack([np.broadcast_to(np.asarray(part, dtype=float), shape) for part in parts])
    except (TypeError, ValueError):
        raise InputError(
            f"mean_force needs one number or array of shape {shape} for each of the {len(grids)} axes."
        ) from None
    if not np.isfinite(values).all():
        raise InputError(f"mean_force is not finite in {int((~np.isfinite(values)).sum())} of {values.size} values.")
    return values


def force_table(grids, mean_force, potential, temperature):
    """Tabulate a mean force or a potential for particles.

    Along one axis the force between two centres is that of the equations' solvers, so that both sample the same
    landscape; with several axes a potential is differentiated between the cells.

    Returns
    -------
    ForceField
    """
    if len(grids) == 1:
        return _along_a_line(grids[0], mean_force, potential, temperature)
    if mean_force is not None and potential is not None:
        raise InputError("Give either mean_force or potential, not both: they say the same thing twice.")
    from .projection import gradient_energy

    lower = np.array([axis.lower + 0.5 * axis.width for axis in grids])
    inverse_width = np.array([1.0 / axis.width for axis in grids])
    if potential is not None:
        energy = sample_potential(grids, potential, temperature)
        values = np.stack([_slope(energy, axis, a) for a, axis in enumerate(grids)]) * -thermal_energy(temperature)
    else:
        values = sample_force(grids, 0.0 if mean_force is None else mean_force)
        energy = gradient_energy(grids, values, temperature).energy
    energy = energy - energy.min()
    boltzmann = np.exp(-np.minimum(energy, 700.0))
    pads = [(1, 1) if axis.periodic else (0, 0) for axis in grids]
    if any(axis.periodic for axis in grids):
        # one more node beyond each end of a ring, so that interpolation goes round
        values = np.stack([np.pad(part, pads, mode="wrap") for part in values])
        energy = np.pad(energy, pads, mode="wrap")
        lower = lower - np.array([axis.width if axis.periodic else 0.0 for axis in grids])
    return ForceField(values, energy, lower, inverse_width, 1, boltzmann, ())


def _along_a_line(grid, mean_force, potential, temperature):
    scape = landscape(grid, mean_force, potential, temperature)
    energy = np.empty(2 * grid.n_cells + 1)
    energy[0::2], energy[1::2] = scape.face_energy, scape.energy
    half = 0.5 * grid.width
    force = np.empty_like(energy)
    force[1:-1] = -(energy[2:] - energy[:-2]) / (2.0 * half)
    if grid.periodic:
        around = energy[1] + scape.circulation - energy[-2]
        force[0] = force[-1] = -around / (2.0 * half)
    else:
        force[0] = 2.0 * force[1] - force[2]
        force[-1] = 2.0 * force[-2] - force[-3]
    boltzmann = np.exp(-np.minimum(scape.energy, 700.0))
    return ForceField(
        (force * thermal_energy(temperature))[None],
        energy,
        np.array([grid.lower]),
        np.array([1.0 / half]),
        2,
        boltzmann,
        scape.warnings,
    )


def _slope(energy, axis, a):
    if axis.periodic:
        return (np.roll(energy, -1, a) - np.roll(energy, 1, a)) / (2.0 * axis.width)
    return np.gradient(energy, axis.width, axis=a, edge_order=2)
