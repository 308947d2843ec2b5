"""ingest(): from trajectory files to a store on disk in one streaming pass, on this machine or on a Dask cluster.

What a format has to offer is a `BlockSource`; everything else (periodic images, transposition, prefix rows, the
sidecar) is the same for all. Blocks of frames are independent of each other but for the periodic images of their
first frame, which are integers and found beforehand, so that it does not matter where, when or in which order they
are made: the bytes are the same.
"""

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import FormatError, InputError
from ..kernels.ingest import step_images, whole_images
from ..kernels.store import fill_rows, fill_rows_swapped
from .memory import memory_budget, require_whole
from .sidecar import fingerprint, open_sidecar, remove_sidecars, remove_stale, sidecar_path, writing_sidecar
from .store import FIELDS, LONGEST_BLOCK, atom_edges, padded, prefix_rows
from .trr import TrrFile, index_trr
from .unwrap import inverse_boxes
from .workers import share

__all__ = ["BlockSource", "ingest", "remove_sidecars"]

FACTS = (
    "masses",
    "topology",
    "masses_source",
    "velocity_offset",
    "md_timestep",
    "complete_system",
    "metadata",
)
FACT_BYTES = 32 * 2**20  # first frames from which facts such as half-step velocities are measured
SLAB_BYTES = 16 * 2**20  # rows of a slab of atoms; several of these fit the last-level cache


class BlockSource(Protocol):
    """What `ingest` needs to know of a trajectory; must be picklable, because workers on other machines get it."""

    n_frames: int
    n_atoms: int
    fields: tuple
    dtype: str

    def block(self, start, stop):
        """Frames ``start`` to ``stop``, as an object with ``times``, ``boxes`` (NaN where there is none) and

        ``fill(name, first_atom, rows)``, which writes a field of the atoms from ``first_atom`` on into ``rows``
        (n_some_atoms, 3, at least stop − start), NaN where a frame lacks it, periodic images as stored; ``positions_at(frame)``,
        the positions (n_atoms, 3) of one frame; and ``done()``, called when a field has been read for all atoms.
        """
        ...


def ingest(files, topology=None, *, client=None, directory=None, progress=None, **settings):
    """Make the store of a trajectory on disk, once, and open it: any selection is fast, whatever the size.

    The store is a sidecar file beside the trajectory (or in the user's cache directory where that is not writable).
    It is keyed by the files' sizes and times and by the settings: called again it is opened at once, after a change
    made anew. Nothing half-made is ever left under its name. `remove_sidecars` deletes it.

    Parameters
    ----------
    files : path or sequence of paths
    topology : path, optional
        As for `amaexplore.load`.
    client : dask.distributed.Client, optional
        Blocks are made by its workers, which must see the same file system. The result is the same to the last bit.
    directory : path, optional
        Where the sidecar goes.
    progress : callable (fraction, text), optional
        May raise `Cancelled` to stop; nothing is left then.
    **settings
        As for `amaexplore.load`: ``units``, ``timestep``, ``frames`` (a slice), ...

    Returns
    -------
    Trajectory
        Its arrays are mapped from disk and its store is ready.

    Raises
    ------
    FormatError, InputError
        What cannot be read, and where there is no room to write.
    """
    files = [files] if isinstance(files, str | os.PathLike) else list(files)
    if not files:
        raise InputError("ingest needs at least one trajectory file; none was given.")
    mark = fingerprint(files, topology, **{name: _plain(value) for name, value in settings.items()})
    path = sidecar_path(mark, directory)
    if path.is_file():
        try:
            return open_sidecar(path)
        except FormatError:  # from another version, or damaged: made again below
            path.unlink(missing_ok=True)
    source, facts = open_source(files, topology, **settings)
    write_store(path, mark, source, facts, client=client, progress=progress)
    remove_stale(path, mark)
    return open_sidecar(path)


def write_store(path, mark, source, facts, *, client=None, progress=None):
    """One pass over a source into a sidecar.

    Parameters
    ----------
    path : Path
    mark : dict
        From `fingerprint`.
    source : BlockSource
    facts : dict
        Fields of `Trajectory` other than times, box and the arrays; masses and topology are needed.
    """
    bounds = block_bounds(source)
    facts = dict(facts)
    wrapped = "positions" in source.fields and not facts.pop("is_unwrapped", False)
    unwrapper = Unwrapper.of(source, facts["topology"]) if wrapped else None
    edges = atom_edges(facts["topology"])
    place = {"n_atoms": source.n_atoms, "edges": edges, "bounds": bounds, "fields": source.fields}
    with writing_sidecar(path, mark, **place, dtype=source.dtype) as (layout, written):
        job = BlockJob(layout, source, np.asarray(facts["masses"], dtype=float), unwrapper)
        if client is None:
            pieces = in_turn(job, bounds, progress)
        else:
            from .cluster import on_cluster

            pieces = on_cluster(client, job, bounds, progress)
        times = np.concatenate([piece[0] for piece in pieces])
        boxes = np.concatenate([piece[1] for piece in pieces])
        _check_order(times, facts["files"])
        box = boxes if np.isfinite(boxes).all() and boxes.any() else None
        if box is not None and "positions" in source.fields:
            written["first_positions"] = first_positions(source, unwrapper).astype(source.dtype)
        written.update(facts, times=times, box=box)


def in_turn(job, bounds, progress):
    images = None if job.unwrapper is None else job.unwrapper.start()
    pieces = []
    for block, (first, past) in enumerate(bounds):
        tell = None
        if progress is not None:
            tell = partial(_tell, progress, first, past, bounds[-1][1])
        times, boxes, images = job.write(block, images, tell)
        pieces.append((times, boxes))
    return pieces


def _tell(progress, first, past, n_frames, fraction):
    frame = first + fraction * (past - first)
    progress(min(1.0, frame / n_frames), f"frame {int(frame)} of {n_frames}")


def block_bounds(source):
    """First and past-the-end frame of each block: equal, as long as memory allows, at most 8192 frames.

    A block is written in pieces along time and so must stay in memory while it is made.
    """
    frame = 3 * np.dtype(source.dtype).itemsize * source.n_atoms * max(1, len(source.fields))
    longest = max(64, min(LONGEST_BLOCK, memory_budget() // 2 // frame))
    n_blocks = -(-source.n_frames // longest)
    length = padded(-(-source.n_frames // n_blocks))
    return [(first, min(first + length, source.n_frames)) for first in range(0, source.n_frames, length)]


def _plain(value):
    if isinstance(value, slice):
        return [value.start, value.stop, value.step]
    return value


# -- one block ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BlockJob:
    """Everything that is needed to make any block, here or elsewhere.

    A block is made a slab of atoms at a time: a slab's rows are filled, unwrapped, summed and written while they are
    in the processor's cache.
    """

    layout: object
    source: BlockSource
    masses: np.ndarray
    unwrapper: "Unwrapper | None"

    def write(self, block, images, progress=None):
        """Make one block in the sidecar.

        Parameters
        ----------
        block : int
        images : Images or None
            Of the frame before the block.

        Returns
        -------
        times, boxes : ndarray
        images : Images or None
            Of its last frame.
        """
        first, past = self.layout.bounds[block]
        frames = self.source.block(first, past)
        images = None if images is None else images.copy()
        edges = self.layout.edges
        slabs = slabs_of(edges, past - first)
        stride = padded(past - first)
        most = max(edges[end] - edges[begin] for begin, end in slabs)
        # while one slab is written the next is made
        buffers = [np.zeros((most, 3, stride), dtype=self.source.dtype) for _ in range(2)]
        waiting = [None, None]
        prefixes = None
        with self.layout.writer(block) as write, ThreadPoolExecutor(1, "amaexplore-write") as writing:
            for step, (name, (begin, end)) in enumerate(product(self.source.fields, slabs)):
                if progress is not None:
                    progress(step / (len(slabs) * len(self.source.fields)))
                if waiting[step % 2] is not None:
                    waiting[step % 2].result()
                low, high = edges[begin], edges[end]
                rows = buffers[step % 2][: high - low]
                frames.fill(name, low, rows)
                if name == "positions" and images is not None:
                    images.advance(rows, frames.boxes, low, apply=True)
                rows = rows.reshape(high - low, -1)
                weights = np.ones(high - low) if name == "forces" else self.masses[low:high]
                total = prefixes[-1] if begin else None
                prefixes = prefix_rows(rows, weights, edges[begin : end + 1] - low, total)
                if high == self.source.n_atoms:
                    frames_held = np.isfinite(rows[0, : past - first])
                    frames.done()
                    _check_finite(name, prefixes[-1].reshape(3, -1)[:, : past - first], frames_held, first)
                waiting[step % 2] = writing.submit(_write_slab, write, name, low, rows, begin, prefixes)
            for written in waiting:
                if written is not None:
                    written.result()
        return frames.times, frames.boxes, images

    def scan(self, block):
        """The images a block adds by itself, without writing: what blocks made elsewhere need to begin with.

        Returns
        -------
        first, last : ndarray, shape (n_atoms, 3)
            Stored positions in its first and last frame that has any.
        counts : ndarray of int, shape (n_atoms, 3)
            Images in its last frame when those of the first are zero.
        box : ndarray, shape (3, 3)
            Of the first. All are ``None`` when no frame has positions.
        """
        first, past = self.layout.bounds[block]
        frames = self.source.block(first, past)
        start = _first_positions(frames, self.source)
        if start is None:
            return None, None, None, None
        images = Images(start[0].copy(), np.zeros(start[0].shape, dtype=np.int64))
        for begin, end in slabs_of(self.layout.edges, past - first):
            low, high = self.layout.edges[begin], self.layout.edges[end]
            rows = np.empty((high - low, 3, past - first), dtype=self.source.dtype)
            frames.fill("positions", low, rows)
            images.advance(rows, frames.boxes, low, apply=False)
        return start[0], images.before, images.counts, frames.boxes[start[1]]


def _check_finite(name, total, held, first):
    """NaN in a frame that has the field was in the file."""
    bad = np.flatnonzero(held & ~np.isfinite(total).all(axis=0))
    if len(bad):
        raise InputError(
            f"{name} are not finite (NaN or infinite) in {len(bad)} frames, first in frame {first + bad[0]}; the simulation may "
            f"have blown up. Read the frames before it with frames=slice(0, {first + bad[0]})."
        )


def _write_slab(write, name, first_atom, rows, first_edge, prefixes):
    write("rows", name, first_atom, rows)
    write("prefixes", name, first_edge, prefixes)


def slabs_of(edges, n_frames):
    """Ranges of edges between which the rows of one field take about `SLAB_BYTES`."""
    atoms = max(1, SLAB_BYTES // (12 * n_frames))
    cuts = [0]
    while cuts[-1] < len(edges) - 1:
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(edges, edges[cuts[-1]] + atoms, side="right")) - 1))
    return list(pairwise(cuts))


def _first_positions(frames, source):
    """Positions (n_atoms, 3) in the first frame of a block that has any, and its number; ``None`` without."""
    one = np.empty((1, 3, len(frames.times)), dtype=source.dtype)
    frames.fill("positions", 0, one)
    held = np.flatnonzero(np.isfinite(one[0, 0]))
    if len(held) == 0:
        return None
    return frames.positions_at(int(held[0])), int(held[0])


# -- periodic images ----------------------------------------------------------------------------------


class Images:
    """Where every atom was last, as stored, and how many box vectors have to be added there."""

    def __init__(self, before, counts):
        self.before, self.counts = before, counts

    def copy(self):
        """An independent copy."""
        return Images(self.before.copy(), self.counts.copy())

    def after(self, scanned):
        """The state behind a block, from the state before it and its `BlockJob.scan`."""
        first, last, counts, box = scanned
        if first is None:
            return self
        state = self.copy()
        state.advance(np.ascontiguousarray(first[:, :, None]), box[None], 0, apply=False)
        return Images(last.copy(), state.counts + counts)

    def advance(self, rows, boxes, first_atom, apply):
        """Go through the position rows of some atoms; with ``apply`` the images are added to them."""
        if not (np.isfinite(boxes).all() and boxes.any(axis=(1, 2)).all()):
            return
        inverses = inverse_boxes(boxes)
        # the width of the box along each reciprocal vector; steps below half of the smallest have no image
        near = 0.5 / np.linalg.norm(inverses, axis=1).max()
        part = slice(first_atom, first_atom + len(rows))
        work = partial(
            step_images, rows, len(boxes), boxes, inverses, near, self.before[part], self.counts[part], apply
        )
        share(work, len(rows), rows.size)


@dataclass(frozen=True, eq=False)
class Unwrapper:
    """The first frame that has positions, with its molecules put together.

    Parameters
    ----------
    positions : ndarray, shape (n_atoms, 3), nm
        As stored.
    counts : ndarray of int, shape (n_atoms, 3)
        Box vectors to add.
    box : ndarray, shape (3, 3), nm
    """

    positions: np.ndarray
    counts: np.ndarray = field(repr=False)
    box: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, source, topology):
        """From the beginning of a source and the bonds of its topology; ``None`` without periodic box."""
        positions, box = _first_frame(source)
        if not np.isfinite(box).all() or not box.any():
            return None
        counts = np.zeros(positions.shape, dtype=np.int64)
        tilted = bool((box - box * np.eye(3)).any())
        whole_images(positions, box, np.linalg.inv(box), tilted, *_bonded(topology), counts)
        return cls(positions, counts, box)

    def start(self):
        """The state before the first frame."""
        return Images(self.positions.copy(), self.counts.copy())

    @property
    def whole(self):
        """The positions with the images added."""
        return self.positions + self.counts @ self.box


def first_positions(source, unwrapper):
    """Positions (n_atoms, 3) in the first frame of a source that has any, molecules whole."""
    return _first_frame(source)[0] if unwrapper is None else unwrapper.whole


def _first_frame(source):
    """Positions as stored (n_atoms, 3), and the box, in the first frame that has positions."""
    for start in range(0, source.n_frames, 16):
        frames = source.block(start, min(start + 16, source.n_frames))
        found = _first_positions(frames, source)
        if found is not None:
            return found[0], frames.boxes[found[1]]
    raise InputError("No frame holds positions.")


def _bonded(topology):
    """Bonds as starts, neighbours: atom i is bonded to neighbours[starts[i]:starts[i + 1]]."""
    pairs = np.array([(a.index, b.index) for a, b in topology.bonds], dtype=np.int64).reshape(-1, 2)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(topology.n_atoms + 1))
    return starts.astype(np.int64), np.ascontiguousarray(both[:, 1])


# -- formats ------------------------------------------------------------------------------------------


def open_source(files, topology, *, frames=None, units=None, timestep=None, integrator=None):
    """The fastest source for some files, and the facts of the trajectory they hold.

    Returns
    -------
    source : BlockSource
    facts : dict
        See `write_store`. Measured on the first frames: the offset of the velocities.
    """
    from .readers import load, open_files

    frames = slice(None) if frames is None else frames
    source = None
    if timestep is None and all(Path(path).suffix.lower() == ".trr" for path in files):
        source = TrrSource.of(files, frames)
    if source is None:
        first = open_files(files[:1], topology, units=units)[0]
        n_atoms, is_unwrapped = first.n_atoms, first.is_unwrapped
        first.close()
    else:
        n_atoms, is_unwrapped = source.n_atoms, False
    few = _first_of(frames, max(24, FACT_BYTES // (36 * n_atoms)), files, topology, units)
    start = load(files, topology=topology, units=units, timestep=timestep, integrator=integrator, frames=few)
    facts = {name: getattr(start, name) for name in FACTS}
    facts["is_unwrapped"] = is_unwrapped
    facts["files"] = [str(path) for path in files]
    # how many frames lack a field is not to be seen from the first ones
    facts["notices"] = tuple(notice for notice in start.notices if not notice.code.endswith("_in_some_frames"))
    if source is None:
        source = ReaderSource.of(files, topology, frames, start, units, timestep)
    return source, facts


def _first_of(frames, most, files, topology, units):
    """A slice of the first of the wanted frames."""
    from .readers import open_files

    if any(value is not None and value < 0 for value in (frames.start, frames.stop)):
        total = sum(source.count() for source in open_files(files, topology, units=units))
        frames = slice(*frames.indices(total))
    step = frames.step or 1
    stop = (frames.start or 0) + most * step
    return slice(frames.start or 0, stop if frames.stop is None else min(stop, frames.stop), step)


@dataclass(frozen=True, eq=False)
class TrrSource:
    """Single-precision TRR files, read without unpacking: bytes are swapped on the way into the rows."""

    files: tuple[TrrFile, ...]
    which: np.ndarray  # file of each frame
    frame: np.ndarray  # and its number there
    fields: tuple
    dtype: str = "float32"

    @classmethod
    def of(cls, paths, frames=slice(None)):
        """``None`` where a file is in double precision."""
        files = tuple(index_trr(path) for path in paths)
        if any(file is None for file in files):
            return None
        if len({file.n_atoms for file in files}) > 1:
            raise FormatError(f"The files hold {', '.join(str(f.n_atoms) for f in files)} atoms; they must agree.")
        which = np.concatenate([np.full(len(file.times), number) for number, file in enumerate(files)])
        frame = np.concatenate([np.arange(len(file.times)) for file in files])
        which, frame = which[frames], frame[frames]
        times = np.concatenate([file.times for file in files])[frames]
        if len(times) > 1 and times.any():
            _check_order(times, paths)
            # continued runs write the last frame again
            new = np.append(True, np.diff(times) > 0)
            which, frame = which[new], frame[new]
        if len(frame) == 0:
            raise InputError(f"No frame is left of {paths[0]}; choose other frames.")
        fields = tuple(
            name
            for name in FIELDS
            if any((files[k].starts[name][frame[which == k]] >= 0).any() for k in np.unique(which))
        )
        return cls(files, which, frame, fields)

    @property
    def n_frames(self):
        """Frames in all files."""
        return len(self.frame)

    @property
    def n_atoms(self):
        """Atoms in each frame."""
        return self.files[0].n_atoms

    def block(self, start, stop):
        """See `BlockSource`."""
        return _TrrBlock(self, start, stop)


def _check_order(times, files):
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        frame = int(back[0])
        raise FormatError(
            f"Times go back from {times[frame]:.6g} to {times[frame + 1]:.6g} ps at frame {frame + 1} of "
            f"{', '.join(str(path) for path in files)}; give the files in the order of time and without overlap."
        )


class _TrrBlock:
    """Frames of TRR files, mapped."""

    def __init__(self, source, start, stop):
        self.times, self.boxes = np.empty(stop - start), np.empty((stop - start, 3, 3))
        self._parts = []  # the map of a file, its words, index of the file, its frames, where they begin in the block
        for number in np.unique(source.which[start:stop]):
            file = source.files[number]
            # a file's frames are consecutive
            here = np.flatnonzero(source.which[start:stop] == number)
            frames = source.frame[start:stop][here]
            self.times[here], self.boxes[here] = file.times[frames], file.boxes[frames]
            with open(file.path, "rb") as data:
                # neither its old end nor that of the map may be read beyond
                if os.fstat(data.fileno()).st_size < file.n_bytes:
                    raise FormatError(f"{file.path} has become shorter while it was read; is it still being written?")
                mapped = mmap.mmap(data.fileno(), 0, access=mmap.ACCESS_READ)
            words = np.frombuffer(mapped, dtype=np.uint32, count=len(mapped) // 4)
            self._parts.append((mapped, words, file, frames, int(here[0])))

    def fill(self, name, first_atom, rows):
        """See `BlockSource`."""
        for mapped, words, file, frames, column in self._parts:
            require_whole(mapped, file.path)
            starts = file.starts[name][frames]
            work = partial(fill_rows_swapped, words, starts, rows.view(np.uint32), first_atom, column)
            share(work, len(rows), 3 * len(rows) * len(frames))

    def done(self):
        """A field has been read: its pages need not be held any longer."""
        for mapped, *_ in self._parts:
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)

    def positions_at(self, frame):
        """Positions (n_atoms, 3) in one frame."""
        mapped, words, file, frames, column = next(part for part in reversed(self._parts) if part[-1] <= frame)
        require_whole(mapped, file.path)
        start = file.starts["positions"][frames[frame - column]]
        return words[start : start + 3 * file.n_atoms].view(">f4").astype(float).reshape(-1, 3)


class FramesInMemory:
    """A block of a format that is read frame by frame: held until its rows are made.

    Parameters
    ----------
    pieces : iterable of Frames
    source : BlockSource
    n_frames : int
    """

    def __init__(self, pieces, source, n_frames):
        self.times, self.boxes = np.empty(n_frames), np.full((n_frames, 3, 3), np.nan)
        shape, fields = (n_frames, source.n_atoms, 3), source.fields
        self._fields = {name: np.full(shape, np.nan, dtype=source.dtype) for name in fields}
        done = 0
        for piece in pieces:
            here = slice(done, done + piece.n_frames)
            self.times[here] = piece.times
            if piece.box is not None:
                self.boxes[here] = piece.box
            for name in fields:
                if name in piece.fields:
                    self._fields[name][here] = piece.fields[name]
            done += piece.n_frames
        if done != n_frames:
            raise FormatError(
                f"The file ended after {done} of {n_frames} frames of a block; it may still be written to."
            )

    def done(self):
        """See `BlockSource`."""

    def fill(self, name, first_atom, rows):
        """See `BlockSource`."""
        values = self._fields[name].reshape(len(self.times), -1)
        share(partial(fill_rows, values, rows, first_atom), len(rows), 3 * len(rows) * len(values))

    def positions_at(self, frame):
        """Positions (n_atoms, 3) in one frame."""
        return self._fields["positions"][frame].astype(float)


@dataclass(frozen=True, eq=False)
class ReaderSource:
    """Any format that `amaexplore.load` reads, a block at a time."""

    files: tuple
    topology: str | None
    units: object
    counts: tuple  # frames of each file
    numbers: range  # frames that are wanted, counted over all files
    timestep: float | None
    n_atoms: int
    fields: tuple
    dtype: str

    @classmethod
    def of(cls, files, topology, frames, start, units=None, timestep=None):
        """From the files and the trajectory of their first frames."""
        from .readers import open_files

        sources = open_files(files, topology, units=units)
        try:
            counts = tuple(source.count() for source in sources)
            before = 0
            for source, count in zip(sources, counts):
                # a stop that is counted from the end means an end that is there
                to_the_end = frames.stop is None or frames.stop < 0
                source.refuse_rest(None if to_the_end else frames.stop - before)
                before += count
        finally:
            for source in sources:
                source.close()
        numbers = range(sum(counts))[frames]
        fields = tuple(name for name in FIELDS if getattr(start, name) is not None)
        dtype = str(getattr(start, fields[0]).dtype)
        files = tuple(str(path) for path in files)
        topology = None if topology is None else str(topology)
        return cls(files, topology, units, counts, numbers, timestep, start.n_atoms, fields, dtype)

    @property
    def n_frames(self):
        """Frames that are wanted."""
        return len(self.numbers)

    def block(self, start, stop):
        """See `BlockSource`."""
        from .readers import open_files

        sources = open_files(self.files, self.topology, units=self.units)
        try:
            block = FramesInMemory(self._pieces(sources, self.numbers[start:stop]), self, stop - start)
        finally:
            for source in sources:
                source.close()
        if self.timestep is not None:
            block.times = self.timestep * np.arange(start, stop)
        return block

    def _pieces(self, sources, numbers):
        before = 0
        for source, count in zip(sources, self.counts):
            here = [number - before for number in numbers if before <= number < before + count]
            if here:
                yield from source.chunks(slice(here[0], here[-1] + 1, numbers.step))
            before += count
