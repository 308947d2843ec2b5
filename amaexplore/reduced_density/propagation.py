"""W(t) = exp(tQ) W(0) along one axis, at all output times."""

import numpy as np

from ..kernels import cram
from ..kernels.tridiagonal import march

__all__ = ["partial_fractions", "propagate"]

NEGATIVE = 1e-12  # of the maximum: less is rounding, more asks for a scheme that keeps positivity
EVEN = 1e-9  # relative spread of time steps that still counts as even
START_UP = 9  # halvings before the first frame
EULER_STEPS = 64  # backward Euler steps per frame where positivity has to be forced


def partial_fractions(numerator, denominator):
    """Poles and residues of a rational function with simple poles, one of each complex pair with doubled residue.

    Parameters
    ----------
    numerator, denominator : sequence of float
        Coefficients, highest power first.
    """
    poles = np.roots(denominator)
    residues = np.polyval(numerator, poles) / np.polyval(np.polyder(denominator), poles)
    keep = poles.imag > -1e-12
    poles, residues = poles[keep], residues[keep]
    paired = poles.imag > 1e-12
    return np.where(paired, poles, poles.real + 0j), np.where(paired, 2.0 * residues, residues.real + 0j)


RADAU = partial_fractions([1 / 20, 2 / 5, 1.0], [-1 / 60, 3 / 20, -3 / 5, 1.0])
"""The stability function of Radau IIA with three stages: order 5, damps what is stiff."""

EULER = partial_fractions([1.0], [-1.0, 1.0])
"""Backward Euler: order 1, keeps every density positive at any step."""


def propagate(generator, start, times, scheme=None):
    """Densities at all times.

    Parameters
    ----------
    generator : Generator
    start : ndarray, shape (n,)
    times : ndarray, shape (n_times,), ps
        Ascending, not negative.
    scheme : str, optional
        ``"radau"``, ``"rational"`` (Chebyshev) or ``"euler"``; by itself the fastest that serves.

    Returns
    -------
    values : ndarray, shape (n_times, n)
    diagnostics : dict
        ``scheme``, ``lowest`` (of all values before clipping, over the maximum), ``clipped`` (probability).
    """
    scheme = scheme or _choose(generator, times)
    values = _run(generator, start, times, scheme)
    lowest = _lowest(values)
    if lowest < -NEGATIVE and scheme != "euler":
        first, scheme = scheme, "euler"
        values = _run(generator, start, times, scheme)
        lowest = _lowest(values)
        scheme = f"euler, because {first} went negative"
    clipped = _clip(values, generator, start)
    return values, {"scheme": scheme, "lowest": lowest, "clipped": clipped}


def _choose(generator, times):
    if generator.circulation != 0.0 or generator.grid.periodic:
        return "radau"
    steps = np.diff(times, prepend=0.0)
    steps = steps[1:] if times[0] == 0.0 else steps
    even = len(steps) > 4 and np.ptp(steps) <= EVEN * steps.max() and steps.min() > 0.0
    return "radau" if even else "rational"


def _run(generator, start, times, scheme):
    """The deviation from equilibrium is propagated and the equilibrium added: it is exact at any time."""
    equilibrium, width = generator.equilibrium, generator.grid.width
    if equilibrium is None:
        return _deviation(generator, start, times, scheme)
    rest = start - equilibrium * (start.sum() * width)
    values = _deviation(generator, rest, times, scheme)
    # what rounding put into the sum of the deviation belongs to no density
    values -= np.outer(values.sum(axis=1) * width, equilibrium)
    values += equilibrium * (start.sum() * width)
    values[times == 0.0] = start
    return values


def _deviation(generator, start, times, scheme):
    values = np.empty((len(times), len(start)))
    later = times > 0.0
    values[~later] = start
    if not later.any():
        return values
    q = generator
    out = np.empty((int(later.sum()), len(start)))
    if scheme == "rational":
        cram.exponential(q.lower, q.diagonal, q.upper, start, times[later], cram.POLES, cram.RESIDUES, cram.LIMIT, out)
    else:
        poles, residues = RADAU if scheme == "radau" else EULER
        steps, frames = _schedule(times[later], 1 if scheme == "radau" else EULER_STEPS)
        march(q.lower, q.diagonal, q.upper, q.grid.periodic, start, steps, frames, poles, residues, out)
    values[later] = out
    return values


def _schedule(times, per_frame):
    """Step sizes, and which frame each completes (−1: none)."""
    steps, frames = [], []
    before = 0.0
    for k, time in enumerate(times):
        interval = time - before
        if interval <= 0.0:
            # the same time again: repeat the frame by a step of no consequence
            steps.append(0.0)
            frames.append(k)
            continue
        if k == 0:
            # a narrow start relaxes fast: steps that double, from a 512th of the first interval
            parts = interval * 2.0 ** np.concatenate([[-START_UP], np.arange(-START_UP, 0.0)])
            parts = np.repeat(parts / 2.0, 2) if per_frame == 1 else np.repeat(parts / 16.0, 16)
        else:
            parts = np.full(per_frame, interval / per_frame)
        steps.extend(parts)
        frames.extend([-1] * (len(parts) - 1) + [k])
        before = time
    return np.array(steps), np.array(frames, dtype=np.int64)


def _lowest(values):
    return float((values.min(axis=1) / np.maximum(values.max(axis=1), 1e-300)).min())


def _clip(values, generator, start):
    """Set negative rounding to zero, keeping each frame's probability; returns the largest mass cut."""
    width = generator.grid.width
    negative = np.minimum(values, 0.0)
    cut = -negative.sum(axis=1) * width
    worst = float(cut.max())
    if worst > 0.0:
        totals = values.sum(axis=1)
        np.maximum(values, 0.0, out=values)
        sums = values.sum(axis=1)
        touched = (cut > 0.0) & (sums > 0.0)
        values[touched] *= (totals[touched] / sums[touched])[:, None]
    return worst
