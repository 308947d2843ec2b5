"""Correlations of one series, computed once, and every coefficient that can be read from them."""

import threading
from functools import cached_property, wraps

import numpy as np

from .coefficients import positive_number
from .confinement import Confinement, confinement
from .correlation import force_correlation, lag_index, momentum_correlation
from .correlators import Correlators
from .doubts import LARGEST_MISFIT, direct_doubts, doubts
from .errors import InputError, InsufficientDataError
from .force_matching import force_field
from .green_kubo import ESTIMATORS
from .kernels.correlation import SHORTEST_PIECE, spectrum_of, total_sums
from .order_parameters import SERIES
from .running import RESULTS, UNITS, RunningCurve
from .thermal_force import MeanForce
from .units import BOLTZMANN

__all__ = ["Correlations", "given_window"]

LARGEST = 1e100  # of any number in a series
FEWEST_LAGS, MOST_LAGS = 64, 20_000


def given_window(window):
    """A window as a float, or None.

    Raises
    ------
    InputError
        It is not a number.
    """
    if window is None:
        return None
    if isinstance(window, bool) or not isinstance(window, int | float | np.number):
        raise InputError(f"window must be a time in ps, or None for a proposal; got {window!r}.")
    return float(window)


def _alone(method):
    """One thread at a time: the workbench grows while it is read."""

    @wraps(method)
    def guarded(self, *args, **options):
        with self._lock:
            return method(self, *args, **options)

    return guarded


class Correlations:
    """Correlations of one series up to some lag, and every coefficient that can be read from them.

    Made by `prepare`. Reading a coefficient at another window only indexes. Several threads may read from one.

    Parameters
    ----------
    series : OrderParameters
    temperature : float, K, or None
    mean_force : "auto", None, callable or MeanForce
    isotropic : bool
    max_lag, window : float, ps, or None
    """

    def __init__(self, series, temperature, mean_force, isotropic, max_lag, window):
        self._lock = threading.RLock()
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
        for name in self._fields:
            largest = float(np.nanmax(np.abs(getattr(self._even, name)), initial=0.0))
            if largest > LARGEST:
                raise InputError(
                    f"The {name.replace('_', ' ')} reaches {largest:.1g}, whose square no computer holds; the data are damaged, or in "
                    "units far from nm, ps and u."
                )
        if self._fields and not any(self._fluctuates(name) for name in self._fields):
            raise InsufficientDataError(
                f"The {' and the '.join(name.replace('_', ' ') for name in self._fields)} of the nanoparticle never change: nothing "
                "fluctuates that could be correlated. Is it frozen, or are the data of another kind?"
            )
        self._first_spectrum = self._explained = None
        self._n_lags = self._choose_lags(max_lag, window)
        self._fixed_lags = max_lag is not None
        self._curves, self._functions = {}, {}
        self._settled = self._looked_further = False
        self._longer = None  # a workbench with longer lags, for windows beyond ours
        self._before = None  # correlators with other lags or another mean force
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
        """First lag at which the correlation of the momentum (of the force, where that is held) is below 1/e."""
        moving = [name for name in self._fields if np.ptp(self._even.replicas(name), axis=1).any()]
        if not moving:
            return self._even.n_frames // 32
        values = self._even.replicas(moving[0]).transpose(0, 2, 1)
        # most correlations have decayed within the short transforms
        longest = min(self._farthest, MOST_LAGS)
        for n_lags in (min(SHORTEST_PIECE, longest), longest):
            spectrum = spectrum_of(values, n_lags)
            if moving[0] == "momentum":
                self._first_spectrum = spectrum
            sums = total_sums(spectrum, values.shape[-1], n_lags)
            curve = sums / (values.shape[-1] - np.arange(n_lags))
            below = curve < curve[0] / np.e
            if below.any():
                return int(np.argmax(below))
        return longest // 4

    # -- the correlations ------------------------------------------------------------------------------

    @property
    def lags(self):
        """Shape (n_lags,), ps."""
        return self.timestep * np.arange(self._n_lags)

    @property
    @_alone
    def momentum(self):
        """`CorrelationFunction` of the momentum up to the longest lag."""
        return self._function("momentum", momentum_correlation)

    @property
    @_alone
    def force(self):
        """`CorrelationFunction` of the force up to the longest lag, its mean taken off."""
        return self._function("force", force_correlation)

    def _function(self, name, compute):
        key = (name, self._n_lags)
        if key not in self._functions:
            self._functions = {kept: value for kept, value in self._functions.items() if kept[1] == self._n_lags}
            self._functions[key] = compute(self._even, max_lag=self.lags[-1])
        return self._functions[key]

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
            momentum_spectrum=self._first_spectrum,
            before=self._before,
        )

    def _fluctuates(self, name):
        values = self._even.replicas(name)
        return bool((np.ptp(values, axis=1) > 0.0).any())

    @cached_property
    def _force_field(self):
        """F^th(R) at every frame, shape (n_replicas, n_frames, 3), or None where nothing is to be taken off."""
        if self.mean_force is None:
            return None
        if isinstance(self.mean_force, str) and self.mean_force == "auto":
            axes = self.taken_off
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

    @property
    def confined(self):
        """Along which axes the particle stays in a bounded region, shape (3,) bool."""
        return self.confinement.axes

    @property
    def taken_off(self):
        """Axes whose F^th(R) is taken off where ``mean_force="auto"``, shape (3,) bool."""
        axes = self.confined if self._took_off is None else self._took_off
        # a suspicion is enough: the force taken off a free particle by mistake is of the order of the window over the
        # run, one left on a confined particle of the window over its relaxation time
        return axes | self.confinement.suspected

    @property
    def position_variance(self):
        """Variance of R along each axis, shape (3,), nm²; NaN without positions."""
        return self.confinement.variance

    @cached_property
    def confinement(self):
        """What the mean squared displacement says: a `Confinement`."""
        if self._has_positions:
            return confinement(self._even)
        return Confinement(np.zeros(3, dtype=bool), np.full(3, np.nan), float("nan"))

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

    @property
    @_alone
    def force_is_momentum_change(self):
        """How much of the drop of ⟨P(0)P(s)⟩ the force explains: 1 where F = dP/dt, NaN where not known."""
        if len(self._fields) < 2:
            return float("nan")
        if self._explained is None:
            self._explained = self._share_explained()
        return self._explained

    def _share_explained(self):
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

    def _default(self, kind):
        """The estimator where none is named: θ of a free particle without forces comes from its momentum alone."""
        if kind == "theta" and self._fields == ("momentum",) and not self.taken_off.any():
            return "mori"
        return self.default_estimator

    # -- coefficients ----------------------------------------------------------------------------------

    @_alone
    def gamma(self, window=None, estimator=None):
        """γ at a window (ps), or at a proposed one: a `Gamma`.

        Parameters
        ----------
        window : float, ps, optional
            By default a window is proposed, with its reason.
        estimator : str, optional
            One of `amaexplore.estimators`.

        Returns
        -------
        Gamma
        """
        return self._coefficient("gamma", window, estimator)

    @_alone
    def theta(self, window=None, estimator=None):
        """θ at a window (ps), or at a proposed one: a `Theta`.

        Parameters
        ----------
        window : float, ps, optional
            By default a window is proposed, with its reason.
        estimator : str, optional
            One of `amaexplore.estimators`.

        Returns
        -------
        Theta
        """
        return self._coefficient("theta", window, estimator)

    @_alone
    def left_out(self, kind, estimator=None):
        """Isotropic running coefficient with one group left out, in raw units, shape (n_groups, n_lags).

        Parameters
        ----------
        kind : str
            ``"gamma"`` or ``"theta"``.
        estimator : str, optional

        Returns
        -------
        ndarray, shape (n_groups, n_lags)
            In raw units: u² nm²/ps for γ, (kJ/mol/nm)² ps for θ.
        """
        entry = self._estimator(kind, estimator)
        self._decide()
        return self._curve(kind, entry).left_out.mean(axis=1)

    @_alone
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
        window = given_window(window)
        entry = self._estimator(kind, estimator)
        if entry.direct is not None:
            return self._direct(kind, entry)
        self._decide()
        if window is not None:
            index = lag_index(self.timestep, self._even.n_frames, window, "window")
            if index >= self._n_lags:
                return self._reaching(index)._coefficient(kind, window, entry.name)
        elif kind == "gamma" and entry.rule == "before decay":
            self._look_further(entry)
        curve = self._curve(kind, entry)
        if window is None:
            proposal = self._proposal(kind, entry)
            index, reason, plateau = proposal.index, proposal.reason, proposal.found
        else:
            reason, plateau = "given", curve.stays(index)
        return curve.read(index, reason, plateau, doubts(self, kind, entry, curve, index, plateau, window is None))

    def _estimator(self, kind, name):
        entry = self._known(self._default(kind) if name is None else name)
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
        return RESULTS[kind](
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
            unit=UNITS[kind],
            systematic=float("nan"),
            plateau=True,
            n_groups=3 * self._even.n_replicas,
            **self._shared,
            warnings=direct_doubts(self, kind, value, std),
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

    def _decide(self):
        """Settle, once, what every coefficient rests on: whether F^th(R) is taken off, and how far the lags reach.

        A mean force that was overlooked makes the memory kernel's integral rise without end, so a plateau that appears
        when it is taken off is evidence for it; without one either way, longer lags are looked at. Decided before anything
        is read, so that no number depends on what was asked before it.
        """
        if self._settled:
            return
        self._settled = True
        if self.default_estimator == "kernel":
            self._settle(ESTIMATORS["kernel"])

    def _settle(self, entry):
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

    def _reaching(self, index):
        """A workbench of the same series whose lags reach ``index``, and where possible twice it.

        Its length depends on the index alone, in octaves, so that a window that is dragged there only indexes.
        """
        n_lags = self._n_lags
        while n_lags < 2 * index + 1:
            n_lags *= 2
        n_lags = min(n_lags, self._even.n_frames - 1)
        n_lags = max(n_lags, index + 1)
        if self._longer is None or self._longer._n_lags != n_lags:
            longer = Correlations(
                self.series, self._temperature, self.mean_force, self.isotropic, (n_lags - 1) * self.timestep, None
            )
            longer._settled, longer._took_off, longer._before = True, self._took_off, self.__dict__.get("_correlators")
            self._longer = longer
        return self._longer

    def _forget(self):
        self._curves.clear()
        # what does not depend on f^th(R), nor on how many lags are looked at, is kept by the next ones
        before = self.__dict__.pop("_correlators", None)
        self._before = self._before if before is None else before
        self._explained = None
        self.__dict__.pop("_force_field", None)

    def _curve(self, kind, entry):
        key = (kind, entry.name)
        if key not in self._curves:
            self._curves[key] = RunningCurve(self, kind, entry)
        return self._curves[key]

    def _proposal(self, kind, entry):
        native = kind if getattr(entry, kind) else ("theta" if kind == "gamma" else "gamma")
        return self._curve(native, entry).proposal

    @property
    def recoil(self):
        """(m/μ)², by which ∫⟨PP⟩ is too small in a box of zero total momentum."""
        return (self.series.mass / self.series.effective_mass) ** 2

    def __getstate__(self):
        # a lock belongs to the process it was made in
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def __repr__(self):
        return (
            f"Correlations({self.series.label or 'series'}: {len(self.lags)} lags up to {self.lags[-1]:.4g} ps, "
            f"{self._even.n_replicas} × {self._even.n_frames} frames)"
        )
