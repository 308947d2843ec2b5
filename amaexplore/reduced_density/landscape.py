"""The energy landscape along one axis, as the solvers see it: steps of U/k_BT from cell to cell."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError, Notice
from ..units import thermal_energy

__all__ = ["Landscape", "check_temperature", "coefficient_on_faces", "landscape"]

STEEPEST = 700.0  # exp() of more is not a floating-point number
WARN_STEP = 2.0  # k_BT per cell, where the error of the flux's distance weighting passes a few per cent
RELEVANT = 18.0  # k_BT above the deepest point: where less than 1e-8 of the density's maximum can be
GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(4)


@dataclass(frozen=True, eq=False)
class Landscape:
    """u = U/k_BT along one axis.

    Parameters
    ----------
    grid : Grid
    energy : ndarray, shape (n_cells,)
        u at the centres, zero at the lowest. Along a ring whose force does work in going round it is the energy
        on the way up from the first cell.
    face_energy : ndarray, shape (n_cells + 1,)
        u at the edges of the cells, from the same zero.
    steps : ndarray, shape (n_cells + 1,)
        u_f − u_{f−1} across face f. At a closed end, the half step from the centre outwards to the wall.
    circulation : float
        Work against the force in going once round a periodic axis, in k_BT; zero where the force is a gradient.
    warnings : tuple of Notice
    """

    grid: object
    energy: np.ndarray
    face_energy: np.ndarray
    steps: np.ndarray
    circulation: float
    warnings: tuple

    def gradient_part(self):
        """The same landscape without the constant force that does the work round a ring."""
        if self.circulation == 0.0:
            return self
        share = self.circulation / self.grid.n_cells
        cells = np.arange(self.grid.n_cells)
        energy = self.energy - share * (cells + 0.5)
        faces = self.face_energy - share * np.append(cells, self.grid.n_cells)
        lowest = energy.min()
        return Landscape(self.grid, energy - lowest, faces - lowest, self.steps - share, 0.0, self.warnings)


def check_temperature(temperature):
    """The temperature as a float.

    Raises
    ------
    InputError
        Not a positive number.
    """
    try:
        value = float(temperature)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value) or value <= 0.0:
        raise InputError(f"temperature must be a positive number in K; got {temperature!r}.")
    return value


def landscape(grid, mean_force, potential, temperature):
    """Build the `Landscape` of a mean force or of a potential.

    Parameters
    ----------
    grid : Grid
    mean_force : float, ndarray (n_cells,), callable or None, kJ/mol/nm
        f^th: positive pushes towards larger R.
    potential : float, ndarray (n_cells,), callable or None, kJ/mol
        At most one of the two; neither is a flat landscape.
    temperature : float, K

    Raises
    ------
    InputError
        Both given, wrong shape, values that are not finite, or steeper than the cells can show.
    """
    if mean_force is not None and potential is not None:
        raise InputError("Give either mean_force or potential, not both: they say the same thing twice.")
    beta = 1.0 / thermal_energy(temperature)
    if potential is not None:
        energy, faces, circulation = _from_potential(grid, potential, beta)
    else:
        energy, faces, circulation = _from_force(grid, 0.0 if mean_force is None else mean_force, beta)
    steps = np.empty(grid.n_cells + 1)
    steps[1:-1] = np.diff(energy)
    if grid.periodic:
        steps[0] = steps[-1] = energy[0] + circulation - energy[-1]
    else:
        steps[0] = energy[0] - faces[0]
        steps[-1] = faces[-1] - energy[-1]
    if grid.periodic and abs(circulation) < 1e-9 * max(1.0, np.ptp(energy)):
        circulation = 0.0
        steps[0] = steps[-1] = energy[0] - energy[-1]
    lowest = energy.min()
    energy, faces = energy - lowest, faces - lowest
    return Landscape(grid, energy, faces, steps, circulation, _check_steps(grid, energy, steps))


def sample(name, function, positions, unit):
    """Values of a number, array or callable at positions, checked.

    Raises
    ------
    InputError
        Wrong shape or not finite.
    """
    if callable(function):
        try:
            values = np.asarray(function(positions), dtype=float)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} could not be evaluated on the grid's positions: {error}.") from error
    else:
        try:
            values = np.asarray(function, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"{name} is a number, an array or a callable; got {type(function).__name__}.") from None
    if values.ndim == 0:
        values = np.full(positions.shape, float(values))
    if values.shape != positions.shape:
        raise InputError(
            f"{name} has shape {values.shape}, but the grid has {positions.shape} cells; give one value per cell."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        where = float(positions[bad][0])
        raise InputError(
            f"{name} is not finite in {int(bad.sum())} of {bad.size} places, first at {where:.4g} nm; give numbers "
            f"in {unit} everywhere on the grid, or a smaller grid."
        )
    return values


def _from_potential(grid, potential, beta):
    """u at centres and edges, and the work round a ring (always zero: a potential has one value per place)."""
    energy = beta * sample("potential", potential, grid.centres, "kJ/mol")
    if callable(potential):
        faces = beta * _sample_ends(potential, grid)
    else:
        faces = _to_faces(energy, grid.periodic)
    if grid.periodic:
        faces[0] = faces[-1]
    return energy, faces, 0.0


def _sample_ends(potential, grid):
    """A potential on the edges; where it is not finite at the outermost ones (a wall), their inner half cell decides."""
    edges = grid.edges
    edges[0] += 1e-9 * grid.width
    edges[-1] -= 1e-9 * grid.width
    return sample("potential", potential, edges, "kJ/mol")


def _from_force(grid, force, beta):
    """u = −β∫F: Gauss quadrature between neighbouring half-cell points for a callable, trapezoids for an array."""
    half = 0.5 * grid.width
    if callable(force):
        starts = grid.lower + half * np.arange(2 * grid.n_cells)
        nodes = starts[:, None] + half * 0.5 * (1.0 + GAUSS_NODES)
        values = sample("mean_force", force, nodes.ravel(), "kJ/mol/nm").reshape(nodes.shape)
        work = 0.5 * half * values @ GAUSS_WEIGHTS
    else:
        values = sample("mean_force", force, grid.centres, "kJ/mol/nm")
        faces = _to_faces(values, grid.periodic)
        work = np.empty(2 * grid.n_cells)
        # the halves of a trapezoid, each by its own linear piece
        work[0::2] = 0.5 * half * (faces[:-1] + values)
        work[1::2] = 0.5 * half * (values + faces[1:])
    ladder = -beta * np.concatenate([[0.0], np.cumsum(work)])
    return ladder[1::2], ladder[0::2].copy(), float(ladder[-1]) if grid.periodic else 0.0


def _to_faces(values, periodic):
    """Linear interpolation of cell values to edges, extrapolated at closed ends."""
    faces = np.empty(len(values) + 1)
    faces[1:-1] = 0.5 * (values[1:] + values[:-1])
    if periodic:
        faces[0] = faces[-1] = 0.5 * (values[0] + values[-1])
    else:
        faces[0] = values[0] - 0.5 * (values[1] - values[0])
        faces[-1] = values[-1] + 0.5 * (values[-1] - values[-2])
    return faces


def coefficient_on_faces(name, coefficient, grid, unit, *, allow_zero=False):
    """A positive coefficient (diffusion, friction) on the faces.

    A callable is asked at the faces; an array on the centres is carried there by harmonic means, which conserve
    the resistance between two centres.

    Returns
    -------
    ndarray, shape (n_cells + 1,)

    Raises
    ------
    InputError
        Negative, zero, or not finite.
    """
    on_faces = callable(coefficient) or np.ndim(coefficient) == 0
    values = sample(name, coefficient, grid.edges if on_faces else grid.centres, unit)
    lowest = values.min()
    if lowest < 0.0 or (lowest == 0.0 and not allow_zero):
        bound = "at least zero" if allow_zero else "positive"
        raise InputError(f"{name} must be {bound} everywhere, in {unit}; its lowest value is {lowest:.4g}.")
    if on_faces:
        return values
    faces = np.empty(grid.n_cells + 1)
    with np.errstate(divide="ignore"):
        resistance = 1.0 / values
        faces[1:-1] = 2.0 / (resistance[1:] + resistance[:-1])
        if grid.periodic:
            faces[0] = faces[-1] = 2.0 / (resistance[0] + resistance[-1])
        else:
            faces[0], faces[-1] = values[0], values[-1]
    return faces


def _check_steps(grid, energy, steps):
    """Refuse what the cells cannot show at all, warn of what they show badly; the cell Péclet number decides."""
    inner = steps[1:] if grid.periodic else steps[1:-1]
    relevant = energy < RELEVANT
    pairs = relevant & np.roll(relevant, -1)
    pairs = pairs if grid.periodic else pairs[:-1]
    worst = float(np.abs(inner[pairs]).max()) if pairs.any() else 0.0
    weights = np.exp(-np.minimum(energy, STEEPEST))
    occupied = weights.sum() ** 2 / (weights**2).sum()
    steepest = float(np.abs(inner).max())
    if occupied < 2.5 and steepest > WARN_STEP:
        needed = int(np.ceil(grid.n_cells * steepest / WARN_STEP))
        raise InputError(
            f"The potential is too steep for the grid: the equilibrium density fits into {occupied:.2g} cells of "
            f"{grid.width:.3g} nm (cell Péclet number up to {steepest:.3g}, at most {WARN_STEP:g} wanted); use about "
            f"{needed} cells, or a shorter grid around the minimum."
        )
    if worst > WARN_STEP:
        needed = int(np.ceil(grid.n_cells * worst / WARN_STEP))
        return (
            Notice(
                "steep_potential",
                f"The energy changes by up to {worst:.3g} k_BT from one cell to the next (cell Péclet number; at most "
                f"{WARN_STEP:g} wanted): rates may be off by several per cent. Use about {needed} cells.",
            ),
        )
    return ()
