"""Functions in which the Fokker-Planck equation (56) is solved: Smoluchowski modes of R × Hermite functions of P."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, eigh_tridiagonal

__all__ = [
    "PositionModes",
    "hermite_functions",
    "position_modes",
    "project",
    "project_odd",
    "symmetric_modes",
]

WEIGHT_FLOOR = 1e-3  # of the equilibrium's maximum: below it the fit of the initial density counts absolute errors


@dataclass(frozen=True, eq=False)
class PositionModes:
    """Orthonormal functions on the cells (even Hermite levels) and on the inner faces (odd levels).

    With W = M(P) Σ_n φ_n(P) √ρ(R) a_n(R), equation (56) couples a_n to a_{n±1} by D = √ρ ∂_R 1/√ρ and its adjoint.
    D maps the k-th mode ψ_k of the Smoluchowski operator to √λ_k χ_k, so that one of the two couplings is diagonal.

    Parameters
    ----------
    root : ndarray, shape (n_cells,)
        √ρ, normalised such that root·root = 1.
    cells : ndarray, shape (n_cells, k)
        ψ; column 0 is ``root``.
    even, odd : ndarray, shape (n_cells, k)
        √ρψ, and √ρχ carried to the cells: what a coefficient of an even or odd level adds to their probability.
    down, up : ndarray, shape (2, k, k), 1/nm
        Couplings of even and of odd levels to the level below and above, without √n and the thermal velocity.
    damping : ndarray, shape (2, k, k), 1/ps
        Friction over mass.
    rates : ndarray, shape (k,), 1/nm²
        λ.
    """

    root: np.ndarray
    cells: np.ndarray
    even: np.ndarray
    odd: np.ndarray
    down: np.ndarray
    up: np.ndarray
    damping: np.ndarray
    rates: np.ndarray

    @property
    def count(self):
        """k, the number of functions on each level."""
        return self.cells.shape[1]


def position_modes(landscape, generator, tilt, rate_cells, rate_faces, count):
    """The ``count`` slowest modes and their couplings.

    Parameters
    ----------
    landscape : Landscape
        Of the gradient part of the force.
    generator : Generator
        In that landscape, with D = 1 nm²/ps and closed or periodic ends.
    tilt : float, 1/nm
        β times the part of the force that is no gradient: the constant that does the work round a ring.
    rate_cells, rate_faces : ndarray, shape (n_cells,) and (n_faces,), 1/ps
        Friction over mass at the centres and at the inner faces (on a ring, all).
    count : int
    """
    energy = generator.energy
    weights = np.exp(-np.minimum(energy, 700.0))
    root = np.sqrt(weights)
    ring = generator.grid.periodic
    following = np.roll(np.arange(len(root)), -1)[: None if ring else -1]
    here = np.arange(len(following))
    conductance = np.sqrt(generator.rise[: len(here)] * weights[: len(here)])
    cells = symmetric_modes(generator, count)
    norm = np.linalg.norm(root)
    cells[:, 0] = root / norm
    # to rounding, so that no mode but the first carries probability
    cells[:, 1:] -= np.outer(cells[:, 0], cells[:, 0] @ cells[:, 1:])

    def slope(a):
        return (a[following] / root[following, None] - a[here] / root[here, None]) * conductance[:, None]

    images = slope(cells)
    rates = np.einsum("fk,fk->k", images, images)
    rates[0] = 0.0
    faces = np.zeros_like(images)
    faces[:, 1:], _ = np.linalg.qr(images[:, 1:])
    signs = np.sign(np.einsum("fk,fk->k", faces, images))
    faces *= np.where(signs == 0.0, 1.0, signs)
    if ring:
        # a uniform current has no potential behind it: the one function on the faces that D does not reach
        current = 1.0 / conductance
        faces[:, 0] = current / np.linalg.norm(current)
    diagonal = faces.T @ images
    face_energy = landscape.face_energy
    face_root = np.exp(-0.5 * np.minimum(face_energy[1:] if ring else face_energy[1:-1], 700.0))
    divided = faces / face_root[:, None]
    if ring:
        spread = divided - np.roll(divided, 1, axis=0)
    else:
        spread = np.diff(divided, axis=0, prepend=0.0, append=0.0)
    dense = cells.T @ (root[:, None] * spread) / generator.grid.width
    mixed = faces.T @ (0.5 * (cells[following] + cells[here]))
    down = np.stack([-dense + tilt * mixed.T, -diagonal + tilt * mixed])
    up = np.stack([diagonal.T, dense.T])
    damping = np.stack([cells.T @ (rate_cells[:, None] * cells), faces.T @ (rate_faces[:, None] * faces)])
    on_faces = faces * (face_root / norm)[:, None]
    if ring:
        odd = 0.5 * (on_faces + np.roll(on_faces, 1, axis=0))
    else:
        odd = np.zeros_like(cells)
        odd[:-1] += 0.5 * on_faces
        odd[1:] += 0.5 * on_faces
    return PositionModes(root / norm, cells, (root / norm)[:, None] * cells, odd, down, up, damping, rates)


def symmetric_modes(generator, count):
    """The slowest eigenvectors of the symmetrised generator of diffusion, ndarray (n_cells, count); W is √ρ times them."""
    n = len(generator.energy)
    if not generator.grid.periodic:
        off = -np.sqrt(generator.rise[:-1] * generator.fall[:-1])
        return eigh_tridiagonal(-generator.diagonal, off, select="i", select_range=(0, count - 1))[1]
    symmetric = np.diag(-generator.diagonal)
    rows = np.arange(n)
    off = np.sqrt(generator.rise * generator.fall)
    np.add.at(symmetric, (rows, (rows + 1) % n), -off)
    np.add.at(symmetric, ((rows + 1) % n, rows), -off)
    return eigh(symmetric, subset_by_index=(0, count - 1))[1]


def project(modes, density):
    """Coefficients of one Hermite level whose sum over the modes comes closest to a density on the cells.

    The equilibrium-weighted projection would count what the density does where the equilibrium has no weight at
    all; here relative errors count only where the equilibrium is above a floor, absolute ones elsewhere. The first
    coefficient, which is the probability, is exact.

    Parameters
    ----------
    modes : PositionModes
    density : ndarray, shape (n_cells,)

    Returns
    -------
    ndarray, shape (count,)
    """
    root, cells = modes.root, modes.cells
    relative = (root / root.max()) ** 2
    weight = 1.0 / np.sqrt(np.maximum(relative, WEIGHT_FLOOR))
    functions = (root * weight)[:, None] * cells
    coefficients = np.empty(modes.count)
    coefficients[0] = density.sum()
    target = density * weight - functions[:, 0] * coefficients[0]
    coefficients[1:] = np.linalg.lstsq(functions[:, 1:], target, rcond=1e-13)[0]
    return coefficients


def project_odd(modes, density):
    """The same for the functions of the odd levels."""
    relative = (modes.root / modes.root.max()) ** 2
    weight = 1.0 / np.sqrt(np.maximum(relative, WEIGHT_FLOOR))
    return np.linalg.lstsq(weight[:, None] * modes.odd, weight * density, rcond=1e-10)[0]


def hermite_functions(count, momentum):
    """φ_n(P) = He_n(P/√(mk_BT))/√n!, orthonormal under the Maxwellian.

    Parameters
    ----------
    count : int
    momentum : ndarray, shape (n,)
        In units of √(mk_BT).

    Returns
    -------
    ndarray, shape (count, n)
    """
    values = np.empty((count, len(momentum)))
    values[0] = 1.0
    if count > 1:
        values[1] = momentum
    for n in range(2, count):
        values[n] = (momentum * values[n - 1] - np.sqrt(n - 1.0) * values[n - 2]) / np.sqrt(n)
    return values
