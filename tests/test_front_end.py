"""Where no page draws the explorer: why, and a static page that follows the session."""

import asyncio
from importlib.metadata import PackageNotFoundError

import IPython.display
import pytest
from explorer_systems import brownian_particle

import amaexplore as ama
from amaexplore.explorer import front_end, page_state
from amaexplore.explorer.app import Explorer


class Shown:
    """What a notebook without widgets would show: the newest content."""

    def __init__(self):
        self.contents = []

    def display(self, content, display_id=None):
        self.contents.append(content.data)
        return self

    def update(self, content):
        self.contents.append(content.data)


@pytest.fixture
def shown(monkeypatch):
    shown = Shown()
    monkeypatch.setattr(IPython.display, "display", shown.display)
    monkeypatch.setattr(front_end, "STILL", 0.05)
    return shown


def test_a_front_end_without_widgets_is_told_and_served_static_pages(shown):
    async def notebook():
        explorer = ama.explore(brownian_particle())
        report = explorer._watch._make_page
        explorer._watch._make_page = lambda: f"{report()}<!-- t0 chosen: {explorer.session.window} -->"
        explorer._watch.begin(patience=0.05)
        for _ in range(600):
            await asyncio.sleep(0.1)
            if shown.contents and "<iframe" in shown.contents[-1]:
                break
        first = shown.contents[-1]
        assert "No page has answered" in first
        explorer.session.window = 7.3
        for _ in range(600):
            await asyncio.sleep(0.1)
            if shown.contents[-1] != first and "<iframe" in shown.contents[-1]:
                break
        explorer.session.stop()
        return first, shown.contents[-1]

    first, second = asyncio.run(notebook())
    assert "t0 chosen: 7.3" in second
    assert "t0 chosen: None" in first


def test_a_page_that_answers_is_left_alone(shown):
    async def notebook():
        explorer = ama.explore(brownian_particle())
        explorer._watch.begin(patience=0.1)
        explorer.keeper._hello(None, {"kind": "hello", "document": None}, [])
        await asyncio.sleep(0.5)
        assert explorer.self_test() == []
        explorer.session.stop()

    asyncio.run(notebook())
    assert shown.contents == []


@pytest.mark.parametrize(("own_page", "seconds"), [(False, 20.0), (True, 180.0)])
def test_the_page_of_the_explorer_is_given_time(shown, own_page, seconds):
    """It is known to draw widgets; that it is slow, one of many on a small machine, is no reason to send a static one."""

    async def page():
        loop, explorer = asyncio.get_running_loop(), Explorer(ama.Session(brownian_particle()), page=own_page)
        explorer._repr_mimebundle_()
        waits = explorer._watch._timer.when() - loop.time()
        explorer._watch._timer.cancel()
        explorer.session.stop()
        return waits

    assert asyncio.run(page()) == pytest.approx(seconds, abs=5.0)
    assert shown.contents == []


def test_what_the_browser_kept_comes_back_after_a_restart_of_the_kernel(monkeypatch):
    def begun(**choices):
        return ama.explore(brownian_particle(), **choices)

    def kept(explorer, **choices):
        """What a browser tab would hold of it."""
        explorer.session.choose(**choices)
        explorer.keeper.remember()
        explorer.session.stop()
        return {"process": explorer.keeper.process, "document": explorer.keeper.document}, explorer.keeper.place

    def answered(explorer, before):
        explorer.keeper._hello(None, {"kind": "hello", "before": before}, [])
        explorer.session.stop()
        return explorer

    before, place = kept(begun(), window=7.5, regime="both")
    # the same kernel: whoever runs a cell again wants what it says
    assert answered(begun(), before).session.window is None
    monkeypatch.setattr(page_state, "PROCESS", "of the next kernel")
    again = begun()
    # the browser looks for it by the notebook, the data and the first choices
    assert again.keeper.place == place
    assert begun(axis="y").keeper.place != place
    monkeypatch.setenv("JPY_SESSION_NAME", "other.ipynb")
    assert begun().keeper.place != place
    assert answered(again, before).session.choices() == again.session.choices() | {"window": 7.5, "regime": "both"}
    again.session.undo()
    assert again.session.window is None
    # the cell goes on with choices of its own
    edited = begun()
    edited.session.window = 2.5
    assert answered(edited, before).session.window == 2.5
    for damage in (
        None,
        3,
        {},
        {"document": 5},
        {"process": "x", "document": "{"},
        {"document": '{"choices": {"windo": 1}}'},
    ):
        assert answered(begun(), damage).session.window is None


def test_the_output_of_a_cell_explains_itself_without_widgets():
    explorer = ama.explore(brownian_particle())
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "jupyterlab_widgets" in bundle["text/html"]
    assert len(bundle["text/html"]) < 2000
    explorer.session.stop()


def test_what_is_missing_is_named(monkeypatch):
    def version(name):
        if name == "jupyterlab_widgets":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(front_end, "version", version)
    found = front_end.self_test(answered=True, failures=["boom", "boom"])
    assert len(found) == 2
    assert "pip install jupyterlab_widgets" in found[0]
    assert "boom" in found[1]
