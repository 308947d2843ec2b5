"""Equation (29): the density of a nanoparticle's position when its momentum is fast."""

from functools import cached_property

import numpy as np

from ..errors import InputError, Notice
from .density import ReducedDensity
from .generator import generator
from .grid import as_grids
from .initial import check_times, initial_density
from .landscape import check_temperature, coefficient_on_faces, landscape
from .passage import Passage
from .propagation import propagate

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
        f^th: the drift is βD f^th, so a positive force drives towards larger R.
    potential : float, ndarray on the cells, or callable, kJ/mol, optional
        U with f^th = −∂U/∂R, instead of ``mean_force``. Neither of the two: no force.
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
        if len(self.grids) != 1:
            raise InputError("Several axes are not available yet; give one Grid.")
        self.grid = self.grids[0]
        self.temperature = check_temperature(temperature)
        self.landscape = landscape(self.grid, mean_force, potential, self.temperature)
        self.face_diffusion = coefficient_on_faces("diffusion", diffusion, self.grid, "nm²/ps")
        self.generator = generator(self.landscape, self.face_diffusion)
        self.warnings = self.landscape.warnings

    def evolve(self, initial, times, *, scheme=None):
        """The density at all ``times``.

        Parameters
        ----------
        initial : ndarray of cell values, callable, or ("gaussian", mean, std)
            Normalised to one.
        times : array_like, ps
            Ascending; the initial density holds at time zero.
        scheme : str, optional
            See `propagation.propagate`.

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
        values, diagnostics = propagate(self.generator, start, times, scheme)
        probability = values.sum(axis=1) * self.grid.width
        diagnostics["probability_drift"] = float(np.abs(probability - 1.0).max()) if self.generator.conserves else None
        return ReducedDensity(
            times, values, self.grid, self.temperature, diagnostics, self.warnings + notices + self._reach(values)
        )

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
        ndarray, shape (n_cells,), 1/nm

        Raises
        ------
        InputError
            Ends absorb: everything is lost in the end.
        """
        if self.generator.equilibrium is None:
            raise InputError(
                "With absorbing ends everything is lost in the end and nothing is stationary; ask relaxation_rates(1) "
                "for the rate of loss, or use reflecting ends."
            )
        return self.generator.equilibrium.copy()

    def relaxation_rates(self, k=5):
        """The k slowest rates at which W approaches equilibrium (or is lost through absorbing ends), 1/ps.

        The zero of the equilibrium is not among them. Rates far below 1/(time to cross a cell), as those of passage
        over high barriers, come with full relative accuracy. A ring with a current has complex ones.

        Returns
        -------
        ndarray, shape (k,)
        """
        most = self.grid.n_cells - int(self.generator.conserves)
        if k != int(k) or not 1 <= k <= most:
            raise InputError(f"relaxation_rates takes 1 to {most} on this grid; got {k!r}.")
        return self.generator.rates(int(k))

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
        ndarray of the starts' shape; float for one start
        """
        return self._passage.mean_time(target, start)

    def stationary_current(self):
        """Probability current round a ring in its stationary state, turns per ps; zero on a line."""
        return self.generator.stationary_current

    def __repr__(self):
        return f"Smoluchowski({self.grid}, temperature={self.temperature:g})"
