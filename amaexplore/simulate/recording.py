"""What a simulation leaves behind: frames of all atoms every few steps, R, P and F of the nanoparticle at every step."""

import numpy as np

from ..errors import InputError
from ..order_parameters import OrderParameters
from ..trajectory.frames import FIELDS
from ..trajectory.trajectory import Trajectory

__all__ = ["Growing", "Recording"]


class Growing:
    """Rows that are appended one by one, readable at any time from another thread.

    Parameters
    ----------
    shape : tuple of int
        Of one row.
    dtype : numpy dtype
    """

    def __init__(self, shape, dtype=float):
        self._rows = np.empty((256, *shape), dtype)
        self._n_rows = 0

    def append(self, row):
        """Add one row."""
        if self._n_rows == len(self._rows):
            larger = np.empty((2 * self._n_rows, *self._rows.shape[1:]), self._rows.dtype)
            larger[: self._n_rows] = self._rows
            # readers hold the old array, whose rows stay as they are
            self._rows = larger
        self._rows[self._n_rows] = row
        self._n_rows += 1

    def __len__(self):
        return self._n_rows

    def rows(self, n_rows):
        """The first ``n_rows`` rows, without a copy."""
        return self._rows[:n_rows]


class Recording:
    """The record of one run, growing while it runs.

    Parameters
    ----------
    system : MolecularSystem
    stride : int
        Steps between frames; 0 keeps none.
    atoms : ndarray of int, optional
        Those in the frames; default all.
    """

    def __init__(self, system, stride=1, atoms=None):
        if int(stride) < 0:
            raise InputError(f"stride must not be negative; got {stride!r}.")
        self.system = system
        self.stride = int(stride)
        self.particle = system.particle
        self.masses = system.masses
        self.mass = float(self.masses[self.particle].sum())
        self._weights = self.masses[self.particle]
        self._series = Growing((3, 3))
        self._temperature = Growing(())
        self._atoms = slice(None) if atoms is None else np.asarray(atoms)
        n_stored = system.n_atoms if atoms is None else len(atoms)
        # one array each, so that the frames so far are a trajectory without a copy
        self._frames = {name: Growing((n_stored, 3), np.float32) for name in FIELDS}
        self._frame_steps = Growing((), np.int64)

    @property
    def n_steps(self):
        """Steps recorded."""
        return len(self._series)

    @property
    def n_frames(self):
        """Frames recorded."""
        return len(self._frame_steps)

    @property
    def duration(self):
        """Time recorded, ps."""
        return self.n_steps * self.system.timestep

    def take(self, snapshot, temperature, engine=None):
        """Add what one step showed.

        Parameters
        ----------
        snapshot : Snapshot
        temperature : float, K
            Of all atoms at that moment.
        engine : Engine, optional
            Not needed here; recorders on disk keep its state.
        """
        if self.stride and self.n_steps % self.stride == 0:
            for name, rows in self._frames.items():
                rows.append(getattr(snapshot, name)[self._atoms])
            self._frame_steps.append(self.n_steps)
        self._temperature.append(temperature)
        self._series.append(self.order_parameters_of(snapshot))

    def order_parameters_of(self, snapshot):
        """R, P and F of the nanoparticle at one moment, each (3,)."""
        x, v, f = snapshot.positions[self.particle], snapshot.velocities[self.particle], snapshot.forces[self.particle]
        return self._weights @ x / self.mass, self._weights @ v, f.sum(axis=0)

    def series(self):
        """R, P and F at every step so far: an `OrderParameters`."""
        n_steps = self.n_steps
        centre, momentum, force = self._series.rows(n_steps).transpose(1, 0, 2)
        temperature = self._temperature.rows(n_steps)
        return OrderParameters(
            time=self.system.timestep * np.arange(n_steps),
            mass=self.mass,
            centre_of_mass=centre,
            momentum=momentum,
            net_force=force,
            typical_mass=self.mass / len(self.particle),
            total_mass=float(self.masses.sum()),
            zero_total_momentum=self.system.conserves_momentum,
            temperature=float(temperature.mean()) if n_steps else None,
            label=self.system.selection,
            n_atoms=len(self.particle),
        )

    def trajectory(self, **metadata):
        """The frames so far: a `Trajectory`, with ``metadata`` among its own."""
        n_frames = self.n_frames
        system = self.system
        everything = isinstance(self._atoms, slice)
        return Trajectory(
            times=system.timestep * self._frame_steps.rows(n_frames),
            masses=self.masses[self._atoms],
            topology=system.topology if everything else system.topology.subset(self._atoms),
            **{name: rows.rows(n_frames) for name, rows in self._frames.items()},
            box=np.broadcast_to(system.box, (n_frames, 3, 3)),
            masses_source="the simulated system",
            md_timestep=system.timestep,
            complete_system=everything,
            metadata={
                "engine": "OpenMM",
                "subset": system.selection,
                "temperature": system.temperature,
                "total_mass": float(self.masses.sum()),
                "host_friction": system.host_friction,
                "external_forces": system.has_external_forces,
                **metadata,
            },
        )
