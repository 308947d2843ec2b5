"""Writing files so that a reader never meets half of one."""

import hashlib
import os
import re
import socket
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from .errors import InputError

__all__ = [
    "new_part",
    "reason_of",
    "replacing",
    "require_room",
    "settled",
    "take_place",
    "writable_target",
    "write_text",
]

ABANDONED = 86_400.0  # s: a part to which nothing was added for so long belongs to nobody


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
        temporary = new_part(path, room)
        yield temporary
        take_place(temporary, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {reason_of(error)}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def new_part(path, room=0):
    """An empty file beside ``path``, to be filled and given to `take_place`; its name says which process writes it.

    What processes that were killed have left of the same path is cleared away, so that its room is free again.

    Raises
    ------
    OSError
        It cannot be made, or ``room`` bytes are not there for it.
    """
    prefix = f".{path.name}.{_machine()}.{os.getpid()}."
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        _remove_abandoned(path, os.fstat(handle).st_mtime)
        require_room(handle, room)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return part


def take_place(part, path):
    """Give a finished part its name, in one step that outlasts a power failure."""
    # mkstemp makes files private; the result gets the permissions any new file would have
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(part, 0o666 & ~umask)
    with open(part, "rb") as written:
        os.fsync(written.fileno())
    os.replace(part, path)
    settled(path)


@cache
def _machine():
    """Eight letters for the machine and the set of processes that are numbered together: containers have their own."""
    text = socket.gethostname()
    with suppress(OSError):
        text += os.readlink("/proc/self/ns/pid")
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _remove_abandoned(path, now):
    """Parts of ``path`` whose process is no more; of other machines, which cannot be asked, those that are old.

    ``now`` is the time of a file just made: the clock of the disk, which all machines that write there share.
    """
    ours = re.compile(re.escape(f".{path.name}.") + r"([0-9a-f]{8})\.([0-9]+)\.[a-z0-9_]{8}\.part")
    try:
        names = os.listdir(path.parent)
    except OSError:  # a folder may be written to and yet not be listed
        return
    for name in names:
        found = ours.fullmatch(name)
        if found is None:
            continue
        part = path.parent / name
        # one that another process has just finished or removed is no longer there
        with suppress(OSError):
            dead = found[1] == _machine() and not _alive(int(found[2]))
            if dead or now - part.stat().st_mtime > ABANDONED:
                part.unlink()


def _alive(process):
    # elsewhere the question would end the process
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's, so it lives; or no number of a process
        return True
    return True


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
