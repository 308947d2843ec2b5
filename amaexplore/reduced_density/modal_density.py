"""W(R, P, t) kept as coefficients of modes: frames are made when somebody looks at them."""

from functools import cached_property

import numpy as np

from .density import PhaseSpaceDensity, ReducedDensity
from .phase_space_basis import hermite_functions

__all__ = ["ModalDensity"]

BLOCK = 16  # frames made at a time: their levels stay in the cache


class ModalDensity(PhaseSpaceDensity):
    """A `PhaseSpaceDensity` whose ``values`` are made from modes when first asked for.

    The marginal of R, which is what is looked at most, costs none of them; `frame` makes one.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
    coefficients : ndarray, shape (n_times, n_levels, n_modes)
    modes : PositionModes
    grid, momentum_grid : Grid
    mass : float, u
    temperature : float, K
    thermal_momentum : float, u nm/ps
    diagnostics : dict
        ``lowest`` and ``clipped`` are added when all frames are there, or when they are asked for.
    warnings : tuple of Notice
    """

    def __init__(
        self,
        times,
        coefficients,
        modes,
        grid,
        momentum_grid,
        mass,
        temperature,
        thermal_momentum,
        diagnostics,
        warnings,
    ):
        set_ = object.__setattr__
        frames = _Frames(coefficients, modes, grid, momentum_grid, thermal_momentum)
        drift = float(np.abs(frames.unclipped.sum(axis=1) * grid.width - 1.0).max())
        known = {"times": times, "grid": grid, "momentum_grid": momentum_grid, "mass": mass, "temperature": temperature}
        for name, value in known.items():
            set_(self, name, value)
        set_(self, "_frames", frames)
        late = _LateDict({**diagnostics, "probability_drift": drift}, ("lowest", "clipped"), lambda: frames.made[1])
        set_(self, "diagnostics", late)
        set_(self, "warnings", tuple(warnings))

    @cached_property
    def values(self):
        """All frames, shape (n_times, n_R, n_P), 1/(nm · u nm/ps); made at the first call."""
        return self._frames.made[0]

    def frame(self, index):
        """W(R, P) at one time; ndarray (n_R, n_P)."""
        return self._frames.one(index)

    def marginal(self, axis):
        """W of position or of momentum alone: see `PhaseSpaceDensity.marginal`."""
        if axis != "position":
            return super().marginal(axis)
        position = self._frames.position
        return ReducedDensity(self.times, position, self.grid, self.temperature, self.diagnostics, self.warnings)

    @classmethod
    def from_dict(cls, document):
        """What was stored are frames, whatever they were made from."""
        return PhaseSpaceDensity.from_dict(document)


class _Frames:
    """What the frames are made from; apart from the density, so that nothing refers in a circle and memory is freed at once."""

    def __init__(self, coefficients, modes, grid, momentum_grid, thermal_momentum):
        self.coefficients, self.modes, self.grid, self.momentum_grid = coefficients, modes, grid, momentum_grid
        self.thermal_momentum = thermal_momentum
        self.unclipped = coefficients[:, 0] @ (modes.even / grid.width).T
        self.position = _clip_rows(self.unclipped, grid.width)

    @cached_property
    def shapes(self):
        """Maxwellian times Hermite functions, shape (n_levels, n_P)."""
        momentum = self.momentum_grid.centres / self.thermal_momentum
        maxwellian = np.exp(-0.5 * momentum**2)
        maxwellian /= maxwellian.sum() * self.momentum_grid.width
        return maxwellian * hermite_functions(self.coefficients.shape[1], momentum)

    def raw(self, frames):
        """Frames before what the modes leave below zero is cut off."""
        coefficients, modes, width = self.coefficients[frames], self.modes, self.grid.width
        levels = np.empty((*coefficients.shape[:2], self.grid.n_cells))
        levels[:, 0::2] = coefficients[:, 0::2] @ (modes.even / width).T
        levels[:, 1::2] = coefficients[:, 1::2] @ (modes.odd / width).T
        return np.matmul(np.swapaxes(levels, 1, 2), self.shapes)

    def positive(self, values, frames):
        """Clipped at zero and rescaled, place by place, to the exact marginal of R."""
        np.maximum(values, 0.0, out=values)
        totals = values.sum(axis=2) * self.momentum_grid.width
        scale = np.where(totals > 0.0, self.position[frames] / np.where(totals > 0.0, totals, 1.0), 0.0)
        values *= scale[:, :, None]
        return values

    @cached_property
    def made(self):
        """All frames, and what was below zero in them."""
        values = np.empty((len(self.coefficients), self.grid.n_cells, self.momentum_grid.n_cells))
        volume = self.grid.width * self.momentum_grid.width
        lowest, clipped = np.inf, 0.0
        for first in range(0, len(values), BLOCK):
            frames = slice(first, first + BLOCK)
            raw = self.raw(frames)
            lowest = min(lowest, float((raw.min(axis=(1, 2)) / raw.max(axis=(1, 2))).min()))
            clipped = max(clipped, float(-np.minimum(raw, 0.0).sum(axis=(1, 2)).min() * volume))
            values[frames] = self.positive(raw, frames)
        return values, {"lowest": lowest, "clipped": clipped}

    def one(self, index):
        """One frame, cheaply unless all are there."""
        if "made" in self.__dict__:
            return self.made[0][index]
        frames = slice(index, index + 1) if index != -1 else slice(-1, None)
        return self.positive(self.raw(frames), frames)[0]


def _clip_rows(position, width):
    clipped = np.maximum(position, 0.0)
    return clipped / (clipped.sum(axis=1, keepdims=True) * width)


class _LateDict(dict):
    """A dict of which some entries are computed when they are first looked at."""

    def __init__(self, known, late, compute):
        super().__init__(known)
        self._late, self._compute = late, compute

    def _complete(self):
        compute, self._compute = self._compute, None
        if compute is not None:
            super().update(compute())
        return self

    def __missing__(self, key):
        if self._compute is None or key not in self._late:
            raise KeyError(key)
        return self._complete()[key]

    def get(self, key, default=None):
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key):
        return super().__contains__(key) or (self._compute is not None and key in self._late)

    def __iter__(self):
        return super(_LateDict, self._complete()).__iter__()

    def __len__(self):
        return super(_LateDict, self._complete()).__len__()

    def keys(self):
        return super(_LateDict, self._complete()).keys()

    def items(self):
        return super(_LateDict, self._complete()).items()

    def values(self):
        return super(_LateDict, self._complete()).values()

    def __eq__(self, other):
        return dict(self.items()) == other

    __hash__ = None

    def __repr__(self):
        return repr(dict(self.items()))

    def __reduce__(self):
        return dict, (dict(self.items()),)
