"""Printing, and JSON there and back."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from amaexplore.errors import InputError, Notice
from amaexplore.results import Result, format_value, jsonable


@dataclass(frozen=True, eq=False, repr=False)
class Speed(Result):
    """A result for these tests."""

    value: float
    value_std: float
    profile: np.ndarray
    unit: str = "nm/ps"
    warnings: tuple = field(default=())


@pytest.mark.parametrize(
    ("value", "std", "text"),
    [
        (335.123, 15.4, "(335 ± 15) u/ps"),
        (0.012341, 0.00067, "(0.01234 ± 0.00067) u/ps"),
        (1.5e-7, 2.2e-9, "(1.500 ± 0.022)e-7 u/ps"),
        (123456.0, 7890.0, "(1.235 ± 0.079)e+5 u/ps"),
        (3.0, None, "3 u/ps"),
        (float("nan"), 1.0, "not available"),
        (0.0, 2.0, "(0.0 ± 2.0) u/ps"),
    ],
)
def test_format_value(value, std, text):
    assert format_value(value, std, "u/ps") == text


def test_json_round_trip():
    speed = Speed(1.5, 0.1, np.array([[1.0, np.nan], [2.0, 3.0]]), warnings=(Notice("slow", "It is slow."),))
    document = speed.to_dict()
    assert document["profile"] == [[1.0, None], [2.0, 3.0]]
    back = Speed.from_dict(document)
    np.testing.assert_array_equal(back.profile, speed.profile)
    assert back.warnings == speed.warnings
    assert (back.value, back.unit) == (1.5, "nm/ps")


def test_unknown_and_missing_keys_are_named():
    with pytest.raises(InputError, match="unknown keys colour, size"):
        Speed.from_dict({"size": 1, "colour": 2})
    with pytest.raises(InputError, match="profile"):
        Speed.from_dict({"value": 1.0, "value_std": 0.1})


def test_repr_is_short_and_html_is_escaped():
    speed = Speed(1.5, 0.1, np.zeros(1000), warnings=(Notice("x", "a <b> & c"),))
    assert repr(speed) == "Speed(value 1.5, value std 0.1)"
    assert "a &lt;b&gt; &amp; c" in speed._repr_html_()


def test_jsonable_reaches_into_containers():
    assert jsonable({"a": (np.float64("inf"), np.int64(3)), 2: [np.bool_(True)]}) == {"a": [None, 3], "2": [True]}
