"""A mean force measured on a grid of several axes, split into a gradient and what no potential explains."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn, fftn, idctn, ifftn

from ..errors import Notice
from ..units import thermal_energy

__all__ = ["Projection", "gradient_energy"]

WARN_REMOVED = 0.05


@dataclass(frozen=True, eq=False)
class Projection:
    """The potential whose gradient is closest to a force.

    Parameters
    ----------
    energy : ndarray, shape (*cells,), k_BT
        Zero at its lowest.
    removed : float
        Root mean square of the part that is no gradient over that of the whole force, on the faces.
    warnings : tuple of Notice
    """

    energy: np.ndarray
    removed: float
    warnings: tuple


def gradient_energy(grids, force, temperature):
    """Least squares over all inner faces: ΔU = −∂·F, by cosine transforms along closed axes and Fourier along rings.

    Parameters
    ----------
    grids : tuple of Grid
    force : ndarray, shape (d, *cells), kJ/mol/nm
    temperature : float, K

    Returns
    -------
    Projection
    """
    beta = 1.0 / thermal_energy(temperature)
    shape = force.shape[1:]
    steps = [_face_steps(-beta * force[a] * axis.width, axis, a) for a, axis in enumerate(grids)]
    source = np.zeros(shape)
    symbol = np.zeros(shape)
    for a, axis in enumerate(grids):
        n = axis.n_cells
        source += _divergence(steps[a], axis, a) / axis.width**2
        wave = np.arange(n) * (2.0 if axis.periodic else 1.0) * np.pi / n
        line = (2.0 * np.cos(wave) - 2.0) / axis.width**2
        symbol += line.reshape([-1 if k == a else 1 for k in range(len(shape))])
    symbol.flat[0] = 1.0
    rings = [a for a, axis in enumerate(grids) if axis.periodic]
    closed = [a for a, axis in enumerate(grids) if not axis.periodic]
    transformed = dctn(source, type=2, axes=closed) if closed else source
    transformed = fftn(transformed, axes=rings) if rings else transformed
    transformed = transformed / symbol
    transformed.flat[0] = 0.0
    energy = ifftn(transformed, axes=rings).real if rings else transformed
    energy = idctn(energy, type=2, axes=closed) if closed else energy
    energy = energy - energy.min()
    removed = _removed(steps, energy, grids)
    notices = ()
    if removed > WARN_REMOVED:
        notices = (
            Notice(
                "not_a_gradient",
                f"{100 * removed:.2g} % of the mean force (root mean square) is not the gradient of any potential and "
                "was left out; with few data this is noise, else the force does work round closed paths.",
            ),
        )
    return Projection(energy, removed, notices)


def _face_steps(step, axis, a):
    """Step of u across each inner face, from the mean of its two cells; on a ring the last closes it."""
    following = np.roll(step, -1, a)
    mean = 0.5 * (step + following)
    return mean if axis.periodic else np.take(mean, range(axis.n_cells - 1), a)


def _divergence(steps, axis, a):
    if axis.periodic:
        return steps - np.roll(steps, 1, a)
    pad = [(1, 1) if k == a else (0, 0) for k in range(steps.ndim)]
    return np.diff(np.pad(steps, pad), axis=a)


def _removed(steps, energy, grids):
    left = total = 0.0
    for a, axis in enumerate(grids):
        explained = np.roll(energy, -1, a) - energy
        if not axis.periodic:
            explained = np.take(explained, range(axis.n_cells - 1), a)
        left += float(((steps[a] - explained) ** 2).sum()) / axis.width**2
        total += float((steps[a] ** 2).sum()) / axis.width**2
    return float(np.sqrt(left / total)) if total > 0.0 else 0.0
