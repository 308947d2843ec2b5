"""Loops of the ingest: periodic images counted atom by atom, so that any stretch of frames can be done by itself."""

import numpy as np

from .compile import kernel

__all__ = ["step_images", "whole_images"]


@kernel(fastmath=False)
def _turns(x, y, z, box, inverse, tilted, out):
    """Box vectors to take off a displacement for its shortest periodic image; integers in ``out``."""
    best = np.inf
    a = np.rint(x * inverse[0, 0] + y * inverse[1, 0] + z * inverse[2, 0])
    b = np.rint(x * inverse[0, 1] + y * inverse[1, 1] + z * inverse[2, 1])
    c = np.rint(x * inverse[0, 2] + y * inverse[1, 2] + z * inverse[2, 2])
    reach = 1 if tilted else 0  # in a tilted box the shortest image may be in a cell around
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            for k in range(-reach, reach + 1):
                p, q, r = a + i, b + j, c + k
                u = x - (p * box[0, 0] + q * box[1, 0] + r * box[2, 0])
                v = y - (p * box[0, 1] + q * box[1, 1] + r * box[2, 1])
                w = z - (p * box[0, 2] + q * box[1, 2] + r * box[2, 2])
                length = u * u + v * v + w * w
                # the plain rounding keeps its place among equals
                if length < best * (1 - 1e-12) or (i == 0 and j == 0 and k == 0 and length <= best):
                    best = length
                    out[0], out[1], out[2] = p, q, r


@kernel
def _stays(row, n_frames, before, near):
    """Whether no step reaches ``near``: most atoms, most of the time. A NaN anywhere does not stay."""
    x, y, z = row[0, :n_frames], row[1, :n_frames], row[2, :n_frames]
    limit = near * near
    short = 0
    for t in range(1, n_frames):
        dx, dy, dz = np.float64(x[t]) - x[t - 1], np.float64(y[t]) - y[t - 1], np.float64(z[t]) - z[t - 1]
        short += dx * dx + dy * dy + dz * dz < limit
    dx, dy, dz = x[0] - before[0], y[0] - before[1], z[0] - before[2]
    return short == n_frames - 1 and dx * dx + dy * dy + dz * dz < limit


@kernel(fastmath=False)
def step_images(rows, n_frames, boxes, inverses, near, before, images, apply, low, high):
    """Count, and take out, the jumps across the periodic box in the first columns of rows ``low`` to ``high``.

    From frame to frame every atom takes the shortest image of its step. Images are integers, counted between positions
    as stored and added once, so that the result does not depend on where a trajectory was cut into pieces.

    Parameters
    ----------
    rows : ndarray, shape (n_atoms, 3, stride); changed in place where ``apply``
    boxes, inverses : ndarray, shape (n_frames, 3, 3)
        Box vectors as rows, and the inverse matrices.
    near : float
        Half of the smallest width of the box: a shorter step needs no image.
    before : ndarray, shape (n_atoms, 3)
        Stored positions in the frame before; receives those of the last frame.
    images : ndarray of int, shape (n_atoms, 3)
        Images in the frame before; receives those of the last frame.
    """
    turns = np.zeros(3)
    for i in range(low, high):
        x0, y0, z0 = before[i, 0], before[i, 1], before[i, 2]
        n0, n1, n2 = images[i, 0], images[i, 1], images[i, 2]
        if n0 == 0 and n1 == 0 and n2 == 0 and _stays(rows[i], n_frames, before[i], near):
            for c in range(3):
                before[i, c] = rows[i, c, n_frames - 1]
            continue
        for t in range(n_frames):
            x, y, z = np.float64(rows[i, 0, t]), np.float64(rows[i, 1, t]), np.float64(rows[i, 2, t])
            if np.isnan(x):  # a frame without positions
                continue
            h = boxes[t]
            dx, dy, dz = x - x0, y - y0, z - z0
            if dx * dx + dy * dy + dz * dz >= near * near:
                tilted = h[1, 0] != 0 or h[2, 0] != 0 or h[2, 1] != 0 or h[0, 1] != 0 or h[0, 2] != 0 or h[1, 2] != 0
                _turns(dx, dy, dz, h, inverses[t], tilted, turns)
                n0 -= np.int64(turns[0])
                n1 -= np.int64(turns[1])
                n2 -= np.int64(turns[2])
            x0, y0, z0 = x, y, z
            if apply and (n0 != 0 or n1 != 0 or n2 != 0):
                rows[i, 0, t] = x + (n0 * h[0, 0] + n1 * h[1, 0] + n2 * h[2, 0])
                rows[i, 1, t] = y + (n0 * h[0, 1] + n1 * h[1, 1] + n2 * h[2, 1])
                rows[i, 2, t] = z + (n0 * h[0, 2] + n1 * h[1, 2] + n2 * h[2, 2])
        before[i, 0], before[i, 1], before[i, 2] = x0, y0, z0
        images[i, 0], images[i, 1], images[i, 2] = n0, n1, n2


@kernel(fastmath=False)
def whole_images(positions, box, inverse, tilted, starts, neighbours, images):
    """Images that put every molecule of one frame together along its bonds, from its first atom outwards.

    Parameters
    ----------
    positions : ndarray, shape (n_atoms, 3), double precision
    starts, neighbours : ndarray of int
        Atom i is bonded to neighbours[starts[i] : starts[i + 1]].
    images : ndarray of int, shape (n_atoms, 3)
        Zeros; receives the images.
    """
    n_atoms = positions.shape[0]
    placed = np.zeros(n_atoms, dtype=np.bool_)
    waiting = np.empty(n_atoms, dtype=np.int64)
    turns = np.zeros(3)
    for seed in range(n_atoms):
        if placed[seed]:
            continue
        placed[seed] = True
        n_waiting = 1
        waiting[0] = seed
        while n_waiting:
            n_waiting -= 1
            atom = waiting[n_waiting]
            for k in range(starts[atom], starts[atom + 1]):
                other = neighbours[k]
                if placed[other]:
                    continue
                d0 = positions[other, 0] - positions[atom, 0]
                d1 = positions[other, 1] - positions[atom, 1]
                d2 = positions[other, 2] - positions[atom, 2]
                _turns(d0, d1, d2, box, inverse, tilted, turns)
                for c in range(3):
                    images[other, c] = images[atom, c] - np.int64(turns[c])
                placed[other] = True
                waiting[n_waiting] = other
                n_waiting += 1
