"""Which of the two ε scalings holds here: three times decide, and say by how much each equation is off."""

from dataclasses import dataclass, field

import numpy as np

from .confinement import confinement
from .errors import AmaError, InputError, Notice
from .results import Result
from .transport import prepare
from .uncertainty import jackknife_std
from .units import BOLTZMANN

__all__ = ["RegimeDiagnosis", "Verdict", "diagnose"]

SMALL = 0.15
"""Ratio of times below which they count as separate."""


@dataclass(frozen=True)
class Verdict:
    """Whether one equation holds.

    Parameters
    ----------
    holds : bool or None
        ``None`` where the data cannot tell.
    ratio : float
        Fast time over slow time; below 0.15 the equation holds.
    leading_error : float
        First correction to the slow rate, relative.
    message : str
        A sentence with the numbers.
    """

    holds: bool | None
    ratio: float
    leading_error: float
    message: str


@dataclass(frozen=True, eq=False, repr=False)
class RegimeDiagnosis(Result):
    """Times of force memory, momentum and position, and what follows for each equation.

    Parameters
    ----------
    tau_force : float, ps
        τ_K, memory time of the fluctuating force.
    tau_momentum : float, ps
        τ_P, relaxation time of the momentum.
    tau_force_std, tau_momentum_std : float, ps
        Standard errors.
    tau_position : float, ps
        τ_R, relaxation time of the position where confined, else the time to diffuse ``length``.
    confined : bool
        Whether the position stays in a bounded region, so that τ_R is its relaxation time there.
    length : float, nm
        The length over which W is wanted, where not confined.
    label : str
        ``"smoluchowski"``, ``"fokker-planck"``, ``"both"``, ``"neither"`` or ``"unknown"``.
    verdicts : dict
        ``"smoluchowski"`` and ``"fokker-planck"`` to dict(holds, ratio, leading_error, message).
    exponents : dict
        Slopes of ln|P| and ln|F| against ln ε over nested subsets, where those were given; shown, never deciding.
    epsilon : float
    warnings : tuple of Notice
    """

    tau_force: float
    tau_momentum: float
    tau_force_std: float
    tau_momentum_std: float
    tau_position: float
    confined: bool
    length: float
    label: str
    verdicts: dict
    exponents: dict
    epsilon: float
    warnings: tuple[Notice, ...] = field(default=())

    def with_mass(self, factors):
        """Times and ratios for a heavier or lighter particle, on which the same forces act.

        The forces, and with them their memory τ_K, the friction ζ and D, do not know the mass; τ_P = m/ζ does.

        Parameters
        ----------
        factors : array_like
            Masses over the real one.

        Returns
        -------
        tau_momentum : ndarray, ps
        smoluchowski, fokker_planck : ndarray
            max(τ_P, τ_K)/τ_R and τ_K/τ_P, as in `verdicts`; each equation holds below `SMALL`. NaN where unknown.
        """
        tau_momentum = np.asarray(factors, dtype=float) * self.tau_momentum
        memory = self.tau_force if self.tau_force > 0.0 else np.nan
        return tau_momentum, np.fmax(tau_momentum, memory) / self.tau_position, memory / tau_momentum

    def summary(self):
        rows = [("regime", self.label)]
        rows += [(name, verdict["message"]) for name, verdict in self.verdicts.items()]
        return rows


def diagnose(series, temperature=None, *, length=None, nested=None, correlations=None):
    """Which regime the data are in, by the times that decide it.

    Parameters
    ----------
    series : OrderParameters
        With momentum and net force.
    temperature : float, K, optional
    length : float, nm, optional
        The distance over which the reduced density is wanted when nothing confines the particle; default 1 nm.
    nested : sequence of OrderParameters, optional
        Growing subsets of the same trajectory, for the exponents of |P| and |F| in ε.
    correlations : Correlations, optional
        From `transport.prepare`, where they are at hand already.

    Returns
    -------
    RegimeDiagnosis

    Raises
    ------
    InputError
        ``length`` is not a positive number.

    Notes
    -----
    τ_K = ∫₀^t0 (1 − G/G∞) dt, τ_P = 1/G(t0), τ_R = σ_R²/D when confined, else L²/D. Fokker-Planck holds if
    τ_K/τ_P < 0.15, Smoluchowski if max(τ_P, τ_K)/τ_R < 0.15. Leading errors: Fokker-Planck's slow rate
    + τ_K/τ_P, Smoluchowski's + (τ_P − τ_K)/τ_R.
    """
    if length is None:
        length, chosen = 1.0, False
    else:
        length, chosen = float(length), True
    if not (np.isfinite(length) and length > 0):
        raise InputError(f"length must be a positive number of nm; got {length!r}.")
    notices = []
    times, bench = _NOTHING_KNOWN, correlations
    try:
        bench = prepare(series, temperature) if bench is None else bench
        times = _times(bench)
    except AmaError as error:
        notices.append(Notice("regime_unknown", f"The regime cannot be told: {error}"))
    if not times.plateau and np.isfinite(times.momentum):
        notices.append(
            Notice("rough_times", "No plateau of the friction was found, so the times behind the verdict are rough.")
        )
    tau_force, tau_momentum, diffusion = times.force, times.momentum, times.diffusion
    where = confinement(series)
    axes, variances = where.axes, where.variance
    if bench is not None and isinstance(bench.mean_force, str) and bench.taken_off.any():
        axes = bench.taken_off
    confined = bool(axes.any())
    variance = float(variances[axes].mean()) if confined else float("nan")
    tau_position = (variance if confined else length**2) / diffusion if diffusion > 0 else float("nan")
    if not confined and not chosen:
        notices.append(
            Notice(
                "length_assumed",
                "Nothing confines the particle: τ_R is the time to diffuse 1 nm; give length= to choose.",
                "info",
            )
        )
    fokker_planck = _verdict(
        "Fokker-Planck (56)",
        tau_force,
        tau_momentum,
        tau_force / tau_momentum,
        "τ_K",
        "τ_P",
    )
    # where the force's memory is unknown the momentum speaks for the fast times
    slowest = float(np.fmax(tau_force, tau_momentum))
    smoluchowski = _verdict(
        "Smoluchowski (29)",
        slowest,
        tau_position,
        (tau_momentum - np.nan_to_num(tau_force)) / tau_position,
        "max(τ_P, τ_K)",
        "τ_R",
    )
    _near_the_limit(times, smoluchowski.ratio, notices)
    duration = series.duration
    for name, slow in (("τ_P", tau_momentum), ("τ_R", tau_position if confined else np.nan)):
        if np.isfinite(slow) and duration < 10.0 * slow:
            notices.append(
                Notice(
                    "too_short",
                    f"Each run lasts {duration:.4g} ps, less than ten times {name} = {slow:.4g} ps: the verdict is rough.",
                )
            )
    return RegimeDiagnosis(
        tau_force=tau_force,
        tau_momentum=tau_momentum,
        tau_force_std=times.force_std,
        tau_momentum_std=times.momentum_std,
        tau_position=tau_position,
        confined=confined,
        length=length,
        label=_label(smoluchowski.holds, fokker_planck.holds),
        verdicts={"smoluchowski": vars(smoluchowski), "fokker-planck": vars(fokker_planck)},
        exponents=_exponents(nested),
        epsilon=series.epsilon,
        warnings=tuple(notices),
    )


@dataclass(frozen=True)
class _Times:
    force: float
    force_std: float
    momentum: float
    momentum_std: float
    diffusion: float
    plateau: bool


_NOTHING_KNOWN = _Times(np.nan, np.nan, np.nan, np.nan, np.nan, False)


def _times(bench):
    """τ_K, τ_P = m/ζ and D from the running integral of the memory kernel at its plateau."""
    moves = bench.series.has("momentum") and np.any(
        bench.series.momentum[..., 1:, :] != bench.series.momentum[..., :-1, :]
    )
    if moves and bench.default_estimator != "kernel":
        # ⟨PP⟩ alone gives τ_P, but not how long the force remembers
        gamma = bench.gamma()
        momentum = gamma.mass * gamma.diffusion / gamma.thermal_energy
        std = momentum * gamma.relative_error
        return _Times(float("nan"), float("nan"), momentum, std, gamma.diffusion, gamma.plateau)
    theta = bench.theta(estimator=bench.default_estimator)
    index = round(theta.window / bench.timestep)
    force = memory_time(theta.running_isotropic[: index + 1], bench.timestep)
    left_out = bench.left_out("theta", bench.default_estimator)[:, : index + 1]
    force_std = float(jackknife_std([memory_time(curve, bench.timestep) for curve in left_out]))
    # of the particle in an unbounded host, as (56) has it: in a box of zero total momentum P itself decays in μ/ζ
    momentum = theta.relaxation_time
    return _Times(
        force,
        force_std,
        float(momentum),
        float(momentum * theta.relative_error),
        float(BOLTZMANN * theta.temperature / theta.friction),
        theta.plateau,
    )


def memory_time(running, timestep):
    """τ_K = ∫₀^t0 (1 − G/G∞) dt of a running integral that ends on its plateau.

    Where G overshoots its plateau the integral cancels; then the last t with |1 − G/G∞| > 1/e.

    Parameters
    ----------
    running : ndarray, shape (n_lags,)
        G, up to and including t0; its second half lies on the plateau.
    timestep : float, ps
    """
    # the height of the plateau is better known from all of it than from its end
    level = running[len(running) // 2 :].mean()
    if not level > 0.0:  # nothing fluctuates, or noise alone: there is no memory to be timed
        return float("nan")
    missing = 1.0 - running / level
    if (missing < -1.0 / np.e).any():
        return float(timestep * np.flatnonzero(np.abs(missing) > 1.0 / np.e)[-1])
    return float(max(0.0, timestep * (missing.sum() - 0.5 * (missing[0] + missing[-1]))))


def _near_the_limit(times, slow_ratio, notices):
    """Say so where errors could turn a verdict."""
    momentum = times.momentum_std / times.momentum
    memory = times.force / times.momentum
    ratios = [
        ("τ_K/τ_P", "Fokker-Planck", memory, memory * np.hypot(times.force_std / max(times.force, 1e-300), momentum))
    ]
    if times.momentum > times.force or np.isnan(times.force):
        # τ_R = σ_R²/D or L²/D, and D grows with τ_P as well; the error of σ_R² is not counted
        ratios.append(("τ_P/τ_R", "Smoluchowski", slow_ratio, 2.0 * momentum * slow_ratio))
    for words, name, ratio, spread in ratios:
        if abs(ratio - SMALL) < 2.0 * spread:
            notices.append(
                Notice(
                    "near_the_limit",
                    f"{words} = {ratio:.3f} ± {spread:.3f} is within two errors of the limit {SMALL}: the verdict on {name} "
                    "could turn with more data.",
                )
            )


def _verdict(name, fast, slow, error, fast_word, slow_word):
    ratio = fast / slow if slow else float("nan")
    if not np.isfinite(ratio):
        return Verdict(None, float("nan"), float("nan"), f"{name}: cannot be told from these data.")
    holds = bool(ratio < SMALL)
    text = "holds" if holds else "does not hold"
    return Verdict(
        holds,
        float(ratio),
        float(error),
        f"{name} {text}: {fast_word} = {fast:.3g} ps is {_two_digits(100 * ratio):g} % of {slow_word} = {slow:.3g} ps "
        f"({'below' if holds else 'not below'} {100 * SMALL:.0f} %); leading error of its slow rate about {_two_digits(100 * error):+g} %.",
    )


def _two_digits(value):
    """A percentage as one says it: 430, not 4.3e+02."""
    return float(f"{value:.2g}")


def _label(smoluchowski, fokker_planck):
    if smoluchowski is None and fokker_planck is None:
        return "unknown"
    if smoluchowski and fokker_planck:
        return "both"
    if smoluchowski:
        return "smoluchowski"
    return "fokker-planck" if fokker_planck else "neither"


def _exponents(nested):
    """Slopes of ln rms |P| and ln rms |F| against ln ε, by least squares over subsets."""
    if not nested:
        return {}
    if len(nested) < 2:
        raise InputError(f"nested needs at least two subsets; got {len(nested)}.")
    epsilon = np.log([item.epsilon for item in nested])
    if np.ptp(epsilon) == 0:
        raise InputError("The nested subsets all have the same ε; an exponent needs different ones.")
    out = {}
    for name in ("momentum", "net_force"):
        if all(item.has(name) for item in nested):
            size = [0.5 * np.log(np.nanmean(np.sum(item.replicas(name) ** 2, axis=-1))) for item in nested]
            out[name] = float(np.polyfit(epsilon, size, 1)[0])
    return out
