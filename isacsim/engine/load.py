"""Reading a scenario file, and setting values of a scenario at dotted paths."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from isacsim.engine import toml
from isacsim.engine.reader import Invalid, Reader, as_written, joined, keys_of, known_keys, scenario_key
from isacsim.engine.scenario import Scenario
from isacsim.errors import InvalidInput, doubt, one_of
from isacsim.hardware.chain import Chain
from isacsim.plugin import Registry, default_registry
from isacsim.plugin.discovery import GIVEN
from isacsim.units import Unit, unit_of

MOST_FILES = 64  # that a scenario file may extend; the bundled ones extend 2
MOST_DIGITS = 9  # of an index of a list


def load_scenario(path: str | Path, *, set: tuple[str, ...] = (), registry: Registry | None = None) -> Scenario:
    """Read a scenario file.

    Args:
        path: The TOML file.
        set: Overrides ``KEY=VALUE``, ``base_station.power_dbm=20`` for example.
        registry: Where components are looked up; None is the registry of this process.

    Raises:
        InvalidInput: If the file or an entry breaks a rule.
    """
    if not isinstance(path, (str, Path)):
        raise InvalidInput("scenario", "must be the path of a file", path, "Give text, or a pathlib.Path.")
    path, registry = Path(path), registry or default_registry()
    table = _table(path)
    requires = _names("requires", table.pop("requires", []), "names of distributions", "isacsim-rf")
    reader = Reader(registry, path.parent)
    for design in table.get("design", {}).values() if isinstance(table.get("design"), dict) else ():
        if isinstance(design, dict) and "solver" not in design:
            problem = design.get("problem")  # a table, or its kind alone
            kind = problem.get("kind") if isinstance(problem, dict) else problem
            if isinstance(kind, str) and kind in registry.names("problems"):
                design["solver"] = registry.default_solver(kind)
    changes = [setting("--set", override, "base_station.power_dbm=20") for override in set]
    missing = _missing(requires, registry)
    try:
        scenario = _read(reader, table, changes)
    except Invalid as error:
        raise (_explained(error.errors, missing, registry) if missing else error) from None
    if missing:
        raise _explained((), missing, registry)
    doubt_implausible(scenario)
    return replace(scenario, changes, reader)


def _read(reader: Reader, table: dict[str, Any], changes: list[tuple[str, Any]]) -> Scenario:
    """The scenario of a table; one at fault is read with its changes, which may mend it: a path for example."""
    try:
        scenario: Scenario = reader.read(Scenario, table)
    except Invalid:
        table = deepcopy(table)
        written = [_written(table, path.split("."), value) for path, value in changes]
        if not any(written):
            raise
        scenario = reader.read(Scenario, table)
    return scenario


def _written(table: Any, keys: list[str], value: Any) -> bool:
    """Whether ``value`` could be written at the place that ``keys`` lead to, of tables and lists that are there."""
    key, *rest = keys
    if isinstance(table, list) and key.isdecimal() and len(key) <= MOST_DIGITS and int(key) < len(table):
        place: Any = int(key)
    elif isinstance(table, dict) and (key in table or not rest):
        place = key
    else:
        return False
    if rest:
        return _written(table[place], rest, value)
    table[place] = value
    return True


def doubt_implausible(value: Any, path: str = "", unit: Unit | None = None) -> None:
    """Warn of numbers of a field, or anywhere in a record, that are hardly meant: by their keys, as a file has them."""
    if unit is not None:
        # What is infinite or NaN is refused, and needs no doubt.
        if value is not None and unit.most < np.max(np.abs(value), initial=0.0) < np.inf:
            doubt(path, unit.usual, unit.written(value).tolist(), f"Its unit is {unit.name}.", stacklevel=4)
    elif isinstance(value, (Chain, tuple, dict)):
        value = value.stages if isinstance(value, Chain) else value
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            doubt_implausible(entry, joined(path, str(key)))
    else:
        for key, attribute in keys_of(type(value)).items():
            doubt_implausible(getattr(value, attribute.name), joined(path, key), unit_of(attribute))


def setting(option: str, text: str, example: str) -> tuple[str, Any]:
    """Key and value of ``KEY=VALUE``, the value as in a scenario file where it parses, else text.

    Raises:
        InvalidInput: If it does not read so.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InvalidInput(option, "must read KEY=VALUE", text, f"Write {option} {example}.")
    return key.strip(), _value(f"{option} {key.strip()}", value)


def _names(key: str, value: Any, what: str, example: str) -> list[str]:
    """The names under a key, one or a list."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput(key, f"must be {what}", value, f"Write {key} = '{example}'.")
    return names


def _missing(requires: list[str], registry: Registry) -> list[str]:
    """The distributions that a file needs and that are not in use.

    None are where plugins were given to the registry by hand: what a distribution offers may be among them.
    """
    used = {plugin.origin.split()[0] for plugin in registry.plugins if not plugin.problem}
    return [] if GIVEN in used else [name for name in requires if _normal(name) not in map(_normal, used)]


def _normal(distribution: str) -> str:
    """A name of a distribution as pip compares them."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _explained(faults: Iterable[InvalidInput], missing: list[str], registry: Registry) -> Invalid:
    """What is wrong with a file, headed by the distributions that it needs and that are ``missing``."""
    brought = {plugin.name: plugin.origin.split()[0] for plugin in registry.plugins if plugin.origin}
    named = [brought[name] for name in missing if name in brought]
    if named and len(named) == len(missing):
        remedy = f"Write the distributions of these plugins: requires = {named}."
        return Invalid(
            [InvalidInput("requires", "must be names of distributions", ", ".join(missing), remedy), *faults]
        )
    faults = list(faults)
    unknown = ", ".join(dict.fromkeys(fault.args[2] for fault in faults if fault.field.split(".")[-1] == "kind"))
    remedy = f"Install {' '.join(missing)} with pip{f'; without it this is unknown: {unknown}' if unknown else ''}."
    return Invalid([InvalidInput("requires", "must be installed and in use", ", ".join(missing), remedy), *faults])


def files_of(path: Path) -> list[Path]:
    """The files that a scenario file extends, lowest first, and itself.

    Raises:
        InvalidInput: If one of them cannot be read, or extends itself.
    """
    return [file for file, _ in _layers(path)]


def _layers(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The files that a scenario file extends, lowest first, and itself, each with its table; each is read once."""
    tables: dict[Path, dict[str, Any]] = {}
    sizes: dict[Path, int] = {}
    layers: list[tuple[Path, dict[str, Any]]] = []

    def add(file: Path, above: tuple[Path, ...]) -> None:
        try:
            place, there = file.resolve(), file.exists()
        except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a null character, a name without end
            why = getattr(error, "strerror", None) or error  # which would repeat the path
            raise InvalidInput("extends", f"must be paths of files ({why})", str(file), "Check the path.") from None
        if above and not there:
            remedy = f"{above[-1]} extends it: paths are relative to that file's folder."
            raise InvalidInput("extends", "must be paths of files that exist", str(file), remedy)
        if place in above:
            raise InvalidInput(
                "extends", "must not lead back to a file that extends it", str(file), "Break the circle."
            )
        if place not in tables:
            tables[place] = toml.read(file)
            sizes[place] = file.stat().st_size
        if sum(sizes.values()) > toml.MOST_BYTES:
            rule = f"must lead to files of at most {toml.MOST_BYTES} bytes in all"
            raise InvalidInput("extends", rule, str(path), "Extend fewer or shorter files.")
        bases = _names("extends", tables[place].get("extends", []), "paths of scenario files", "base.toml")
        # A file that several extend is laid each time, so that a fan of fans doubles with every storey.
        if len(above) + len(layers) + len(bases) >= MOST_FILES:
            rule = f"must lead to at most {MOST_FILES} files, each counted as often as it is extended"
            raise InvalidInput("extends", rule, str(path), "Extend fewer files.")
        for base in bases:
            add(file.parent / base, (*above, place))
        layers.append((file, tables[place]))

    add(path, ())
    return layers


def _table(path: Path) -> dict[str, Any]:
    """The table of a scenario file, laid over those of the files it extends."""
    table: dict[str, Any] = {}
    for _, layer in _layers(path):
        table = _laid_over(table, layer)
    table.pop("extends", None)
    return table


def _laid_over(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the entries of ``top``; tables of the same kind of component are merged."""
    merged = dict(base)
    for key, value in top.items():
        before = base.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            kind = before.get("kind")
            merged[key] = _laid_over(before, value) if value.get("kind", kind) == kind else value
        else:
            merged[key] = value
    return merged


def _value(place: str, text: str) -> Any:
    """A value of the command line: TOML where it parses, else text."""
    try:
        table = toml.parsed(f"value = {text}", place)
    except tomllib.TOMLDecodeError:
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()


def replace(scenario: Scenario, changes: Iterable[tuple[str, Any]], reader: Reader) -> Scenario:
    """A scenario with other values, as a scenario file would write them, at dotted paths.

    Whether its parts fit together is asked once, of the result.

    Raises:
        InvalidInput: If a path leads nowhere, or a value breaks a rule.
    """
    parts = {f.name: getattr(scenario, f.name) for f in attrs.fields(Scenario)}
    for path, value in changes:
        key, *rest = path.split(".")
        if key not in parts:
            tables = [
                n for n, part in parts.items() if isinstance(part, dict) and rest and hasattr(part.get(key), rest[0])
            ]
            remedy = f"Did you mean '{tables[0]}.{path}'?" if tables else one_of(parts, key)
            raise InvalidInput(path, f"must name a field at {key!r}", "", remedy)
        if rest:
            parts[key] = _replace(parts[key], rest, value, reader, path)
        else:
            parts[key] = reader.read_field(Scenario, key, value, path)
            doubt_implausible(parts[key], path)
    return Scenario(**parts)


def _replace(record: Any, keys: list[str], value: Any, reader: Reader, path: str) -> Any:
    key, *rest = keys
    if isinstance(record, Chain):
        return Chain(*_replace(record.stages, keys, value, reader, path))
    if isinstance(record, tuple):
        if not key.isdecimal() or len(key) > MOST_DIGITS or int(key) >= len(record):
            way = path.split(".")
            before = ".".join(way[: len(way) - len(keys)])
            remedy = f"Indices start at 0: {before}.0{'.' + key if not key.isdecimal() else ''} is of the first entry."
            raise InvalidInput(path, f"must have an index below {len(record)} at {key!r}", "", remedy)
        if not rest:
            raise InvalidInput(path, "must lead to a field of a list's entry", "", "Set the whole list, or a field.")
        changed = _replace(record[int(key)], rest, value, reader, path)
        return (*record[: int(key)], changed, *record[int(key) + 1 :])
    if isinstance(record, dict):
        if key not in record:
            raise InvalidInput(path, f"must name an entry at {key!r}", "", one_of(map(str, record), key))
        new = _replace(record[key], rest, value, reader, path) if rest else reader.read(type(record[key]), value, path)
        return {**record, key: new}
    fields = keys_of(type(record))
    if key == "kind" and fields:
        raise InvalidInput(path, "cannot be set alone", value, "Set the whole table, { kind = ... }.")
    if key not in fields:
        remedy = known_keys(fields, key) if fields else "Set the whole value."
        if "[" in key:
            remedy = f"Write {path.replace('[', '.').replace(']', '')}, with a dot before an index."
        elif key.isdecimal() and rest:
            remedy = f"It is one table, and no list: write {'.'.join(path.split('.')[: -len(keys)] + rest)}."
        raise InvalidInput(path, f"must name a field at {key!r}", "", remedy)
    name = fields[key].name
    if rest:
        new = _replace(getattr(record, name), rest, value, reader, path)
    else:
        new = reader.read_field(type(record), name, value, path)
        doubt_implausible(new, path, unit_of(fields[key]))
    try:
        return attrs.evolve(record, **{name: new})
    except InvalidInput as error:
        fault = error.at(scenario_key(type(record), error.field))
        fault = fault if rest else as_written(fault, {key: value})
        raise fault.at(joined(*path.split(".")[: -len(keys)], fault.field)) from None
    except Exception as error:  # a component can refuse a value in any way
        raise InvalidInput(path, "is not valid", value, str(error)) from None
