"""First passages along one axis, by quadrature: no matrix, and no loss of digits at high barriers."""

import numpy as np

from ..errors import InputError
from ..kernels.passage import outflow_time

__all__ = ["Passage"]

SUBCELLS = 8  # points per half cell: the landscape between centre and edge is linear, the exponentials are not


class Passage:
    """Passage times and splitting probabilities in a `Landscape` with diffusion D on its faces.

    Parameters
    ----------
    landscape : Landscape
    diffusion : ndarray, shape (n_cells + 1,), nm²/ps
    """

    def __init__(self, landscape, diffusion):
        self.landscape = landscape
        self.grid = landscape.grid
        self.diffusion = diffusion

    def mean_time(self, target, start=None):
        """See `Smoluchowski.mean_first_passage_time`."""
        low, high = self._target(target)
        starts = self.grid.centres if start is None else np.asarray(start, dtype=float)
        flat = np.atleast_1d(starts).astype(float)
        for position in (flat.min(), flat.max()):
            self.grid.cell_of(position)
        times = np.zeros(flat.shape)
        if self.grid.periodic:
            outside = (flat < low) | (flat > high)
            unrolled = np.where(flat < low, flat + self.grid.length, flat)
            times[outside] = self._stretch(high, low + self.grid.length, True, True, unrolled[outside])
        else:
            below, above = flat < low, flat > high
            absorbing = [end == "absorbing" for end in self.grid.ends]
            times[below] = self._stretch(self.grid.lower, low, absorbing[0], True, flat[below])
            times[above] = self._stretch(high, self.grid.upper, True, absorbing[1], flat[above])
        return float(times[0]) if np.ndim(starts) == 0 else times.reshape(np.shape(starts))

    def committor(self, first, second, start=None):
        """See `Smoluchowski.committor`."""
        if self.grid.periodic:
            raise InputError("The committor between two places on a ring is not available; cut the ring open.")
        (low, _), (high, _) = self._target(first), self._target(second)
        flipped = low > high
        low, high = min(low, high), max(low, high)
        if low == high:
            raise InputError(f"The committor needs two different places; got {low:g} nm twice.")
        starts = self.grid.centres if start is None else np.asarray(start, dtype=float)
        points = self._points(low, high)
        by_upper = _split(points, self.energy_at(points), self.diffusion_at(points))[0]
        values = np.interp(starts, points, by_upper)
        values = 1.0 - values if flipped else values
        return float(values) if np.ndim(values) == 0 else values

    def _target(self, target):
        try:
            ends = np.atleast_1d(np.asarray(target, dtype=float))
        except (TypeError, ValueError):
            ends = np.empty(0)
        if ends.shape not in ((1,), (2,)) or not np.isfinite(ends).all() or ends[0] > ends[-1]:
            raise InputError(f"target is a position in nm, or an ascending pair of them; got {target!r}.")
        for end in ends:
            self.grid.cell_of(end)
        return float(ends[0]), float(ends[-1])

    def _stretch(self, low, high, exit_low, exit_high, starts):
        """Mean time to leave [low, high] by the ends that are exits; the others reflect."""
        if starts.size == 0 or high <= low:
            return np.zeros(starts.shape)
        points = self._points(low, high)
        energy, diffusion = self.energy_at(points), self.diffusion_at(points)
        if exit_low and exit_high:
            values = _two_exits(points, energy, diffusion)
        elif exit_high:
            values = _remaining(points, _density_of_time(points, energy) / diffusion)
        elif exit_low:
            mirrored = -points[::-1]
            values = _remaining(mirrored, _density_of_time(mirrored, energy[::-1]) / diffusion[::-1])[::-1]
        else:
            return np.full(starts.shape, np.inf)
        return np.interp(starts, points, values)

    def _points(self, low, high):
        """Edges, centres and points between them, from low to high; round the ring more than once if need be."""
        grid = self.grid
        step = 0.5 * grid.width / SUBCELLS
        first = int(np.floor((low - grid.lower) / step)) + 1
        last = int(np.ceil((high - grid.lower) / step)) - 1
        inner = grid.lower + step * np.arange(first, last + 1)
        inner = inner[(inner > low) & (inner < high)]
        return np.concatenate([[low], inner, [high]])

    def energy_at(self, points):
        """U/k_BT between centres and edges, linear; unrolled round a ring."""
        grid, scape = self.grid, self.landscape
        known = np.empty(2 * grid.n_cells + 1)
        known[0::2], known[1::2] = scape.face_energy, scape.energy
        places = grid.lower + 0.5 * grid.width * np.arange(2 * grid.n_cells + 1)
        turns = np.floor((points - grid.lower) / grid.length) if grid.periodic else np.zeros(len(points))
        turns = np.where((points == grid.upper) & (turns == 1), 0, turns)
        return np.interp(points - turns * grid.length, places, known) + turns * scape.circulation

    def diffusion_at(self, points):
        """D between edges, linear."""
        grid = self.grid
        if grid.periodic:
            points = (points - grid.lower) % grid.length + grid.lower
        return np.interp(points, grid.edges, self.diffusion)


def _density_of_time(points, energy):
    """e^u ∫ e^{−u} from the first point, where the density reflects."""
    out = np.empty(len(points))
    outflow_time(points, energy, out)
    return out


def _remaining(points, integrand):
    """∫ from each point to the last, summed from there, so that nothing is subtracted."""
    pieces = 0.5 * np.diff(points) * (integrand[1:] + integrand[:-1])
    return np.concatenate([np.cumsum(pieces[::-1])[::-1], [0.0]])


def _split(points, energy, diffusion):
    """Probability to leave by the last point before the first, from each point: ∫_low^x e^u/D over the whole."""
    density = np.exp(np.maximum(energy - energy.max(), -745.0)) / diffusion
    pieces = 0.5 * np.diff(points) * (density[1:] + density[:-1])
    below = np.concatenate([[0.0], np.cumsum(pieces)])
    above = np.concatenate([np.cumsum(pieces[::-1])[::-1], [0.0]])
    return below / below[-1], above / below[-1], below[-1]


def _two_exits(points, energy, diffusion):
    """Mean time to leave by either end: Green's function of two positive parts.

    τ(x) = S₊(x) ∫_low^x e^{−u} R(low, z) dz + S₋(x) ∫_x^high e^{−u} R(z, high) dz, with the resistance
    R(a, b) = ∫_a^b e^u/D and the splitting probabilities S₋ (by the upper end) and S₊ (by the lower).
    """
    by_upper, by_lower, total = _split(points, energy, diffusion)
    top = energy.max()
    weight = np.exp(np.minimum(top - energy, 700.0))
    widths = np.diff(points)
    rising, falling = weight * by_upper * total, weight * by_lower * total
    below = np.concatenate([[0.0], np.cumsum(0.5 * widths * (rising[1:] + rising[:-1]))])
    above = _remaining(points, falling)
    return by_lower * below + by_upper * above
