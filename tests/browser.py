"""A headless Chromium for the tests that need one, and the application they look at."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SCREENSHOTS = Path(__file__).parent / "screenshots"


def find_browser():
    """The path of a Chromium, or a skipped test; in CI a failed one."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    message = f"no browser found: none of {', '.join(NAMES)} is on the PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class App:
    """A running ``amaexplore`` command (or another module's) and the address it printed."""

    def __init__(self, arguments, cwd, module="amaexplore", **environment):
        self.log = Path(cwd) / "app.log"
        self._file = self.log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", module, *arguments],
            stdout=subprocess.PIPE,
            # other servers say where they are on the error stream
            stderr=self._file if module == "amaexplore" else subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env=os.environ | environment,
        )
        self.url = next(
            (found.group(0) for line in self.process.stdout if (found := re.search(r"http://\S+", line))), None
        )
        assert self.url, f"amaexplore printed no address: {self.log.read_text()[-2000:]}"

    def close(self):
        """End it, and the kernels it started."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.stdout.close()
        self._file.close()


def open_page(browser, url, patience=60.0, **viewport):
    """A page at ``url``, waited for while the server starts; its errors are collected in ``page.errors``."""
    page = browser.new_page(viewport={"width": 1280, "height": 720} | viewport)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.requests = []
    page.on(
        "response",
        lambda response: page.errors.append(f"{response.status} {response.url}") if response.status >= 400 else None,
    )
    page.on("request", lambda request: page.requests.append(request.url))
    deadline = time.monotonic() + patience
    while True:
        try:
            page.goto(url, wait_until="commit")
            return page
        except Exception:  # the server is not listening yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


# What is drawn, read from the Bokeh document inside a figure's element.
DRAWN = """(name) => {
  const element = document.querySelector(`.ama-figure-${name}`);
  const root = element?.bokehDocument?.roots()[0];
  if (!root) return null;
  const columns = {};
  for (const renderer of root.renderers) {
    const data = renderer.data_source?.data;
    if (!data) continue;
    const entries = data instanceof Map ? [...data.entries()] : Object.entries(data);
    columns[renderer.id] = Object.fromEntries(entries.map(([key, values]) => [key, Array.from(values).slice(0, 5000)]));
  }
  return { title: root.title.text, columns: Object.values(columns) };
}"""


def drawn(page, name):
    """Title and data columns of the figure ``name`` as the browser has them, or None."""
    return page.evaluate(DRAWN, name)


def wait_until(condition, patience=60.0, step=0.05):
    """Wait for ``condition()`` to be true; returns its value."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(step)
