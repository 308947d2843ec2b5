"""From coefficients to the density: which grid, force, initial state and times, then (29) or (56).

All choices have defaults in the system's own times and lengths and can be overridden one by one.
"""

from dataclasses import dataclass, field

import numpy as np

from .errors import InputError, MissingFieldError, Notice
from .results import Result
from .thermal_force import axis_direction
from .units import thermal_energy

__all__ = ["Prediction", "predict"]

REGIMES = ("smoluchowski", "fokker-planck")
N_CELLS = 200
N_TIMES = 101
EDGE_ENERGY = 10.0  # k_BT above the minimum where a confined particle's grid ends
FREE_WIDTHS = 5.0  # final standard deviations on either side of a free particle


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Result):
    """A reduced density with the choices that made it.

    Parameters
    ----------
    regime : str
        ``"smoluchowski"``, equation (29), or ``"fokker-planck"``, equation (56).
    axis : str
    density : ReducedDensity
        W̃(R, t) along the axis, 1/nm; for Fokker-Planck the position marginal.
    phase_space : object or None
        Fokker-Planck only: W̃(R, P, t).
    equation : Smoluchowski or FokkerPlanck
        For equilibrium, relaxation rates, passage times.
    initial : tuple
        ``("gaussian", mean, std)`` in nm, or what the caller gave.
    force_used : str
        Which mean force went in, in words.
    diffusion : float, nm²/ps
    friction : float, u/ps
    warnings : tuple of Notice
    """

    regime: str
    axis: str
    density: object
    phase_space: object
    equation: object
    initial: object
    force_used: str
    diffusion: float
    friction: float
    warnings: tuple[Notice, ...] = field(default=())

    def summary(self):
        last = self.density.times[-1]
        return [
            ("equation", "(29) Smoluchowski" if self.regime == "smoluchowski" else "(56) Fokker-Planck"),
            ("axis", self.axis),
            ("horizon", f"{last:.4g} ps"),
            ("mean force", self.force_used),
            ("D", f"{self.diffusion:.4g} nm²/ps"),
            ("friction", f"{self.friction:.4g} u/ps"),
        ]


def predict(
    analysis,
    regime,
    *,
    initial=None,
    boundary="reflecting",
    horizon=None,
    n_times=N_TIMES,
    n_cells=N_CELLS,
    lower=None,
    upper=None,
    mean_force=None,
    progress=None,
):
    """Evolve the reduced density with the coefficients of an analysis.

    Parameters
    ----------
    analysis : Analysis, or anything with series, axis, temperature, gamma, theta, mean_force and diagnosis
    regime : str
        ``"smoluchowski"`` or ``"fokker-planck"``.
    initial : optional
        What `Smoluchowski.evolve` takes. Default: a Gaussian, off centre by a standard deviation where the particle is
        confined, narrow about its first position where it is free.
    boundary : str
        ``"reflecting"``, ``"absorbing"`` or ``"periodic"``.
    horizon : float, ps, optional
        Default: four relaxation times of the position where confined; else the longer of 20 τ_P and the run.
    n_times, n_cells : int
    lower, upper : float, nm, optional
        Ends of the grid.
    mean_force : float, callable or "data", optional
        Default: the fitted f^th(R) where the particle is confined; else its mean over the run if that is more
        than two standard errors from zero, else zero.

    progress : callable, optional
        Called with a fraction and a text; may raise `Cancelled`.

    Returns
    -------
    Prediction

    Raises
    ------
    MissingFieldError
        The coefficient that this regime needs could not be had.
    InputError
        A choice that makes no sense.
    """
    from .reduced_density.fokker_planck import FokkerPlanck
    from .reduced_density.grid import Grid
    from .reduced_density.smoluchowski import Smoluchowski

    if regime not in REGIMES:
        raise InputError(f"regime {regime!r} is not known; choose one of {', '.join(REGIMES)}.")
    if horizon is not None and not (np.isfinite(horizon) and horizon > 0):
        raise InputError(f"horizon must be a positive number of ps; got {horizon!r}.")
    if analysis.temperature is None:
        raise MissingFieldError("The density needs a temperature: give temperature=, since no velocities tell it.")
    diffusion, friction = _coefficients(analysis, regime)
    energy = thermal_energy(analysis.temperature)
    force, force_words, confined = _force(analysis, mean_force)
    position = _positions(analysis)
    if confined:
        ends = _confined_ends(analysis.mean_force, energy)
        spread = position.std()
        tau = spread**2 / diffusion
        horizon = 4.0 * tau if horizon is None else horizon
        default = ("gaussian", float(position.mean() + spread), float(0.4 * spread))
    else:
        tau_momentum = analysis.series.mass / friction
        horizon = max(20.0 * tau_momentum, analysis.series.duration) if horizon is None else horizon
        drift = (force / friction * horizon) if np.isscalar(force) else 0.0
        final = np.sqrt(2.0 * diffusion * horizon)
        start = float(position.flat[0])
        default = ("gaussian", start, float(0.15 * final))
        ends = (start + min(0.0, drift) - FREE_WIDTHS * final, start + max(0.0, drift) + FREE_WIDTHS * final)
    grid = Grid(
        float(ends[0] if lower is None else lower),
        float(ends[1] if upper is None else upper),
        n_cells,
        boundary=boundary,
    )
    initial = default if initial is None else initial
    times = np.linspace(0.0, horizon, n_times)
    if regime == "smoluchowski":
        equation = Smoluchowski(grid, diffusion=diffusion, mean_force=force, temperature=analysis.temperature)
        density, phase_space = equation.evolve(initial, times), None
    else:
        equation = FokkerPlanck(
            grid, mass=analysis.series.mass, friction=friction, mean_force=force, temperature=analysis.temperature
        )
        phase_space = equation.evolve(initial, times, progress=progress)
        density = phase_space.marginal("position")
    return Prediction(
        regime=regime,
        axis=analysis.axis,
        density=density,
        phase_space=phase_space,
        equation=equation,
        initial=initial,
        force_used=force_words,
        diffusion=float(diffusion),
        friction=float(friction),
        warnings=tuple(getattr(density, "warnings", ())),
    )


def _coefficients(analysis, regime):
    """D and ζ along an axis: each from its own coefficient where it is there, else by D ζ = k_BT."""
    energy = thermal_energy(analysis.temperature)
    diffusion = None if analysis.gamma is None else analysis.gamma.diffusion
    friction = None if analysis.theta is None else analysis.theta.friction
    if diffusion is None and friction is None:
        raise MissingFieldError(
            "The density needs γ (from velocities) or θ (from forces); neither could be had from this data."
        )
    diffusion = energy / friction if diffusion is None else diffusion
    friction = energy / diffusion if friction is None else friction
    needed, name = (diffusion, "γ") if regime == "smoluchowski" else (friction, "θ")
    if not (np.isfinite(needed) and needed > 0):
        raise InputError(
            f"{name} came out as {needed:.4g}, and a density needs a positive one: choose another window or estimator, or "
            "a longer run."
        )
    return diffusion, friction


def _positions(analysis):
    """R along the axis, shape (n_replicas, n_frames); the origin where no positions were stored."""
    series = analysis.series
    if not series.has("centre_of_mass"):
        return np.zeros((1, 1))
    position = series.replicas("centre_of_mass") @ axis_direction(analysis.axis)[0]
    return position[:, np.isfinite(position).all(axis=0)]


def _force(analysis, chosen):
    """The mean force to use, in words, and whether it confines the particle."""
    profile, diagnosis = analysis.mean_force, analysis.diagnosis
    confined = bool(diagnosis is not None and diagnosis.confined) and profile is not None and len(profile.positions) > 0
    if chosen is not None and not (isinstance(chosen, str) and chosen == "data"):
        return chosen, "given", False
    if confined:
        return profile.at, "f^th(R) fitted to the data, constant beyond them", True
    if profile is None or not np.isfinite(profile.constant_std):
        return 0.0, "none: no forces, or too few to tell", False
    if abs(profile.constant) > 2.0 * profile.constant_std:
        return float(profile.constant), f"mean over the run, {profile.constant:.3g} kJ/mol/nm", False
    return 0.0, "zero: the mean over the run is within two standard errors of it", False


def _confined_ends(profile, energy):
    """Where the potential of mean force is well above k_BT, but not farther than the data are wide."""
    low, high = profile.bins[0], profile.bins[-1]
    width = high - low
    positions = np.linspace(low - width, high + width, 601)
    inside = np.flatnonzero(profile.potential(positions) < EDGE_ENERGY * energy)
    if inside.size == 0:
        return low, high
    return positions[inside[0]], positions[inside[-1]]
