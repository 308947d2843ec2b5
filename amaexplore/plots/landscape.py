"""What follows from the equation of the density: free energy, relaxation modes, passage times."""

import numpy as np
from bokeh.models import ColumnDataSource, Range1d, Span

from ..units import thermal_energy
from .densities import EQUATIONS, cell_centres, occupied
from .style import COLOURS, finish_legend, hover, new_figure

__all__ = ["FreeEnergyPlot", "ModesPlot", "PassagePlot"]

HIGHEST = 12.0  # k_BT drawn above the lowest
LINES = {"smoluchowski": ("vermilion", "solid"), "fokker-planck": ("purple", "dashed")}


class FreeEnergyPlot:
    """−k_BT ln W̃ at the time of the cursor, and where it is going: that of the equilibrium."""

    def __init__(self, compact=False):
        self.root = new_figure("Free-energy profile −k_BT ln W̃", "R (nm)", "−k_BT ln W̃ (kJ/mol)", compact=compact)
        self.equilibrium = ColumnDataSource({"R": [], "A": []})
        lines = [
            self.root.line(
                "R", "A", source=self.equilibrium, color=COLOURS["grey"], line_width=2, line_dash="dotted",
                legend_label="equilibrium",
            )
        ]  # fmt: skip
        self.now = {}
        for name, (colour, dash) in LINES.items():
            self.now[name] = ColumnDataSource({"R": [], "A": []})
            lines.append(
                self.root.line(
                    "R", "A", source=self.now[name], color=COLOURS[colour], line_width=2.2, line_dash=dash,
                    legend_label=EQUATIONS[name],
                )
            )  # fmt: skip
        hover(
            self.root,
            lines,
            [("R", "@R{0.000} nm"), ("−k_BT ln W̃", "@A{0.00} kJ/mol"), ("equilibrium", "∫ −f^th dR, text below (22)")],
        )
        self.root.x_range = Range1d(0.0, 1.0)
        self.root.y_range = Range1d(0.0, 1.0)
        finish_legend(self.root, "top_center")
        self.root.legend[0].orientation = "horizontal"
        self._energies = {}

    def update(self, densities, equilibrium=None):
        """Take `ReducedDensity` objects by regime, and the equilibrium density on the cells of the first, or None."""
        found = {name: density for name, density in densities.items() if density is not None}
        self._energies = {}
        for name, source in self.now.items():
            if name not in found:
                source.data = {"R": [], "A": []}
        for item, name in zip(self.root.legend[0].items, ("equilibrium", *self.now)):
            item.visible = name in found or (name == "equilibrium" and equilibrium is not None)
        if not found:
            self.equilibrium.data = {"R": [], "A": []}
            self.root.title.text = "Free-energy profile: not there yet"
            return
        first = next(iter(found.values()))
        energy = thermal_energy(first.temperature)
        for name, density in found.items():
            self._energies[name] = (density.times, cell_centres(density), _energy(density.values, energy))
        ends = [occupied(cell_centres(density), np.asarray(density.values)) for density in found.values()]
        self.root.x_range.update(start=min(end[0] for end in ends), end=max(end[1] for end in ends))
        self.root.y_range.update(start=-0.5 * energy, end=1.3 * HIGHEST * energy)
        profile = np.zeros(0) if equilibrium is None else _energy(equilibrium[None], energy)[0]
        places = cell_centres(first) if len(profile) else profile
        self.equilibrium.data = {"R": places, "A": profile}

    def show_time(self, time):
        """Draw the profiles of one time, ps."""
        for name, (times, places, energies) in self._energies.items():
            self.now[name].data = {"R": places, "A": energies[int(np.argmin(np.abs(times - time)))]}
        if self._energies:
            self.root.title.text = f"Free energy −k_BT ln W̃ at {time:.4g} ps"


def _energy(values, thermal):
    """−k_BT ln W above its lowest value in each row; NaN where W is too small to be drawn."""
    relative = values / values.max(axis=1, keepdims=True)
    safe = np.where(relative > np.exp(-HIGHEST), relative, np.nan)
    return -thermal * np.log(safe)


class ModesPlot:
    """The slowest modes of equation (29): shapes in which what is not equilibrium decays."""

    COLOURS = ("blue", "vermilion", "green", "orange")

    def __init__(self, compact=False):
        self.root = new_figure("Relaxation modes of (29)", "R (nm)", "φ (1/nm)", compact=compact)
        self.sources, lines = [], []
        for name in self.COLOURS:
            source = ColumnDataSource({"R": [], "phi": [], "rate": [], "time": []})
            self.sources.append(source)
            lines.append(
                self.root.line("R", "phi", source=source, color=COLOURS[name], line_width=1.8, legend_label=name)
            )
        rows = [("R", "@R{0.000} nm"), ("φ", "@phi{0.0000} 1/nm"), ("rate λ", "@rate{0.0000 a} 1/ps")]
        hover(self.root, lines, [*rows, ("1/λ", "@time{0.00 a} ps"), ("equation", "(29)")])
        self.root.x_range = Range1d(0.0, 1.0)
        finish_legend(self.root)

    def update(self, rates, modes, positions):
        """Draw modes, shape (k, n_cells), with their rates in 1/ps; or nothing (rates None)."""
        n = 0 if rates is None else min(len(rates), len(self.sources))
        for k, (source, item) in enumerate(zip(self.sources, self.root.legend[0].items)):
            item.visible = k < n
            if k >= n:
                source.data = {key: [] for key in source.data}
                continue
            time = 1.0 / rates[k] if rates[k] > 0.0 else np.inf
            source.data = {
                "R": positions,
                "phi": modes[k],
                "rate": np.full(len(positions), rates[k]),
                "time": np.full(len(positions), time),
            }
            item.label = {"value": f"1/λ = {time:.3g} ps"}
        if n:
            self.root.x_range.update(start=float(positions[0]), end=float(positions[-1]))
        self.root.title.text = "Relaxation modes of (29)" + ("" if n else ": need the Smoluchowski equation")


class PassagePlot:
    """Mean first-passage times to a place that can be dragged; where W̃ begins is shaded."""

    def __init__(self, compact=False):
        self.root = new_figure("Mean first-passage time", "start R (nm)", "time to the place (ps)", compact=compact)
        self.source = ColumnDataSource({"R": [], "time": []})
        line = self.root.line("R", "time", source=self.source, color=COLOURS["blue"], line_width=2)
        self.start = ColumnDataSource({"R": [], "height": []})
        self.root.varea(x="R", y1=0.0, y2="height", source=self.start, fill_color=COLOURS["grey"], fill_alpha=0.25)
        self.target = Span(
            dimension="height", location=0.0, line_color=COLOURS["vermilion"], line_width=2, editable=True,
            hover_line_color=COLOURS["blue"], tags=["live"], visible=False,
        )  # fmt: skip
        self.root.add_layout(self.target)
        hover(self.root, [line], [("start", "@R{0.000} nm"), ("mean time", "@time{0.00 a} ps"), ("equation", "(29)")])
        self.root.x_range = Range1d(0.0, 1.0)
        self.root.y_range = Range1d(0.0, 1.0)

    def update(self, passage, prediction=None):
        """Draw a `FirstPassage` and the initial density of its prediction; or ask for a place (passage None)."""
        if prediction is not None:
            grid, start = prediction.equation.grid, prediction.initial_values
            self.root.x_range.update(start=float(grid.lower), end=float(grid.upper))
        if passage is None:
            self.source.data = {"R": [], "time": []}
            self.start.data = {"R": [], "height": []}
            ask = prediction is not None
            self.target.visible = ask
            if ask:
                self.target.location = float(grid.centres[int(0.75 * grid.n_cells)])
            self.root.title.text = "First passage: drag the red line" if ask else "First passage: needs equation (29)"
            return
        self.source.data = {"R": passage.positions, "time": passage.times}
        top = float(passage.times.max()) or 1.0
        self.start.data = {"R": passage.positions, "height": 0.3 * top * start / start.max()}
        self.target.update(location=passage.target, visible=True)
        self.root.y_range.update(start=0.0, end=1.08 * top)
        error = f" ± {passage.mean_std:.2g}" if np.isfinite(passage.mean_std) else ""
        self.root.title.text = f"To R = {passage.target:.4g} nm: {passage.mean:.4g}{error} ps on average"
