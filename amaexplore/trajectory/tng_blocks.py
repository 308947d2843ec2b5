"""The blocks of a TNG file and their MD5 sums, checked before its library, which may crash on damaged bytes, sees them."""

import hashlib
import struct

from ..errors import FormatError

__all__ = ["check_blocks"]

_FIXED = 40  # header size, contents size, identifier (8 bytes each) and the MD5 sum of the contents
_PIECE = 2**22
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


def check_blocks(path):
    """Go through a TNG file block by block.

    Raises
    ------
    FormatError
        A block that is cut short, whose contents are not those its MD5 sum was made of, or whose header makes no sense.
    """
    size = path.stat().st_size
    names, position = {}, 0
    with open(path, "rb") as file:
        order = _byte_order(file.read(8))
        while position < size:
            file.seek(position)
            reason = _check_block(file, size - position, order, names)
            if isinstance(reason, str):
                raise FormatError(
                    f"{path} is not a readable TNG file, or is truncated or damaged: {reason} at byte {position} of {size}. "
                    "'gmx check -f' may tell more; a copy of the original file is the remedy."
                )
            position += reason


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
