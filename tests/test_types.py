"""The package under a type checker, with the settings of pyproject.toml."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def mypy(folder, cache, *files):
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--no-error-summary",
        "--config-file",
        "pyproject.toml",
        "--cache-dir",
        str(cache),
        *files,
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_no_contradiction_and_no_unexplained_exception(tmp_path):
    done = mypy(ROOT, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    # whatever is switched off says why
    lines = [
        line for path in (ROOT / "amaexplore").rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert not [line for line in lines if "type: ignore" in line]


def test_a_contradiction_is_seen(tmp_path):
    shutil.copytree(
        ROOT / "amaexplore",
        tmp_path / "amaexplore",
        ignore=shutil.ignore_patterns("__pycache__", "explorer", "simulate"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "amaexplore" / "wrong.py").write_text("from .errors import Notice\n\nNotice('code')\n")
    assert "wrong.py:3" in mypy(tmp_path, tmp_path / "cache", "amaexplore/wrong.py").stdout
