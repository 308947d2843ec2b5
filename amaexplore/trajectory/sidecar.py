"""The store on disk: an HDF5 sidecar of a trajectory, mapped into memory, never stale, never half-written.

Rows and prefix rows are contiguous, page-aligned HDF5 datasets, so that they can be mapped and summed straight from
the page cache; any HDF5 tool reads them as well. A sidecar is written under a temporary name, checked, and renamed.
Its name carries a key made of the sizes and times of the files it comes from and of the settings, so that a changed
file or setting never meets an old sidecar.
"""

import hashlib
import json
import mmap
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import h5py
import mdtraj
import numpy as np
import platformdirs

from ..errors import FormatError, InputError, MissingFieldError, Notice
from ..files import new_part, reason_of, take_place
from .frames import laid_out_as, refuse_elsewhere
from .hdf5_damage import attribute, contents, refuse_impossible_texts
from .memory import memory_budget, require_whole
from .store import FIELDS, AtomStore, StoreBlock, attach_store, padded, read_only

__all__ = [
    "SidecarLayout",
    "StoredField",
    "fingerprint",
    "open_sidecar",
    "remove_sidecars",
    "sidecar_path",
    "writing_sidecar",
]

VERSION = 2
SUFFIX = ".ama.h5"
PAGE = mmap.ALLOCATIONGRANULARITY
ADVISED_ROWS = 1024  # at most so many rows are asked for ahead; beyond, plain reading ahead does as well


# -- which sidecar belongs to which files -------------------------------------------------------------


def fingerprint(files, topology=None, **settings):
    """What makes a sidecar stale: paths, sizes and modification times of all files, and the settings.

    Returns
    -------
    dict
        Plain JSON types.

    Raises
    ------
    FormatError
        A file is not there.
    """

    def stamp(path):
        path = Path(path).expanduser()
        if not path.is_file():
            raise FormatError(f"There is no file {path}; check the path.")
        status = path.stat()
        return [str(path.resolve()), status.st_size, status.st_mtime_ns]

    inputs = [*files, *([topology] if isinstance(topology, str | os.PathLike) else [])]
    return {"version": VERSION, "files": [stamp(path) for path in inputs], "settings": settings}


def _key(mark):
    return hashlib.sha256(json.dumps(mark, sort_keys=True, default=str).encode()).hexdigest()[:12]


def sidecar_path(mark, directory=None):
    """Where the sidecar of a fingerprint is or will be: beside the first file, else in the user's cache directory.

    Parameters
    ----------
    mark : dict
        From `fingerprint`.
    directory : path, optional
        Another place.
    """
    first = Path(mark["files"][0][0])
    name = f"{first.name}.{_key(mark)}{SUFFIX}"
    if directory is not None:
        return Path(directory).expanduser() / name
    beside = first.parent / name
    if beside.exists() or os.access(first.parent, os.W_OK):
        return beside
    return _cache_directory() / name


def _cache_directory():
    return platformdirs.user_cache_path("amaexplore") / "stores"


def remove_sidecars(file, directory=None):
    """Delete every sidecar of a trajectory file, beside it and in the user's cache directory.

    Parameters
    ----------
    file : str or Path
        The trajectory file.
    directory : str or Path, optional
        To look there alone.

    Returns
    -------
    list of Path
        What was deleted.
    """
    file = Path(file).expanduser().resolve()
    places = [Path(directory).expanduser()] if directory is not None else [file.parent, _cache_directory()]
    removed = []
    for place in places:
        for path in sorted(place.glob(f"{_glob_safe(file.name)}.*{SUFFIX}")):
            mark = _read_mark(path)
            if mark is not None and mark["files"][0][0] == str(file):
                path.unlink(missing_ok=True)
                removed.append(path)
    return removed


def remove_stale(path, mark):
    """Delete sidecars beside ``path`` that came from the same files and settings before those files changed."""
    file = Path(mark["files"][0][0])
    for other in path.parent.glob(f"{_glob_safe(file.name)}.*{SUFFIX}"):
        old = _read_mark(other) if other != path else None
        if old is None or old["settings"] != json.loads(json.dumps(mark["settings"], default=str)):
            continue
        if [entry[0] for entry in old["files"]] == [entry[0] for entry in mark["files"]]:
            other.unlink(missing_ok=True)


def _glob_safe(name):
    return "".join(f"[{letter}]" if letter in "[]*?" else letter for letter in name)


def _read_mark(path):
    try:
        refuse_impossible_texts(path)
        with h5py.File(path, "r") as file:
            return json.loads(attribute(file, "fingerprint", ""))
    except (FormatError, OSError, KeyError, ValueError):  # not ours, or damaged: not ours to touch
        return None


# -- writing ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SidecarLayout:
    """Where every array of a sidecar lies, so that several processes can write their blocks at once.

    Parameters
    ----------
    path : str
    n_atoms : int
    edges : ndarray of int
    bounds : tuple of (int, int)
        First and past-the-end frame of each block.
    fields : tuple of str
    offsets : dict
        (block, "rows" or "prefixes", field) -> byte offset in the file.
    """

    path: str
    n_atoms: int
    edges: np.ndarray
    bounds: tuple
    fields: tuple
    offsets: dict
    dtype: str = "float32"

    def shape(self, block, kind):
        """Shape of the rows or prefix rows of a block."""
        first, past = self.bounds[block]
        return (self.n_atoms if kind == "rows" else len(self.edges) - 1), 3 * padded(past - first)

    def item(self, kind):
        """Type of the rows or prefix rows."""
        return np.dtype(self.dtype if kind == "rows" else "float64")

    @contextmanager
    def writer(self, block):
        """A function ``write(kind, name, first_row, rows)`` for the rows of one block."""
        handle = os.open(self.path, os.O_WRONLY | getattr(os, "O_BINARY", 0))

        def write(kind, name, first_row, rows):
            place = self.offsets[block, kind, name] + first_row * rows.strides[0]
            left = memoryview(rows).cast("B")
            while len(left):
                done = os.pwrite(handle, left, place)
                left, place = left[done:], place + done

        try:
            yield write
        finally:
            os.close(handle)


@contextmanager
def writing_sidecar(path, mark, *, n_atoms, edges, bounds, fields, dtype="float32"):
    """A new sidecar under a temporary name, which takes its own name when the block ends well.

    Yields
    ------
    SidecarLayout, dict
        The place of the rows, and a dict to be filled with the facts of the trajectory (see `_write_facts`).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = None
    try:
        temporary = new_part(path, _size(n_atoms, edges, bounds, fields, dtype))
        layout = _allocate(temporary, n_atoms, edges, bounds, fields, dtype)
        facts = {}
        yield layout, facts
        with h5py.File(temporary, "r+") as file:
            _write_facts(file, facts)
            file.attrs["fingerprint"] = json.dumps(mark, default=str)
            file.attrs["complete"] = True
        _check(temporary)
        take_place(temporary, path)
    except OSError as error:
        raise InputError(
            f"Cannot write the sidecar {path}: {reason_of(error)}; give directory= with room to write."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _size(n_atoms, edges, bounds, fields, dtype):
    """Bytes of all rows and prefix rows."""
    each = n_atoms * np.dtype(dtype).itemsize + (len(edges) - 1) * 8
    return len(fields) * each * sum(3 * padded(past - first) for first, past in bounds)


def _allocate(path, n_atoms, edges, bounds, fields, dtype):
    layout = SidecarLayout(str(path), n_atoms, np.asarray(edges), tuple(bounds), tuple(fields), {}, dtype)
    with h5py.File(path, "w", libver="latest", alignment_threshold=PAGE, alignment_interval=PAGE) as file:
        file.attrs["format"] = "amaexplore atom-major store"
        file.attrs["version"] = VERSION
        file.attrs["complete"] = False
        file["edges"] = layout.edges
        for block, (first, past) in enumerate(layout.bounds):
            group = file.create_group(f"blocks/{block}")
            group.attrs["first"], group.attrs["n_frames"] = first, past - first
            for kind in ("rows", "prefixes"):
                for name in layout.fields:
                    data = _contiguous(group, f"{kind}/{name}", layout.shape(block, kind), layout.item(kind))
                    layout.offsets[block, kind, name] = data.id.get_offset()
    return layout


def _contiguous(group, name, shape, dtype):
    """A dataset whose place in the file is fixed now and filled from outside."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    parents = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    parents.set_create_intermediate_group(True)
    identifier = h5py.h5d.create(
        group.id, name.encode(), h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape), settings, parents
    )
    return h5py.Dataset(identifier)


def _write_facts(file, facts):
    """times, masses, box and first_positions (or None), topology, and the remaining facts of `Trajectory` as JSON."""
    file["times"], file["masses"] = facts.pop("times"), facts.pop("masses")
    box = facts.pop("box", None)
    if box is not None:
        file["box"] = box
    first_positions = facts.pop("first_positions", None)
    if first_positions is not None:
        file["first_positions"] = first_positions
    file["topology"] = json.dumps(topology_document(facts.pop("topology")))
    facts["notices"] = [dict(code=n.code, message=n.message, severity=n.severity) for n in facts.get("notices", ())]
    file["facts"] = json.dumps(facts)


def _check(path):
    """A few prefix rows against the rows they are sums of, read back from the file."""
    store = _open_store(path)
    generator = np.random.default_rng(0)
    for block in store.blocks:
        for name in store.fields:
            weights = np.ones(store.n_atoms) if name == "forces" else store.masses
            for edge in generator.integers(0, len(store.edges) - 1, 4):
                atoms = slice(store.edges[edge], store.edges[edge + 1])
                found = block.prefixes[name][edge] - (block.prefixes[name][edge - 1] if edge else 0.0)
                terms = block.rows[name][atoms].astype(float) * weights[atoms, None]
                scale = np.abs(terms).sum(axis=0) + np.abs(block.prefixes[name][edge])
                if (np.abs(found - terms.sum(axis=0)) > 1e-11 * scale + 1e-300).any():
                    raise InputError(
                        f"The sidecar {path} does not hold what was written; the disk may be full or faulty."
                    )


# -- reading ------------------------------------------------------------------------------------------


def open_sidecar(path):
    """The trajectory behind a sidecar, its arrays mapped from disk and its store attached.

    Raises
    ------
    FormatError
        No complete sidecar of this version is there.
    """
    from .trajectory import Trajectory

    store = _open_store(path)
    with laid_out_as("a sidecar of amaexplore; make it again with amaexplore.ingest", path):
        with h5py.File(path, "r") as file:
            facts = json.loads(contents(file["facts"]))
            facts["notices"] = (*(Notice(**notice) for notice in facts["notices"]), *_lacking(store))
            facts["files"] = tuple(facts["files"])
            arrays = dict(
                times=file["times"][()],
                masses=store.masses,
                topology=topology_from_document(json.loads(contents(file["topology"]))),
                box=file["box"][()] if "box" in file else None,
            )
        if len(store.blocks) == 1:
            fields = {
                name: MappedField.of(store.blocks[0].frame_major(name), store.require_unchanged)
                for name in store.fields
            }
        else:
            fields = {name: StoredField(store, name) for name in store.fields}
        trajectory = Trajectory(**arrays, **fields, **facts)
        attach_store(trajectory, store)
        return trajectory


def _lacking(store):
    """Notices of fields that only some frames have; where one is missing its sums are NaN."""
    for name in store.fields:
        lacking = sum(int(np.isnan(block.prefixes[name][-1, : block.n_frames]).sum()) for block in store.blocks)
        if lacking:
            yield Notice(
                f"{name}_in_some_frames",
                f"{name.capitalize()} are in {store.n_frames - lacking} of {store.n_frames} frames; the others count as missing.",
                "info",
            )


def _open_store(path):
    with laid_out_as("a sidecar of amaexplore; make it again with amaexplore.ingest", path):
        with h5py.File(path, "r") as file:
            refuse_elsewhere(file, path)
            if not attribute(file, "complete", False) or attribute(file, "version") != VERSION:
                raise FormatError(
                    f"{path} is not a complete sidecar of this version; make it again with amaexplore.ingest."
                )
            masses, edges = file["masses"][()], file["edges"][()]
            first_positions = file["first_positions"][()] if "first_positions" in file else None
            places = [_places(file["blocks"][str(number)]) for number in range(len(file["blocks"]))]
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            unchanged = partial(_require_unchanged, mapped, Path(path), os.fstat(file.fileno()))
        blocks = [_mapped_block(mapped, *place) for place in places]
        return AtomStore(masses, edges, blocks, Path(path), unchanged, first_positions)


def _require_unchanged(mapped, path, before):
    """Refuse a sidecar that was cut or written over; one that was deleted or replaced by another lives on in its map."""
    require_whole(mapped, path)
    try:
        now = path.stat()
    except OSError:
        return
    if os.path.samestat(now, before) and now.st_mtime_ns != before.st_mtime_ns:
        raise FormatError(f"{path} was written over since it was opened; load the data again.")


def _places(group):
    arrays = {
        (kind, name): (data.shape, data.dtype, data.id.get_offset())
        for kind in ("rows", "prefixes")
        for name, data in group[kind].items()
    }
    return int(attribute(group, "first")), int(attribute(group, "n_frames")), arrays


def _mapped_block(mapped, first, n_frames, places):
    kinds = {"rows": {}, "prefixes": {}}
    for kind, name in sorted(places, key=lambda place: FIELDS.index(place[1])):
        shape, dtype, offset = places[kind, name]
        kinds[kind][name] = read_only(np.ndarray(shape, dtype, buffer=mapped, offset=offset))
    starts = [(place[2], place[0][1] * place[1].itemsize) for key, place in places.items() if key[0] == "rows"]
    return StoreBlock(first, n_frames, kinds["rows"], kinds["prefixes"], partial(_want_rows, mapped, starts))


def _want_rows(mapped, starts, atoms):
    """Tell the system which rows come next, one call per run of neighbouring atoms, so that it reads them at once."""
    if not 0 < len(atoms) <= ADVISED_ROWS or not hasattr(mmap, "MADV_WILLNEED"):
        return
    breaks = np.flatnonzero(np.diff(atoms) != 1)
    firsts = atoms[np.append(0, breaks + 1)].tolist()
    lasts = atoms[np.append(breaks, len(atoms) - 1)].tolist()
    for offset, row in starts:
        for first, last in zip(firsts, lasts):
            begin = (offset + first * row) // PAGE * PAGE
            mapped.madvise(mmap.MADV_WILLNEED, begin, offset + (last + 1) * row - begin)


class MappedField(np.ndarray):
    """An array that is mapped from a file, and is looked at only while that file is what it was.

    The system ends a program that reads what somebody has cut off. Whatever does not share its memory is an ordinary array.
    """

    @classmethod
    def of(cls, values, require_unchanged):
        """``values`` themselves, not a copy, behind a check that raises an error where they must not be read."""
        field = values.view(cls)
        field.require_unchanged = require_unchanged
        return field

    def __array_finalize__(self, source):
        shares = isinstance(source, MappedField) and np.may_share_memory(self, source)
        self.require_unchanged = source.require_unchanged if shares else _nothing

    def __getitem__(self, key):
        self.require_unchanged()
        found = super().__getitem__(key)
        return _plain(found) if isinstance(found, MappedField) and found.require_unchanged is _nothing else found

    def copy(self, order="C"):
        """An ordinary array of the same numbers."""
        self.require_unchanged()
        return np.array(self, order=order)

    def astype(self, *arguments, **options):
        """An ordinary array of another type."""
        self.require_unchanged()
        return _plain(self).astype(*arguments, **options)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        for one in inputs:
            if isinstance(one, MappedField):
                one.require_unchanged()
        options |= {name: tuple(map(_plain, options[name])) for name in ("out",) if options.get(name)}
        return getattr(ufunc, method)(*map(_plain, inputs), **options)

    def __reduce__(self):
        self.require_unchanged()
        return np.array(self).__reduce__()


def _nothing():
    pass


def _plain(one):
    return one.view(np.ndarray) if isinstance(one, MappedField) else one


class StoredField:
    """A field of a trajectory on disk in several blocks: indexed like an array (n_frames, n_atoms, 3).

    What is asked for is read, and nothing else; as a whole it becomes an array only where it fits the memory budget.
    """

    def __init__(self, store, name):
        self._store, self._name = store, name
        self.shape = (store.n_frames, store.n_atoms, 3)
        self.dtype = store.blocks[0].rows[name].dtype
        self.ndim = 3

    @property
    def nbytes(self):
        """Bytes of the whole field."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        self._store.require_unchanged()
        key = key if isinstance(key, tuple) else (key,)
        frames, rest = (key[0] if key else slice(None)), (slice(None), *key[1:])
        if np.ndim(frames) == 0 and not isinstance(frames, slice):
            number = range(len(self))[int(frames)]
            block = next(b for b in reversed(self._store.blocks) if b.first <= number)
            return np.array(block.frame_major(self._name)[rest][number - block.first])
        numbers = np.arange(len(self))[frames]
        pieces = [np.empty((0, *np.empty((0, *self.shape[1:]))[rest].shape[1:]), self.dtype)]
        place = np.full(len(self), -1)
        done = 0
        for block in self._store.blocks:
            here = numbers[(numbers >= block.first) & (numbers < block.first + block.n_frames)]
            if len(here):
                pieces.append(block.frame_major(self._name)[rest][here - block.first])
                place[here] = done + np.arange(len(here))
                done += len(here)
        gathered = np.concatenate(pieces)
        return gathered if (np.diff(place[numbers]) == 1).all() else gathered[place[numbers]]

    def __array__(self, dtype=None, copy=None):
        if self.nbytes > memory_budget():
            raise MissingFieldError(
                f"All {self._name} together take {self.nbytes / 2**30:.1f} GiB, more than the memory budget of "
                f"{memory_budget() / 2**30:.1f} GiB; work on trajectory.frames(...) of fewer frames, or raise AMAEXPLORE_MEMORY."
            )
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self):
        return f"StoredField({self._name}, shape {self.shape}, on disk)"


# -- topology as JSON ---------------------------------------------------------------------------------


def topology_document(topology):
    """Chains, residues, atoms and bonds as plain JSON types."""
    return {
        "chains": [
            [
                [
                    residue.name,
                    residue.resSeq,
                    residue.segment_id,
                    [[atom.name, atom.element.symbol if atom.element is not None else None] for atom in residue.atoms],
                ]
                for residue in chain.residues
            ]
            for chain in topology.chains
        ],
        "bonds": [[first.index, second.index] for first, second in topology.bonds],
    }


def topology_from_document(document):
    """The inverse of `topology_document`."""
    topology = mdtraj.Topology()
    for residues in document["chains"]:
        chain = topology.add_chain()
        for name, number, segment, atoms in residues:
            residue = topology.add_residue(name, chain, resSeq=number, segment_id=segment)
            for atom, symbol in atoms:
                topology.add_atom(atom, _element(symbol), residue)
    atoms = list(topology.atoms)
    for first, second in document["bonds"]:
        topology.add_bond(atoms[first], atoms[second])
    return topology


@cache
def _element(symbol):
    if symbol is None:
        return None
    if symbol == mdtraj.element.virtual.symbol:
        return mdtraj.element.virtual
    return mdtraj.element.get_by_symbol(symbol)
