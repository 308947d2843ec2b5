"""Everything on the page to take away: Python, JSON, CSV, an HTML report, the session."""

import asyncio
import csv
import io
import json
import tempfile
from pathlib import Path

import anywidget
import traitlets

from ..errors import AmaError
from .code import reproduce

__all__ = ["TakeAway"]

ITEMS = (
    ("python", "Python that reproduces this", "Running it gives the numbers on the page"),
    ("json", "Numbers as JSON", "What `amaexplore analyze --json` writes"),
    ("csv", "Curves as CSV", "Correlation functions and running integrals with their errors"),
    ("report", "Report as HTML", "One page with interactive plots that opens without a network"),
    ("session", "Session file", "All choices; open it with ama.Session.load"),
)


class TakeAway(anywidget.AnyWidget):
    """A menu; what is chosen is computed in the kernel and handed to the browser.

    Parameters
    ----------
    session : Session
    """

    _esm = Path(__file__).parent / "take_away.js"

    items = traitlets.List([list(item) for item in ITEMS]).tag(sync=True)

    def __init__(self, session):
        super().__init__()
        self._session = session
        self.on_msg(self._asked)

    def _asked(self, _widget, content, _buffers):
        if content.get("kind") != "wanted" or content.get("key") not in [key for key, _, _ in ITEMS]:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.send(self.made(content["key"]))
            return
        # a report takes a second or two, which the page must not feel
        job = loop.run_in_executor(None, self.made, content["key"])
        job.add_done_callback(lambda done: self.send(done.result()))

    def made(self, key):
        """The message that hands an item to the page; a sentence where it cannot be had."""
        try:
            return getattr(self, f"_make_{key}")()
        except AmaError as error:
            return {"kind": "text", "name": "This cannot be had yet", "text": str(error)}

    def _make_python(self):
        return {"kind": "text", "name": "Python that reproduces this page", "text": reproduce(self._session)}

    def _make_json(self):
        text = json.dumps(self._session.analysis().to_dict(), indent=1, ensure_ascii=False)
        return _file("analysis.json", "application/json", text + "\n")

    def _make_session(self):
        text = json.dumps(self._session.to_dict(), indent=1, ensure_ascii=False)
        return _file("session.json", "application/json", text + "\n")

    def _make_report(self):
        with tempfile.TemporaryDirectory() as folder:
            path = self._session.analysis().report(Path(folder) / "report.html")
            return _file("report.html", "text/html", Path(path).read_text(encoding="utf-8"))

    def _make_csv(self):
        columns = {}
        curves = self._session.result("curves")
        for name, curve in curves.items():
            columns[f"lag of {name} correlation (ps)"] = curve.lags
            columns[f"{name} correlation per axis ({curve.unit})"] = curve.isotropic
            columns[f"its standard error ({curve.unit}), {name}"] = curve.isotropic_std
        for name in ("gamma", "theta"):
            if self._session.state(name).status == "fresh":
                result = self._session.latest(name)
                factor = result.isotropic_raw / result.isotropic if result.isotropic else 1.0
                columns[f"window of {name} (ps)"] = result.lags
                columns[f"{name} up to the window, raw ({result.unit})"] = factor * result.running_isotropic
                columns[f"its standard error ({result.unit}), {name}"] = factor * result.running_isotropic_std
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in range(max(map(len, columns.values()))):
            writer.writerow([repr(float(values[row])) if row < len(values) else "" for values in columns.values()])
        return _file("curves.csv", "text/csv", text.getvalue())


def _file(name, kind, text):
    return {"kind": "file", "name": name, "type": kind, "text": text}
