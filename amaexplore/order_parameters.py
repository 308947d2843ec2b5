"""OrderParameters: centre of mass R, momentum P and net force of the nanoparticle over time.

Equations (1), (2), (12) of the paper in raw units, and its scaled variables (31)-(33) through `scaled`.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from .errors import InputError, MissingFieldError, Notice, UnevenTimesError
from .kernels.order_parameters import weighted_sum
from .results import Result
from .units import BOLTZMANN

__all__ = [
    "OrderParameters",
    "ScaledOrderParameters",
    "even_timestep",
    "order_parameters",
    "order_parameters_progressively",
]

SERIES = ("centre_of_mass", "momentum", "net_force")
_WORDS = {"centre_of_mass": "positions", "momentum": "velocities", "net_force": "forces"}


@dataclass(frozen=True, eq=False, repr=False)
class OrderParameters(Result):
    """R, P and F of one nanoparticle over time, for one run or several replicas.

    Parameters
    ----------
    time : ndarray, shape (n_frames,), ps
    mass : float, u
        m = Σ m_i θ_i.
    centre_of_mass : ndarray, shape (n_frames, 3) or (n_replicas, n_frames, 3), nm, or None
        R = Σ m_i r_i θ_i / m, equation (1), unwrapped.
    momentum : ndarray, same shape, u nm/ps, or None
        P = Σ m_i v_i θ_i, equation (2), as the data holds it; see ``momentum_offset``.
    net_force : ndarray, same shape, kJ/mol/nm, or None
        F = Σ F_i θ_i, equation (12).
    typical_mass : float, u
        m̂ of equation (3); the mean atomic mass of the subset unless chosen otherwise.
    momentum_offset : float, ps
        Time of P minus time of R and F (leapfrog engines: minus half an MD step); see `synchronised`.
    total_mass : float or None, u
        Mass of everything simulated, where known. Needed when the total momentum is zero.
    zero_total_momentum : bool
        The whole system's momentum is zero: then ⟨P²⟩ = μ k_B T with μ = m(1 − m/m_total).
    temperature, temperature_std : float or None, K
        Measured from the velocities of all atoms in the data, where there were any.
    label : str
        The selection, or where the series came from.
    n_atoms : int or None
        N* = Σ θ_i.
    warnings : tuple of Notice
    files : tuple of str
        The files it was read from, if any.
    """

    time: np.ndarray
    mass: float
    centre_of_mass: np.ndarray | None = None
    momentum: np.ndarray | None = None
    net_force: np.ndarray | None = None
    typical_mass: float | None = None
    momentum_offset: float = 0.0
    total_mass: float | None = None
    zero_total_momentum: bool = False
    temperature: float | None = None
    temperature_std: float | None = None
    label: str = ""
    n_atoms: int | None = None
    warnings: tuple[Notice, ...] = field(default=())
    files: tuple[str, ...] = field(default=())

    def __post_init__(self):
        if not (np.isfinite(self.mass) and self.mass > 0):
            raise InputError(f"The nanoparticle's mass must be a positive number in u; got {self.mass!r}.")
        if self.typical_mass is None:
            # with a single unknown number of atoms the particle counts as one
            object.__setattr__(self, "typical_mass", self.mass / (self.n_atoms or 1))
        if not (np.isfinite(self.typical_mass) and self.typical_mass > 0):
            raise InputError(f"typical_mass must be a positive number in u; got {self.typical_mass!r}.")
        shapes = {name: getattr(self, name).shape for name in SERIES if getattr(self, name) is not None}
        if not shapes:
            raise InputError("A series needs centre_of_mass, momentum or net_force; none was given.")
        shape = next(iter(shapes.values()))
        if len(shape) not in (2, 3) or shape[-1] != 3 or shape[-2] != len(self.time) or set(shapes.values()) != {shape}:
            raise InputError(
                f"Series must all have shape (n_frames, 3) or (n_replicas, n_frames, 3) with n_frames = "
                f"{len(self.time)}; got " + ", ".join(f"{name} {value}" for name, value in shapes.items()) + "."
            )

    @classmethod
    def from_arrays(
        cls,
        *,
        timestep=None,
        mass,
        momentum=None,
        net_force=None,
        centre_of_mass=None,
        typical_mass=None,
        time=None,
        **facts,
    ):
        """A series from arrays, shape (n_frames, 3) or (n_replicas, n_frames, 3).

        Parameters
        ----------
        timestep : float, ps
            Time between frames; or give ``time``, shape (n_frames,).
        mass : float, u
        momentum, net_force, centre_of_mass : array_like, optional
            u nm/ps, kJ/mol/nm, nm. What is not given stays unavailable.
        typical_mass : float, u, optional
            m̂; without it ε = 1 unless ``n_atoms`` is given.
        **facts
            Other fields of `OrderParameters`: ``temperature``, ``n_atoms``, ``total_mass``, ``label``, ...

        Returns
        -------
        OrderParameters

        Raises
        ------
        InputError
            Wrong shapes, values that are not finite, a time step or mass that is not positive.

        Examples
        --------
        >>> import numpy as np
        >>> series = OrderParameters.from_arrays(timestep=0.01, mass=520.0, momentum=np.zeros((100, 3)), typical_mass=40.0)
        >>> round(series.epsilon, 6)
        0.076923
        """
        arrays = {"centre_of_mass": centre_of_mass, "momentum": momentum, "net_force": net_force}
        arrays = {name: np.asarray(value, dtype=float) for name, value in arrays.items() if value is not None}
        for name, values in arrays.items():
            if values.ndim not in (2, 3) or values.shape[-1] != 3:
                raise InputError(
                    f"{name} has shape {values.shape}; expected (n_frames, 3) or (n_replicas, n_frames, 3)."
                )
            if not np.isfinite(values).all():
                bad = np.argwhere(~np.isfinite(values))
                raise InputError(
                    f"{name} has {len(bad)} values that are not finite, the first at index {tuple(bad[0].tolist())}; "
                    "leave those frames out."
                )
        if not arrays:
            raise InputError("from_arrays needs momentum, net_force or centre_of_mass; none was given.")
        n_frames = next(iter(arrays.values())).shape[-2]
        if time is None:
            if timestep is None or not np.isfinite(timestep) or timestep <= 0:
                raise InputError(f"timestep must be a positive number of ps between frames; got {timestep!r}.")
            time = timestep * np.arange(n_frames)
        return cls(time=np.asarray(time, dtype=float), mass=float(mass), typical_mass=typical_mass, **arrays, **facts)

    # -- numbers that follow --------------------------------------------------------------------------

    @property
    def epsilon(self):
        """Smallness parameter ε = m̂/m, equations (3) and (30)."""
        return self.typical_mass / self.mass

    @property
    def n_frames(self):
        """Frames per replica."""
        return len(self.time)

    @property
    def n_replicas(self):
        """Independent runs in the series."""
        shape = next(getattr(self, name).shape for name in SERIES if getattr(self, name) is not None)
        return 1 if len(shape) == 2 else shape[0]

    @property
    def timestep(self):
        """Time between frames, ps; NaN where frames are not evenly spaced or there is only one."""
        return even_timestep(self.time)

    @property
    def duration(self):
        """Length of each replica, ps."""
        return float(self.time[-1] - self.time[0])

    @property
    def effective_mass(self):
        """Mass μ with ⟨P²⟩ = μ k_B T per axis, u: m, or m(1 − m/m_total) when the total momentum is zero."""
        if self.zero_total_momentum and self.total_mass:
            return self.mass * (1.0 - self.mass / self.total_mass)
        return self.mass

    @property
    def kinetic_temperature(self):
        """Temperature of the particle's own momentum, K: ⟨P·P⟩ / (3 μ k_B)."""
        momentum = self.require("momentum")
        return float(np.nanmean(np.sum(momentum**2, axis=-1)) / (3.0 * self.effective_mass * BOLTZMANN))

    def has(self, name):
        """Whether ``centre_of_mass``, ``momentum`` or ``net_force`` is there."""
        return getattr(self, name) is not None

    def require(self, name):
        """One of the three series.

        Raises
        ------
        MissingFieldError
            The data it is made from was not stored.
        """
        values = getattr(self, name)
        if values is None:
            have = ", ".join(n.replace("_", " ") for n in SERIES if getattr(self, n) is not None)
            raise MissingFieldError(
                f"No {name.replace('_', ' ')}: the data holds no {_WORDS[name]} (this series has {have}). "
                f"Write {_WORDS[name]} in the engine, or use what needs only {have}."
            )
        return values

    def replicas(self, name):
        """One of the three series as (n_replicas, n_frames, 3), always."""
        values = self.require(name)
        return values[np.newaxis] if values.ndim == 2 else values

    # -- other forms ----------------------------------------------------------------------------------

    def even(self, *names):
        """The frames on which correlation functions of ``names`` can be computed.

        Returns
        -------
        OrderParameters
            Frames that hold every one of ``names``, evenly spaced, at least two.

        Raises
        ------
        UnevenTimesError
            Those frames are not evenly spaced; the longest even stretch is named.
        InputError
            Fewer than two frames hold them all.
        """
        names = names or tuple(name for name in SERIES if self.has(name))
        complete = np.ones(self.n_frames, dtype=bool)
        for name in names:
            complete &= np.isfinite(self.replicas(name)).all(axis=(0, 2))
        series = self if complete.all() else self.frames(np.flatnonzero(complete))
        words = " and ".join(name.replace("_", " ") for name in names)
        if series.n_frames < 2:
            raise InputError(f"Only {series.n_frames} of {self.n_frames} frames hold {words}; at least 2 are needed.")
        if not np.isfinite(series.timestep):
            first, last = longest_even_stretch(series.time)
            raise UnevenTimesError(
                f"The {series.n_frames} frames that hold {words} are not evenly spaced in time (steps from "
                f"{np.diff(series.time).min():.6g} to {np.diff(series.time).max():.6g} ps), so correlations over them are "
                f"not defined; the longest even stretch is frames {first} to {last - 1} "
                f"({last - first} frames): use series.frames(slice({first}, {last}))."
            )
        return series

    def frames(self, chosen):
        """Some frames only: a slice or index array along time."""
        picked = {name: getattr(self, name)[..., chosen, :] for name in SERIES if self.has(name)}
        return replace(self, time=self.time[chosen], **picked)

    def synchronised(self):
        """P at the times of R and F: P(t) = P(t + o) − o F(t) for the offset o of the stored momenta.

        The error is O(o²) per step; without forces or offset the series is returned as it is.
        """
        if self.momentum_offset == 0.0 or not (self.has("momentum") and self.has("net_force")):
            return self
        momentum = self.momentum - self.momentum_offset * self.net_force
        return replace(self, momentum=momentum, momentum_offset=0.0)

    def scaled(self, epsilon=None):
        """Φ = ε^½ R, Π = ε^½ P, f = ε^-½ F, equations (31)-(33).

        Parameters
        ----------
        epsilon : float, optional
            Default: this series' own ε = m̂/m.

        Returns
        -------
        ScaledOrderParameters

        Raises
        ------
        InputError
            ``epsilon`` is not a positive number.
        """
        epsilon = self.epsilon if epsilon is None else float(epsilon)
        if not (np.isfinite(epsilon) and epsilon > 0):
            raise InputError(f"epsilon must be a positive number; got {epsilon!r}.")
        root = np.sqrt(epsilon)
        return ScaledOrderParameters(
            time=self.time,
            epsilon=epsilon,
            scaled_position=None if self.centre_of_mass is None else root * self.centre_of_mass,
            scaled_momentum=None if self.momentum is None else root * self.momentum,
            scaled_force=None if self.net_force is None else self.net_force / root,
        )

    def with_typical_mass(self, typical_mass):
        """The same series with another m̂, and so another ε."""
        return replace(self, typical_mass=float(typical_mass))

    def with_total_mass(self, total_mass):
        """The same series from a system whose total momentum is zero and whose whole mass (u) is known.

        For data that hold the particle's atoms only: the host's recoil then makes ⟨P²⟩ = μ k_B T with the reduced mass
        μ = m(1 − m/m_total), see `effective_mass`.

        Parameters
        ----------
        total_mass : float, u

        Returns
        -------
        OrderParameters

        Raises
        ------
        InputError
            ``total_mass`` is not larger than the particle.
        """
        if not (np.isfinite(total_mass) and total_mass > self.mass):
            raise InputError(
                f"total_mass must be the mass of everything simulated, in u, and so larger than the nanoparticle's "
                f"{self.mass:.6g}; got {total_mass!r}."
            )
        return replace(self, total_mass=float(total_mass), zero_total_momentum=True)

    def summary(self):
        step = self.timestep
        replicas = f"{self.n_replicas} × " if self.n_replicas > 1 else ""
        rows = [
            ("subset", self.label or "(given)"),
            ("frames", f"{replicas}{self.n_frames}" + (f" every {step:.6g} ps" if np.isfinite(step) else ", uneven")),
            ("mass", f"{self.mass:.6g} u"),
            ("epsilon", f"{self.epsilon:.4g}"),
            ("holds", ", ".join(name.replace("_", " ") for name in SERIES if self.has(name))),
        ]
        return [row for row in rows if row[1]]


@dataclass(frozen=True, eq=False, repr=False)
class ScaledOrderParameters(Result):
    """The paper's scaled variables, equations (31)-(33).

    Parameters
    ----------
    time : ndarray, shape (n_frames,), ps
    epsilon : float
    scaled_position, scaled_momentum, scaled_force : ndarray or None
        Φ (nm), Π (u nm/ps), f (kJ/mol/nm), shaped as the series they come from.
    """

    time: np.ndarray
    epsilon: float
    scaled_position: np.ndarray | None
    scaled_momentum: np.ndarray | None
    scaled_force: np.ndarray | None


def order_parameters(trajectory, subset):
    """R, P and the net force of a subset at every frame, equations (1), (2), (12).

    Parameters
    ----------
    trajectory : Trajectory
    subset : AtomSubset, or anything `Trajectory.select` takes

    Returns
    -------
    OrderParameters
        Sums in double precision whatever the precision of the data. A frame that lacks a field is NaN there. Where the
        selection is several molecules on different sides of the periodic box, R is that of their whole, put together in the
        first frame (see `Trajectory.made_whole`).
    """
    from .trajectory.store import store_when_useful

    subset = _checked_subset(trajectory, subset)
    store = store_when_useful(trajectory)
    sums = _sums_over_frames(trajectory, subset) if store is None else store.sums(subset.indicator)
    return _from_sums(trajectory, subset, sums, trajectory.n_frames)


def order_parameters_progressively(trajectory, subset):
    """The same, first over the beginning of the run where all of it takes long: large scattered selections on disk.

    Parameters
    ----------
    trajectory, subset
        As for `order_parameters`.

    Yields
    ------
    OrderParameters
        Exact for the frames it has; all but the last say in ``warnings`` (code ``"first_frames"``) that more follow.
    """
    from .trajectory.store import ready_store

    subset = _checked_subset(trajectory, subset)
    store = ready_store(trajectory)
    if store is None:
        yield order_parameters(trajectory, subset)
        return
    for n_frames, sums in store.progressively(subset.indicator):
        series = _from_sums(trajectory, subset, sums, n_frames)
        if n_frames < trajectory.n_frames:
            text = f"These are the first {n_frames} of {trajectory.n_frames} frames; the rest is being read."
            series = replace(series, warnings=(*series.warnings, Notice("first_frames", text, "info")))
        yield series


def _checked_subset(trajectory, subset):
    from .subset import AtomSubset

    if not isinstance(subset, AtomSubset):
        subset = trajectory.select(subset)
    if len(subset.indicator) != trajectory.n_atoms:
        raise InputError(
            f"The subset was made for {len(subset.indicator)} atoms, this trajectory has {trajectory.n_atoms}; "
            "select again on this trajectory."
        )
    if not trajectory.masses[subset.indices].sum() > 0:
        raise InputError(f"The {subset.n_atoms} atoms of {subset.selection!r} have no mass; choose atoms with mass.")
    return subset


def _from_sums(trajectory, subset, sums, n_frames):
    """Order parameters from Σ m r, Σ m v and Σ F over the first frames."""
    from .trajectory.temperature import system_temperature, total_momentum_is_zero
    from .trajectory.unwrap import true_path, with_assembly_whole

    mass = float(trajectory.masses[subset.indices].sum())
    if "positions" in sums:
        box = None if trajectory.box is None else trajectory.box[:n_frames]
        centre = with_assembly_whole(sums["positions"] / mass, trajectory, subset)
        sums["positions"] = true_path(centre, box)
    temperature, temperature_std = system_temperature(trajectory)
    return OrderParameters(
        time=trajectory.times[:n_frames],
        mass=mass,
        centre_of_mass=sums.get("positions"),
        momentum=sums.get("velocities"),
        net_force=sums.get("forces"),
        typical_mass=mass / subset.n_atoms,
        momentum_offset=trajectory.velocity_offset,
        total_mass=trajectory.metadata.get(
            "total_mass", float(trajectory.masses.sum()) if trajectory.complete_system else None
        ),
        zero_total_momentum=total_momentum_is_zero(trajectory),
        temperature=temperature,
        temperature_std=temperature_std,
        label=subset.selection,
        n_atoms=subset.n_atoms,
    )


def _sums_over_frames(trajectory, subset):
    """Σ m r, Σ m v and Σ F over the chosen atoms, straight from the frames: what a single question costs least by."""
    indices, masses = subset.indices, trajectory.masses[subset.indices]
    weights = {"positions": masses, "velocities": masses, "forces": np.ones(len(indices))}
    return {
        name: _weighted_sum(np.asarray(values), indices, weights[name])
        for name in weights
        if (values := getattr(trajectory, name)) is not None
    }


def _weighted_sum(values, indices, weights):
    """`weighted_sum`, in pieces where the values are mapped from a file."""
    from .trajectory.frames import frames_per_chunk
    from .trajectory.memory import let_go, mapped_file, require_whole

    require_whole(mapped_file(values))
    if mapped_file(values) is None or not values.flags.c_contiguous:
        return weighted_sum(values, indices, weights)
    size, sums = frames_per_chunk(values.shape[1], 1, values.itemsize), []
    for first in range(0, len(values), size):
        sums.append(weighted_sum(values[first : first + size], indices, weights))
        let_go(values)
    return np.concatenate(sums)


def even_timestep(times):
    """The common spacing of ``times`` in ps, or NaN where it is not common to 1 part in 1000 of a step.

    The tolerance lets through times stored in single precision.
    """
    times = np.asarray(times, dtype=float)
    if len(times) < 2:
        return float("nan")
    step = (times[-1] - times[0]) / (len(times) - 1)
    # single precision keeps 7 digits of the time itself, not of the step
    tolerance = 1e-3 * abs(step) + 2e-7 * np.abs(times).max()
    if step <= 0 or np.abs(np.diff(times) - step).max() > tolerance:
        return float("nan")
    # a file that prints 10.000000 and 10.009999 means 0.01
    return float(f"{step:.7g}")


def longest_even_stretch(times):
    """First and past-the-end frame of the longest evenly spaced run of ``times``."""
    steps = np.diff(np.asarray(times, dtype=float))
    best = (0, min(2, len(times)))
    start = 0
    for index in range(1, len(steps)):
        if abs(steps[index] - steps[start]) > 1e-3 * abs(steps[start]) + 2e-7 * abs(times[index + 1]):
            start = index
        if index + 2 - start > best[1] - best[0]:
            best = (start, index + 2)
    return best
