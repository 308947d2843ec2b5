"""The Binder recipe: everything pinned, nothing that cannot be installed where repo2docker installs it."""

import inspect
import json
import os
import re
import shutil
import threading
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser import ARGUMENTS, App, drawn, find_browser, open_page, wait_until
from explorer_systems import write_series
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from amaexplore.explorer import serve
from amaexplore.explorer.app import OPEN_VARIABLE

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "binder"


def _pins():
    lines = (RECIPE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_requirement_is_pinned():
    # repo2docker installs this file before the repository is there: no path may stand in it
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+", line) for line in _pins())


def test_pins_satisfy_what_the_package_needs():
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in _pins())}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in project["dependencies"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"binder/requirements.txt lacks {name}"
        assert requirement.specifier.contains(pins[name]), f"{name} {pins[name]} does not satisfy {requirement}"


def test_the_last_step_installs_the_package_and_makes_the_demo():
    script = RECIPE / "postBuild"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert "pip install --no-cache-dir --no-deps ." in text
    assert "ama.demo(" in text
    version = (RECIPE / "runtime.txt").read_text(encoding="utf-8").strip()
    assert re.fullmatch(r"python-3\.1[1-9]", version)


def test_the_page_of_the_app_is_our_own_as_on_the_command_line():
    settings = json.loads((RECIPE / "voila.json").read_text(encoding="utf-8"))["VoilaConfiguration"]
    served = inspect.getsource(serve._serve_app)
    assert all(f'"{name}"' in served for name in (settings["template"], *settings["extension_allowlist"]))
    slow = json.loads((RECIPE / "voila.json").read_text(encoding="utf-8"))["VoilaExecutor"]["iopub_timeout"]
    assert slow == serve.SLOWEST
    assert "binder/voila.json" in (RECIPE / "postBuild").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (source, target), *_ = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"].items()
    assert (ROOT / source / "templates" / settings["template"] / "index.html.j2").is_file()
    assert target == "share/jupyter/voila"


@pytest.mark.browser
def test_the_app_on_binder_asks_nothing_of_a_network(tmp_path):
    """As Binder serves it: Voilà inside a Jupyter server, at the address that the README gives."""
    path = find_browser()
    from playwright.sync_api import sync_playwright

    (tmp_path / "etc").mkdir()
    shutil.copy(RECIPE / "voila.json", tmp_path / "etc")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    settings = {
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "etc"),
        "JUPYTER_PATH": str(Path(serve.__file__).parent / "share"),
        OPEN_VARIABLE: json.dumps({"source": {"kind": "files", "files": [str(write_series(tmp_path / "one.csv"))]}}),
    }
    arguments = ["--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1", "--IdentityProvider.token=secret"]
    app = App([*arguments, f"--ServerApp.root_dir={tmp_path}"], tmp_path, module="jupyter_server", **settings)
    try:
        # or the server stops once nobody reads what it says
        threading.Thread(target=app.process.stdout.read, daemon=True).start()
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        place = unquote(re.search(r"urlpath=(voila\S+)", readme)[1])
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
            page = open_page(chromium, re.sub(r"(:\d+/).*", rf"\1{place}?token=secret", app.url))
            wait_until(lambda: drawn(page, "running"))
            assert {url.split("/")[2].split(":")[0] for url in page.requests if url.startswith("http")} == {"127.0.0.1"}
            assert page.errors == []
            chromium.close()
    finally:
        app.close()
