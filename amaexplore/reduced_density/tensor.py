"""A diffusion tensor with mixed components, as jumps along the axes and along the diagonals of the cells.

Along a direction a+b of neighbouring cells the second derivative holds those of both axes and the mixed one,
(h_a ∂_a + h_b ∂_b)². Taking |D_ab| from the two axes and giving it to the diagonal leaves only positive rates wherever
D_aa ≥ |D_ab| h_a/h_b and D_bb ≥ |D_ab| h_b/h_a, which cells of the right shape always reach, since D_aa D_bb > D_ab². Each
direction is a flux of Scharfetter and Gummel, so the Boltzmann density stays stationary jump by jump, probability is kept and
no density becomes negative.
"""

from itertools import combinations

import numpy as np

from ..errors import InputError
from .generator import bernoulli
from .splitting import AxisGenerator

__all__ = ["DiagonalGenerator", "diagonal_generators", "sample_tensor"]


class DiagonalGenerator(AxisGenerator):
    """Rates along one diagonal of two axes: lines that start on the second axis' cells and wrap round.

    Parameters
    ----------
    pair : (int, int)
        The axes a and b; a line steps along a, and along b or against it.
    sign : int
        1 or −1.
    """

    def __init__(self, pair, sign, rise, fall, grid):
        nothing = np.zeros(rise.shape[1])
        super().__init__(grid, rise, fall, nothing, nothing)
        self.pair, self.sign = pair, sign

    def lines(self, state):
        """(*cells) as (n_a, n_lines)."""
        return _sheared(state, self.pair, self.sign)

    def cells(self, lines, shape):
        """The inverse of `lines`."""
        a, b = self.pair
        moved = np.moveaxis(np.empty(shape), (a, b), (0, 1))
        out = np.empty(moved.shape)
        _, columns = _diagonal(moved.shape[0], moved.shape[1], self.sign)
        rows = np.arange(moved.shape[0])[:, None]
        out[rows, columns] = lines.reshape(moved.shape)
        return np.ascontiguousarray(np.moveaxis(out, (0, 1), (a, b)))


def _diagonal(n_a, n_b, sign):
    """Row and column of the i-th cell of line l: (i, l ± i modulo n_b)."""
    rows = np.arange(n_a)[:, None]
    return rows, (np.arange(n_b)[None, :] + sign * rows) % n_b


def _sheared(state, pair, sign):
    moved = np.moveaxis(state, pair, (0, 1))
    rows, columns = _diagonal(moved.shape[0], moved.shape[1], sign)
    return np.ascontiguousarray(moved[rows, columns]).reshape(moved.shape[0], -1)


def sample_tensor(grids, diffusion):
    """D on the cells, or None where no mixed component is given.

    Parameters
    ----------
    grids : tuple of Grid
    diffusion : ndarray, shape (d, d) or (d, d, *cells), or callable that returns it, nm²/ps

    Returns
    -------
    ndarray, shape (d, d, *cells), or None

    Raises
    ------
    InputError
        Not symmetric or not positive definite somewhere.
    """
    d, shape = len(grids), tuple(axis.n_cells for axis in grids)
    if callable(diffusion):
        diffusion = diffusion(*np.meshgrid(*(axis.centres for axis in grids), indexing="ij"))
    try:
        array = np.asarray(diffusion, dtype=float)
    except (TypeError, ValueError):
        return None
    if array.shape == (d, d) and shape != (d, d):
        array = np.broadcast_to(array.reshape(d, d, *[1] * d), (d, d, *shape))
    if array.shape != (d, d, *shape):
        return None
    if not np.isfinite(array).all():
        raise InputError("diffusion must be finite everywhere, in nm²/ps.")
    if np.abs(array - array.swapaxes(0, 1)).max() > 1e-9 * np.abs(array).max():
        raise InputError(
            "A diffusion tensor is symmetric; give ½(D + Dᵀ), which is all that equation (29) holds of it."
        )
    lowest = np.linalg.eigvalsh(np.moveaxis(array, (0, 1), (-2, -1))).min()
    if lowest <= 0.0:
        raise InputError(
            f"A diffusion tensor must be positive definite everywhere; its lowest eigenvalue is {lowest:.4g} nm²/ps."
        )
    return array


def diagonal_generators(grids, energy, tensor):
    """The diagonals' generators, and what of D is left for the faces of the axes.

    Parameters
    ----------
    grids : tuple of Grid
    energy : ndarray, shape (*cells,), k_BT
    tensor : ndarray, shape (d, d, *cells), nm²/ps

    Returns
    -------
    generators : list of DiagonalGenerator
    left : list of ndarray, shape (*cells,), nm²/ps
        D_aa less what the diagonals carry.

    Raises
    ------
    InputError
        Cells whose shape would need negative rates; periodic ends that the diagonals do not close on.
    """
    left = [np.array(tensor[a, a]) for a in range(len(grids))]
    generators = []
    for a, b in combinations(range(len(grids)), 2):
        mixed = tensor[a, b]
        if not np.any(mixed):
            continue
        if grids[a].periodic and not grids[b].periodic:
            a, b = b, a
        if grids[a].periodic and grids[a].n_cells % grids[b].n_cells:
            raise InputError(
                f"With both ends periodic, a diffusion tensor with mixed components needs numbers of cells of which the first is a "
                f"multiple of the second; got {grids[a].n_cells} and {grids[b].n_cells}."
            )
        if any("absorbing" in axis.ends for axis in (grids[a], grids[b])):
            raise InputError(
                "A diffusion tensor with mixed components is available with reflecting and periodic ends; for absorbing ones "
                "sample with BrownianDynamics, or turn the axes to the tensor's principal ones."
            )
        ratio = grids[a].width / grids[b].width
        left[a] -= np.abs(mixed) * ratio
        left[b] -= np.abs(mixed) / ratio
        for sign in (1, -1):
            share = np.maximum(sign * mixed, 0.0)
            if share.any():
                generators.append(_one_diagonal(grids, energy, share, (a, b), sign))
    lowest = min(float(rest.min()) for rest in left)
    if lowest < 0.0:
        raise InputError(_shape_advice(grids, tensor))
    return generators, left


def _shape_advice(grids, tensor):
    mean = tensor.reshape(*tensor.shape[:2], -1).mean(axis=-1)
    roots = np.sqrt(np.diag(mean))
    counts = [axis.length / root for axis, root in zip(grids, roots)]
    scale = grids[0].n_cells / counts[0]
    wanted = " × ".join(str(max(4, round(scale * count))) for count in counts)
    have = " × ".join(str(axis.n_cells) for axis in grids)
    return (
        f"The diffusion tensor is too skew for cells of this shape ({have}): sizes in the ratio of the roots of D's diagonal, "
        f"{' : '.join(f'{root:.3g}' for root in roots)}, keep every rate positive; try {wanted} cells."
    )


def _one_diagonal(grids, energy, share, pair, sign):
    a, b = pair
    u, d = _sheared(energy, pair, sign), _sheared(share, pair, sign)
    n_a, n_b = grids[a].n_cells, grids[b].n_cells
    step = np.roll(u, -1, 0) - u
    both = d + np.roll(d, -1, 0)
    scale = np.where(both > 0.0, 2.0 * d * np.roll(d, -1, 0) / np.where(both > 0.0, both, 1.0), 0.0)
    scale = scale / (grids[a].width * grids[b].width)
    rise, fall = scale * bernoulli(step), scale * bernoulli(-step)
    if not grids[a].periodic:
        rise[-1] = fall[-1] = 0.0
    if not grids[b].periodic:
        # a line ends where it would leave through one side and come back through the other
        _, columns = _diagonal(n_a, n_b, sign)
        leaves = columns == (n_b - 1 if sign > 0 else 0)
        others = rise.shape[1] // n_b
        rise[np.repeat(leaves, others, axis=1)] = 0.0
        fall[np.repeat(leaves, others, axis=1)] = 0.0
    return DiagonalGenerator(pair, sign, np.ascontiguousarray(rise), np.ascontiguousarray(fall), grids[a])
