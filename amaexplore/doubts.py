"""What a user should know about a coefficient before believing it: notices with numbers."""

import numpy as np

from .errors import Notice
from .units import BOLTZMANN
from .window import later_lags

__all__ = [
    "COARSEST_STEP",
    "FEWEST_RELAXATIONS",
    "LARGEST_ERROR",
    "LARGEST_MISFIT",
    "SHORTEST_BLOCK",
    "STIFFEST_WELL",
    "direct_doubts",
    "doubts",
]

LARGEST_ERROR = 0.2  # relative; above it a result says so
COARSEST_STEP = 0.3  # h √(⟨FF⟩/⟨PP⟩); above it the frames are too far apart for the force
SHORTEST_BLOCK = 10  # τ_P; blocks of one run must be longer to count as independent
FEWEST_RELAXATIONS = 40  # τ_R in all of few runs in a well; with fewer the error bars are too small
FREE_RELAXATIONS = 10  # T D/σ_R² of one run; a free particle seldom reaches it
STIFFEST_WELL = 10  # ω τ_P
LARGEST_MISFIT = 0.25  # of the drop of ⟨PP⟩ as integrated from ⟨FP⟩; above it F is not dP/dt


def doubts(bench, kind, entry, curve, index, plateau, proposed):
    """Notices about one coefficient read from one curve.

    Parameters
    ----------
    bench : Correlations
    kind : str
        ``"gamma"`` or ``"theta"``.
    entry : Estimator
    curve : RunningCurve
    index : int
        Lag at which it is read.
    plateau : bool
        Whether the curve is flat there.
    proposed : bool
        Whether the window was proposed, not given.

    Returns
    -------
    tuple of Notice
    """
    found = [
        *bench.series.warnings,
        _no_plateau(bench, kind, entry, index, plateau, proposed),
        _large_error(kind, curve, index),
    ]
    if entry.name == "kernel":
        found += [_coarse_frames(bench), _short_blocks(bench, kind, curve, index), _mean_force_taken_off(bench)]
        found += [_stiff_well(bench, kind, curve, index), _perhaps_confined(bench)]
        found += [_few_relaxations(bench, kind, curve, index), _later_lags(bench, kind, curve, index)]
    found += [_force_is_not_momentum_change(bench), _host_recoil(bench, kind, entry)]
    if kind == "theta" or entry.gamma is None:
        found.append(_temperature(bench))
    return tuple(notice for notice in found if notice is not None)


def _no_plateau(bench, kind, entry, index, plateau, proposed):
    if plateau or not (proposed or 2 * index < len(bench.lags)):
        return None
    what = "No plateau was found" if proposed else "The running integral still changes after the window"
    return Notice(
        "no_plateau",
        f"{what} ({kind}, estimator {entry.name}): read at {bench.lags[index]:.4g} ps the number depends on the choice. "
        "A longer run, more replicas, or dynamics with the momentum held would show one.",
    )


def direct_doubts(bench, kind, value, std):
    """What to say of a number that has no running curve: its error, and what the series itself warns of."""
    found = [*bench.series.warnings, _too_uncertain(kind, value, std)]
    if kind == "theta":
        found.append(_temperature(bench))
    return tuple(notice for notice in found if notice is not None)


def _large_error(kind, curve, index):
    return _too_uncertain(kind, curve.isotropic[index], curve.isotropic_std[index])


def _too_uncertain(kind, value, std):
    relative = abs(std / value) if value else float("inf")
    if relative <= LARGEST_ERROR:
        return None
    if not np.isfinite(relative):
        return Notice("large_error", f"The error of {kind} could not be estimated from these data.")
    more = (relative / 0.1) ** 2
    return Notice(
        "large_error",
        f"{kind} is known to {100 * relative:.0f} % only; about {more:.0f} times more data would give 10 %.",
    )


def _coarse_frames(bench):
    c = bench._correlators
    norm = np.trace(c.momentum_norm[0])
    coarse = bench.timestep * np.sqrt(np.trace(c.force_norm[0]) / norm) if norm > 0 else 0.0
    if coarse <= COARSEST_STEP:
        return None
    return Notice(
        "coarse_frames",
        f"Frames {bench.timestep:.4g} ps apart are far apart for this force: h √(⟨FF⟩/⟨PP⟩) = {coarse:.2f}, and the memory "
        f"kernel needs less than {COARSEST_STEP}. Store frames more often.",
    )


def _relaxation_time(bench, kind, curve, index):
    """τ_P from either coefficient; NaN where it is not positive."""
    value, momentum_scale = curve.isotropic[index], bench.series.mass * BOLTZMANN * bench.temperature[0]
    if not value > 0:
        return float("nan")
    return momentum_scale / value if kind == "theta" else value / momentum_scale


def _short_blocks(bench, kind, curve, index):
    c, relaxation = bench._correlators, _relaxation_time(bench, kind, curve, index)
    block = bench.timestep * c.n_frames / c.n_blocks
    needed = SHORTEST_BLOCK * relaxation
    if c.n_blocks == 1 or not block < needed:
        return None
    return Notice(
        "short_blocks",
        f"The errors come from {c.n_blocks} blocks of {block:.3g} ps in each run, shorter than {SHORTEST_BLOCK} τ_P = "
        f"{needed:.3g} ps, so they are too small: in repeats of such runs ± one error held the truth in 20 to 60 % of cases "
        "in place of 68 %. Use longer runs or more replicas.",
    )


def _few_relaxations(bench, kind, curve, index):
    """Of few runs in a well each visit counts: the fitted f^th(R) follows the noise, which the blocks share.

    Coverage of ± one error in 60 single runs each of a trap with τ_R = 10 τ_P, one with 3 τ_P and a double well:
    0.17-0.60 below 10 τ_R, 0.40-0.60 from 10 to 40, 0.63-0.80 above.
    """
    c, relaxation = bench._correlators, _relaxation_time(bench, kind, curve, index)
    axes = bench.taken_off
    known = axes.any()
    if c.n_blocks == 1 or not (known or np.isfinite(bench.position_variance).all()):
        return None
    axes = axes if known else ~axes
    # σ_R² ζ/k_BT, with ζ = m/τ_P
    position = (
        bench.position_variance[axes].mean() * bench.series.mass / (BOLTZMANN * bench.temperature[0] * relaxation)
    )
    followed = bench.timestep * c.n_frames * c.n_replicas
    # a free particle's variance grows with the run, to 3 on average of what is here called relaxation times
    fewest = 0.0 if known else FREE_RELAXATIONS * c.n_replicas
    if not fewest * position <= followed < FEWEST_RELAXATIONS * position:
        return None
    return Notice(
        "few_relaxations",
        f"The position was followed for {followed / position:.2g} of its relaxation times τ_R = {position:.3g} ps in all: with "
        f"fewer than {FEWEST_RELAXATIONS} in few runs ± one error held the truth in 20 to 60 % of repeats in place of 68 %. "
        f"Take the error as two to three times as large, or run {FEWEST_RELAXATIONS * position:.3g} ps in all.",
    )


def _later_lags(bench, kind, curve, index):
    later = later_lags(curve.isotropic[: curve.last + 1], curve.left_out[..., : curve.last + 1], index)
    if later is not None and later.significant:
        start, stop = bench.lags[later.start], bench.lags[later.stop]
        value = curve.isotropic[index]
        return Notice(
            "later_lags_differ",
            f"From {start:.3g} to {stop:.3g} ps the running integral lies {100 * abs(later.change / value):.0f} % "
            f"{'above' if later.change > 0 else 'below'} its value at {bench.lags[index]:.3g} ps ({later.change / later.std:+.1f} "
            f"errors of the difference): where {kind} is read may be a shoulder, not the plateau (a slow part of the memory, "
            f"or momentum that comes back from an isolated host). Give window={stop:.3g} to read the later value.",
        )
    if bench.series.zero_total_momentum and 2 * index < curve.last:
        return _isolated_host(bench, kind, curve, index)
    return None


def _isolated_host(bench, kind, curve, index):
    here, there = (
        f"{curve.isotropic[k] / curve.isotropic[index]:.2f} ± {abs(curve.isotropic_std[k] / curve.isotropic[index]):.2f}"
        for k in (index, curve.last)
    )
    return Notice(
        "isolated_host",
        f"Momentum given to an isolated host comes back later, so {kind} may have a shoulder at {bench.lags[index]:.3g} ps "
        f"and another value at longer times. In units of the value here it is {here} here and {there} at the last lag, "
        f"{bench.lags[curve.last]:.3g} ps; more data would tell.",
        "info",
    )


def _stiff_well(bench, kind, curve, index):
    theta = curve.isotropic[index]
    if kind != "theta" or not bench.confined.any() or not theta > 0:
        return None
    energy, mass = BOLTZMANN * bench.temperature[0], bench.series.mass
    variance = bench.position_variance[bench.confined].min()
    swing = np.sqrt(energy / (variance * mass)) * mass * energy / theta
    if not swing > STIFFEST_WELL:
        return None
    return Notice(
        "stiff_well",
        f"The particle swings in a well with ω τ_P = {swing:.3g}: above about {STIFFEST_WELL} (a stiff underdamped well, an atom "
        "bound in a solid) the memory kernel's integral is drowned by the oscillation. Hold the momentum instead.",
    )


def _perhaps_confined(bench):
    automatic = isinstance(bench.mean_force, str)
    if not (automatic and bench.confinement.suspected and bench._took_off is None):
        return None
    return Notice(
        "perhaps_confined",
        f"The mean squared displacement grows {bench.confinement.ratio:.2f}-fold from a quarter to a half of the run, where "
        "free diffusion doubles it: the particle was taken for confined and f^th(R) taken off. Give mean_force=None if it is "
        "free, or the force itself if it is known.",
    )


def _mean_force_taken_off(bench):
    if bench._took_off is None:
        return None
    return Notice(
        "mean_force_taken_off",
        "With a mean force f^th(R) taken off the plateau appears, without it the integral keeps rising: the particle counts "
        "as confined, though its displacement does not show it yet.",
        "info",
    )


def _force_is_not_momentum_change(bench):
    explained = bench.force_is_momentum_change
    # NaN: one of the two is not there, so there is nothing to compare
    if np.isnan(explained) or abs(explained - 1.0) <= LARGEST_MISFIT:
        return None
    return Notice(
        "force_is_not_momentum_change",
        f"The net force explains {100 * explained:.0f} % of the decay of ⟨PP⟩: F is not dP/dt in this data (constraints, "
        "thermostat, momentum held, or frames too far apart), so the memory kernel cannot be had.",
    )


def _host_recoil(bench, kind, entry):
    if kind != "gamma" or entry.gamma is None or bench.recoil == 1.0:
        return None
    return Notice(
        "zero_total_momentum",
        f"The whole system's momentum is zero, so the host recoils: the integral was multiplied by (m/μ)² = {bench.recoil:.4g}.",
        "info",
    )


def _temperature(bench):
    value, source = bench.temperature
    if source == "momentum of the nanoparticle":
        return Notice(
            "temperature_from_momentum",
            f"No temperature was given: {value:.4g} K was taken from the particle's own momentum, which is uncertain for a "
            "short run. Give temperature=.",
        )
    if source == "unknown":
        return Notice(
            "no_temperature",
            "No temperature is known, so friction and diffusion cannot be had from θ; give temperature=.",
        )
    return None
