"""Selections made by hand: kept as text that reads back as the same atoms, and computed like any other."""

import numpy as np
import pytest
from explorer_systems import brownian_particle

import amaexplore as ama
from amaexplore.errors import SelectionError
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
