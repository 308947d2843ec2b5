"""The density step, the what-if masses and what leaves the page, in a real, headless Chromium under Voilà."""

import re
from itertools import pairwise

import pytest
from browser import ARGUMENTS, SCREENSHOTS, App, drawn, find_browser, open_page, wait_until
from explorer_systems import write_series

from amaexplore.plots.sketch import N_BINS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path, folder = find_browser(), tmp_path_factory.mktemp("app")
    from playwright.sync_api import sync_playwright

    file = write_series(folder / "particle.csv")
    running = App(["explore", str(file), "--no-browser"], folder, JUPYTER_CONFIG_DIR=str(folder / "jupyter"))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        page = open_page(chromium, running.url)
        wait_until(lambda: _columns(page, "lines", "W"))
        SCREENSHOTS.mkdir(exist_ok=True)
        yield page
        page.close()
        chromium.close()
    running.close()


def _columns(page, name, key):
    """Data of the renderers of a figure that have the column and hold something."""
    figure = drawn(page, name)
    return [columns for columns in (figure["columns"] if figure else ()) if len(columns.get(key, ()))]


def _tab(page, name):
    page.locator(".ama-overlay").get_by_role("button", name=name, exact=True).click()


def _now(page):
    """(R, W) of the bold profile."""
    columns = next(c for c in _columns(page, "lines", "W") if isinstance(c["W"][0], int | float) and len(c["W"]) > 100)
    return columns["R"], columns["W"]


def test_a_density_is_drawn_with_the_mouse(page):
    page.locator(".ama-step").nth(4).locator("select").first.select_option(label="drawn\u00a0✎")
    page.get_by_text("Press the mouse on the plot").wait_for()
    # the plot has its place once every step has its numbers
    wait_until(lambda: page.locator(".ama-number.ama-working, .ama-number.ama-stale").count() == 0)
    page.wait_for_timeout(500)
    box = page.locator(".ama-figure-lines").bounding_box()
    floor, top = box["y"] + 0.75 * box["height"], box["y"] + 0.35 * box["height"]
    across = [box["x"] + share * box["width"] for share in (0.3, 0.4, 0.5, 0.6)]
    page.mouse.move(across[0], floor)
    page.mouse.down()
    # as a hand does it, which takes its time: a busy page merges what comes faster than it draws
    for (x0, y0), (x1, y1) in pairwise(zip(across, (floor, top, top, floor))):
        for step in range(1, 9):
            page.mouse.move(x0 + (x1 - x0) * step / 8, y0 + (y1 - y0) * step / 8)
            page.wait_for_timeout(40)
    # a hand lets go when it sees its line, which on a busy machine comes late and must be there from its start

    def line_seen():
        page.mouse.move(across[-1] - 1, floor)
        page.mouse.move(across[-1], floor)
        return any(len(columns["R"]) == N_BINS for columns in _columns(page, "lines", "W"))

    wait_until(line_seen)
    page.screenshot(path=SCREENSHOTS / "density_drawing.png")
    page.mouse.up()
    page.get_by_text(re.compile("drawn by hand")).first.wait_for(state="attached")
    # the first slider step: what was drawn, as the equation starts from it
    page.locator(".ama-step").nth(4).locator(".noUi-handle").focus()
    page.keyboard.press("Home")
    wait_until(lambda: "t = 0 ps" in drawn(page, "lines")["title"])
    places, heights = _now(page)
    width = places[1] - places[0]
    assert sum(heights) * width == pytest.approx(1.0, abs=1e-6)
    highest = max(heights)
    plateau = [place for place, height in zip(places, heights) if height > 0.9 * highest]
    filled = [place for place, height in zip(places, heights) if height > 0.02 * highest]
    # a trapezium: its top a third of its foot
    assert 0.2 < (plateau[-1] - plateau[0]) / (filled[-1] - filled[0]) < 0.6


def test_playing_and_pausing(page):
    button = page.get_by_role("button", name="▶", exact=True)
    before = drawn(page, "lines")["title"]
    button.click()
    pause = page.get_by_role("button", name="⏸", exact=True)
    pause.wait_for()
    wait_until(lambda: drawn(page, "lines")["title"] != before)
    pause.click()
    button.wait_for()
    page.wait_for_timeout(400)
    still = drawn(page, "lines")["title"]
    page.wait_for_timeout(500)
    assert drawn(page, "lines")["title"] == still


def test_errors_and_other_masses(page):
    page.get_by_role("button", name="± errors").click()
    page.get_by_role("button", name="what if ε").click()
    ladder = wait_until(lambda: _columns(page, "masses", "distance"))[0]
    # from light to heavy
    assert ladder["distance"] == sorted(ladder["distance"])
    handle = page.locator(".ama-mass-slider .noUi-handle")
    handle.focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    wait_until(lambda: "4 × the mass" in page.locator(".ama-step").nth(2).inner_html())
    page.screenshot(path=SCREENSHOTS / "density_masses.png")
    _tab(page, "W̃")
    wait_until(lambda: len(_columns(page, "lines", "W")) >= 3)
    # the fan of the phase space takes a few seconds
    page.locator(".ama-step").nth(4).locator(".ama-number.ama-fresh").wait_for()
    page.screenshot(path=SCREENSHOTS / "density_errors.png")


def test_every_tab_draws_something(page):
    for name, figure, key in (
        ("−ln W̃", "free_energy", "A"),
        ("λ", "modes", "phi"),
        ("⟨F⟩", "gibbs", "mean"),
        ("R, P", "phase", "P"),
    ):
        _tab(page, name)
        wait_until(lambda figure=figure, key=key: _columns(page, figure, key))
    page.screenshot(path=SCREENSHOTS / "density_tabs.png")


def test_the_place_to_reach_is_typed(page):
    _tab(page, "⟨t⟩")
    field = page.get_by_label("reach")
    field.fill("3")
    field.press("Enter")
    times = wait_until(lambda: _columns(page, "passage", "time"))[0]
    nearest = min(range(len(times["R"])), key=lambda k: abs(times["R"][k] - 3.0))
    assert times["time"][nearest] < 0.05 * max(times["time"])
    assert "To R = 3 nm" in drawn(page, "passage")["title"]


def test_numbers_explain_themselves_to_the_keyboard(page):
    card = page.locator(".ama-card").first
    popup = card.locator(".ama-explain")
    assert not popup.is_visible()
    card.focus()
    assert popup.is_visible()
    for words in ("(28)", "u² nm²/ps", "estimator", "6000 frames"):
        assert words in popup.inner_text()
    page.screenshot(path=SCREENSHOTS / "number_explained.png")
    for place in page.locator(".ama-explained").all():
        assert place.get_attribute("tabindex") == "0"


@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"# ")])
def test_each_plot_is_saved(page, kind, start):
    for name in ("running", "phase"):
        menu = page.locator(f".ama-figure-{name} .amaexplore-save")
        menu.locator("summary").click()
        with page.expect_download() as waiting:
            menu.get_by_role("button", name=kind).click()
        content = waiting.value.path().read_bytes()
        assert waiting.value.suggested_filename.endswith(kind.lower())
        assert content[:300].lstrip().startswith(start), content[:80]
        assert len(content) > 1000
        if kind == "SVG":
            assert content.rstrip().endswith(b"</svg>")


def test_everything_as_hdf5(page):
    import h5py

    page.locator(".ama-menu summary").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Everything as HDF5").click()
    with h5py.File(waiting.value.path()) as file:
        assert file["order_parameters/momentum"].shape == (6000, 3)
        assert file["density/fokker_planck/phase_space"].attrs["unit"]


def test_how_was_this_computed(page):
    for item, words in (
        ("How was this computed?", "ama.analyze(data"),
        ("Methods paragraph", "was read at t₀"),
        ("BibTeX", "1001.1216"),
    ):
        page.locator(".ama-menu summary").click()
        page.get_by_role("button", name=item).click()
        dialog = page.locator("dialog[open]")
        dialog.get_by_text(words).wait_for()
        dialog.get_by_role("button", name="Close").click()


def test_dark_and_large(page):
    page.get_by_role("button", name="◐").click()
    page.set_viewport_size({"width": 1920, "height": 1080})
    _tab(page, "W̃")
    page.wait_for_timeout(1500)
    page.screenshot(path=SCREENSHOTS / "density_dark_1920.png")
    hidden = page.evaluate(
        "() => { const s = document.querySelector('.ama-steps'); return s.scrollHeight - s.clientHeight; }"
    )
    # at this size all five steps are in sight at once
    assert hidden <= 0


def test_letters_grow_with_the_screen(page):
    """Four times the pixels, looked at from further away: a projector, or a large screen without scaling."""
    sizes = "() => [document.querySelector('.ama-title'), document.querySelector('.ama-card-value')].map((e) => e.getBoundingClientRect().height)"
    axis = "() => document.querySelector('.ama-figure-lines').bokehDocument?.roots()[0]?.below[0].major_label_text_font_size"
    before = page.evaluate(sizes)
    page.set_viewport_size({"width": 3840, "height": 2160})
    wait_until(lambda: page.evaluate(axis) == "18.9px")
    assert all(large > 1.5 * small for small, large in zip(before, page.evaluate(sizes), strict=True))
    # a control is still where it is seen
    handle = page.locator(".ama-step").nth(3).locator(".noUi-handle").first
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert handle.bounding_box()["x"] - box["x"] == pytest.approx(40, abs=4)
    page.screenshot(path=SCREENSHOTS / "density_4k.png")
    page.set_viewport_size({"width": 1280, "height": 720})
    wait_until(lambda: page.evaluate(axis) == "10.5px")


def test_no_number_is_cut_off(page):
    """Half of an error bar is another number; and a number that comes or goes does not move the plots."""
    top = "() => document.querySelector('.ama-figure-lines').getBoundingClientRect().y"
    long = """() => {
      document.querySelectorAll('.ama-card-value').forEach((e) => { e.innerHTML = '0.00404 <span class="ama-error-bar">± 0.00029</span>'; });
      return [...document.querySelectorAll('.ama-card-value')].map((e) => [e.scrollWidth - e.clientWidth, e.scrollHeight - e.clientHeight]);
    }"""
    for width, height in ((1024, 768), (1280, 720)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)
        before = page.evaluate(top)
        over = page.evaluate(long)
        assert len(over) == 6
        assert max(map(max, over)) <= 0
        page.evaluate("() => document.querySelectorAll('.ama-card-value').forEach((e) => { e.textContent = '–'; })")
        assert page.evaluate(top) == before


def test_nothing_went_wrong_on_the_page(page):
    left = [error for error in page.errors if "/voila/api/shutdown/" not in error and "status of 403" not in error]
    assert left == []
