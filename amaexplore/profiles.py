"""γ(R), θ(R), D(R), ζ(R): coefficients that depend on where the nanoparticle is, along one axis."""

from dataclasses import dataclass, field

import numpy as np
from scipy import fft
from scipy.interpolate import PchipInterpolator

from .correlation import n_blocks_for
from .errors import InputError, InsufficientDataError, Notice
from .kernels.volterra import solve_scalar
from .results import Result, format_value
from .thermal_force import MeanForce, axis_direction, mean_force
from .transport import prepare
from .uncertainty import block_bounds, jackknife_std
from .units import BOLTZMANN

__all__ = ["CoefficientProfile", "coefficient_profile"]

LEAST_VISITS = 30  # momentum relaxation times a node must have been visited for
FEWEST_VISITORS = 3  # groups that must have been at a node, for an error


@dataclass(frozen=True, eq=False, repr=False)
class CoefficientProfile(Result):
    """Local coefficients along an axis, with smooth interpolation between the nodes.

    `friction_at` and `diffusion_at` are what the density solvers take as ``friction=`` and ``diffusion=``.

    Parameters
    ----------
    axis : str
    positions : ndarray, shape (n_nodes,), nm
    theta_raw, theta_raw_std : ndarray, shape (n_nodes,), u² nm²/ps³
        εθ(R). NaN at nodes that were visited too little.
    mass : float, u
    temperature : float, K
    epsilon : float
    window : float, ps
        Where the running integrals were read.
    source : str
        ``"local kernels"`` or ``"held"``.
    warnings : tuple of Notice
    """

    axis: str
    positions: np.ndarray
    theta_raw: np.ndarray
    theta_raw_std: np.ndarray
    mass: float
    temperature: float
    epsilon: float
    window: float
    source: str
    warnings: tuple[Notice, ...] = field(default=())

    @classmethod
    def from_results(cls, positions, results, axis="x"):
        """From coefficients measured with the particle held, or otherwise confined, at several places.

        Parameters
        ----------
        positions : array_like, shape (n_nodes,), nm
        results : sequence of Theta
        axis : str, int or array_like
            Direction along which the friction acts.

        Returns
        -------
        CoefficientProfile

        Raises
        ------
        InputError
            Not as many results as positions, or fewer than two.
        """
        direction, name = axis_direction(axis)
        positions = np.asarray(positions, dtype=float)
        if positions.ndim != 1 or len(positions) != len(results) or len(positions) < 2 or np.ptp(positions) == 0:
            raise InputError(
                f"A profile needs at least two positions and as many results; got {positions.shape} and {len(results)}."
            )
        order = np.argsort(positions)
        first = results[0]
        return cls(
            axis=name,
            positions=positions[order],
            theta_raw=np.array([direction @ results[k].tensor_raw @ direction for k in order]),
            theta_raw_std=np.array(
                [np.sqrt(direction**2 @ results[k].tensor_raw_std ** 2 @ direction**2) for k in order]
            ),
            mass=first.mass,
            temperature=first.temperature,
            epsilon=first.epsilon,
            window=float(np.mean([result.window for result in results])),
            source="held",
        )

    @property
    def thermal_energy(self):
        """k_BT, kJ/mol."""
        return BOLTZMANN * self.temperature

    @property
    def friction(self):
        """ζ(R) at the nodes, u/ps."""
        return self.theta_raw / self.thermal_energy

    @property
    def friction_std(self):
        """Standard error of `friction`."""
        return self.theta_raw_std / self.thermal_energy

    @property
    def diffusion(self):
        """D(R) = k_BT/ζ at the nodes, nm²/ps."""
        return self.thermal_energy / self.friction

    @property
    def diffusion_std(self):
        """Standard error of `diffusion`, to first order."""
        return self.diffusion * self.theta_raw_std / self.theta_raw

    @property
    def gamma(self):
        """γ(R) = m² D at the nodes, u² nm²/ps."""
        return self.mass**2 * self.diffusion

    @property
    def gamma_std(self):
        """Standard error of `gamma`."""
        return self.mass**2 * self.diffusion_std

    def friction_at(self, position):
        """ζ at any position, u/ps: monotone between the nodes, positive, constant beyond the outermost.

        Parameters
        ----------
        position : float or ndarray, nm

        Returns
        -------
        float or ndarray, u/ps
            Of the shape of ``position``.
        """
        known = np.isfinite(self.theta_raw) & (self.theta_raw > 0)
        places, values = self.positions[known], np.log(self.friction[known])
        if len(places) == 1:
            return np.full(np.shape(position), np.exp(values[0]))
        return np.exp(PchipInterpolator(places, values)(np.clip(position, places[0], places[-1])))

    def diffusion_at(self, position):
        """D at any position, nm²/ps; see `friction_at`."""
        return self.thermal_energy / self.friction_at(position)

    def summary(self):
        rows = [("axis", self.axis), ("source", self.source), ("window", f"{self.window:.4g} ps")]
        pairs = zip(self.positions, self.friction, self.friction_std)
        rows += [(f"ζ at {place:.4g} nm", format_value(value, std, "u/ps")) for place, value, std in pairs]
        return rows


def coefficient_profile(series, axis="x", nodes=6, window=None, temperature=None, *, force=None):
    """Coefficients as functions of R along an axis, from local memory kernels.

    Parameters
    ----------
    series : OrderParameters
        With centre of mass, momentum and net force.
    axis : str, int or array_like of shape (3,)
    nodes : int or array_like, nm
        Positions at which the coefficient is wanted, or how many between the 2nd and 98th hundredth of R.
    window : float, ps, optional
        Where the local running integrals are read; default the plateau of the one over all positions.
    temperature : float, K, optional
    force : MeanForce or callable, optional
        f^th(R) along the axis; default from `mean_force` where the particle is confined, else none.

    Returns
    -------
    CoefficientProfile

    Raises
    ------
    MissingFieldError, InputError, InsufficientDataError

    Notes
    -----
    The correlations in the memory equation are taken over pairs that start near a node, weighted by a hat
    function that is one at the node and zero at its neighbours. What comes out is ζ averaged over that hat, and
    over how far the particle moves within the window: structure finer than either is washed out. Errors are
    delete-one jackknives over replicas or blocks.
    """
    for name in ("centre_of_mass", "momentum", "net_force"):
        series.require(name)
    direction, name = axis_direction(axis)
    bench = prepare(series, temperature)
    temperature = bench.temperature[0]
    overall = bench.theta(window, estimator="kernel")
    even = series.even("centre_of_mass", "momentum", "net_force").synchronised()
    position, momentum, total = (even.replicas(n) @ direction for n in ("centre_of_mass", "momentum", "net_force"))
    places = _nodes(nodes, position)
    if force is None and bench.confined.any():
        force = mean_force(series, axis=axis, temperature=temperature)
    drift = (
        total
        if force is None
        else total - np.asarray(force.at(position) if isinstance(force, MeanForce) else force(position))
    )

    index = round(overall.window / even.timestep)
    local = _LocalSums(position, momentum, total, drift, index + 1)
    values, stds, missing = [], [], []
    longest = LEAST_VISITS * overall.relaxation_time / even.timestep
    # the outermost hats are as wide outwards as inwards
    wider = np.concatenate([[2 * places[0] - places[1]], places, [2 * places[-1] - places[-2]]])
    for k in range(len(places)):
        weight = np.interp(position, wider, np.eye(len(wider))[k + 1])
        if weight.sum() < longest:
            missing.append(places[k])
            values.append(np.nan)
            stds.append(np.nan)
            continue
        value, std = local.theta(weight, even.timestep)
        values.append(value)
        stds.append(std)
    if len(missing) == len(places):
        raise InsufficientDataError(
            f"No node was visited for {LEAST_VISITS} momentum relaxation times ({LEAST_VISITS * overall.relaxation_time:.3g} ps); "
            "use fewer nodes, or more data."
        )
    notices = list(overall.warnings)
    if missing:
        notices.append(
            Notice(
                "little_visited",
                f"The particle was less than {LEAST_VISITS} τ_P near {', '.join(f'{x:.3g}' for x in missing)} nm: no local "
                "coefficient there; the neighbours' is used between.",
            )
        )
    return CoefficientProfile(
        axis=name,
        positions=places,
        theta_raw=np.array(values),
        theta_raw_std=np.array(stds),
        mass=series.mass,
        temperature=temperature,
        epsilon=series.epsilon,
        window=overall.window,
        source="local kernels",
        warnings=tuple(notices),
    )


def _nodes(nodes, position):
    if np.ndim(nodes) == 0:
        if isinstance(nodes, bool) or not isinstance(nodes, int | np.integer) or not 2 <= nodes <= 200:
            raise InputError(f"nodes must be a number from 2 to 200, or positions in nm; got {nodes!r}.")
        return np.linspace(*np.quantile(position, [0.02, 0.98]), int(nodes))
    places = np.asarray(nodes, dtype=float)
    if places.ndim != 1 or len(places) < 2 or not np.isfinite(places).all() or not (np.diff(places) > 0).all():
        raise InputError(
            "nodes given as positions must be at least two finite numbers in nm, each larger than the one before."
        )
    return places


class _LocalSums:
    """Correlations over pairs of frames whose first is weighted by where the particle was."""

    def __init__(self, position, momentum, force, drift, n_lags):
        self.n_replicas, self.n_frames = position.shape
        self.n_lags = n_lags
        self.momentum, self.force, self.drift = momentum, force, drift
        self.bounds = block_bounds(self.n_frames, n_blocks_for(self.n_replicas, self.n_frames))
        self.length = fft.next_fast_len(int(np.diff(self.bounds).max()) + 2 * n_lags, real=True)

    def _sums(self, weighted, later):
        """Σ_i A(i) B(i+s) over the starts of each block, shape (n_groups, n_lags)."""
        out = []
        for start, stop in zip(self.bounds[:-1], self.bounds[1:]):
            first = fft.rfft(weighted[:, start:stop], self.length)
            second = fft.rfft(later[:, start : stop + self.n_lags - 1], self.length)
            out.append(fft.irfft(np.conj(first) * second, self.length)[:, : self.n_lags])
        return np.stack(out, axis=1).reshape(-1, self.n_lags)

    def theta(self, weight, timestep):
        """εθ read at the last lag, and its standard error."""
        momentum, force, drift = weight * self.momentum, weight * self.force, weight * self.drift
        # near the end of a run later lags have fewer pairs: count the weight of those there are
        counts = self._sums(weight, np.ones_like(weight))
        derivative = 0.5 * (self._sums(momentum, self.force) - self._sums(force, self.momentum))
        decline = 0.5 * (self._sums(momentum, self.drift) - self._sums(drift, self.momentum))

        def equal_time(first, second):
            product = first * second
            blocks = [product[:, s:e].sum(axis=1) for s, e in zip(self.bounds[:-1], self.bounds[1:])]
            return np.stack(blocks, axis=1).reshape(-1, 1)

        sums = {
            "derivative": derivative,
            "drift": decline,
            "norm": equal_time(momentum, self.momentum),
            "force": equal_time(force, self.force),
            "cross": equal_time(drift, self.force),
        }
        visited = counts[:, 0] > 0
        if visited.sum() < FEWEST_VISITORS:
            return np.nan, np.nan
        means = {}
        for key, values in sums.items():
            n = counts[:, : values.shape[1]]
            others = values.sum(axis=0) - values[visited], n.sum(axis=0) - n[visited]
            means[key] = np.concatenate([values.sum(axis=0, keepdims=True) / n.sum(axis=0), others[0] / others[1]])
        norm = means["norm"][:, 0]
        running = solve_scalar(
            means["drift"], means["derivative"], norm, means["force"][:, 0], means["cross"][:, 0] / norm, timestep
        )
        theta = running[:, -1] * norm
        return float(theta[0]), float(jackknife_std(theta[1:]))
