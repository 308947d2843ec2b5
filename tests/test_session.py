"""The explorer's state: what follows from what, what is recomputed, what wins, and the JSON document."""

import json
import threading
import time

import numpy as np
import pytest
from explorer_systems import brownian_particle

import amaexplore as ama
from amaexplore.errors import Cancelled, InputError
from amaexplore.explorer.graph import Graph, Node
from amaexplore.explorer.session import CHOICES


@pytest.fixture(scope="module")
def particle():
    return brownian_particle()


@pytest.fixture
def session(particle):
    session = ama.Session(particle)
    yield session
    session.stop()


# -- the graph -------------------------------------------------------------------------------------------------


class Bench:
    """A graph of two chains with counters: a → b → c and a → d."""

    def __init__(self):
        self.choices = {"x": 1, "y": 10}
        self.calls = []
        self.hold = threading.Event()
        self.hold.set()

        def node(name, compute, **edges):
            def run(values, progress):
                self.calls.append(name)
                return compute(values, progress)

            return Node(name, run, title=f"the {name}", **edges)

        self.graph = Graph(
            [
                node("a", lambda v, _: v["x"], choices=("x",)),
                node("b", self._slow, choices=("y",), needs=("a",)),
                node("c", lambda v, _: v["b"] + 1, needs=("b",)),
                node("d", lambda v, _: -v["a"], needs=("a",), lane="other"),
                node("e", lambda v, _: (v["c"], v["d"]), uses=("c", "d")),
            ],
            lambda: dict(self.choices),
            lambda name: None,
        )

    def _slow(self, values, progress):
        while not self.hold.wait(0.002):
            progress(0.5, "holding")
        if values["y"] < 0:
            raise InputError("y must not be negative.")
        return values["a"] + values["y"]

    def set(self, **values):
        self.choices.update(values)
        self.graph.touch(*values)

    def values(self):
        assert self.graph.wait(10)
        return {name: self.graph.value(name) for name in "abcde"}


def test_a_change_recomputes_only_what_is_downstream():
    bench = Bench()
    assert bench.values() == {"a": 1, "b": 11, "c": 12, "d": -1, "e": (12, -1)}
    bench.calls.clear()
    bench.set(y=20)
    assert bench.values() == {"a": 1, "b": 21, "c": 22, "d": -1, "e": (22, -1)}
    assert bench.calls == ["b", "c", "e"]


def test_nothing_is_computed_before_start():
    bench = Bench()
    bench.set(y=2)
    time.sleep(0.02)
    assert bench.calls == []
    assert bench.graph.state("a").status == "stale"


def test_the_newest_request_wins_and_the_older_is_stopped():
    bench = Bench()
    bench.values()
    bench.hold.clear()
    bench.set(y=100)
    while bench.graph.state("b").status != "working":
        time.sleep(0.001)
    bench.set(y=200)
    bench.hold.set()
    assert bench.values()["b"] == 201
    # the result for y = 100 was dropped, so what follows was computed once
    assert bench.calls.count("c") == 2


def test_a_failure_is_a_sentence_and_what_needs_it_waits():
    bench = Bench()
    bench.set(y=-1)
    assert bench.values()["d"] == -1
    assert bench.graph.state("b").message == "y must not be negative."
    assert bench.graph.state("c").status == "waiting"
    assert "the b" in bench.graph.state("c").message
    # what merely uses a result does without it
    assert bench.values()["e"] == (None, -1)
    bench.set(y=1)
    assert bench.values()["c"] == 3


def test_an_unexpected_fault_is_told_and_kept():
    graph = Graph([Node("a", lambda v, p: 1 / 0)], dict, lambda name: None)
    assert graph.wait(10)
    assert "ZeroDivisionError" in graph.state("a").message
    assert "1 / 0" in graph.traceback("a")


def test_cancel_and_retry():
    bench = Bench()
    bench.hold.clear()
    bench.graph.start()
    while bench.graph.state("b").status != "working":
        time.sleep(0.001)
    bench.graph.cancel()
    assert bench.graph.state("b").status == "cancelled"
    assert bench.graph.wait(10)
    assert bench.graph.state("c").status == "waiting"
    bench.hold.set()
    bench.graph.retry()
    assert bench.values()["c"] == 12


def test_a_job_that_cancels_itself_is_cancelled():
    def stop(values, progress):
        raise Cancelled("stopped")

    graph = Graph([Node("a", stop)], dict, lambda name: None)
    graph.wait(10)
    assert graph.state("a").status == "cancelled"


def test_a_patient_node_follows_only_the_last_of_many_changes():
    choices, calls = {"x": 0}, []
    node = Node("slow", lambda values, _: calls.append(values["x"]), choices=("x",), patience=0.5)
    graph = Graph([node], lambda: dict(choices), lambda name: None)
    # what was never touched is begun at once
    graph.touch("x")
    graph.start()
    for value in range(1, 6):
        choices["x"] = value
        graph.touch("x")
        time.sleep(0.01)
    assert graph.wait(10)
    assert calls == [5]


def test_who_waited_finds_that_everybody_was_told():
    told = []

    def tell(name):
        time.sleep(0.05)
        told.append((name, graph.state(name).status))

    nodes = [Node("a", lambda v, p: 1), Node("b", lambda v, p: 2, needs=("a",), lane="other")]
    graph = Graph(nodes, dict, tell)
    assert graph.wait(10, "a")
    assert ("a", "fresh") in told
    assert graph.wait(10)
    assert ("b", "fresh") in told


def test_a_listener_may_wait_for_what_it_was_told():
    heard = []
    graph = Graph([Node("a", lambda v, p: 7)], dict, lambda name: heard.append(graph.wait(5, name)))
    assert graph.wait(10)
    assert heard[-1] is True


def test_a_listener_that_fails_does_not_end_its_lane(monkeypatch):
    choices, trouble, reported = {"x": 1}, [True], []
    monkeypatch.setattr(threading, "excepthook", lambda failure: reported.append(str(failure.exc_value)))

    def tell(name):
        if graph.state(name).status == "fresh" and trouble:
            trouble.clear()
            raise RuntimeError("the page has a fault")

    graph = Graph([Node("a", lambda v, p: v["x"], choices=("x",))], lambda: dict(choices), tell)
    assert graph.wait(10)
    choices["x"] = 2
    graph.touch("x")
    assert graph.wait(10)
    assert graph.value("a") == 2
    assert reported == ["the page has a fault"]


def test_what_grows_while_it_is_read_belongs_to_one_lane():
    from amaexplore.explorer.steps import NODES

    lanes = {node.lane for node in NODES if "correlations" in (node.name, *node.needs, *node.uses)}
    assert lanes == {"main"}


def test_every_result_is_there_again_and_again(particle):
    for repeat in range(8):
        session = ama.Session(particle, window=None if repeat % 2 else 1.5)
        assert session.wait(60)
        missing = {name: session.state(name) for name in session.results if session.state(name).status != "fresh"}
        assert missing == {}
        assert session.latest("smoluchowski") is not None
        session.stop()


# -- the session -----------------------------------------------------------------------------------------------


def test_the_session_gives_what_analyze_gives(session, particle):
    analysis = ama.analyze(particle)
    assert session.result("gamma").isotropic == analysis.gamma.isotropic
    assert session.result("theta").isotropic_raw == analysis.theta.isotropic_raw
    ours, theirs = session.analysis().to_dict(), analysis.to_dict()
    assert ours == theirs


def test_gamma_of_a_known_process(session):
    gamma = session.result("gamma")
    # m k_BT / rate, see explorer_systems
    assert abs(gamma.isotropic - 400.0) < 4.0 * gamma.isotropic_std


def test_a_window_change_leaves_correlations_alone(session):
    session.wait()
    before = session.latest("correlations")
    seconds = []
    for window in (1.0, 2.0, 3.0):
        session.window = window
        assert session.result("gamma").window == pytest.approx(window)
        seconds.append(session.graph.seconds("gamma"))
    assert session.latest("correlations") is before
    assert min(seconds) < 0.05


def test_an_impossible_window_is_explained_and_undone(session):
    session.wait()
    session.window = 1e6
    session.wait()
    assert "longer than the data allow" in session.state("gamma").message
    with pytest.raises(InputError, match="longer than the data allow"):
        session.result("gamma")
    assert session.undo()
    assert session.window is None
    assert session.result("gamma").window > 0


def test_undo_and_redo(session):
    session.axis = "y"
    session.regime = "smoluchowski"
    assert session.undo()
    assert (session.axis, session.regime) == ("y", "both")
    assert session.undo()
    assert session.axis == "x"
    assert not session.undo()
    assert session.redo()
    assert session.redo()
    assert (session.axis, session.regime) == ("y", "smoluchowski")
    assert not session.redo()
    session.undo()
    session.axis = "z"
    assert not session.can_redo


def test_a_dragged_slider_is_one_step_of_undo(session):
    for window in (1.0, 1.1, 1.2, 1.3):
        session.window = window
    session.undo()
    assert session.window is None


def test_the_document_round_trips(session, particle):
    session.choose(window=2.0, axis="z", regime="fokker-planck", initial={"mean": 0.1, "std": 0.2}, horizon=50.0)
    session.view = {"quantity": "net_force"}
    document = json.loads(json.dumps(session.to_dict()))
    again = ama.Session.from_dict(document, data=particle)
    assert again.to_dict() == session.to_dict()
    assert not again.can_undo


def test_the_document_round_trips_through_a_file(tmp_path, session, particle):
    session.window = 1.5
    path = session.save(tmp_path / "session.json")
    assert ama.Session.load(path, data=particle).to_dict() == session.to_dict()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "not a session"),
        ({"choices": {"colour": "red"}}, "Unknown choices colour"),
        ({"choices": {"window": "long"}}, "window"),
        ({"choices": {"source": {"kind": "given"}}}, "in memory"),
    ],
)
def test_a_document_that_is_none_is_refused(document, words):
    with pytest.raises(InputError, match=words):
        ama.Session.from_dict(document)


def test_a_file_that_is_no_session(tmp_path):
    path = tmp_path / "s.json"
    with pytest.raises(InputError, match="cannot be read"):
        ama.Session.load(path)
    path.write_text("hello")
    with pytest.raises(InputError, match="no JSON"):
        ama.Session.load(path)


@pytest.mark.parametrize("data", ["particle.csv", np.zeros((3, 3)), 5])
def test_data_that_are_none_get_a_sentence(data):
    with pytest.raises(InputError, match=rf"got {type(data).__name__}\. Read files first"):
        ama.explore(data)


def test_unknown_choices_and_results_are_named(particle):
    with pytest.raises(InputError, match="colour"):
        ama.Session(particle, colour="red")
    with pytest.raises(InputError, match="beta"):
        ama.Session(particle).state("beta")


def test_files_that_are_missing_are_explained(tmp_path):
    session = ama.Session(source={"kind": "files", "files": [str(tmp_path / "no.trr")]})
    session.wait(30)
    assert session.state("data").status == "failed"
    assert "no.trr" in session.state("data").message
    assert session.state("gamma").status == "waiting"
    session.stop()


def test_a_trajectory_from_atoms_to_gamma(rng):
    n_frames, n_atoms = 400, 12
    velocities = rng.normal(size=(n_frames, n_atoms, 3))
    positions = np.cumsum(velocities, axis=0) * 0.01
    traj = ama.Trajectory.from_arrays(
        positions=positions,
        velocities=velocities,
        forces=rng.normal(size=velocities.shape),
        masses=np.full(12, 40.0),
        timestep=0.01,
    )
    session = ama.Session(traj, selection="index 0 to 3")
    series = session.result("series")
    assert series.mass == pytest.approx(160.0)
    np.testing.assert_allclose(series.momentum, 40.0 * velocities[:, :4].sum(axis=1), rtol=1e-12)
    session.selection = "resname NOPE"
    session.wait()
    assert "matched 0 of 12 atoms" in session.state("subset").message
    assert session.state("gamma").status == "waiting"
    session.selection = "index 0 to 5"
    assert session.result("series").mass == pytest.approx(240.0)
    session.stop()


def test_the_session_needs_no_widget_library():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['ipywidgets'] = sys.modules['bokeh'] = sys.modules['anywidget'] = None\n"
        "import amaexplore as ama, numpy as np\n"
        "p = np.random.default_rng(0).normal(size=(500, 3))\n"
        "s = ama.Session(ama.OrderParameters.from_arrays(timestep=0.1, mass=10.0, momentum=p))\n"
        "assert s.result('gamma', 60).isotropic == s.result('gamma').isotropic"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_random_choices_never_leave_a_stale_result(particle, rng):
    session = ama.Session(particle).start()
    offers = {
        "window": [None, 0.5, 1.0, 3.0, 1e7],
        "axis": ["x", "y", "z"],
        "regime": ["smoluchowski", "both"],
        "temperature": [None, 200.0, 300.0],
        "estimator": [None, "window", "kernel"],
        "typical_mass": [None, 5.0],
    }
    for _ in range(60):
        name = rng.choice(list(offers))
        setattr(session, name, offers[name][rng.integers(len(offers[name]))])
        if rng.random() < 0.2:
            session.undo()
    assert session.wait(60)
    fresh = ama.Session(particle, **session.choices())
    assert fresh.wait(60)
    for name in ("gamma", "theta", "mean_force", "diagnosis"):
        assert session.state(name).status == fresh.state(name).status, name
        if session.state(name).status == "fresh":
            assert session.latest(name).to_dict() == fresh.latest(name).to_dict()
    session.stop()
    fresh.stop()


def test_every_choice_is_in_the_document(session):
    assert set(session.to_dict()["choices"]) == set(CHOICES)
