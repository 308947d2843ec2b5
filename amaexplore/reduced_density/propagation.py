"""W(t) = exp(tQ) W(0) along one axis, at all output times."""

import numpy as np

from ..kernels import cram
from ..kernels.tridiagonal import below_zero, march, schedule

__all__ = ["partial_fractions", "propagate"]

NEGATIVE = 1e-12  # of the maximum: less is rounding, more asks for a scheme that keeps positivity
EVEN = 1e-9  # relative spread of time steps that still counts as even
START_UP = 8  # halvings of the first interval
EULER_STEPS = 32  # backward Euler steps for one of Radau, where positivity has to be forced


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
    wanted = scheme or _choose(generator, times)
    tried = []
    for candidate in [wanted, *(other for other in ("radau", "euler") if other != wanted)]:
        values = _run(generator, start, times, candidate)
        negative, ratios = below_zero(values)
        lowest = float(ratios.min())
        if lowest >= -NEGATIVE or candidate == "euler":
            break
        tried.append(candidate)
    used = f"{candidate}, because {' and '.join(tried)} went negative" if tried else candidate
    clipped = _clip(values, negative, generator.grid.width)
    return values, {"scheme": used, "lowest": lowest, "clipped": clipped}


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
    values += np.multiply.outer((start.sum() - values.sum(axis=1)) * width, equilibrium)
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
        steps, frames = _schedule(q, times[later], 1 if scheme == "radau" else EULER_STEPS)
        march(q.lower, q.diagonal, q.upper, q.grid.periodic, start, steps, frames, poles, residues, out)
    values[later] = out
    return values


def _schedule(generator, times, per_frame):
    """Step sizes, and which frame each completes (−1: none).

    What is still alive at time t changes on the scale of t, so steps up to a quarter of t are accurate whatever the
    rates are; they start at a 512th of the first interval. A density carried round a ring changes faster.
    """
    smallest = float(times[0]) / 2.0 ** (START_UP + 1)
    return schedule(times, per_frame, smallest, *_carried(generator))


def _carried(generator):
    """D, the velocity of a density that is carried round a ring, and the time until which it is (zero: not at all)."""
    if generator.circulation == 0.0:
        return 0.0, 1.0, 0.0
    length, width = generator.grid.length, generator.grid.width
    spread = float(np.mean(generator.rise + generator.fall)) * 0.5 * width**2
    speed = max(abs(generator.stationary_current) * length, 1e-300)
    return spread, speed, 10.0 * length**2 / (4.0 * np.pi**2 * spread)


def _clip(values, negative, width):
    """Set negative rounding to zero, keeping each frame's probability; returns the largest mass cut."""
    (rows,) = np.nonzero(negative)
    if len(rows) == 0:
        return 0.0
    touched = values[rows]
    totals = touched.sum(axis=1)
    np.maximum(touched, 0.0, out=touched)
    sums = touched.sum(axis=1)
    touched *= np.where(sums > 0.0, totals / np.where(sums > 0.0, sums, 1.0), 1.0)[:, None]
    values[rows] = touched
    return float(negative.max()) * width
