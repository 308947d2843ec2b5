"""Trajectories from arrays and from mdtraj, and what is refused."""

import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError


def test_from_arrays_keeps_what_it_is_given(rng):
    positions = rng.normal(size=(4, 3, 3)).astype(np.float32)
    trajectory = ama.Trajectory.from_arrays(positions=positions, masses=[12.0, 16.0, 1.008], timestep=0.5)
    assert trajectory.positions is positions
    assert (trajectory.n_frames, trajectory.n_atoms, trajectory.timestep, trajectory.duration) == (4, 3, 0.5, 1.5)
    assert [atom.name for atom in trajectory.topology.atoms] == ["C", "O", "H"]
    assert trajectory.frames_with["positions"].all()
    assert not trajectory.frames_with["forces"].any()
    assert repr(trajectory) == "Trajectory(3 atoms, 4 frames every 0.5 ps; positions)"


def test_frames_are_cut_from_every_field(rng):
    fields = {name: rng.normal(size=(6, 2, 3)) for name in ("positions", "velocities", "forces")}
    trajectory = ama.Trajectory.from_arrays(**fields, masses=[1.0, 2.0], timestep=1.0, box=[50.0, 50.0, 50.0])
    part = trajectory.frames(slice(1, 6, 2))
    np.testing.assert_array_equal(part.times, [1.0, 3.0, 5.0])
    np.testing.assert_array_equal(part.forces, fields["forces"][1::2])
    assert part.box.shape == (3, 3, 3)


def test_from_mdtraj_takes_velocities_and_forces(rng):
    topology = mdtraj.Topology()
    residue = topology.add_residue("AR", topology.add_chain())
    for _ in range(2):
        topology.add_atom("Ar", mdtraj.element.argon, residue)
    source = mdtraj.Trajectory(rng.normal(size=(3, 2, 3)), topology, time=[0.0, 2.0, 4.0])
    velocities = rng.normal(size=(3, 2, 3))
    trajectory = ama.Trajectory.from_mdtraj(source, velocities=velocities)
    np.testing.assert_array_equal(trajectory.velocities, velocities)
    assert trajectory.timestep == 2.0
    assert trajectory.masses == pytest.approx([39.948, 39.948], rel=1e-4)
    assert "elements" in trajectory.masses_source


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (dict(masses=[1.0, 2.0, 3.0]), "expected \\(n_frames, n_atoms, 3\\)"),
        (dict(masses=[-1.0, 1.0]), "Masses must be finite"),
        (dict(masses=[0.0, 0.0]), "not all zero"),
        (dict(timestep=None), "timestep must be a positive number"),
        (dict(timestep=float("nan")), "timestep must be a positive number"),
        (dict(positions=None), "none was given"),
        (dict(positions=np.zeros((5, 2))), "expected \\(n_frames, n_atoms, 3\\)"),
        (dict(forces=np.full((5, 2, 3), np.nan)), "not finite .* in 5 of 5 frames, first in frame 0"),
        (dict(positions=np.array([[["a"] * 3] * 2] * 5)), "array of numbers"),
        (dict(velocities=np.zeros((4, 2, 3))), "velocities has shape \\(4, 2, 3\\)"),
        (dict(box=[1.0, np.nan, 1.0]), "box must be finite"),
    ],
)
def test_bad_arrays_get_a_sentence(changes, sentence):
    arguments = dict(positions=np.zeros((5, 2, 3)), masses=[1.0, 2.0], timestep=1.0) | changes
    with pytest.raises(InputError, match=sentence):
        ama.Trajectory.from_arrays(**arguments)


def test_import_is_light():
    import subprocess
    import sys

    # the numbers never need a widget library, a plot library or a simulation engine
    code = (
        "import sys, amaexplore; "
        "print([m for m in ('ipywidgets', 'bokeh', 'openmm', 'MDAnalysis', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
