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
        set_(self, "_coefficients", coefficients)
        set_(self, "_modes", modes)
        set_(self, "_thermal_momentum", thermal_momentum)
        position = coefficients[:, 0] @ (modes.even / grid.width).T
        drift = float(np.abs(position.sum(axis=1) * grid.width - 1.0).max())
        set_(self, "_position", _clip_rows(position, grid.width))
        known = {"times": times, "grid": grid, "momentum_grid": momentum_grid, "mass": mass, "temperature": temperature}
        for name, value in known.items():
            set_(self, name, value)
        late = _LateDict({**diagnostics, "probability_drift": drift}, ("lowest", "clipped"), lambda: self._made[1])
        set_(self, "diagnostics", late)
        set_(self, "warnings", tuple(warnings))

    @cached_property
    def _shapes(self):
        """Maxwellian times Hermite functions, shape (n_levels, n_P)."""
        momentum = self.momentum_grid.centres / self._thermal_momentum
        maxwellian = np.exp(-0.5 * momentum**2)
        maxwellian /= maxwellian.sum() * self.momentum_grid.width
        return maxwellian * hermite_functions(self._coefficients.shape[1], momentum)

    def _raw(self, frames):
        """Frames before what the modes leave below zero is cut off."""
        coefficients, modes, width = self._coefficients[frames], self._modes, self.grid.width
        levels = np.empty((*coefficients.shape[:2], self.grid.n_cells))
        levels[:, 0::2] = coefficients[:, 0::2] @ (modes.even / width).T
        levels[:, 1::2] = coefficients[:, 1::2] @ (modes.odd / width).T
        return np.matmul(np.swapaxes(levels, 1, 2), self._shapes)

    def _positive(self, values, frames):
        """Clipped at zero and rescaled, place by place, to the exact marginal of R."""
        np.maximum(values, 0.0, out=values)
        totals = values.sum(axis=2) * self.momentum_grid.width
        scale = np.where(totals > 0.0, self._position[frames] / np.where(totals > 0.0, totals, 1.0), 0.0)
        values *= scale[:, :, None]
        return values

    @cached_property
    def _made(self):
        values = np.empty((len(self.times), self.grid.n_cells, self.momentum_grid.n_cells))
        lowest, clipped = np.inf, 0.0
        for first in range(0, len(values), BLOCK):
            frames = slice(first, first + BLOCK)
            raw = self._raw(frames)
            lowest = min(lowest, float((raw.min(axis=(1, 2)) / raw.max(axis=(1, 2))).min()))
            clipped = max(clipped, float(-np.minimum(raw, 0.0).sum(axis=(1, 2)).min() * self.cell_volume))
            values[frames] = self._positive(raw, frames)
        return values, {"lowest": lowest, "clipped": clipped}

    @cached_property
    def values(self):
        """All frames, shape (n_times, n_R, n_P), 1/(nm · u nm/ps); made at the first call."""
        return self._made[0]

    def frame(self, index):
        """W(R, P) at one time; ndarray (n_R, n_P)."""
        if "_made" in self.__dict__:
            return self.values[index]
        frames = slice(index, index + 1) if index != -1 else slice(-1, None)
        return self._positive(self._raw(frames), frames)[0]

    def marginal(self, axis):
        """W of position or of momentum alone: see `PhaseSpaceDensity.marginal`."""
        if axis != "position":
            return super().marginal(axis)
        return ReducedDensity(self.times, self._position, self.grid, self.temperature, self.diagnostics, self.warnings)

    @classmethod
    def from_dict(cls, document):
        """What was stored are frames, whatever they were made from."""
        return PhaseSpaceDensity.from_dict(document)


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
