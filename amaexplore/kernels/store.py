"""Loops of the atom-major store: weighted sums of rows, running sums, transposition, and the plan of a selection.

A *row* is what one atom does over time in one field: x of every frame, then y, then z, contiguous. The sums over
a selection are then long contiguous reads with double-precision accumulators that stay in the cache.
"""

import numpy as np

from .compile import kernel

__all__ = ["accumulate", "expand_plan", "fill_rows", "fill_rows_swapped", "plan_levels", "running_sums"]

STRETCH = 8192  # elements of the accumulator worked on at a time: 64 kB, within the second-level cache


TILE_ATOMS, TILE_FRAMES = 128, 64


@kernel
def accumulate(rows, chosen, weights, total, low, high):
    """total[low:high] += Σ_k weights[k] rows[chosen[k], low:high], sixteen rows at a time.

    Reading many rows side by side keeps the memory busy, and the accumulator is then loaded and stored once for
    sixteen rows. The slices are taken outside the inner loops: without them they do not vectorise.
    """
    n = chosen.shape[0]
    for start in range(low, high, STRETCH):
        stop = min(start + STRETCH, high)
        out = total[start:stop]
        size = stop - start
        k = 0
        while k + 16 <= n:
            a0, a1, a2, a3 = rows[chosen[k], start:stop], rows[chosen[k + 1], start:stop], rows[chosen[k + 2], start:stop], rows[chosen[k + 3], start:stop]  # fmt: skip
            a4, a5, a6, a7 = rows[chosen[k + 4], start:stop], rows[chosen[k + 5], start:stop], rows[chosen[k + 6], start:stop], rows[chosen[k + 7], start:stop]  # fmt: skip
            b0, b1, b2, b3 = rows[chosen[k + 8], start:stop], rows[chosen[k + 9], start:stop], rows[chosen[k + 10], start:stop], rows[chosen[k + 11], start:stop]  # fmt: skip
            b4, b5, b6, b7 = rows[chosen[k + 12], start:stop], rows[chosen[k + 13], start:stop], rows[chosen[k + 14], start:stop], rows[chosen[k + 15], start:stop]  # fmt: skip
            u0, u1, u2, u3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            u4, u5, u6, u7 = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
            w0, w1, w2, w3 = weights[k + 8], weights[k + 9], weights[k + 10], weights[k + 11]
            w4, w5, w6, w7 = weights[k + 12], weights[k + 13], weights[k + 14], weights[k + 15]
            for j in range(size):
                first = ((u0 * a0[j] + u1 * a1[j]) + (u2 * a2[j] + u3 * a3[j])) + (
                    (u4 * a4[j] + u5 * a5[j]) + (u6 * a6[j] + u7 * a7[j])
                )
                second = ((w0 * b0[j] + w1 * b1[j]) + (w2 * b2[j] + w3 * b3[j])) + (
                    (w4 * b4[j] + w5 * b5[j]) + (w6 * b6[j] + w7 * b7[j])
                )
                out[j] += first + second
            k += 16
        while k + 4 <= n:
            c0, c1, c2, c3 = rows[chosen[k], start:stop], rows[chosen[k + 1], start:stop], rows[chosen[k + 2], start:stop], rows[chosen[k + 3], start:stop]  # fmt: skip
            v0, v1, v2, v3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            for j in range(size):
                out[j] += (v0 * c0[j] + v1 * c1[j]) + (v2 * c2[j] + v3 * c3[j])
            k += 4
        while k < n:
            row = rows[chosen[k], start:stop]
            weight = weights[k]
            for j in range(size):
                out[j] += weight * row[j]
            k += 1


@kernel
def running_sums(rows, chosen, weights, stops, before, totals, low, high):
    """totals[s, low:high] = before + Σ of the first stops[s] chosen rows, weighted; ``stops`` ascends."""
    done = 0
    for s in range(stops.shape[0]):
        source = before if s == 0 else totals[s - 1]
        for j in range(low, high):
            totals[s, j] = source[j]
        accumulate(rows, chosen[done : stops[s]], weights[done : stops[s]], totals[s], low, high)
        done = stops[s]


@kernel(fastmath=False)
def _turn(tile, rows, atom, width, frame, size):
    """A tile (frame, atom and component) into its place in the rows (atom, component, frame)."""
    for k in range(width):
        out = rows[atom + k // 3, k % 3, frame : frame + size]
        for t in range(size):
            out[t] = tile[t, k]


@kernel(fastmath=False)
def fill_rows(values, rows, first_atom, low, high):
    """rows[k, xyz, t] = values[t, 3 (first_atom + k) + xyz] for k from low to high.

    ``values`` has shape (n_frames, 3 × n_atoms), contiguous. Tiles of 128 atoms × 64 frames are copied first and
    turned in the cache.
    """
    n_frames = values.shape[0]
    tile = np.empty((TILE_FRAMES, 3 * TILE_ATOMS), values.dtype)
    for atom in range(low, high, TILE_ATOMS):
        width = 3 * min(TILE_ATOMS, high - atom)
        begin = 3 * (first_atom + atom)
        for frame in range(0, n_frames, TILE_FRAMES):
            size = min(TILE_FRAMES, n_frames - frame)
            for t in range(size):
                source = values[frame + t, begin : begin + width]
                for k in range(width):
                    tile[t, k] = source[k]
            _turn(tile, rows, atom, width, frame, size)


@kernel(fastmath=False)
def fill_rows_swapped(words, starts, rows, first_atom, first_frame, low, high):
    """The same from big-endian 4-byte words: atom 0 of frame t begins at words[starts[t]]; both arrays are uint32.

    A negative start marks a frame that lacks the field: it is filled with NaN. The first of these frames goes to
    column ``first_frame``.
    """
    n_frames = starts.shape[0]
    tile = np.empty((TILE_FRAMES, 3 * TILE_ATOMS), np.uint32)
    for atom in range(low, high, TILE_ATOMS):
        width = 3 * min(TILE_ATOMS, high - atom)
        for frame in range(0, n_frames, TILE_FRAMES):
            size = min(TILE_FRAMES, n_frames - frame)
            for t in range(size):
                out = tile[t, :width]
                if starts[frame + t] < 0:
                    for k in range(width):
                        out[k] = np.uint32(0x7FC00000)
                    continue
                begin = starts[frame + t] + 3 * (first_atom + atom)
                source = words[begin : begin + width]
                for k in range(width):
                    x = source[k]
                    out[k] = (
                        (x >> np.uint32(24))
                        | ((x >> np.uint32(8)) & np.uint32(0xFF00))
                        | ((x << np.uint32(8)) & np.uint32(0xFF0000))
                        | (x << np.uint32(24))
                    )
            _turn(tile, rows, atom, width, first_frame + frame, size)


@kernel(fastmath=False)
def plan_levels(change, edges, prefix_cost, levels):
    """The cheapest way to add Σ_i change_i A_i out of single rows and prefix rows.

    ``change`` is −1, 0 or 1 per atom. In each block of atoms (edges[b] to edges[b+1]) a level −1, 0 or 1 is taken
    from the prefix rows and only the atoms that differ from it are read singly; every change of level between
    blocks costs one prefix row. The best levels follow by dynamic programming along the blocks.

    Returns
    -------
    float
        Cost in single rows; ``levels`` receives the level of each block.
    """
    n_blocks = edges.shape[0] - 1
    came_from = np.empty((n_blocks, 3), dtype=np.int8)
    best = np.zeros(3)  # before the first block the prefix is zero, so that any level starts free
    for b in range(n_blocks):
        plus = minus = 0
        for i in range(edges[b], edges[b + 1]):
            if change[i] > 0:
                plus += 1
            elif change[i] < 0:
                minus += 1
        size = edges[b + 1] - edges[b]
        cheapest = 0
        for level in range(1, 3):
            if best[level] < best[cheapest]:
                cheapest = level
        hop = best[cheapest] + prefix_cost
        for level in range(3):
            if best[level] <= hop:
                came_from[b, level] = level
            else:
                best[level] = hop
                came_from[b, level] = cheapest
        best[0] += size - minus
        best[1] += plus + minus
        best[2] += size - plus
    level = 1
    cost = best[1]
    for other in (0, 2):
        if best[other] + prefix_cost < cost:
            cost = best[other] + prefix_cost
            level = other
    for b in range(n_blocks - 1, -1, -1):
        levels[b] = level - 1
        level = came_from[b, level]
    return cost


@kernel(fastmath=False)
def expand_plan(change, edges, levels):
    """Rows and prefix rows of a plan with their coefficients.

    Returns
    -------
    atoms, atom_coefficients, prefixes, prefix_coefficients : ndarray
        Prefix row b is the sum over all atoms before edges[b + 1].
    """
    n_blocks = edges.shape[0] - 1
    n_atoms = n_prefixes = 0
    for b in range(n_blocks):
        for i in range(edges[b], edges[b + 1]):
            n_atoms += change[i] != levels[b]
        following = levels[b + 1] if b + 1 < n_blocks else 0
        n_prefixes += levels[b] != following
    atoms = np.empty(n_atoms, dtype=np.int64)
    coefficients = np.empty(n_atoms)
    prefixes = np.empty(n_prefixes, dtype=np.int64)
    prefix_coefficients = np.empty(n_prefixes)
    n_atoms = n_prefixes = 0
    for b in range(n_blocks):
        for i in range(edges[b], edges[b + 1]):
            if change[i] != levels[b]:
                atoms[n_atoms] = i
                coefficients[n_atoms] = change[i] - levels[b]
                n_atoms += 1
        following = levels[b + 1] if b + 1 < n_blocks else 0
        if levels[b] != following:
            prefixes[n_prefixes] = b
            prefix_coefficients[n_prefixes] = levels[b] - following
            n_prefixes += 1
    return atoms, coefficients, prefixes, prefix_coefficients
