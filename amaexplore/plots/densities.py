"""The reduced density: profiles at some times, the map over position and time, the phase space."""

import numpy as np
from bokeh.models import Band, ColorBar, ColumnDataSource, LinearColorMapper, Range1d, Span

from .sketch import Sketch
from .style import COLOURS, finish_legend, hover, new_figure, palette, shades

__all__ = ["DensityLines", "DensityMap", "PhaseSpacePlot"]

N_PROFILES = 6
EQUATIONS = {"smoluchowski": "Smoluchowski (29)", "fokker-planck": "Fokker-Planck (56)"}
EMPTY = 1e-4  # of the highest density: what is lower is not worth drawing


def occupied(centres, values):
    """Ends of the region where anything happens, for the plots to look at."""
    high = values.max()
    if not high > 0:
        return float(centres[0]), float(centres[-1])
    seen = np.flatnonzero((values > EMPTY * 10 * high).any(axis=0))
    margin = 0.04 * (centres[seen[-1]] - centres[seen[0]] or 1.0)
    return (
        float(max(centres[0], centres[seen[0]] - margin)),
        float(min(centres[-1], centres[seen[-1]] + margin)),
    )


def cell_centres(density):
    """Centres of the cells along the first axis, nm."""
    grid = density.grid[0] if isinstance(density.grid, tuple) else density.grid
    return np.asarray(grid.centres)


class DensityLines:
    """W̃ against R at a few times from dark to light, and at the time of the cursor in bold."""

    def __init__(self, compact=False):
        self.root = new_figure("W̃(R, t)", "R (nm)", "W̃ (1/nm)", compact=compact)
        self.source = {}
        self.now = {}
        self.histogram = ColumnDataSource({"left": [], "right": [], "top": []})
        self.root.quad(
            left="left", right="right", top="top", bottom=0, source=self.histogram, fill_color=COLOURS["grey"],
            fill_alpha=0.25, line_color=None, legend_label="simulation",
        )  # fmt: skip
        self.bands = {name: ColumnDataSource({"R": [], "low": [], "high": []}) for name in EQUATIONS}
        for name, source in self.bands.items():
            colour = COLOURS["vermilion"] if name == "smoluchowski" else COLOURS["purple"]
            band = Band(base="R", lower="low", upper="high", source=source, fill_color=colour, fill_alpha=0.22)
            band.line_alpha = 0
            self.root.add_layout(band)
        lines = []
        for name, dash in (("smoluchowski", "solid"), ("fokker-planck", "dashed")):
            self.source[name] = ColumnDataSource({"R": [], "W": [], "colour": [], "time": []})
            lines.append(
                self.root.multi_line(
                    "R", "W", source=self.source[name], color="colour", line_width=1.4, line_dash=dash, alpha=0.85
                )
            )
            self.now[name] = ColumnDataSource({"R": [], "W": []})
            colour = COLOURS["vermilion"] if name == "smoluchowski" else COLOURS["purple"]
            self.root.line(
                "R",
                "W",
                source=self.now[name],
                color=colour,
                line_width=2.6,
                line_dash=dash,
                legend_label=EQUATIONS[name],
            )
        hover(
            self.root,
            lines,
            [("R", "$x{0.000} nm"), ("W̃", "$y{0.0000} 1/nm"), ("t", "@time{0.00} ps")],
            line_policy="nearest",
        )
        self.other = ColumnDataSource({"R": [], "W": []})
        self.root.line(
            "R", "W", source=self.other, color=COLOURS["green"], line_width=2, line_dash="dotdash",
            legend_label="(56), other mass",
        )  # fmt: skip
        self.root.x_range = Range1d(0.0, 1.0)
        self.root.y_range = Range1d(0.0, 1.0)
        self.sketch = Sketch(self.root)
        finish_legend(self.root)
        self._densities, self._fans, self._ladder, self._factor = {}, {}, None, None
        self._legend("simulation", False)
        self._legend("(56), other mass", False)

    def _legend(self, label, shown):
        for item in self.root.legend[0].items:
            if item.label["value"].startswith(label):
                item.visible = shown
                return item
        raise KeyError(label)

    def update(self, densities):
        """Draw `ReducedDensity` objects by regime (missing or None: not asked for)."""
        self._densities = {name: density for name, density in densities.items() if density is not None}
        ends, top = [], 0.0
        for name, source in self.source.items():
            density = self._densities.get(name)
            if density is None:
                source.data = {"R": [], "W": [], "colour": [], "time": []}
                self.now[name].data = {"R": [], "W": []}
                continue
            centres, values = cell_centres(density), np.asarray(density.values)
            chosen = self._times(len(values))
            source.data = {
                "R": [centres] * len(chosen),
                "W": [values[index] for index in chosen],
                "colour": shades(len(chosen)),
                "time": [float(density.times[index]) for index in chosen],
            }
            ends.append(occupied(centres, values))
            # the first instants of a narrow start would press everything else to the floor
            top = max(top, float(np.sort(values.max(axis=1))[-max(2, len(values) // 20)]))
        for name in self.source:
            self._legend(EQUATIONS[name], name in self._densities)
        if ends:
            self.root.x_range.update(start=min(e[0] for e in ends), end=max(e[1] for e in ends))
            self.root.y_range.update(start=0.0, end=1.1 * top)

    @staticmethod
    def _times(n):
        """Indices of the profiles: geometric, since things happen early."""
        last = n - 1
        if last < N_PROFILES:
            return np.arange(n)
        return np.unique(
            np.concatenate([[0], np.geomspace(max(1, last // 24), last, N_PROFILES - 1)]).round().astype(int)
        )

    def show_time(self, time):
        """Draw the profiles of one time (ps) in bold."""
        for name, source in self.now.items():
            density = self._densities.get(name)
            if density is None:
                continue
            index = int(np.argmin(np.abs(np.asarray(density.times) - time)))
            source.data = {"R": cell_centres(density), "W": np.asarray(density.values)[index]}
            self._show_fan(name, index)
        self._show_other(time)
        if self._densities:
            self.root.title.text = f"W̃(R, t) at t = {time:.4g} ps"

    def take_fans(self, fans):
        """Errors of the densities, a `DensityFan` by regime, drawn as a band of one standard deviation."""
        self._fans = dict(fans or {})
        for name, source in self.bands.items():
            if name not in self._fans:
                source.data = {"R": [], "low": [], "high": []}

    def _show_fan(self, name, index):
        fan, density = self._fans.get(name), self._densities[name]
        if fan is None or fan.values_std.shape != density.values.shape:
            self.bands[name].data = {"R": [], "low": [], "high": []}
            return
        value, std = density.values[index], fan.values_std[index]
        self.bands[name].data = {
            "R": cell_centres(density),
            "low": np.maximum(value - std, 0.0),
            "high": value + std,
        }

    def take_masses(self, ladder, factor):
        """A `MassLadder`, of which the density for one factor of the mass is drawn; None: nothing."""
        self._ladder, self._factor = ladder, factor

    def _show_other(self, time):
        ladder, factor = self._ladder, self._factor
        shown = ladder is not None and factor is not None and factor != 1.0
        item = self._legend("(56), ", shown)
        if not shown:
            self.other.data = {"R": [], "W": []}
            return
        item.label = {"value": f"(56), {factor:g} × the mass"}
        k = int(np.argmin(np.abs(np.log(ladder.factors / factor))))
        index = int(np.argmin(np.abs(ladder.times - time)))
        self.other.data = {"R": ladder.positions, "W": ladder.fokker_planck[k, index]}

    def show_histogram(self, edges=(), heights=(), words="simulation"):
        """Bars behind the curves, 1/nm: what the simulation itself did; without edges none."""
        self.histogram.data = {"left": edges[:-1], "right": edges[1:], "top": heights}
        self._histogram_item.visible = len(edges) > 0
        self._histogram_item.label = {"value": words}

    @property
    def _histogram_item(self):
        # the bars were put on first
        return self.root.legend[0].items[0]


class DensityMap:
    """W̃ over time and position as a heat map, with mean ± standard deviation and the time cursor."""

    def __init__(self, compact=False):
        self.root = new_figure("W̃(R, t)", "time (ps)", "R (nm)", compact=compact)
        self.mapper = LinearColorMapper(palette=palette(), low=0.0, high=1.0)
        self.source = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        image = self.root.image(
            "image", x="x", y="y", dw="dw", dh="dh", source=self.source, color_mapper=self.mapper, level="image"
        )
        self.paths, self._paths = ColumnDataSource({"t": [], "R": []}), None
        self.root.multi_line("t", "R", source=self.paths, line_color=COLOURS["orange"], line_width=0.8, line_alpha=0.75)
        self.track = ColumnDataSource({"t": [], "mean": [], "low": [], "high": []})
        for column, dash in (("mean", "solid"), ("low", "dotted"), ("high", "dotted")):
            self.root.line("t", column, source=self.track, color="white", line_width=1.4, line_dash=dash)
        self.cursor = Span(
            dimension="height", location=0.0, line_color=COLOURS["vermilion"], line_width=2, editable=True,
            hover_line_color="white", tags=["live"], visible=False,
        )  # fmt: skip
        self.root.add_layout(self.cursor)
        self.root.add_layout(
            ColorBar(color_mapper=self.mapper, width=8, padding=3, title="1/nm", title_text_font_size="10px",
                     title_text_font_style="normal", major_label_text_font_size="9.5px", label_standoff=4),
            "right",
        )  # fmt: skip
        self.root.grid.visible = False
        self.root.x_range = Range1d(0.0, 1.0)
        self.root.y_range = Range1d(0.0, 1.0)
        hover(self.root, [image], [("t", "$x{0.00} ps"), ("R", "$y{0.000} nm"), ("W̃", "@image{0.0000} 1/nm")])

    def update(self, density, regime="smoluchowski"):
        """Draw a `ReducedDensity` in one dimension, or nothing."""
        if density is None:
            self.source.data = {key: [] for key in self.source.data}
            self.track.data = {key: [] for key in self.track.data}
            self.cursor.visible = False
            self.root.title.text = "W̃(R, t): not there yet"
            return
        centres, values, times = cell_centres(density), np.asarray(density.values), np.asarray(density.times)
        width = centres[1] - centres[0]
        low, high = centres[0] - 0.5 * width, centres[-1] + 0.5 * width
        self.source.data = {
            "image": [np.ascontiguousarray(values.T, dtype=np.float32)],
            "x": [float(times[0])],
            "y": [float(low)],
            "dw": [float(times[-1] - times[0])],
            "dh": [float(high - low)],
        }
        self.mapper.update(low=0.0, high=float(np.sort(values.max(axis=1))[-max(2, len(values) // 8)]))
        mean, std = np.asarray(density.mean), np.sqrt(np.asarray(density.variance))
        self.track.data = {"t": times, "mean": mean, "low": mean - std, "high": mean + std}
        start, end = occupied(centres, values)
        self.root.x_range.update(start=float(times[0]), end=float(times[-1]))
        self.root.y_range.update(start=start, end=end)
        self.root.title.text = f"W̃(R, t), {EQUATIONS[regime]}"

    def take_paths(self, paths):
        """`SamplePaths` along one axis, drawn over the density; None: nothing."""
        if paths is self._paths:
            return
        self._paths = paths
        if paths is None:
            self.paths.data = {"t": [], "R": []}
            return
        positions = np.array(paths.positions[:, :, 0])
        if paths.grid.periodic:
            # what leaves at one end and comes back at the other does not cross the picture
            jumps = np.abs(np.diff(positions, axis=0, prepend=positions[:1])) > 0.5 * paths.grid.length
            positions[jumps] = np.nan
        self.paths.data = {"t": [paths.times] * positions.shape[1], "R": list(positions.T)}

    def show_time(self, time):
        """Put the time cursor at ``time`` (ps)."""
        self.cursor.update(location=float(time), visible=True)


class PhaseSpacePlot:
    """W̃(R, P) of the Fokker-Planck equation at one time."""

    def __init__(self, compact=False):
        self.root = new_figure("Phase space W̃(R, P)", "R (nm)", "P (u nm/ps)", compact=compact)
        self.mapper = LinearColorMapper(palette=palette(), low=0.0, high=1.0)
        self.source = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        image = self.root.image(
            "image", x="x", y="y", dw="dw", dh="dh", source=self.source, color_mapper=self.mapper, level="image"
        )
        self.root.grid.visible = False
        self.root.x_range = Range1d(0.0, 1.0)
        self.root.y_range = Range1d(0.0, 1.0)
        hover(
            self.root,
            [image],
            [("R", "$x{0.000} nm"), ("P", "$y{0.0} u nm/ps"), ("W̃", "@image{0.00000}"), ("equation", "(56)")],
        )
        self.marginal_position = ColumnDataSource({"R": [], "W": [], "zero": []})
        self.marginal_momentum = ColumnDataSource({"P": [], "W": [], "zero": []})
        self.root.extra_y_ranges = {"marginal": Range1d(0.0, 1.0)}
        self.root.extra_x_ranges = {"marginal": Range1d(0.0, 1.0)}
        lower = {"source": self.marginal_position, "y_range_name": "marginal"}
        left = {"source": self.marginal_momentum, "x_range_name": "marginal"}
        self.root.varea(x="R", y1="zero", y2="W", fill_color="white", fill_alpha=0.25, **lower)
        self.root.harea(y="P", x1="zero", x2="W", fill_color="white", fill_alpha=0.25, **left)
        position = self.root.line("R", "W", line_color="white", line_width=1.6, **lower)
        momentum = self.root.line("W", "P", line_color="white", line_width=1.6, line_dash="dashed", **left)
        hover(self.root, [position], [("R", "@R{0.000} nm"), ("∫W̃ dP", "@W{0.0000} 1/nm")])
        hover(self.root, [momentum], [("P", "@P{0.0} u nm/ps"), ("∫W̃ dR", "@W{0.000000} ps/(u nm)")])
        self._density = None

    def update(self, density):
        """Take a `PhaseSpaceDensity`, or nothing."""
        self._density = density
        if density is None:
            for source in (self.source, self.marginal_position, self.marginal_momentum):
                source.data = {key: [] for key in source.data}
            self.root.title.text = "Phase space: needs the Fokker-Planck regime"
            return
        position, momentum = (np.asarray(grid.centres) for grid in (density.grid, density.momentum_grid))
        values = np.asarray(density.values)
        start, end = occupied(position, values.sum(axis=2))
        bottom, top = occupied(momentum, values.sum(axis=1))
        self.root.x_range.update(start=start, end=end)
        self.root.y_range.update(start=bottom, end=top)
        self._position, self._momentum = position, momentum

    def show_time(self, time):
        """Draw the phase space at ``time`` (ps)."""
        if self._density is None:
            return
        density, position, momentum = self._density, self._position, self._momentum
        index = int(np.argmin(np.abs(np.asarray(density.times) - time)))
        values = np.asarray(density.values)[index]
        step_r, step_p = position[1] - position[0], momentum[1] - momentum[0]
        self.source.data = {
            "image": [np.ascontiguousarray(values.T, dtype=np.float32)],
            "x": [float(position[0] - 0.5 * step_r)],
            "y": [float(momentum[0] - 0.5 * step_p)],
            "dw": [float(step_r * len(position))],
            "dh": [float(step_p * len(momentum))],
        }
        along_r, along_p = values.sum(axis=1) * step_p, values.sum(axis=0) * step_r
        # marginals stand on the lower and the left edge and take a quarter of the picture
        zero_r, zero_p = np.zeros_like(position), np.zeros_like(momentum)
        self.marginal_position.data = {"R": position, "W": along_r, "zero": zero_r}
        self.marginal_momentum.data = {"P": momentum, "W": along_p, "zero": zero_p}
        self.root.extra_y_ranges["marginal"].update(start=0.0, end=4.0 * (float(along_r.max()) or 1.0))
        self.root.extra_x_ranges["marginal"].update(start=0.0, end=4.0 * (float(along_p.max()) or 1.0))
        self.mapper.update(low=0.0, high=float(values.max()) or 1.0)
        self.root.title.text = f"Phase space W̃(R, P) at t = {time:.4g} ps"
