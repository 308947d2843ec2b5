"""The explorer inside JupyterLab, in a real, headless Chromium."""

import json

import pytest
from browser import ARGUMENTS, SCREENSHOTS, App, drawn, find_browser, open_page, wait_until
from explorer_systems import write_series

from amaexplore.explorer.app import OPEN_VARIABLE

pytestmark = pytest.mark.browser


def _point(figure):
    """(t0, value) of the marker on the running integral, or None."""
    for columns in (figure or {"columns": []})["columns"]:
        if len(columns.get("t", ())) == 1 and "std" in columns:
            return columns["t"][0], columns["value"][0]
    return None


def test_the_window_slider_moves_gamma_in_jupyterlab(tmp_path):
    path = find_browser()
    from playwright.sync_api import sync_playwright

    source = {"kind": "files", "files": [str(write_series(tmp_path / "particle.csv"))]}
    settings = {"JUPYTER_CONFIG_DIR": str(tmp_path / "jupyter"), "HOME": str(tmp_path)}
    settings[OPEN_VARIABLE] = json.dumps({"source": source})
    app = App(["lab", "--no-browser"], tmp_path, **settings)
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
            page = open_page(chromium, app.url, height=1000)
            cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
            cell.click(timeout=60000)
            # JupyterLab drops what is run before its kernel answers
            page.get_by_text("| Idle").wait_for(timeout=60000)
            page.keyboard.press("Shift+Enter")
            before = wait_until(lambda: _point(drawn(page, "running")), patience=90)
            page.locator(".ama-window-slider .noUi-handle").focus()
            for _ in range(30):
                page.keyboard.press("ArrowLeft")
            after = wait_until(
                lambda: (point := _point(drawn(page, "running"))) and point[0] < 0.8 * before[0] and point
            )
            assert after[1] != before[1]
            SCREENSHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SCREENSHOTS / "jupyterlab.png")
            chromium.close()
    finally:
        app.close()
