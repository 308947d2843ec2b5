"""The blocks of a TNG file and their MD5 sums, checked before its library, which may crash on damaged bytes, sees them.

A file is a head and *frame sets*, each a block with its first frame, their number, and where the next set begins, followed
by the blocks of its data.
"""

import hashlib
import struct
from dataclasses import dataclass

from ..errors import FormatError

__all__ = ["FrameSets", "copy_frame_sets", "find_frame_sets"]

_FIXED = 40  # header size, contents size, identifier (8 bytes each) and the MD5 sum of the contents
_PIECE = 2**22
_FRAME_SET = 0x2
_SHORTEST_SET = 80  # bytes: its first frame, their number, six places and two times
_HEAD_TEXTS = 9  # names of programs, users and computers, signatures, force field
_KNOWN = {
    b"GENERAL INFO": 0x0,
    b"MOLECULES": 0x1,
    b"TRAJECTORY FRAME SET": 0x2,
    b"PARTICLE MAPPING": 0x3,
    b"BOX SHAPE": 0x10000000,
    b"POSITIONS": 0x10000001,
    b"VELOCITIES": 0x10000002,
    b"FORCES": 0x10000003,
    b"PARTIAL CHARGES": 0x10000004,
    b"ATOM MASSES": 0x10000010,
}
_NUMBERS = set(_KNOWN.values())


@dataclass(frozen=True)
class FrameSets:
    """The frame sets of a TNG file that are whole.

    Parameters
    ----------
    order : str
        Byte order, as `struct` has it.
    starts : tuple of int
        Byte at which each begins.
    ends : tuple of int
        Byte behind the data of each.
    n_steps : tuple of int
        MD steps from the first of the file to the last of each.
    has_rest : bool
        Whether bytes follow that are not a whole frame set: the file was cut short, or is damaged there.
    """

    order: str
    starts: tuple
    ends: tuple
    n_steps: tuple
    has_rest: bool


def find_frame_sets(path):
    """Go through a TNG file block by block, up to its end or to the first that is not whole.

    Raises
    ------
    FormatError
        A block before the end of the first frame set is cut short, has contents that its MD5 sum was not made of, or a
        header that makes no sense.
    """
    size = path.stat().st_size
    names, position, reason = {}, 0, "its first frames are cut short"
    starts, ends, n_steps, following = [], [], [], -1
    with open(path, "rb") as file:
        order = _byte_order(file.read(8))
        while position < size:
            file.seek(position)
            length = _check_block(file, size - position, order, names)
            if isinstance(length, str):
                reason = length
                break
            file.seek(position)
            header, contents, identifier = struct.unpack(f"{order}2qQ", file.read(24))
            if identifier == _FRAME_SET:
                ends += [position] if starts else []
                starts.append(position)
                file.seek(position + header)
                set_head = file.read(contents)
                n_steps.append(sum(struct.unpack_from(f"{order}2q", set_head)))
                following = struct.unpack_from(f"{order}q", set_head, _place_of_next(set_head))[0]
            position += length
    # the last set is whole where the file ends with it, or where it says that the next one would begin
    is_last = position == size and following < position and following != size
    if starts and (is_last or following == position):
        ends.append(position)
    if not ends:
        raise FormatError(
            f"{path} is not a readable TNG file, or is truncated or damaged: {reason} at byte {position} of {size}. "
            "'gmx check -f' may tell more; a copy of the original file is the remedy."
        )
    return FrameSets(order, tuple(starts[: len(ends)]), tuple(ends), tuple(n_steps[: len(ends)]), not is_last)


def copy_frame_sets(path, sets, count, copy):
    """Write the head and the first frame sets of a file to another, as a whole TNG file.

    Parameters
    ----------
    path : Path
    sets : FrameSets
    count : int
        How many of them.
    copy : file, open for reading and writing
    """
    end = sets.ends[count - 1]
    with open(path, "rb") as file:
        while left := end - file.tell():
            piece = file.read(min(left, _PIECE))
            if not piece:
                raise FormatError(f"{path} has become shorter while it was read; it may still be written to.")
            copy.write(piece)
    # the head says where the last set is; each set where the next ones are, by ones and by two longer strides
    _change(copy, 0, sets.order, lambda contents: _with_last_set(contents, sets.order, sets.starts[count - 1]))
    for start in sets.starts[:count]:
        _change(copy, start, sets.order, lambda contents: _without_sets_from(contents, sets.order, end))
    copy.flush()


def _change(file, start, order, change):
    """Put other contents of the same length, with their MD5 sum, into the block that begins at ``start``."""
    file.seek(start)
    header, length = struct.unpack(f"{order}2q", file.read(16))
    file.seek(start + header)
    contents = change(bytearray(file.read(length)))
    file.seek(start + header)
    file.write(contents)
    file.seek(start + 24)
    file.write(hashlib.md5(contents, usedforsecurity=False).digest())


def _with_last_set(contents, order, last):
    place = 0
    for _ in range(_HEAD_TEXTS):
        place = contents.index(0, place) + 1
    # behind the texts: the time, a byte, frames in a set, and where the first set is
    struct.pack_into(f"{order}q", contents, place + 8 + 1 + 8 + 8, last)
    return contents


def _place_of_next(contents):
    """Where a frame set says where the next one begins.

    At its end: six places, of the next and the previous set by three strides; and the times of its first frame and between
    frames, which all files have but some from before GROMACS wrote any.
    """
    return len(contents) - 64


def _without_sets_from(contents, order, end):
    for place in range(_place_of_next(contents), _place_of_next(contents) + 48, 16):
        if struct.unpack_from(f"{order}q", contents, place)[0] >= end:
            struct.pack_into(f"{order}q", contents, place, -1)
    return contents


def _byte_order(first):
    """Both orders are in use: the first number of a file is the size of a small header."""
    return "<" if len(first) == 8 and struct.unpack("<q", first)[0] < 2**31 else ">"


def _check_block(file, room, order, names):
    """The length of the block that begins here, or the reason why it is none."""
    fixed = file.read(_FIXED)
    if len(fixed) < _FIXED:
        return "a block header is cut short"
    header, contents, identifier = struct.unpack(f"{order}qqQ", fixed[:24])
    if not _FIXED < header <= min(room, _FIXED + 4096) or contents < 0:
        return "a block header makes no sense"
    name, end, version = file.read(header - _FIXED).partition(b"\0")
    # one identifier has one name, throughout a file, and the common ones are fixed
    is_known = _KNOWN.get(name) == identifier if identifier in _NUMBERS else name not in _KNOWN
    if not end or len(version) != 8 or not is_known or names.setdefault(identifier, name) != name:
        return "a block header makes no sense"
    if identifier == _FRAME_SET and contents < _SHORTEST_SET:
        return "a frame set makes no sense"
    title = name.decode("ascii", "replace")
    if header + contents > room:
        return f"the block {title} is cut short"
    stated, found = fixed[24:40], hashlib.md5(usedforsecurity=False)
    left = contents
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            return f"the block {title} is cut short"
        found.update(piece)
        left -= len(piece)
    if any(stated) and stated != found.digest():  # all zero: written without sums
        return f"the MD5 sum of the block {title} is not that of its contents"
    return header + contents
