"""Axes of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.errors import InvalidInput

# How the keys of scenario files that are swept most are called in text; of others the words of the key are used.
WORDS = {
    "base_station.power": "transmit power",
    "base_station.radar_noise": "sensing noise power",
    "base_station.snapshots": "snapshots",
    "base_station.transmit_array.elements": "transmit antennas",
    "base_station.receive_array.elements": "receive antennas",
    "users.noise": "noise power of the users",
    "users.count": "number of users",
    "bits": "converter resolution",
    "min_sinr": "required SINR",
    "min_sqinr": "required SQINR",
    "channel_error": "channel error",
}
# How the suffix of a key is written behind its words.
SUFFIXES = {"_dbm": "dBm", "_db": "dB", "_deg": "°", "_w": "W", "_hz": "Hz"}

# What a place takes at each value of its axis; None is the axis's own values.
Places = dict[str, tuple[Any, ...] | None]


def _values(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple, np.ndarray)) else value


def _places(value: Any) -> Places:
    if isinstance(value, Mapping):
        return {path: None if own is None else _own(path, own) for path, own in value.items()}
    paths = (value,) if isinstance(value, str) else value
    if not isinstance(paths, (list, tuple)) or not all(isinstance(path, str) for path in paths):
        raise InvalidInput("sets", "must be paths of places", value, "Write sets = ['base_station.power_dbm'].")
    return dict.fromkeys(paths)


def _own(path: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, (list, tuple)):
        raise InvalidInput(f"sets.{path}", "must be a list", values, "Quote the whole path; give one entry a value.")
    return tuple(values)


@frozen
class Axis:
    """A named axis of the sweep; each value is set at several places of the scenario at once.

    Attributes:
        values: The values.
        sets: Paths of the places, ``hardware.NAME.transmit.0.bits`` for example; or a table of
            paths, each with the list of what it takes at each of the values.
        label: Axis label of figures; empty is made of the keys that are set.
    """

    known_as: ClassVar[str] = "axis"

    values: tuple[Any, ...] = field(converter=_values)
    sets: Places = field(converter=_places)
    label: str = ""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.values, tuple) or not self.values:
            raise InvalidInput(
                "values", "must be a list with at least one value", self.values, "Write values = [1, 2]."
            )
        kinds = {isinstance(v, str) for v in self.values}
        scalars = all(isinstance(v, (str, int, float)) for v in self.values)
        if not scalars or len(kinds) > 1 or any(v != v for v in self.values):
            raise InvalidInput("values", "must be all numbers or all text", self.values, "Sweep a number or a name.")
        if len(set(self.values)) < len(self.values):
            raise InvalidInput("values", "must differ from each other", self.values, "Name each value once.")
        if not self.sets:
            raise InvalidInput(
                "sets", "must name at least one place", list(self.sets), "Write sets = ['base_station.power_dbm']."
            )
        for path, own in self.sets.items():
            if own is not None and len(own) != len(self.values):
                raise InvalidInput(
                    f"sets.{path}", f"must have {len(self.values)} entries, one for each value", own, "Match `values`."
                )

    def label_of(self, name: str) -> str:
        """The label of figures: its own, else the words and the unit of the one key that is set, else ``name``."""
        keys = {path.split(".")[-1] for path, own in self.sets.items() if own is None}
        if self.label or len(keys) != 1 or keys == {"kind"} or any(isinstance(v, str) for v in self.values):
            return self.label or name.replace("-", " ")
        path = next(path for path, own in self.sets.items() if own is None)
        suffix = next((s for s in SUFFIXES if path.endswith(s)), "")
        stem = path.removesuffix(suffix)
        last = stem.split(".")[-1]
        words = WORDS.get(stem) or WORDS.get(last) or last.replace("_", " ")
        unit = SUFFIXES[suffix] if suffix else "bits" if last == "bits" else ""
        return f"{words} ({unit})" if unit else words

    def changes(self, value: Any) -> list[tuple[str, Any]]:
        """What is set where at one of the axis's values."""
        at = self.values.index(value)
        return [(path, value if own is None else own[at]) for path, own in self.sets.items()]
