"""Equations (29) and (56) as stochastic dynamics: sample paths whose histogram is the reduced density."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import expm

from ..errors import InputError, Notice
from ..kernels import particles
from ..results import Result
from ..units import thermal_energy
from .density import ReducedDensity
from .force_field import force_table
from .grid import Grid, as_grids
from .initial import check_times, initial_density
from .landscape import check_temperature, coefficient_on_faces

__all__ = ["BrownianDynamics", "Langevin", "SamplePaths"]

CHUNK = 8192  # particles that share a stream of random numbers
NOISE = 65536  # random numbers drawn at a time: they stay in the second-level cache
ENDS = {"reflecting": particles.REFLECTING, "absorbing": particles.ABSORBING, "periodic": particles.PERIODIC}
N_THREADS = 2
VISITED = 8.0  # k_BT above the deepest point: stiffer places are visited too rarely to set the time step


@dataclass(frozen=True, eq=False, repr=False)
class SamplePaths(Result):
    """Particles at the output times.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
    positions : ndarray, shape (n_times, n, d), nm
        NaN for particles that an absorbing end has taken. Wrapped into the grid along periodic axes.
    momenta : ndarray, shape (n_times, n, d), u nm/ps, or None
    grid : Grid or tuple of Grid
    temperature : float, K
    timestep : float, ps
    seed : int
    warnings : tuple of Notice
    """

    times: np.ndarray
    positions: np.ndarray
    momenta: np.ndarray | None
    grid: Grid | tuple
    temperature: float
    timestep: float
    seed: int
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def survival(self):
        """Share of particles that are left at each time."""
        return np.isfinite(self.positions[:, :, 0]).mean(axis=1)

    @property
    def mean(self):
        """Mean position; ndarray (n_times, d), nm."""
        return np.nanmean(self.positions, axis=1)

    @property
    def variance(self):
        """Variance of each coordinate; ndarray (n_times, d), nm²."""
        return np.nanvar(self.positions, axis=1)

    def density(self, grid=None):
        """Histogram as a `ReducedDensity`, on the dynamics' own grid or another.

        Its noise: a cell that holds a share p of n particles has a standard error of (p/n)^½ per cell volume.
        """
        grids = as_grids(grid if grid is not None else self.grid)
        if len(grids) != self.positions.shape[2]:
            raise InputError(f"The particles have {self.positions.shape[2]} coordinates, the grid {len(grids)} axes.")
        edges = [axis.edges for axis in grids]
        volume = float(np.prod([axis.width for axis in grids]))
        values = []
        for frame in self.positions:
            counts, _ = np.histogramdd(frame[np.isfinite(frame[:, 0])], bins=edges)
            values.append(counts / (frame.shape[0] * volume))
        return ReducedDensity(
            self.times,
            np.array(values),
            grids[0] if len(grids) == 1 else grids,
            self.temperature,
            {"scheme": "particles", "n_particles": self.positions.shape[1]},
            self.warnings,
        )

    def summary(self):
        return [
            ("particles", str(self.positions.shape[1])),
            ("frames", f"{len(self.times)} from {self.times[0]:.4g} to {self.times[-1]:.4g} ps"),
            ("time step", f"{self.timestep:.3g} ps"),
            ("seed", str(self.seed)),
        ]


class _Dynamics:
    """What both kinds share: the field, the walls, seeded streams, threads."""

    def __init__(self, grid, mean_force, potential, temperature):
        self.grids = as_grids(grid)
        self.grid = self.grids[0] if len(self.grids) == 1 else self.grids
        self.dimensions = len(self.grids)
        self.temperature = check_temperature(temperature)
        self.thermal_energy = thermal_energy(self.temperature)
        self.field = force_table(self.grids, mean_force, potential, self.temperature)
        self.warnings = self.field.warnings
        self._lower = np.array([axis.lower for axis in self.grids])
        self._upper = np.array([axis.upper for axis in self.grids])
        self._ends = np.array([[ENDS[end] for end in axis.ends] for axis in self.grids], dtype=np.int64)

    @property
    def _walls(self):
        return self.field.lower, self.field.inverse_width, self._lower, self._upper, self._ends

    @cached_property
    def stiffness(self):
        """Largest |∂F/∂R| where the equilibrium density is not negligible, kJ/mol/nm²."""
        steepest = 0.0
        energy = self.field.energy
        for a, axis in enumerate(self.grids):
            slope = np.abs(np.diff(self.field.values[a], axis=a)) / axis.width * self.field.refinement
            relevant = energy < VISITED
            pairs = np.take(relevant, range(1, relevant.shape[a]), a) & np.take(
                relevant, range(relevant.shape[a] - 1), a
            )
            steepest = max(steepest, float(slope[pairs].max(initial=0.0)))
        return steepest

    def sample(self, n, times, initial=None, *, momenta=None, seed=0, timestep=None, progress=None):
        """Positions of n independent particles at all times.

        Parameters
        ----------
        n : int
        times : array_like, ps
        initial : optional
            As for the equations (array of cell values, callable, ("gaussian", mean, std)), or an array of
            positions (n, d). Default: the Boltzmann density on the grid.
        momenta : ndarray, shape (n, d), u nm/ps, optional
            Initial momenta, for `Langevin`; default Maxwellian.
        seed : int
            The same seed gives the same particles, whatever the number of threads.
        timestep : float, ps, optional
            By default short against every time scale of the dynamics.
        progress : callable, optional

        Returns
        -------
        SamplePaths

        Raises
        ------
        InputError
            ``n`` is no count, ``timestep`` no positive number, or ``momenta`` of another shape.
        """
        if n != int(n) or n < 1:
            raise InputError(f"n is a count of particles; got {n!r}.")
        n, times = int(n), check_times(times)
        step = self._default_step() if timestep is None else float(timestep)
        if not np.isfinite(step) or step <= 0.0:
            raise InputError(f"timestep must be a positive number in ps; got {timestep!r}.")
        starts = range(0, n, CHUNK)
        streams = np.random.SeedSequence(seed).spawn(len(starts))
        positions = np.empty((len(times), n, self.dimensions))
        if momenta is not None:
            momenta = np.asarray(momenta, dtype=float)
            if not self._has_momentum or momenta.shape != positions.shape[1:]:
                raise InputError(
                    f"momenta are an array of shape {positions.shape[1:]} for Langevin dynamics; got shape {momenta.shape}."
                )
        first, momenta = momenta, np.empty_like(positions) if self._has_momentum else None
        draw, notices = self._starter(initial, n)
        done = [0]

        def run(k):
            rows = slice(starts[k], min(starts[k] + CHUNK, n))
            generator = np.random.Generator(np.random.SFC64(streams[k]))
            self._run_chunk(generator, draw(generator, rows), times, step, positions[:, rows], momenta, first, rows)
            done[0] += 1

        with ThreadPoolExecutor(N_THREADS) as pool:
            for _ in pool.map(run, range(len(starts))):
                if progress is not None:
                    progress(done[0] / len(starts), "Stochastic dynamics")
        return SamplePaths(
            times, positions, momenta, self.grid, self.temperature, step, int(seed), self.warnings + notices
        )

    def _starter(self, initial, n):
        if initial is not None and not callable(initial) and not isinstance(initial, tuple | list):
            given = np.asarray(initial, dtype=float)
            if given.shape in ((n, self.dimensions), (n,) if self.dimensions == 1 else (n, self.dimensions)):
                given = given.reshape(n, self.dimensions)
                inside = ((given >= self._lower) & (given <= self._upper)).all()
                if not inside:
                    raise InputError("Some initial positions lie outside the grid.")
                return (lambda generator, rows: given[rows].copy()), ()
        if initial is None:
            density, notices = self.field.boltzmann, ()
        else:
            density, notices = initial_density(self.grids, initial)
        cumulative = np.cumsum(density.ravel())
        cumulative /= cumulative[-1]

        def draw(generator, rows):
            count = rows.stop - rows.start
            cells = np.searchsorted(cumulative, generator.random(count), side="right")
            index = np.stack(np.unravel_index(np.minimum(cells, cumulative.size - 1), density.shape), axis=-1)
            widths = np.array([axis.width for axis in self.grids])
            return self._lower + widths * (index + generator.random((count, self.dimensions)))

        return draw, notices

    def _run_chunk(self, generator, position, times, step, out, momenta, first, rows):
        n = len(position)
        state = self._start(generator, position) if first is None else first[rows].copy()
        alive = np.ones(n, dtype=bool)
        now = 0.0
        most = max(1, NOISE // (n * self.dimensions))
        for k, time in enumerate(times):
            count = int(np.ceil((time - now) / step - 1e-9)) if time > now else 0
            exact = (time - now) / count if count else 0.0
            state = self._begin(generator, state)
            while count > 0:
                part = min(count, most)
                noise = generator.standard_normal((part, n, self.dimensions))
                self._advance(position, state, alive, noise, exact)
                count -= part
            now = time
            out[k] = np.where(alive[:, None], position, np.nan)
            if momenta is not None:
                momenta[k, rows] = np.where(alive[:, None], state, np.nan)


class Langevin(_Dynamics):
    """dR = P/m dt, dP = f^th dt − ζP/m dt + (2ζk_BT)^½ dB: equation (56) as sample paths.

    Parameters
    ----------
    grid : Grid, or tuple of Grid for two or three axes
        The stretch on which the force is tabulated, and its ends.
    mass : float, u
    friction : float, (d,) or (d, d) array; along one axis also an array on the cells or a callable, u/ps
        ζ.
    mean_force, potential, temperature
        As for `FokkerPlanck`; with several axes see `force_field.force_table`.

    Notes
    -----
    BAOAB [1]_: its positions are Boltzmann distributed to fourth order in the step where friction is high.

    References
    ----------
    .. [1] B. Leimkuhler, C. Matthews, Appl. Math. Res. Express 2013, 34 (2013).
    """

    _has_momentum = True

    def __init__(self, grid, mass, friction, *, mean_force=None, potential=None, temperature):
        super().__init__(grid, mean_force, potential, temperature)
        if not np.isfinite(mass) or mass <= 0.0:
            raise InputError(f"mass must be a positive number in u; got {mass!r}.")
        self.mass = float(mass)
        self.friction, self._rate = self._varying("friction", friction, "u/ps")
        if self._rate is None:
            self.friction = _tensor("friction", friction, self.dimensions, "u/ps")

    @classmethod
    def from_equation(cls, equation):
        """The sample paths of a `FokkerPlanck` equation."""
        return cls(
            equation.grid,
            equation.mass,
            equation.friction,
            mean_force=equation.mean_force,
            potential=equation.potential,
            temperature=equation.temperature,
        )

    def _varying(self, name, value, unit):
        varies = callable(value) or (self.dimensions == 1 and np.shape(value) == (self.grids[0].n_cells,))
        if not varies:
            return None, None
        if self.dimensions != 1:
            raise InputError(f"A {name} that varies is available along one axis; give a number or a tensor.")
        faces = coefficient_on_faces(name, value, self.grids[0], unit)
        return faces, self.field.from_faces(faces)

    def _default_step(self):
        rates = self.friction if self._rate is not None else np.linalg.eigvalsh(self.friction)
        relaxation = self.mass / float(np.max(rates))
        period = np.sqrt(self.mass / self.stiffness) if self.stiffness > 0.0 else np.inf
        crossing = min(axis.length for axis in self.grids) / np.sqrt(self.thermal_energy / self.mass)
        return float(min(0.2 * relaxation, 0.1 * period, 0.1 * crossing))

    def _start(self, generator, position):
        return generator.standard_normal(position.shape) * np.sqrt(self.mass * self.thermal_energy)

    def _begin(self, generator, momentum):
        return momentum

    def _advance(self, position, momentum, alive, noise, step):
        scale = np.sqrt(self.mass * self.thermal_energy)
        d = self.dimensions
        if self._rate is None:
            keep = expm(-self.friction * step / self.mass)
            kick = scale * np.linalg.cholesky(np.eye(d) - keep @ keep.T)
            rate = np.empty((0, 1, 1, 1))
        else:
            keep = kick = np.zeros((1, 1))
            rate = self._rate / self.mass
        lower, inverse_width, low, high, ends = self._walls
        particles.langevin(
            position, momentum, alive, noise, step, self.mass, self.field.table, lower, inverse_width, low, high, ends,
            np.ascontiguousarray(keep), np.ascontiguousarray(kick), rate, scale,
        )  # fmt: skip


class BrownianDynamics(_Dynamics):
    """dR = (βD f^th + ∂D) dt + (2D)^½ dB: equation (29) as sample paths.

    Parameters
    ----------
    grid : Grid, or tuple of Grid for two or three axes
    diffusion : float, (d,) or (d, d) array; along one axis also an array on the cells or a callable, nm²/ps
    mean_force, potential, temperature
        As for `Smoluchowski`.

    Notes
    -----
    Constant D: Leimkuhler and Matthews' averaging of successive noises, second order in the stationary density at
    the cost of Euler's step. D(R) between the derivatives of (29) means an Itô drift +∂D.
    """

    _has_momentum = False

    def __init__(self, grid, diffusion, *, mean_force=None, potential=None, temperature):
        super().__init__(grid, mean_force, potential, temperature)
        varies = callable(diffusion) or (self.dimensions == 1 and np.shape(diffusion) == (self.grids[0].n_cells,))
        self._varying_table = None
        if varies:
            if self.dimensions != 1:
                raise InputError("A diffusion that varies is available along one axis; give a number or a tensor.")
            faces = coefficient_on_faces("diffusion", diffusion, self.grids[0], "nm²/ps")
            nodes = self.field.from_faces(faces)
            slope = np.gradient(nodes[0, :, 0, 0], 1.0 / self.field.inverse_width[0])
            drift = self.field.table[0, :, 0, 0] * nodes[0, :, 0, 0] / self.thermal_energy + slope
            self._varying_table = np.ascontiguousarray(np.stack([drift, nodes[0, :, 0, 0]])[:, :, None, None])
            self.diffusion = faces
        else:
            self.diffusion = _tensor("diffusion", diffusion, self.dimensions, "nm²/ps")

    @classmethod
    def from_equation(cls, equation):
        """The sample paths of a `Smoluchowski` equation.

        Raises
        ------
        InputError
            Its force depends on time.
        """
        if equation.driven:
            raise InputError(
                "Sample paths take a force that does not depend on time, and the force of this equation does; evolve follows its density."
            )
        return cls(
            equation.grids,
            equation.diffusion,
            mean_force=equation.mean_force,
            potential=equation.potential,
            temperature=equation.temperature,
        )

    def _default_step(self):
        fastest = float(
            np.max(self.diffusion if self._varying_table is not None else np.linalg.eigvalsh(self.diffusion))
        )
        relaxation = self.thermal_energy / (fastest * self.stiffness) if self.stiffness > 0.0 else np.inf
        length = min(axis.length for axis in self.grids)
        share = 0.004 if self._varying_table is not None else 0.01
        return float(min(share * relaxation, 1e-3 * length**2 / fastest))

    def _start(self, generator, position):
        return np.empty(position.shape)

    def _begin(self, generator, last):
        # √3 for the noise before the first step of an interval: then a free particle spreads by 2Dt exactly
        return np.sqrt(3.0) * generator.standard_normal(last.shape)

    def _advance(self, position, last, alive, noise, step):
        lower, inverse_width, low, high, ends = self._walls
        if self._varying_table is not None:
            particles.brownian_varying(
                position, alive, noise, step, self._varying_table, lower, inverse_width, low, high, ends
            )
            return
        drift = self.diffusion * (step / self.thermal_energy)
        spread = np.linalg.cholesky(2.0 * step * self.diffusion)
        particles.brownian(
            position, last, alive, noise, self.field.table, lower, inverse_width, low, high, ends, drift, spread
        )


def _tensor(name, value, d, unit):
    """A positive definite (d, d) array from a number, a diagonal or a tensor."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} is a number or an array in {unit}; got {value!r}.") from None
    if array.ndim == 0:
        array = np.eye(d) * array
    elif array.shape == (d,):
        array = np.diag(array)
    if array.shape != (d, d) or not np.isfinite(array).all():
        raise InputError(
            f"{name} is a number, {d} numbers or a finite {d} × {d} tensor in {unit}; got shape {array.shape}."
        )
    array = 0.5 * (array + array.T)
    if np.linalg.eigvalsh(array).min() <= 0.0:
        raise InputError(
            f"{name} must be positive (a positive definite tensor) in {unit}; got {np.array2string(array)}."
        )
    return array
