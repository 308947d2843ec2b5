"""Periodic images taken out: molecules made whole by their bonds, then no jumps from frame to frame."""

import hashlib
import weakref

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import InputError
from .frames import frames_per_chunk
from .memory import let_go

__all__ = [
    "bonds_of",
    "images_of_assembly",
    "inverse_boxes",
    "made_whole",
    "mean_turn",
    "minimum_image",
    "split_images",
    "true_path",
    "unwrapped",
    "with_assembly_whole",
    "with_images",
]


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
        let_go(positions)
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

NEAR = 0.35  # nm; more than a contact, so that mostly the first try connects
FARTHER = 1.25  # how much farther is looked for contacts from one try to the next
MOST_ATOMS = 100_000  # whose contacts are looked for
MOST_PAIRS = 200_000_000  # that are looked at for them: some tenths of a second


def made_whole(trajectory, subset):
    """The trajectory with a particle that is not held together by bonds put in one piece.

    In the first frame its molecules (without bonds: its atoms) are joined in the images in which they touch, its first
    atom staying where it is; each atom keeps its image from then on. The order parameters of a selection do the same by
    themselves; this moves the atoms as well.

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
        The particle touches its own periodic image, or has gaps larger than half the box, so that no arrangement is "whole".
    """
    if trajectory.box is None or trajectory.positions is None:
        return trajectory
    indices = trajectory.select(subset).indices
    shifts = split_images(trajectory, indices)
    if shifts is None:
        raise InputError(
            f"The {len(indices)} atoms touch their own periodic images or lie apart by more than half the box, so that no arrangement "
            "of images is whole; give a topology with bonds, or image flags."
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
        ``None`` when no arrangement is whole, see `images_of_assembly`.
    """
    frame = int(np.argmax(trajectory.frames_with["positions"]))
    positions = _positions_at(trajectory, frame, indices)
    return images_of_assembly(positions, trajectory.box[frame], indices, trajectory.topology)


def with_assembly_whole(centre, trajectory, subset):
    """The centre of mass of a particle, as if its molecules had been put together in the first frame.

    Parameters
    ----------
    centre : ndarray, shape (n_frames, 3), nm
        Of the atoms as they are in the trajectory, over its first frames.
    trajectory : Trajectory
    subset : AtomSubset

    Returns
    -------
    ndarray, shape (n_frames, 3)
        Other by Σ m_i n_i θ_i / m box vectors, where n_i are those of `split_images`; the same one where these are zero,
        or where no arrangement is whole.
    """
    if trajectory.box is None:
        return centre
    return _moved(centre, mean_turn(trajectory, subset), trajectory.box[: len(centre)])


_turns_of: weakref.WeakKeyDictionary = (
    weakref.WeakKeyDictionary()
)  # trajectory -> {digest of a selection: its mean turn}
MOST_TURNS = 4096  # kept for a trajectory


def mean_turn(trajectory, subset):
    """Σ m_i n_i θ_i / m, by which R moves when a particle is put together; found once for each selection.

    Parameters
    ----------
    trajectory : Trajectory
    subset : AtomSubset

    Returns
    -------
    ndarray, shape (3,), box vectors
        Zero where no arrangement is whole.
    """
    known = _turns_of.setdefault(trajectory, {})
    digest = hashlib.blake2b(np.packbits(subset.indicator), digest_size=16).digest()
    if digest not in known:
        if len(known) >= MOST_TURNS:
            known.clear()
        known[digest] = _mean(split_images(trajectory, subset.indices), subset)
    return known[digest]


def with_images(centre, positions, boxes, subset, topology):
    """The same, from the positions (n_chosen, 3) of the particle in the first frame that has any."""
    held = np.flatnonzero(np.isfinite(centre).all(axis=1))
    if boxes is None or not len(held) or not np.isfinite(boxes).all():
        return centre
    images = images_of_assembly(positions, boxes[held[0]], subset.indices, topology)
    return _moved(centre, _mean(images, subset), boxes)


def _mean(images, subset):
    return np.zeros(3) if images is None else subset.masses[subset.indices] @ images / subset.mass


def _moved(centre, turn, boxes):
    return centre + np.einsum("i,fij->fj", turn, boxes) if turn.any() else centre


def _positions_at(trajectory, frame, indices):
    """Positions (n_chosen, 3) in a frame; from the store where that keeps those of the first frame at hand."""
    from .store import ready_store

    store = ready_store(trajectory)
    if store is not None and store.first_positions is not None:
        return store.first_positions[indices].astype(float)
    return np.asarray(trajectory.positions[frame, indices], dtype=float)


def images_of_assembly(positions, box, indices, topology):
    """Box vectors to add to each atom of a particle to make it whole, its first atom staying where it is.

    Molecules are whole already, by their bonds, and move as a whole. What fits into half of the box is put there. Of
    anything larger, all that lies within the shortest reach that connects it (from 0.35 nm on, in steps of a quarter) is
    joined in the image in which it touches.

    Parameters
    ----------
    positions : ndarray, shape (n_chosen, 3), nm
        In one frame.
    box : ndarray, shape (3, 3), nm
        A box of zeros means no periodicity.
    indices : ndarray of int, shape (n_chosen,)
    topology : mdtraj.Topology

    Returns
    -------
    ndarray of int, shape (n_chosen, 3), or None
        ``None`` when the particle touches its own image, has gaps larger than half the box, or more than 100,000 atoms that
        fill more than half of it.
    """
    box = np.asarray(box, dtype=float)
    nothing = np.zeros((len(indices), 3), dtype=int)
    if len(indices) < 2 or not box.any():
        return nothing
    fractional = positions @ inverse_boxes(box[np.newaxis])[0]
    if _fits(np.ptp(fractional, axis=0), box):
        return nothing
    molecules = _molecules(topology)[indices]
    compact = _gathered(fractional)
    if _fits(np.ptp(fractional + compact, axis=0), box) and _keeps(molecules, compact):
        return compact - compact[0]
    if len(indices) > MOST_ATOMS:
        return None
    return _joined_by_contacts(fractional, box, molecules)


def _fits(extent, box):
    """Whether displacements that are not longer, in units of box vectors, are shortest images of themselves."""
    if _is_rectangular(box):
        return bool((extent < 0.5).all())
    return bool(extent @ np.linalg.norm(box, axis=1) < 0.5 * _widths(box).min())


def _widths(box):
    return 1.0 / np.linalg.norm(np.linalg.inv(box), axis=0)


def _gathered(fractional):
    """Turns that bring atoms next to each other: the box is cut where, along each vector, its largest gap is."""
    turns = -np.floor(fractional).astype(int)
    inside = fractional + turns
    for axis in range(3):
        values = np.sort(inside[:, axis])
        gaps = np.diff(values, append=values[0] + 1.0)
        widest = int(np.argmax(gaps))
        turns[inside[:, axis] > values[widest], axis] -= 1
    return turns


def _keeps(molecules, turns):
    """Whether the atoms of each molecule are moved alike."""
    _, first, member = np.unique(molecules, return_index=True, return_inverse=True)
    return bool((turns == turns[first][member]).all())


def _joined_by_contacts(fractional, box, molecules):
    from ..kernels.assembly import join_contacts

    _, first, member = np.unique(molecules, return_index=True, return_inverse=True)
    cells = np.floor(fractional).astype(np.int64)
    inside = (fractional - cells) @ box
    # pieces to begin with are molecules, whose atoms are in the images that their bonds say
    parents = first[member].astype(np.int64)
    turns = cells - cells[parents]
    n_pieces = len(first)
    widths = _widths(box)
    farthest = 0.5 * widths.min()
    reach = min(NEAR, farthest)
    while n_pieces > 1:
        # finer cells than atoms would only be empty
        most_cells = max(1, int(np.cbrt(len(inside))))
        counts = np.clip(np.floor(widths / reach).astype(np.int64), 1, 4 * most_cells)
        order, starts = _in_cells(fractional - cells, counts)
        found = join_contacts(
            inside, box, counts, order, starts, molecules.astype(np.int64), reach, parents, turns, MOST_PAIRS
        )
        if found < 0:
            return None
        n_pieces -= found
        if n_pieces > 1 and reach >= farthest:
            return None
        reach = min(FARTHER * reach, farthest)
    return _turns_from_first(parents, turns) - cells + cells[0]


def _in_cells(fractional, counts):
    """Atoms sorted by cell, and where each cell begins among them."""
    place = np.minimum((fractional * counts).astype(np.int64), counts - 1)
    cell = (place[:, 0] * counts[1] + place[:, 1]) * counts[2] + place[:, 2]
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(counts.prod() + 1))
    return order.astype(np.int64), starts.astype(np.int64)


def _turns_from_first(parents, turns):
    """Box vectors from the first atom to each, where all are in one piece."""
    parents, turns = parents.copy(), turns.copy()
    while (parents[parents] != parents).any():
        turns += turns[parents]
        parents = parents[parents]
    return turns - turns[0]


_molecules_of: dict[int, tuple] = {}  # identity of a topology -> its number of bonds and molecules, until it goes


def _molecules(topology):
    """The bonded molecule of each atom, shape (n_atoms,)."""
    if not topology.n_bonds:
        return np.arange(topology.n_atoms)
    known = _molecules_of.get(id(topology))
    if known is None or known[0] != (topology.n_atoms, topology.n_bonds):
        pairs = bonds_of(topology)
        shape = (topology.n_atoms, topology.n_atoms)
        molecules = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=shape), directed=False)[1]
        if known is None:
            weakref.finalize(topology, _molecules_of.pop, id(topology), None)
        known = _molecules_of[id(topology)] = (topology.n_atoms, topology.n_bonds), molecules
    return known[1]
