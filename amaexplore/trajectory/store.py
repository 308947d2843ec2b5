"""The atom-major store: R(t), P(t) and F(t) of any selection in the time it takes to read a few rows.

All three are linear in θ_i, so a selection is a signed sum of rows (one row: all frames of one atom). Three
things keep the number of rows small:

- *prefix rows*: running sums over the atoms in double precision, at about every 64 atoms and at the edges of
  residues and chains, so that a whole residue, chain or range costs two of them;
- *differences*: a selection that differs from a known one by a few atoms costs only those atoms, in or out;
- the *planner*, which finds the cheapest mixture of the two exactly (`kernels.store.plan_levels`).

Sums are kept in double precision, and a sum that has been patched long or from far larger sums is made afresh, so
that results do not depend on the path taken to a selection.
"""

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import Cancelled, InputError
from ..kernels.store import accumulate, expand_plan, fill_rows, plan_levels, running_sums
from .memory import memory_budget
from .warm import interpreter_is_leaving, warm_up
from .workers import share

__all__ = [
    "AtomStore",
    "StoreBlock",
    "atom_edges",
    "attach_store",
    "build_store",
    "prepare_store",
    "ready_store",
    "store_of",
    "store_when_useful",
]

FIELDS = ("positions", "velocities", "forces")
LONGEST_BLOCK = 8192  # frames
ALIGNMENT = 16  # rows begin on cache lines
PATIENCE = 2**30  # bytes that may be read before a first answer: a tenth of a second from memory
PATCHED_AT_MOST = 4.0  # rows added since the last fresh sum, in units of all atoms
SHRUNK_AT_MOST = 256  # largest number of atoms in the sum's past over the present number


def padded(n_frames):
    """Frames in a row, with the few empty ones that make rows begin on cache lines."""
    return -(-n_frames // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, eq=False)
class StoreBlock:
    """A stretch of frames, atom by atom.

    Parameters
    ----------
    first, n_frames : int
    rows : dict of ndarray, shape (n_atoms, 3 × padded(n_frames)), single or double precision
        By field; x of all frames, then y, then z.
    prefixes : dict of ndarray, shape (n_edges − 1, 3 × padded(n_frames)), double precision
        Sums over all atoms before each edge, weighted as in the order parameters.
    advise : callable or None
        Tells the operating system which rows will be wanted, for blocks on disk.
    """

    first: int
    n_frames: int
    rows: dict
    prefixes: dict
    advise: object = None

    @property
    def length(self):
        """Elements of a row."""
        return 3 * padded(self.n_frames)

    def frame_major(self, name):
        """A field as (n_frames, n_atoms, 3), without copying."""
        rows = self.rows[name]
        return rows.reshape(len(rows), 3, -1)[:, :, : self.n_frames].transpose(2, 0, 1)

    @property
    def nbytes(self):
        """Bytes of rows and prefix rows."""
        return sum(array.nbytes for array in (*self.rows.values(), *self.prefixes.values()))


class _Sum:
    """Σ θ_i w_i A_i of one selection: per block (n_fields, length), double precision; and its past."""

    __slots__ = ("n_atoms", "patched", "peak", "totals")

    def __init__(self, totals, n_atoms, patched, peak):
        self.totals = totals
        self.n_atoms = n_atoms
        self.patched = patched  # rows added since the last fresh sum
        self.peak = peak  # largest number of atoms in its past


@dataclass(frozen=True)
class Plan:
    """What a selection costs and how it is reached."""

    cost: float
    base: object
    atoms: np.ndarray
    coefficients: np.ndarray
    prefixes: np.ndarray
    prefix_coefficients: np.ndarray

    @property
    def kind(self):
        """``"known"``, ``"difference"`` or ``"fresh"``."""
        if self.base is None:
            return "fresh"
        return "difference" if self.cost else "known"


class AtomStore:
    """Rows, prefix rows and known sums of one trajectory.

    Make one with `build_store`, `Trajectory.store` or `amaexplore.ingest`; ask it through
    `Trajectory.order_parameters`, which finds it by itself.

    Parameters
    ----------
    masses : ndarray, shape (n_atoms,), u
    edges : ndarray of int, shape (n_edges,)
        From 0 to n_atoms: where prefix rows stand, see `atom_edges`.
    blocks : sequence of StoreBlock
        Consecutive in time, all with the same fields.
    path : Path or None
        The sidecar file that the rows are mapped from.
    require_unchanged : callable or None
        Raises an error where that file is no longer the one that was mapped.
    first_positions : ndarray, shape (n_atoms, 3), nm, or None
        In the first frame that has positions: atom by atom from the rows of a file they would be slow to get.
    """

    def __init__(self, masses, edges, blocks, path=None, require_unchanged=None, first_positions=None):
        self.masses = np.ascontiguousarray(masses, dtype=float)
        self.edges = np.ascontiguousarray(edges, dtype=np.int64)
        self.blocks = tuple(blocks)
        self.path = path
        self.require_unchanged = require_unchanged or (lambda: None)
        self.first_positions = first_positions
        self.fields = tuple(name for name in FIELDS if name in self.blocks[0].rows)
        self._weights = {name: np.ones(len(masses)) if name == "forces" else self.masses for name in self.fields}
        rows = next(iter(self.blocks[0].rows.values()))
        self._prefix_cost = 8 // rows.itemsize  # a double-precision row is two of single precision
        self._known = OrderedDict()  # packed selection -> _Sum, least recently used first
        self._pinned = {}  # the same for the stops of sliders, kept until released
        self._lock = threading.Lock()
        self._most_known = int(min(256, max(4, 0.03 * self.nbytes // self.sum_bytes)))

    @property
    def n_atoms(self):
        """Atoms in the store."""
        return len(self.masses)

    @property
    def n_frames(self):
        """Frames in the store."""
        return self.blocks[-1].first + self.blocks[-1].n_frames

    @property
    def nbytes(self):
        """Bytes of rows and prefix rows, in memory or on disk."""
        return sum(block.nbytes for block in self.blocks)

    @property
    def sum_bytes(self):
        """Memory that one known sum takes."""
        return 8 * len(self.fields) * sum(block.length for block in self.blocks)

    def __repr__(self):
        where = f"in {self.path}" if self.path else "in memory"
        return (
            f"AtomStore({self.n_atoms} atoms, {self.n_frames} frames in {len(self.blocks)} blocks; "
            f"{', '.join(self.fields)}; {self.nbytes / 1e6:.0f} MB {where})"
        )

    # -- sums -----------------------------------------------------------------------------------------

    def sums(self, indicator):
        """Σ θ_i m_i r_i, Σ θ_i m_i v_i and Σ θ_i F_i at every frame.

        Parameters
        ----------
        indicator : ndarray, shape (n_atoms,) bool

        Returns
        -------
        dict of ndarray, shape (n_frames, 3), double precision
            By field. Frames that lack a field are NaN.
        """
        indicator = np.ascontiguousarray(indicator, dtype=bool)
        key = np.packbits(indicator).tobytes()
        plan = self._plan(indicator, key)
        result = self._follow(plan, int(np.count_nonzero(indicator)))
        self._remember(key, result)
        return self._series(result)

    def progressively(self, indicator, patience=None):
        """The sums of a selection, first over the beginning of the trajectory where all of it would take long.

        Parameters
        ----------
        indicator : ndarray, shape (n_atoms,) bool
        patience : int, optional
            Bytes that may be read before something has to be shown; fewer from a disk that memory cannot hold.

        Yields
        ------
        n_frames : int
            How many frames, from the first on, these sums are for; the last time all.
        sums : dict of ndarray, shape (n_frames, 3)
            As from `sums`, and exact for those frames.
        """
        if patience is None:
            patience = PATIENCE if self.nbytes <= memory_budget() else PATIENCE // 8
        indicator = np.ascontiguousarray(indicator, dtype=bool)
        key = np.packbits(indicator).tobytes()
        plan = self._plan(indicator, key)
        size = plan.cost * self._row_bytes
        if size <= patience:
            yield self.n_frames, self.sums(indicator)
            return
        first = max(64, int(self.n_frames * patience / size))
        stages = [first * 4**k for k in range(20) if first * 4**k < self.n_frames / 2] + [self.n_frames]
        result = self._begun(plan, int(np.count_nonzero(indicator)))
        done = 0
        for stage in stages:
            for number, block in enumerate(self.blocks):
                low, high = max(done - block.first, 0), min(stage - block.first, block.n_frames)
                if low < high:
                    self._follow_frames(plan, number, low, high, result)
            done = stage
            if stage == self.n_frames:
                self._remember(key, result)
            yield stage, {name: values[:stage] for name, values in self._series(result).items()}

    @property
    def _row_bytes(self):
        return sum(block.length for block in self.blocks) * sum(
            self.blocks[0].rows[name].itemsize for name in self.fields
        )

    def cost(self, indicator):
        """Rows that `sums` would read for a selection now, in single-precision rows."""
        indicator = np.ascontiguousarray(indicator, dtype=bool)
        return self._plan(indicator, np.packbits(indicator).tobytes()).cost

    def _plan(self, indicator, key):
        chosen = int(np.count_nonzero(indicator))
        with self._lock:
            known = self._known.get(key) or self._pinned.get(key)
            if known is not None:
                nothing = np.empty(0, dtype=np.int64), np.empty(0)
                return Plan(0.0, known, *nothing, *nothing)
            near_key, near = self._nearest(key)
        plan = self._planned(indicator.astype(np.int8), None)
        if near is not None:
            before = np.unpackbits(np.frombuffer(near_key, dtype=np.uint8), count=self.n_atoms)
            difference = self._planned(indicator.astype(np.int8) - before.astype(np.int8), near)
            if difference.cost < plan.cost and self._trusted(near, difference, chosen):
                return difference
        return plan

    def _planned(self, change, base):
        levels = np.empty(len(self.edges) - 1, dtype=np.int8)
        cost = plan_levels(change, self.edges, float(self._prefix_cost), levels)
        return Plan(cost, base, *expand_plan(change, self.edges, levels))

    def _trusted(self, base, plan, chosen):
        return (
            base.patched + len(plan.atoms) <= PATCHED_AT_MOST * self.n_atoms + 1000
            and max(base.peak, chosen) <= SHRUNK_AT_MOST * chosen
        )

    def _nearest(self, key):
        """The known selection with the fewest different atoms."""
        keys = [*self._known, *self._pinned]
        if not keys:
            return None, None
        bits = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), -1)
        distances = np.bitwise_count(bits ^ np.frombuffer(key, dtype=np.uint8)).sum(axis=1, dtype=np.int64)
        nearest = int(np.argmin(distances))
        near = keys[nearest]
        return near, self._known.get(near) or self._pinned[near]

    def _follow(self, plan, chosen):
        if plan.base is not None and not plan.cost:
            return plan.base
        self.require_unchanged()
        result = self._begun(plan, chosen)
        weights = self._plan_weights(plan)
        for number, block in enumerate(self.blocks):
            if block.advise is not None:
                block.advise(plan.atoms)
            work = partial(self._follow_slice, plan, weights, number, result.totals[number])
            share(work, block.length, plan.cost * block.length * len(self.fields))
        return result

    def _begun(self, plan, chosen):
        """A sum to be filled."""
        totals = [np.zeros((len(self.fields), block.length)) for block in self.blocks]
        patched = len(plan.atoms) + len(plan.prefixes) + (0 if plan.base is None else plan.base.patched)
        return _Sum(totals, chosen, patched, max(chosen, 0 if plan.base is None else plan.base.peak))

    def _plan_weights(self, plan):
        return {name: self._weights[name][plan.atoms] * plan.coefficients for name in self.fields}

    def _follow_slice(self, plan, weights, number, totals, low, high):
        block = self.blocks[number]
        if plan.base is not None:
            totals[:, low:high] = plan.base.totals[number][:, low:high]
        for k, name in enumerate(self.fields):
            accumulate(block.rows[name], plan.atoms, weights[name], totals[k], low, high)
            accumulate(block.prefixes[name], plan.prefixes, plan.prefix_coefficients, totals[k], low, high)

    def _follow_frames(self, plan, number, low, high, result):
        """Some frames of one block, all three components."""
        self.require_unchanged()
        weights = self._plan_weights(plan)
        stride = self.blocks[number].length // 3

        def work(begin, end):
            for c in range(3):
                first = c * stride + low
                self._follow_slice(plan, weights, number, result.totals[number], first + begin, first + end)

        share(work, high - low, 3 * plan.cost * (high - low) * len(self.fields))

    def _remember(self, key, result):
        with self._lock:
            if key in self._pinned:
                return
            self._known[key] = result
            self._known.move_to_end(key)
            while len(self._known) > self._most_known:
                self._known.popitem(last=False)

    def _series(self, result):
        series = {}
        for k, name in enumerate(self.fields):
            out = np.empty((3, self.n_frames))
            for block, totals in zip(self.blocks, result.totals):
                out[:, block.first : block.first + block.n_frames] = totals[k].reshape(3, -1)[:, : block.n_frames]
            # component-major underneath: correlations transform along time
            series[name] = out.T
        return series

    def forget(self):
        """Drop all known sums; the next selection is made afresh."""
        with self._lock:
            self._known.clear()

    # -- tables along an attribute --------------------------------------------------------------------

    def running(self, order, stops, after=None):
        """Sums over the first ``stops[s]`` atoms of ``order``, for every s, in one pass over their rows.

        Parameters
        ----------
        order : ndarray of int, shape (n,)
        stops : ndarray of int, shape (n_stops,), ascending
        after : tuple (int, sum), optional
            A smaller stop with its sum, to go on from.

        Returns
        -------
        list
            One sum per stop, for `pin`.
        """
        self.require_unchanged()
        begin, base = (0, None) if after is None else after
        part = np.ascontiguousarray(order[begin : stops[-1]], dtype=np.int64)
        local = np.asarray(stops, dtype=np.int64) - begin
        tables = [np.empty((len(self.fields), len(local), block.length)) for block in self.blocks]
        for number, (block, table) in enumerate(zip(self.blocks, tables)):
            for k, name in enumerate(self.fields):
                weights = self._weights[name][part]
                before = np.zeros(block.length) if base is None else base.totals[number][k]
                work = partial(running_sums, block.rows[name], part, weights, local, before, table[k])
                share(work, block.length, (len(part) + len(local)) * block.length)
        return [
            _Sum([table[:, s] for table in tables], int(stop), int(stop), int(stop)) for s, stop in enumerate(stops)
        ]

    def pin(self, indicator, result):
        """Keep the sum of a selection until `release`, whatever else is asked."""
        with self._lock:
            self._pinned[np.packbits(indicator).tobytes()] = result

    def release(self, indicators):
        """Drop pinned sums."""
        with self._lock:
            for indicator in indicators:
                self._pinned.pop(np.packbits(indicator).tobytes(), None)


def atom_edges(topology, narrowest=32, widest=64):
    """Where prefix rows stand: at edges of chains and residues where those lie well, else every 64 atoms.

    Parameters
    ----------
    topology : mdtraj.Topology
    narrowest, widest : int
        Atoms between neighbouring edges. At ``narrowest`` = 32 prefix rows take 6 % of the store's memory or less.

    Returns
    -------
    ndarray of int, shape (n_edges,)
        Ascending, from 0 to n_atoms.
    """
    first_atoms = [residue.atom(0).index for residue in topology.residues if residue.n_atoms]
    return spread_edges(np.array(first_atoms, dtype=np.int64), topology.n_atoms, narrowest, widest)


def spread_edges(wanted, n_atoms, narrowest=32, widest=64):
    """As many of the wanted edges as keep ``narrowest`` apart, and further ones so that none are over ``widest`` apart."""
    edges = [0]
    wanted = np.unique(np.append(wanted[(wanted > 0) & (wanted < n_atoms)], n_atoms))
    for edge in wanted.tolist():
        if edge - edges[-1] < narrowest and edge != n_atoms:
            continue
        gap = edge - edges[-1]
        pieces = -(-gap // widest)
        start = edges[-1]
        edges.extend(start + gap * piece // pieces for piece in range(1, pieces + 1))
    return np.array(edges, dtype=np.int64)


# -- making -------------------------------------------------------------------------------------------


def prefix_rows(rows, weights, edges, before=None):
    """Running sums of weighted rows up to every edge but the first, shape (n_edges − 1, length).

    ``before`` is the sum over what comes before the first row, where these rows are a part of all.
    """
    out = np.empty((len(edges) - 1, rows.shape[1]))
    atoms = np.arange(len(rows), dtype=np.int64)
    before = np.zeros(rows.shape[1]) if before is None else before
    work = partial(running_sums, rows, atoms, weights, edges[1:], before, out)
    share(work, rows.shape[1], rows.size)
    return out


def read_only(array):
    """A view that cannot be written to; also keeps the kernels to one compiled form for memory and disk."""
    view = array.view()
    view.flags.writeable = False
    return view


def build_store(trajectory, progress=None):
    """The store of a trajectory that is in memory.

    Parameters
    ----------
    trajectory : Trajectory
    progress : callable (fraction, text), optional
        May raise `Cancelled` to stop.

    Raises
    ------
    InputError
        The store would not fit the memory budget.
    """
    fields = [name for name in FIELDS if getattr(trajectory, name) is not None]
    needed = store_bytes(trajectory)
    if needed > memory_budget():
        raise InputError(
            f"The store of {trajectory!r} takes {needed / 2**30:.1f} GiB, more than the memory budget of "
            f"{memory_budget() / 2**30:.1f} GiB; use amaexplore.ingest, which keeps it on disk, or raise AMAEXPLORE_MEMORY."
        )
    edges = atom_edges(trajectory.topology)
    blocks = []
    for first in range(0, trajectory.n_frames, LONGEST_BLOCK):
        n_frames = min(LONGEST_BLOCK, trajectory.n_frames - first)
        rows, prefixes = {}, {}
        for number, name in enumerate(fields):
            if progress is not None:
                done = (first + n_frames * number / len(fields)) / trajectory.n_frames
                progress(done, f"arranging {name} by atom")
            values = getattr(trajectory, name)[first : first + n_frames]
            rows[name] = read_only(atom_rows(values))
            weights = np.ones(trajectory.n_atoms) if name == "forces" else trajectory.masses
            prefixes[name] = read_only(prefix_rows(rows[name], weights.astype(float), edges))
        blocks.append(StoreBlock(first, n_frames, rows, prefixes))
    return AtomStore(trajectory.masses, edges, blocks)


def store_bytes(trajectory):
    """Memory that the store of a trajectory would take."""
    arrays = [getattr(trajectory, name) for name in FIELDS if getattr(trajectory, name) is not None]
    return int(sum(array.nbytes for array in arrays) * 1.07)


def atom_rows(values):
    """Frame-major values (n_frames, n_atoms, 3) as rows (n_atoms, 3 × padded(n_frames))."""
    n_frames, n_atoms, _ = values.shape
    rows = np.empty((n_atoms, 3, padded(n_frames)), dtype=values.dtype)
    rows[:, :, n_frames:] = 0.0
    work = partial(fill_rows, np.ascontiguousarray(values).reshape(n_frames, -1), rows, 0)
    share(work, n_atoms, values.size)
    return rows.reshape(n_atoms, -1)


# -- which trajectory has which store -----------------------------------------------------------------

_stores: dict[int, tuple] = {}  # identity of a field array -> (its store, ...), until the array goes
_building: dict = {}
_registry_lock = threading.Lock()


def _identity(trajectory):
    return tuple(id(getattr(trajectory, name)) for name in FIELDS) + (id(trajectory.masses),)


def attach_store(trajectory, store):
    """Make a store the fast path of a trajectory and of every copy that shares its arrays."""
    key = _identity(trajectory)
    store.kept = trajectory.masses  # so that no other array gets its identity
    with _registry_lock:
        _stores[key] = store
    # the same for the fields: the store goes when one of them does
    for name in FIELDS:
        values = getattr(trajectory, name)
        if values is not None:
            weakref.finalize(values, _stores.pop, key, None)
    return store


def ready_store(trajectory):
    """The store of a trajectory if there is one now, else ``None``."""
    return _stores.get(_identity(trajectory))


def store_of(trajectory, progress=None):
    """The store of a trajectory, made now if there is none."""
    building = _building.get(_identity(trajectory))
    if building is not None:
        building.join()
    store = ready_store(trajectory)
    if store is None:
        store = attach_store(trajectory, build_store(trajectory, progress))
    return store


# trajectory -> how often order parameters were asked for
_asked: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
WORTH_A_STORE = 64 * 2**20  # bytes of data; below, the plain loop over frames is as fast as anyone can see


def store_when_useful(trajectory):
    """The store of a trajectory if there is one; from the second question on, one is made in the background.

    A single question costs less from the frames themselves than the making of a store, so it never waits for one.
    """
    store = ready_store(trajectory)
    if store is not None:
        return store
    if store_bytes(trajectory) < WORTH_A_STORE:
        return None
    warm_up()
    times = _asked[trajectory] = _asked.get(trajectory, 0) + 1
    if times >= 2 and store_bytes(trajectory) <= memory_budget():
        prepare_store(trajectory)
    return None


def prepare_store(trajectory):
    """Start making the store of a trajectory in the background, unless there is one or it is being made.

    Returns
    -------
    threading.Thread or None
    """
    key = _identity(trajectory)
    with _registry_lock:
        if key in _stores:
            return None
        if key not in _building:
            _building[key] = threading.Thread(
                target=_build_in_background, args=(trajectory, key), name="amaexplore-store"
            )
            _building[key].start()
        return _building[key]


def _build_in_background(trajectory, key):
    def stop_at_the_end(fraction, text):
        if interpreter_is_leaving():
            raise Cancelled("The program has ended.")

    try:
        attach_store(trajectory, build_store(trajectory, stop_at_the_end))
    except Cancelled:
        return
    finally:
        with _registry_lock:
            del _building[key]
