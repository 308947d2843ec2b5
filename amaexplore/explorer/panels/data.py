"""Step 1: where the data come from, which frames of them, and what is wrong with them."""

import html
from pathlib import Path

import ipywidgets as widgets

from ...results import format_value
from ...units import ENGINE_UNITS
from .live import LivePanel
from .step import Step, labelled_field, linked, number_of, show, text_of

__all__ = ["DataStep"]

SUFFIXES = (
    ".trr", ".xtc", ".tng", ".dcd", ".nc", ".ncdf", ".h5md", ".h5", ".pdb", ".gro", ".tpr", ".prmtop", ".parm7", ".psf",
    ".lammpstrj", ".lammpstrj.gz", ".dump", ".dump.gz", ".xvg", ".csv", ".dat", ".colvar",
)  # fmt: skip
MOST_FILES = 400
UNIT_WORDS = {
    "gromacs": "nm, ps, kJ/mol", "real": "Å, fs, kcal/mol", "metal": "Å, ps, eV", "electron": "Bohr, fs, Hartree",
    "amber": "Å, ps/20.455, kcal/mol", "si": "m, s, J", "cgs": "cm, s, erg", "micro": "µm, µs, pg", "nano": "nm, ns, ag",
    "lj": "nm, u, kJ/mol for σ, m, ε",
}  # fmt: skip
MOST_FRAMES = 2**53  # "to the end", as a whole number that JSON and a page can hold


class DataStep(Step):
    """Demo or files, what is in them, and the bar of whatever takes long.

    Parameters
    ----------
    session : Session
    folder : Path
        Files are offered from here and below, and opened from nowhere else.
    """

    def __init__(self, session, folder=None):
        super().__init__(session, 1, "Data", "Positions, velocities and forces of all atoms over time", ("data",))
        self.follows = (*self.names, "checks", "theta")
        from ...simulate.demo import demos

        self._misread = ""
        self.folder = Path.cwd() if folder is None else Path(folder)
        names = list(demos())
        options = [(f"demo: {name}", f"demo:{name}") for name in names] + [("my files …", "files")]
        if session.data_in_memory is not None:
            options.insert(0, ("data in memory", "given"))
        self.kind = widgets.Dropdown(options=options, layout={"width": "100%"})
        self.kind.tooltip = "Where the data come from"
        self.files = widgets.Combobox(
            placeholder="trajectory file",
            options=tuple(self._offered()),
            continuous_update=False,
            layout={"width": "100%"},
        )
        self.topology = widgets.Combobox(
            placeholder="topology (TPR, PRMTOP, PSF, GRO, PDB); optional",
            options=self.files.options,
            continuous_update=False,
            layout={"width": "100%"},
        )
        self.units = widgets.Dropdown(
            options=[
                ("file's units", ""),
                *((f"{name} ({UNIT_WORDS[name]})", name) for name in (*ENGINE_UNITS, "lj")),
            ],
            layout={"width": "32%"},
        )
        self.units.tooltip = "Units of the numbers, where the file does not say (LAMMPS, columns)"
        self.step = labelled_field("Δt (ps)", "file's", "Time between frames; empty: what the file says", "32%")
        self.mass = labelled_field(
            "m (u)", "file's", "Mass of the nanoparticle, for a series file that does not say it", "31%", "36px"
        )
        self.chooser = widgets.VBox(
            [
                self.files,
                self.topology,
                widgets.HBox([self.units, self.step, self.mass], layout={"justify_content": "space-between"}),
            ]
        )
        self.live = LivePanel(session, self.folder)
        self.frames = labelled_field(
            "frames",
            "all; or start : stop",
            "Which frames are used, counted from 0: start : stop : step, as of a slice; empty: all",
            "58%",
        )
        linked(session, "frames", self.frames, self._frames_of, _frames_text)
        self.temperature = labelled_field(
            "T (K)", "measured", "Temperature; empty: measured from the velocities", "40%"
        )
        linked(session, "temperature", self.temperature, self._temperature_of, text_of)
        self.facts = widgets.HTML()
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout={"width": "100%", "height": "10px"})
        self.bar_text = widgets.HTML()
        self.stop = widgets.Button(
            description="Cancel", tooltip="Stop what is being computed", layout={"width": "72px"}
        )
        self.stop.on_click(lambda _button: session.cancel())
        self.again = widgets.Button(
            description="Retry", tooltip="Start what was stopped again", layout={"width": "72px"}
        )
        self.again.on_click(lambda _button: session.retry())
        self.work = widgets.VBox(
            [self.bar, widgets.HBox([self.bar_text, self.stop], layout={"justify_content": "space-between"})]
        )
        self.body.children = [
            self.kind, self.chooser, self.live.box, self.facts,
            widgets.HBox([self.frames, self.temperature], layout={"justify_content": "space-between"}),
            self.work, self.again,
        ]  # fmt: skip
        self._syncing = False
        self._shown_data = None
        self.kind.observe(self._chosen, "value")
        self.files.observe(self._file_chosen, "value")
        for control in (self.topology, self.units, self.step, self.mass):
            control.observe(self._file_chosen, "value")
        session.observe(lambda _change: self._follow(), "source")
        self._follow()
        self.refresh()

    def _offered(self):
        """Names of files below the folder that look like data."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self.folder).parts)
            if not hidden and path.name.lower().endswith(SUFFIXES) and path.is_file():
                found.append(str(path.relative_to(self.folder)))
            if len(found) >= MOST_FILES:
                break
        return found

    def _follow(self):
        """Show what the session's source is."""
        source = self.session.source
        kind = source.get("kind")
        value = f"demo:{source.get('name')}" if kind == "demo" else kind
        self._syncing = True
        try:
            if value in [option for _, option in self.kind.options]:
                self.kind.value = value
            if kind == "files":
                self.files.value = ", ".join(self._shown(file) for file in source.get("files", ()))
                self.topology.value = self._shown(source.get("topology") or "")
                self.units.value = source["units"] if source.get("units") in UNIT_WORDS else ""
                self.step.value, self.mass.value = text_of(source.get("timestep")), text_of(source.get("mass"))
        finally:
            self._syncing = False
        self.chooser.layout.display = "" if self.kind.value == "files" else "none"
        self.live.follow()

    def _frames_of(self, text):
        """What was typed as [start, stop, step]; what cannot be understood is said, and changes nothing."""
        chosen = _parsed_frames(text)
        self._misread = (
            "" if chosen is not None else f"Frames are start : stop : step, such as 1000 : 5000 : 2; got {text!r}."
        )
        self.refresh()
        return self.session.frames if chosen is None else chosen

    def _temperature_of(self, text):
        value, self._misread = _positive(text, "T", "K")
        self.refresh()
        return self.session.temperature if self._misread else value

    def _shown(self, file):
        path = Path(file)
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(file)

    def _chosen(self, _change):
        self.chooser.layout.display = "" if self.kind.value == "files" else "none"
        if self._syncing:
            return
        if self.kind.value == "given":
            self.session.source = {"kind": "given"}
        elif self.kind.value.startswith("demo:"):
            self.session.choose(source={"kind": "demo", "name": self.kind.value[5:]}, selection="")
        elif self.files.value:
            self._file_chosen(None)

    def _file_chosen(self, _change):
        if self._syncing or not self.files.value.strip():
            return
        files = [str(self._inside(name.strip())) for name in self.files.value.split(",") if name.strip()]
        source = {"kind": "files", "files": files}
        if self.topology.value.strip():
            source["topology"] = str(self._inside(self.topology.value.strip()))
        before, said = self.session.source, []
        for key, control, name, unit in (("timestep", self.step, "Δt", "ps"), ("mass", self.mass, "m", "u")):
            value, misread = _positive(control.value, name, unit)
            source[key] = before.get(key) if misread else value
            said.append(misread)
        # reduced units with σ, m and ε of their own have no name here: they stay until others are picked
        source["units"] = self.units.value or (before.get("units") if isinstance(before.get("units"), dict) else None)
        self._misread = next(filter(None, said), "")
        self.session.source = {name: value for name, value in source.items() if value}
        self.refresh()

    def _inside(self, name):
        """The path of a file the user typed. One that lies elsewhere is refused where it is opened, in a sentence."""
        return (self.folder / name).resolve()

    def refresh(self):
        """Show what is in the data, and how far the work is."""
        data = self.session.latest("data") if self.session.state("data").status == "fresh" else None
        if data is not self._shown_data:
            self._shown_data = data
            self.facts.value = "" if data is None else _facts(data)
        report = self.session.latest("checks") if self.session.state("checks").status == "fresh" else None
        found = report.notices if report is not None else getattr(data, "notices", ()) or getattr(data, "warnings", ())
        series = self.session.latest("series")
        if series is not None:
            self.temperature.placeholder = format_value(series.temperature, None) if series.temperature else "measured"
        self.tell(found)
        if self._misread:
            self.message.value = f"<div class='ama-error'>{html.escape(self._misread)}</div>"
        self.live.refresh()

    def show_work(self, state, title):
        """The progress bar: a `State` that is being worked on, or None."""
        stopped = any(self.session.state(name).status == "cancelled" for name in self.session.results)
        show(self.work, state is not None)
        show(self.again, stopped)
        if state is not None:
            self.bar.value = state.fraction
            self.bar_text.value = f"<span class='ama-quiet'>{html.escape(state.message or title)}</span>"


def _positive(text, name, unit):
    """The number typed, None for an empty field, and what to say where it is no positive one (else nothing)."""
    value = number_of(text)
    if not text.strip() or (value is not None and 0.0 < value < float("inf")):
        return value, ""
    return None, f"{name} is a positive number of {unit}, or empty; got {text!r}."


def _parsed_frames(text):
    """``start : stop : step`` as a list of three whole numbers, [] for all frames, None where it is something else."""
    parts = [part.strip() for part in text.replace("…", ":").replace("..", ":").split(":")]
    if parts == [""]:
        return []
    try:
        numbers = [int(part) if part else None for part in parts]
    except ValueError:
        return None
    if not 2 <= len(numbers) <= 3:
        return None
    start, stop, step = [*numbers, None][:3]
    return [start or 0, MOST_FRAMES if stop is None else stop, 1 if step is None else step]


def _frames_text(chosen):
    if not chosen:
        return ""
    start, stop, step = chosen
    return f"{start} : {'' if stop == MOST_FRAMES else stop}" + (f" : {step}" if step != 1 else "")


def _facts(data):
    """What is in the data, in two short lines."""
    step = data.timestep
    spacing = f"{data.n_frames:,} × {step:.4g} ps" if step == step else f"{data.n_frames:,} frames, uneven,"
    atoms = f"{data.n_atoms:,} atoms · " if getattr(data, "n_atoms", None) else ""
    if hasattr(data, "frames_with"):
        names, have = ("positions", "velocities", "forces"), lambda name: getattr(data, name) is not None
    else:
        names, have = ("centre_of_mass", "momentum", "net_force"), data.has
    words = [
        html.escape(name.replace("_", " ")) if have(name) else f"<b>no {html.escape(name.replace('_', ' '))}</b>"
        for name in names
    ]
    return f"<div>{atoms}{spacing} = {data.duration:,.4g} ps</div><div class='ama-quiet'>{', '.join(words)}</div>"
