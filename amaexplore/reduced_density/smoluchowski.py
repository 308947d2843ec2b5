"""Equation (29): the density of a nanoparticle's position when its momentum is fast."""

from functools import cached_property

import numpy as np

from ..errors import InputError, Notice
from .density import DensityFan, ReducedDensity, drawn_together
from .driven import depends_on_time, propagate_driven
from .force_field import sample_force, sample_potential
from .generator import generator
from .grid import as_grids
from .initial import check_times, initial_density
from .landscape import RELEVANT, WARN_STEP, check_temperature, coefficient_on_faces, landscape
from .passage import Passage
from .phase_space_basis import symmetric_modes
from .projection import gradient_energy
from .propagation import propagate
from .splitting import axis_generators, propagate_split
from .tensor import diagonal_generators, sample_tensor

__all__ = ["Smoluchowski"]

LOST = 1e-6


class Smoluchowski:
    """∂_t W = ∂_R·[ D (∂_R − β f^th) W ], equation (29) in raw units, D = γ/m².

    Parameters
    ----------
    grid : Grid, or tuple of Grid for two or three axes
    diffusion : float, ndarray on the cells, or callable of the positions, nm²/ps
        D. Where it varies it stands between the derivatives, as in (29).
    mean_force : float, ndarray on the cells, or callable, kJ/mol/nm, optional
        f^th: the drift is βD f^th, so a positive force drives towards larger R. A callable of position and time (ps) is a
        force that depends on time, along one axis; `evolve` then follows it, and nothing is stationary.
    potential : float, ndarray on the cells, or callable, kJ/mol, optional
        U with f^th = −∂U/∂R, instead of ``mean_force``. Neither of the two: no force.
        With several axes: callables get one position array per axis; ``diffusion`` may also be one number or array
        per axis, or a symmetric tensor of shape (d, d) or (d, d, *cells), mixed components included; ``mean_force`` is one array per axis (or a callable that returns them), of which the part that is
        the gradient of a potential is kept and the rest reported.
    temperature : float, K

    Attributes
    ----------
    warnings : tuple of Notice
        What is doubtful about the set-up itself, such as a landscape too steep for the cells.

    Raises
    ------
    InputError
        Coefficients of the wrong shape, sign or not finite; a potential too steep for the grid.

    Notes
    -----
    Space: flux of the exact steady solution between centres, second order, Boltzmann stationary face by face.
    Time: see `amaexplore.reduced_density.propagation`. Both keep probability to rounding and the density positive.

    Examples
    --------
    >>> from amaexplore import Grid, Smoluchowski
    >>> free = Smoluchowski(Grid(-5.0, 5.0, 400), diffusion=0.02, temperature=300.0)
    >>> w = free.evolve(("gaussian", 0.0, 0.2), [10.0])
    >>> round(float(w.variance[0]), 6)  # 0.2² + 2 D t
    0.44
    """

    def __init__(self, grid, diffusion, *, mean_force=None, potential=None, temperature):
        self.grids = as_grids(grid)
        self.grid = self.grids[0] if len(self.grids) == 1 else self.grids
        self.temperature = check_temperature(temperature)
        self.diffusion, self.mean_force, self.potential = diffusion, mean_force, potential
        self.driven = depends_on_time(mean_force, len(self.grids))
        if self.driven and len(self.grids) > 1:
            raise InputError(
                f"A force that depends on time is available along one axis; this equation has {len(self.grids)}."
            )
        if len(self.grids) == 1:
            at_start = (lambda position: mean_force(position, 0.0)) if self.driven else mean_force
            self.landscape = landscape(self.grid, at_start, potential, self.temperature)
            self.face_diffusion = coefficient_on_faces("diffusion", diffusion, self.grid, "nm²/ps")
            self.generator = generator(self.landscape, self.face_diffusion)
            self.warnings = self.landscape.warnings
        else:
            self._set_up_axes(diffusion, mean_force, potential)

    def _set_up_axes(self, diffusion, mean_force, potential):
        if mean_force is not None and potential is not None:
            raise InputError("Give either mean_force or potential, not both: they say the same thing twice.")
        self.warnings, self.removed_force = (), 0.0
        if mean_force is not None:
            projection = gradient_energy(self.grids, sample_force(self.grids, mean_force), self.temperature)
            self.energy, self.removed_force = projection.energy, projection.removed
            self.warnings = projection.warnings
        else:
            self.energy = sample_potential(self.grids, 0.0 if potential is None else potential, self.temperature)
        self.energy = self.energy - self.energy.min()
        self.warnings += _check_axes(self.grids, self.energy)
        tensor = sample_tensor(self.grids, diffusion)
        diagonals, along = [], None
        if tensor is None:
            along = _axis_diffusion(self.grids, diffusion)
        else:
            diagonals, along = diagonal_generators(self.grids, self.energy, tensor)
        self.axis_generators = axis_generators(self.grids, self.energy, along) + diagonals

    def evolve(self, initial, times, *, scheme=None, progress=None):
        """The density at all ``times``.

        Parameters
        ----------
        initial : ndarray of cell values, callable, or ("gaussian", mean, std)
            Normalised to one.
        times : array_like, ps
            Ascending; the initial density holds at time zero.
        scheme : str, optional
            See `propagation.propagate`; one axis only.
        progress : callable, optional

        Returns
        -------
        ReducedDensity

        Raises
        ------
        InputError
            An initial density outside the grid or of the wrong shape; times negative or not ascending.
        """
        times = check_times(times)
        start, notices = initial_density(self.grids, initial)
        if len(self.grids) > 1:
            return self._evolve_axes(start, times, notices, progress)
        if self.driven:
            values, diagnostics = propagate_driven(
                self.grid, self.mean_force, self.face_diffusion, self.temperature, start, times, progress
            )
        else:
            values, diagnostics = propagate(self.generator, start, times, scheme)
        probability = values.sum(axis=1) * self.grid.width
        diagnostics["probability_drift"] = float(np.abs(probability - 1.0).max()) if self.generator.conserves else None
        return ReducedDensity(
            times, values, self.grid, self.temperature, diagnostics, self.warnings + notices + self._reach(values)
        )

    def _evolve_axes(self, start, times, notices, progress):
        values, diagnostics = propagate_split(self.axis_generators, start, times, progress)
        volume = float(np.prod([axis.width for axis in self.grids]))
        if not any(axis.absorbing for axis in self.grids):
            totals = values.reshape(len(times), -1).sum(axis=1) * volume
            diagnostics["probability_drift"] = float(np.abs(totals - 1.0).max())
        if self.removed_force:
            diagnostics["removed_force"] = self.removed_force
        return ReducedDensity(times, values, self.grids, self.temperature, diagnostics, self.warnings + notices)

    def _constant(self, what):
        if self.driven:
            raise InputError(f"The force depends on time, so {what} has no meaning here; evolve follows the density.")

    def _one_axis(self, what):
        self._constant(what)
        if len(self.grids) > 1:
            raise InputError(f"{what} is available along one axis; this equation has {len(self.grids)}.")

    def _reach(self, values):
        """Say when an artificial wall has been reached: a closed end where nothing in the landscape stops the density."""
        if self.grid.periodic or self.grid.absorbing:
            return ()
        last = values[-1] / values[-1].max()
        ends = [name for name, value in (("lower", last[0]), ("upper", last[-1])) if value > 1e-3]
        if not ends:
            return ()
        return (
            Notice(
                "at_the_wall",
                f"The density has reached the {' and the '.join(ends)} end of the grid, where a reflecting wall stands; "
                "a wider grid shows what happens without it.",
                "info",
            ),
        )

    def equilibrium(self):
        """The stationary density: exp(−U/k_BT) normalised, or on a ring the one that carries the current.

        Returns
        -------
        ndarray of the cells' shape, 1/nm^d

        Raises
        ------
        InputError
            Ends absorb: everything is lost in the end.
        """
        self._constant("an equilibrium")
        lossy = any(axis.absorbing for axis in self.grids)
        if len(self.grids) > 1 and not lossy:
            weights = np.exp(-np.minimum(self.energy, 745.0))
            return weights / (weights.sum() * float(np.prod([axis.width for axis in self.grids])))
        if lossy:
            raise InputError(
                "With absorbing ends everything is lost in the end and nothing is stationary; ask relaxation_rates(1) "
                "for the rate of loss, or use reflecting ends."
            )
        return self.generator.equilibrium.copy()

    def relaxation_rates(self, k=5):
        """The k slowest rates at which W approaches equilibrium (or is lost through absorbing ends), 1/ps.

        The zero of the equilibrium is not among them. Rates far below 1/(time to cross a cell), as those of passage
        over high barriers, come with full relative accuracy. A ring with a current has complex ones.

        Parameters
        ----------
        k : int

        Returns
        -------
        ndarray, shape (k,), 1/ps

        Raises
        ------
        InputError
            More rates than cells, or none.
        """
        self._one_axis("relaxation_rates")
        most = self.grid.n_cells - int(self.generator.conserves)
        if k != int(k) or not 1 <= k <= most:
            raise InputError(f"relaxation_rates takes 1 to {most} on this grid; got {k!r}.")
        return self.generator.rates(int(k))

    def relaxation_modes(self, k=4):
        """The k slowest modes: W(R, t) = W_eq + Σ_k c_k φ_k(R) exp(−λ_k t).

        Parameters
        ----------
        k : int

        Returns
        -------
        rates : ndarray, shape (k,), 1/ps
            λ, as `relaxation_rates` gives them.
        modes : ndarray, shape (k, n_cells), 1/nm
            φ, scaled so that ∫|φ| dR = 1; each sums to zero unless ends absorb.

        Raises
        ------
        InputError
            On a ring with a current, where modes come in complex pairs.
        """
        rates = self.relaxation_rates(k)
        if np.iscomplexobj(rates) and np.abs(rates.imag).max() > 0.0:
            raise InputError(
                "On a ring with a current the modes come in complex pairs; only relaxation_rates has them."
            )
        keep = int(self.generator.conserves)
        shapes = symmetric_modes(self.generator, int(k) + keep)[:, keep:].T
        modes = shapes * np.exp(-0.5 * np.minimum(self.generator.energy, 700.0))
        modes /= np.abs(modes).sum(axis=1, keepdims=True) * self.grid.width
        # an eigenvector's sign means nothing: the right-hand side up
        modes *= np.where(modes @ (self.grid.centres - self.grid.centres.mean()) < 0.0, -1.0, 1.0)[:, None]
        return np.real(rates), modes

    @cached_property
    def _passage(self):
        return Passage(self.landscape, self.face_diffusion)

    def mean_first_passage_time(self, target, start=None):
        """Mean time until the particle first reaches ``target`` (or is absorbed at an end), ps.

        Parameters
        ----------
        target : float or (float, float), nm
            A place, or the two ends of a stretch.
        start : float or array_like, nm, optional
            Where it begins; default the centres of all cells.

        Returns
        -------
        ndarray of the starts' shape, ps; float for one start
        """
        self._one_axis("mean_first_passage_time")
        return self._passage.mean_time(target, start)

    def committor(self, first, second, start=None):
        """Probability to reach ``second`` before ``first``.

        Parameters
        ----------
        first, second : float, nm
        start : float or array_like, nm, optional
            Default the centres of all cells.

        Returns
        -------
        ndarray of the starts' shape, 0 to 1; float for one start
            Beyond the two places, 0 on the side of ``first`` and 1 on that of ``second``.
        """
        self._one_axis("committor")
        return self._passage.committor(first, second, start)

    def survival(self, initial, times, target=None):
        """Probability that ``target`` has not been reached (and no absorbing end either) by each time.

        Parameters
        ----------
        initial, times
            As for `evolve`.
        target : float, nm, optional
            A place inside the grid; what starts in its cell counts as having arrived. Without it, the grid's own
            absorbing ends alone.

        Returns
        -------
        ndarray, shape (n_times,), 0 to 1
        """
        self._one_axis("survival")
        times = check_times(times)
        start, _ = initial_density(self.grids, initial)
        if target is None:
            return propagate(self.generator, start, times)[0].sum(axis=1) * self.grid.width
        cell = self.grid.cell_of(target)
        cut = self.generator.without(cell)
        start[cell] = 0.0
        return propagate(cut, start, times)[0].sum(axis=1) * self.grid.width

    def fan(self, initial, times, *, diffusions=None, mean_forces=None, potentials=None, progress=None):
        """Densities for samples of uncertain coefficients: what the error of γ, θ or f^th means for W.

        Parameters
        ----------
        initial, times
            As for `evolve`.
        diffusions, mean_forces, potentials : sequence, optional
            One entry per sample, each as the constructor takes it; what is not given stays as it is. Two sequences
            are drawn together, entry by entry.
        progress : callable, optional

        Returns
        -------
        DensityFan
        """
        samples = drawn_together(
            {"diffusion": diffusions, "mean_force": mean_forces, "potential": potentials}, "fan takes diffusions"
        )
        fixed = {"diffusion": self.diffusion, "mean_force": self.mean_force, "potential": self.potential}
        if "mean_force" in samples[0] or "potential" in samples[0]:
            fixed["mean_force"] = fixed["potential"] = None
        members = []
        for k, chosen in enumerate(samples):
            members.append(
                type(self)(self.grid, temperature=self.temperature, **(fixed | chosen)).evolve(initial, times)
            )
            if progress is not None:
                progress((k + 1) / len(samples), "Densities for sampled coefficients")
        return DensityFan.of(members)

    def stationary_current(self):
        """Probability current round a ring in its stationary state, turns per ps; zero on a line."""
        self._one_axis("stationary_current")
        return self.generator.stationary_current

    def __repr__(self):
        return f"Smoluchowski({self.grid}, temperature={self.temperature:g})"


def _axis_diffusion(grids, diffusion):
    """D along each axis at the centres."""
    shape = tuple(axis.n_cells for axis in grids)
    if callable(diffusion):
        diffusion = diffusion(*np.meshgrid(*(axis.centres for axis in grids), indexing="ij"))
    try:
        array = np.asarray(diffusion, dtype=float)
        if array.shape == (len(grids),):
            array = array.reshape(-1, *[1] * len(grids))
        per_axis = np.array(np.broadcast_to(array, (len(grids), *shape)))
    except (TypeError, ValueError):
        raise InputError(
            f"diffusion is a number, one per axis, or values of shape {shape} on the cells; got shape {np.shape(diffusion)}."
        ) from None
    if not np.isfinite(per_axis).all() or per_axis.min() <= 0.0:
        raise InputError(
            f"diffusion must be positive and finite everywhere, in nm²/ps; its lowest value is {per_axis.min():.4g}."
        )
    return list(per_axis)


def _check_axes(grids, energy):
    worst = 0.0
    for a in range(len(grids)):
        u = np.moveaxis(energy, a, 0)
        step, relevant = np.abs(np.diff(u, axis=0)), u < RELEVANT
        pairs = relevant[1:] & relevant[:-1]
        worst = max(worst, float(step[pairs].max(initial=0.0)))
    if worst <= WARN_STEP:
        return ()
    return (
        Notice(
            "steep_potential",
            f"The energy changes by up to {worst:.3g} k_BT from one cell to the next (cell Péclet number; at most "
            f"{WARN_STEP:g} wanted): use smaller cells.",
        ),
    )
