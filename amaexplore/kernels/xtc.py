"""The packed coordinates of an XTC frame, gone through without unpacking: damaged bytes are seen before a library trips."""

from .compile import kernel

__all__ = ["is_sound"]

FIRST_SIZE, LAST_SIZE = 9, 72  # indices of sizes of small differences; an index is also their number of bits


@kernel(fastmath=False)
def is_sound(packed, n_atoms, bits, size):
    """Whether steps through the packed atoms end within the bytes, with sizes that exist.

    Each atom takes ``bits``, then a flag; where it is set, five bits tell how many atoms follow as small differences,
    and whether these become smaller or larger from then on.

    Parameters
    ----------
    packed : ndarray of uint8
    n_atoms : int
    bits : int
        Of a coordinate triple.
    size : int
        The index of the first size.
    """
    room = 8 * len(packed)
    at, atoms, followers = 0, 0, 0
    while atoms < n_atoms:
        if size < FIRST_SIZE or size > LAST_SIZE:
            return False
        at += bits
        atoms += 1
        if at + 1 > room:
            return False
        flag = (packed[at >> 3] >> (7 - (at & 7))) & 1
        at += 1
        change = 0
        if flag:
            if at + 5 > room:
                return False
            word = 0
            for _ in range(5):
                word = 2 * word + ((packed[at >> 3] >> (7 - (at & 7))) & 1)
                at += 1
            change = word % 3 - 1
            followers = word // 3
        atoms += followers
        at += followers * size
        size += change
    return atoms == n_atoms and at <= room
