"""Equation (29) along one axis with a force that depends on time: a trap that is moved, a field that is switched."""

import inspect

import numpy as np
from scipy.linalg import solve_banded

from ..errors import InputError
from .generator import generator
from .landscape import landscape

__all__ = ["depends_on_time", "propagate_driven"]

GAMMA = 2.0 - np.sqrt(2.0)  # where the trapezoid hands over to the backward difference
TOLERANCE = 1e-5  # probability misplaced per step
NEGATIVE = 1e-12  # of the maximum: less is rounding
START_UP = 2.0**-10  # of the first interval
MOST_STEPS = 100_000


def depends_on_time(function, n_axes=1):
    """Whether a callable takes the time in ps after its positions: it has one more parameter without a default than axes."""
    if not callable(function):
        return False
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in kinds and one.default is inspect.Parameter.empty for one in parameters) == n_axes + 1


def propagate_driven(grid, mean_force, face_diffusion, temperature, start, times, progress=None):
    """Densities at all times by TR-BDF2 with steps that adapt to the force's own pace.

    A step whose result would be negative is repeated by backward Euler in halves, which keeps every density positive; each
    stage conserves probability to rounding. Never by a rational exponential, which is one of a constant generator.

    Parameters
    ----------
    grid : Grid
    mean_force : callable of position (nm) and time (ps), kJ/mol/nm
    face_diffusion : ndarray, shape (n_cells + 1,), nm²/ps
    temperature : float, K
    start : ndarray, shape (n_cells,)
    times : ndarray, shape (n_times,), ps
    progress : callable, optional

    Returns
    -------
    values : ndarray, shape (n_times, n_cells)
    diagnostics : dict

    Raises
    ------
    InputError
        A force that asks for more than 100,000 steps, or is not finite at some time.
    """
    rates = _Rates(grid, mean_force, face_diffusion, temperature)
    values = np.empty((len(times), grid.n_cells))
    state, now, taken, forced = start, 0.0, 0, 0
    later = times[times > 0.0]
    size = START_UP * float(later[0]) if len(later) else 0.0
    for k, time in enumerate(times):
        while time - now > 1e-12 * time:
            step = min(size, time - now)
            # what is left over would be a needlessly short step
            if time - now < 2.0 * step:
                step = min(step, 0.5 * (time - now)) if step < time - now else time - now
            new, error = _step(rates, state, now, step)
            if error > 4.0 * TOLERANCE and step > 1e-9 * max(time, 1e-30):
                size = 0.5 * step
                continue
            if new.min() < -NEGATIVE * new.max():
                new, forced = _euler(rates, state, now, step), forced + 1
            state, now, taken = new, now + step, taken + 1
            size = step * float(np.clip((TOLERANCE / max(error, 1e-30)) ** (1.0 / 3.0), 0.5, 2.0))
            if taken > MOST_STEPS:
                raise InputError(
                    f"The force changes so fast that {MOST_STEPS:,} steps reach only {now:.4g} of {times[-1]:.4g} ps; ask for a "
                    "shorter time, or for a force that is smooth in time."
                )
        values[k] = state
        if progress is not None:
            progress((k + 1) / len(times), "Smoluchowski equation")
    lowest = float((values.min(axis=1) / values.max(axis=1)).min())
    totals, rounding = values.sum(axis=1, keepdims=True), 0.0
    if not grid.absorbing:
        # no step changes the sum, but on fine grids the rounding of many solves adds up to some 1e-11; told, then taken out
        rounding, totals = float(np.abs(totals / start.sum() - 1.0).max()), start.sum()
    np.maximum(values, 0.0, out=values)
    values *= totals / values.sum(axis=1, keepdims=True)
    scheme = "TR-BDF2" + (f", {forced} steps by backward Euler to stay positive" if forced else "")
    return values, {
        "scheme": scheme,
        "n_steps": taken,
        "lowest": lowest,
        "clipped": max(0.0, -lowest),
        "rounding": rounding,
    }


def _step(rates, state, time, size):
    """A step of second order and the probability by which it misses, from the third-order difference of its stages."""
    first, middle, last = (rates.at(time + share * size) for share in (0.0, GAMMA, 1.0))
    slope = first.apply(state)
    half = 0.5 * GAMMA * size
    between = rates.solve(middle, half, state + half * slope)
    a, b = 1.0 / (GAMMA * (2.0 - GAMMA)), (1.0 - GAMMA) ** 2 / (GAMMA * (2.0 - GAMMA))
    new = rates.solve(last, (1.0 - GAMMA) / (2.0 - GAMMA) * size, a * between - b * state)
    third = slope / GAMMA - middle.apply(between) / (GAMMA * (1.0 - GAMMA)) + last.apply(new) / (1.0 - GAMMA)
    factor = (-3.0 * GAMMA**2 + 4.0 * GAMMA - 2.0) / (6.0 * (2.0 - GAMMA))
    return new, float(np.abs(factor * size * third).sum() * rates.grid.width)


def _euler(rates, state, time, size, halves=8):
    for k in range(halves):
        state = rates.solve(rates.at(time + (k + 1) * size / halves), size / halves, state)
    return state


class _Rates:
    """Generators at any time, and implicit steps with them."""

    def __init__(self, grid, mean_force, face_diffusion, temperature):
        self.grid, self._force, self._diffusion, self._temperature = grid, mean_force, face_diffusion, temperature
        self._last = {}

    def at(self, time):
        if time not in self._last:
            if len(self._last) > 3:
                self._last.pop(next(iter(self._last)))
            force = self._force
            shape = landscape(self.grid, lambda position: force(position, time), None, self._temperature)
            self._last[time] = generator(shape, self._diffusion)
        return self._last[time]

    def solve(self, q, scale, right):
        """(1 − scale Q)⁻¹ right; on a ring by the one border that closes it."""
        n = len(right)
        bands = np.zeros((3, n))
        bands[0, 1:] = -scale * q.upper[:-1]
        bands[1] = 1.0 - scale * q.diagonal
        bands[2, :-1] = -scale * q.lower[1:]
        if not self.grid.periodic:
            return solve_banded((1, 1), bands, right, overwrite_ab=True, check_finite=False)
        corner_first, corner_last = -scale * q.lower[0], -scale * q.upper[-1]
        gamma = -bands[1, 0]
        bands[1, 0] -= gamma
        bands[1, -1] -= corner_first * corner_last / gamma
        border = np.zeros(n)
        border[0], border[-1] = gamma, corner_last
        both = solve_banded((1, 1), bands, np.stack([right, border], axis=1), check_finite=False)
        share = corner_first / gamma
        top = both[0, 0] + share * both[-1, 0]
        return both[:, 0] - top / (1.0 + both[0, 1] + share * both[-1, 1]) * both[:, 1]
