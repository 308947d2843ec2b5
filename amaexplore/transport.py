"""γ and θ of equations (28) and (55), by several estimators on the same correlations."""

from .coefficients import CorrelationIntegral, Gamma, Theta
from .green_kubo import ESTIMATORS
from .workbench import Correlations, given_window

__all__ = ["CorrelationIntegral", "Correlations", "Gamma", "Theta", "estimators", "gamma", "prepare", "theta"]


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
    window = given_window(window)
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
    window = given_window(window)
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
    return Correlations(series, temperature, mean_force, isotropic, max_lag, given_window(window))
