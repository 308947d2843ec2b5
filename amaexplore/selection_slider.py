"""SelectionSlider: nested selections along an attribute of the atoms, every stop of which answers at once.

A sphere that grows, a chain taken further along, residues added one by one: each is the set of atoms whose attribute
is at most the slider's value. The sums over these sets follow from each other, so one pass over the atoms in the
background gives them all.
"""

import threading

import numpy as np

from .errors import InputError, SelectionError
from .subset import AtomSubset
from .trajectory.memory import memory_budget
from .trajectory.store import store_bytes, store_of
from .trajectory.unwrap import mean_turn
from .trajectory.warm import interpreter_is_leaving

__all__ = ["SelectionSlider"]

STOPS_AT_ONCE = 8
TABLE_SHARE = 0.125  # of the memory budget


class SelectionSlider:
    """The selections {i : value_i ≤ stop} for a row of stops.

    Make one from an attribute of your own, or with `sphere`, `along_chain` or `residues`.

    Parameters
    ----------
    trajectory : Trajectory
    values : array_like, shape (n_atoms,)
        The attribute; atoms with NaN or infinity are never taken.
    stops : int or array_like
        How many stops, evenly spaced over the values, or the stops themselves. Stops that take no atom, or the same
        atoms as the stop before, are left out.
    label : str
        How a selection is named, with ``{value:.4g}`` where the stop belongs.
    prepare : bool
        Start the table of sums in the background now.

    Raises
    ------
    InputError, SelectionError
        ``values`` do not fit the atoms, or no stop takes an atom.

    Examples
    --------
    >>> import amaexplore as ama
    >>> traj = ama.Trajectory.from_arrays(velocities=np.ones((5, 4, 3)), masses=[1.0, 2.0, 3.0, 4.0], timestep=1.0)
    >>> slider = SelectionSlider(traj, traj.masses, stops=4, label="mass up to {value:.4g} u")
    >>> slider.subset(2)
    AtomSubset('mass up to 3 u': 3 of 4 atoms, 6 u)
    """

    def __init__(self, trajectory, values, stops=100, label="attribute up to {value:.4g}", prepare=True):
        values = np.asarray(values, dtype=float)
        if values.shape != (trajectory.n_atoms,):
            raise InputError(
                f"A slider needs one value for each of {trajectory.n_atoms} atoms; got an array of shape {values.shape}."
            )
        taken = np.flatnonzero(np.isfinite(values))
        if len(taken) == 0:
            raise SelectionError("No atom has a finite value, so that no stop of the slider would take any.")
        self.trajectory, self.label = trajectory, label
        self._order = taken[np.argsort(values[taken], kind="stable")]
        ranked = values[self._order]
        self.stops, self.counts = _stops(ranked, stops)
        self._pinned, self._store = [], None
        self._stopped = threading.Event()
        self._thread = None
        self._failure = None
        if prepare:
            self.prepare()

    # -- attributes -----------------------------------------------------------------------------------

    @classmethod
    def sphere(cls, trajectory, centre, *, largest=None, stops=100, frame=0, prepare=True):
        """Atoms within a growing distance of a point or of an atom, at one frame; compare `subset.sphere`.

        Parameters
        ----------
        trajectory : Trajectory
        centre : int, or array_like of shape (3,), nm
        largest : float, nm, optional
            Where the slider ends; default: at the farthest atom.
        frame : int
            Whose positions count.
        stops : int, or array_like
            How many places the slider has, or which.
        prepare : bool
            Whether the tables behind it are computed at once, in the background.

        Returns
        -------
        SelectionSlider
        """
        from .subset import distances

        distance, name = distances(trajectory, centre, frame)
        if largest is not None:
            distance = np.where(distance <= largest, distance, np.nan)
        label = f"within {{value:.4g}} nm of {name} at frame {frame}"
        return cls(trajectory, distance, stops, label, prepare)

    @classmethod
    def along_chain(cls, trajectory, chain=0, *, stops=100, prepare=True):
        """The first part of a chain's atoms, by fraction from 0 to 1.

        Parameters
        ----------
        trajectory : Trajectory
        chain : int
            Index of the chain in the topology.
        stops : int, or array_like
            How many places the slider has, or which.
        prepare : bool
            Whether the tables behind it are computed at once, in the background.

        Returns
        -------
        SelectionSlider

        Raises
        ------
        SelectionError
            There is no such chain.
        """
        chains = list(trajectory.topology.chains)
        if not 0 <= chain < len(chains):
            raise SelectionError(f"There is no chain {chain}; chains run from 0 to {len(chains) - 1}.")
        atoms = np.array([atom.index for atom in chains[chain].atoms])
        values = np.full(trajectory.n_atoms, np.nan)
        values[atoms] = np.arange(1, len(atoms) + 1) / len(atoms)
        return cls(trajectory, values, stops, f"the first {{value:.4g}} of chain {chain}", prepare)

    @classmethod
    def residues(cls, trajectory, subset=None, *, stops=100, prepare=True):
        """The first residues of a selection (default: of all atoms), by their number.

        Parameters
        ----------
        trajectory : Trajectory
        subset : AtomSubset or anything `Trajectory.select` takes, optional
        stops : int, or array_like
            How many places the slider has, or which.
        prepare : bool
            Whether the tables behind it are computed at once, in the background.

        Returns
        -------
        SelectionSlider
        """
        number = np.array([atom.residue.index for atom in trajectory.topology.atoms], dtype=float)
        if subset is not None:
            number[~trajectory.select(subset).indicator] = np.nan
        present, rank = np.unique(number, return_inverse=True)
        values = np.where(np.isfinite(number), rank + 1.0, np.nan)
        n_residues = int(np.isfinite(present).sum())
        if np.ndim(stops) == 0:
            stops = np.unique(np.linspace(1, n_residues, min(stops, n_residues)).round())
        return cls(trajectory, values, stops, "the first {value:.0f} residues", prepare)

    # -- what it gives --------------------------------------------------------------------------------

    def __len__(self):
        return len(self.stops)

    def nearest(self, value):
        """The stop nearest to a value of the attribute."""
        return int(np.argmin(np.abs(self.stops - value)))

    def subset(self, stop):
        """The atoms of a stop, 0 to len − 1."""
        stop = range(len(self))[stop]
        indices = np.sort(self._order[: self.counts[stop]])
        label = self.label.format(value=self.stops[stop])
        return AtomSubset(indices=indices, masses=self.trajectory.masses, selection=label)

    def order_parameters(self, stop):
        """R, P and F of a stop: at once where the table has come so far, else as fast as any selection."""
        return self.trajectory.order_parameters(self.subset(stop))

    # -- the table ------------------------------------------------------------------------------------

    @property
    def n_ready(self):
        """How many stops, from the first on, are in the table (or between two that are)."""
        if not self._pinned:
            return 0
        return int(self._pinned[-1][0]) + 1

    def prepare(self):
        """Start the table in the background, once; returns the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="amaexplore-slider")
            self._thread.start()
        return self._thread

    def wait(self, timeout=None):
        """Until the table is complete; whether it is."""
        self.prepare().join(timeout)
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive() and not self._stopped.is_set()

    def close(self):
        """Stop the work and let go of the table."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._store is not None:
            self._store.release([indicator for _, indicator in self._pinned])
        self._pinned = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _work(self):
        try:
            if store_bytes(self.trajectory) <= memory_budget() or _on_disk(self.trajectory):
                self._store = store_of(self.trajectory)
                self._make_table(self._store)
                self._find_turns()
        except Exception as error:  # shown to whoever waits; a slider without table still answers
            self._failure = error

    def _make_table(self, store):
        chosen = self._kept_stops(store)
        before = None
        for first in range(0, len(chosen), STOPS_AT_ONCE):
            if self._stopped.is_set() or interpreter_is_leaving():
                return
            part = chosen[first : first + STOPS_AT_ONCE]
            sums = store.running(self._order, self.counts[part], before)
            for stop, total in zip(part, sums):
                indicator = np.zeros(self.trajectory.n_atoms, dtype=bool)
                indicator[self._order[: self.counts[stop]]] = True
                store.pin(indicator, total)
                self._pinned.append((stop, indicator))
            before = (int(self.counts[part[-1]]), sums[-1])

    def _find_turns(self):
        """Find ahead where the parts of each stop's particle lie in the periodic box: it takes longer than a stop."""
        if self.trajectory.box is None or self.trajectory.positions is None:
            return
        for stop in range(len(self)):
            if self._stopped.is_set() or interpreter_is_leaving():
                return
            mean_turn(self.trajectory, self.subset(stop))

    def _kept_stops(self, store):
        """All stops, or as many as memory allows, evenly spread; the others lie few atoms from one of them."""
        most = max(2, int(TABLE_SHARE * memory_budget() / store.sum_bytes))
        if len(self) <= most:
            return np.arange(len(self))
        return np.unique(np.linspace(0, len(self) - 1, most).round().astype(int))

    def __repr__(self):
        return (
            f"SelectionSlider({len(self)} stops from {self.stops[0]:.4g} to {self.stops[-1]:.4g}, "
            f"{self.counts[0]} to {self.counts[-1]} atoms; {self.n_ready} ready)"
        )


def _on_disk(trajectory):
    from .trajectory.store import ready_store

    return ready_store(trajectory) is not None


def _stops(ranked, stops):
    """Stops that take at least one atom and more than the stop before, with their counts."""
    if np.ndim(stops) == 0:
        if int(stops) < 1:
            raise InputError(f"A slider needs at least one stop; got {stops!r}.")
        stops = np.linspace(ranked[0], ranked[-1], int(stops)) if int(stops) > 1 else ranked[-1:]
        # rounding must not lose the last atom
        stops[-1] = ranked[-1]
    stops = np.unique(np.asarray(stops, dtype=float))
    counts = np.searchsorted(ranked, stops, side="right")
    new = np.diff(counts, prepend=0) > 0
    if not new.any():
        raise SelectionError(
            f"No stop takes an atom: the smallest value is {ranked[0]:.4g}, the largest stop {stops[-1]:.4g}."
        )
    return stops[new], counts[new]
