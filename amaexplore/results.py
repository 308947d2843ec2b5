"""What every result of amaexplore can do: be printed, shown in a notebook, plotted, turned into JSON and back.

A result is a frozen dataclass; values and their standard errors stand side by side (``x`` and ``x_std``),
followed by the settings that made them and by ``warnings``.
"""

import html
import math
from dataclasses import dataclass, fields, is_dataclass

import numpy as np

from .errors import InputError, Notice

__all__ = ["Result", "format_value", "jsonable"]


def format_value(value, std=None, unit=""):
    """A number with its standard error rounded to two digits: ``(335 ± 15) u/ps``.

    Parameters
    ----------
    value, std : float
        Without a finite ``std`` four significant digits are shown and no error.
    unit : str
    """
    if value is None or not math.isfinite(value):
        return "not available"
    suffix = f" {unit}" if unit else ""
    if std is None or not math.isfinite(std) or std <= 0:
        return f"{value:.4g}{suffix}"
    exponent = math.floor(math.log10(max(abs(value), std)))
    decimals = max(0, 1 - math.floor(math.log10(std)))
    if -3 <= exponent <= 4:
        return f"({value:.{decimals}f} ± {std:.{decimals}f}){suffix}"
    scale = 10.0**exponent
    decimals = max(0, 1 - math.floor(math.log10(std / scale)))
    return f"({value / scale:.{decimals}f} ± {std / scale:.{decimals}f})e{exponent:+d}{suffix}"


def jsonable(value):
    """Plain JSON types for arrays, dataclasses, notices and non-finite numbers (which become ``None``)."""
    if isinstance(value, Notice):
        return value.to_dict()
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    return value


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Base of all results: short ``repr``, ``_repr_html_``, ``plot()``, ``to_dict()`` and ``from_dict()``."""

    def summary(self):
        """Rows ``(name, text)`` for people; subclasses name what matters most first."""
        return [
            (field.name.replace("_", " "), f"{value:.4g}")
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), int | float) and not isinstance(value, bool)
        ]

    def __repr__(self):
        rows = ", ".join(f"{name} {text}" for name, text in self.summary())
        return f"{type(self).__name__}({rows})"

    def _repr_html_(self):
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self.summary()
        )
        notices = "".join(f"<li>{html.escape(notice.message)}</li>" for notice in getattr(self, "warnings", ()))
        tail = f"<ul>{notices}</ul>" if notices else ""
        return f"<b>{type(self).__name__}</b><table>{rows}</table>{tail}"

    def plot(self, **options):
        """A Bokeh figure of this result; see `amaexplore.plots.figure_of`."""
        from .plots import figure_of

        return figure_of(self, **options)

    def to_dict(self):
        """All fields as plain JSON types; arrays become nested lists, what is not finite becomes ``None``."""
        return {field.name: jsonable(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, document):
        """The inverse of `to_dict`.

        Raises
        ------
        InputError
            ``document`` has keys this result does not know, or lacks some it needs; they are named.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(document) - known)
        if unknown:
            raise InputError(
                f"{cls.__name__}.from_dict got unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}."
            )
        try:
            return cls(**{key: _revive(key, value) for key, value in document.items()})
        except TypeError as error:
            raise InputError(f"{cls.__name__}.from_dict: the document is incomplete ({error}).") from None


def _revive(key, value):
    if key == "warnings":
        return tuple(Notice(**item) for item in value)
    if isinstance(value, list) and value and not _has_text(value):
        return np.array(_nan_for_none(value), dtype=float)
    if isinstance(value, list):
        return tuple(value)
    return value


def _has_text(value):
    if isinstance(value, list):
        return any(_has_text(item) for item in value)
    return isinstance(value, str | dict)


def _nan_for_none(value):
    if isinstance(value, list):
        return [_nan_for_none(item) for item in value]
    return float("nan") if value is None else value
