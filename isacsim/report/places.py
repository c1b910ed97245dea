"""Values of axes, and where in a sweep something is, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def text_of(value: Any) -> str:
    """A value of an axis as text."""
    if isinstance(value, (float, int, np.number)):
        return "∞" if value == np.inf else f"{value:g}"
    return str(value)


def place_of(coords: Mapping[str, Any]) -> str:
    """A point of a sweep, ``bits = 3, power = 10``; empty where there is but one."""
    return ", ".join(f"{name} = {text_of(value)}" for name, value in coords.items())


def at_place(coords: Mapping[str, Any]) -> str:
    """`place_of` as it goes on behind what is there; empty where there is but one."""
    return f" at {place_of(coords)}" if coords else ""
