"""Ways from correlation functions to γ and εθ, one small function each, all on the same correlations.

Each takes `Correlators` and returns a running curve: what the coefficient would be if the window ended at
that lag. A curve is computed for all data and with each group left out, in one go, so that every estimator
gets its error by the same jackknife.
"""

import warnings
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from .errors import InsufficientDataError, MissingFieldError
from .kernels.volterra import discrete_memory, solve_scalar, solve_tensor

__all__ = ["ESTIMATORS", "Estimator"]

LONGEST_SOLVE = 1500  # lags of the Volterra solution, which costs their square


def _integral(values, timestep):
    """Trapezoid from lag 0 to every lag, along the last axis."""
    out = np.zeros_like(values)
    np.cumsum(0.5 * timestep * (values[..., 1:] + values[..., :-1]), axis=-1, out=out[..., 1:])
    return out


def _product(left, right):
    """Matrix product at every lag, of (k, d, d, n) with (k, d, d) or (k, d, d, n)."""
    return np.einsum("kabn,kbc->kacn" if right.ndim == 3 else "kabn,kbcn->kacn", left, right)


def _symmetric(values):
    return 0.5 * (values + values.swapaxes(1, 2))


def momentum_integral(c):
    """∫₀ᵗ ⟨P P⟩ ds, equation (28)."""
    return _integral(c.momentum, c.timestep)


def force_integral(c):
    """∫₀ᵗ ⟨δF δF⟩ ds, equation (55) in raw units."""
    return _integral(c.force, c.timestep)


def kernel_integral(c):
    """G(t) ⟨PP⟩ with G(t) = ∫₀ᵗ K ds the running integral of the memory kernel, by Volterra inversion."""
    stride = -(-(c.n_lags - 1) // LONGEST_SOLVE)
    drift, derivative = c.drift[..., ::stride], c.derivative[..., ::stride]
    step = stride * c.timestep
    if drift.shape[1] == 1:
        norm = c.momentum_norm[:, 0, 0]
        start = c.cross_norm[:, 0, 0] / norm
        running = solve_scalar(drift[:, 0, 0], derivative[:, 0, 0], norm, c.force_norm[:, 0, 0], start, step)
        running = running[:, None, None]
    else:
        start = c.cross_norm @ np.linalg.inv(c.momentum_norm)
        running = solve_tensor(drift, derivative, c.momentum_norm, c.force_norm, start, step)
    running = _symmetric(_product(running, c.momentum_norm))
    return running if stride == 1 else _resampled(running, stride, c.n_lags)


def _resampled(coarse, stride, n_lags):
    """Linear interpolation from every ``stride``-th lag to all of them; flat after the last."""
    places = np.arange(n_lags) / stride
    left = np.minimum(places.astype(int), coarse.shape[-1] - 1)
    right = np.minimum(left + 1, coarse.shape[-1] - 1)
    weight = np.where(right > left, places - left, 0.0)
    return (1.0 - weight) * coarse[..., left] + weight * coarse[..., right]


def inverse_or_nan(values):
    """Matrix inverse at every lag of (k, d, d, n), NaN where the matrix is not positive definite enough."""
    matrices = np.moveaxis(values, -1, 1)
    out = np.full(matrices.shape, np.nan)
    diagonal = np.einsum("knaa->kna", matrices)
    scale = np.prod(np.abs(diagonal), axis=-1)
    good = np.isfinite(matrices).all(axis=(2, 3)) & (scale > 0)
    good[good] = np.abs(np.linalg.det(matrices[good])) > 1e-6 * scale[good]
    out[good] = np.linalg.inv(matrices[good])
    return np.moveaxis(out, 1, -1)


def corrected_force_integral(c):
    """∫₀ᵗ⟨δF δF⟩ ds divided by ⟨PP⟩(t)/⟨PP⟩(0): the plateau-corrected Green-Kubo integral."""
    ratio = inverse_or_nan(c.momentum)
    return _symmetric(_product(_product(force_integral(c), ratio), c.momentum_norm))


def _axes(values):
    """Diagonal of (k, d, d, n) as (k, d, n)."""
    return np.diagonal(values, axis1=1, axis2=2).swapaxes(1, 2)


def _diagonal_tensor(values):
    """(k, d, n) on the diagonal of (k, d, d, n), zero elsewhere."""
    return values[:, :, None, :] * np.eye(values.shape[1])[None, :, :, None]


def _log_or_nan(values):
    return np.log(values, out=np.full(values.shape, np.nan), where=values > 0)


def _rate_to_theta(c, rate):
    """εθ = (ζ/m)⟨PP⟩ per axis, for a rate of shape (k, d, n)."""
    return _diagonal_tensor(rate * np.diagonal(c.momentum_norm, axis1=1, axis2=2)[..., None])


def discrete_memory_integral(c):
    """∫⟨PP⟩ continued by Mori's equation in discrete time: h ⟨PP⟩(0) [1/(1−ΣΩ) − ½]."""
    momentum = _axes(c.momentum)
    stride = -(-(c.n_lags - 1) // LONGEST_SOLVE)
    coarse = momentum[..., ::stride]
    total = discrete_memory(coarse.reshape(-1, coarse.shape[-1])).reshape(coarse.shape)
    left = np.where(total < 1.0, 1.0 - total, np.nan)
    running = stride * c.timestep * coarse[..., :1] * (1.0 / left - 0.5)
    running[..., 0] = np.nan
    running = _diagonal_tensor(running)
    return running if stride == 1 else _resampled(running, stride, c.n_lags)


def tail_rate(c):
    """ln[⟨PP⟩(t)/⟨PP⟩(2t)]/t, the decay rate of the momentum correlation between t and 2t."""
    momentum = _axes(c.momentum)
    half = (c.n_lags - 1) // 2
    t = np.arange(1, half + 1)
    rate = np.full(momentum.shape, np.nan)
    rate[..., 1 : half + 1] = _log_or_nan(momentum[..., t]) - _log_or_nan(momentum[..., 2 * t])
    rate[..., 1 : half + 1] /= t * c.timestep
    return _rate_to_theta(c, rate)


def kramers_moyal_rate(c):
    """−ln[⟨PP⟩(t)/⟨PP⟩(0)]/t: the drift of P over t, regressed on P, as a rate."""
    momentum = _axes(c.momentum)
    rate = np.full(momentum.shape, np.nan)
    times = c.timestep * np.arange(1, c.n_lags)
    rate[..., 1:] = (_log_or_nan(momentum[..., :1]) - _log_or_nan(momentum[..., 1:])) / times
    return _rate_to_theta(c, rate)


def displacement_slope(c):
    """m² times half the slope of the mean squared displacement between t and 2t."""
    displacement = c.displacement
    half = (c.n_lags - 1) // 2
    t = np.arange(1, half + 1)
    slope = np.full(displacement.shape, np.nan)
    slope[..., 1 : half + 1] = (displacement[..., 2 * t] - displacement[..., t]) / (2.0 * t * c.timestep)
    return c.mass**2 * slope


def stacie_integral(c):
    """∫₀^∞⟨PP⟩ and its standard error, averaged over axes, by STACIE's Lorentz model of the spectrum.

    STACIE fits the sampling spectrum near zero frequency with a marginalised cutoff instead of cutting an integral.
    It is an optional library: ``pip install amaexplore[stacie]``.

    Returns
    -------
    value, std : float, u² nm²/ps
    time : float, ps
        The correlation time it found.

    Raises
    ------
    MissingFieldError
        The library is not installed.
    InsufficientDataError
        It found no acceptable fit.
    """
    try:
        import stacie
    except ImportError:
        raise MissingFieldError(
            "Estimator 'stacie' needs the library of that name: pip install 'amaexplore[stacie]'."
        ) from None
    sequences = c.momentum_series.reshape(-1, c.n_frames)
    spectrum = stacie.compute_spectrum(sequences, timestep=c.timestep)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # its warnings are about fits it tries and discards
            warnings.simplefilter("ignore")
            result = stacie.estimate_acint(spectrum, stacie.LorentzModel())
    except (ValueError, RuntimeError, AssertionError, np.linalg.LinAlgError) as error:
        raise InsufficientDataError(f"STACIE found no acceptable fit of the momentum's spectrum: {error}") from None
    return float(result.acint), float(result.acint_std), float(result.corrtime_exp)


@dataclass(frozen=True)
class Estimator:
    """One way to a coefficient.

    Parameters
    ----------
    name, label : str
        What one types, and what it is.
    assumes, fails, cost : str
        What must hold, when it does not work, what it costs.
    needs : tuple of str
        Series it cannot do without.
    gamma, theta : callable or None
        Running curve of γ or εθ from `Correlators`; where one is None it follows from the other by
        γ·εθ = (m k_B T)².
    rule : str
        How the window is proposed: ``"plateau"``, ``"before decay"`` or ``"maximum"``.
    measures : str
        ``"coefficient"``, or what else it converges to.
    per_axis : bool
        Off-diagonal elements are not estimated: zero, with NaN as their error.
    direct : callable or None
        γ averaged over axes, its error and a time from `Correlators`, for one that has no running curve.
    """

    name: str
    label: str
    assumes: str
    fails: str
    cost: str
    needs: dict
    gamma: object = None
    theta: object = None
    rule: str = "plateau"
    measures: str = "coefficient"
    per_axis: bool = False
    direct: object = None

    def to_dict(self):
        """Plain words, and whether it can be used here."""
        words = {key: getattr(self, key) for key in ("name", "label", "assumes", "fails", "cost", "measures")}
        return words | {"available": self.name != "stacie" or find_spec("stacie") is not None}


_LIST = [
    Estimator(
        name="kernel",
        label="running integral of the memory kernel (Volterra inversion)",
        assumes="Newton's F = dP/dt with F and P both stored, slow against the time between frames",
        fails="stiff underdamped wells (ω τ_P above about 10), atoms bound in a solid, momentum held fixed",
        cost="lags² per group, tens of milliseconds",
        needs={"gamma": ("momentum", "net_force"), "theta": ("momentum", "net_force")},
        theta=kernel_integral,
    ),
    Estimator(
        name="window",
        label="plain running integral up to the window, equations (28) and (55) as written",
        assumes="the correlation has died at the window while the slow variable has hardly moved",
        fails="θ of a particle of finite mass (decays over τ_P), γ in a trap (decays over its relaxation time)",
        cost="one FFT, milliseconds",
        needs={"gamma": ("momentum",), "theta": ("net_force",)},
        gamma=momentum_integral,
        theta=force_integral,
        rule="before decay",
    ),
    Estimator(
        name="maximum",
        label="maximum of the plain running integral",
        assumes="nothing but a maximum",
        fails="always too small for finite mass; shown for comparison",
        cost="as window",
        needs={"gamma": ("momentum",), "theta": ("net_force",)},
        gamma=momentum_integral,
        theta=force_integral,
        rule="maximum",
    ),
    Estimator(
        name="corrected",
        label="plateau-corrected Green-Kubo integral: running integral of ⟨FF⟩ over ⟨PP⟩(t)/⟨PP⟩(0)",
        assumes="free particle, memory short against τ_P",
        fails="in traps; noisy once ⟨PP⟩ has decayed; tends to the slow pole, not ζ/m, when memory is not short",
        cost="as window",
        needs={"gamma": ("momentum", "net_force"), "theta": ("momentum", "net_force")},
        theta=corrected_force_integral,
        measures="slow pole (ζ/m)(1 + τ_K/τ_P)",
    ),
    Estimator(
        name="mori",
        label="discrete memory of the momentum alone (Mori), no forces needed",
        assumes="free particle; frames close against τ_P",
        fails="in traps, where ∫⟨PP⟩ is zero",
        cost="lags² per group and axis, milliseconds",
        needs={"gamma": ("momentum",), "theta": ("momentum",)},
        gamma=discrete_memory_integral,
        per_axis=True,
    ),
    Estimator(
        name="tail",
        label="exponential tail: decay rate of ⟨PP⟩ between the window and twice it",
        assumes="free particle, a single exponential at long times",
        fails="in traps; noisy once ⟨PP⟩ has decayed",
        cost="as window",
        needs={"gamma": ("momentum",), "theta": ("momentum",)},
        theta=tail_rate,
        measures="slow pole (ζ/m)(1 + τ_K/τ_P)",
        per_axis=True,
    ),
    Estimator(
        name="kramers-moyal",
        label="drift of the momentum over the window, regressed on the momentum",
        assumes="free particle, window long against the memory and short against τ_P",
        fails="in traps; approaches its limit only as 1/window",
        cost="as window",
        needs={"gamma": ("momentum",), "theta": ("momentum",)},
        theta=kramers_moyal_rate,
        measures="slow pole (ζ/m)(1 + τ_K/τ_P)",
        per_axis=True,
    ),
    Estimator(
        name="msd",
        label="slope of the mean squared displacement between the window and twice it",
        assumes="free particle, window long against τ_P; unwrapped positions",
        fails="in traps, where the slope goes to zero",
        cost="one FFT, milliseconds",
        needs={"gamma": ("centre_of_mass",), "theta": ("centre_of_mass",)},
        gamma=displacement_slope,
        rule="before decay",
    ),
]

_LIST.append(
    Estimator(
        name="stacie",
        label="spectrum of the momentum near zero frequency, by STACIE's Lorentz model (optional library)",
        assumes="free particle, exponential tail of ⟨PP⟩, isotropic; runs long against τ_P",
        fails="in traps, where the spectrum at zero frequency is zero",
        cost="nonlinear fits at many cutoffs: seconds",
        needs={"gamma": ("momentum",), "theta": ("momentum",)},
        direct=stacie_integral,
    )
)

ESTIMATORS = {estimator.name: estimator for estimator in _LIST}
