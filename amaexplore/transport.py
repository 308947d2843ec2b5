"""γ and θ of equations (28) and (55), by several estimators on the same correlations."""

from functools import cached_property

import numpy as np
from scipy import fft

from .coefficients import CorrelationIntegral, Gamma, Theta, positive_number
from .correlation import (
    force_correlation,
    lag_index,
    momentum_correlation,
)
from .correlators import Correlators
from .errors import InputError, InsufficientDataError, Notice
from .green_kubo import ESTIMATORS, inverse_or_nan
from .thermal_force import MeanForce, confined_axes, force_field
from .uncertainty import jackknife_std
from .units import BOLTZMANN
from .window import axes_std, propose_before_decay, propose_maximum, propose_plateau

__all__ = ["CorrelationIntegral", "Correlations", "Gamma", "Theta", "estimators", "gamma", "prepare", "theta"]

LARGEST_ERROR = 0.2  # relative; above it a result says so
SERIES = ("centre_of_mass", "momentum", "net_force")
COARSEST_STEP = 0.3  # h √(⟨FF⟩/⟨PP⟩); above it the frames are too far apart for the force
SHORTEST_BLOCK = 10  # τ_P; blocks of one run must be longer to count as independent
LARGEST_MISFIT = 0.25  # of the drop of ⟨PP⟩ as integrated from ⟨FP⟩; above it F is not dP/dt
FEWEST_LAGS, MOST_LAGS = 64, 20_000

_RESULTS = {"gamma": Gamma, "theta": Theta}
_UNITS = {"gamma": "u² nm²/ps", "theta": "u² nm²/ps³"}


# -- the public functions ---------------------------------------------------------------------------------


def estimators():
    """The ways to γ and θ: for each what it assumes, when it fails, what it costs.

    Returns
    -------
    list of dict
        Keys name, label, assumes, fails, cost, measures, available.
    """
    return [estimator.to_dict() for estimator in ESTIMATORS.values()]


def gamma(series, window=None, estimator=None, temperature=None, *, mean_force="auto", isotropic=False, max_lag=None):
    """γ of equation (28) and the diffusion coefficient D = γ/m².

    Parameters
    ----------
    series : OrderParameters
    window : float, ps, optional
        Where the running integral is read. Without it a window is proposed, and ``window_reason`` says why.
    estimator : str, optional
        See `estimators`. Default: ``"kernel"`` where momentum and force are both there and are each other's
        derivative and integral, else ``"window"``, the plain integral.
    temperature : float, K, optional
        Default: the series' own, else that of the particle's momentum (with a notice).
    mean_force : "auto", None, callable or MeanForce
        What is taken off the force, see `prepare`.
    isotropic : bool
        Average the correlations over the three axes first: the tensor is then a multiple of the unit tensor,
        with a smaller error. For isotropic systems only.
    max_lag : float, ps, optional
        Longest lag considered.

    Returns
    -------
    Gamma
        A `CorrelationIntegral` with ``diffusion`` and ``diffusion_std`` in nm²/ps.

    Raises
    ------
    MissingFieldError, UnevenTimesError, InputError, InsufficientDataError

    Notes
    -----
    By estimator "window", the default of the equations as written, the integral is right when ⟨PP⟩ has died
    at the window while the particle has hardly moved: not in a trap. By "kernel" γ = (m k_BT)²/εθ follows
    from the plateau of the memory kernel's integral, which exists in traps too. In a box of zero total
    momentum the plain integral is multiplied by (m/μ)², μ = m(1 − m/m_total), for the host's recoil.
    """
    window = _given(window)
    bench = prepare(series, temperature, mean_force=mean_force, isotropic=isotropic, max_lag=max_lag, window=window)
    return bench.gamma(window, estimator)


def theta(series, window=None, estimator=None, temperature=None, *, mean_force="auto", isotropic=False, max_lag=None):
    """θ of equation (55), the friction ζ = εθ/k_BT and the momentum relaxation time τ_P = m/ζ.

    Parameters
    ----------
    series, window, estimator, temperature, mean_force, isotropic, max_lag
        As for `gamma`.

    Returns
    -------
    Theta
        A `CorrelationIntegral` with ``tensor_raw`` = εθ, ``friction`` (u/ps) and ``relaxation_time`` (ps).

    Raises
    ------
    MissingFieldError, UnevenTimesError, InputError, InsufficientDataError

    Notes
    -----
    By estimator "window" the integral of ⟨δFδF⟩ of a free particle rises to a maximum below εθ and decays
    over τ_P (the plateau problem); with the momentum held it has a true plateau. By "kernel" the memory
    kernel's integral is used, whose plateau is true for free dynamics of finite mass as well.
    """
    window = _given(window)
    bench = prepare(series, temperature, mean_force=mean_force, isotropic=isotropic, max_lag=max_lag, window=window)
    return bench.theta(window, estimator)


def prepare(series, temperature=None, *, mean_force="auto", isotropic=False, max_lag=None, window=None):
    """All correlations of a series, computed once, so that another window or estimator costs next to nothing.

    Parameters
    ----------
    series, temperature, isotropic, max_lag
        As for `gamma`.
    mean_force : "auto", None, callable or MeanForce
        F^th(R), taken off the force before its correlations. ``None``: nothing but, for the plain integral,
        the mean. A callable takes positions (..., 3) in nm and returns kJ/mol/nm of that shape.
    window : float, ps, optional
        The lags reach at least to twice this.

    Returns
    -------
    Correlations

    Examples
    --------
    >>> import numpy as np
    >>> from amaexplore import OrderParameters
    >>> walk = np.random.default_rng(1).normal(size=(4, 400, 3))
    >>> bench = prepare(OrderParameters.from_arrays(timestep=0.1, mass=2.0, momentum=walk), temperature=100.0)
    >>> bench.gamma(window=0.5).window, bench.gamma(window=1.0).window
    (0.5, 1.0)
    """
    return Correlations(series, temperature, mean_force, isotropic, max_lag, _given(window))


def _given(window):
    if window is None:
        return None
    if isinstance(window, bool) or not isinstance(window, int | float | np.number):
        raise InputError(f"window must be a time in ps, or None for a proposal; got {window!r}.")
    return float(window)


class Correlations:
    """Correlations of one series up to some lag, and every coefficient that can be read from them.

    Made by `prepare`. Reading a coefficient at another window only indexes.

    Parameters
    ----------
    series : OrderParameters
    temperature : float, K, or None
    mean_force : "auto", None, callable or MeanForce
    isotropic : bool
    max_lag, window : float, ps, or None
    """

    def __init__(self, series, temperature, mean_force, isotropic, max_lag, window):
        self.series = series
        self.isotropic = bool(isotropic)
        self.mean_force = mean_force
        self._temperature = None if temperature is None else positive_number(temperature, "temperature")
        self._fields = tuple(name for name in ("momentum", "net_force") if series.has(name))
        # with neither velocities nor forces there are still displacements
        self._even = series.even(*(self._fields or ("centre_of_mass",))).synchronised()
        self.timestep = self._even.timestep
        if self._even.n_frames < 8:
            raise InsufficientDataError(
                f"The series holds {self._even.n_frames} frames; correlations need at least 8, and hundreds for a number "
                "one can trust."
            )
        self._n_lags = self._choose_lags(max_lag, window)
        self._fixed_lags = max_lag is not None
        self._curves = {}
        self._settled = self._looked_further = False
        self._took_off = None  # axes whose mean force is taken off although the displacement did not show confinement
        self._may_take_off = isinstance(mean_force, str) and len(self._fields) == 2 and self._has_positions

    # -- how far ---------------------------------------------------------------------------------------

    @property
    def _farthest(self):
        """Most lags the data support: pairs from at least half of each run."""
        return max(4, self._even.n_frames // 2)

    def _choose_lags(self, max_lag, window):
        n_frames = self._even.n_frames
        if max_lag is not None:
            return lag_index(self.timestep, n_frames, max_lag, "max_lag") + 1
        wanted = min(max(FEWEST_LAGS, 5 * self._decay_index()), n_frames // 4, MOST_LAGS)
        if window is not None:
            index = lag_index(self.timestep, n_frames, window, "window")
            # twice the window shows what a longer one would give
            wanted = max(wanted, min(2 * index + 1, n_frames - 1), index + 1)
        return max(4, wanted)

    def _decay_index(self):
        """First lag at which the momentum (else force) correlation is below 1/e."""
        if not self._fields:
            return self._even.n_frames // 32
        values = self._even.replicas(self._fields[0]).transpose(0, 2, 1)
        n_lags = min(self._farthest, MOST_LAGS)
        length = fft.next_fast_len(values.shape[-1] + n_lags, real=True)
        power = np.square(np.abs(fft.rfft(values, length))).sum(axis=(0, 1))
        curve = fft.irfft(power, length)[:n_lags] / (values.shape[-1] - np.arange(n_lags))
        below = curve < curve[0] / np.e
        return int(np.argmax(below)) if below.any() else n_lags // 4

    # -- the correlations ------------------------------------------------------------------------------

    @property
    def lags(self):
        """Shape (n_lags,), ps."""
        return self.timestep * np.arange(self._n_lags)

    @cached_property
    def momentum(self):
        """`CorrelationFunction` of the momentum up to the longest lag."""
        return momentum_correlation(self._even, max_lag=self.lags[-1])

    @cached_property
    def force(self):
        """`CorrelationFunction` of the force up to the longest lag, its mean taken off."""
        return force_correlation(self._even, max_lag=self.lags[-1])

    @cached_property
    def _correlators(self):
        series = self._even
        arrays = {name: series.replicas(name) if series.has(name) else None for name in SERIES}
        return Correlators(
            self.timestep,
            self._n_lags,
            mass=series.mass,
            momentum=arrays["momentum"],
            force=arrays["net_force"],
            mean_force=self._force_field if series.has("net_force") else None,
            position=arrays["centre_of_mass"] if self._has_positions else None,
            axes_as_groups=self.isotropic,
        )

    @cached_property
    def _force_field(self):
        """F^th(R) at every frame, shape (n_replicas, n_frames, 3), or None where nothing is to be taken off."""
        if self.mean_force is None:
            return None
        if isinstance(self.mean_force, str) and self.mean_force == "auto":
            axes = self.confined if self._took_off is None else self._took_off
            return force_field(self._even, np.flatnonzero(axes)) if axes.any() else None
        if not callable(self.mean_force):
            raise InputError(f"mean_force must be 'auto', None, a MeanForce or a callable; got {self.mean_force!r}.")
        position, force = self._even.replicas("centre_of_mass"), self._even.replicas("net_force")
        if isinstance(self.mean_force, MeanForce):
            direction = self.mean_force.direction
            return self.mean_force.at(position @ direction)[..., None] * direction
        values = np.asarray(self.mean_force(position), dtype=float)
        if values.shape != force.shape or not np.isfinite(values).all():
            raise InputError(
                f"mean_force returned an array of shape {values.shape}; expected finite values of shape {force.shape}."
            )
        return values

    @cached_property
    def confined(self):
        """Along which axes the particle stays in a bounded region, shape (3,) bool."""
        return confined_axes(self._even)[0] if self._has_positions else np.zeros(3, dtype=bool)

    @cached_property
    def _has_positions(self):
        return self.series.has("centre_of_mass") and bool(np.isfinite(self._even.centre_of_mass).all())

    # -- temperature -----------------------------------------------------------------------------------

    @cached_property
    def temperature(self):
        """(value in K, source); NaN where nothing tells it."""
        if self._temperature is not None:
            return self._temperature, "given"
        if self.series.temperature is not None and np.isfinite(self.series.temperature):
            return float(self.series.temperature), "velocities of the atoms"
        if self.series.has("momentum"):
            value = self._even.kinetic_temperature
            if value > 0:
                return value, "momentum of the nanoparticle"
        return float("nan"), "unknown"

    # -- consistency of P and F ------------------------------------------------------------------------

    @cached_property
    def force_is_momentum_change(self):
        """How much of the drop of ⟨P(0)P(s)⟩ the force explains: 1 where F = dP/dt, NaN where not known."""
        if len(self._fields) < 2:
            return float("nan")
        c = self._correlators
        momentum = np.einsum("aan->n", c.momentum[0])
        if momentum[0] <= 0:
            return 0.0
        change = np.einsum("aan->n", c.derivative[0])
        below = momentum < 0.5 * momentum[0]
        index = max(1, int(np.argmax(below)) if below.any() else int(np.argmin(momentum)))
        drop = momentum[index] - momentum[0]
        explained = self.timestep * (change[: index + 1].sum() - 0.5 * (change[0] + change[index]))
        return float(explained / drop) if drop else 0.0

    @property
    def default_estimator(self):
        """``"kernel"`` where F = dP/dt holds in the data, else ``"window"``."""
        consistent = abs(self.force_is_momentum_change - 1.0) <= LARGEST_MISFIT
        return "kernel" if consistent else "window"

    # -- coefficients ----------------------------------------------------------------------------------

    def gamma(self, window=None, estimator=None):
        """γ at a window (ps), or at a proposed one: a `Gamma`."""
        return self._coefficient("gamma", window, estimator)

    def theta(self, window=None, estimator=None):
        """θ at a window (ps), or at a proposed one: a `Theta`."""
        return self._coefficient("theta", window, estimator)

    def left_out(self, kind, estimator=None):
        """Isotropic running coefficient with one group left out, in raw units, shape (n_groups, n_lags).

        Parameters
        ----------
        kind : str
            ``"gamma"`` or ``"theta"``.
        estimator : str, optional
        """
        return self._curve(kind, self._estimator(kind, estimator)).left_out.mean(axis=1)

    def table(self, window=None, estimators=None):
        """Estimators side by side.

        Parameters
        ----------
        window : float, ps, optional
            For all of them; default, each with its own proposal.
        estimators : sequence of str, optional
            Default: all that read a running curve, so not "stacie", which takes seconds.

        Returns
        -------
        list of dict
            Keys estimator, label, measures, note (why a number is missing), and where they can be had gamma, gamma_std,
            diffusion, diffusion_std, gamma_window, gamma_plateau, theta_raw, theta_raw_std, friction, friction_std,
            theta_window, theta_plateau.
        """
        if estimators is None:
            estimators = [name for name, entry in ESTIMATORS.items() if entry.direct is None]
        return [self._row(name, window) for name in estimators]

    def _row(self, name, window):
        entry = self._known(name)
        row = {"estimator": name, "label": entry.label, "measures": entry.measures, "note": ""}
        try:
            result = self.gamma(window, name)
            row |= {"gamma": result.isotropic, "gamma_std": result.isotropic_std}
            row |= {"diffusion": result.diffusion, "diffusion_std": result.diffusion_std}
            row |= {"gamma_window": result.window, "gamma_plateau": result.plateau}
        except InputError as error:
            row["note"] = str(error)
        try:
            result = self.theta(window, name)
            row |= {"theta_raw": result.isotropic_raw, "theta_raw_std": result.isotropic_raw_std}
            row |= {"friction": result.friction, "friction_std": result.friction_std}
            row |= {"theta_window": result.window, "theta_plateau": result.plateau}
        except InputError as error:
            row["note"] = str(error)
        return row

    def _coefficient(self, kind, window, estimator):
        window = _given(window)
        entry = self._estimator(kind, estimator)
        if entry.direct is not None:
            return self._direct(kind, entry)
        if window is not None:
            index = lag_index(self.timestep, self._even.n_frames, window, "window")
            self._reach(index)
        elif entry.name == "kernel":
            self._settle(entry)
        elif kind == "gamma" and entry.rule == "before decay":
            self._look_further(entry)
        curve = self._curve(kind, entry)
        if window is None:
            proposal = self._proposal(kind, entry)
            index, reason, plateau = proposal.index, proposal.reason, proposal.found
        else:
            reason, plateau = "given", curve.stays(index)
        return curve.read(index, reason, plateau, self._notices(kind, entry, curve, index, plateau, window is None))

    def _estimator(self, kind, name):
        entry = self._known(self.default_estimator if name is None else name)
        for needed in entry.needs[kind]:
            self.series.require(needed)
        return entry

    @staticmethod
    def _known(name):
        try:
            return ESTIMATORS[name]
        except (KeyError, TypeError):
            raise InputError(f"No estimator {name!r}; there are {', '.join(ESTIMATORS)}.") from None

    def _direct(self, kind, entry):
        """A coefficient without a running curve: constant over all lags, read at the estimator's own time."""
        if entry.name not in self._curves:
            self._curves[entry.name] = entry.direct(self._correlators)
        value, std, time = self._curves[entry.name]
        value, std = self.recoil * value, self.recoil * std
        if kind == "theta":
            other = (self.series.mass * BOLTZMANN * self.temperature[0]) ** 2 / value / self.series.epsilon
            value, std = other, other * std / value
        n_lags = self._n_lags
        return _RESULTS[kind](
            tensor=value * np.eye(3),
            tensor_std=np.where(np.eye(3, dtype=bool), np.sqrt(3.0) * std, np.nan),
            isotropic=value,
            isotropic_std=std,
            lags=self.lags,
            running=np.broadcast_to(value * np.eye(3), (n_lags, 3, 3)).copy(),
            running_std=np.broadcast_to(
                np.where(np.eye(3, dtype=bool), np.sqrt(3.0) * std, np.nan), (n_lags, 3, 3)
            ).copy(),
            running_isotropic=np.full(n_lags, value),
            running_isotropic_std=np.full(n_lags, std),
            window=time,
            window_reason="none is used: a model of the spectrum; given is the correlation time it found",
            estimator=entry.name,
            unit=_UNITS[kind],
            systematic=float("nan"),
            plateau=True,
            n_groups=3 * self._even.n_replicas,
            **self._shared,
        )

    @property
    def _shared(self):
        """What every result of this series has in common."""
        return dict(
            mass=self.series.mass,
            effective_mass=self.series.effective_mass,
            epsilon=self.series.epsilon,
            temperature=self.temperature[0],
            temperature_source=self.temperature[1],
            label=self.series.label,
        )

    def _settle(self, entry):
        """Where the memory kernel's integral shows no plateau: take F^th(R) off, or look at longer lags.

        A mean force that was overlooked makes the integral rise without end, so a plateau that appears when
        it is taken off is evidence for it. Done once.
        """
        if self._settled:
            return
        self._settled = True
        while not self._curve("theta", entry).proposal.found:
            if self._may_take_off:
                self._took_off = np.ones(3, dtype=bool)
                self._forget()
                if self._curve("theta", entry).proposal.found:
                    return
                self._took_off = None
            elif 2 * self._n_lags > min(self._even.n_frames // 4, MOST_LAGS) or self._fixed_lags:
                return
            else:
                self._n_lags *= 2
            self._may_take_off = False
            self._forget()

    def _look_further(self, entry):
        """∫⟨PP⟩ settles only after several τ_P: once, look at twice the lags where it has not settled yet."""
        longest = min(self._even.n_frames // 4, MOST_LAGS)
        if self._looked_further or self._fixed_lags or 2 * self._n_lags > longest:
            return
        self._looked_further = True
        if not self._curve("gamma", entry).proposal.found:
            self._n_lags *= 2
            self._forget()

    def _reach(self, index):
        """Make the lags long enough for ``index``, and where possible for twice it."""
        if index >= self._n_lags:
            self._n_lags = max(index + 1, min(2 * index + 1, self._even.n_frames - 1))
            self._forget()

    def _forget(self):
        self._curves.clear()
        for name in ("_correlators", "_force_field", "momentum", "force", "force_is_momentum_change"):
            self.__dict__.pop(name, None)

    def _curve(self, kind, entry):
        key = (kind, entry.name)
        if key not in self._curves:
            self._curves[key] = _Curve(self, kind, entry)
        return self._curves[key]

    def _proposal(self, kind, entry):
        native = kind if getattr(entry, kind) else ("theta" if kind == "gamma" else "gamma")
        return self._curve(native, entry).proposal

    def _notices(self, kind, entry, curve, index, plateau, proposed):
        notices = list(self.series.warnings)
        add = notices.append
        value, std = curve.isotropic[index], curve.isotropic_std[index]
        relative = abs(std / value) if value else float("inf")
        if not plateau:
            what = "No plateau was found" if proposed else "The running integral still changes after the window"
            add(
                Notice(
                    "no_plateau",
                    f"{what} ({kind}, estimator {entry.name}): read at {self.lags[index]:.4g} ps the number depends on the "
                    "choice. A longer run, more replicas, or dynamics with the momentum held would show one.",
                )
            )
        if not relative <= LARGEST_ERROR:
            more = (
                f"; about {(relative / 0.1) ** 2:.0f} times more data would give 10 %" if np.isfinite(relative) else ""
            )
            add(Notice("large_error", f"{kind} is known to {100 * relative:.0f} % only{more}."))
        c = self._correlators
        if entry.name == "kernel":
            coarse = self.timestep * np.sqrt(np.trace(c.force_norm[0]) / np.trace(c.momentum[0, ..., 0]))
            if coarse > COARSEST_STEP:
                add(
                    Notice(
                        "coarse_frames",
                        f"Frames {self.timestep:.4g} ps apart are far apart for this force: h √(⟨FF⟩/⟨PP⟩) = {coarse:.2f}, "
                        f"and the memory kernel needs less than {COARSEST_STEP}. Store frames more often.",
                    )
                )
        block = self.timestep * c.n_frames / c.n_blocks
        if c.n_blocks > 1 and entry.name == "kernel" and kind == "theta" and value > 0:
            relaxation = self.series.mass * BOLTZMANN * self.temperature[0] / value
            if block < SHORTEST_BLOCK * relaxation:
                add(
                    Notice(
                        "short_blocks",
                        f"The errors come from {c.n_blocks} blocks of {block:.3g} ps in each run, shorter than {SHORTEST_BLOCK} "
                        f"τ_P = {SHORTEST_BLOCK * relaxation:.3g} ps, so they are too small. Use longer runs or more replicas.",
                    )
                )
        if entry.name == "kernel" and self._took_off is not None:
            add(
                Notice(
                    "mean_force_taken_off",
                    "With a mean force f^th(R) taken off the plateau appears, without it the integral keeps rising: the "
                    "particle counts as confined, though its displacement does not show it yet.",
                    "info",
                )
            )
        if "net_force" in self._fields and "momentum" in self._fields:
            explained = self.force_is_momentum_change
            if not abs(explained - 1.0) <= LARGEST_MISFIT:
                add(
                    Notice(
                        "force_is_not_momentum_change",
                        f"The net force explains {100 * explained:.0f} % of the decay of ⟨PP⟩: F is not dP/dt in this data "
                        "(constraints, thermostat, momentum held, or frames too far apart), so the memory kernel cannot be had.",
                    )
                )
        if self.temperature[1] == "momentum of the nanoparticle" and (kind == "theta" or entry.gamma is None):
            add(
                Notice(
                    "temperature_from_momentum",
                    f"No temperature was given: {self.temperature[0]:.4g} K was taken from the particle's own momentum, which "
                    "is uncertain for a short run. Give temperature=.",
                )
            )
        if self.temperature[1] == "unknown" and (kind == "theta" or entry.gamma is None):
            add(
                Notice(
                    "no_temperature",
                    "No temperature is known, so friction and diffusion cannot be had from θ; give temperature=.",
                )
            )
        if kind == "gamma" and entry.gamma is not None and self.recoil != 1.0:
            add(
                Notice(
                    "zero_total_momentum",
                    f"The whole system's momentum is zero, so the host recoils: the integral was multiplied by (m/μ)² = "
                    f"{self.recoil:.4g}.",
                    "info",
                )
            )
        return tuple(notices)

    @property
    def recoil(self):
        """(m/μ)², by which ∫⟨PP⟩ is too small in a box of zero total momentum."""
        return (self.series.mass / self.series.effective_mass) ** 2

    def __repr__(self):
        return (
            f"Correlations({self.series.label or 'series'}: {len(self.lags)} lags up to {self.lags[-1]:.4g} ps, "
            f"{self._even.n_replicas} × {self._even.n_frames} frames)"
        )


class _Curve:
    """One coefficient by one estimator, as a function of where the window ends, with its errors."""

    def __init__(self, bench, kind, entry):
        self.bench, self.kind, self.entry = bench, kind, entry
        native = getattr(entry, kind)
        if native is not None:
            stack = native(bench._correlators)
            if kind == "gamma":
                stack = bench.recoil * stack
        else:
            other = bench._curve("theta" if kind == "gamma" else "gamma", entry)
            # γ · εθ = (m k_B T)², as tensors
            stack = (bench.series.mass * BOLTZMANN * bench.temperature[0]) ** 2 * inverse_or_nan(other.stack)
        self.stack = stack
        self.lags = bench.lags
        self.left_out = np.einsum("kaan->kan", stack[1:])
        self.n_groups = len(self.left_out)
        self.isotropic = np.einsum("aan->n", stack[0]) / stack.shape[1]
        self.isotropic_std = axes_std(self.left_out) if self.n_groups else np.full(len(self.lags), np.nan)

    @cached_property
    def _tensors(self):
        value = np.moveaxis(self.stack[0], -1, 0)
        std = np.moveaxis(jackknife_std(self.stack[1:]), -1, 0) if self.n_groups else np.full(value.shape, np.nan)
        if value.shape[1] == 1:
            value, std = value * np.eye(3), std * np.eye(3)
        if self.entry.per_axis:
            std = np.where(np.eye(3, dtype=bool), std, np.nan)
        return value, std

    @cached_property
    def last(self):
        """Last lag up to which the curve and its error are finite without a gap after their first finite value."""
        finite = np.isfinite(self.isotropic) & np.isfinite(self.isotropic_std)
        first = int(np.argmax(finite))
        gaps = np.flatnonzero(~finite[first:])
        return (first + int(gaps[0]) if gaps.size else len(finite)) - 1

    @cached_property
    def proposal(self):
        lags, curve = self.lags[: self.last + 1], self.isotropic[: self.last + 1]
        if self.entry.rule == "maximum":
            return propose_maximum(lags, curve)
        left_out = self.left_out[..., : self.last + 1]
        if self.entry.rule == "before decay":
            return propose_before_decay(lags, curve, left_out)
        return propose_plateau(lags, curve, left_out)

    def stays(self, index):
        """Whether the curve at twice the index agrees with that at the index within twice the error of the change."""
        if 2 * index >= len(self.lags) or self.n_groups < 2:
            return False
        spread = axes_std(self.left_out[..., 2 * index] - self.left_out[..., index])
        return bool(abs(self.isotropic[2 * index] - self.isotropic[index]) <= 2.0 * spread)

    def read(self, index, reason, plateau, notices):
        bench, series = self.bench, self.bench.series
        value, std = self._tensors
        # results keep raw γ as it is, and θ in the paper's variables
        factor = 1.0 / series.epsilon if self.kind == "theta" else 1.0
        later = self.isotropic[2 * index] if 2 * index < len(self.lags) else float("nan")
        return _RESULTS[self.kind](
            tensor=factor * value[index],
            tensor_std=factor * std[index],
            isotropic=float(factor * self.isotropic[index]),
            isotropic_std=float(factor * self.isotropic_std[index]),
            lags=self.lags,
            running=factor * value,
            running_std=factor * std,
            running_isotropic=factor * self.isotropic,
            running_isotropic_std=factor * self.isotropic_std,
            window=float(self.lags[index]),
            window_reason=reason,
            estimator=self.entry.name,
            unit=_UNITS[self.kind],
            systematic=float(factor * (later - self.isotropic[index])),
            plateau=bool(plateau),
            n_groups=self.n_groups,
            **bench._shared,
            warnings=notices,
        )
