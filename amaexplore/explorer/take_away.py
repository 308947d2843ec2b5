"""Everything on the page to take away: Python, methods, BibTeX, JSON, CSV, HDF5, an HTML report, the session."""

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
    ("python", "How was this computed?", "Python that gives exactly the numbers on the page"),
    ("methods", "Methods paragraph", "What was computed and how, for a paper or a thesis"),
    ("bibtex", "BibTeX", "The theory, this program and the libraries it used here"),
    ("json", "Numbers as JSON", "What `amaexplore analyze --json` writes"),
    ("csv", "Curves as CSV", "Correlation functions and running integrals with their errors"),
    ("h5", "Everything as HDF5", "All results and series with units, readable by h5py and MATLAB"),
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
            self._hand_over(self.made(content["key"]))
            return
        # a report takes a second or two, which the page must not feel
        job = loop.run_in_executor(None, self.made, content["key"])
        job.add_done_callback(lambda done: self._hand_over(done.result()))

    def _hand_over(self, message):
        """Send a message; bytes travel beside it."""
        data = message.pop("data", None)
        self.send(message, None if data is None else [data])

    def made(self, key):
        """The message that hands an item to the page; a sentence where it cannot be had."""
        try:
            return getattr(self, f"_make_{key}")()
        except AmaError as error:
            return {"kind": "text", "name": "This cannot be had yet", "text": str(error)}

    def _make_python(self):
        return {
            "kind": "text",
            "name": "How was this computed? This Python gives the same numbers",
            "text": reproduce(self._session),
        }

    def _predictions(self):
        names = ("smoluchowski", "fokker_planck")
        return {name: self._session.latest(name) for name in names if self._there(name)}

    def _there(self, name):
        return self._session.state(name).status == "fresh" and self._session.latest(name) is not None

    def _origin(self):
        return {"source": self._session.latest("data"), "topology": self._session.source.get("topology")}

    def _make_methods(self):
        from ..methods import methods_paragraph

        analysis = self._session.analysis()
        text = methods_paragraph(analysis, tuple(self._predictions().values()), **self._origin())
        return {"kind": "text", "name": "Methods", "text": text}

    def _make_bibtex(self):
        from ..methods import bibtex

        return {"kind": "text", "name": "BibTeX", "text": bibtex(self._session.analysis(), **self._origin())}

    def _make_h5(self):
        from ..archive import write_archive

        analysis, session = self._session.analysis(), self._session
        others = {name: session.latest(name) for name in ("gibbs", "passage", "masses") if self._there(name)}
        if self._there("modes"):
            others["modes"] = dict(zip(("rates", "modes"), session.latest("modes")))
        for name, fan in ((session.latest("fans") if self._there("fans") else None) or {}).items():
            others[f"fans/{name}"] = fan
        for name, found in ((session.latest("paths") if self._there("paths") else None) or {}).items():
            others[f"paths/{name}"] = found
        curves = session.latest("curves") if self._there("curves") else None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "amaexplore.h5"
            write_archive(path, analysis, curves=curves, predictions=self._predictions(), others=others)
            return {"kind": "file", "name": path.name, "type": "application/x-hdf5", "data": path.read_bytes()}

    def _make_json(self):
        text = json.dumps(self._session.analysis().to_dict(), indent=1, ensure_ascii=False)
        return _file("analysis.json", "application/json", text + "\n")

    def _make_session(self):
        text = json.dumps(self._session.to_dict(), indent=1, ensure_ascii=False)
        return _file("session.json", "application/json", text + "\n")

    def _make_report(self):
        from ..report import write_report

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            predictions = tuple(self._predictions().values())
            write_report(self._session.analysis(), path, predictions=predictions, **self._origin())
            return _file("report.html", "text/html", path.read_text(encoding="utf-8"))

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
