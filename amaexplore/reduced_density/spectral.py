"""Fokker-Planck in phase space by modes: implicit steps of order five, with steps that grow as fast motion dies."""

from dataclasses import dataclass

import numpy as np

from ..kernels.phase_space import eliminate, step
from .propagation import RADAU

__all__ = ["SpectralRun", "Stepper", "march_modes"]

TOLERANCE = 3e-6  # probability misplaced per step
FIRST_WAIT = 2
KEPT_BYTES = 100_000_000  # of factorisations


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


class Stepper:
    """Steps of any size, with factorisations kept per size.

    Parameters
    ----------
    modes : PositionModes
    velocity : float, nm/ps
        Thermal velocity √(k_BT/m).
    n_levels : int
        Even.
    """

    def __init__(self, modes, velocity, n_levels):
        self.damping = np.ascontiguousarray(modes.damping)
        self.down = velocity * modes.down
        self.up = velocity * modes.up
        self.n_levels = n_levels
        # a force that does work round a ring goes up and down the levels differently
        self.symmetric = np.array_equal(modes.down[0], -modes.up[1].T)
        self.roots = np.sqrt(np.arange(n_levels + 1.0))[:, None]
        self.factors = {}
        k = self.damping.shape[1]
        rate = self.damping[0, 0, 0]
        deviation = np.abs(self.damping - rate * np.eye(k))
        if not self.damping[1, 0].any():
            deviation[1, 0, 0] = 0.0  # between walls no face carries the first function
        self.uniform = bool(deviation.max() <= 1e-9 * rate)
        # on odd levels, functions in which friction is diagonal: what they do can then be written down
        self.rates, self.turn = (np.full(k, rate), None) if self.uniform else np.linalg.eigh(self.damping[1])
        up, down = self.up, self.down
        if self.uniform:
            self.outer = np.vstack([up[0], down[0]])
            self.inner = np.vstack([up[1], down[1]])
        else:
            self.outer = np.vstack([up[0] @ self.turn, down[0] @ self.turn])
            self.inner = np.vstack([self.turn.T @ up[1], self.turn.T @ down[1]])

    def _pass_through(self, outer, odd, inner):
        """outer · diag(odd) · inner for each row of ``odd``."""
        if self.uniform:
            return odd[:, :1, None] * (outer @ inner)
        return np.matmul(outer * odd[:, None, :], inner)

    def _factor(self, tau, pole):
        k, n_even = self.damping.shape[1], self.n_levels // 2
        n = 2.0 * np.arange(n_even)[:, None, None]
        odd = 1.0 / (-tau * (n[:, 0] + 1.0) * self.rates - pole)
        to_lower, to_upper = self.outer[:k], self.outer[k:]
        from_upper, from_lower = self.inner[:k], self.inner[k:]
        blocks = -tau * n * self.damping[0] - pole * np.eye(k)
        blocks = blocks - tau**2 * (n + 1.0) * self._pass_through(to_lower, odd, from_lower)
        blocks[1:] -= tau**2 * n[1:] * self._pass_through(to_upper, odd[:-1], from_upper)
        above = -(tau**2) * np.sqrt((n + 1.0) * (n + 2.0)) * self._pass_through(to_lower, odd, from_upper)
        below = np.zeros_like(above)
        below[1:] = -(tau**2) * np.sqrt(n[1:] * (n[1:] - 1.0)) * self._pass_through(to_upper, odd[:-1], from_lower)
        inverse, raising, carried = (np.zeros_like(blocks) for _ in range(3))
        eliminate(blocks, above, below, inverse, raising, carried, self.symmetric)
        return inverse, raising, carried, odd

    def _factors(self, tau):
        if tau not in self.factors:
            made = [
                self._factor(tau, pole.real if pole.imag == 0.0 else pole) for pole in np.asarray(RADAU[0], complex)
            ]
            size = sum(array.nbytes for arrays in made for array in arrays)
            if (len(self.factors) + 1) * size > KEPT_BYTES:
                self.factors.clear()
            self.factors[tau] = made
        return self.factors[tau]

    def __call__(self, state, tau):
        """The state a time tau (ps) later."""
        turned = state if self.uniform else self._turned(state, self.turn)
        out = np.zeros_like(turned)
        for factors, residue in zip(self._factors(tau), RADAU[1]):
            residue = complex(residue) if np.iscomplexobj(factors[0]) else complex(residue).real
            step(*factors, self.outer, self.inner, tau, residue, turned, out)
        # the first coefficient is the probability, which nothing in the equation changes: rounding must not either
        out[0, 0] = state[0, 0]
        return out if self.uniform else self._turned(out, self.turn.T)

    @staticmethod
    def _turned(state, turn):
        out = state.copy()
        out[1::2] = state[1::2] @ turn
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


def march_modes(
    modes,
    velocity,
    start,
    times,
    first_step,
    limits=(np.inf, np.inf),
    progress=None,
    growth=(np.inf, ()),
    steppers=None,
):
    """Coefficients at all times.

    Parameters
    ----------
    modes : PositionModes
    velocity : float, nm/ps
        Thermal velocity √(k_BT/m).
    start : ndarray, shape (n_levels, k)
        An even number of levels.
    times : ndarray, shape (n_times,), ps
    first_step : float, ps
        Small against the fastest change that matters.
    limits : (float, float)
        Where the level or the mode tail passes its limit the march stops: the frames after are not filled.
    progress : callable, optional
    growth : (float, sequence of int)
        The level tail from which the march goes on with more levels, and their numbers, ascending and even.
    steppers : dict, optional
        Steppers (and their factorisations) by number of levels, kept between calls.

    Returns
    -------
    SpectralRun
    """
    steppers = {} if steppers is None else steppers
    enough, more_levels = growth[0], list(growth[1])
    stepper = _stepper(steppers, modes, velocity, len(start))
    out = np.zeros((len(times), *start.shape))
    out[times == 0.0] = start
    watch = _Watch(modes)
    base = _base_step(times, first_step)
    state, time, j, n_steps = np.ascontiguousarray(start), 0.0, 0, 0
    before, wait, since = None, FIRST_WAIT, 0
    filled = int((times == 0.0).sum())
    while filled < len(times):
        size = base * 2.0**j
        new = stepper(state, size)
        n_steps += 1
        level = watch.level(new)
        if more_levels and level > enough:
            # up to here they were enough; the step is repeated with more
            stepper = _stepper(steppers, modes, velocity, more_levels.pop(0))
            missing = stepper.n_levels - len(state)
            out = np.pad(out, ((0, 0), (0, missing), (0, 0)))
            state = np.pad(state, ((0, missing), (0, 0)))
            before, since = None, 0
            continue
        since += 1
        end = time + size
        grow = False
        if since >= wait and before is not None and _divides(2.0 * size, end):
            error = watch.distance(stepper(before[0], 2.0 * size), new)
            if error > 32.0 * TOLERANCE:
                # a step of this size is itself too long
                state, time, j = before[0], before[1], j - 1
                filled = int(np.searchsorted(times, time * (1.0 + 1e-12), side="right"))
                before, wait, since = None, FIRST_WAIT, 0
                continue
            grow = error < TOLERANCE
            wait = FIRST_WAIT if grow else min(2 * wait, 64)
            since = 0
        filled = _fill(stepper, state, new, time, end, times, filled, out)
        watch.look(new, level)
        if watch.level_tail > limits[0] or watch.mode_tail > limits[1]:
            break
        before, state, time = (state, time), new, end
        if grow:
            j, before = j + 1, None
        if progress is not None:
            progress(min(time / times[-1], 1.0), "Fokker-Planck equation")
    return SpectralRun(out, watch.level_tail, watch.mode_tail, n_steps)


def _stepper(steppers, modes, velocity, n_levels):
    if n_levels not in steppers:
        steppers[n_levels] = Stepper(modes, velocity, n_levels)
    return steppers[n_levels]


def _base_step(times, longest):
    """The longest allowed among the halves of halves of the frame interval; of 1 ps where frames are not even.

    Steps then end on the frames, and other starts meet the same step sizes again.
    """
    interval = 1.0
    later = times[times > 0.0]
    if len(later) > 0:
        first = later[1] - later[0] if len(later) > 1 else later[0]
        even = np.abs(np.diff(later) - first).max(initial=0.0) <= 1e-9 * later[-1] / len(later)
        if even and _divides(first, later[0]):
            interval = later[-1] / round(later[-1] / first)
    return float(interval * 2.0 ** np.floor(np.log2(longest / interval)))


def _divides(size, time):
    ratio = time / size
    return abs(ratio - round(ratio)) <= 1e-6


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

    def __init__(self, modes):
        self.functions = modes.even
        self.top = max(2, modes.count // 10)
        self.level_tail = self.mode_tail = 0.0

    def distance(self, first, second):
        return float(np.abs(self.functions @ (first[:3] - second[:3]).T).sum(axis=0).max())

    def level(self, state):
        return float(np.abs(self.functions @ state[-2:].T).sum(axis=0).max())

    def look(self, state, level):
        self.level_tail = max(self.level_tail, level)
        top = self.functions[:, -self.top :] @ state[:3, -self.top :].T
        self.mode_tail = max(self.mode_tail, float(np.abs(top).sum(axis=0).max()))
