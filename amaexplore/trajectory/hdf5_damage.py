"""Damage in an HDF5 file that the HDF5 library (2.0 at least) does not survive.

*Texts of an unknown kind.* Texts of any length and rows of any length are one class of types to HDF5, told apart by a
number. Where it is neither of the two known ones, reading crashes.

*Heaps without an end.* HDF5 keeps texts of any length in *global heaps*: a head, then objects one after another, each
with its size. The library goes from one to the next without asking whether it gets anywhere: a size of zero in one
flipped bit, and the program hangs in C, where neither an exception nor Ctrl-C reaches it.

*Texts longer than their heap.* What refers to a text says how long it is, and the library takes that much memory, up
to 4 GiB, before it looks.
"""

import re
import struct

import h5py
import numpy as np

from ..errors import FormatError

__all__ = ["attribute", "contents", "refuse_impossible_texts"]

FORMAT, HEAP = b"\x89HDF\r\n\x1a\n", b"GCOL\x01\x00\x00\x00"
HEAD, OBJECT = 16, struct.Struct("<HHIQ")  # a heap's head in bytes; index, references, nothing, size
REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("object", "<u4")])  # to a text: where it is kept
LOOKED_AT = 2**23  # bytes at either end of a file: texts stand before or behind the data
# bytes: a text that claims no more is left to HDF5, which finds out; nor does what says where a virtual dataset is
# described, with two small numbers before the heap (its layout's version and kind), look as if it claimed more
HARMLESS = 2**26


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
        As for `attribute`; or a text is said to be longer than the file.
    """
    _require_known(dataset.id.get_type(), dataset.name)
    _require_possible_lengths(dataset)
    return dataset[key]


def _require_possible_lengths(dataset):
    """Look at what refers to the texts before HDF5 takes the memory that it claims; other layouts than the usual pass."""
    variable = dataset.id.get_type().get_class() == h5py.h5t.STRING and dataset.id.get_type().is_variable_str()
    if not variable or dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
        return
    try:
        place = dataset.id.get_offset()
    except RuntimeError:
        raise ValueError(f"{dataset.name} stands where the file itself begins") from None
    if place is None:  # nothing was written
        return
    with open(dataset.file.filename, "rb") as file:
        size = file.seek(0, 2)
        file.seek(place)
        data = file.read(min(dataset.size * REFERENCE.itemsize, size))
    references = np.frombuffer(data, REFERENCE, len(data) // REFERENCE.itemsize)
    if np.any(references["length"] > size):
        raise ValueError(f"a text of {dataset.name} is said to be longer than the file")


def _require_known(kind, name):
    # texts are of another class here than the rows of any length that they turn into by a flipped bit
    if isinstance(kind, h5py.h5t.TypeVlenID):
        raise ValueError(f"{name} is neither a number nor a text")


def refuse_impossible_texts(path):
    """Look for endless heaps and too long texts near both ends of an HDF5 file (all of one up to 16 MiB).

    Raises
    ------
    FormatError
        A heap of texts would never be left again, or a text is longer than the heap that it is kept in.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        pieces = {}
        for begin in {0, max(0, size - LOOKED_AT)}:
            file.seek(begin)
            pieces[begin] = file.read(LOOKED_AT)
    # addresses count from here, behind whatever a program may have put before, which is nobody's heap
    base = max(0, pieces[0].find(FORMAT))
    heaps = {}
    for begin, data in pieces.items():
        places = [match.start() for match in re.finditer(re.escape(HEAP), data) if begin + match.start() >= base]
        found = {place: _end_of_heap(data, place) for place in places}
        wrong = _first_endless(data, {place: end for place, end in found.items() if end <= len(data)})
        if wrong is not None:
            raise FormatError(f"{path} is damaged: the texts in it, at byte {begin + wrong}, have an impossible size.")
        heaps |= {begin + place - base: end - place for place, end in found.items()}
    for begin, data in pieces.items():
        wrong = _first_too_long(data, heaps)
        if wrong is not None:
            place, length = wrong
            raise FormatError(
                f"{path} is damaged: the text that byte {begin + place} refers to claims {length:,} bytes, more than "
                "the place where it is kept has."
            )


def _end_of_heap(data, begin):
    return begin + int.from_bytes(data[begin + 8 : begin + HEAD], "little")


def _first_endless(data, ends):
    """The place of a heap (of those that end within the data) in which a step from one object to the next is none."""
    seen = set()
    # the one that ends last first: then nobody has to walk where somebody walked before, whatever lies in whatever
    for begin, end in sorted(ends.items(), key=lambda item: -item[1]):
        place = begin + HEAD
        while place + OBJECT.size <= end and place not in seen:
            seen.add(place)
            index, _, _, size = OBJECT.unpack_from(data, place)
            # what is free counts its own head, an object does not; the arithmetic is that of 64 bits
            step = (size if index == 0 else OBJECT.size + (size + 7) // 8 * 8) % 2**64
            if step == 0:
                return begin
            place += step
    return None


def _first_too_long(data, heaps):
    """Place and length of a reference to a text that is longer than the heap (address: size) that it refers to."""
    if not heaps:
        return None
    addresses = np.array(sorted(heaps), dtype=np.uint64)
    sizes = np.array([heaps[address] for address in sorted(heaps)], dtype=np.uint64)
    for shift in range(min(REFERENCE.itemsize, max(0, len(data) - REFERENCE.itemsize + 1))):
        count = (len(data) - shift) // REFERENCE.itemsize
        references = np.frombuffer(data, REFERENCE, count, shift)
        likely = np.flatnonzero((references["heap"] >= addresses[0]) & (references["heap"] <= addresses[-1]))
        texts = references[likely]
        heap = np.searchsorted(addresses, texts["heap"])
        # every object has a head in its heap, and the first is number 1
        wrong = (addresses[heap] == texts["heap"]) & (texts["object"] >= 1) & (texts["object"] <= sizes[heap] // 16)
        wrong &= (texts["length"] > HARMLESS) & (texts["length"] > sizes[heap])
        if wrong.any():
            first = np.flatnonzero(wrong)[0]
            return int(likely[first]) * REFERENCE.itemsize + shift, int(texts["length"][first])
    return None
