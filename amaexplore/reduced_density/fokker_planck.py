"""Equation (56): the density of a nanoparticle's position and momentum when both are slow."""

from dataclasses import replace

import numpy as np

from ..errors import InputError, Notice
from ..threads import one_blas_thread
from ..units import thermal_energy
from .density import DensityFan, PhaseSpaceDensity, drawn_together
from .generator import generator
from .grid import Grid, as_grids
from .initial import check_times, initial_density
from .landscape import check_temperature, coefficient_on_faces, landscape, sample
from .langevin import Langevin
from .modal_density import ModalDensity
from .phase_space_basis import hermite_functions, position_modes, project, project_odd
from .spectral import march_modes

__all__ = ["FokkerPlanck"]

MODE_COUNTS = (32, 48, 64, 96)
LEVEL_COUNTS = (8, 12, 16, 24, 32, 48, 64)
FIT = 2e-4  # of the maximum: how close the modes must come to the initial density
TAIL = 4e-3  # probability in the highest levels that still leaves the density right to about 1e-3
MODE_TAIL = 2e-2  # the same in the highest modes, of which a narrow start, fitted to FIT, needs more than what follows
PARTICLE_SEED = 56
REACH = 5.5  # thermal momenta shown beyond what falling from the highest occupied energy gives


class FokkerPlanck:
    """∂_t W = −∂_R(P/m W) − ∂_P(f^th W) + ∂_P[ζ(P/m + k_BT ∂_P) W], equation (56) in raw units, ζ = βεθ.

    Parameters
    ----------
    grid : Grid
        Along R. Reflecting ends reverse the momentum.
    mass : float, u
    friction : float, ndarray on the cells, or callable of R, u/ps
        ζ = βΘ with Θ = εθ.
    mean_force : float, ndarray on the cells, or callable, kJ/mol/nm, optional
    potential : float, ndarray on the cells, or callable, kJ/mol, optional
        Instead of ``mean_force``.
    temperature : float, K
    momentum_grid : Grid, optional
        Along P, u nm/ps, on which W is shown; by default wide enough for what the density does.

    Raises
    ------
    InputError
        Coefficients of the wrong shape, sign or not finite; a potential too steep for the grid.

    Notes
    -----
    Solved in modes: eigenfunctions of the Smoluchowski operator along R, Hermite functions along P, Radau IIA
    steps of order five. The Boltzmann density is exactly stationary and probability exactly kept; any friction is
    stable, down to none and up to the Smoluchowski limit.
    """

    def __init__(self, grid, mass, friction, *, mean_force=None, potential=None, temperature, momentum_grid=None):
        grids = as_grids(grid)
        if len(grids) != 1:
            raise InputError("FokkerPlanck takes one position axis; for several, sample with Langevin.")
        self.grid = grids[0]
        self.temperature = check_temperature(temperature)
        self.mass = _positive("mass", mass, "u")
        if momentum_grid is not None and not isinstance(momentum_grid, Grid):
            raise InputError(f"momentum_grid is a Grid along P; got {momentum_grid!r}.")
        self.given_momentum_grid = momentum_grid
        self.friction, self.mean_force, self.potential = friction, mean_force, potential
        self.landscape = landscape(self.grid, mean_force, potential, self.temperature)
        self.face_friction = coefficient_on_faces("friction", friction, self.grid, "u/ps")
        if callable(friction) or np.ndim(friction) == 0:
            self.cell_friction = sample("friction", friction, self.grid.centres, "u/ps")
        else:
            self.cell_friction = np.asarray(friction, dtype=float)
        self.thermal_momentum = float(np.sqrt(self.mass * thermal_energy(self.temperature)))
        self.thermal_velocity = self.thermal_momentum / self.mass
        self.warnings = self.landscape.warnings
        self._modes, self._steppers = {}, {}

    @property
    def relaxation_time(self):
        """τ_P = m/ζ, the shortest where friction varies, ps."""
        return self.mass / float(self.cell_friction.max())

    def _position_modes(self, count):
        count = min(count, self.grid.n_cells)
        if count not in self._modes:
            gradient = self.landscape.gradient_part()
            unit = generator(gradient, np.ones(self.grid.n_cells + 1))
            faces = self.face_friction[1:] if self.grid.periodic else self.face_friction[1:-1]
            tilt = -self.landscape.circulation / self.grid.length
            self._modes[count] = position_modes(
                gradient, unit, tilt, self.cell_friction / self.mass, faces / self.mass, count
            )
        return self._modes[count]

    def evolve(self, initial, times, *, momentum=None, method=None, n_particles=200_000, progress=None):
        """The density at all ``times``.

        Parameters
        ----------
        initial : ndarray of cell values, callable of R, or ("gaussian", mean, std)
            Density of R at time zero.
        momentum : array on the momentum cells, callable of P, or ("gaussian", mean, std), optional
            Density of P at time zero, independent of R; default the equilibrium Maxwellian.
        times : array_like, ps
            Ascending.
        method : str, optional
            ``"modes"`` or ``"particles"``. By default modes; particles where ends absorb, and where the density is too
            fine or too far from equilibrium for the modes (``diagnostics["scheme"]`` tells).
        n_particles : int
            If particles are used; a cell with a share p of them has a relative error of 1/√(p n_particles).
        progress : callable, optional

        Returns
        -------
        PhaseSpaceDensity

        Raises
        ------
        InputError
            An initial density outside the grid or of the wrong shape; times negative or not ascending.
        """
        times = check_times(times)
        start, notices = initial_density((self.grid,), initial)
        notices = self.warnings + notices
        if method not in (None, "modes", "particles"):
            raise InputError(f'method is "modes" or "particles"; got {method!r}.')
        if method == "modes" and self.grid.absorbing:
            raise InputError("Modes cannot show absorbing ends; leave the method to itself, or use particles.")
        axis = self._momentum_axis(start, momentum)
        spread = None if momentum is None else initial_density((axis,), momentum)[0] * axis.width
        if method == "particles" or self.grid.absorbing:
            return self._by_particles(start, spread, axis, times, notices, progress, n_particles)
        with one_blas_thread():
            run, modes, resolved = self._solve(start, times, progress, method == "modes", self._levels_of(spread, axis))
            if resolved or method == "modes":
                return self._result(run, modes, times, axis, notices)
        doubt = Notice(
            "phase_space_resolution",
            f"The density is finer, or further from equilibrium, than {modes.count} modes can show, so it was sampled by "
            f"{n_particles} particles instead and is noisy. A broader initial density inside the wells, or more friction, "
            "can be solved exactly.",
        )
        return self._by_particles(start, spread, axis, times, (*notices, doubt), progress, n_particles)

    def _by_particles(self, start, spread, axis, times, notices, progress, n_particles):
        """The same equation by its sample paths: positive, right at any wall, with the noise of a histogram."""
        momenta = None
        if spread is not None:
            generator = np.random.default_rng(PARTICLE_SEED)
            cells = np.searchsorted(np.cumsum(spread) / spread.sum(), generator.random(n_particles))
            momenta = axis.lower + axis.width * (cells + generator.random(n_particles))[:, None]
        ensemble = Langevin.from_equation(self).sample(
            n_particles, times, start, momenta=momenta, seed=PARTICLE_SEED, progress=progress
        )
        edges = [self.grid.edges, axis.edges]
        values = np.empty((len(times), self.grid.n_cells, axis.n_cells))
        for k in range(len(times)):
            alive = np.isfinite(ensemble.positions[k, :, 0])
            # the few beyond the last momentum shown are counted in the last cell
            momentum = np.clip(ensemble.momenta[k, alive, 0], axis.lower, axis.upper)
            counts, *_ = np.histogram2d(ensemble.positions[k, alive, 0], momentum, bins=edges)
            values[k] = counts / (n_particles * self.grid.width * axis.width)
        diagnostics = {
            "scheme": "particles",
            "n_particles": n_particles,
            "timestep": ensemble.timestep,
            "probability_drift": None
            if self.grid.absorbing
            else float(np.abs(values.sum(axis=(1, 2)) * self.grid.width * axis.width - 1.0).max()),
            "lowest": 0.0,
            "clipped": 0.0,
        }
        return PhaseSpaceDensity(times, values, self.grid, axis, self.mass, self.temperature, diagnostics, notices)

    def _levels_of(self, spread, axis):
        """Mean of each Hermite function over a density of P (n_levels,); that of the Maxwellian is (1, 0, 0, ...)."""
        if spread is None:
            return np.eye(1, LEVEL_COUNTS[-1])[0]
        return hermite_functions(LEVEL_COUNTS[-1], axis.centres / self.thermal_momentum) @ (spread / spread.sum())

    def _solve(self, start, times, progress, forced=False, levels=None):
        modes, first = self._choose_modes(start)
        if progress is not None:
            progress(0.0, "Fokker-Planck equation")
        fit = float(np.abs(modes.root * (modes.cells @ first) / self.grid.width - start).max() / start.max())
        if fit > 100.0 * FIT and not forced:
            return None, modes, False  # what starts wrong stays wrong
        mode_index = MODE_COUNTS.index(modes.count) if modes.count in MODE_COUNTS else len(MODE_COUNTS)
        level_index = self._first_level_index()
        if levels is not None:
            # a density of P that is not Maxwellian asks for its own levels
            needed = np.flatnonzero(np.abs(levels) > TAIL)[-1] + 3
            fitting = [k for k, count in enumerate(LEVEL_COUNTS) if count >= needed]
            level_index = max(level_index, fitting[0] if fitting else len(LEVEL_COUNTS) - 1)
        while True:
            coefficients = np.zeros((LEVEL_COUNTS[level_index], modes.count))
            if levels is None:
                coefficients[0] = first
            else:
                share = levels[: len(coefficients), None]
                coefficients[0::2] = share[0::2] * first
                if np.abs(levels[1:]).max() > 0.0:
                    coefficients[1::2] = share[1::2] * project_odd(modes, start * self.grid.width)
            # no need to finish what has to be repeated with more modes, or by particles
            can_grow = mode_index + 1 < len(MODE_COUNTS)
            highest = np.inf if forced else 10.0
            limits = (highest * TAIL, MODE_TAIL if can_grow else highest * MODE_TAIL)
            run = march_modes(
                modes,
                self.thermal_velocity,
                coefficients,
                times,
                self._first_step(start),
                limits,
                progress,
                (TAIL, LEVEL_COUNTS[level_index + 1 :]),
                self._steppers.setdefault(modes.count, {}),
            )
            level_index = LEVEL_COUNTS.index(run.coefficients.shape[1])
            if run.mode_tail <= MODE_TAIL or not can_grow:
                break
            mode_index += 1
            modes = self._position_modes(MODE_COUNTS[mode_index])
            first = project(modes, start * self.grid.width)
        return run, modes, fit <= 10.0 * FIT and max(run.level_tail / TAIL, run.mode_tail / MODE_TAIL) <= 10.0

    def release(self):
        """Give back the memory of what is kept for the next `evolve` (up to 100 MB for a number of levels), which then takes twice as long."""
        self._steppers.clear()

    def _choose_modes(self, start):
        for count in MODE_COUNTS:
            modes = self._position_modes(count)
            first = project(modes, start * self.grid.width)
            error = np.abs(modes.root * (modes.cells @ first) - start * self.grid.width).max()
            if error <= FIT * start.max() * self.grid.width or modes.count == self.grid.n_cells:
                break
        return modes, first

    def _first_level_index(self):
        """Few levels where friction leaves nothing of the momentum's memory, more where it flies freely."""
        flight = self.thermal_velocity * self.mass / float(self.cell_friction.min())
        length = self._length()
        ratio = flight / length
        return 0 if ratio < 0.05 else 1 if ratio < 0.2 else 2 if ratio < 0.5 else 3

    def _length(self):
        """Width of the equilibrium density, nm."""
        weights = np.exp(-np.minimum(self.landscape.gradient_part().energy, 700.0))
        weights /= weights.sum()
        mean = weights @ self.grid.centres
        return float(np.sqrt(weights @ (self.grid.centres - mean) ** 2))

    def _first_step(self, start):
        """A time in which nothing that matters changes by much: crossing the initial density's width."""
        weights = start * self.grid.width
        mean = weights @ self.grid.centres
        width = np.sqrt(max(weights @ (self.grid.centres - mean) ** 2, self.grid.width**2))
        # the narrowest structure: the standard deviation, or where the density has several peaks, its participation
        width = min(width, 1.0 / float((weights**2).sum() / self.grid.width) / 3.5)
        return 0.25 * max(width, self.grid.width) / self.thermal_velocity

    def _momentum_axis(self, start, momentum=None):
        if self.given_momentum_grid is not None:
            return self.given_momentum_grid
        energy = self.landscape.energy
        occupied = start > 1e-4 * start.max()
        drop = float(energy[occupied].max() - energy.min())
        reach = (REACH + min(np.sqrt(2.0 * drop), 8.0)) * self.thermal_momentum
        if isinstance(momentum, tuple | list) and len(momentum) == 3 and not isinstance(momentum[1], str):
            reach = max(reach, abs(float(momentum[1])) + 5.0 * float(momentum[2]))
        return Grid(-reach, reach, 2 * int(np.ceil(reach / self.thermal_momentum / 0.16)))

    def _result(self, run, modes, times, axis, notices):
        diagnostics = {
            "scheme": "modes",
            "n_modes": modes.count,
            "n_hermite": run.coefficients.shape[1],
            "n_steps": run.n_steps,
            "level_tail": run.level_tail,
            "mode_tail": run.mode_tail,
        }
        return ModalDensity(
            times, run.coefficients, modes, self.grid, axis, self.mass, self.temperature, self.thermal_momentum,
            diagnostics, notices,
        )  # fmt: skip

    def fan(self, initial, times, *, frictions=None, mean_forces=None, potentials=None, progress=None, **options):
        """R-marginals for samples of uncertain coefficients: what the error of θ or f^th means for W.

        Parameters
        ----------
        initial, times
            As for `evolve`.
        frictions, mean_forces, potentials : sequence, optional
            One entry per sample, each as the constructor takes it; what is not given stays as it is. Two sequences are drawn
            together, entry by entry.
        progress : callable, optional
        **options
            Of `evolve`.

        Returns
        -------
        DensityFan
            Of the marginal in R.
        """
        samples = drawn_together(
            {"friction": frictions, "mean_force": mean_forces, "potential": potentials}, "fan takes frictions"
        )
        fixed = {"friction": self.friction, "mean_force": self.mean_force, "potential": self.potential}
        if "mean_force" in samples[0] or "potential" in samples[0]:
            fixed["mean_force"] = fixed["potential"] = None
        members = []
        for k, sample_of in enumerate(samples):
            member = type(self)(
                self.grid,
                self.mass,
                temperature=self.temperature,
                momentum_grid=self.given_momentum_grid,
                **(fixed | sample_of),
            )
            density = member.evolve(initial, times, **options).marginal("position")
            members.append(replace(density, diagnostics={}))  # which would hold on to the phase space
            if progress is not None:
                progress((k + 1) / len(samples), "Densities for sampled coefficients")
        return DensityFan.of(members)

    def equilibrium(self, momentum_grid=None):
        """Boltzmann density times Maxwellian, normalised; ndarray (n_R, n_P)."""
        axis = momentum_grid or self._momentum_axis(np.exp(-self.landscape.energy))
        position = np.exp(-np.minimum(self.landscape.energy, 745.0))
        momentum = np.exp(-0.5 * (axis.centres / self.thermal_momentum) ** 2)
        joint = np.outer(position, momentum)
        return joint / (joint.sum() * self.grid.width * axis.width)

    def __repr__(self):
        return f"FokkerPlanck({self.grid}, mass={self.mass:g}, temperature={self.temperature:g})"


def _positive(name, value, unit):
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number) or number <= 0.0:
        raise InputError(f"{name} must be a positive number in {unit}; got {value!r}.")
    return number
