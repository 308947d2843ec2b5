"""All estimators of a coefficient side by side, with their error bars around the chosen one."""

import numpy as np
from bokeh.models import BoxAnnotation, ColumnDataSource, FactorRange, Range1d, Whisker

from .style import COLOURS, hover, new_figure

__all__ = ["EstimatorsPlot"]

COLUMNS = ("value", "label", "meaning", "low", "high", "std", "window", "colour")
QUANTITIES = {"gamma": ("γ", "u² nm²/ps", "(28)"), "theta": ("εθ", "u² nm²/ps³", "(55)")}


class EstimatorsPlot:
    """One row per estimator: its value and standard error; the band is the chosen value."""

    def __init__(self, compact=False):
        self.root = new_figure("Estimators", "γ", "", compact=compact, y_range=FactorRange(factors=["none"]))
        self.source = ColumnDataSource({name: [] for name in COLUMNS})
        self.band = BoxAnnotation(fill_color=COLOURS["sky"], fill_alpha=0.18, line_color=None, visible=False)
        self.root.add_layout(self.band)
        bars = Whisker(
            base="label", lower="low", upper="high", source=self.source, dimension="width", line_color="colour"
        )
        bars.upper_head = bars.lower_head = None
        self.root.add_layout(bars)
        points = self.root.scatter("value", "label", source=self.source, size=9, color="colour", line_color="white")
        self.tool = hover(self.root, [points], [])
        self.root.x_range = Range1d(0.0, 1.0)
        self.root.ygrid.visible = False

    def update(self, table, coefficient=None, kind="gamma"):
        """Draw a table of estimators (`Correlations.table`) for ``"gamma"`` or ``"theta"``, and the chosen result."""
        symbol, unit, equation = QUANTITIES[kind]
        key = "gamma" if kind == "gamma" else "theta_raw"
        rows = [row for row in table or () if np.isfinite(row.get(key) or np.nan)]
        chosen = None if coefficient is None else coefficient.estimator
        values = np.array([row[key] for row in rows], dtype=float)
        std = np.nan_to_num(np.array([row.get(f"{key}_std") or 0.0 for row in rows], dtype=float))
        # the short names; what they mean is told under the mouse
        self.root.y_range.factors = [row["estimator"] for row in reversed(rows)] or ["none"]
        self.source.data = {
            "value": values,
            "label": [row["estimator"] for row in rows],
            "meaning": [row["label"] for row in rows],
            "low": values - std,
            "high": values + std,
            "std": std,
            "window": [row.get(f"{kind}_window") or np.nan for row in rows],
            "colour": [COLOURS["vermilion"] if row["estimator"] == chosen else COLOURS["blue"] for row in rows],
        }
        self.root.title.text = f"{symbol} by every estimator"
        self.root.xaxis.axis_label = f"{symbol} ({unit})"
        self.tool.tooltips = [
            ("estimator", "@meaning"),
            (symbol, f"@value{{0.000 a}} ± @std{{0.000 a}} {unit}"),
            ("window", "@window{0.00} ps"),
            ("equation", equation),
        ]
        self.band.visible = coefficient is not None
        if coefficient is not None:
            at, error = coefficient.isotropic_raw, np.nan_to_num(coefficient.isotropic_raw_std)
            self.band.update(left=float(at - error), right=float(at + error))
        if len(rows):
            low, high = min(0.0, float((values - std).min())), float((values + std).max())
            self.root.x_range.update(start=low, end=high + 0.06 * (high - low or 1.0))
