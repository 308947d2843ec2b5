"""The Binder recipe: everything pinned, nothing that cannot be installed where repo2docker installs it."""

import os
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
