"""Writing files so that a reader never meets half of one."""

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError

__all__ = ["reason_of", "replacing", "require_room", "settled", "writable_target", "write_text"]


def writable_target(path):
    """The path of a file that is about to be written, checked before the work begins.

    Raises
    ------
    InputError
        Its folder does not exist or cannot be written to, or it is a folder itself.
    """
    path = Path(path).expanduser()
    folder = path.parent
    if path.is_dir():
        raise InputError(f"Cannot write {path}: it is a folder; give a file name in it.")
    if not folder.is_dir():
        raise InputError(f"Cannot write {path}: the folder {folder} does not exist; make it first.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"Cannot write {path}: no permission to write in {folder}; choose another folder.")
    return path


@contextmanager
def replacing(path, room=0):
    """A temporary path beside ``path`` that takes its place when the block ends well, and is removed when not.

    Parameters
    ----------
    path : path
    room : int, bytes
        What will be written, where that is known: it is looked for before the work begins, since a library that runs
        out of disk half-way may take the whole program with it.
    """
    path, temporary = writable_target(path), None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        try:
            require_room(handle, room)
        finally:
            os.close(handle)
        yield Path(temporary)
        # mkstemp makes files private; the result gets the permissions any new file would have
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        settled(path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {reason_of(error)}.") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def require_room(handle, n_bytes):
    """Ask the disk for so many bytes, and give them back.

    Raises
    ------
    OSError
        They are not there.
    """
    if n_bytes > 0 and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, int(n_bytes))
        os.ftruncate(handle, 0)


def reason_of(error):
    """What the system says, in one line."""
    return error.strerror if error.strerror and "\n" not in error.strerror else str(error).strip().splitlines()[0]


def settled(path):
    """Make the name of a new file outlast a power failure, where the system lets folders be flushed."""
    if os.name != "posix":
        return
    folder = os.open(Path(path).parent, os.O_RDONLY)
    # some network file systems flush no folders; the file itself is safe
    with suppress(OSError):
        os.fsync(folder)
    os.close(folder)


def write_text(path, text):
    """Write a text file in one go, replacing what was there."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
