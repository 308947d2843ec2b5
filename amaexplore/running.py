"""One coefficient by one estimator, as a function of where the window ends, with its errors."""

from functools import cached_property

import numpy as np

from .coefficients import Gamma, Theta
from .green_kubo import inverse_or_nan
from .uncertainty import jackknife_std
from .units import BOLTZMANN
from .window import axes_std, propose_before_decay, propose_maximum, propose_plateau

__all__ = ["RESULTS", "UNITS", "RunningCurve"]

RESULTS = {"gamma": Gamma, "theta": Theta}
UNITS = {"gamma": "u² nm²/ps", "theta": "u² nm²/ps³"}


class RunningCurve:
    """One coefficient by one estimator, as a function of where the window ends, with its errors."""

    def __init__(self, bench, kind, entry):
        self.bench, self.kind, self.entry = bench, kind, entry
        native = getattr(entry, kind)
        if native is not None:
            stack = native(bench._correlators)
            if kind == "gamma":
                stack = bench.recoil * stack
        else:
            other = bench._curve("theta" if kind == "gamma" else "gamma", entry)
            # γ · εθ = (m k_B T)², as tensors
            stack = (bench.series.mass * BOLTZMANN * bench.temperature[0]) ** 2 * inverse_or_nan(other.stack)
        self.stack = stack
        self.lags = bench.lags
        self.left_out = np.einsum("kaan->kan", stack[1:])
        self.n_groups = len(self.left_out)
        self.isotropic = np.einsum("aan->n", stack[0]) / stack.shape[1]
        self.isotropic_std = axes_std(self.left_out) if self.n_groups else np.full(len(self.lags), np.nan)

    @cached_property
    def _tensors(self):
        value = np.moveaxis(self.stack[0], -1, 0)
        std = np.moveaxis(jackknife_std(self.stack[1:]), -1, 0) if self.n_groups else np.full(value.shape, np.nan)
        if value.shape[1] == 1:
            value, std = value * np.eye(3), std * np.eye(3)
        if self.entry.per_axis:
            std = np.where(np.eye(3, dtype=bool), std, np.nan)
        return value, std

    @cached_property
    def last(self):
        """Last lag up to which the curve and its error are finite without a gap after their first finite value."""
        finite = np.isfinite(self.isotropic) & np.isfinite(self.isotropic_std)
        first = int(np.argmax(finite))
        gaps = np.flatnonzero(~finite[first:])
        return (first + int(gaps[0]) if gaps.size else len(finite)) - 1

    @cached_property
    def proposal(self):
        lags, curve = self.lags[: self.last + 1], self.isotropic[: self.last + 1]
        if self.entry.rule == "maximum":
            return propose_maximum(lags, curve)
        left_out = self.left_out[..., : self.last + 1]
        if self.entry.rule == "before decay":
            return propose_before_decay(lags, curve, left_out)
        return propose_plateau(lags, curve, left_out)

    def stays(self, index):
        """Whether the curve at twice the index agrees with that at the index within twice the error of the change."""
        if 2 * index >= len(self.lags) or self.n_groups < 2:
            return False
        spread = axes_std(self.left_out[..., 2 * index] - self.left_out[..., index])
        return bool(abs(self.isotropic[2 * index] - self.isotropic[index]) <= 2.0 * spread)

    def read(self, index, reason, plateau, notices):
        bench, series = self.bench, self.bench.series
        value, std = self._tensors
        # results keep raw γ as it is, and θ in the paper's variables
        factor = 1.0 / series.epsilon if self.kind == "theta" else 1.0
        later = self.isotropic[2 * index] if 2 * index < len(self.lags) else float("nan")
        return RESULTS[self.kind](
            tensor=factor * value[index],
            tensor_std=factor * std[index],
            isotropic=float(factor * self.isotropic[index]),
            isotropic_std=float(factor * self.isotropic_std[index]),
            lags=self.lags,
            running=factor * value,
            running_std=factor * std,
            running_isotropic=factor * self.isotropic,
            running_isotropic_std=factor * self.isotropic_std,
            window=float(self.lags[index]),
            window_reason=reason,
            estimator=self.entry.name,
            unit=UNITS[self.kind],
            systematic=float(factor * (later - self.isotropic[index])),
            plateau=bool(plateau),
            n_groups=self.n_groups,
            **bench._shared,
            warnings=notices,
        )
