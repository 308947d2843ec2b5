"""The explorer without a browser: controls and session agree, figures follow, the transport keeps its promises."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from bokeh.plotting import figure
from explorer_systems import brownian_particle, write_series

import amaexplore as ama
from amaexplore.errors import FormatError, InputError
from amaexplore.explorer import serve
from amaexplore.explorer.app import Explorer
from amaexplore.explorer.figure_view import FigureView


@pytest.fixture(scope="module")
def particle():
    return brownian_particle()


@pytest.fixture
def explorer(particle):
    explorer = ama.explore(particle)
    assert explorer.session.wait(60)
    yield explorer
    explorer.session.stop()


# -- the page --------------------------------------------------------------------------------------------------


def test_the_window_slider_moves_the_drawn_gamma(explorer):
    session, point = explorer.session, explorer.dashboard.running.point
    before = point.data["value"][0]
    explorer.window.slider.value = 90
    assert session.wait(60)
    assert session.window == pytest.approx(session.latest("gamma").window, abs=0.06)
    assert point.data["t"][0] == session.latest("gamma").window
    assert point.data["value"][0] == session.latest("gamma").isotropic != before
    assert f"{session.latest('gamma').isotropic:.0f}" in explorer.numbers.box.value
    assert explorer.window.automatic.value is False
    explorer.window.automatic.value = True
    assert session.wait(60)
    assert session.window is None
    assert point.data["value"][0] == pytest.approx(before)


def test_dragging_the_edge_on_the_plot_sets_the_window(explorer):
    explorer.dashboard.running.window.edge.location = 2.0
    assert explorer.session.wait(60)
    assert explorer.session.window == 2.0
    assert explorer.window.number.value == 2.0
    assert explorer.dashboard.correlation.window.edge.location == 2.0


def test_drawing_an_older_result_does_not_pull_the_window_back(explorer, monkeypatch):
    session = explorer.session
    old = session.latest("gamma")
    session.window = 3.0 * old.window
    assert session.wait(60)
    # a page drawn from what was there a moment ago, while the newer result arrives
    answers, latest = [old], session.latest
    monkeypatch.setattr(session, "latest", lambda name: answers.pop() if name == "gamma" and answers else latest(name))
    explorer.dashboard.refresh()
    assert answers == []
    assert explorer.dashboard.running.window.edge.location == old.window
    assert session.window == 3.0 * old.window


def test_plots_that_wait_say_so(particle):
    explorer = ama.explore(particle)
    titles = {name: explorer.dashboard.plots[name].root.title for name in explorer.dashboard.boxes}
    assert all(title.text.endswith(": being computed …") for title in titles.values()), titles
    assert explorer.session.wait(60)
    assert not any("being computed" in title.text for title in titles.values())
    explorer.session.stop()


def test_plots_without_a_nanoparticle_do_not_blame_the_data():
    data = Path(__file__).parent / "data"
    explorer = ama.explore(ama.load(data / "peptide.trr", topology=data / "peptide.tpr"))
    assert explorer.session.wait(60)
    titles = {name: explorer.dashboard.plots[name].root.title for name in ("series", "mean_force", "running", "heat")}
    assert all(title.text.endswith(": waits for the nanoparticle") for title in titles.values()), titles
    explorer.session.selection = "protein"
    assert explorer.session.wait(60)
    explorer.dashboard.refresh()
    assert titles["series"].text == "Momentum P(t)"
    explorer.session.stop()


def test_controls_follow_the_session(explorer):
    explorer.session.choose(
        regime="fokker-planck", axis="z", estimator="window", temperature=300.0, boundary="periodic"
    )
    assert explorer.session.wait(60)
    assert explorer.regime.choice.value == "fokker-planck"
    assert explorer.data.temperature.value == "300"
    assert explorer.density.axis.value == "z"
    assert explorer.density.boundary.value == "periodic"
    assert explorer.window.estimator.value == "window"
    # the plots show what this regime is about
    assert explorer.dashboard.running.root.title.text.startswith("εθ")
    assert explorer.session.latest("smoluchowski") is None
    assert explorer.session.undo()
    assert explorer.regime.choice.value == "both"


def test_the_session_follows_the_controls(explorer):
    explorer.regime.choice.value = "smoluchowski"
    explorer.data.temperature.value = "250"
    explorer.density.axis.value = "y"
    explorer.density.horizon.value = "25"
    explorer.density.mean.value, explorer.density.std.value = "0.5", "0.25"
    session = explorer.session
    assert (session.regime, session.temperature, session.axis, session.horizon) == ("smoluchowski", 250.0, "y", 25.0)
    assert session.initial == {"mean": 0.5, "std": 0.25}
    density = session.result("smoluchowski", 60).density
    assert density.times[-1] == 25.0
    assert density.mean[0] == pytest.approx(0.5, abs=0.02)


def test_the_agreement_shown_is_that_of_analyze(explorer, particle):
    analysis = ama.analyze(particle)
    assert explorer.session.result("consistency", 60) == (analysis.consistency, analysis.consistency_std)
    assert f"{analysis.consistency:.2f}" in explorer.numbers.box.value


def test_all_estimators_side_by_side(explorer):
    dashboard = explorer.dashboard
    dashboard.compare.value = True
    data = dashboard.estimators.source.data
    table = [row for row in explorer.session.latest("estimators") if row.get("gamma") is not None]
    assert sorted(data["value"]) == sorted(row["gamma"] for row in table)
    assert len(data["value"]) >= 3
    assert dashboard.boxes["running"].children[0] is dashboard.views["estimators"]
    dashboard.coefficient.value = "theta"
    assert "εθ" in dashboard.estimators.root.title.text
    dashboard.compare.value = False
    assert dashboard.boxes["running"].children[0] is dashboard.views["running"]


def test_scrubbing_moves_the_time_cursor(explorer):
    explorer.density.frame.value = 30
    last = explorer.session.latest("smoluchowski").density.times[-1]
    assert explorer.dashboard.heat.cursor.location == pytest.approx(0.5 * last)
    explorer.dashboard.heat.cursor.location = 0.25 * last
    assert explorer.density.frame.value == 15


def test_an_error_is_a_sentence_in_its_step_and_fades_the_plots(explorer):
    explorer.window.number.value = 1e7
    assert explorer.session.wait(60)
    assert "longer than the data allow" in explorer.window.message.value
    assert "ama-dim" in explorer.dashboard.boxes["running"]._dom_classes
    assert "ama-dim" not in explorer.dashboard.boxes["series"]._dom_classes
    assert explorer.session.undo()
    assert explorer.session.wait(60)
    assert "ama-dim" not in explorer.dashboard.boxes["running"]._dom_classes
    assert "ama-error" not in explorer.window.message.value


@pytest.mark.parametrize("way", ["typed", "a link in the folder", "a session's address"])
def test_a_chosen_file_must_lie_in_the_folder(tmp_path, particle, way):
    inside = tmp_path / "here"
    inside.mkdir()
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n")
    (inside / "link.csv").symlink_to(secret)
    explorer = Explorer(ama.Session(particle), folder=inside)
    if way == "a session's address":
        explorer.session.source = {"kind": "files", "files": [str(secret)]}
    else:
        explorer.data.kind.value = "files"
        explorer.data.files.value = "../secret.csv" if way == "typed" else "link.csv"
    assert explorer.session.wait(60)
    assert "is not in the folder 'here'" in explorer.session.state("data").message
    explorer.session.stop()


def test_files_are_offered_by_name(tmp_path, particle):
    for name in ("run.trr", "notes.md", ".hidden.trr", "sub/topol.tpr"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    explorer = ama.explore(particle)
    step = type(explorer.data)(explorer.session, folder=tmp_path)
    assert set(step.files.options) == {"run.trr", "sub/topol.tpr"}
    explorer.session.stop()


def test_units_steps_and_masses_that_a_file_does_not_state(tmp_path):
    """Centre-of-mass velocities of LAMMPS, in Å/fs, every 20 fs, of 40 u: the momentum is in u nm/ps after they are told."""
    rng = np.random.default_rng(1)
    velocity = 1e-3 * rng.normal(size=(400, 3))
    rows = "".join(f"{k} {x:.9g} {y:.9g} {z:.9g}\n" for k, (x, y, z) in enumerate(velocity))
    (tmp_path / "vcm.dat").write_text("# TimeStep c_vcm[1] c_vcm[2] c_vcm[3]\n" + rows)
    explorer = Explorer(ama.Session(source={"kind": "files", "files": [str(tmp_path / "vcm.dat")]}), folder=tmp_path)
    session, step = explorer.session, explorer.data
    assert session.wait(60)
    assert session.state("data").status == "failed"
    step.units.value, step.step.value, step.mass.value = "real", "0,02", "40"
    assert session.source["units"] == "real"
    assert session.wait(60)
    series = session.result("series")
    np.testing.assert_allclose(series.momentum, 40.0 * 100.0 * velocity, rtol=1e-6)
    assert (series.timestep, series.mass) == (0.02, 40.0)
    # what cannot be meant is said, and what was there stays
    step.mass.value = "heavy"
    assert "m is a positive number of u, or empty; got 'heavy'" in step.message.value.replace("&#x27;", "'")
    step.temperature.value = "-3"
    assert "T is a positive number of K" in step.message.value
    assert session.source["mass"] == 40.0
    assert session.temperature is None
    # another choice in the same row keeps what was told
    step.mass.value, step.units.value = "40", "metal"
    assert session.source | {"files": []} == {
        "kind": "files", "files": [], "units": "metal", "timestep": 0.02, "mass": 40.0
    }  # fmt: skip
    assert session.undo()
    assert (step.units.value, step.step.value, step.mass.value) == ("real", "0.02", "40")
    session.stop()


# -- taking away -----------------------------------------------------------------------------------------------


def test_the_python_shown_gives_the_numbers_shown(tmp_path, capsys):
    from amaexplore.explorer.code import reproduce

    file = write_series(tmp_path / "particle.csv")
    session = ama.Session(
        source={"kind": "files", "files": [str(file)]},
        window=1.5,
        estimator="window",
        temperature=250.0,
        axis="y",
        regime="both",
        initial={"mean": 0.2, "std": 0.3},
        horizon=30.0,
        boundary="absorbing",
    )
    assert session.wait(60)
    names = {}
    exec(compile(reproduce(session), "page.py", "exec"), names)
    assert names["analysis"].to_dict() == session.analysis().to_dict()
    for name in ("smoluchowski", "fokker_planck"):
        np.testing.assert_array_equal(names[name].density.values, session.latest(name).density.values)
    assert "1.5 ps" in capsys.readouterr().out
    session.stop()


def test_everything_can_be_taken_away(explorer, tmp_path):
    made = {key: explorer.take_away.made(key) for key in ("python", "json", "csv", "report", "session")}
    assert json.loads(made["json"]["text"])["gamma"]["isotropic"] == explorer.session.latest("gamma").isotropic
    assert json.loads(made["session"]["text"]) == explorer.session.to_dict()
    header, *rest = made["csv"]["text"].splitlines()
    assert "gamma up to the window" in header
    assert len(rest) == len(explorer.session.latest("gamma").lags)
    assert made["report"]["text"].startswith("<!DOCTYPE html>")
    assert "ama.analyze(data" in made["python"]["text"]


def test_what_cannot_be_had_yet_is_a_sentence(particle):
    explorer = ama.explore(particle, window=1e8)
    assert explorer.session.wait(60)
    assert explorer.take_away.made("csv")["kind"] == "file"
    broken = ama.explore(source={"kind": "files", "files": []})
    assert "No file is chosen yet" in broken.take_away.made("json")["text"]


# -- the transport ---------------------------------------------------------------------------------------------


class Page:
    """Stands for a browser: records what a view sends, answers when told to."""

    def __init__(self, view):
        self.sent = []
        self.view = view
        view.send = lambda content, buffers=None: self.sent.append((content, buffers or []))

    def say(self, kind, **content):
        self.view._answer(self.view, {"kind": kind, "view": "v1"} | content, [])

    def drawn(self):
        self.say("drawn", serial=self.sent[-1][0]["serial"])


@pytest.fixture
def line_view():
    plot = figure()
    source = plot.line([0.0, 1.0], [0.0, 1.0]).data_source
    view = FigureView(plot)
    return view, source, plot


def test_a_page_that_asks_gets_the_figure_as_it_is_now(line_view):
    view, _, plot = line_view
    plot.title.text = "changed before the page opened"
    page = Page(view)
    page.say("hello")
    content, _ = page.sent[0]
    assert content["kind"] == "show"
    assert "changed before the page opened" in content["text"]


def test_without_a_page_nothing_is_sent(line_view):
    view, _, plot = line_view
    page = Page(view)
    plot.title.text = "x"
    assert page.sent == []


def test_many_changes_become_one_patch_with_the_newest_values(line_view):
    view, source, plot = line_view
    page = Page(view)

    async def scene():
        page.say("hello")
        page.drawn()
        for k in range(50):
            source.data = {"x": [0.0, 1.0], "y": [0.0, float(k)]}
            plot.title.text = f"k = {k}"
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert len(page.sent) == 2
    text = page.sent[1][0]["text"]
    assert "k = 49" in text
    assert "k = 48" not in text
    assert text.count("ModelChanged") + text.count("ColumnDataChanged") == 2


def test_a_slow_page_is_not_flooded_and_gets_the_last_state(line_view):
    view, _, plot = line_view
    page = Page(view)

    async def scene():
        page.say("hello")
        for k in range(10):
            plot.title.text = f"k = {k}"
            await asyncio.sleep(0.001)
        # the first drawing was not acknowledged yet
        assert len(page.sent) == 1
        page.drawn()
        assert len(page.sent) == 2
        assert "k = 9" in page.sent[1][0]["text"]

    asyncio.run(scene())


def test_a_page_that_has_gone_does_not_block_for_ever(line_view, monkeypatch):
    from amaexplore.explorer import figure_view

    monkeypatch.setattr(figure_view, "PATIENCE", 0.05)
    view, _, plot = line_view
    page = Page(view)

    async def scene():
        page.say("hello")
        plot.title.text = "after a page that never answers"
        await asyncio.sleep(0.3)

    asyncio.run(scene())
    assert "never answers" in page.sent[-1][0]["text"]


def test_the_mouse_may_move_only_what_is_offered(line_view):
    from bokeh.models import Span

    view, _, plot = line_view
    live, fixed = Span(dimension="height", location=1.0, tags=["live"]), Span(dimension="height", location=1.0)
    plot.add_layout(live)
    plot.add_layout(fixed)
    page, heard = Page(view), []
    live.on_change("location", lambda attr, old, new: heard.append(new))
    page.say("hello")
    page.drawn()
    n_sent = len(page.sent)
    for model in (live, fixed):
        page.say("change", changes=[{"id": model.id, "attr": "location", "value": 2.5}])
    page.say("change", changes=[{"id": "nobody", "attr": "location", "value": 2.5}])
    page.say("change", changes=[{"id": live.id, "attr": "no_such_thing", "value": 2.5}])
    assert (live.location, fixed.location) == (2.5, 1.0)
    assert heard == [2.5]
    # the page knows already
    assert len(page.sent) == n_sent


# -- serving ---------------------------------------------------------------------------------------------------


def test_the_notebook_that_is_served_exists_and_has_no_outputs():
    notebook = json.loads((serve.notebooks_folder() / "explore.ipynb").read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])


def test_a_missing_file_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(FormatError, match=r"no\.trr"):
        serve.open_app([tmp_path / "no.trr"], browser=False)


def test_numbers_stay_in_sight_paler_while_newer_ones_come(explorer, monkeypatch):
    from amaexplore.explorer.graph import State

    session, real = explorer.session, explorer.session.state
    number = f"{session.latest('gamma').isotropic:.0f}"

    def shown(status):
        monkeypatch.setattr(
            session, "state", lambda name: State(status) if name in ("gamma", "diagnosis") else real(name)
        )
        explorer.numbers.refresh()
        explorer.regime.refresh()
        return explorer.numbers.box.value, explorer.regime.lights.value

    cards, lights = shown("fresh")
    assert number in cards
    assert "ama-old" not in cards + lights
    cards, lights = shown("working")
    assert number in cards
    assert "ama-old" in cards
    assert lights.startswith("<div class='ama-old'>")
    # what failed has no number, not an old one
    cards, lights = shown("failed")
    assert number not in cards
    assert lights == ""


def test_ports(monkeypatch):
    import socket

    def given(port):
        with serve._claimed_port(port) as claimed:
            # a second start at the same instant
            with serve._claimed_port(None) as other:
                assert other != claimed
            return claimed

    with pytest.raises(InputError, match="not a port number"):
        given(70000)
    with socket.socket() as taken:
        taken.bind((serve.LOOPBACK, 0))
        with pytest.raises(InputError, match="is taken"):
            given(taken.getsockname()[1])
        assert given(None) != taken.getsockname()[1]


def test_a_broken_environment_variable_is_named(monkeypatch):
    monkeypatch.setenv("AMAEXPLORE_OPEN", "{")
    with pytest.raises(InputError, match="AMAEXPLORE_OPEN"):
        ama.explore()
