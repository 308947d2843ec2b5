"""θ_i: what the selection language, lists, masks, spheres and set algebra pick, and what they say when they cannot."""

import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError, SelectionError
from amaexplore.subset import select, sphere


@pytest.fixture
def trajectory():
    """Two residues ALA of three atoms and two argon atoms, on a line 1 nm apart in a box of 8 nm."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for number in range(2):
        residue = topology.add_residue("ALA", chain, resSeq=number + 1)
        for name, symbol in (("N", "N"), ("CA", "C"), ("C", "C")):
            topology.add_atom(name, mdtraj.element.get_by_symbol(symbol), residue)
    for _ in range(2):
        topology.add_atom("Ar", mdtraj.element.argon, topology.add_residue("AR", chain))
    positions = np.zeros((1, 8, 3))
    positions[0, :, 0] = np.arange(8)
    masses = [atom.element.mass for atom in topology.atoms]
    return ama.Trajectory.from_arrays(
        positions=positions, masses=masses, timestep=1.0, box=[8.0, 8.0, 8.0], topology=topology, unwrap=False
    )


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("resname ALA", range(6)),
        ("name CA", [1, 4]),
        ("resname ALA and not name C", [0, 1, 3, 4]),
        ("index 2 to 4", [2, 3, 4]),
        ("element Ar", [6, 7]),
        ("all", range(8)),
        ([5, 1, 1], [1, 5]),
        (np.arange(8) > 5, [6, 7]),
        (range(3), [0, 1, 2]),
    ],
)
def test_selections(trajectory, selection, expected):
    subset = trajectory.select(selection)
    assert subset.indices.tolist() == list(expected)
    assert np.flatnonzero(subset.indicator).tolist() == list(expected)
    assert subset.mass == pytest.approx(trajectory.masses[list(expected)].sum())
    assert subset.epsilon == pytest.approx(1 / len(expected))


def test_set_algebra(trajectory):
    ala, carbon = trajectory.select("resname ALA"), trajectory.select("element C")
    assert (ala & carbon).indices.tolist() == [1, 2, 4, 5]
    assert (ala - carbon).indices.tolist() == [0, 3]
    assert (carbon | trajectory.select([7])).indices.tolist() == [1, 2, 4, 5, 7]
    assert (~ala).indices.tolist() == [6, 7]
    with pytest.raises(SelectionError, match="leaves no atom"):
        ala & ~ala


def test_the_label_of_a_list_selects_the_same_atoms(trajectory):
    subset = trajectory.select([0, 1, 2, 5, 7])
    assert trajectory.select(subset.selection).indices.tolist() == [0, 1, 2, 5, 7]


def test_sphere_reaches_through_the_boundary(trajectory):
    assert sphere(trajectory, 0, 1.5).indices.tolist() == [0, 1, 7]
    assert sphere(trajectory, [3.5, 0, 0], 0.6).indices.tolist() == [3, 4]
    with pytest.raises(SelectionError, match="leaves no atom"):
        sphere(trajectory, [3.5, 0, 0], 0.1)


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        ("resname GLY", "matched 0 of 8 atoms; residues present: ALA, AR; atom names: N, CA, C, Ar"),
        ("", "The selection is empty; try"),
        ("resname ALA and", "cannot be understood (from character"),
        ("resname == ALA and", "cannot be understood"),
        ("__import__('os').system('true')", "cannot be understood"),
        ("name =~ '(a+)+$'", "regular expressions"),
        ("name CA or " * 300 + "name CA", "at most 2000"),
        ([], "The list of atoms is empty"),
        ([0, 8], "Atom index 8 does not exist; indices run from 0 to 7"),
        ([-1], "Atom index -1 does not exist"),
        ([0.5], "a text, a list of atom indices, or a mask"),
        (np.ones(5, dtype=bool), "mask has 5 entries; expected one for each of 8"),
    ],
)
def test_bad_selections_get_a_sentence(trajectory, selection, sentence):
    with pytest.raises(SelectionError) as caught:
        select(trajectory, selection)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(selection))


def test_a_subset_of_another_system_is_refused(trajectory):
    other = ama.Trajectory.from_arrays(positions=np.zeros((1, 3, 3)), masses=np.ones(3), timestep=1.0)
    with pytest.raises(InputError, match="made for 3 atoms, this trajectory has 8"):
        trajectory.order_parameters(other.select([0]))
    with pytest.raises(InputError, match="of one trajectory"):
        trajectory.select([0]) | other.select([0])
