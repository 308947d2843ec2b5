"""All correlation functions of one series that the estimators ask for, each computed when first asked."""

from functools import cached_property
from itertools import pairwise

import numpy as np

from .correlation import n_blocks_for, pair_counts, stacked_means
from .kernels.correlation import even_sums, fits, odd_sums, pair_sums, spectrum_of
from .uncertainty import block_bounds

__all__ = ["Correlators"]


class Correlators:
    """Correlation functions of all data, followed by those with one group left out.

    Every array has shape (1 + n_groups, d, d, n_lags) or (1 + n_groups, d, d): d is 3, or 1 where the axes are
    averaged and each axis of each group is a group of its own. Time reversal makes all of them
    symmetric in the axes, so both halves are used.

    Parameters
    ----------
    timestep : float, ps
    n_lags : int
    mass : float, u
    momentum, force, mean_force, position : ndarray, shape (n_replicas, n_frames, 3), or None
    axes_as_groups : bool
    momentum_spectrum : ndarray, optional
        From `spectrum_of`; used where it was made for as many lags.
    before : Correlators, optional
        Of the same series with another mean force or other lags: what is the same there is not computed again.
    """

    def __init__(
        self,
        timestep,
        n_lags,
        *,
        mass=1.0,
        momentum=None,
        force=None,
        mean_force=None,
        position=None,
        axes_as_groups=False,
        momentum_spectrum=None,
        before=None,
    ):
        self.timestep, self.n_lags, self.mass, self.axes_as_groups = timestep, n_lags, mass, axes_as_groups
        some = next(values for values in (momentum, force, position) if values is not None)
        self.n_replicas, self.n_frames, _ = some.shape
        self.n_blocks = n_blocks_for(self.n_replicas, self.n_frames)
        self._momentum, self._force, self._position = momentum, force, position
        self._spectrum_at_hand = momentum_spectrum
        self._has_field = mean_force is not None
        self._fluctuating = force if mean_force is None else force - mean_force
        self._inherit(before)

    def _inherit(self, before):
        """Take over what another one has computed from the same P and F."""
        if before is None or before.axes_as_groups != self.axes_as_groups:
            return
        kept = ["force_norm", "momentum_norm"]
        if before.n_lags == self.n_lags:
            kept += ["momentum", "derivative", "displacement", "_momentum_spectrum", "_force_spectrum"]
        self.__dict__.update({name: before.__dict__[name] for name in kept if name in before.__dict__})

    # -- what the estimators use -----------------------------------------------------------------------

    @cached_property
    def momentum(self):
        """⟨P(0)P(s)⟩."""
        return self._even(self._momentum, "_momentum_spectrum")

    @cached_property
    def force(self):
        """⟨δF(0)δF(s)⟩, what is left of the mean taken off as well."""
        return self._even(self._centred, None)

    @cached_property
    def derivative(self):
        """Ċ_P(s) = ½[⟨F(s)P(0)⟩ − ⟨P(s)F(0)⟩]."""
        return self._odd(self._force, "_force_spectrum")

    @cached_property
    def drift(self):
        """C_δ(s), the same with δF in place of F."""
        return self._odd(self._fluctuating, None) if self._has_field else self.derivative

    @cached_property
    def momentum_norm(self):
        """⟨PP⟩(0)."""
        return self.momentum[..., 0]

    @cached_property
    def force_norm(self):
        """⟨FF⟩(0)."""
        return self._equal_time(self._force, self._force)

    @cached_property
    def cross_norm(self):
        """⟨δF F⟩(0)."""
        return self._equal_time(self._fluctuating, self._force) if self._has_field else self.force_norm

    @cached_property
    def displacement(self):
        """⟨ΔR ΔR⟩(s), nm²: Σ over pairs of both squares less twice the correlation, all in O(n log n)."""
        # relative to each run's start, so that no large number is subtracted from another
        position = self._position - self._position[:, :1]
        n, bounds = self.n_frames, block_bounds(self.n_frames, self.n_blocks)
        one = np.ascontiguousarray(position.transpose(0, 2, 1))
        cross = pair_sums(one, one, self.n_lags, bounds)
        squares = one[:, :, None, :] * one[:, None, :, :]
        total = np.concatenate([np.zeros((*squares.shape[:3], 1)), np.cumsum(squares, axis=-1)], axis=-1)
        lags = np.arange(self.n_lags)
        sums = np.empty(cross.shape)
        for k, (start, stop) in enumerate(pairwise(bounds)):
            last = np.clip(n - lags, start, stop)
            own = total[..., last] - total[..., start, None]
            later = total[..., np.minimum(last + lags, n)] - total[..., np.minimum(start + lags, n)]
            sums[:, k] = own + later - cross[:, k] - cross[:, k].swapaxes(1, 2)
        return self._stacked(sums)

    @property
    def momentum_series(self):
        """P, shape (n_replicas, 3, n_frames)."""
        return _by_axis(self._momentum)

    # -- how -------------------------------------------------------------------------------------------

    @cached_property
    def _centred(self):
        return self._fluctuating - self._fluctuating.mean(axis=(0, 1))

    @cached_property
    def _momentum_spectrum(self):
        if self._spectrum_at_hand is not None and fits(self._spectrum_at_hand, self.n_frames, self.n_lags):
            return self._spectrum_at_hand
        return spectrum_of(_by_axis(self._momentum), self.n_lags)

    @cached_property
    def _force_spectrum(self):
        return spectrum_of(_by_axis(self._force), self.n_lags)

    def _even(self, values, spectrum):
        if self.n_blocks == 1:
            spectrum = getattr(self, spectrum) if spectrum else spectrum_of(_by_axis(values), self.n_lags)
            return self._stacked(even_sums(spectrum, self.n_frames, self.n_lags))
        one = _by_axis(values)
        return self._stacked(_symmetric(pair_sums(one, one, self.n_lags, self._bounds)))

    def _odd(self, change, spectrum):
        if self.n_blocks == 1:
            spectrum = getattr(self, spectrum) if spectrum else spectrum_of(_by_axis(change), self.n_lags)
            return self._stacked(odd_sums(self._momentum_spectrum, spectrum, self.n_frames, self.n_lags))
        momentum, change = _by_axis(self._momentum), _by_axis(change)
        forward = pair_sums(momentum, change, self.n_lags, self._bounds)
        backward = pair_sums(change, momentum, self.n_lags, self._bounds)
        return self._stacked(_symmetric(0.5 * (forward - backward)))

    def _equal_time(self, first, second):
        blocks = [first[:, s:e].transpose(0, 2, 1) @ second[:, s:e] for s, e in pairwise(self._bounds)]
        sums = _symmetric(np.stack(blocks, axis=1)[..., None])
        return self._stacked(sums)[..., 0]

    @property
    def _bounds(self):
        return block_bounds(self.n_frames, self.n_blocks)

    def _stacked(self, sums):
        n_lags = sums.shape[-1]
        counts = pair_counts(self.n_replicas, self.n_frames, n_lags, self.n_blocks)
        return stacked_means(sums.reshape(-1, 3, 3, n_lags), counts, self.axes_as_groups)


def _by_axis(values):
    """(n_replicas, n_frames, 3) as contiguous (n_replicas, 3, n_frames)."""
    return np.ascontiguousarray(values.transpose(0, 2, 1))


def _symmetric(sums):
    return 0.5 * (sums + sums.swapaxes(-3, -2))
