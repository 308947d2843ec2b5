"""Periodic images taken out: molecules made whole by their bonds, then no jumps from frame to frame."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from ..errors import InputError
from .frames import frames_per_chunk

__all__ = ["bonds_of", "inverse_boxes", "made_whole", "minimum_image", "split_images", "true_path", "unwrapped"]


def minimum_image(displacements, box):
    """The shortest periodic image of each displacement, also in strongly tilted boxes.

    Parameters
    ----------
    displacements : ndarray, shape (..., 3), nm
    box : ndarray, shape (3, 3) or broadcastable to (..., 3, 3), nm
        Box vectors as rows. A box of zeros means no periodicity.

    Returns
    -------
    ndarray, shape (..., 3)
    """
    displacements = np.asarray(displacements, dtype=float)
    box = np.asarray(box, dtype=float)
    if not box.any():
        return displacements.copy()
    inverse = np.linalg.inv(box)
    turns = np.round(np.einsum("...i,...ij->...j", displacements, inverse))
    nearest = displacements - np.einsum("...i,...ij->...j", turns, box)
    if _is_rectangular(box):
        return nearest
    return _shortest_of_neighbours(nearest, box)


def inverse_boxes(boxes):
    """The inverse of each box, shape (n, 3, 3).

    Raises
    ------
    InputError
        A box has no volume.
    """
    boxes = np.asarray(boxes, dtype=float)
    flat = np.flatnonzero(~(np.abs(np.linalg.det(boxes)) > 1e-12 * np.linalg.norm(boxes, axis=2).prod(axis=1)))
    if len(flat):
        raise InputError(
            f"The periodic box has no volume in {len(flat)} of {len(boxes)} frames (vectors {boxes[flat[0]].tolist()} nm), so "
            "images cannot be taken out; the file is damaged, or give positions without jumps and no box."
        )
    return np.linalg.inv(boxes)


def _is_rectangular(box):
    return not (box - box * np.eye(3)).any()


def _shortest_of_neighbours(displacements, box):
    """In a tilted box rounding is not enough: the shortest image may be one of the 26 cells around."""
    best = displacements
    length = np.einsum("...i,...i->...", best, best)
    for shift in np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3):
        other = displacements + shift @ box
        other_length = np.einsum("...i,...i->...", other, other)
        closer = other_length < length
        best = np.where(closer[..., None], other, best)
        length = np.where(closer, other_length, length)
    return best


def unwrapped(trajectory, in_place=False):
    """The trajectory with molecules whole and without jumps across the periodic boundary.

    In the first frame each bonded molecule is put together from its first atom outwards (which stays where the file
    has it) by shortest images along its bonds. From then on every atom takes, from frame to frame, the shortest image
    of its step. Images are whole numbers of box vectors, counted between positions as stored, so that molecules stay
    whole in boxes that change and rounding never adds up.

    Parameters
    ----------
    trajectory : Trajectory
        With positions and box; returned as it is without.
    in_place : bool
        Write into the positions that the trajectory holds.

    Returns
    -------
    Trajectory
    """
    if trajectory.positions is None or trajectory.box is None or not trajectory.box.any():
        return trajectory
    held = np.flatnonzero(trajectory.frames_with["positions"])
    positions = trajectory.positions if in_place else trajectory.positions.copy()
    images = _whole_molecules(trajectory, int(held[0]))
    before = positions[held[0]].astype(float)
    size = frames_per_chunk(trajectory.n_atoms, 8, 8)
    for first in range(0, len(held), size):
        rows = held[first : first + size]
        before, images = _take_out(positions, rows, trajectory.box, before, images)
    return trajectory.replace(positions=positions)


def true_path(centre, boxes):
    """The path of a centre of mass by its own steps, where the box changes.

    A particle that has crossed n boxes is stored n box vectors away from where it is in the box; when the box breathes,
    that image moves by n times the change, although nothing did. This is taken off every step, so that what is summed
    are steps between places in the box (toroidal-view-preserving unwrapping: von Bülow, Bullerjahn and Hummer, J. Chem.
    Phys. 153, 021101, 2020). How many boxes a step crosses is what the positions say, so long steps that an engine's
    image flags know stay whole. Where a tilted box flips to an equivalent one its vectors are others, and the shortest
    image of the step is taken. In a box that does not change nothing changes.

    Parameters
    ----------
    centre : ndarray, shape (n_frames, 3), nm
        Of a particle that is whole; NaN where a frame has no positions.
    boxes : ndarray, shape (n_frames, 3, 3), nm, or None

    Returns
    -------
    ndarray, shape (n_frames, 3)
    """
    held = np.isfinite(centre).all(axis=1)
    if boxes is None or held.sum() < 2:
        return centre
    box = np.asarray(boxes[held], dtype=float)
    if not np.ptp(box, axis=0).any() or (np.linalg.det(box) == 0.0).any():
        return centre
    stored, inverse = centre[held], np.linalg.inv(box)
    crossed = np.floor(np.einsum("fi,fij->fj", stored[:-1], inverse[:-1]))
    steps = np.diff(stored, axis=0) - np.einsum("fi,fij->fj", crossed, np.diff(box, axis=0))
    flips = (np.round(box[:-1] @ inverse[1:]) != np.eye(3)).any(axis=(1, 2))
    if flips.any():
        steps[flips] = minimum_image(steps[flips], box[1:][flips])
    path = centre.copy()
    path[held] = stored[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    return path


def _take_out(positions, rows, boxes, before, images):
    """Unwrap some frames in place; returns stored positions and images (n_atoms, 3) of the last of them."""
    stored = np.concatenate([before[np.newaxis], positions[rows]], axis=0, dtype=float)
    steps = np.diff(stored, axis=0)
    turns = np.zeros(steps.shape, dtype=np.int32)
    inverses = inverse_boxes(boxes[rows])
    # half of the smallest width of the box: a shorter step needs no image
    near = 0.5 / np.linalg.norm(inverses, axis=1).max(axis=1)
    far, atoms = np.nonzero(np.einsum("fij,fij->fi", steps, steps) >= (near**2)[:, None])
    for frame in np.unique(far):
        chosen = atoms[far == frame]
        step, box = steps[frame, chosen], boxes[rows[frame]]
        moved = (minimum_image(step, box) - step) @ inverses[frame]
        turns[frame, chosen] = np.round(moved).astype(np.int32)
    counts = images + np.cumsum(turns, axis=0, dtype=np.int32)
    for frame in np.flatnonzero(counts.any(axis=(1, 2))):
        chosen = np.flatnonzero(counts[frame].any(axis=1))
        positions[rows[frame], chosen] = stored[frame + 1, chosen] + counts[frame, chosen] @ boxes[rows[frame]]
    return stored[-1], counts[-1]


def _whole_molecules(trajectory, frame):
    """Images (n_atoms, 3) that put every molecule of a frame together along its bonds."""
    from ..kernels.ingest import whole_images

    n_atoms = trajectory.n_atoms
    images = np.zeros((n_atoms, 3), dtype=np.int64)
    if trajectory.topology.n_bonds:
        box = np.array(trajectory.box[frame], dtype=float)
        starts, neighbours = _neighbours(bonds_of(trajectory.topology), n_atoms)
        tilted = not _is_rectangular(box)
        positions = trajectory.positions[frame].astype(float)
        whole_images(positions, box, np.linalg.inv(box), tilted, starts, neighbours, images)
    return images.astype(np.int32)


def bonds_of(topology):
    """Bonded pairs of atoms, shape (n_bonds, 2)."""
    return np.array([(a.index, b.index) for a, b in topology.bonds], dtype=np.int64).reshape(-1, 2)


def _neighbours(pairs, n_atoms):
    """Pairs as starts, neighbours: atom i is bonded to neighbours[starts[i] : starts[i + 1]]."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(n_atoms + 1))
    return starts.astype(np.int64), np.ascontiguousarray(both[:, 1])


# -- assemblies without bonds -------------------------------------------------------------------------


def made_whole(trajectory, subset):
    """The trajectory with a particle that is not held together by bonds put in one piece.

    In the first frame its atoms are joined by the minimum spanning tree of their shortest-image distances, its first
    atom staying where it is; each atom keeps its image from then on.

    Parameters
    ----------
    trajectory : Trajectory
    subset : AtomSubset, or anything `Trajectory.select` takes

    Returns
    -------
    Trajectory
        The same one when the particle is in one piece already.

    Raises
    ------
    InputError
        The particle touches its own periodic image, so that no arrangement is "whole".
    """
    if trajectory.box is None or trajectory.positions is None:
        return trajectory
    indices = trajectory.select(subset).indices
    shifts = split_images(trajectory, indices)
    if shifts is None:
        raise InputError(
            f"The {len(indices)} atoms touch their own periodic images (the particle spans the box, or is larger than half of it), so "
            "no arrangement of images is whole; give a topology with bonds, or image flags."
        )
    if not shifts.any():
        return trajectory
    positions = trajectory.positions.copy()
    positions[:, indices] += np.einsum("ai,fij->faj", shifts, trajectory.box).astype(positions.dtype)
    return trajectory.replace(positions=positions)


def split_images(trajectory, indices):
    """Box vectors, shape (n_chosen, 3), to add to each atom to make the particle whole in the first frame.

    Returns
    -------
    ndarray of int, or None
        ``None`` when the particle touches its own image.
    """
    frame = int(np.argmax(trajectory.frames_with["positions"]))
    box = np.array(trajectory.box[frame], dtype=float)
    if len(indices) < 2 or not box.any():
        return np.zeros((len(indices), 3), dtype=int)
    positions = trajectory.positions[frame, indices].astype(float)
    pairs, images, lengths = _close_pairs(positions, box)
    n_atoms = len(indices)
    tree = minimum_spanning_tree(coo_array((lengths, pairs.T), shape=(n_atoms, n_atoms)).tocsr()).tocoo()
    longest = tree.data.max(initial=0.0)
    image_of = {(int(a), int(b)): image for (a, b), image in zip(pairs, images)}
    order, parents = breadth_first_order(tree, 0, directed=False)
    shifts = np.zeros((n_atoms, 3), dtype=int)
    for atom in order[1:].tolist():
        parent = int(parents[atom])
        forward = (parent, atom) in image_of
        image = image_of[(parent, atom)] if forward else -image_of[(atom, parent)]
        shifts[atom] = shifts[parent] + image
    # whole only if every contact as short as those of the tree agrees with it
    close = lengths <= longest * (1.0 + 1e-9)
    agrees = shifts[pairs[close, 1]] - shifts[pairs[close, 0]] == images[close]
    return shifts if agrees.all() and len(order) == n_atoms else None


def _close_pairs(positions, box):
    """Pairs (i, j) nearer than a reach that connects all atoms, the image of j next to i, and their distances."""
    n_atoms = len(positions)
    fractional = positions @ np.linalg.inv(box)
    cells = np.floor(fractional).astype(int)
    inside = (fractional - cells) @ box
    widths = 1.0 / np.linalg.norm(np.linalg.inv(box), axis=0)
    reach = 0.35  # nm; more than a contact, so that mostly the first try connects
    shells = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    while True:
        reach = min(reach, 0.999 * widths.min())
        near_pairs, near_images, near_lengths = [], [], []
        home = cKDTree(inside)
        for shell in shells:
            found = home.sparse_distance_matrix(cKDTree(inside + shell @ box), reach, output_type="coo_matrix")
            keep = found.row < found.col
            near_pairs.append(np.stack([found.row[keep], found.col[keep]], axis=1))
            near_images.append(np.broadcast_to(shell, (keep.sum(), 3)))
            near_lengths.append(found.data[keep])
        pairs, images = np.concatenate(near_pairs), np.concatenate(near_images)
        lengths = np.maximum(np.concatenate(near_lengths), 1e-12)
        # of several images of one pair the nearest
        order = np.lexsort((lengths, pairs[:, 1], pairs[:, 0]))
        pairs, images, lengths = pairs[order], images[order], lengths[order]
        first = np.ones(len(pairs), dtype=bool)
        first[1:] = (np.diff(pairs, axis=0) != 0).any(axis=1)
        pairs, images, lengths = pairs[first], images[first], lengths[first]
        links = coo_array((np.ones(len(pairs)), pairs.T), shape=(n_atoms, n_atoms))
        if connected_components(links, directed=False)[0] == 1 or reach >= 0.999 * widths.min():
            return pairs, images - (cells[pairs[:, 1]] - cells[pairs[:, 0]]), lengths
        reach *= 1.5
