"""Loops over atoms in contact across the periodic box: which pieces belong together, and in which images."""

from .compile import kernel

__all__ = ["join_contacts"]


@kernel(fastmath=False)
def _root(parents, turns, atom):
    """The first atom of the piece that an atom belongs to; on the way its turns become those from there."""
    top = atom
    a, b, c = 0, 0, 0
    while parents[top] != top:
        a, b, c = a + turns[top, 0], b + turns[top, 1], c + turns[top, 2]
        top = parents[top]
    while parents[atom] != top and atom != top:
        above = parents[atom]
        x, y, z = turns[atom, 0], turns[atom, 1], turns[atom, 2]
        parents[atom] = top
        turns[atom, 0], turns[atom, 1], turns[atom, 2] = a, b, c
        a, b, c = a - x, b - y, c - z
        atom = above
    return top


@kernel(fastmath=False)
def join_contacts(inside, box, counts, order, starts, molecules, reach, parents, turns, most):
    """Join all pieces that have atoms within ``reach`` of each other, counting box vectors between their atoms.

    Parameters
    ----------
    inside : ndarray, shape (n_atoms, 3)
        Positions within the box, which is cut into cells that are not narrower than ``reach``.
    box : ndarray, shape (3, 3)
    counts : ndarray of int, shape (3,)
        Cells along each box vector.
    order, starts : ndarray of int
        Atoms of cell c are order[starts[c] : starts[c + 1]].
    molecules : ndarray of int, shape (n_atoms,)
        Contacts within a molecule say nothing: its bonds do.
    reach : float
    parents : ndarray of int, shape (n_atoms,)
        Another atom of the same piece, in the end its first; changed in place.
    turns : ndarray of int, shape (n_atoms, 3)
        Box vectors from the parent's image to the one that touches it; changed in place.
    most : int
        Pairs to look at.

    Returns
    -------
    int
        Pieces joined; −1 where two atoms of a piece touch in another image than its own, −2 after ``most`` pairs.
    """
    joined, seen = 0, 0
    for cell in range(len(starts) - 1):
        if starts[cell] == starts[cell + 1]:
            continue
        z = cell % counts[2]
        y = cell // counts[2] % counts[1]
        x = cell // (counts[1] * counts[2])
        for da in range(-1, 2):
            for db in range(-1, 2):
                for dc in range(-1, 2):
                    p, q, r = (x + da) // counts[0], (y + db) // counts[1], (z + dc) // counts[2]
                    other = ((x + da - p * counts[0]) * counts[1] + (y + db - q * counts[1])) * counts[2] + (
                        z + dc - r * counts[2]
                    )
                    sx = p * box[0, 0] + q * box[1, 0] + r * box[2, 0]
                    sy = p * box[0, 1] + q * box[1, 1] + r * box[2, 1]
                    sz = p * box[0, 2] + q * box[1, 2] + r * box[2, 2]
                    seen += (starts[cell + 1] - starts[cell]) * (starts[other + 1] - starts[other])
                    if seen > most:
                        return -2
                    for k in range(starts[cell], starts[cell + 1]):
                        i = order[k]
                        ux, uy, uz = sx - inside[i, 0], sy - inside[i, 1], sz - inside[i, 2]
                        for m in range(starts[other], starts[other + 1]):
                            j = order[m]
                            if j <= i or molecules[i] == molecules[j]:
                                continue
                            dx, dy, dz = inside[j, 0] + ux, inside[j, 1] + uy, inside[j, 2] + uz
                            if dx * dx + dy * dy + dz * dz > reach * reach:
                                continue
                            first, second = _root(parents, turns, i), _root(parents, turns, j)
                            # box vectors from the first atom of i's piece to j, by way of i
                            a, b, c = p + turns[i, 0], q + turns[i, 1], r + turns[i, 2]
                            if first == second:
                                if a != turns[j, 0] or b != turns[j, 1] or c != turns[j, 2]:
                                    return -1
                                continue
                            joined += 1
                            parents[second] = first
                            turns[second, 0] = a - turns[j, 0]
                            turns[second, 1] = b - turns[j, 1]
                            turns[second, 2] = c - turns[j, 2]
    return joined
