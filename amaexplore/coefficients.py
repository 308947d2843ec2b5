"""γ and θ as results: tensors with errors, running integrals, and what follows (diffusion, friction)."""

from dataclasses import dataclass, field, replace

import numpy as np

from .errors import InputError, Notice
from .results import Result, format_value
from .units import BOLTZMANN

__all__ = ["CorrelationIntegral", "Gamma", "Theta"]


@dataclass(frozen=True, eq=False, repr=False)
class CorrelationIntegral(Result):
    """A coefficient as the integral of a correlation function up to the window: see `Gamma` and `Theta`.

    For every array of this class ``x`` is in the paper's variables and ``x_raw`` in raw units; they
    differ for θ only, by the factor ε. At the window's lag ``running`` equals ``tensor``, and
    ``running_raw`` equals ``tensor_raw``.

    Parameters
    ----------
    tensor, tensor_std : ndarray, shape (3, 3)
        Symmetric; one standard error (± that holds 68 %, few groups allowed for by Student's t).
    isotropic, isotropic_std : float
        A third of the trace: what one axis, or an isotropic medium, needs.
    lags : ndarray, shape (n_lags,), ps
    running, running_std : ndarray, shape (n_lags, 3, 3)
        The coefficient as a function of where the window ends.
    running_isotropic, running_isotropic_std : ndarray, shape (n_lags,)
    window : float, ps
        Where ``running`` is read.
    window_reason : str
        Why there.
    estimator : str
    unit : str
    systematic : float
        isotropic at twice the window minus isotropic at the window; NaN where twice the window is not there.
    plateau : bool
        Whether a plateau was found (for a window the user gave: whether the integral stays put up to twice it).
    n_groups : int
        Independent groups behind the errors.
    mass, effective_mass, epsilon : float
        m and μ in u (μ < m only in a box of zero total momentum), ε.
    temperature : float, K
        NaN where unknown.
    temperature_source : str
    label : str
        The nanoparticle.
    warnings : tuple of Notice
    """

    tensor: np.ndarray
    tensor_std: np.ndarray
    isotropic: float
    isotropic_std: float
    lags: np.ndarray
    running: np.ndarray
    running_std: np.ndarray
    running_isotropic: np.ndarray
    running_isotropic_std: np.ndarray
    window: float
    window_reason: str
    estimator: str
    unit: str
    systematic: float
    plateau: bool
    n_groups: int
    mass: float
    effective_mass: float
    epsilon: float
    temperature: float
    temperature_source: str
    label: str = ""
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def _raw(self):
        """Factor from the paper's variables to raw units."""
        return 1.0

    @property
    def tensor_raw(self):
        """`tensor` in raw units, shape (3, 3)."""
        return self._raw * self.tensor

    @property
    def tensor_raw_std(self):
        """Standard error of `tensor_raw`."""
        return self._raw * self.tensor_std

    @property
    def isotropic_raw(self):
        """`isotropic` in raw units."""
        return self._raw * self.isotropic

    @property
    def isotropic_raw_std(self):
        """Standard error of `isotropic_raw`."""
        return self._raw * self.isotropic_std

    @property
    def running_raw(self):
        """`running` in raw units, shape (n_lags, 3, 3)."""
        return self._raw * self.running

    @property
    def running_raw_std(self):
        """Standard error of `running_raw`."""
        return self._raw * self.running_std

    @property
    def trace(self):
        """The paper's dot product: the sum of the diagonal of `tensor`, three times `isotropic`."""
        return float(np.trace(self.tensor))

    @property
    def trace_std(self):
        """Standard error of `trace`."""
        return 3.0 * self.isotropic_std

    def _at_twice(self):
        """How much the number changes if the window is doubled, in words."""
        if not np.isfinite(self.systematic) or not self.isotropic:
            return "not known"
        return f"{100 * self.systematic / self.isotropic:+.1f} % (hoped for: within {200 * self.relative_error:.1f} %)"

    @property
    def relative_error(self):
        """isotropic_std over |isotropic|."""
        return abs(self.isotropic_std / self.isotropic) if self.isotropic else float("inf")

    @property
    def thermal_energy(self):
        """k_B T, kJ/mol."""
        return BOLTZMANN * self.temperature


@dataclass(frozen=True, eq=False, repr=False)
class Gamma(CorrelationIntegral):
    """γ_ab = ∫₀^t0 ⟨P_a(0) P_b(s)⟩ ds, equation (28) per pair of axes, u² nm²/ps; D = γ/m².

    Fields are those of `CorrelationIntegral`; γ is the same in the paper's variables and in raw units.
    """

    @property
    def diffusion(self):
        """D = γ/m² per axis (isotropic), nm²/ps: the coefficient of equation (29) in raw units."""
        return self.isotropic / self.mass**2

    @property
    def diffusion_std(self):
        """Standard error of `diffusion`."""
        return self.isotropic_std / self.mass**2

    @property
    def diffusion_tensor(self):
        """D as a tensor, shape (3, 3), nm²/ps."""
        return self.tensor / self.mass**2

    @property
    def diffusion_tensor_std(self):
        """Standard error of `diffusion_tensor`."""
        return self.tensor_std / self.mass**2

    def scaled(self, epsilon=None):
        """The same with another ε: γ does not change, as P is not scaled in equation (28).

        The coefficient of equation (29) as the paper writes it, ε²γ/m̂² with m̂ = εm, is `diffusion` whatever ε is.

        Returns
        -------
        Gamma
        """
        return replace(self, epsilon=self.epsilon if epsilon is None else positive_number(epsilon, "epsilon"))

    def summary(self):
        return [
            ("γ, isotropic", format_value(self.isotropic, self.isotropic_std, self.unit)),
            ("D = γ/m²", format_value(self.diffusion, self.diffusion_std, "nm²/ps")),
            ("window", f"{self.window:.4g} ps ({self.window_reason})"),
            ("at twice the window", self._at_twice()),
            ("estimator", self.estimator),
        ]


@dataclass(frozen=True, eq=False, repr=False)
class Theta(CorrelationIntegral):
    """θ_ab = (1/ε) ∫₀^t0 ⟨δF_a(0) δF_b(s)⟩ ds, equation (55) per pair of axes.

    ``tensor``, ``isotropic``, ``trace``, ``running`` are the paper's θ (of f = ε^-½ F); ``tensor_raw``,
    ``isotropic_raw``, ``running_raw`` are εθ, the integral of ⟨δF δF⟩ itself. Both in u² nm²/ps³.
    """

    @property
    def _raw(self):
        return self.epsilon

    @property
    def friction(self):
        """ζ = εθ/k_BT per axis (isotropic), u/ps."""
        return self.isotropic_raw / self.thermal_energy

    @property
    def friction_std(self):
        """Standard error of `friction`; the temperature counts as exact."""
        return self.isotropic_raw_std / self.thermal_energy

    @property
    def friction_tensor(self):
        """ζ as a tensor, shape (3, 3), u/ps."""
        return self.tensor_raw / self.thermal_energy

    @property
    def friction_tensor_std(self):
        """Standard error of `friction_tensor`."""
        return self.tensor_raw_std / self.thermal_energy

    @property
    def relaxation_time(self):
        """τ_P = m/ζ, ps."""
        return self.mass / self.friction if self.friction else float("inf")

    @property
    def relaxation_time_std(self):
        """Standard error of `relaxation_time`, to first order."""
        return self.relaxation_time * self.relative_error

    def scaled(self, epsilon=None):
        """The same with another ε: θ = (εθ)_raw/ε.

        Returns
        -------
        Theta
        """
        epsilon = self.epsilon if epsilon is None else positive_number(epsilon, "epsilon")
        factor = self.epsilon / epsilon
        names = ("tensor", "isotropic", "running", "running_isotropic")
        changes = {name + end: factor * getattr(self, name + end) for name in names for end in ("", "_std")}
        return replace(self, epsilon=epsilon, systematic=factor * self.systematic, **changes)

    def summary(self):
        return [
            ("θ, isotropic", format_value(self.isotropic, self.isotropic_std, self.unit)),
            ("εθ, isotropic", format_value(self.isotropic_raw, self.isotropic_raw_std, self.unit)),
            ("ζ = εθ/k_BT", format_value(self.friction, self.friction_std, "u/ps")),
            ("τ_P = m/ζ", format_value(self.relaxation_time, self.relaxation_time_std, "ps")),
            ("window", f"{self.window:.4g} ps ({self.window_reason})"),
            ("at twice the window", self._at_twice()),
            ("estimator", self.estimator),
        ]


def positive_number(value, name):
    """``value`` as a float, refused with a sentence unless finite and positive.

    Raises
    ------
    InputError
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{name} must be a positive number; got {value!r}.")
    return number
