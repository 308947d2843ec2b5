"""The explorer inside JupyterLab and Notebook 7, in a real, headless Chromium."""

import json
import re
import shutil
import threading
import urllib.request

import pytest
from browser import ARGUMENTS, SCREENSHOTS, App, drawn, find_browser, open_page, wait_until
from explorer_systems import write_series

from amaexplore.explorer.app import OPEN_VARIABLE
from amaexplore.explorer.serve import notebooks_folder

pytestmark = pytest.mark.browser


def _point(figure):
    """(t0, value) of the marker on the running integral, or None."""
    for columns in (figure or {"columns": []})["columns"]:
        if len(columns.get("t", ())) == 1 and "std" in columns:
            return columns["t"][0], columns["value"][0]
    return None


@pytest.fixture(params=["jupyterlab", "notebook 7"])
def server(request, tmp_path):
    """A running JupyterLab or Notebook 7 on a notebook whose first cell opens the explorer."""
    source = {"kind": "files", "files": [str(write_series(tmp_path / "particle.csv"))]}
    settings = {"JUPYTER_CONFIG_DIR": str(tmp_path / "jupyter"), "HOME": str(tmp_path)}
    settings[OPEN_VARIABLE] = json.dumps({"source": source})
    if request.param == "jupyterlab":
        app = App(["lab", "--no-browser"], tmp_path, **settings)
        app.page = app.url
    else:
        shutil.copy(notebooks_folder() / "explore.ipynb", tmp_path)
        arguments = ["--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token=secret", "--ip=127.0.0.1"]
        app = App([*arguments, f"--ServerApp.root_dir={tmp_path}"], tmp_path, module="notebook", **settings)
        app.page = re.sub(r"/tree.*", "/notebooks/explore.ipynb?token=secret", app.url)
        # or the server stops once nobody reads what it says
        threading.Thread(target=app.process.stdout.read, daemon=True).start()
    app.name = request.param.replace(" ", "")
    yield app
    app.close()


def run_first_cell(page):
    """Run it as a person would: what is run before the kernel answers is dropped, so once more until something happens."""
    from playwright.sync_api import Error

    cell = page.locator(".jp-Notebook .jp-CodeCell").first
    try:
        cell.locator(".cm-content").wait_for(timeout=40_000)
    except Error:
        # a server that has only just begun to listen may have left half of the page out
        page.reload()
    for _ in range(20):
        # such as "select a kernel", where the server was slow to say which there are
        dialog = page.locator(".jp-Dialog .jp-mod-accept")
        if dialog.count():
            dialog.first.click()
        try:
            cell.locator(".cm-content").click(timeout=5000)
        except Error:
            # a dialog came up between the two
            continue
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1500)
        if cell.locator(".jp-InputPrompt").inner_text().strip() != "[ ]:":
            return
    raise AssertionError("the cell was never run")


KEPT = """() => {
  const key = Object.keys(sessionStorage).find((name) => name.startsWith("amaexplore:"));
  return key ? JSON.parse(JSON.parse(sessionStorage.getItem(key)).document).choices.window : null;
}"""


def restart_kernel(url):
    """As the front end's own button does."""
    server, token = re.match(r"(http://[^/]+)/.*token=([^&\s]+)", url).groups()

    def ask(path, method="GET"):
        headers = {"Authorization": f"token {token}"}
        with urllib.request.urlopen(urllib.request.Request(server + path, method=method, headers=headers)) as answer:
            return json.loads(answer.read())

    (kernel,) = ask("/api/kernels")
    ask(f"/api/kernels/{kernel['id']}/restart", "POST")


def test_the_window_slider_moves_gamma(server):
    path = find_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        page = open_page(chromium, server.page, height=1000)
        run_first_cell(page)
        before = wait_until(lambda: _point(drawn(page, "running")), patience=90)
        page.locator(".ama-window-slider .noUi-handle").focus()
        for _ in range(30):
            page.keyboard.press("ArrowLeft")
        after = wait_until(lambda: (point := _point(drawn(page, "running"))) and point[0] < 0.8 * before[0] and point)
        assert after[1] != before[1]
        assert {url.split("/")[2].split(":")[0] for url in page.requests if url.startswith("http")} == {"127.0.0.1"}
        if server.name == "jupyterlab":
            # the address and what is drawn are gone with the kernel; the browser tab has kept what was chosen
            page.wait_for_timeout(1000)
            assert page.evaluate(KEPT) < 0.8 * before[0]
            chosen = _point(drawn(page, "running"))
            restart_kernel(server.url)
            run_first_cell(page)
            wait_until(lambda: drawn(page, "running") is None)
            again = wait_until(lambda: _point(drawn(page, "running")), patience=90)
            assert again == pytest.approx(chosen)
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{server.name}.png")
        chromium.close()
