"""analyze(): the whole chain from atoms to coefficients and densities in one call.

trajectory → subset → order parameters → γ (28), θ (55), f^th, regime → Smoluchowski (29), Fokker-Planck (56).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from . import __version__
from .errors import InputError, InsufficientDataError, MissingFieldError, Notice, SelectionError
from .order_parameters import OrderParameters
from .regime import RegimeDiagnosis, diagnose
from .results import Result, format_value, jsonable
from .thermal_force import MeanForce, axis_direction, mean_force
from .transport import CorrelationIntegral, Correlations, prepare
from .units import thermal_energy

__all__ = ["REGIMES", "Analysis", "analyze"]

REGIMES = ("smoluchowski", "fokker-planck", "both")
GAMMA_UNIT = "u² nm²/ps"
THETA_UNIT = "u² nm²/ps³"  # = (kJ/mol/nm)² ps


@dataclass(frozen=True, eq=False, repr=False)
class Analysis(Result):
    """Everything `analyze` found, for one nanoparticle.

    Parameters
    ----------
    series : OrderParameters
        R, P and F as the data holds them.
    input : dict
        Files, n_atoms, n_frames, timestep (ps), duration (ps), and whether there were velocities and forces.
    regime : str
        ``"smoluchowski"``, ``"fokker-planck"`` or ``"both"``: whose densities are asked for.
    axis : str, int or sequence of three floats
        Where f^th(R) and the density are taken.
    temperature, temperature_std : float or None, K
    temperature_source : str
        Given, or what it was measured from.
    gamma, theta : CorrelationIntegral or None
        Equations (28) and (55); None where the data cannot give them: see ``warnings``.
    mean_force : MeanForce or None
        f^th along ``axis``.
    diagnosis : RegimeDiagnosis or None
    consistency, consistency_std : float or None
        γ εθ / (m k_B T)², with γ from ∫⟨PP⟩ and θ from the force, so that the two check each other; 1 when both hold.
    correlations : Correlations or None
        What γ and θ were read from; asks for other windows and estimators at next to no cost.
    warnings : tuple of Notice
    """

    series: OrderParameters
    input: dict
    regime: str
    axis: str
    temperature: float | None
    temperature_std: float | None
    temperature_source: str
    gamma: CorrelationIntegral | None
    theta: CorrelationIntegral | None
    mean_force: MeanForce | None
    diagnosis: RegimeDiagnosis | None
    consistency: float | None
    consistency_std: float | None
    correlations: Correlations | None
    warnings: tuple[Notice, ...] = field(default=())

    def to_dict(self):
        """The JSON of ``amaexplore analyze``: every key present, ``None`` where not computable."""
        series, force = self.series, self.mean_force
        constant = (None, None) if force is None else (force.constant, force.constant_std)
        diagnosis = self.diagnosis
        return jsonable(
            {
                "version": __version__,
                "input": self.input,
                "subset": {"selection": series.label, "n_atoms": series.n_atoms, "mass": series.mass},
                "typical_mass": series.typical_mass,
                "epsilon": series.epsilon,
                "temperature": {
                    "value": self.temperature,
                    "std": self.temperature_std,
                    "source": self.temperature_source,
                },
                "order_parameters": {
                    "centre_of_mass_first": _first(series, "centre_of_mass"),
                    "momentum_first": _first(series, "momentum"),
                    "net_force_first": _first(series, "net_force"),
                    "net_force_mean": _mean(series, "net_force"),
                },
                "gamma": _picked(
                    self.gamma, "window estimator tensor tensor_std isotropic isotropic_std trace", GAMMA_UNIT
                ),
                "diffusion": _derived(self.gamma, "diffusion", "nm^2/ps"),
                "theta": _picked(
                    self.theta,
                    "window estimator tensor tensor_raw isotropic_raw isotropic_raw_std trace",
                    THETA_UNIT,
                ),
                "friction": _derived(self.theta, "friction", "u/ps"),
                "mean_force": {"value": constant[0], "std": constant[1], "axis": self.axis, "unit": "kJ/mol/nm"},
                "consistency": {"gamma_theta_ratio": self.consistency, "std": self.consistency_std},
                "regime": {
                    "selected": self.regime,
                    "verdicts": None if diagnosis is None else diagnosis.verdicts,
                    "tau_force": None if diagnosis is None else diagnosis.tau_force,
                    "tau_momentum": None if diagnosis is None else diagnosis.tau_momentum,
                    "tau_position": None if diagnosis is None else diagnosis.tau_position,
                },
                "warnings": [{"code": notice.code, "message": notice.message} for notice in self.warnings],
            }
        )

    @classmethod
    def from_dict(cls, document):
        """Not possible: the JSON holds the numbers, not the series they came from.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError("An Analysis cannot be rebuilt from its JSON, which holds no series; run analyze again.")

    def predict(self, regime=None, **options):
        """The reduced density that these coefficients give: see `amaexplore.prediction.predict`.

        Parameters
        ----------
        regime : str, optional
            ``"smoluchowski"`` or ``"fokker-planck"``; default the one analysed (Smoluchowski for ``"both"``).
        **options
            As for `amaexplore.prediction.predict`.

        Returns
        -------
        Prediction
            With the density, and the settings that gave it.
        """
        from .prediction import predict

        if regime is None:
            regime = "smoluchowski" if self.regime == "both" else self.regime
        return predict(self, regime, **options)

    def report(self, path):
        """Write one HTML page with all numbers, plots and warnings that opens offline; returns the path."""
        from .report import write_report

        return write_report(self, path)

    def summary(self):
        series = self.series
        rows = [
            ("nanoparticle", f"{series.label or 'given series'}: {series.n_atoms or '?'} atoms, {series.mass:.6g} u"),
            ("ε = m̂/m", f"{series.epsilon:.4g} (m̂ = {series.typical_mass:.4g} u)"),
            ("temperature", f"{format_value(self.temperature, self.temperature_std, 'K')}, {self.temperature_source}"),
        ]
        if self.gamma is not None:
            rows += [
                (
                    "γ (28), per axis",
                    _with_window(self.gamma, self.gamma.isotropic, self.gamma.isotropic_std, GAMMA_UNIT),
                ),
                ("D = γ/m²", format_value(self.gamma.diffusion, self.gamma.diffusion_std, "nm²/ps")),
            ]
        if self.theta is not None:
            rows += [
                (
                    "εθ (55), per axis",
                    _with_window(self.theta, self.theta.isotropic_raw, self.theta.isotropic_raw_std, THETA_UNIT),
                ),
                ("friction ζ = βεθ", format_value(self.theta.friction, self.theta.friction_std, "u/ps")),
            ]
        if self.consistency is not None:
            rows.append(("γ·εθ/(m k_BT)²", f"{format_value(self.consistency, self.consistency_std)} (hoped for: 1)"))
        if self.mean_force is not None:
            value = format_value(self.mean_force.constant, self.mean_force.constant_std, "kJ/mol/nm")
            rows.append((f"mean f^th along {self.axis}", value))
        if self.diagnosis is not None:
            rows += [(f"regime {name}", verdict["message"]) for name, verdict in self.diagnosis.verdicts.items()]
        return rows

    def text(self):
        """The summary and the warnings as plain text."""
        rows = self.summary()
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        if self.warnings:
            lines += ["", *(f"note ({notice.code}): {notice.message}" for notice in self.warnings)]
        return "\n".join(lines)


def analyze(
    source,
    select=None,
    regime="both",
    window=None,
    temperature=None,
    axis="x",
    *,
    estimator=None,
    typical_mass=None,
    total_mass=None,
):
    """The whole chain in one call: order parameters, γ, θ, f^th and which regime holds.

    Parameters
    ----------
    source : Trajectory or OrderParameters
    select : str, list or AtomSubset
        The nanoparticle; needed for a trajectory (demos know their own).
    regime : str
        ``"smoluchowski"``, ``"fokker-planck"`` or ``"both"``: for which the densities are predicted. The coefficients
        of both are computed all the same, since each checks the other.
    window : float, ps, optional
        Correlation window t0; proposed, with its reason, where not given.
    temperature : float, K, optional
        Measured from the velocities where not given.
    axis : str, int or sequence of three floats
        ``"x"``, ``"y"``, ``"z"``, 0 to 2, or a direction.
    estimator : str, optional
        See `amaexplore.estimators`.
    typical_mass : float, u, optional
        m̂; default the mean atomic mass of the subset.
    total_mass : float, u, optional
        Mass of everything simulated, for data of the particle's atoms only from a system of zero total momentum: the
        host's recoil is then allowed for.

    Returns
    -------
    Analysis
        What the data cannot give is None there, with the reason among its ``warnings``.

    Raises
    ------
    InputError
        A regime, axis, window or temperature that does not exist; uneven times; one frame.
    SelectionError
        Nothing selected, or everything, so that no host medium is left.
    """
    _check_choices(regime, window, temperature, axis)
    notices = []
    if isinstance(source, OrderParameters):
        series = source
    else:
        subset, found = chosen_subset(source, select)
        series = source.order_parameters(subset)
        notices += found
        notices += source.notices
    if typical_mass is not None:
        series = series.with_typical_mass(typical_mass)
    if total_mass is not None:
        series = series.with_total_mass(total_mass)
    if series.n_frames < 2:
        raise InputError(
            "There is only one frame; correlations need many, evenly spaced in time: give a longer trajectory."
        )
    notices += series.warnings
    kelvin, _, _ = _temperature(series, temperature)

    def attempt(name, compute):
        try:
            return compute()
        except (MissingFieldError, InsufficientDataError) as reason:
            notices.append(Notice(f"{name}_unavailable", str(reason), "error"))
            return None

    correlations = attempt("correlations", lambda: prepare(series, kelvin, window=window))
    gamma_found = theta_found = None
    if correlations is not None:
        gamma_found = attempt("gamma", lambda: correlations.gamma(window, estimator))
        theta_found = attempt("theta", lambda: correlations.theta(window, estimator))
    force_found = attempt("mean_force", lambda: mean_force(series, axis=axis, temperature=kelvin))
    diagnosis = attempt("regime", lambda: diagnose(series, temperature=kelvin, correlations=correlations))
    return assemble(
        series,
        source=source,
        regime=regime,
        axis=axis,
        temperature=temperature,
        correlations=correlations,
        gamma=gamma_found,
        theta=theta_found,
        mean_force=force_found,
        diagnosis=diagnosis,
        notices=notices,
    )


def assemble(
    series,
    *,
    source,
    regime,
    axis,
    temperature,
    correlations=None,
    gamma=None,
    theta=None,
    mean_force=None,
    diagnosis=None,
    notices=(),
):
    """An `Analysis` of results that are at hand; what is None could not be computed.

    Parameters
    ----------
    series : OrderParameters
    source : Trajectory or OrderParameters
        What the series came from.
    temperature : float or None, K
        As given by the user.
    """
    kelvin, kelvin_std, kelvin_source = _temperature(series, temperature)
    notices = list(notices)
    notices += _told_apart(gamma, theta)
    for result in (mean_force, diagnosis):
        notices += getattr(result, "warnings", ())
    consistency, consistency_std = _consistency(series, correlations, theta, kelvin)
    return Analysis(
        series=series,
        input=_series_facts(source) if isinstance(source, OrderParameters) else _trajectory_facts(source),
        regime=regime,
        axis=axis,
        temperature=kelvin,
        temperature_std=kelvin_std,
        temperature_source=kelvin_source,
        gamma=gamma,
        theta=theta,
        mean_force=mean_force,
        diagnosis=diagnosis,
        consistency=consistency,
        consistency_std=consistency_std,
        correlations=correlations,
        warnings=tuple(dict.fromkeys(notices)),
    )


def _told_apart(gamma, theta):
    """The notices of both coefficients; where one thing is said of both with other numbers, it says of which."""
    both = {"γ": getattr(gamma, "warnings", ()), "θ": getattr(theta, "warnings", ())}
    messages = [{notice.code: notice.message for notice in notices} for notices in both.values()]
    differ = {code for code in messages[0].keys() & messages[1].keys() if messages[0][code] != messages[1][code]}
    return [
        replace(notice, message=f"{symbol}: {notice.message}")
        if notice.code in differ and not notice.message.startswith(("gamma", "theta"))
        else notice
        for symbol, notices in both.items()
        for notice in notices
    ]


def _check_choices(regime, window, temperature, axis):
    if regime not in REGIMES:
        raise InputError(f"regime {regime!r} is not known; choose one of {', '.join(REGIMES)}.")
    axis_direction(axis)
    for name, value, unit in (("window", window, "ps"), ("temperature", temperature, "K")):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} must be a positive number of {unit}; got {value!r}.")


def chosen_subset(trajectory, select):
    """The selected atoms, after making sure that a host medium is left, and notices about them."""
    from .trajectory.checks import host_is_missing

    if select is None:
        select = trajectory.metadata.get("subset")
    if select is None:
        raise SelectionError(
            "Say which atoms are the nanoparticle: select= in Python, --select on the command line, such as 'protein' "
            "or 'index 0 to 12'."
        )
    subset = trajectory.select(select)
    notices = []
    if subset.n_atoms == trajectory.n_atoms:
        reason = host_is_missing(trajectory, subset)
        if reason:
            raise SelectionError(reason)
        notices.append(
            Notice(
                "all_atoms_selected",
                f"The selection takes all {trajectory.n_atoms} atoms in the data; their net force is not zero, so the host "
                "medium was simulated but not stored.",
                "info",
            )
        )
    return subset, notices


def _trajectory_facts(trajectory):
    return {
        "files": list(trajectory.files),
        "n_atoms": trajectory.n_atoms,
        "n_frames": trajectory.n_frames,
        "timestep": trajectory.timestep,
        "duration": trajectory.duration,
        "velocities": trajectory.velocities is not None,
        "forces": trajectory.forces is not None,
    }


def _series_facts(series):
    return {
        "files": list(series.files),
        "n_atoms": series.n_atoms,
        "n_frames": series.n_frames,
        "timestep": series.timestep,
        "duration": series.duration,
        "velocities": series.has("momentum"),
        "forces": series.has("net_force"),
    }


def _temperature(series, given):
    if given is not None:
        return float(given), None, "given"
    if series.temperature is not None:
        return series.temperature, series.temperature_std, "measured from the atoms' velocities"
    if series.has("momentum"):
        return series.kinetic_temperature, None, "measured from the momentum of the nanoparticle"
    return None, None, "not available: no velocities; give temperature="


def _first(series, name):
    values = getattr(series, name)
    if values is None:
        return None
    frames = values.reshape(-1, 3)
    held = frames[np.isfinite(frames).all(axis=1)]
    return held[0] if len(held) else None


def _mean(series, name):
    values = getattr(series, name)
    return None if values is None else np.nanmean(values.reshape(-1, 3), axis=0)


def _picked(result, names, unit):
    picked = {name: None if result is None else getattr(result, name) for name in names.split()}
    return picked | {"unit": unit}


def _derived(result, name, unit):
    value, std = (None, None) if result is None else (getattr(result, name), getattr(result, f"{name}_std"))
    return {"isotropic": value, "isotropic_std": std, "unit": unit}


def _with_window(result, value, std, unit):
    return f"{format_value(value, std, unit)} at t0 = {result.window:.4g} ps ({result.estimator})"


def _consistency(series, correlations, theta_found, temperature):
    """γ·εθ/(m k_BT)² with its error, γ from the plain integral of ⟨PP⟩ whatever θ was read from.

    Read from one plateau of the memory kernel the product is (m k_BT)² by construction and would check nothing.
    """
    if correlations is None or theta_found is None or temperature is None or not series.has("momentum"):
        return None, None
    try:
        independent = correlations.gamma(None, "window")
    except InputError:
        return None, None
    scale = (series.mass * thermal_energy(temperature)) ** 2
    gamma, theta = independent.isotropic, theta_found.isotropic_raw
    std = np.hypot(independent.isotropic_std * theta, theta_found.isotropic_raw_std * gamma)
    return float(gamma * theta / scale), float(std / scale)
