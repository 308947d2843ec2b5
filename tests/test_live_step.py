"""A simulation as the data of a session while it goes on, and the Data step of the page, without a browser."""

import html
import time

import numpy as np
import pytest
from explorer_systems import brownian_particle

import amaexplore as ama
from amaexplore.errors import Cancelled, InputError
from amaexplore.explorer.app import Explorer


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    session = ama.Session().start()
    session.cancel()
    yield session
    session.stop()


def wait_until(condition, patience=60.0):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_results_grow_while_it_runs_and_stopping_leaves_the_data(session):
    session.live.begin("argon-nanoparticle", 2000.0, seed=5)
    seen = set()

    def grown():
        theta, data = session.latest("theta"), session.latest("data")
        if theta is not None and data is not None and session.state("theta").status == "fresh":
            seen.add(data.n_frames)
        return len(seen) >= 3

    wait_until(grown)
    assert session.live.more_needed() >= 0.0
    session.live.pause()
    wait_until(lambda: session.live.run.state == "paused")
    # it holds on after the step it is in
    time.sleep(0.1)
    held = session.live.run.n_steps
    time.sleep(0.1)
    assert session.live.run.n_steps == held
    session.live.resume()
    wait_until(lambda: session.live.run.n_steps > held)
    session.live.stop()
    wait_until(lambda: session.source.get("duration", 2000.0) < 2000.0)
    assert session.wait(60)
    data = session.latest("data")
    assert data.n_frames * 0.06 == pytest.approx(session.source["duration"])
    # the source alone gives the same numbers, from the cache
    again = ama.Session.from_dict(session.to_dict())
    assert again.result("theta", 60).friction == session.result("theta").friction
    again.stop()


def test_a_start_that_is_overtaken_while_it_prepares_is_made_again(session):
    def overtaken(fraction, text):
        raise Cancelled("overtaken")

    source = {"kind": "demo", "name": "argon-nanoparticle", "duration": 2000.0, "seed": 5}
    session.live._wanted = source
    with pytest.raises(Cancelled):
        session.live.data(source, overtaken)
    assert session.live.run is None
    frames = session.live.data(source, lambda fraction, text: None)
    assert session.live.going
    assert frames.n_frames >= 250
    session.live.leave()


def test_a_newer_choice_goes_on_with_the_same_run(session):
    session.live.begin("argon-nanoparticle", 2000.0, seed=5)
    wait_until(lambda: session.live.run is not None and session.state("data").status == "working")
    run = session.live.run
    for _ in range(3):
        session.graph.touch("live")
        time.sleep(0.1)
    wait_until(lambda: session.latest("data") is not None)
    assert session.live.run is run
    assert session.live.going
    session.live.leave()


def test_stopped_before_its_first_frames_it_can_be_begun_again(session):
    session.live.begin("argon-nanoparticle", 2000.0, seed=5)
    wait_until(lambda: session.live.run is not None and session.state("data").status == "working")
    run = session.live.run
    run.pause()  # so that no frame comes before the button is pressed
    session.cancel()
    wait_until(lambda: run.state == "stopped")
    assert session.state("data").status == "cancelled"
    session.retry()
    wait_until(lambda: session.latest("data") is not None)
    assert session.live.run is not run
    assert session.live.going
    session.live.leave()


def test_a_run_is_made_longer_and_saved(session, tmp_path):
    session.live.begin("argon-nanoparticle", 30.0, seed=5)
    # so short a run could be over before anybody looks: it is held on to while it comes to its temperature
    wait_until(lambda: session.live.run is not None)
    session.live.pause()
    session.live.extend(20.0)
    assert session.live.run.duration == pytest.approx(30.0)
    session.live.extend(40.0)
    assert session.live.run.duration == pytest.approx(40.0)
    session.live.resume()
    # whole frames of 0.06 ps are kept
    wait_until(lambda: session.source.get("duration") == pytest.approx(40.0, abs=0.06))
    session.live.save(tmp_path / "run.h5md")
    assert session.wait(60)
    saved, data = ama.load(tmp_path / "run.h5md"), session.latest("data")
    # the file holds the frame that the last, broken stride began with as well
    assert data.n_frames <= saved.n_frames <= data.n_frames + 1
    np.testing.assert_array_equal(saved.positions[: data.n_frames], data.positions)


def test_a_length_that_is_none_is_refused(session):
    with pytest.raises(InputError, match="positive number"):
        session.live.begin("argon-nanoparticle", -1.0)


def test_files_outside_the_folder_are_refused(session, tmp_path):
    from amaexplore.explorer.steps import Folder

    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.csv").write_text("a,b\n")
    (inside / "link.csv").symlink_to(tmp_path / "secret.csv")
    session.files_within = Folder(inside)
    session.source = {"kind": "files", "files": [str(inside / "link.csv")]}
    session.graph.wait(60, "data")
    assert "only files in it can be opened here" in session.state("data").message


# -- the row of buttons ----------------------------------------------------------------------------------------


@pytest.fixture
def explorer(session, tmp_path):
    return Explorer(session, folder=tmp_path)


def test_a_run_by_its_buttons(explorer, session, tmp_path):
    panel = explorer.data.live
    assert panel.row.children == (panel.duration, panel.seed, panel.run)
    panel.duration.value, panel.seed.value = "400", "5"
    panel.run.click()
    assert session.source == {"kind": "demo", "name": "argon-nanoparticle", "duration": 400.0, "seed": 5}
    wait_until(lambda: session.live.run is not None and session.live.run.state == "running")
    wait_until(lambda: panel.hold in panel.row.children and "more for 10 %" in panel.status.value)
    assert "ζ = " in panel.status.value
    panel.hold.click()
    wait_until(lambda: session.live.run.state == "paused" and panel.hold.tooltip == "Go on")
    panel.keep.click()
    wait_until(lambda: "saved as argon-nanoparticle.h5md" in panel.status.value)
    panel.keep.click()
    wait_until(lambda: "saved as argon-nanoparticle-2.h5md" in panel.status.value)
    assert ama.load(tmp_path / "argon-nanoparticle.h5md").forces is not None
    panel.hold.click()
    panel.longer.click()
    assert session.live.run.duration == pytest.approx(600.0, abs=session.live.run.system.timestep)
    panel.end.click()
    wait_until(lambda: panel.run in panel.row.children)
    assert session.wait(60)
    assert session.source["duration"] < 600.0
    assert "stopped" in panel.status.value


def test_a_run_that_cannot_be_is_a_sentence(explorer, session):
    panel = explorer.data.live
    panel.duration.value = "long"
    panel.run.click()
    assert "The duration must be a number of ps, or nothing; got &#x27;long&#x27;." in panel.status.value
    panel.duration.value, panel.seed.value = "-3", ""
    panel.run.click()
    assert "positive number of ps" in panel.status.value
    panel.duration.value, panel.seed.value = "", "1.5"
    panel.run.click()
    assert "whole number" in panel.status.value
    assert session.live.run is None


def test_a_demo_never_simulated_is_seen_while_it_is_made(explorer, session):
    session.source = {"kind": "demo", "name": "argon-nanoparticle", "duration": 30.0}
    explorer.data.live.begin_if_new()
    wait_until(lambda: session.live.run is not None and not session.live.going)
    assert session.wait(60)
    run = session.live.run
    # now that it is known, it is not made again
    explorer.data.live.begin_if_new()
    assert session.live.run is run


def test_the_row_is_for_demos_only(particle):
    explorer = ama.explore(particle)
    assert explorer.data.live.box.layout.display == "none"
    explorer.data.live.begin_if_new()
    assert explorer.session.live.run is None
    explorer.session.stop()


# -- which frames, and what is wrong with them -----------------------------------------------------------------


def test_frames_are_typed(particle):
    explorer = ama.explore(particle)
    session, step = explorer.session, explorer.data
    assert session.wait(60)
    step.frames.value = "1000:5000:2"
    assert session.frames == [1000, 5000, 2]
    assert session.result("data", 60).n_frames == 2000
    step.frames.value = "1000 :"
    assert session.result("data", 60).n_frames == particle.n_frames - 1000
    assert ama.Session.from_dict(session.to_dict(), data=particle).result("data", 60).n_frames == 5000
    step.frames.value = "every second one"
    assert "start : stop : step" in step.message.value
    assert session.result("data", 60).n_frames == particle.n_frames - 1000
    step.frames.value = ""
    assert session.frames == []
    assert session.wait(60)
    assert "start : stop : step" not in step.message.value
    session.frames = [10, 100, 1]
    assert step.frames.value == "10 : 100"
    session.stop()


def test_findings_of_the_checks_are_told(rng):
    n_frames, n_atoms = 400, 4
    velocities = np.cumsum(rng.normal(size=(n_frames, n_atoms, 3)), axis=0) * 0.01
    traj = ama.Trajectory.from_arrays(
        positions=np.cumsum(velocities, axis=0) * 0.1,
        velocities=velocities,
        forces=rng.normal(size=velocities.shape),
        masses=np.full(n_atoms, 12.0),
        timestep=0.1,
    )
    explorer = ama.explore(traj, selection="index 0 to 1")
    report = explorer.session.result("checks", 60)
    assert explorer.session.wait(60)
    assert report.notices
    for notice in report.notices:
        assert notice.message[:40] in html.unescape(explorer.data.message.value)
        assert f"ama-{notice.severity}" in explorer.data.message.value
    explorer.session.stop()


@pytest.fixture(scope="module")
def particle():
    return brownian_particle()
