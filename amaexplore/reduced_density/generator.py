"""The Smoluchowski operator of equation (29) along one axis, as rates between neighbouring cells."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..kernels.tridiagonal import lowest_eigenvalues

__all__ = ["Generator", "bernoulli", "generator"]


def bernoulli(z):
    """B(z) = z/(eᶻ − 1), 1 at zero.

    Parameters
    ----------
    z : ndarray
    """
    z = np.asarray(z, dtype=float)
    small = np.abs(z) < 1e-5
    safe = np.where(small, 1.0, np.clip(z, -700.0, 700.0))
    return np.where(small, 1.0 - 0.5 * z + z * z / 12.0, safe / np.expm1(safe))


@dataclass(frozen=True, eq=False)
class Generator:
    """Rates of jumps between cells; dW/dt = Q W.

    The flux through the face between cells i and i+1 is that of the exact steady solution between two centres with
    constant force (Scharfetter and Gummel), J = (D/h²)[B(Δu) W_i − B(−Δu) W_{i+1}]. It vanishes for the Boltzmann
    density face by face; all rates are positive and columns sum to zero, so that probability is kept and the
    density stays positive.

    Parameters
    ----------
    grid : Grid
    energy : ndarray, shape (n,)
        U/k_BT at the centres.
    rise, fall : ndarray, shape (n,), 1/ps
        Rates i → i+1 and i+1 → i; the last element closes the ring and is zero on a line.
    loss_first, loss_last : float, 1/ps
        Rates out of the first and the last cell through absorbing ends.
    circulation : float
        See `Landscape`.
    """

    grid: object
    energy: np.ndarray
    rise: np.ndarray
    fall: np.ndarray
    loss_first: float
    loss_last: float
    circulation: float

    @cached_property
    def diagonal(self):
        """Q[i, i]."""
        diagonal = -self.rise - np.roll(self.fall, 1)
        diagonal[0] -= self.loss_first
        diagonal[-1] -= self.loss_last
        return diagonal

    @cached_property
    def lower(self):
        """Q[i, i−1]; element 0 couples to the last cell."""
        return np.roll(self.rise, 1)

    @cached_property
    def upper(self):
        """Q[i, i+1]; the last element couples to the first cell."""
        return self.fall.copy()

    @property
    def conserves(self):
        """Whether nothing leaves."""
        return self.loss_first == 0.0 and self.loss_last == 0.0

    @cached_property
    def equilibrium(self):
        """Stationary density, normalised; ndarray (n,). None where probability leaves."""
        if not self.conserves:
            return None
        if self.circulation == 0.0:
            weights = np.exp(-np.minimum(self.energy, 745.0))
        else:
            weights = self._ring_stationary()
        return weights / (weights.sum() * self.grid.width)

    @cached_property
    def stationary_current(self):
        """Net probability current round the ring in the stationary state, 1/ps; zero on a line."""
        if self.circulation == 0.0 or not self.conserves:
            return 0.0
        probability = self.equilibrium * self.grid.width
        # from the two places where forward and backward jumps differ most, as their sum over the ring is exact
        return float(np.mean(self.rise * probability - self.fall * np.roll(probability, -1)))

    def _ring_stationary(self):
        """p(x) ∝ e^{−u} ∫_x^{x+L} e^u/D, u unrolled once round: sums of positive terms, in logarithms."""
        n = len(self.energy)
        unrolled = self.energy
        log_resistance = unrolled - np.log(self.rise)
        before = np.empty(n)
        before[0] = -np.inf
        before[1:] = np.logaddexp.accumulate(log_resistance[:-1])
        after = np.logaddexp.accumulate(log_resistance[::-1])[::-1]
        logs = np.logaddexp(after, before + self.circulation) - unrolled
        return np.exp(np.maximum(logs - logs.max(), -745.0))

    def without(self, cell):
        """The same jumps, but what enters ``cell`` is lost and nothing leaves it."""
        cut = Generator(self.grid, self.energy, self.rise, self.fall, self.loss_first, self.loss_last, self.circulation)
        lower, upper = self.lower.copy(), self.upper.copy()
        # row ``cell`` takes nothing in; rows beside it get nothing back because the cell stays empty
        lower[cell] = upper[cell] = 0.0
        cut.__dict__.update(lower=lower, upper=upper, diagonal=self.diagonal.copy(), equilibrium=None)
        return cut

    def apply(self, density):
        """Q W along the last axis."""
        out = self.diagonal * density
        out += self.lower * np.roll(density, 1, axis=-1)
        out += self.upper * np.roll(density, -1, axis=-1)
        return out

    def dense(self):
        """Q as an (n, n) array, for tests and for spectra of rings with a current."""
        n = len(self.energy)
        matrix = np.diag(self.diagonal)
        rows = np.arange(n)
        np.add.at(matrix, ((rows + 1) % n, rows), self.rise)
        np.add.at(matrix, (rows, (rows + 1) % n), self.fall)
        return matrix

    def rates(self, count):
        """The ``count`` smallest eigenvalues of −Q without the zero of the equilibrium, 1/ps."""
        if self.grid.periodic:
            return self._ring_rates(count)
        skip = int(self.conserves)
        values = np.empty(count + skip)
        bound = 2.0 * float(-self.diagonal.min())
        lowest_eigenvalues(self.rise[:-1], self.fall[:-1], self.loss_first, self.loss_last, bound, values)
        return values[skip:]

    def _ring_rates(self, count):
        if self.circulation != 0.0:
            values = np.linalg.eigvals(-self.dense())
            return values[np.lexsort((values.imag, np.round(values.real, 12)))][1 : count + 1]
        from scipy.linalg import eigh

        symmetric = np.diag(-self.diagonal)
        n = len(self.energy)
        rows = np.arange(n)
        coupling = np.sqrt(self.rise * self.fall)
        np.add.at(symmetric, (rows, (rows + 1) % n), -coupling)
        np.add.at(symmetric, ((rows + 1) % n, rows), -coupling)
        return eigh(symmetric, eigvals_only=True, subset_by_index=(1, count))


def generator(landscape, diffusion):
    """The `Generator` of a landscape.

    Parameters
    ----------
    landscape : Landscape
    diffusion : ndarray, shape (n_cells + 1,), nm²/ps
        On the faces.
    """
    grid, steps = landscape.grid, landscape.steps
    scale = diffusion / grid.width**2
    rise, fall = np.zeros(grid.n_cells), np.zeros(grid.n_cells)
    rise[:-1] = scale[1:-1] * bernoulli(steps[1:-1])
    fall[:-1] = scale[1:-1] * bernoulli(-steps[1:-1])
    if grid.periodic:
        rise[-1] = scale[-1] * bernoulli(steps[-1])
        fall[-1] = scale[-1] * bernoulli(-steps[-1])
    # an absorbing wall stands half a cell from the centre, with density zero on it
    loss_first = 2.0 * scale[0] * float(bernoulli(-steps[0])) if grid.ends[0] == "absorbing" else 0.0
    loss_last = 2.0 * scale[-1] * float(bernoulli(steps[-1])) if grid.ends[1] == "absorbing" else 0.0
    return Generator(grid, landscape.energy, rise, fall, loss_first, loss_last, landscape.circulation)
