"""Degrees of freedom per atom: what rigid bonds, virtual sites and a fixed total momentum take away.

Rigid distances are found in the data itself (two atoms whose distance never changes), because trajectory files do
not say what an engine has constrained.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .memory import let_go

__all__ = ["degrees_of_freedom", "rigid_pairs"]

BOND_REACH = 0.18  # nm; holds all bonds of hydrogen and C, N, O, and the H-H distance of rigid water
RIGID = 1e-3  # relative change of a rigid distance at most; the stiffest bonds to hydrogen vibrate by 3e-2
LARGEST_CLUSTER = 200  # atoms; above, the constraints are spread evenly instead of projected


def rigid_pairs(trajectory, n_frames=20):
    """Pairs of atoms whose distance does not change over the trajectory.

    Parameters
    ----------
    trajectory : Trajectory
    n_frames : int
        How many frames are compared, spread over the whole.

    Returns
    -------
    ndarray of int, shape (n_pairs, 2)
        Empty when there are no positions or fewer than three frames to compare.
    """
    nothing = np.empty((0, 2), dtype=int)
    held = np.flatnonzero(trajectory.frames_with["positions"])
    if len(held) < 3:
        return nothing
    frames = held[np.unique(np.linspace(0, len(held) - 1, n_frames).round().astype(int))]
    first = trajectory.positions[frames[0]].astype(float)
    pairs = cKDTree(first).query_pairs(BOND_REACH, output_type="ndarray")
    bonds = np.array([(a.index, b.index) for a, b in trajectory.topology.bonds], dtype=int).reshape(-1, 2)
    pairs = np.unique(np.sort(np.concatenate([pairs, bonds]), axis=1), axis=0)
    reference = np.linalg.norm(_displacements(trajectory, frames[0], pairs), axis=1)
    pairs, reference = pairs[reference > 0], reference[reference > 0]
    # single-precision coordinates far from the origin blur short distances
    blur = 4.0 * np.finfo(np.float32).eps * np.abs(first).max()
    for frame in frames[1:]:
        distance = np.linalg.norm(_displacements(trajectory, frame, pairs), axis=1)
        same = np.abs(distance - reference) < RIGID * reference + blur
        pairs, reference = pairs[same], reference[same]
    let_go(trajectory.positions)
    return pairs


def degrees_of_freedom(trajectory, total_mass=None):
    """Degrees of freedom that each atom carries, shape (n_atoms,).

    An atom's share of a rigid distance is its part of the mass-weighted projection onto the constrained directions,
    so that the mean of Σ m_i v_i² is k_B T times the sum of these numbers over any set of atoms, also one that cuts
    rigid bonds.

    Parameters
    ----------
    trajectory : Trajectory
    total_mass : float, u, optional
        Mass of all atoms simulated, when their total momentum is held at zero; takes 3 m_i/m_total from each atom.
    """
    masses = trajectory.masses
    free = np.where(masses > 0, 3.0, 0.0)
    pairs = rigid_pairs(trajectory)
    pairs = pairs[(masses[pairs] > 0).all(axis=1)]
    if len(pairs):
        frame = int(np.argmax(trajectory.frames_with["positions"]))
        free -= _constrained_share(pairs, _displacements(trajectory, frame, pairs), masses)
    if trajectory.velocities is not None:
        held = np.flatnonzero(trajectory.frames_with["velocities"])[:3]
        frozen = (trajectory.velocities[held] == 0).all(axis=(0, 2)) if len(held) else np.zeros(len(masses), bool)
        free[frozen] = 0.0
    if total_mass:
        free -= 3.0 * masses / total_mass
    return np.maximum(free, 0.0)


def _displacements(trajectory, frame, pairs):
    positions = trajectory.positions[frame]
    return positions[pairs[:, 1]].astype(float) - positions[pairs[:, 0]]


def _constrained_share(pairs, displacements, masses):
    """Each atom's part of the trace of the projection onto the constrained directions."""
    share = np.zeros(len(masses))
    directions = displacements / np.linalg.norm(displacements, axis=1)[:, None]
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(masses), len(masses)))
    _, label = connected_components(links, directed=False)
    atoms_in = np.bincount(label)
    pairs_in = np.bincount(label[pairs[:, 0]], minlength=len(atoms_in))
    order = np.argsort(label[pairs[:, 0]], kind="stable")
    # clusters of one shape (all waters, all methyl groups) are projected in one go
    starts = np.concatenate([[0], np.cumsum(pairs_in)])
    shapes = np.stack([atoms_in, pairs_in], axis=1)
    for n_atoms, n_pairs in np.unique(shapes[pairs_in > 0], axis=0):
        clusters = np.flatnonzero((atoms_in == n_atoms) & (pairs_in == n_pairs))
        rows = order[starts[clusters][:, None] + np.arange(n_pairs)]
        if n_atoms > LARGEST_CLUSTER:
            lost = min(n_pairs, 3 * n_atoms - 6) / n_atoms
            share[np.isin(label, clusters)] = lost
            continue
        members = np.sort(pairs[rows].reshape(len(clusters), -1), axis=1)
        members = np.stack([np.unique(row) for row in members])
        share[members] += _projected(rows, members, pairs, directions, masses)
    return share


def _projected(rows, members, pairs, directions, masses):
    """Trace per atom of A⁺A for A = J M^-½, for clusters of one shape; shape (n_clusters, n_members)."""
    n_clusters, n_pairs = rows.shape
    constraint = np.zeros((n_clusters, n_pairs, members.shape[1], 3))
    cluster, row = np.indices(rows.shape)
    for end, sign in ((0, -1.0), (1, 1.0)):
        atom = pairs[rows, end]
        column = (members[:, None, :] == atom[:, :, None]).argmax(axis=2)
        constraint[cluster, row, column] = sign * directions[rows] / np.sqrt(masses[atom])[..., None]
    flat = constraint.reshape(n_clusters, n_pairs, -1)
    # redundant distances of a rigid body give eigenvalues that are zero but for round-off
    inverse = np.linalg.pinv(flat @ flat.transpose(0, 2, 1), rcond=1e-5, hermitian=True)
    trace = np.einsum("cka,ckl,cla->ca", flat, inverse, flat, optimize=True)
    return trace.reshape(n_clusters, -1, 3).sum(axis=2)
