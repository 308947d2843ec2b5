"""A simulation as the data of a session while it goes on, without drawing."""

import time

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import Cancelled, InputError


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


def test_a_run_is_made_longer_and_saved(session, tmp_path):
    session.live.begin("argon-nanoparticle", 30.0, seed=5)
    wait_until(lambda: session.live.run is not None and session.live.run.state == "running")
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
