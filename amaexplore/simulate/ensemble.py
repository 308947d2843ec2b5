"""The test of the theory: many replicas released from one slow state, against the reduced density.

Each replica starts with R at the same place, the atoms around it in equilibrium with it there, and P from the Maxwell
distribution; then the atoms move as they will. The histogram of R over the replicas is what W̃(R, t) predicts.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError, Notice
from ..reduced_density.density import PhaseSpaceDensity
from ..results import Result, format_value
from ..uncertainty import jackknife_std
from ..units import BOLTZMANN
from .nanocanonical import HeldRun, as_places, as_system, held_engine
from .parallel import job_seed, run_jobs

__all__ = ["Comparison", "Ensemble", "ReleaseRun", "compare", "release", "run_release"]

REPLICAS_PER_JOB = 4  # share one equilibration; fixed, so that the result does not depend on how jobs are spread
DECORRELATION = 4.0  # ps with R held between two releases
REJECTION = 0.01  # probability below which a density is rejected

_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True, eq=False)
class ReleaseRun:
    """A few replicas released one after the other from the same held run.

    Parameters
    ----------
    held : HeldRun
        Where R is held before each release, and how it is equilibrated.
    n_replicas, n_frames, stride : int
    spread : ndarray, shape (3,), nm
        Standard deviation of R about the held place at the release.
    """

    held: HeldRun
    n_replicas: int
    n_frames: int
    stride: int
    spread: np.ndarray


def run_release(run, progress=None):
    """R and P of a few released replicas.

    Parameters
    ----------
    run : ReleaseRun
    progress : callable, optional
        Called with a fraction and a text.

    Returns
    -------
    position, momentum : ndarray, shape (n_replicas, n_frames, 3), nm and u nm/ps
    temperature : float, K
    """
    engine = held_engine(run.held)
    particle, system = engine.particle, engine.system
    masses = engine.masses[particle]
    mass = masses.sum()
    position = np.empty((run.n_replicas, run.n_frames, 3))
    momentum = np.empty_like(position)
    temperature = []
    for replica in range(run.n_replicas):
        if run.spread.any():
            place = run.held.position + engine.rng.normal(scale=run.spread)
            engine.move_particle(place, temperature=system.temperature)
        engine.run(max(1, round(DECORRELATION / engine.timestep)))
        held = engine.positions.copy(), engine.half_step_velocities.copy()
        kick = engine.rng.normal(scale=np.sqrt(mass * BOLTZMANN * system.temperature), size=3) / mass
        engine.half_step_velocities[particle] += kick
        # the bath that a finite box stands for does not recoil
        engine.hold("host held")
        for frame in range(run.n_frames):
            snapshot = engine.step()
            position[replica, frame] = masses @ snapshot.positions[particle] / mass
            momentum[replica, frame] = masses @ snapshot.velocities[particle]
            temperature.append(engine.kinetic_temperature(snapshot.velocities))
            if progress is not None:
                progress((replica + frame / run.n_frames) / run.n_replicas, "")
            if run.stride > 1 and frame + 1 < run.n_frames:
                engine.run(run.stride - 1)
        engine.place(*held)
        engine.hold("held")
    return position, momentum, float(np.mean(temperature))


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble(Result):
    """R and P of replicas that were released from one slow state at t = 0.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
    position : ndarray, shape (n_replicas, n_times, 3), nm
    momentum : ndarray, shape (n_replicas, n_times, 3), u nm/ps
    start : ndarray, shape (3,), nm
    mass : float, u
    temperature : float, K
        Measured over all replicas.
    label : str
    warnings : tuple of Notice
    """

    times: np.ndarray
    position: np.ndarray
    momentum: np.ndarray
    start: np.ndarray
    mass: float
    temperature: float
    label: str = ""
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def n_replicas(self):
        """Number of replicas."""
        return len(self.position)

    def mean(self, axis="x"):
        """⟨R⟩ over the replicas along an axis and its standard error, each (n_times,), nm."""
        values = self.position[:, :, axis_index(axis)]
        return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(self.n_replicas)

    def variance(self, axis="x"):
        """Variance of R over the replicas along an axis and its standard error, each (n_times,), nm²."""
        values = self.position[:, :, axis_index(axis)]
        n = self.n_replicas
        left_out = np.stack([np.delete(values, k, axis=0).var(axis=0, ddof=1) for k in range(n)])
        return values.var(axis=0, ddof=1), jackknife_std(left_out)

    def reduced_density(self, edges, axis="x"):
        """Empirical density of R along an axis at every time.

        Parameters
        ----------
        edges : ndarray, shape (n_bins + 1,), nm
        axis : str

        Returns
        -------
        density, density_std : ndarray, shape (n_times, n_bins), 1/nm
            Standard error of a binomial count, at least that of one count.
        """
        values = self.position[:, :, axis_index(axis)]
        counts = np.stack([np.histogram(values[:, t], edges)[0] for t in range(len(self.times))])
        return self._per_volume(counts, np.diff(edges))

    def phase_density(self, edges, momentum_edges, axis="x"):
        """Empirical density of (R, P) along an axis at every time.

        Parameters
        ----------
        edges : ndarray, shape (n_bins + 1,), nm
        momentum_edges : ndarray, shape (n_momentum_bins + 1,), u nm/ps
        axis : str

        Returns
        -------
        density, density_std : ndarray, shape (n_times, n_bins, n_momentum_bins), 1/(nm · u nm/ps)
        """
        a = axis_index(axis)
        counts = np.stack(
            [
                np.histogram2d(self.position[:, t, a], self.momentum[:, t, a], [edges, momentum_edges])[0]
                for t in range(len(self.times))
            ]
        )
        return self._per_volume(counts, np.outer(np.diff(edges), np.diff(momentum_edges)))

    def _per_volume(self, counts, volumes):
        fraction = counts / self.n_replicas
        spread = np.sqrt(np.maximum(counts * (1.0 - fraction), 1.0)) / self.n_replicas
        return fraction / volumes, spread / volumes

    def summary(self):
        return [
            ("system", self.label),
            ("replicas", f"{self.n_replicas} for {self.times[-1]:.6g} ps"),
            ("released from", "(" + ", ".join(f"{x:.4g}" for x in self.start) + ") nm"),
            ("temperature", f"{self.temperature:.4g} K"),
        ]


def axis_index(axis):
    """0, 1, 2 for "x", "y", "z"."""
    try:
        return _AXES[axis]
    except (KeyError, TypeError):
        raise InputError(f"axis must be 'x', 'y' or 'z'; got {axis!r}.") from None


def release(
    system,
    position,
    *,
    n_replicas=24,
    duration=60.0,
    interval=0.5,
    spread=0.0,
    equilibration=20.0,
    seed=2026,
    workers=None,
    client=None,
    platform=None,
    progress=None,
):
    """Release replicas of a system from one place R, with P from the Maxwell distribution.

    Between releases R is held at the place, so that what surrounds the particle is in equilibrium with it there. While the
    replicas move, the host's momentum is held (where nothing else pushes it): it stands for an infinite bath.

    Parameters
    ----------
    system : MolecularSystem or str
        Or the name of a demo.
    position : array_like, shape (3,), nm
    n_replicas : int
        At least 2.
    duration, interval : float, ps
        How long they run, and how often R and P are kept.
    spread : float or sequence of 3, nm
        Instead of one place, a Gaussian of this standard deviation about it: the initial density ("gaussian", R, spread).
    equilibration : float, ps
    seed : int
        The result depends on it, and not on how the runs are spread.
    workers, client, platform, progress
        As in `sample_held`.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        Fewer than two replicas, a duration below the interval, or a spread that is no length.
    """
    system = as_system(system)
    (place,) = as_places(position)
    if n_replicas < 2:
        raise InputError(f"An ensemble needs at least 2 replicas; got {n_replicas!r}.")
    stride = max(1, round(interval / system.timestep))
    n_frames = round(duration / (stride * system.timestep)) + 1
    if n_frames < 2:
        raise InputError(f"duration ({duration!r} ps) must be at least the interval ({interval!r} ps).")
    spread = np.broadcast_to(np.asarray(spread, dtype=float), (3,))
    if not np.isfinite(spread).all() or (spread < 0).any():
        raise InputError(f"spread must be a length in nm, or one per axis, not negative; got {spread!r}.")
    runs = []
    for first in range(0, n_replicas, REPLICAS_PER_JOB):
        held = HeldRun(system, place, 0.0, float(equilibration), job_seed(seed, 1, first), platform)
        runs.append(ReleaseRun(held, min(REPLICAS_PER_JOB, n_replicas - first), n_frames, stride, spread))
    done = run_jobs(run_release, runs, workers=workers, client=client, progress=progress, text="releasing replicas")
    return Ensemble(
        times=system.timestep * stride * np.arange(n_frames),
        position=np.concatenate([result[0] for result in done]),
        momentum=np.concatenate([result[1] for result in done]),
        start=place,
        mass=float(system.masses[system.particle].sum()),
        temperature=float(np.mean([result[2] for result in done])),
        label=system.name,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """How well a reduced density describes an ensemble.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
        After the release; t = 0, where both are a point, is left out.
    ks, p_value : ndarray, shape (n_times,)
        Kolmogorov-Smirnov distance, and the probability of one at least as large were the density true.
    wasserstein : ndarray, shape (n_times,), nm
        ∫ |difference of the cumulative distributions| dR: how far, on average, probability has to be carried.
    wasserstein_expected : ndarray, shape (n_times,), nm
        Its mean for as many samples of the density itself: what sampling alone gives.
    relaxation_ratio, relaxation_ratio_std : float
        Relaxation time of the ensemble over that of the density: the factor by which the time axis of the predicted ⟨R⟩(t)
        has to be stretched to follow the ensemble's best. NaN where ⟨R⟩ does not move.
    smallest_p : float
        Least p over the times compared, times their number (Bonferroni), at most 1.
    accepted : bool
        Not rejected at 1 %.
    verdict : str
    n_replicas : int
    """

    times: np.ndarray
    ks: np.ndarray
    p_value: np.ndarray
    wasserstein: np.ndarray
    wasserstein_expected: np.ndarray
    relaxation_ratio: float
    relaxation_ratio_std: float
    smallest_p: float
    accepted: bool
    verdict: str
    n_replicas: int

    def summary(self):
        return [
            ("verdict", self.verdict),
            ("smallest p", f"{self.smallest_p:.2g} over {len(self.times)} times"),
            ("relaxation, atoms over theory", format_value(self.relaxation_ratio, self.relaxation_ratio_std)),
            ("Wasserstein, largest", f"{self.wasserstein.max():.3g} nm"),
        ]


def compare(ensemble, density, *, axis="x", after=0.0, until=None, seed=2026):
    """An ensemble of atoms against a reduced density, at every time both have.

    Parameters
    ----------
    ensemble : Ensemble
    density : ReducedDensity or PhaseSpaceDensity
        Evolved from the same place at t = 0; its times must cover those compared.
    axis : str
        Of the ensemble; the density is one-dimensional.
    after, until : float, ps
        Times to compare: after < t ≤ until. Smoluchowski's equation, for example, claims nothing before τ_P.
    seed : int
        Of the samples behind ``wasserstein_expected``.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        No common times, or a density in more than one dimension.
    """
    if isinstance(density, PhaseSpaceDensity):
        density = density.marginal("position")
    edges, cumulative = _cumulative(density)
    until = ensemble.times[-1] if until is None else until
    last = min(until, density.times[-1]) + 1e-9
    chosen = np.flatnonzero((ensemble.times > max(after, 1e-9)) & (ensemble.times <= last))
    if len(chosen) == 0:
        raise InputError(
            f"No time to compare: the ensemble has {ensemble.times[0]:.4g} to {ensemble.times[-1]:.4g} ps, the density "
            f"{density.times[0]:.4g} to {density.times[-1]:.4g} ps, asked for were {after:.4g} to {until:.4g} ps."
        )
    samples = np.sort(ensemble.position[:, chosen, axis_index(axis)].T, axis=1)
    predicted = _at_times(cumulative, density.times, ensemble.times[chosen])
    # the only use of a module that takes half a second to import
    from scipy import stats

    tests = [stats.ks_1samp(x, _interpolated(edges, cdf)) for x, cdf in zip(samples, predicted)]
    rng = np.random.default_rng(seed)
    distance = np.array([_wasserstein(x, edges, cdf) for x, cdf in zip(samples, predicted)])
    expected = np.array([_expected_wasserstein(ensemble.n_replicas, edges, cdf, rng) for cdf in predicted])
    p_value = np.array([test.pvalue for test in tests])
    smallest = float(min(1.0, p_value.min() * len(p_value)))
    ratio, ratio_std = _relaxation_ratio(
        ensemble.position[:, chosen, axis_index(axis)], ensemble.times[chosen], density
    )
    accepted = smallest >= REJECTION
    return Comparison(
        times=ensemble.times[chosen],
        ks=np.array([test.statistic for test in tests]),
        p_value=p_value,
        wasserstein=distance,
        wasserstein_expected=expected,
        relaxation_ratio=ratio,
        relaxation_ratio_std=ratio_std,
        smallest_p=smallest,
        accepted=bool(accepted),
        verdict=_verdict(accepted, smallest, ensemble, chosen, distance, expected),
        n_replicas=ensemble.n_replicas,
    )


def _verdict(accepted, smallest, ensemble, chosen, distance, expected):
    span = f"from {ensemble.times[chosen[0]]:.3g} to {ensemble.times[chosen[-1]]:.3g} ps"
    n = ensemble.n_replicas
    if accepted:
        return (
            f"holds: {n} replicas agree with the density {span} (p = {smallest:.2g} after correcting for the number of times); "
            f"the mean distance is {distance.mean():.2g} nm, where sampling alone gives {expected.mean():.2g}"
        )
    worst = int(np.argmax(distance - expected))
    return (
        f"rejected: {n} replicas differ from the density {span} (p = {smallest:.2g}); most at "
        f"{ensemble.times[chosen[worst]]:.3g} ps, by {distance[worst]:.2g} nm where sampling alone gives {expected[worst]:.2g}"
    )


def _cumulative(density):
    """Cell edges (n_cells + 1,) and the cumulative distribution at them (n_times, n_cells + 1), ending at 1."""
    values = np.asarray(density.values)
    if values.ndim != 2:
        raise InputError(f"compare needs a density of one coordinate; this one has values of shape {values.shape}.")
    edges = np.asarray(density.grid.edges)
    mass = np.clip(values, 0.0, None) * np.diff(edges)
    total = mass.sum(axis=1, keepdims=True)
    return edges, np.concatenate([np.zeros((len(values), 1)), np.cumsum(mass / total, axis=1)], axis=1)


def _at_times(cumulative, times, wanted):
    """Linear interpolation in time."""
    right = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    left = right - 1
    weight = ((wanted - times[left]) / (times[right] - times[left]))[:, None]
    return (1.0 - weight) * cumulative[left] + weight * cumulative[right]


def _interpolated(edges, cdf):
    return lambda x: np.interp(x, edges, cdf)


def _wasserstein(sorted_samples, edges, cdf):
    """∫ |Q_empirical(u) − Q(u)| du over the quantiles u, which equals ∫ |F_empirical − F| dR.

    Parameters
    ----------
    sorted_samples : ndarray, shape (..., n_samples)
    edges, cdf : ndarray, shape (n_cells + 1,)

    Returns
    -------
    ndarray, shape (...)
    """
    n_samples, per_sample = sorted_samples.shape[-1], 32
    u = (np.arange(n_samples * per_sample) + 0.5) / (n_samples * per_sample)
    # flat stretches of the distribution have no quantile
    rising = np.concatenate([[True], np.diff(cdf) > 0.0])
    quantiles = np.interp(u, cdf[rising], edges[rising]).reshape(n_samples, per_sample)
    return np.abs(sorted_samples[..., None] - quantiles).mean(axis=(-2, -1))


def _expected_wasserstein(n_samples, edges, cdf, rng, repeats=50):
    rising = np.concatenate([[True], np.diff(cdf) > 0.0])
    draws = np.interp(rng.random((repeats, n_samples)), cdf[rising], edges[rising])
    return float(_wasserstein(np.sort(draws, axis=1), edges, cdf).mean())


STRETCHES = np.geomspace(0.25, 4.0, 161)


def _relaxation_ratio(samples, times, density):
    """The best stretch of time, by least squares weighted with the ensemble's own scatter, and its jackknife error.

    Parameters
    ----------
    samples : ndarray, shape (n_replicas, n_times), nm
    times : ndarray, shape (n_times,), ps
    density : ReducedDensity
    """
    predicted = np.array([np.interp(times / stretch, density.times, density.mean) for stretch in STRETCHES])
    spread = samples.std(axis=0, ddof=1)
    moves = np.ptp(density.mean) > 2.0 * np.median(spread) / np.sqrt(len(samples))
    if len(times) < 3 or not moves or (spread <= 0).any():
        return float("nan"), float("nan")
    n = len(samples)
    left_out = (samples.sum(axis=0) - samples) / (n - 1)
    means = np.concatenate([samples.mean(axis=0)[np.newaxis], left_out])
    misfit = np.sum(((means[:, None] - predicted) / spread) ** 2, axis=-1)
    best = np.array([_lowest(np.log(STRETCHES), curve) for curve in misfit])
    ratio = float(np.exp(best[0]))
    return ratio, float(ratio * jackknife_std(best[1:]))


def _lowest(x, y):
    """Where a sampled curve is lowest, by the parabola through its three lowest neighbouring points."""
    k = int(np.clip(np.argmin(y), 1, len(y) - 2))
    left, middle, right = y[k - 1 : k + 2]
    bend = left - 2.0 * middle + right
    return x[k] + (0.5 * (left - right) / bend * (x[k + 1] - x[k]) if bend > 0 else 0.0)
