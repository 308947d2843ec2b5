"""From coefficients to the density: which grid, force, initial state and times, then (29) or (56).

All choices have defaults in the system's own times and lengths and can be overridden one by one.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from .errors import InputError, MissingFieldError, Notice
from .reduced_density.density import DensityFan
from .reduced_density.initial import density_of_samples, drawn_density
from .results import Result
from .thermal_force import axis_direction
from .units import thermal_energy

__all__ = ["FirstPassage", "MassLadder", "Prediction", "mass_ladder", "predict"]

REGIMES = ("smoluchowski", "fokker-planck")
N_CELLS = 200
N_TIMES = 101
EDGE_ENERGY = 10.0  # k_BT above the minimum where a confined particle's grid ends
FREE_WIDTHS = 5.0  # final standard deviations on either side of a free particle
ENSEMBLE = 20  # replicas from which the first frames of all count as an initial state
MASS_FACTORS = tuple(2.0**k for k in range(-4, 5))
FAN_SEED = 2008
PATHS_SEED = 56


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
    initial_values : ndarray, shape (n_cells,), 1/nm
        The same on the cells, normalised.
    force_used : str
        Which mean force went in, in words.
    diffusion : float, nm²/ps
    friction : float, u/ps
    warnings : tuple of Notice
    diffusion_std, friction_std : float
        Standard errors; NaN where unknown.
    force : object
        The mean force as the equation got it: a number, or the fitted `MeanForce`.
    force_std : float, kJ/mol/nm
        Error of a constant force that was measured; 0 where it was chosen.
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
    initial_values: np.ndarray | None = None
    diffusion_std: float = float("nan")
    friction_std: float = float("nan")
    force: object = 0.0
    force_std: float = 0.0

    def fan(self, n=16, seed=FAN_SEED, progress=None):
        """W̃(R, t) for other draws of the errors of γ (or θ) and f^th.

        The coefficient is drawn from a log-normal distribution with its mean and standard error, since it is
        positive; a fitted f^th(R) with the full covariance of its spline; a constant one from a Gaussian. A force that was
        set to zero, or given, stays.

        Parameters
        ----------
        n : int
            Draws, at least two.
        seed : int
        progress : callable, optional

        Returns
        -------
        DensityFan
            Of the position.
        """
        rng = np.random.default_rng(seed)
        value, std = (
            (self.diffusion, self.diffusion_std)
            if self.regime == "smoluchowski"
            else (self.friction, self.friction_std)
        )
        members = []
        for k in range(n):
            coefficient, force = _log_normal(rng, value, std), _drawn_force(rng, self.force, self.force_std)
            members.append(self._again(coefficient, force))
            if progress is not None:
                progress((k + 1) / n, "Densities for sampled coefficients")
        return DensityFan.of(members)

    def sample_paths(self, n=8, seed=PATHS_SEED, progress=None):
        """Single particles that follow the same equation, at the times of the density.

        Parameters
        ----------
        n : int
        seed : int
        progress : callable, optional

        Returns
        -------
        SamplePaths
            Positions along the axis, nm, shape (n_times, n, 1).
        """
        from .reduced_density.langevin import BrownianDynamics, Langevin

        kind = BrownianDynamics if self.regime == "smoluchowski" else Langevin
        dynamics = kind.from_equation(self.equation)
        return dynamics.sample(n, self.density.times, self.initial_values, seed=seed, progress=progress)

    def _again(self, coefficient, force, mass_factor=1.0):
        """The density of R by the same equation with another coefficient, force or mass."""
        equation, options = self.equation, {"mean_force": force, "temperature": self.equation.temperature}
        if self.regime == "smoluchowski":
            again = type(equation)(equation.grid, diffusion=coefficient, **options)
            return again.evolve(self.initial_values, self.density.times)
        again = type(equation)(equation.grid, mass=equation.mass * mass_factor, friction=coefficient, **options)
        density = again.evolve(self.initial_values, self.density.times).marginal("position")
        # the diagnostics of a marginal hold on to all of the phase space, which nobody is going to look at here
        return replace(density, diagnostics={"scheme": density.diagnostics["scheme"]})

    def first_passage(self, target):
        """Mean time until the particle first reaches a place, by equation (29).

        Parameters
        ----------
        target : float, nm

        Returns
        -------
        FirstPassage

        Raises
        ------
        InputError
            The place lies outside the grid, or this is a prediction of equation (56).
        """
        if self.regime != "smoluchowski":
            raise InputError("Mean first-passage times are computed by equation (29); ask its prediction.")
        grid = self.equation.grid
        times = self.equation.mean_first_passage_time(float(target))
        weights = self.initial_values * grid.width
        relative = self.diffusion_std / self.diffusion
        mean = float(weights @ times)
        # all passage times go as 1/D; the error of the force is not in it
        return FirstPassage(float(target), grid.centres, times, mean, abs(mean * relative))

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


@dataclass(frozen=True, eq=False, repr=False)
class FirstPassage(Result):
    """Mean first-passage times to a place, equation (29).

    Parameters
    ----------
    target : float, nm
    positions : ndarray, shape (n_cells,), nm
        Where the particle starts.
    times : ndarray, shape (n_cells,), ps
    mean, mean_std : float, ps
        From the initial density, with the error that D brings.
    """

    target: float
    positions: np.ndarray
    times: np.ndarray
    mean: float
    mean_std: float


@dataclass(frozen=True, eq=False, repr=False)
class MassLadder(Result):
    """The same particle heavier and lighter: how equations (29) and (56) approach each other.

    The forces stay, so the friction ζ (of the particle held) and D = k_BT/ζ stay; τ_P = m/ζ goes with the mass and
    ε = m̂/m against it, m̂ being held.

    Parameters
    ----------
    factors : ndarray, shape (n_masses,)
        Mass over the real one.
    epsilon : ndarray, shape (n_masses,)
    times : ndarray, shape (n_times,), ps
    positions : ndarray, shape (n_cells,), nm
    smoluchowski : ndarray, shape (n_times, n_cells), 1/nm
        Equation (29) with D = k_BT/ζ, the same for every mass.
    fokker_planck : ndarray, shape (n_masses, n_times, n_cells), 1/nm
        R-marginals of (56).
    distance : ndarray, shape (n_masses, n_times)
        ½ ∫ |W̃₅₆ − W̃₂₉| dR: 0 the same, 1 apart. NaN for masses whose phase space had to be sampled by particles: their
        noise would pass for a distance.
    tau_momentum : ndarray, shape (n_masses,), ps
    """

    factors: np.ndarray
    epsilon: np.ndarray
    times: np.ndarray
    positions: np.ndarray
    smoluchowski: np.ndarray
    fokker_planck: np.ndarray
    distance: np.ndarray
    tau_momentum: np.ndarray


def mass_ladder(prediction, epsilon, factors=MASS_FACTORS, progress=None):
    """What another mass of the particle would change, with the same forces.

    Parameters
    ----------
    prediction : Prediction
        By equation (56).
    epsilon : float
        ε of the real particle.
    factors : sequence of float
        Masses over the real one.
    progress : callable, optional

    Returns
    -------
    MassLadder

    Raises
    ------
    InputError
        A prediction by (29), which does not know the mass.
    """
    if prediction.regime != "fokker-planck":
        raise InputError("Another mass changes equation (56) alone; choose the Fokker-Planck regime, or both.")
    from .reduced_density.smoluchowski import Smoluchowski

    equation, factors = prediction.equation, np.asarray(factors, dtype=float)
    limit = Smoluchowski(
        equation.grid,
        diffusion=thermal_energy(equation.temperature) / prediction.friction,
        mean_force=prediction.force,
        temperature=equation.temperature,
    ).evolve(prediction.initial_values, prediction.density.times)
    marginals = []
    for k, factor in enumerate(factors):
        if progress is not None:
            progress(k / len(factors), f"Equation (56) for {factor:g} times the mass")
        same = factor == 1.0
        marginals.append(
            prediction.density if same else prediction._again(prediction.friction, prediction.force, factor)
        )
    values = np.stack([marginal.values for marginal in marginals])
    distance = 0.5 * np.abs(values - limit.values).sum(axis=2) * equation.grid.width
    distance[[marginal.diagnostics.get("scheme") == "particles" for marginal in marginals]] = np.nan
    return MassLadder(
        factors=factors,
        epsilon=epsilon / factors,
        times=limit.times,
        positions=equation.grid.centres,
        smoluchowski=limit.values,
        fokker_planck=values,
        distance=distance,
        tau_momentum=factors * equation.mass / prediction.friction,
    )


def _log_normal(rng, mean, std):
    """A positive draw with this mean and standard deviation; the mean where there is no error."""
    if not (np.isfinite(std) and std > 0.0):
        return mean
    width = np.log1p((std / mean) ** 2)
    return float(mean * np.exp(np.sqrt(width) * rng.standard_normal() - 0.5 * width))


def _drawn_force(rng, force, std):
    if hasattr(force, "sample"):
        return force.sample(rng).at
    if callable(force) or not (np.isfinite(std) and std > 0.0):
        return force
    return force + std * rng.standard_normal()


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
        What `Smoluchowski.evolve` takes, ``"data"`` (where the replicas begin if there are at least 20, else wherever
        the particle was), or ``("drawn", points)`` with points (R, W). Default: a Gaussian, off centre by a
        standard deviation where the particle is confined, narrow about its first position where it is free.
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
    from .reduced_density.initial import initial_density
    from .reduced_density.smoluchowski import Smoluchowski

    if regime not in REGIMES:
        raise InputError(f"regime {regime!r} is not known; choose one of {', '.join(REGIMES)}.")
    if horizon is not None and not (np.isfinite(horizon) and horizon > 0):
        raise InputError(f"horizon must be a positive number of ps; got {horizon!r}.")
    if analysis.temperature is None:
        raise MissingFieldError("The density needs a temperature: give temperature=, since no velocities tell it.")
    diffusion, diffusion_std, friction, friction_std = _coefficients(analysis, regime)
    energy = thermal_energy(analysis.temperature)
    force, force_std, force_words, confined = _force(analysis, mean_force)
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
        low, high = _where(initial, position, start)
        ends = (low + min(0.0, drift) - FREE_WIDTHS * final, high + max(0.0, drift) + FREE_WIDTHS * final)
    grid = Grid(
        float(ends[0] if lower is None else lower),
        float(ends[1] if upper is None else upper),
        n_cells,
        boundary=boundary,
    )
    initial = default if initial is None else initial
    start = _start(initial, position)
    times = np.linspace(0.0, horizon, n_times)
    if regime == "smoluchowski":
        equation = Smoluchowski(grid, diffusion=diffusion, mean_force=force, temperature=analysis.temperature)
        density, phase_space = equation.evolve(start, times), None
    else:
        equation = FokkerPlanck(
            grid, mass=analysis.series.mass, friction=friction, mean_force=force, temperature=analysis.temperature
        )
        phase_space = equation.evolve(start, times, progress=progress)
        equation.release()  # predictions are kept, and each has an equation of its own
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
        initial_values=initial_density((grid,), start)[0],
        diffusion_std=float(diffusion_std),
        friction_std=float(friction_std),
        force=force,
        force_std=force_std,
    )


def _where(initial, position, default):
    """Ends of the initial density of a free particle, as far as it can be told from what was given."""
    if isinstance(initial, str):
        return float(np.min(position)), float(np.max(position))
    if isinstance(initial, tuple | list) and len(initial) == 2 and initial[0] == "drawn":
        drawn_density(initial[1])  # says what is wrong with the points
        places = [float(place) for place, _ in initial[1]]
        return min(places), max(places)
    if isinstance(initial, tuple | list) and len(initial) == 3 and initial[0] == "gaussian":
        mean, reach = float(initial[1]), 4.0 * float(initial[2])
        return min(default, mean - reach), max(default, mean + reach)
    return default, default


def _start(initial, position):
    """What the equations take, from what `predict` takes."""
    if isinstance(initial, str):
        if initial != "data":
            raise InputError(f'initial is "data", a Gaussian, points or values on the cells; got {initial!r}.')
        return density_of_samples(position[:, 0] if len(position) >= ENSEMBLE else position)
    if isinstance(initial, tuple | list) and len(initial) == 2 and initial[0] == "drawn":
        return drawn_density(initial[1])
    return initial


def _coefficients(analysis, regime):
    """D and ζ along an axis: each from its own coefficient where it is there, else by D ζ = k_BT."""
    energy = thermal_energy(analysis.temperature)
    diffusion = friction = None
    diffusion_std = friction_std = float("nan")
    if analysis.gamma is not None:
        diffusion, diffusion_std = analysis.gamma.diffusion, analysis.gamma.diffusion_std
    if analysis.theta is not None:
        friction, friction_std = analysis.theta.friction, analysis.theta.friction_std
    if diffusion is None and friction is None:
        raise MissingFieldError(
            "The density needs γ (from velocities) or θ (from forces); neither could be had from this data."
        )
    if diffusion is None:
        diffusion = energy / friction
        diffusion_std = diffusion * friction_std / friction
    if friction is None:
        friction = energy / diffusion
        friction_std = friction * diffusion_std / diffusion
    needed, name = (diffusion, "γ") if regime == "smoluchowski" else (friction, "θ")
    if not (np.isfinite(needed) and needed > 0):
        raise InputError(
            f"{name} came out as {needed:.4g}, and a density needs a positive one: choose another window or estimator, or "
            "a longer run."
        )
    return diffusion, diffusion_std, friction, friction_std


def _positions(analysis):
    """R along the axis, shape (n_replicas, n_frames); the origin where no positions were stored."""
    series = analysis.series
    if not series.has("centre_of_mass"):
        return np.zeros((1, 1))
    position = series.replicas("centre_of_mass") @ axis_direction(analysis.axis)[0]
    return position[:, np.isfinite(position).all(axis=0)]


def _force(analysis, chosen):
    """The mean force to use, the error of a constant one, in words, and whether it confines the particle."""
    profile, diagnosis = analysis.mean_force, analysis.diagnosis
    confined = bool(diagnosis is not None and diagnosis.confined) and profile is not None and len(profile.positions) > 0
    if chosen is not None and not (isinstance(chosen, str) and chosen == "data"):
        return chosen, 0.0, "given", False
    if confined:
        return profile, 0.0, "f^th(R) fitted to the data, constant beyond them", True
    if profile is None or not np.isfinite(profile.constant_std):
        return 0.0, 0.0, "none: no forces, or too few to tell", False
    if abs(profile.constant) > 2.0 * profile.constant_std:
        return (
            float(profile.constant),
            float(profile.constant_std),
            f"mean over the run, {profile.constant:.3g} kJ/mol/nm",
            False,
        )
    return 0.0, 0.0, "zero: the mean over the run is within two standard errors of it", False


def _confined_ends(profile, energy):
    """Where the potential of mean force is well above k_BT, but not farther than the data are wide."""
    low, high = profile.bins[0], profile.bins[-1]
    width = high - low
    positions = np.linspace(low - width, high + width, 601)
    inside = np.flatnonzero(profile.potential(positions) < EDGE_ENERGY * energy)
    if inside.size == 0:
        return low, high
    return positions[inside[0]], positions[inside[-1]]
