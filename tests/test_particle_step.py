"""Selections made by hand: kept as text that reads back as the same atoms, and computed like any other."""

from itertools import pairwise

import numpy as np
import pytest
from explorer_systems import brownian_particle

import amaexplore as ama
from amaexplore.errors import SelectionError
from amaexplore.explorer.code import reproduce
from amaexplore.explorer.panels import NanoparticleStep
from amaexplore.subset import index_text


@pytest.fixture(scope="module")
def fluid():
    rng = np.random.default_rng(3)
    velocities = rng.normal(size=(200, 300, 3))
    return ama.Trajectory.from_arrays(
        positions=rng.uniform(0.0, 3.0, size=(200, 300, 3)),
        velocities=velocities,
        forces=rng.normal(size=(200, 300, 3)),
        masses=rng.uniform(1.0, 40.0, size=300),
        timestep=0.1,
        box=[100.0, 100.0, 100.0],
    )


@pytest.mark.parametrize("n_chosen", [1, 2, 17, 150, 300])
def test_any_set_of_atoms_reads_back(fluid, rng, n_chosen):
    chosen = rng.permutation(300)[:n_chosen]
    subset = fluid.select(index_text(chosen))
    assert subset.indices.tolist() == sorted(chosen.tolist())


def test_lists_are_read_as_the_selection_language_reads_them(fluid):
    for text in (
        "index 5",
        "index 0 to 12",
        "index 290 to 299",
        "index 3 to 8 or index 6 to 20 or index 40",
        "index 290 to 400",
    ):
        assert fluid.select(text).indices.tolist() == fluid.topology.select(text).tolist(), text


def test_every_second_of_100000_atoms_reads_back():
    traj = ama.Trajectory.from_arrays(velocities=np.zeros((1, 100_000, 3)), masses=np.ones(100_000), timestep=1.0)
    chosen = np.arange(0, 100_000, 2)
    assert np.array_equal(traj.select(index_text(chosen)).indices, chosen)


@pytest.mark.parametrize("text", ["index 300", "index 1000 to 2000", "index 9 to 3"])
def test_a_list_without_atoms_says_which_exist(fluid, text):
    with pytest.raises(SelectionError, match="matched 0 of 300 atoms"):
        fluid.select(text)


def test_a_sphere_becomes_a_choice_of_the_session_that_survives_its_document(fluid):
    ball = ama.subset.sphere(fluid, 7, 1.2)
    session = ama.Session(fluid, selection=index_text(ball.indices))
    again = ama.Session.from_dict(session.to_dict(), fluid)
    momentum = np.einsum("i,tij->tj", ball.masses[ball.indices], fluid.velocities[:, ball.indices])
    assert np.allclose(again.result("series", 60).momentum, momentum)
    session.stop()
    again.stop()


@pytest.mark.parametrize(("sign", "expected"), [("∪", range(20)), ("∩", range(5, 10)), ("−", range(5))])
def test_a_second_selection_is_joined_as_one_step_of_undo(fluid, sign, expected):
    session = ama.Session(fluid, selection="index 0 to 9")
    session.result("series", 60)
    step = NanoparticleStep(session)
    step.other.value = "index 5 to 19"
    step.rules[sign].click()
    assert session.result("subset", 60).indices.tolist() == list(expected)
    assert session.undo()
    assert session.selection == "index 0 to 9"
    session.stop()


def test_there_is_nothing_to_join_without_atoms():
    step = NanoparticleStep(ama.Session(brownian_particle()))
    step.session.result("series", 60)
    step.refresh()
    assert all(button.disabled for button in step.rules.values())
    step.session.stop()


# -- picked, grown, typed ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def molecules():
    """Three residues of 3, 2 and 4 atoms in two chains; bonds within each residue only."""
    import mdtraj

    topology = mdtraj.Topology()
    first, second = topology.add_chain(), topology.add_chain()
    for name, chain, size in (("ALA", first, 3), ("GLY", first, 2), ("LIG", second, 4)):
        residue = topology.add_residue(name, chain)
        atoms = [topology.add_atom(f"C{n}", mdtraj.element.carbon, residue) for n in range(size)]
        for a, b in pairwise(atoms):
            topology.add_bond(a, b)
    rng = np.random.default_rng(8)
    shape = (400, 9, 3)
    return ama.Trajectory.from_arrays(
        positions=np.linspace(0.0, 0.8, 9)[None, :, None] * np.ones(shape),
        velocities=rng.normal(size=shape),
        forces=rng.normal(size=shape),
        masses=np.full(9, 12.0),
        timestep=0.1,
        topology=topology,
    )


@pytest.fixture
def step(molecules):
    session = ama.Session(molecules, selection="resname LIG")
    session.result("series", 60)
    step = NanoparticleStep(session)
    step.refresh()
    yield step
    step.picker.close()
    session.stop()


@pytest.mark.parametrize(
    ("kind", "label", "atoms"),
    [
        ("resname", "GLY (1)", range(3, 5)),
        ("resid", "ALA0 (3 atoms)", range(3)),
        ("chainid", "chain 0 (5 atoms)", range(5)),
        ("molecule", "molecule 0 (4 atoms)", range(5, 9)),
        ("molecule", "molecule 2 (2 atoms)", range(3, 5)),
    ],
)
def test_a_choice_from_a_list_becomes_the_selection(step, kind, label, atoms):
    picker = step.picker
    picker.kind.value = kind
    picker.list.value = dict(picker.list.options)[label]
    step.combine("=")
    assert step.session.result("subset", 60).indices.tolist() == list(atoms)


def test_a_sphere_grows_with_the_slider(step):
    picker = step.picker
    picker.kind.value = "sphere"
    picker.centre.value = "atom 4"
    for mark in (50, 100):
        picker.slider.value = mark
        expected = ama.subset.sphere(
            step._atoms(), 4, picker._slider.stops[round(mark / 100 * (len(picker._slider) - 1))]
        )
        assert step.session.result("subset", 60).indices.tolist() == expected.indices.tolist()
        assert "nm" in picker.readout.value
    assert step.session.latest("subset").n_atoms == 9
    picker.centre.value = "0 0 0"
    picker.slider.value = 0
    assert step.session.result("subset", 60).indices.tolist() == [0]
    for wrong, words in (("atom 99", "indices run from 0 to 8"), ("here", "three numbers in nm")):
        picker.centre.value = wrong
        picker.slider.value += 1
        assert words in picker.message.value


def test_residues_and_a_chain_grow(step):
    picker = step.picker
    picker.kind.value = "residues"
    picker.slider.value = 50
    assert step.session.result("subset", 60).indices.tolist() == list(range(5))
    picker.kind.value = "along chain"
    picker.slider.value = 100
    picker.slider.value = 0
    assert step.session.result("subset", 60).indices.tolist() == [0]


def test_a_typed_text_is_completed_and_counted(step):
    step.text.value = "resname AL"
    assert step.text.options == ("resname ALA",)
    step.text.value = "resname ALA"
    assert step.session.result("series", 60).n_atoms == 3
    step.refresh()
    assert "<b>3</b> of 9 atoms" in step.facts.value


def test_on_a_page_a_half_typed_text_changes_nothing(step):
    import asyncio

    async def typed():
        step.text.value = "resname A"
        await asyncio.sleep(0.5)
        assert step.session.selection == "resname LIG"
        assert "matched 0 of 9 atoms" in step.facts.value
        step.text.value = "resname ALA"
        await asyncio.sleep(0.5)
        assert step.session.selection == "resname ALA"
        step.text.value = "resname ZZZ"
        await asyncio.sleep(2.2)

    asyncio.run(typed())
    # whoever stops at what cannot be understood is told so by the step itself
    assert step.session.selection == "resname ZZZ"
    assert step.session.wait(60)
    step.refresh()
    assert "ama-error" in step.message.value


# -- kept and compared -----------------------------------------------------------------------------------------


def test_subsets_are_kept_by_name_and_survive_the_document(step, molecules):
    session = step.session
    step.name.value = "ligand"
    step.keep.click()
    assert session.subsets == {"ligand": "resname LIG"}
    session.selection = "resname ALA"
    step.take.click()
    assert session.selection == "resname LIG"
    again = ama.Session.from_dict(session.to_dict(), molecules)
    assert again.subsets == session.subsets
    step.drop.click()
    assert session.subsets == {}
    assert session.undo()
    assert session.subsets == {"ligand": "resname LIG"}
    again.stop()


def test_two_subsets_in_the_same_plots(molecules):
    explorer = ama.explore(molecules, selection="resname LIG", subsets={"chain": "chainid 0"}, compared="chain")
    session, board = explorer.session, explorer.dashboard
    assert session.wait(60)
    second = ama.analyze(molecules, select="chainid 0")
    found = session.latest("compared")
    assert found.gamma.isotropic == second.gamma.isotropic
    assert found.theta.friction == second.theta.friction
    assert board.running.other_point.data["value"] == [found.gamma.isotropic]
    assert board.running.point.data["value"] == [session.latest("gamma").isotropic]
    assert "dashed: chain" in board.running.root.title.text
    assert len(board.series.other.data["t"]) == len(board.series.source.data["t"])
    assert len(board.correlation.others["force"].data["s"]) > 10
    assert "⇄ chain" in explorer.numbers.box.value
    assert "5 atoms" in explorer.nanoparticle.against.value
    code = reproduce(session)
    assert "compared = ama.analyze(data, select='chainid 0'" in code
    session.compared = "nothing"
    assert session.wait(60)
    assert "no kept subset" in explorer.nanoparticle.against.value
    session.compared = ""
    assert session.wait(60)
    explorer.refresh()
    assert board.running.other_point.data["value"] == []
    assert explorer.nanoparticle.against.value == ""
    session.stop()
