"""load(): trajectory files of any engine as one `Trajectory`; the format is told by the ending of the name."""

import tempfile
from pathlib import Path

import numpy as np
import platformdirs

from ..errors import FormatError, InputError, Notice
from .frames import FIELDS, side_by_side
from .memory import held_frames, let_go, memory_budget
from .temperature import is_complete
from .topologies import read_topology, topology_from_universe
from .trajectory import Trajectory, plain_topology

__all__ = ["from_universe", "load", "open_files"]

_COMPRESSED = {".gz", ".bz2", ".xz", ".zst"}
_LAMMPS = {".lammpstrj", ".dump", ".lammpsdump"}
_AMBER = {".nc", ".ncdf", ".netcdf", ".mdcrd", ".mdvel", ".mdfrc"}
_MDTRAJ = {".pdb", ".ent", ".gro", ".cif"}  # the file names its own atoms

# a centimetre, the speed of light, and a million times the force that breaks a bond
_LIMITS = {"positions": (1e7, "nm"), "velocities": (3e5, "nm/ps"), "forces": (1e10, "kJ/mol/nm")}

INTEGRATORS = {  # name -> velocity offset in units of the MD step
    "leapfrog": -0.5,
    "leap-frog": -0.5,
    "md": -0.5,
    "verlet": -0.5,
    "langevinmiddle": -0.5,
    "velocity-verlet": 0.0,
    "velocityverlet": 0.0,
    "md-vv": 0.0,
    "nve": 0.0,
    "sd": -0.5,
}


def load(files, topology=None, *, units=None, timestep=None, frames=None, integrator=None, progress=None):
    """Read trajectory files.

    Parameters
    ----------
    files : str, Path, or sequence of them
        One run, in the order of time: GROMACS TRR, AMBER NetCDF, H5MD, LAMMPS dump (also .gz), XTC, DCD, PDB, mdtraj .h5.
        Where an engine writes one file per field (NAMD: DCD, .veldcd, .forcedcd; AMBER: .nc, .mdvel, .mdfrc), all of them.
    topology : str or Path, optional
        TPR, PRMTOP, PSF, LAMMPS data, PDB, GRO, ... of the same atoms; needed where the trajectory does not name its atoms
        or lacks masses.
    units : str or dict, optional
        LAMMPS unit style where the dump does not say.
    timestep : float, ps, optional
        Time between frames; overrides what the file says.
    frames : slice, optional
        Which frames to read, counted over all files.
    integrator : str, optional
        ``"leapfrog"`` (velocities half a step behind), ``"velocity-verlet"`` (at the same time), or other engine names;
        overrides what the data says.
    progress : callable (fraction, text), optional
        May raise `Cancelled` to stop.

    Returns
    -------
    Trajectory
        In nm, ps, u, kJ/mol/nm. A frame that lacks a field is NaN there.

    Raises
    ------
    FormatError
        A file that is not there, not of a known format, truncated, or does not fit the topology.
    InputError
        Values that are not finite, arguments that make no sense.
    """
    paths = _paths(files)
    chosen = _checked_slice(frames)
    if timestep is not None and not (np.isfinite(timestep) and timestep > 0):
        raise InputError(f"timestep must be a positive number of ps between frames; got {timestep!r}.")
    offset_in_steps = _integrator_offset(integrator)
    named = None if topology is None else read_topology(topology)
    sources = []
    try:
        for path in paths:
            sources.append(_open(path, named, units))
        _check_atoms(sources, named, topology)
        for source in sources:
            source.topology_masses = None if named is None else named[1]
        gathered = _Gathered(side_by_side(sources), progress).gather(chosen)
        identity = _identity(sources, named)
    finally:
        for source in sources:
            source.close()
    trajectory = _assembled(gathered, identity, sources, timestep)
    _report(progress, 1.0, "read")
    return _with_physics(trajectory, sources, gathered, offset_in_steps)


def open_files(files, topology=None, *, units=None):
    """The frame sources of trajectory files, for those who stream; see `frames.FrameSource`."""
    named = None if topology is None else read_topology(topology)
    return [_open(path, named, units) for path in _paths(files)]


# -- arguments ----------------------------------------------------------------------------------------


def _paths(files):
    files = [files] if isinstance(files, str | Path) else list(files)
    if not files:
        raise InputError("load needs at least one file; none was given.")
    paths = [Path(file).expanduser() for file in files]
    for path in paths:
        if path.is_dir():
            raise FormatError(f"{path} is a folder; give the trajectory files in it.")
        if not path.exists():
            raise FormatError(f"The file {path} does not exist; check its path.")
        try:
            with open(path, "rb") as file:
                if not file.read(1):
                    raise FormatError(f"The file {path} is empty; expected a trajectory.")
        except OSError as error:
            raise FormatError(f"The file {path} cannot be read ({error.strerror}).") from None
    return paths


def _checked_slice(frames):
    if frames is None:
        return slice(None)
    if isinstance(frames, slice) and (frames.step is None or frames.step > 0):
        return frames
    raise InputError(f"frames must be a slice with a positive step, such as slice(0, 1000, 2); got {frames!r}.")


def _integrator_offset(integrator):
    if integrator is None:
        return None
    try:
        return INTEGRATORS[str(integrator).lower()]
    except KeyError:
        raise InputError(f"integrator {integrator!r} is not known; known are {', '.join(INTEGRATORS)}.") from None


def _open(path, named, units):
    """The source for one file: format by the ending of its name, LAMMPS dumps also by their first line."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-1] if suffixes else ""
    plain = suffixes[-2] if suffix in _COMPRESSED and len(suffixes) > 1 else suffix
    if plain == ".trr":
        from .gromacs import GromacsTrr

        return GromacsTrr(path)
    if plain in _AMBER:
        from .amber import AmberSource

        return AmberSource(path)
    if plain in (".h5md", ".hdf5") or (plain == ".h5" and _is_h5md(path)):
        from .h5md import H5mdSource

        return H5mdSource(path, units)
    if plain == ".h5":
        from .mdtraj_hdf5 import MdtrajHdf5Source

        return MdtrajHdf5Source(path)
    if plain == ".tng":
        from .tng import TngSource

        return TngSource(path)
    if plain == ".gsd":
        from .gsd_files import GsdSource

        return GsdSource(path, units)
    if path.name.upper().startswith("HISTORY") or plain == ".history":
        from .dlpoly import DlpolySource

        return DlpolySource(path)
    if plain in _LAMMPS or _is_dump(path):
        from .lammps import LammpsDumpSource

        return LammpsDumpSource(path, units)
    if plain in (".dcd", ".veldcd", ".forcedcd", ".frcdcd"):
        from .positions import DcdSource

        return DcdSource(path)
    if plain == ".xtc":
        from .xtc import XtcSource

        return XtcSource(path)
    if plain in _MDTRAJ:
        from .positions import MdtrajSource

        return MdtrajSource(path)
    raise FormatError(
        f"{path} is of an unknown format {suffix or '(no ending)'}; known are .trr, .tng, .nc, .h5md, .lammpstrj, .dump, "
        "HISTORY (text also as .gz, .bz2, .xz, .zst), .gsd, .xtc, .dcd, .pdb, .gro and .h5."
    )


def _is_h5md(path):
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "particles" in file
    except (OSError, RuntimeError):  # the latter for damage behind the file's head
        return False


def _is_dump(path):
    from .lammps import open_text

    try:
        stream = open_text(path)
        try:
            return next(iter(stream), b"")[:5] == b"ITEM:"
        finally:
            stream.close()
    except (OSError, EOFError, FormatError):
        return False


def _check_atoms(sources, named, topology):
    first = sources[0]
    for source in sources[1:]:
        if source.n_atoms != first.n_atoms:
            raise FormatError(
                f"{source.path} has {source.n_atoms} atoms and {first.path} has {first.n_atoms}; files of one run must hold the "
                "same atoms."
            )
    if named is not None and named[0].n_atoms != first.n_atoms:
        raise FormatError(
            f"The topology {topology} has {named[0].n_atoms} atoms, the trajectory {first.path} has {first.n_atoms}; give a "
            "topology of exactly the atoms in the trajectory."
        )


# -- gathering frames ---------------------------------------------------------------------------------


class _Gathered:
    """Frames of several files in arrays that were made once, at their final size or a little above."""

    def __init__(self, sources, progress):
        self.sources = sources
        self.progress = progress
        self.n_frames = 0
        self.arrays = {}
        self.box = self.steps = None
        self.times = np.empty(0)
        self.duplicates = 0
        self.on_disk = False
        self._room = 0

    def gather(self, chosen):
        start, stop, step = self._resolved(chosen)
        position = 0  # frames before this file
        for number, source in enumerate(self.sources):
            wanted = self._within(source, position, start, stop, step)
            if wanted is None:
                break
            if source.n_frames is not None and self._room < self.n_frames + len(
                range(*wanted.indices(source.n_frames))
            ):
                self._reserve(self.n_frames + len(range(*wanted.indices(source.n_frames))))
            read = 0
            for frames in source.chunks(wanted):
                read += frames.n_frames
                self._append(frames, source)
                self._tell(number, source, wanted, read)
            if number + 1 < len(self.sources):
                position += source.count()
        if self.n_frames == 0:
            total = sum(source.count() for source in self.sources)
            raise InputError(f"frames={chosen} picks none of the {total} frames in the files.")
        self._trim()
        return self

    def _resolved(self, chosen):
        negative = any(value is not None and value < 0 for value in (chosen.start, chosen.stop))
        if negative:
            total = sum(source.count() for source in self.sources)
            return chosen.indices(total)
        return chosen.start or 0, chosen.stop, chosen.step or 1

    @staticmethod
    def _within(source, position, start, stop, step):
        """The slice of one file's own frames, or None when all wanted frames lie before it."""
        first = start - position
        if first < 0:
            first %= step
        last = None if stop is None else stop - position
        if last is not None and last <= first:
            return None
        return slice(first, last, step)

    def _reserve(self, n_frames):
        """Room for frames; on Linux pages that are never written cost nothing."""
        self._room = n_frames
        for name, array in self.arrays.items():
            if isinstance(array, np.memmap) or self._is_large(n_frames, array):
                larger = self._new_array((n_frames, *array.shape[1:]), array.dtype)
                for first in range(0, self.n_frames, 1024):
                    larger[first : min(first + 1024, self.n_frames)] = array[first : min(first + 1024, self.n_frames)]
                self.arrays[name] = larger
            else:
                array.resize((n_frames, *array.shape[1:]), refcheck=False)

    def _is_large(self, n_frames, like):
        """Whether three fields of so many frames would take more than half of the memory that may be used."""
        return 3 * n_frames * like[:1].nbytes > 0.5 * memory_budget()

    def _new_array(self, shape, dtype):
        """An array in memory, or in a nameless file in the user's cache directory where it is large."""
        if not self._is_large(shape[0], np.empty((1, *shape[1:]), dtype)):
            return np.empty(shape, dtype)
        self.on_disk = True
        folder = Path(platformdirs.user_cache_dir("amaexplore", appauthor=False)) / "frames"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                # the file goes when the array goes
                return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
        except OSError as error:
            size = np.prod(shape, dtype=float) * dtype.itemsize / 2**30
            raise InputError(
                f"The frames take {size:.3g} GiB a field, which is neither free in memory nor in {folder} ({error.strerror}); read "
                "fewer with frames=slice(...), or use amaexplore.ingest."
            ) from None

    def _append(self, frames, source):
        n_new = frames.n_frames
        end = self.n_frames + n_new
        if end > self._room:
            self._reserve(max(end, self._room + self._room // 2))
        rows = slice(self.n_frames, end)
        for name, values in frames.fields.items():
            if name not in self.arrays:
                self.arrays[name] = self._new_array((self._room, *values.shape[1:]), values.dtype)
                self.arrays[name][: self.n_frames] = np.nan
            _check_values(values, name, self.n_frames, source.path)
            self.arrays[name][rows] = values
            let_go(self.arrays[name])
        for name in self.arrays.keys() - frames.fields.keys():
            self.arrays[name][rows] = np.nan
        self.times = np.concatenate([self.times, frames.times])
        self.box = _joined(self.box, frames.box, self.n_frames, n_new, (3, 3))
        self.steps = _joined(self.steps, frames.steps, self.n_frames, n_new, ())
        self.n_frames = end

    def _trim(self):
        keep = self._kept()
        for name in FIELDS:
            if name in self.arrays:
                array = self.arrays[name][: self.n_frames]
                self.arrays[name] = array if keep is None else array[keep]
        if keep is not None:
            self.times = self.times[keep]
            self.box = None if self.box is None else self.box[keep]
            self.steps = None if self.steps is None else self.steps[keep]
            self.n_frames = len(keep)

    def _kept(self):
        """Frames but those that repeat the time before them, as continued runs write them."""
        if not np.isfinite(self.times).all() or len(self.times) < 2:
            return None
        steps = np.diff(self.times)
        back = np.flatnonzero(steps < 0)
        if len(back) and len(self.sources) == 1:
            raise FormatError(
                f"Times go back from {self.times[back[0]]:.6g} to {self.times[back[0] + 1]:.6g} ps at frame {back[0] + 1}; expected "
                "increasing times. Read part of the frames with frames=slice(...)."
            )
        if len(back):
            raise FormatError(
                f"Times go back from {self.times[back[0]]:.6g} to {self.times[back[0] + 1]:.6g} ps between files; give the files in "
                "the order of time and without overlap."
            )
        repeated = np.flatnonzero(steps == 0) + 1
        if len(repeated) == 0 or not self.times.any():
            return None
        self.duplicates = len(repeated)
        return np.setdiff1d(np.arange(len(self.times)), repeated)

    def _tell(self, number, source, wanted, read):
        if self.progress is None:
            return
        if source.n_frames:
            part = read / max(1, len(range(*wanted.indices(source.n_frames))))
        else:
            part = source.position()
        self.progress(min(1.0, (number + part) / len(self.sources)) * 0.9, f"reading {source.path.name}")


def _joined(before, new, n_before, n_new, shape):
    """Boxes or steps of all frames so far; where some frames have none, all count as having none."""
    if new is None or (before is None and n_before):
        return None
    new = np.asarray(new).reshape(n_new, *shape)
    return new.copy() if before is None else np.concatenate([before, new])


def _check_values(values, name, first, path):
    """Refuse what no engine writes: NaN within a frame, and sizes that only damaged bytes have.

    A frame that is NaN throughout stands for one that lacks the field.
    """
    limit, unit = _LIMITS[name]
    if values.max() < limit and values.min() > -limit:  # false where there is a NaN
        return
    missing = np.isnan(values).all(axis=(1, 2))
    for row in np.flatnonzero(~missing):
        frame, there = first + row, f"in frame {first + row}"
        before = f"Read the frames before it with frames=slice(0, {frame})." if frame else "Check how it was made."
        finite = np.isfinite(values[row]).all(axis=1)
        if not finite.all():
            raise InputError(
                f"{path}: {name} are not finite (NaN or infinite) {there}, first at atom {int(np.argmin(finite))}; the simulation "
                f"may have blown up. {before}"
            )
        size = np.abs(values[row]).max(axis=1)
        if size.max() >= limit:
            raise InputError(
                f"{path}: {name} reach {size.max():.3g} {unit} at frame {frame}, atom {int(np.argmax(size))}, which no simulation "
                f"has; the file is damaged or its units are others. {before}"
            )


# -- putting it together ------------------------------------------------------------------------------


def _identity(sources, named):
    """Topology, masses and where the masses came from."""
    first = sources[0]
    if named is not None:
        topology, masses, origin = named
        if first.masses is not None:
            masses, origin = first.masses, first.masses_source
        return topology, masses, origin
    if first.masses is None and first.topology is not None:
        from .trajectory import masses_from_elements

        masses, origin = masses_from_elements(first.topology)
        return first.topology, masses, f"{origin} of {first.path.name}"
    if first.masses is None:
        raise FormatError(
            f"{first.path} does not name its atoms and holds no masses; give topology= a TPR, PRMTOP, PSF, LAMMPS data, PDB or GRO file."
        )
    topology = first.topology if first.topology is not None else plain_topology(first.masses)
    return topology, first.masses, first.masses_source


def _assembled(gathered, identity, sources, timestep):
    topology, masses, origin = identity
    notices = [notice for source in sources for notice in source.notices]
    if (masses <= 0).all():
        raise FormatError(
            "No atom has a mass: the topology names no known elements; give one that holds masses (TPR, PRMTOP, PSF)."
        )
    times = _times(gathered, sources, timestep, notices)
    if gathered.duplicates:
        notices.append(
            Notice(
                "repeated_frames",
                f"{gathered.duplicates} frames repeated the time before them and were left out.",
                "info",
            )
        )
    if gathered.on_disk:
        notices.append(
            Notice(
                "frames_on_disk",
                "The frames do not fit the memory budget and were put into a temporary file, mapped into memory; amaexplore.ingest "
                "makes a lasting store in which selections are faster. AMAEXPLORE_MEMORY raises the budget.",
                "info",
            )
        )
    missing = [name for name in FIELDS if name not in gathered.arrays]
    if missing and len(missing) < 3:
        notices.append(
            Notice(
                f"no_{'_'.join(missing)}",
                f"The files hold no {' and no '.join(missing)}; what needs them is not available.",
                "info" if missing == ["positions"] else "warning",
            )
        )
    for name, array in gathered.arrays.items():
        lacking = int((~held_frames(array)).sum())
        if lacking:
            notices.append(
                Notice(
                    f"{name}_in_some_frames",
                    f"{name.capitalize()} are in {gathered.n_frames - lacking} of {gathered.n_frames} frames; the others count as missing.",
                    "info",
                )
            )
    facts = {key: value for key, value in sources[0].facts.items() if key in Trajectory.__dataclass_fields__}
    return Trajectory(
        times=times,
        masses=np.asarray(masses, dtype=float),
        topology=topology,
        box=gathered.box,
        files=tuple(str(source.path) for source in sources),
        masses_source=origin,
        notices=tuple(dict.fromkeys(notices)),
        **gathered.arrays,
        **facts,
    )


def _times(gathered, sources, timestep, notices):
    times, steps = gathered.times, gathered.steps
    has_times = np.isfinite(times).all() and (len(times) < 2 or np.ptp(times) > 0)
    if timestep is None:
        if has_times or len(times) == 1:
            return np.nan_to_num(times)
        raise InputError(
            f"{sources[0].path} does not say at which times its frames were written; give timestep= the ps between frames."
        )
    uneven = steps is not None and len(steps) > 1 and np.diff(steps).min() > 0
    rows = (steps - steps[0]) / np.diff(steps).min() if uneven else np.arange(len(times))
    given = timestep * rows
    if has_times and len(times) > 1:
        stored = (times[-1] - times[0]) / (len(times) - 1)
        if abs(stored - given[-1] / (len(times) - 1)) > 0.01 * timestep:
            notices.append(
                Notice(
                    "timestep_given",
                    f"The file says {stored:.6g} ps between frames; the given {timestep:.6g} ps were used instead.",
                    "info",
                )
            )
    return given


def _with_physics(trajectory, sources, gathered, offset_in_steps):
    """Images taken out, and what the data says about the engine's step."""
    if not all(source.is_unwrapped for source in sources):
        from .unwrap import unwrapped

        trajectory = unwrapped(trajectory, in_place=True)
    changes = {}
    if trajectory.md_timestep is None and "md_timestep" not in sources[0].facts:
        changes["md_timestep"] = _md_timestep(trajectory.times, gathered.steps)
    if trajectory.complete_system is None:
        changes["complete_system"] = is_complete(trajectory)
    trajectory = trajectory.replace(**changes) if changes else trajectory
    if offset_in_steps is not None:
        if offset_in_steps and not trajectory.md_timestep:
            raise InputError(
                "integrator= says that velocities are half a step behind, but the files do not say how long the MD step is; "
                "set velocity_offset on the trajectory instead: trajectory.replace(velocity_offset=-dt/2)."
            )
        return trajectory.replace(velocity_offset=offset_in_steps * (trajectory.md_timestep or 0.0))
    if "velocity_offset" in sources[0].facts:
        return trajectory
    from .half_step import with_detected_offset

    return with_detected_offset(trajectory)


def _md_timestep(times, steps):
    """The engine's step from step numbers and times, where the file has both."""
    if steps is None or len(steps) < 2 or any(step is None for step in steps) or steps[-1] <= steps[0]:
        return None
    step = (times[-1] - times[0]) / (steps[-1] - steps[0])
    return float(f"{step:.5g}") if np.isfinite(step) and step > 0 else None


def _report(progress, fraction, text):
    if progress is not None:
        progress(fraction, text)


# -- MDAnalysis ---------------------------------------------------------------------------------------


def from_universe(universe, frames=None):
    """A trajectory from an ``MDAnalysis.Universe``.

    Parameters
    ----------
    universe : MDAnalysis.Universe
    frames : slice, optional

    Returns
    -------
    Trajectory
        MDAnalysis' Å, ps, Å/ps and kJ/mol/Å are converted.
    """
    from .half_step import with_detected_offset
    from .unwrap import unwrapped

    topology = topology_from_universe(universe)
    masses, origin = _masses_of(universe, topology)
    chosen = universe.trajectory[_checked_slice(frames)]
    n_frames, shape = len(chosen), (len(chosen), len(universe.atoms), 3)
    if n_frames == 0:
        raise InputError(f"frames={frames} picks none of the {len(universe.trajectory)} frames.")
    arrays, times, box = {}, np.empty(n_frames), np.zeros((n_frames, 3, 3))
    for row, snapshot in enumerate(chosen):
        times[row] = snapshot.time
        if snapshot.triclinic_dimensions is not None:
            box[row] = 0.1 * snapshot.triclinic_dimensions
        for name, factor in (("positions", 0.1), ("velocities", 0.1), ("forces", 10.0)):
            if getattr(snapshot, f"has_{name}"):
                if name not in arrays:
                    arrays[name] = np.full(shape, np.nan, dtype=np.float32)
                np.multiply(getattr(snapshot, name), np.float32(factor), out=arrays[name][row])
    for name, values in arrays.items():
        _check_values(values, name, 0, "The universe")
    trajectory = Trajectory(
        times=times,
        masses=masses,
        topology=topology,
        box=box if box.any() else None,
        masses_source=origin,
        **arrays,
    )
    trajectory = unwrapped(trajectory, in_place=True)
    return with_detected_offset(trajectory.replace(complete_system=is_complete(trajectory)))


def _masses_of(universe, topology):
    from .trajectory import masses_from_elements

    if hasattr(universe.atoms, "masses"):
        return np.array(universe.atoms.masses, dtype=float), "the universe"
    return masses_from_elements(topology)
