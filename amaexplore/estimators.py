"""Ways from correlation functions to γ and εθ, one small function each, all on the same correlations.

Each takes `Correlators` and returns a running curve: what the coefficient would be if the window ended at
that lag. A curve is computed for all data and with each group left out, in one go, so that every estimator
gets its error by the same jackknife.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .kernels.volterra import solve_scalar, solve_tensor

__all__ = ["ESTIMATORS", "Correlators", "Estimator"]

LONGEST_SOLVE = 1500  # lags of the Volterra solution, which costs their square


@dataclass(frozen=True, eq=False)
class Correlators:
    """Correlation functions of all data, followed by those with one group left out.

    Parameters
    ----------
    timestep : float, ps
    momentum : ndarray, shape (1 + n_groups, d, d, n_lags), or None
        ⟨P_a(0) P_b(s)⟩, symmetric; d is 3, or 1 where the axes are averaged.
    force : same, or None
        ⟨δF_a(0) δF_b(s)⟩ with the mean force taken off.
    derivative : same, or None
        Ċ_P(s) = ½[⟨F(s)P(0)⟩ − ⟨P(s)F(0)⟩].
    drift : same, or None
        The same with δF in place of F.
    force_norm, cross_norm : ndarray, shape (1 + n_groups, d, d), or None
        ⟨FF⟩(0) and ⟨δF F⟩(0).
    displacement : ndarray, shape (1 + n_groups, d, n_lags), or None
        Mean squared displacement per axis, nm².
    mass : float, u
    """

    timestep: float
    momentum: np.ndarray | None = None
    force: np.ndarray | None = None
    derivative: np.ndarray | None = None
    drift: np.ndarray | None = None
    force_norm: np.ndarray | None = None
    cross_norm: np.ndarray | None = None
    displacement: np.ndarray | None = None
    mass: float = 1.0

    @property
    def n_lags(self):
        """Lags of every array."""
        return next(x for x in (self.momentum, self.force, self.displacement) if x is not None).shape[-1]

    @cached_property
    def momentum_norm(self):
        """⟨PP⟩(0), shape (1 + n_groups, d, d)."""
        return self.momentum[..., 0]


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

    def to_dict(self):
        """Plain words only."""
        return {key: getattr(self, key) for key in ("name", "label", "assumes", "fails", "cost", "measures")}


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
]

ESTIMATORS = {estimator.name: estimator for estimator in _LIST}
