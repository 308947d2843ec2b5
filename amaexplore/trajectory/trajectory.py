"""Trajectory: times, masses, topology, box, and positions, velocities and forces of the atoms."""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import mdtraj
import numpy as np

from ..errors import InputError, MissingFieldError, Notice
from .memory import held_frames

__all__ = ["Trajectory"]

FIELDS = ("positions", "velocities", "forces")


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory:
    """Atoms over time, in nm, ps, u and kJ/mol/nm, with the periodic images taken out.

    Make one with `amaexplore.load`, `amaexplore.demo` or the ``from_*`` constructors.

    Parameters
    ----------
    times : ndarray, shape (n_frames,), ps
        As the frames themselves state them.
    masses : ndarray, shape (n_atoms,), u
    positions, velocities, forces : ndarray, shape (n_frames, n_atoms, 3), or None
        nm, nm/ps, kJ/mol/nm. ``None``: the data holds no such field. A frame that lacks a field other
        frames have is filled with NaN and is False in `frames_with`. Positions are unwrapped.
    topology : mdtraj.Topology
    box : ndarray, shape (n_frames, 3, 3), nm, or None
        Box vectors as rows.
    files : tuple of str
        Where the data came from; empty for data made in memory.
    masses_source : str
        Which file or rule the masses came from.
    velocity_offset : float, ps
        Time of the velocities minus time of positions and forces: 0, or minus half an MD step (leapfrog).
    md_timestep : float or None, ps
        The engine's step, where the file or the user says it.
    complete_system : bool or None
        Whether the atoms are all that were simulated; ``None`` where nothing says so.
    notices : tuple of Notice
        What reading found that the user should know.
    metadata : dict
        Free additional facts as plain JSON types (engine, seed, temperature, demo name, ...).
    """

    times: np.ndarray
    masses: np.ndarray
    topology: mdtraj.Topology
    positions: np.ndarray | None = None
    velocities: np.ndarray | None = None
    forces: np.ndarray | None = None
    box: np.ndarray | None = None
    files: tuple = ()
    masses_source: str = "given"
    velocity_offset: float = 0.0
    md_timestep: float | None = None
    complete_system: bool | None = None
    notices: tuple[Notice, ...] = ()
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        n_frames, n_atoms = len(self.times), len(self.masses)
        if n_frames < 1 or n_atoms < 1:
            raise InputError(f"A trajectory needs at least one frame and one atom; this has {n_frames} and {n_atoms}.")
        if not (np.isfinite(self.masses).all() and (self.masses >= 0).all() and (self.masses > 0).any()):
            raise InputError("Masses must be finite, not negative, and not all zero (u).")
        for name in FIELDS:
            values = getattr(self, name)
            if values is not None and values.shape != (n_frames, n_atoms, 3):
                raise InputError(
                    f"{name} has shape {values.shape}; expected (n_frames, n_atoms, 3) = {(n_frames, n_atoms, 3)}."
                )
        if self.box is not None and self.box.shape != (n_frames, 3, 3):
            raise InputError(f"box has shape {self.box.shape}; expected (n_frames, 3, 3) = {(n_frames, 3, 3)}.")
        if self.topology.n_atoms != n_atoms:
            raise InputError(f"The topology has {self.topology.n_atoms} atoms, the trajectory {n_atoms}.")

    # -- constructors ---------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        *,
        positions=None,
        velocities=None,
        forces=None,
        masses,
        timestep=None,
        times=None,
        box=None,
        topology=None,
        unwrap=True,
        **facts,
    ):
        """A trajectory from arrays in nm, nm/ps, kJ/mol/nm and u.

        Parameters
        ----------
        positions, velocities, forces : array_like, shape (n_frames, n_atoms, 3), optional
            At least one is needed.
        masses : array_like, shape (n_atoms,), u
        timestep : float, ps
            Time between frames; or give ``times``, shape (n_frames,).
        box : array_like, shape (3,), (3, 3) or (n_frames, 3, 3), nm, optional
            Edge lengths or box vectors as rows; with it, positions are unwrapped (unless ``unwrap=False``).
        topology : mdtraj.Topology, optional
            Without it atoms are named after the element nearest in mass, one residue ``SYS``.
        **facts
            Further fields of `Trajectory`.

        Returns
        -------
        Trajectory

        Raises
        ------
        InputError
            Shapes that do not fit, values that are not finite, a time step that is not positive.
        """
        given = {"positions": positions, "velocities": velocities, "forces": forces}
        arrays = {name: _as_frames(name, value) for name, value in given.items() if value is not None}
        if not arrays:
            raise InputError("from_arrays needs positions, velocities or forces; none was given.")
        n_frames = len(next(iter(arrays.values())))
        masses = np.asarray(masses, dtype=float)
        if masses.ndim != 1:
            raise InputError(f"masses has shape {masses.shape}; expected (n_atoms,), in u.")
        if times is None:
            if timestep is None or not np.isfinite(timestep) or timestep <= 0:
                raise InputError(f"timestep must be a positive number of ps between frames; got {timestep!r}.")
            times = timestep * np.arange(n_frames)
        times = np.asarray(times, dtype=float)
        if times.shape != (n_frames,):
            raise InputError(f"times has shape {times.shape}; expected (n_frames,) = ({n_frames},).")
        trajectory = cls(
            times=times,
            masses=masses,
            topology=topology if topology is not None else plain_topology(masses),
            box=None if box is None else _as_boxes(box, n_frames),
            **arrays,
            **facts,
        )
        if unwrap and trajectory.box is not None and trajectory.positions is not None:
            from .unwrap import unwrapped

            trajectory = unwrapped(trajectory)
        return trajectory

    @classmethod
    def from_universe(cls, universe, frames=None):
        """A trajectory from an ``MDAnalysis.Universe`` (its units are converted).

        Parameters
        ----------
        universe : MDAnalysis.Universe
        frames : slice, optional

        Returns
        -------
        Trajectory
        """
        from .readers import from_universe

        return from_universe(universe, frames=frames)

    @classmethod
    def from_mdtraj(cls, trajectory, velocities=None, forces=None):
        """A trajectory from an ``mdtraj.Trajectory``; mdtraj carries no velocities or forces, so give them here.

        Parameters
        ----------
        trajectory : mdtraj.Trajectory
        velocities, forces : array_like, shape (n_frames, n_atoms, 3), optional
            nm/ps and kJ/mol/nm.

        Returns
        -------
        Trajectory
        """
        masses, source = masses_from_elements(trajectory.topology)
        return cls.from_arrays(
            positions=trajectory.xyz,
            velocities=velocities,
            forces=forces,
            masses=masses,
            times=np.asarray(trajectory.time, dtype=float),
            box=trajectory.unitcell_vectors,
            topology=trajectory.topology,
            masses_source=source,
        )

    # -- what is there --------------------------------------------------------------------------------

    @property
    def n_frames(self):
        """Number of frames."""
        return len(self.times)

    @property
    def n_atoms(self):
        """Number of atoms in the data (the simulated system may have held more)."""
        return len(self.masses)

    @property
    def timestep(self):
        """Time between frames, ps; NaN where frames are not evenly spaced or there is only one."""
        from ..order_parameters import even_timestep

        return even_timestep(self.times)

    @property
    def duration(self):
        """Last time minus first, ps."""
        return float(self.times[-1] - self.times[0])

    @cached_property
    def frames_with(self):
        """For each field, shape (n_frames,) bool: which frames hold it."""
        present = {}
        for name in FIELDS:
            values = getattr(self, name)
            if values is None:
                present[name] = np.zeros(self.n_frames, dtype=bool)
            else:
                present[name] = held_frames(values)
        return present

    def require(self, name):
        """The array of a field.

        Raises
        ------
        MissingFieldError
            The data holds no such field.
        """
        values = getattr(self, name)
        if values is None:
            have = ", ".join(n for n in FIELDS if getattr(self, n) is not None)
            raise MissingFieldError(
                f"This data holds no {name} (it holds {have}); write them in the engine "
                f"(see the README, 'Your own data'), or use what needs only {have}."
            )
        return values

    # -- what one does with it ------------------------------------------------------------------------

    def select(self, selection):
        """The atoms that are the nanoparticle, θ_i = 1: see `amaexplore.subset.select`."""
        from ..subset import select

        return select(self, selection)

    def order_parameters(self, subset):
        """R, P and the net force of a subset over time, equations (1), (2), (12): an `OrderParameters`."""
        from ..order_parameters import order_parameters

        return order_parameters(self, subset)

    def order_parameters_progressively(self, subset):
        """`order_parameters` of the beginning of the run first, then of more, where reading all of it takes long."""
        from ..order_parameters import order_parameters_progressively

        return order_parameters_progressively(self, subset)

    def store(self, progress=None):
        """The atom-major store behind fast `order_parameters`, made now unless there is one: an `AtomStore`.

        Nobody has to call this: from the second selection on, a store of larger data makes itself in the background.
        """
        from .store import store_of

        return store_of(self, progress)

    def with_derived(self, *names, **options):
        """Velocities or forces by differences of what is there, on request: see `derived.with_derived`.

        Parameters
        ----------
        *names : str
            ``"velocities"``, ``"forces"`` or both; default: what is missing.
        **options
            As for `derived.with_derived`.

        Returns
        -------
        Trajectory
        """
        from .derived import with_derived

        return with_derived(self, *names, **options)

    def made_whole(self, subset):
        """A particle without bonds that lies across the periodic boundary, in one piece: see `unwrap.made_whole`."""
        from .unwrap import made_whole

        return made_whole(self, subset)

    def save(self, path):
        """Write an H5MD file (positions, velocities, forces, masses, box, units) that `load` reads back."""
        from .h5md import write_h5md

        return write_h5md(self, path)

    def replace(self, **changes):
        """A copy with some fields changed."""
        return replace(self, **changes)

    def frames(self, chosen):
        """The trajectory of some frames only: a slice or index array along time."""
        picked = {name: getattr(self, name)[chosen] for name in FIELDS if getattr(self, name) is not None}
        box = None if self.box is None else self.box[chosen]
        return replace(self, times=self.times[chosen], box=box, **picked)

    def __repr__(self):
        have = ", ".join(name for name in FIELDS if getattr(self, name) is not None)
        step = self.timestep
        spacing = f"{self.n_frames} frames " + (f"every {step:.6g} ps" if np.isfinite(step) else "unevenly spaced")
        return f"Trajectory({self.n_atoms} atoms, {spacing if self.n_frames > 1 else '1 frame'}; {have})"


def plain_topology(masses, names=None):
    """A topology of single atoms, named after the element nearest in mass, in one residue ``SYS``.

    Parameters
    ----------
    masses : ndarray, shape (n_atoms,), u
    names : sequence of str, optional
        Atom names, shape (n_atoms,).
    """
    topology = mdtraj.Topology()
    residue = topology.add_residue("SYS", topology.add_chain())
    for index, element in enumerate(map(element_by_mass, np.asarray(masses, dtype=float).tolist())):
        topology.add_atom(names[index] if names is not None else element.symbol, element, residue)
    return topology


@lru_cache(maxsize=10_000)
def element_by_mass(mass):
    """The element nearest in mass; the virtual site for a mass of zero."""
    if mass <= 0:
        return mdtraj.element.virtual_site
    # nothing is nearer to very light particles than hydrogen
    return mdtraj.element.Element.getByMass(mass) or mdtraj.element.hydrogen


def masses_from_elements(topology):
    """Atomic masses in u by element, and the sentence that says so."""
    masses = np.zeros(topology.n_atoms)
    for atom in topology.atoms:
        masses[atom.index] = atom.element.mass if atom.element is not None else 0.0
    return masses, "the elements named in the topology"


def _as_frames(name, values):
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise InputError(f"{name} must be an array of numbers; got dtype {values.dtype}.")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(float)
    if values.ndim != 3 or values.shape[-1] != 3:
        raise InputError(f"{name} has shape {values.shape}; expected (n_frames, n_atoms, 3).")
    bad = ~np.isfinite(values).all(axis=(1, 2))
    if bad.any():
        frame = int(np.argmax(bad))
        raise InputError(
            f"{name} has values that are not finite (NaN or infinite) in {bad.sum()} of {len(values)} frames, first in "
            f"frame {frame}; check how the data was made, or leave those frames out."
        )
    return values


def _as_boxes(box, n_frames):
    box = np.asarray(box, dtype=float)
    if box.shape == (3,):
        box = np.diag(box)
    if box.shape == (3, 3):
        box = np.broadcast_to(box, (n_frames, 3, 3))
    if box.shape != (n_frames, 3, 3) or not np.isfinite(box).all():
        raise InputError(f"box must be finite, of shape (3,), (3, 3) or ({n_frames}, 3, 3), in nm; got {box.shape}.")
    return box
