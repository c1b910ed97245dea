"""The scenario of a run, made again from what the ledger tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from isacsim.engine.identity import Names
from isacsim.engine.plan import Point
from isacsim.engine.reader import COMPONENTS, Reader
from isacsim.engine.scenario import Scenario
from isacsim.errors import InvalidInput, PluginError, StoreError
from isacsim.plugin import Registry

# What changes no number, and may need a plugin that is not here.
LOOKS = ("figure", "expect", "precision", "sinks", "executor", "observers")
KINDS = frozenset(COMPONENTS.values())


class Telling(Reader):
    """Builds records from what `isacsim.engine.identity.described` says of them: fields by name, in SI units."""

    def _keys(self, cls: Any) -> dict[str, Any]:
        return {f.name: f for f in attrs.fields(cls) if f.init}

    def _unit(self, attribute: Any) -> None:
        return None

    def _record_hook(self, cls: Any) -> Callable[[Any, Any], Any]:
        hook, keys = super()._record_hook(cls), self._keys(cls)

        def taking(table: Any, kind: Any) -> Any:
            if isinstance(table, Mapping):  # what is no argument is told as well, and None, which no file can say
                said = {key: value for key, value in table.items() if key in keys}
                table = {k: v for k, v in said.items() if v is not None or keys[k].default is not None}
            return hook(table, kind)

        return taking


def rebuilt(told: Mapping[str, Any], registry: Registry) -> Scenario:
    """The scenario that a description is of, without its looks.

    Raises:
        StoreError: If a component is not here, or is of a class that no plugin offers.
    """
    table = {key: value for key, value in told.items() if key not in LOOKS}
    try:
        scenario: Scenario = Telling(registry).read(Scenario, _table(table))
    except (InvalidInput, PluginError) as error:
        raise StoreError(f"run: its scenario cannot be made again ({error}). Give the scenario or its file.") from None
    return scenario


def point_of(scenario: Scenario, coords: dict[str, Any], registry: Registry) -> Point:
    """The point of a scenario at values of its axes."""
    return Point.at(coords, scenario, scenario.bare(), Reader(registry), Names(registry))


def _table(value: Any) -> Any:
    """A description as a table that a reader takes: components by kind, chains as lists, complex numbers as such."""
    if isinstance(value, list):
        return [_table(entry) for entry in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"complex"}:
        return complex(*value["complex"])
    kind, _, name = str(value.get("type", "")).partition(" ")
    if (kind, name) == ("record", "chain"):
        return [_table(stage) for stage in value["stages"]]
    said = {key: _table(entry) for key, entry in value.items() if key not in ("type", "fingerprint")}
    return {"kind": name, **said} if kind in KINDS else said
