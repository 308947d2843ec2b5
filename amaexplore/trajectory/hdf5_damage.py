"""Damage in an HDF5 file that the HDF5 library (2.0 at least) does not survive.

*Texts of an unknown kind.* Texts of any length and rows of any length are one class of types to HDF5, told apart by a
number. Where it is neither of the two known ones, reading crashes.

*Heaps without an end.* HDF5 keeps texts of any length in *global heaps*: a head, then objects one after another, each with its size. The library
goes from one to the next without asking whether it gets anywhere: a size of zero in one flipped bit, and
the program hangs in C, where neither an exception nor Ctrl-C reaches it.
"""

import struct

import h5py

from ..errors import FormatError

__all__ = ["attribute", "contents", "refuse_endless_heaps"]

SIGNATURE = b"GCOL\x01\x00\x00\x00"
HEAD, OBJECT = 16, struct.Struct("<HHIQ")  # a heap's head in bytes; index, references, nothing, size
LOOKED_AT = 2**23  # bytes at either end of a file: texts stand before or behind the data


def attribute(item, name, default=None):
    """An attribute of an HDF5 object, or ``default`` where it has none of that name.

    Raises
    ------
    ValueError
        It is of a type that nobody gives an attribute on purpose.
    """
    if name not in item.attrs:
        return default
    _require_known(item.attrs.get_id(name).get_type(), name)
    return item.attrs[name]


def contents(dataset, key=()):
    """What a dataset of text holds at ``key``, all of it unless that is given.

    Raises
    ------
    ValueError
        As for `attribute`.
    """
    _require_known(dataset.id.get_type(), dataset.name)
    return dataset[key]


def _require_known(kind, name):
    # texts are of another class here than the rows of any length that they turn into by a flipped bit
    if isinstance(kind, h5py.h5t.TypeVlenID):
        raise ValueError(f"{name} is neither a number nor a text")


def refuse_endless_heaps(path):
    """Look at the heaps near both ends of an HDF5 file (all of one up to 16 MiB).

    Raises
    ------
    FormatError
        One of them would never be left again.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        for begin in {0, max(0, size - LOOKED_AT)}:
            file.seek(begin)
            data = file.read(LOOKED_AT)
            place = data.find(SIGNATURE)
            while place >= 0:
                if _is_endless(data, place):
                    raise FormatError(
                        f"{path} is damaged: the texts in it, at byte {begin + place}, have an impossible size."
                    )
                place = data.find(SIGNATURE, place + HEAD)


def _is_endless(data, begin):
    """Whether a step from one object of the heap to the next is none."""
    end = begin + int.from_bytes(data[begin + 8 : begin + HEAD], "little")
    # one that is cut off, or no heap at all, HDF5 finds out by itself
    if end > len(data):
        return False
    place = begin + HEAD
    while place + OBJECT.size <= end:
        index, _, _, size = OBJECT.unpack_from(data, place)
        # what is free counts its own head, an object does not; the arithmetic is that of 64 bits
        step = (size if index == 0 else OBJECT.size + (size + 7) // 8 * 8) % 2**64
        if step == 0:
            return True
        place += step
    return False
