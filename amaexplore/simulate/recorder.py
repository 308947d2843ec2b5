"""Runs written to disk while they go on: H5MD with x, v, F every few steps and R, P, F of the nanoparticle at every step.

What was written before a crash is readable. The file is kept in HDF5's single-writer mode, in which every flush leaves it
whole, and it can be read (``amaexplore.load``, `recorded_series`) while it grows. A checkpoint lets a killed run go on.

Layout, besides that of `amaexplore.trajectory.h5md`: ``observables/nanoparticle/{centre_of_mass, momentum, net_force,
temperature}`` with one row per step, and ``parameters/amaexplore/checkpoint``.
"""

import json
from pathlib import Path

import h5py
import numpy as np

from ..errors import FormatError, InputError
from ..files import replacing, writable_target
from ..order_parameters import OrderParameters
from ..trajectory.frames import laid_out_as, refuse_elsewhere
from ..trajectory.h5md import OWN_GROUP, open_growing, write_h5md
from ..trajectory.hdf5_damage import attribute
from ..units import BOLTZMANN
from .dynamics import Snapshot
from .recording import Recording

__all__ = ["Checkpoint", "H5MDRecorder", "H5MDReporter", "recorded_series", "recover", "write_series"]

FLUSH_EVERY = 256  # steps between flushes: what a crash can cost
CHECKPOINT_EVERY = 2048  # steps
OBSERVABLES = "observables/nanoparticle"
_SERIES = {"centre_of_mass": "nm", "momentum": "u nm ps-1", "net_force": "kJ mol-1 nm-1"}
_ELEMENTS = {"position": "nm", "velocity": "nm ps-1", "force": "kJ mol-1 nm-1"}
BOX = "box/edges"


class Checkpoint:
    """Where a run stood: steps done, x(t) and v(t − dt/2)."""

    def __init__(self, n_steps, positions, half_step_velocities):
        self.n_steps = int(n_steps)
        self.positions = positions
        self.half_step_velocities = half_step_velocities


class H5MDRecorder:
    """Writes a run to an H5MD file as it goes on.

    Parameters
    ----------
    path : str or Path
        Must not exist, unless ``resume``.
    system : MolecularSystem
    stride : int
        Steps between frames.
    atoms : ndarray of int, optional
        Those in the frames; default all.
    metadata : dict, optional
    facts : dict, optional
        Further fields of the `Trajectory`, such as ``velocity_offset``.
    resume : bool
        Go on with the file of an earlier run that ended or was killed: rows after its last checkpoint are dropped, and
        `checkpoint` says where to go on.

    Attributes
    ----------
    checkpoint : Checkpoint or None
        Of the file that is resumed.
    """

    def __init__(self, path, system, *, stride=1, atoms=None, metadata=None, facts=None, resume=False):
        self.path = Path(path)
        self.system = system
        self.stride = int(stride)
        self._recording = Recording(system, 0)
        self._atoms = slice(None) if atoms is None else np.asarray(atoms)
        self.checkpoint = None
        if resume:
            recover(self.path)
            self._file = h5py.File(self.path, "r+", libver="latest")
            self.checkpoint = self._resumed()
        else:
            if self.path.exists():
                raise InputError(f"{self.path} exists already; choose another name, remove it, or resume the run.")
            writable_target(self.path)
            self._create(Recording(system, 1, atoms), dict(metadata or {}), dict(facts or {}))
        self._n_steps = 0 if self.checkpoint is None else self.checkpoint.n_steps
        self._rows, self._pending = [], []
        self._file.swmr_mode = True

    # -- the file -------------------------------------------------------------------------------------

    def _create(self, recording, metadata, facts):
        """Everything there is to say before the first step, and the empty datasets."""
        system = self.system
        still = np.zeros_like(system.positions)
        recording.take(Snapshot(0.0, system.positions, still, still), system.temperature)
        first = recording.trajectory(stride=self.stride, **metadata).replace(**facts)
        write_h5md(first, self.path)
        _rewrite(self.path)  # single-writer mode needs HDF5's newer file format
        self._file = h5py.File(self.path, "r+", libver="latest")
        group = self._file["particles/trajectory"]
        n_atoms = first.n_atoms
        for name, unit in _ELEMENTS.items():
            del group[name]
            self._extendable(group.create_group(name), (n_atoms, 3), np.float32, unit, rows_per_chunk=1)
        del group[BOX]
        self._extendable(group.create_group(BOX), (3, 3), np.float64, "nm", rows_per_chunk=256)
        observables = self._file.create_group(OBSERVABLES)
        for name, unit in _SERIES.items():
            self._observable(observables, name, (3,), unit)
        self._observable(observables, "temperature", (), "K")
        facts = {"mass": recording.mass, "n_atoms": len(recording.particle), "total_mass": float(system.masses.sum())}
        observables.attrs["description"] = json.dumps(
            {**facts, "label": system.selection, "zero_total_momentum": bool(system.conserves_momentum)}
        )
        state = self._file.create_group(f"{OWN_GROUP}/checkpoint")
        # two slots in turn, so that one is whole whatever happens while the other is written
        state.create_dataset("state", (2, 2, system.n_atoms, 3), np.float64, fillvalue=np.nan)
        state.create_dataset("n_steps", data=np.array([-1, -1], dtype=np.int64))

    @staticmethod
    def _extendable(group, shape, dtype, unit, rows_per_chunk):
        values = group.create_dataset(
            "value", (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows_per_chunk, *shape)
        )
        values.attrs["unit"] = unit
        for name, kind in (("step", np.int64), ("time", np.float64)):
            group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(1024,))
        group["time"].attrs["unit"] = "ps"

    def _observable(self, observables, name, shape, unit):
        group = observables.create_group(name)
        values = group.create_dataset("value", (0, *shape), np.float64, maxshape=(None, *shape), chunks=(1024, *shape))
        values.attrs["unit"] = unit
        _fixed_interval(group, self.system.timestep)

    def _resumed(self):
        state = self._file.get(f"{OWN_GROUP}/checkpoint")
        if state is None:
            self._file.close()
            raise FormatError(
                f"{self.path} holds no checkpoint: it was not written by this recorder, and cannot be resumed."
            )
        slot = int(np.argmax(state["n_steps"][()]))
        n_steps = int(state["n_steps"][slot])
        if state["state"].shape[2] != self.system.n_atoms:
            n_atoms = state["state"].shape[2]
            self._file.close()
            raise FormatError(
                f"{self.path} is a run of {n_atoms} atoms; the system to resume has {self.system.n_atoms}."
            )
        self._cut(max(n_steps, 0))
        if n_steps < 0:
            return None
        positions, velocities = state["state"][slot]
        return Checkpoint(n_steps, positions, velocities)

    def _cut(self, n_steps):
        """Drop what was recorded after a checkpoint: it will be simulated again."""
        for name in (*_SERIES, "temperature"):
            self._file[f"{OBSERVABLES}/{name}/value"].resize(n_steps, axis=0)
        for name in (BOX, *_ELEMENTS):
            group = self._file[f"particles/trajectory/{name}"]
            n_frames = int(np.searchsorted(group["step"][()], n_steps))
            for item in ("value", "time", "step"):
                group[item].resize(n_frames, axis=0)

    # -- recording ------------------------------------------------------------------------------------

    @property
    def n_steps(self):
        """Steps recorded, those of the resumed run included."""
        return self._n_steps

    def take(self, snapshot, temperature, engine=None):
        """Add one step.

        Parameters
        ----------
        snapshot : Snapshot
        temperature : float, K
        engine : Engine, optional
            Of the run; with it, a checkpoint is written every now and then.
        """
        if self._n_steps % self.stride == 0:
            fields = (snapshot.positions, snapshot.velocities, snapshot.forces)
            self._pending.append((self._n_steps, [values[self._atoms] for values in fields]))
        self._rows.append((*self._recording.order_parameters_of(snapshot), temperature))
        self._n_steps += 1
        if self._n_steps % FLUSH_EVERY == 0:
            self.flush()
        if engine is not None and self._n_steps % CHECKPOINT_EVERY == 0:
            self.save_checkpoint(engine)

    def flush(self):
        """Hand everything to the operating system: from now on a crash of this process loses none of it."""
        group = self._file["particles/trajectory"]
        for step, fields in self._pending:
            for name, values in zip((BOX, *_ELEMENTS), (self.system.box, *fields)):
                # the clock first: a reader takes as many frames as there are values
                _append(group[f"{name}/step"], [step])
                _append(group[f"{name}/time"], [step * self.system.timestep])
                _append(group[f"{name}/value"], values[np.newaxis])
        if self._rows:
            columns = list(zip(*self._rows))
            for name, column in zip((*_SERIES, "temperature"), columns):
                _append(self._file[f"{OBSERVABLES}/{name}/value"], np.array(column))
        self._rows, self._pending = [], []
        self._file.flush()

    def save_checkpoint(self, engine):
        """Remember where the atoms are, so that the run can go on from here."""
        self.flush()
        state = self._file[f"{OWN_GROUP}/checkpoint"]
        slot = int(np.argmin(state["n_steps"][()]))
        state["state"][slot] = (engine.positions, engine.half_step_velocities)
        state["state"].flush()
        state["n_steps"][slot] = self._n_steps
        state["n_steps"].flush()

    def close(self):
        """Write what is left and close the file."""
        if self._file:
            self.flush()
            self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def _append(dataset, rows):
    n_rows = len(dataset)
    dataset.resize(n_rows + len(rows), axis=0)
    dataset[n_rows:] = rows


def _open(path):
    try:
        return open_growing(path)
    except OSError as error:
        raise FormatError(f"{path} is not a readable HDF5 file ({str(error).splitlines()[0]}).") from None


def recover(path):
    """Make a file whose writer was killed an ordinary HDF5 file again, which any program opens.

    Copies what is whole into a new file that takes its place; a file that was closed properly is left alone.

    Raises
    ------
    FormatError
        It is not there or cannot be read at all.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path} does not exist; there is no run to recover.")
    try:
        h5py.File(path, "r").close()
        return
    except OSError:
        pass  # left open by its writer, which the next line finds out
    _rewrite(path)


def _rewrite(path):
    """Copy everything in a file into a new one of HDF5's newer format, which takes its place."""
    with _open(path) as before, replacing(path) as temporary, h5py.File(temporary, "w", libver="latest") as after:
        for name in before:
            before.copy(name, after)
        if "connectivity/bonds" in after:
            # a reference does not survive the copy
            after["connectivity/bonds"].attrs["particles_group"] = after["particles/trajectory"].ref


def recorded_series(path):
    """R, P and F at every step, from a file that `H5MDRecorder` wrote or is writing.

    Returns
    -------
    OrderParameters

    Raises
    ------
    FormatError
    """
    with _open(path) as file, laid_out_as("a recording of amaexplore", path):
        refuse_elsewhere(file, path)
        group = file.get(OBSERVABLES)
        if group is None or "description" not in group.attrs:
            raise FormatError(f"{path} holds no series of a nanoparticle; expected the group {OBSERVABLES}.")
        facts = json.loads(attribute(group, "description"))
        columns = {name: group[f"{name}/value"][()] for name in (*_SERIES, "temperature")}
        timestep = float(group["momentum/time"][()])
        # a writer that was killed may have got further with one than with another
        n_steps = min(map(len, columns.values()))
        temperature = columns.pop("temperature")[:n_steps]
        return OrderParameters(
            time=timestep * np.arange(n_steps),
            temperature=float(temperature.mean()) if n_steps else None,
            typical_mass=facts["mass"] / facts["n_atoms"],
            **{name: values[:n_steps] for name, values in columns.items()},
            **facts,
        )


def write_series(path, series, temperature=None):
    """Add R, P and F at every step to an H5MD file that is complete, where `recorded_series` finds them.

    Parameters
    ----------
    path : str or Path
    series : OrderParameters
        Evenly spaced, of one run.
    temperature : ndarray, shape (n_steps,), K, optional
    """
    columns = {name: series.require(name) for name in _SERIES}
    columns["temperature"] = np.full(series.n_frames, series.temperature) if temperature is None else temperature
    with h5py.File(path, "r+") as file:
        observables = file.create_group(OBSERVABLES)
        for name, values in columns.items():
            group = observables.create_group(name)
            group["value"] = values
            group["value"].attrs["unit"] = _SERIES.get(name, "K")
            _fixed_interval(group, series.timestep)
        facts = {"mass": series.mass, "n_atoms": series.n_atoms, "total_mass": series.total_mass}
        observables.attrs["description"] = json.dumps(
            {**facts, "label": series.label, "zero_total_momentum": bool(series.zero_total_momentum)}
        )


def _fixed_interval(group, timestep):
    """H5MD's clock of a row per step: a scalar, the increment from one row to the next."""
    group["step"] = np.int64(1)
    group["time"] = timestep
    group["time"].attrs["unit"] = "ps"


class H5MDReporter:
    """An OpenMM reporter that writes H5MD, for ``openmm.app.Simulation.reporters``.

    Frames of all atoms with x, v, F and the nanoparticle's R, P, F, every ``interval`` steps; crash-safe as `H5MDRecorder`.
    `openmm.VerletIntegrator` reports v(t − dt/2): it is moved to the time of the positions with the force, v(t) = v(t − dt/2)
    + F dt/2m, or, where there are constraints, whose force OpenMM does not tell, the offset is recorded instead. Velocities
    of other integrators are kept as reported.

    Parameters
    ----------
    path : str or Path
        Must not exist.
    interval : int
        Steps between frames.
    subset : str
        The nanoparticle, in mdtraj's selection language.
    """

    def __init__(self, path, interval, subset):
        self.path, self.interval, self.subset = writable_target(path), int(interval), subset
        self._recorder = None

    def describeNextReport(self, simulation):
        """What OpenMM asks of every reporter."""
        steps = self.interval - simulation.currentStep % self.interval
        return {"steps": steps, "periodic": False, "include": ["positions", "velocities", "forces"]}

    def report(self, simulation, state):
        """What OpenMM calls when a frame is due."""
        positions, velocities, forces = (
            getattr(state, name)(asNumpy=True)._value.copy() for name in ("getPositions", "getVelocities", "getForces")
        )
        if self._recorder is None:
            self._begin(simulation, positions)
        masses = self._masses
        moving = masses > 0
        velocities[moving] += self._shift * forces[moving] / masses[moving, None]
        kinetic = 0.5 * float(np.sum(masses[:, None] * velocities**2))
        temperature = 2.0 * kinetic / (self._degrees * BOLTZMANN)
        self._recorder.take(Snapshot(state.getTime()._value, positions, velocities, forces), temperature)

    def close(self):
        """Write what is left and close the file."""
        if self._recorder is not None:
            self._recorder.close()

    def _begin(self, simulation, positions):
        from .own import system_from_openmm

        barostats = [type(f).__name__ for f in simulation.system.getForces() if "Barostat" in type(f).__name__]
        if barostats:
            raise InputError(f"H5MDReporter records at constant volume; take out the {barostats[0]}.")
        step = simulation.integrator.getStepSize()._value
        leapfrog = type(simulation.integrator).__name__ == "VerletIntegrator"
        n_constraints = simulation.system.getNumConstraints()
        self._shift = 0.5 * step if leapfrog and not n_constraints else 0.0
        system = system_from_openmm(
            simulation.system,
            positions,
            simulation.topology,
            self.subset,
            temperature=1.0,
            timestep=self.interval * step,
            name=self.path.stem,
        )
        self._masses = system.masses
        self._degrees = max(1, 3 * int((system.masses > 0).sum()) - n_constraints)
        offset = -0.5 * step if leapfrog and n_constraints else 0.0
        self._recorder = H5MDRecorder(self.path, system, facts={"md_timestep": step, "velocity_offset": offset})
