"""How equations (29) and (56) approach each other when the particle is heavier or lighter."""

import numpy as np
from bokeh.models import ColumnDataSource, Span

from ..regime import SMALL
from .style import COLOURS, finish_legend, hover, new_figure

__all__ = ["MassPlot"]

SMALLEST = 1e-6


class MassPlot:
    """Against ε: the distance of the two densities at the cursor, and the ratios of times that decide."""

    def __init__(self, compact=False):
        self.root = new_figure(
            "Heavier or lighter", "ε = m̂/m (heavy ← → light)", "ratio (–)", compact=compact,
            x_axis_type="log", y_axis_type="log",
        )  # fmt: skip
        names = ("epsilon", "factor", "distance", "fast", "memory", "tau")
        self.source = ColumnDataSource({name: [] for name in names})
        rows = [
            ("ε", "@epsilon{0.0000 a}, @factor{0.[0000]} × the mass"),
            ("½∫|W̃₅₆ − W̃₂₉| dR", "@distance{0.00000}"),
            ("τ_P", "@tau{0.00 a} ps"),
            ("τ_P/τ_R or τ_K/τ_R", "@fast{0.0000}"),
            ("τ_K/τ_P", "@memory{0.0000}"),
        ]
        lines = []
        for column, colour, dash, label in (
            ("distance", "vermilion", "solid", "½∫|W̃₅₆ − W̃₂₉|dR"),
            ("fast", "blue", "dashed", "(29): fast/τ_R"),
            ("memory", "green", "dotdash", "(56): τ_K/τ_P"),
        ):
            style = {"source": self.source, "color": COLOURS[colour], "legend_label": label}
            lines.append(self.root.line("epsilon", column, line_width=1.8, line_dash=dash, **style))
            lines.append(self.root.scatter("epsilon", column, size=5, **style))
        hover(self.root, lines[1::2], rows)
        self.root.add_layout(
            Span(dimension="width", location=SMALL, line_color=COLOURS["grey"], line_dash="dotted", line_width=1.5)
        )
        self.real = Span(dimension="height", location=1.0, line_color=COLOURS["grey"], line_width=1, visible=False)
        self.chosen = Span(dimension="height", location=1.0, line_color=COLOURS["purple"], line_width=2, visible=False)
        self.root.add_layout(self.real)
        self.root.add_layout(self.chosen)
        finish_legend(self.root, "bottom_left")
        self._ladder = None

    def update(self, ladder, diagnosis=None, chosen=None):
        """Draw a `MassLadder`, the ratios of a `RegimeDiagnosis`, and mark the chosen factor of the mass; or nothing."""
        self._ladder, self._diagnosis = ladder, diagnosis
        if ladder is None:
            self.source.data = {name: [] for name in self.source.data}
            self.real.visible = self.chosen.visible = False
            self.root.title.text = "Heavier or lighter: press “what if” in the Regime step"
            return
        own = int(np.argmin(np.abs(np.log(ladder.factors))))
        self.real.update(location=float(ladder.epsilon[own]), visible=True)
        mark = own if chosen is None else int(np.argmin(np.abs(np.log(ladder.factors / chosen))))
        self.chosen.update(location=float(ladder.epsilon[mark]), visible=True)
        self.show_time(float(ladder.times[-1]))

    def show_time(self, time):
        """The distance at one time, ps."""
        ladder, diagnosis = self._ladder, self._diagnosis
        if ladder is None:
            return
        index = int(np.argmin(np.abs(ladder.times - time)))
        unknown = np.full(len(ladder.factors), np.nan)
        known = diagnosis is not None
        tau, fast, memory = diagnosis.with_mass(ladder.factors) if known else (ladder.tau_momentum, unknown, unknown)
        self.source.data = {
            "epsilon": ladder.epsilon,
            "factor": ladder.factors,
            # a logarithm is drawn
            "distance": np.maximum(ladder.distance[:, index], SMALLEST),
            "fast": fast,
            "memory": memory,
            "tau": tau,
        }
        self.root.title.text = f"Heavier or lighter, at t = {time:.4g} ps"
