"""Periodic images taken out: molecules made whole by their bonds, then no jumps from frame to frame."""

import numpy as np

__all__ = ["minimum_image", "unwrapped"]


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


def unwrapped(trajectory):
    """The trajectory with molecules whole and without jumps across the periodic boundary.

    In the first frame each bonded molecule is put together from its first atom outwards (which stays where the file
    has it) by shortest images along its bonds. From then on every atom takes, from frame to frame, the shortest image
    of its step.

    Parameters
    ----------
    trajectory : Trajectory
        With positions and box; returned as it is without.

    Returns
    -------
    Trajectory
    """
    if trajectory.positions is None or trajectory.box is None or not trajectory.box.any():
        return trajectory
    held = np.flatnonzero(trajectory.frames_with["positions"])
    positions = trajectory.positions.copy()
    before = _whole(positions[held[0]].astype(float), trajectory.box[held[0]], trajectory.topology)
    positions[held[0]] = before
    for frame in held[1:]:
        before = before + minimum_image(positions[frame] - before, trajectory.box[frame])
        positions[frame] = before
    return trajectory.replace(positions=positions)


def _whole(positions, box, topology):
    """One frame with every molecule put together along its bonds, starting from its first atom."""
    neighbours = [[] for _ in range(len(positions))]
    for a, b in topology.bonds:
        neighbours[a.index].append(b.index)
        neighbours[b.index].append(a.index)
    placed = np.zeros(len(positions), dtype=bool)
    for seed in range(len(positions)):
        if placed[seed]:
            continue
        placed[seed] = True
        waiting = [seed]
        while waiting:
            atom = waiting.pop()
            for other in neighbours[atom]:
                if not placed[other]:
                    positions[other] = positions[atom] + minimum_image(positions[other] - positions[atom], box)
                    placed[other] = True
                    waiting.append(other)
    return positions
