"""Equation (29) with several axes: each axis in turn, by line solves."""

import numpy as np

from ..kernels.lines import cayley, factor_lines, solve_lines
from .generator import bernoulli

__all__ = ["AxisGenerator", "axis_generators", "propagate_split"]

GAMMA = 1.0 - np.sqrt(0.5)  # of the two-stage implicit step, second order, damps what is stiff
SHARE = 0.18  # of the elapsed time: the longest step while the density is young
START_UP = 6
EVEN = 1e-9


class AxisGenerator:
    """Rates along one axis for all lines, stored with that axis first and the lines flattened.

    Parameters
    ----------
    grid : Grid
    rise, fall : ndarray, shape (n, n_lines), 1/ps
    loss_first, loss_last : ndarray, shape (n_lines,), 1/ps
    """

    def __init__(self, grid, rise, fall, loss_first, loss_last):
        self.grid, self.rise, self.fall = grid, rise, fall
        self.loss_first, self.loss_last = loss_first, loss_last
        self._factors = {}

    def solve(self, scale, state):
        """(1 − scale Q)⁻¹ state; state of shape (n, n_lines)."""
        ring = self.grid.periodic
        if scale not in self._factors:
            if len(self._factors) > 6:
                self._factors.clear()
            self._factors[scale] = factor_lines(self.rise, self.fall, self.loss_first, self.loss_last, scale, ring)
        out = np.empty_like(state)
        solve_lines(self.rise, self.fall, *self._factors[scale], scale, ring, state, out)
        return out

    def damped(self, step, state):
        """exp(step Q) state to second order: (1 − γz)⁻²(1 + (1 − 2γ)z) as two solves."""
        once = self.solve(GAMMA * step, state)
        twice = self.solve(GAMMA * step, once)
        weight = (1.0 - 2.0 * GAMMA) / GAMMA
        return (1.0 + weight) * twice - weight * once


def axis_generators(grids, energy, diffusion):
    """One `AxisGenerator` per axis.

    Parameters
    ----------
    grids : tuple of Grid
    energy : ndarray, shape (*cells,), k_BT
    diffusion : list of ndarray, shape (*cells,), nm²/ps
        Along each axis, at the centres; carried to faces by harmonic means.
    """
    made = []
    for a, axis in enumerate(grids):
        u = np.moveaxis(energy, a, 0).reshape(axis.n_cells, -1)
        d = np.moveaxis(diffusion[a], a, 0).reshape(axis.n_cells, -1)
        step = np.roll(u, -1, 0) - u
        scale = 2.0 / (1.0 / d + 1.0 / np.roll(d, -1, 0)) / axis.width**2
        rise, fall = scale * bernoulli(step), scale * bernoulli(-step)
        if not axis.periodic:
            rise[-1] = fall[-1] = 0.0
        half_first, half_last = 0.5 * (u[0] - u[1]), 0.5 * (u[-1] - u[-2])
        nothing = np.zeros(u.shape[1])
        first = 2.0 * d[0] / axis.width**2 * bernoulli(half_first) if axis.ends[0] == "absorbing" else nothing
        last = 2.0 * d[-1] / axis.width**2 * bernoulli(half_last) if axis.ends[1] == "absorbing" else nothing
        made.append(AxisGenerator(axis, np.ascontiguousarray(rise), np.ascontiguousarray(fall), first, last))
    return made


def propagate_split(generators, start, times, progress=None):
    """Densities at all times.

    Young densities by Strang splitting with damped steps that grow with time; from then on, where two axes and even
    frames allow, by Peaceman and Rachford's alternating directions, one step a frame. Every part keeps probability
    and the Boltzmann density to rounding.

    Parameters
    ----------
    generators : list of AxisGenerator
        One per axis in their order, then those of diagonals.
    start : ndarray, shape (*cells,)
    times : ndarray, shape (n_times,), ps
    progress : callable, optional

    Returns
    -------
    values : ndarray, shape (n_times, *cells)
    diagnostics : dict
    """
    values = np.empty((len(times), *start.shape))
    steps = np.diff(times)
    even = len(times) > 8 and np.ptp(steps) <= EVEN * steps.max() and steps.min() > 0.0
    state, now, k, strang = start, 0.0, 0, 0
    while k < len(times):
        if even and len(generators) == 2 == start.ndim and k > 0 and steps[0] <= SHARE * now * 1.001:
            break
        first = now == 0.0
        while times[k] > now * (1.0 + 1e-14):
            longest = times[k] * 2.0**-START_UP if now == 0.0 else SHARE * 2.0 * now if first else SHARE * now
            count = max(int(np.ceil((times[k] - now) / longest * (1.0 - 1e-9))), 1)
            size = (times[k] - now) / count if count <= 4 else longest
            for _ in range(min(count, 4)):
                state = _strang(generators, size, state)
                strang += 1
            now = times[k] if count <= 4 else now + 4 * size
        values[k] = state
        k += 1
        if progress is not None:
            progress(k / len(times), "Smoluchowski equation")
    alternating = len(times) - k
    if alternating:
        _alternate(generators, float(np.mean(steps)), values, k, progress)
    scheme = "Strang splitting" + (", then alternating directions" if alternating else "")
    return values, {"scheme": scheme, "n_steps": strang + alternating, **_clip(values)}


def _along(generators, a, state, action):
    one = generators[a]
    if hasattr(one, "pair"):
        return one.cells(action(one.lines(state)), state.shape)
    moved = np.moveaxis(state, a, 0)
    flat = np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
    return np.moveaxis(action(flat).reshape(moved.shape), 0, a)


def _strang(generators, size, state):
    order = [*range(len(generators) - 1)]
    last = len(generators) - 1
    for a in order:
        state = _along(generators, a, state, lambda x, a=a: generators[a].damped(0.5 * size, x))
    state = _along(generators, last, state, lambda x: generators[last].damped(size, x))
    for a in reversed(order):
        state = _along(generators, a, state, lambda x, a=a: generators[a].damped(0.5 * size, x))
    return np.ascontiguousarray(state)


def _alternate(generators, step, values, k, progress):
    """W ← S₂(1 + cQ₁)S₁(1 + cQ₂) W with c = step/2, from frame k−1 on.

    With v = (1 + cQ₂)W each frame is v ← R₂R₁v, R = 2S − 1, and W = S₂R₁v falls out on the way.
    """
    half = 0.5 * step
    first, second = generators
    old = np.ascontiguousarray(values[k - 1].T)
    # (1 + cQ₂) W = 2W − (1 − cQ₂)W, with the explicit part from the rates themselves
    carried = np.ascontiguousarray((old + half * _apply(second, old)).T)
    for frame in range(k, len(values)):
        turned = cayley(first.solve(half, carried), carried)
        solved = second.solve(half, turned)
        values[frame] = solved.T
        carried = cayley(solved, turned)
        if progress is not None and frame % 16 == 0:
            progress(frame / len(values), "Smoluchowski equation")


def _apply(generator, state):
    rise, fall = generator.rise, generator.fall
    out = -(rise + np.roll(fall, 1, 0)) * state + np.roll(rise * state, 1, 0) + fall * np.roll(state, -1, 0)
    out[0] -= generator.loss_first * state[0]
    out[-1] -= generator.loss_last * state[-1]
    return out


def _clip(values):
    flat = values.reshape(len(values), -1)
    peaks, lows = flat.max(axis=1), flat.min(axis=1)
    lowest = float((lows / np.maximum(peaks, 1e-300)).min())
    worst = 0.0
    for frame in np.flatnonzero(lows < 0.0):
        total = flat[frame].sum()
        cut = -np.minimum(flat[frame], 0.0).sum()
        np.maximum(flat[frame], 0.0, out=flat[frame])
        flat[frame] *= total / flat[frame].sum()
        worst = max(worst, float(cut / total))
    return {"lowest": lowest, "clipped": worst}
