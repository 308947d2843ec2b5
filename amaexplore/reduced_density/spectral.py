"""Fokker-Planck in phase space by modes: implicit steps of order five, with steps that grow as fast motion dies."""

from dataclasses import dataclass

import numpy as np

from ..kernels.phase_space import factor, step
from .propagation import RADAU

__all__ = ["SpectralRun", "march_modes"]

TOLERANCE = 3e-6  # probability misplaced per step
FIRST_WAIT = 2


@dataclass(frozen=True, eq=False)
class SpectralRun:
    """Coefficients at the output times and how they were made.

    Parameters
    ----------
    coefficients : ndarray, shape (n_times, n_levels, k)
    level_tail, mode_tail : float
        Largest probability seen in the two highest Hermite levels, and in the highest tenth of the modes.
    n_steps : int
    """

    coefficients: np.ndarray
    level_tail: float
    mode_tail: float
    n_steps: int


class _Stepper:
    """Steps of τ·2^j with factorisations kept per j."""

    def __init__(self, modes, velocity, n_levels, base):
        self.damping = np.ascontiguousarray(modes.damping)
        self.down = velocity * modes.down
        self.up = velocity * modes.up
        self.up_complex = self.up + 0j
        self.n_levels, self.base = n_levels, base
        self.roots = np.sqrt(np.arange(n_levels + 1.0))[:, None]
        self.factors = {}

    def size(self, j):
        return self.base * 2.0**j

    def _factors(self, j):
        if j not in self.factors:
            k = self.damping.shape[1]
            made = []
            for pole in RADAU[0]:
                inverse = np.zeros((self.n_levels, k, k), dtype=complex)
                carried = np.zeros((self.n_levels, k, k), dtype=complex)
                factor(self.damping, self.down, self.up, self.size(j), complex(pole), inverse, carried)
                made.append((inverse, carried))
            self.factors[j] = made
        return self.factors[j]

    def __call__(self, state, j):
        out = np.zeros_like(state)
        for (inverse, carried), residue in zip(self._factors(j), RADAU[1]):
            step(inverse, carried, self.up_complex, self.size(j), complex(residue), state, out)
        return out

    def derivative(self, state):
        """dA/dt of all coefficients."""
        out = np.empty_like(state)
        levels = np.arange(self.n_levels)[:, None]
        for parity in (0, 1):
            rows = slice(parity, None, 2)
            out[rows] = -levels[rows] * (state[rows] @ self.damping[parity].T)
        raised = np.vstack([state[1:], np.zeros_like(state[:1])]) * self.roots[1:]
        lowered = np.vstack([np.zeros_like(state[:1]), state[:-1]]) * self.roots[:-1]
        for parity in (0, 1):
            rows = slice(parity, None, 2)
            out[rows] += raised[rows] @ self.up[parity].T + lowered[rows] @ self.down[parity].T
        return out


def march_modes(modes, velocity, start, times, first_step, limits=(np.inf, np.inf), progress=None):
    """Coefficients at all times.

    Parameters
    ----------
    modes : PositionModes
    velocity : float, nm/ps
        Thermal velocity √(k_BT/m).
    start : ndarray, shape (n_levels, k)
    times : ndarray, shape (n_times,), ps
    first_step : float, ps
        Small against the fastest change that matters.
    limits : (float, float)
        Where the level or the mode tail passes its limit the march stops: the frames after are not filled.
    progress : callable, optional

    Returns
    -------
    SpectralRun
    """
    stepper = _Stepper(modes, velocity, len(start), first_step)
    out = np.zeros((len(times), *start.shape))
    out[times == 0.0] = start
    watch = _Watch(modes, len(start))
    state, time, j, n_steps = start, 0.0, 0, 0
    before, wait, since = None, FIRST_WAIT, 0
    filled = int((times == 0.0).sum())
    while filled < len(times):
        new = stepper(state, j)
        n_steps += 1
        since += 1
        if since >= wait and before is not None:
            error = watch.distance(stepper(before[0], j + 1), new)
            if error > 32.0 * TOLERANCE:
                # a step of this size is itself too long
                state, time, j = before[0], before[1], j - 1
                filled = int(np.searchsorted(times, time, side="right"))
                before, wait, since = None, FIRST_WAIT, 0
                continue
            grow = error < TOLERANCE
            wait = FIRST_WAIT if grow else min(2 * wait, 64)
            since = 0
        else:
            grow = False
        end = time + stepper.size(j)
        filled = _fill(stepper, state, new, time, end, times, filled, out)
        watch.look(new)
        if watch.level_tail > limits[0] or watch.mode_tail > limits[1]:
            break
        before, state, time = (state, time), new, end
        if grow:
            j, before = j + 1, None
        if progress is not None:
            progress(min(time / times[-1], 1.0), "Fokker-Planck equation")
    return SpectralRun(out, watch.level_tail, watch.mode_tail, n_steps)


def _fill(stepper, old, new, begin, end, times, filled, out):
    """Frames within a step: the quintic that meets value, slope and curvature at both its ends."""
    last = int(np.searchsorted(times, end * (1.0 + 1e-12), side="right"))
    if last <= filled:
        return filled
    width = end - begin
    if last == filled + 1 and abs(times[filled] - end) <= 1e-9 * width:
        out[filled] = new
        return last
    slopes = [stepper.derivative(state) for state in (old, new)]
    bends = [stepper.derivative(slope) for slope in slopes]
    for k in range(filled, last):
        s = (times[k] - begin) / width
        c = 1.0 - s
        out[k] = (
            c**3 * (1.0 + 3.0 * s + 6.0 * s * s) * old
            + s**3 * (1.0 + 3.0 * c + 6.0 * c * c) * new
            + width * (s * c**3 * (1.0 + 3.0 * s) * slopes[0] - c * s**3 * (1.0 + 3.0 * c) * slopes[1])
            + 0.5 * width**2 * (s * s * c**3 * bends[0] + c * c * s**3 * bends[1])
        )
    return last


class _Watch:
    """Measures coefficients by the probability they move: the sum over cells of |√ρ Σ_k a_k ψ_k|."""

    def __init__(self, modes, n_levels):
        self.functions = modes.even
        self.top = max(2, modes.count // 10)
        self.level_tail = self.mode_tail = 0.0

    def distance(self, first, second):
        return float(np.abs(self.functions @ (first[:3] - second[:3]).T).sum(axis=0).max())

    def look(self, state):
        self.level_tail = max(self.level_tail, float(np.abs(self.functions @ state[-2:].T).sum(axis=0).max()))
        top = self.functions[:, -self.top :] @ state[:3, -self.top :].T
        self.mode_tail = max(self.mode_tail, float(np.abs(top).sum(axis=0).max()))
