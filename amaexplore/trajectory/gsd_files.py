"""HOOMD-blue's GSD, read with gsd (extra ``formats``): reduced units, image flags, masses and bonds."""

import numpy as np

from ..errors import FormatError, Notice
from .frames import Frames, FrameSource, damaged, frames_per_chunk
from .lammps import engine_units
from .topologies import topology_of_particles

__all__ = ["GsdSource"]


class GsdSource(FrameSource):
    """A GSD file in HOOMD's schema. It states no times: give ``timestep``, the time between frames."""

    def __init__(self, path, units=None):
        try:
            import gsd.hoomd
        except ImportError:
            raise FormatError(f"Reading {path} needs the gsd package: pip install 'amaexplore[formats]'.") from None
        try:
            self._file = gsd.hoomd.open(str(path), "r")
            first = self._file[0]
        except Exception as error:  # gsd raises RuntimeError, OSError and others
            raise FormatError(f"{path} is not a readable GSD file, or is truncated or empty ({error}).") from None
        self._units = engine_units("lj" if units is None else units, path)
        particles = first.particles
        masses = self._units.mass * np.asarray(particles.mass, dtype=float)
        try:
            kinds = [particles.types[number] for number in particles.typeid]
            topology = topology_of_particles(masses, elements=kinds, types=kinds)
            if first.bonds.N:
                atoms = list(topology.atoms)
                for a, b in np.asarray(first.bonds.group):
                    topology.add_bond(atoms[a], atoms[b])
        except (IndexError, TypeError) as error:
            raise FormatError(f"{path} is damaged: a particle type or a bond is out of range ({error}).") from None
        super().__init__(
            path=path,
            n_atoms=int(particles.N),
            n_frames=len(self._file),
            masses=masses,
            masses_source="the GSD file",
            topology=topology,
            is_unwrapped=True,
        )
        if units is None:
            self.notices.append(
                Notice(
                    "reduced_units",
                    "GSD files are in reduced units; one unit was taken as 1 nm, 1 u and 1 kJ/mol (so 1 ps). Give "
                    "units={'mass': u, 'sigma': nm, 'epsilon': kJ/mol} for real ones.",
                    "info",
                )
            )

    def chunks(self, chosen):
        frames = range(*chosen.indices(self.n_frames))
        size = frames_per_chunk(self.n_atoms)
        for first in range(0, len(frames), size):
            part = frames[first : first + size]
            yield self._stacked([self._frame(number) for number in part])

    def _frame(self, number):
        try:
            snapshot = self._file[number]
        except Exception:  # as above
            raise damaged(self.path, number, self.n_frames) from None
        particles, units = snapshot.particles, self._units
        if self.n_atoms != particles.N:
            raise FormatError(
                f"{self.path} has {particles.N} particles in frame {number} and {self.n_atoms} in frame 0."
            )
        shapes = {np.shape(values) for values in (particles.position, particles.velocity, particles.image)}
        if shapes != {(self.n_atoms, 3)}:
            raise damaged(self.path, number, self.n_frames)
        box = _box(snapshot.configuration.box)
        # HOOMD counts images: position + image · box is unwrapped
        positions = units.length * (np.asarray(particles.position, float) + np.asarray(particles.image, float) @ box)
        fields = {"positions": positions, "velocities": units.velocity * np.asarray(particles.velocity, dtype=float)}
        logged = next((values for name, values in snapshot.log.items() if name.endswith("forces")), None)
        if logged is not None and np.shape(logged) == (self.n_atoms, 3):
            fields["forces"] = units.force * np.asarray(logged, dtype=float)
        return snapshot.configuration.step, units.length * box, fields

    @staticmethod
    def _stacked(frames):
        steps, boxes, fields = zip(*frames)
        names = set.intersection(*(set(part) for part in fields))
        arrays = {name: np.stack([part[name] for part in fields]).astype(np.float32) for name in sorted(names)}
        return Frames(np.full(len(frames), np.nan), arrays, np.array(boxes), np.array(steps))

    def close(self):
        self._file.close()


def _box(numbers):
    """Box vectors as rows from Lx, Ly, Lz and the tilt factors."""
    lx, ly, lz, xy, xz, yz = (float(number) for number in numbers)
    return np.array([[lx, 0.0, 0.0], [xy * ly, ly, 0.0], [xz * lz, yz * lz, lz]])
