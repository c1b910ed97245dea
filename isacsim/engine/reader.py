"""From the tables of a scenario file to validated records.

cattrs walks the types; this module adds what scenarios need: keys that carry units,
components chosen by ``kind`` through the registry, complex numbers as text, strict
scalars, and errors that name the whole path, the rule, the value and the remedy.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs
import numpy as np
from cattrs import BaseValidationError, Converter
from cattrs.gen import make_dict_structure_fn, override

from isacsim.batch import DTYPE
from isacsim.errors import InvalidInput, IsacsimError, one_of
from isacsim.hardware.base import Hardware
from isacsim.hardware.chain import Chain
from isacsim.plugin import Registry
from isacsim.plugin.isolation import cause, contained, told
from isacsim.plugin.kinds import BASES, base_of
from isacsim.plugin.surroundings import undisturbed
from isacsim.units import key_of, unit_of

# A field of one of these types takes a table whose `kind` names a component.
COMPONENTS: dict[type, str] = {base_of(kind): kind for kind in BASES}
MOST_ENTRIES = 1000  # of a table or a list of records
MOST_FAULTS = 20  # of one table that are told at once


class Invalid(InvalidInput):
    """Several entries of a scenario break a rule; ``errors`` holds each, the text the first.

    It is raised outside of the handler of what told it: errors of cattrs cannot be read back where tblib
    pickles exceptions with their context, as it does once `distributed` is imported.
    """

    def __init__(self, errors: list[InvalidInput]) -> None:
        super().__init__(*errors[0].args)
        self.args = errors[0].args
        self.errors = tuple(errors)

    def __reduce__(self) -> Any:
        return Invalid, (list(self.errors),)


class Reader:
    """Builds records from tables.

    Args:
        registry: Where components are looked up.
        folder: Base of relative paths, the scenario file's own folder.
    """

    def __init__(self, registry: Registry, folder: Path | None = None) -> None:
        self.registry = registry
        self.folder = folder or Path()
        self._converter = self._make_converter()

    def read(self, kind: Any, value: Any, path: str = "") -> Any:
        """A value of the type ``kind``.

        Raises:
            Invalid: Naming every entry at fault by its path below ``path``.
        """
        try:
            return self._converter.structure(value, kind)
        except (BaseValidationError, InvalidInput) as error:
            faults = list(_flat(error, path))
        raise Invalid(faults)

    def read_field(self, cls: type, name: str, value: Any, path: str) -> Any:
        """The value of the field ``name`` of a record class."""
        attribute = attrs.fields_dict(cls)[name]
        kind = _types(cls).get(name, Any)
        convert = self._field_hook(attribute, kind)
        try:
            if convert:
                return convert(value, kind)
            return value if attribute.converter else self._converter.structure(value, kind)
        except (BaseValidationError, InvalidInput) as error:
            faults = [e.at(path) if e.field == "" else e for e in _flat(error, path)]
        raise Invalid(faults)

    def component(self, kind: str, value: Any) -> Any:
        """The component that a name or a table with ``kind`` stands for.

        Raises:
            InvalidInput: If there is none, or a key or a value does not fit it.
            PluginError: If it cannot be loaded.
        """
        table = {"kind": value} if isinstance(value, str) else value
        if not isinstance(table, Mapping) or "kind" not in table:
            names = self.registry.names(kind)
            raise InvalidInput("", f"must be a name or a table with a `kind` of {kind}", value, one_of(names))
        try:
            found = self.registry.load(kind, table["kind"])
        except InvalidInput as error:
            raise error.at("kind") from None
        options = {key: entry for key, entry in table.items() if key != "kind"}
        if isinstance(found, type) and attrs.has(found):
            make = partial(self._converter.structure, options, found)
            return make() if found.__module__.startswith("isacsim.") else self._foreign(make)
        for key, entry in options.items():
            raise InvalidInput(str(key), "is not a known key", entry, f"{table['kind']} takes none.")
        # A plain class, or a record that is ready.
        return self._foreign(found) if isinstance(found, type) else found

    @staticmethod
    def _foreign(make: Callable[[], Any]) -> Any:
        """A component of a plugin, which may do anything when it is made; what it raises is told as at fault."""
        try:
            with contained(), undisturbed():
                return make()
        except (IsacsimError, BaseValidationError):
            raise
        except Exception as error:
            raise InvalidInput("", "is not valid", "", told(cause(error))) from error

    def _component(self, kind: str, value: Any, _: Any) -> Any:
        return self.component(kind, value)

    def _make_converter(self) -> Converter:
        converter = Converter(
            detailed_validation=True, prefer_attrib_converters=True, structure_fallback_factory=_unwritable
        )
        converter.register_structure_hook_factory(attrs.has, self._record_hook)
        for scalar in (bool, int, float, str, complex):
            converter.register_structure_hook(scalar, _scalar)
        converter.register_structure_hook_func(lambda t: _origin(t) is Literal, _literal)
        converter.register_structure_hook_func(lambda t: _origin(t) is dict, self._table)
        converter.register_structure_hook_func(lambda t: _origin(t) is tuple, self._list)
        for base, kind in COMPONENTS.items():
            converter.register_structure_hook_func(partial(operator.is_, base), partial(self._component, kind))
        converter.register_structure_hook_func(lambda t: t is Hardware, lambda value, _: self._hardware(value))
        return converter

    def _hardware(self, value: Any) -> Hardware:
        if isinstance(value, list):
            _require_few(value)
            stages = _gather(enumerate(value), partial(self.component, "hardware"))
            return Chain(*stages.values())
        stage: Hardware = self.component("hardware", value)
        return stage

    def _table(self, value: Any, kind: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidInput("", "must be a table", value, "Write [section.name] or { key = value }.")
        _require_few(value)
        entry = get_args(kind)[1]
        return _gather(value.items(), lambda item: self._converter.structure(item, entry))

    def _list(self, value: Any, kind: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise InvalidInput("", "must be a list", value, "Write [ ... ].")
        entry = get_args(kind)[0]
        if entry not in (int, float, complex):
            _require_few(value)
        items = _gather(enumerate(value), lambda item: self._converter.structure(item, entry))
        return tuple(items.values())

    def _keys(self, cls: Any) -> dict[str, Any]:
        return keys_of(cls)

    def _unit(self, attribute: Any) -> Any:
        return unit_of(attribute)

    def _record_hook(self, cls: Any) -> Callable[[Any, Any], Any]:
        keys, types = self._keys(cls), _types(cls)
        overrides = {
            f.name: override(rename=key, struct_hook=self._field_hook(f, types.get(f.name))) for key, f in keys.items()
        }
        structure = make_dict_structure_fn(cls, self._converter, **overrides)  # type: ignore[arg-type]

        def hook(table: Any, _: Any) -> Any:
            if isinstance(table, cls):
                return table
            if not isinstance(table, Mapping):
                raise InvalidInput("", "must be a table", table, f"Its keys: {', '.join(keys)}.")
            unknown = islice((key for key in table if key not in keys), MOST_FAULTS)
            faults = [
                InvalidInput(str(key), "is not a known key", table[key], known_keys(keys, str(key))) for key in unknown
            ]
            faults += [
                InvalidInput(key, "is required", "", "Add it.")
                for key, f in keys.items()
                if f.default is attrs.NOTHING and key not in table
            ]
            if faults:
                raise Invalid(faults)
            try:
                return structure(table, cls)
            except BaseValidationError as error:
                faults = [as_written(fault, table) for fault in _flat(error, "")]
            raise Invalid(faults)

        return hook

    def _field_hook(self, attribute: Any, kind: Any) -> Callable[[Any, Any], Any] | None:
        """How the value of one field is read, where its type does not say it all."""
        unit = self._unit(attribute)
        if attribute.converter and isinstance(kind, type) and kind in COMPONENTS:
            # Such a converter, there for Python, would look names up in another registry.
            return lambda value, _: value if isinstance(value, kind) else self._converter.structure(value, kind)
        if attribute.type in (Path, "Path"):
            return lambda value, _: self.folder / _scalar(value, str)
        if unit is None and attribute.metadata.get(DTYPE) is not complex:
            return None
        optional = attribute.default is None

        def convert(value: Any, _: Any) -> Any:
            if value is None and optional:
                return None
            if unit is None:
                return _numbers(value, text=True)
            numbers = _numbers(value)
            try:
                with np.errstate(over="ignore"):  # what becomes infinite is refused by the field itself
                    numbers = unit.to_si(numbers)
            except (TypeError, ValueError):
                raise InvalidInput("", "must be a number or a rectangular list", value, "Write real numbers.") from None
            return float(numbers) if np.ndim(numbers) == 0 else numbers

        return convert


def _unwritable(kind: Any) -> Callable[[Any, Any], Any]:
    """How a field is read whose type no scenario can write: only its default counts."""

    def refuse(value: Any, _: Any) -> Any:
        if isinstance(kind, type) and isinstance(value, kind):
            return value
        remedy = "Its author declares arrays by `isacsim.api.batched`, and other fields by plain types, or a converter."
        raise InvalidInput("", "cannot be written in a scenario", getattr(kind, "__name__", str(kind)), remedy)

    return refuse


def _require_few(entries: Any) -> None:
    """Refuse more records than anybody writes: each is read, checked and rehearsed."""
    if len(entries) > MOST_ENTRIES:
        rule = f"must have at most {MOST_ENTRIES} entries"
        raise InvalidInput("", rule, f"{len(entries)} entries", "Sweep what differs, or write several scenarios.")


@lru_cache(maxsize=512)
def _types(cls: Any) -> dict[str, Any]:
    """Types of the fields of a record; none where a plugin names what cannot be resolved."""
    try:
        return get_type_hints(cls)
    except NameError:
        return {}


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _gather(items: Iterable[tuple[Any, Any]], make: Callable[[Any], Any]) -> dict[Any, Any]:
    """What ``make`` makes of each item, by key; the faults of all items together if there are any."""
    values, faults = {}, []
    for key, item in items:
        try:
            values[key] = make(item)
        except (BaseValidationError, InvalidInput) as error:
            faults += list(_flat(error, str(key)))
        if len(faults) >= MOST_FAULTS:
            break
    if faults:
        raise Invalid(faults[:MOST_FAULTS])
    return values


def _flat(error: BaseException, path: str) -> Iterator[InvalidInput]:
    """Every fault inside an error of cattrs, with its whole path."""
    if isinstance(error, Invalid):
        for fault in error.errors:
            yield fault.at(joined(path, fault.field))
    elif isinstance(error, InvalidInput):
        yield error.at(joined(path, error.field))
    elif isinstance(error, BaseValidationError):
        noted, bare = error.group_exceptions()  # type: ignore[attr-defined]  # each subclass has it
        cls = getattr(error, "cl", None)
        for fault, note in noted:
            fields = attrs.fields_dict(cls) if cls is not None and attrs.has(cls) else {}
            name = str(getattr(note, "name", getattr(note, "index", "")))
            yield from _flat(fault, joined(path, key_of(fields[name]) if name in fields else name))
        for fault in bare:
            yield from _flat(_keyed(fault, cls), path)
    else:
        yield InvalidInput(path, "is not valid", "", told(cause(error)))


def as_written(fault: InvalidInput, table: Mapping[str, Any]) -> InvalidInput:
    """A fault of one key with the value as the file has it, before any conversion of units."""
    if fault.field not in table or not fault.args[2]:
        return fault
    return InvalidInput(fault.field, fault.args[1], table[fault.field], fault.args[3])


def _keyed(fault: BaseException, cls: Any) -> BaseException:
    """A record's own complaint, under the key that scenarios use for the field."""
    if isinstance(fault, InvalidInput) and cls is not None and attrs.has(cls):
        return fault.at(scenario_key(cls, fault.field))
    return fault


def keys_of(cls: type) -> dict[str, Any]:
    """The fields of a record class by their keys in a scenario; none of another class."""
    return {key_of(f): f for f in attrs.fields(cls) if f.init} if attrs.has(cls) else {}


def known_keys(keys: Mapping[str, Any], name: str) -> str:
    """`one_of` the keys; where ``name`` differs from one in its unit alone, the unit of that."""
    for key, attribute in keys.items():
        unit = unit_of(attribute)
        stem = key.removesuffix(unit.suffix) if unit else ""
        if unit and unit.suffix and name.startswith(stem) and name[len(stem) :].lstrip("_") in UNIT_WORDS:
            return f"Did you mean {key!r}, in {unit.name}? Valid: {', '.join(sorted(keys))}."
    return one_of(keys, name)


def scenario_key(cls: type, name: str) -> str:
    """The key, in a scenario, of a record's field; the keys, where ``name`` lists several."""
    keys = {f.name: key for key, f in keys_of(cls).items()}
    return ", ".join(keys.get(part, part) for part in name.split(", "))


# What follows a name that lacks the unit of its key, or has another one.
UNIT_WORDS = frozenset(
    {"", "w", "mw", "kw", "dbw", "db", "dbm", "linear", "rad", "radians", "deg", "degree", "degrees"}
    | {"hz", "khz", "mhz", "ghz", "m", "km", "s", "ms", "us", "ns"}
)


def joined(*parts: str) -> str:
    """The dotted path of its parts; empty ones are left out."""
    return ".".join(part for part in parts if part)


def _scalar(value: Any, kind: Any) -> Any:
    """A scalar of exactly this kind: no text for numbers, no numbers for booleans."""
    if kind is complex:
        number = _numbers(value, text=True)
        if np.ndim(number):
            raise InvalidInput("", "must be one number", value, 'Write "0.1+0.2j".')
        return complex(number)
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        told = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
        raise InvalidInput("", f"must be {told}", value, _in_toml(value, kind))
    if kind is float and np.isnan(value):
        raise InvalidInput("", "must not be NaN", value, "Give a number.")
    return kind(value)


def _in_toml(value: Any, kind: Any) -> str:
    """How a scalar of a kind is written, by what was meant where that can be told."""
    if kind is bool:
        return "Write true or false."
    if kind is str:
        return "Write one text, in quotes."
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        meant = float(value)
        if isinstance(value, (str, float)) and (kind is float or meant == int(meant)):
            return f"Write {meant:.15g}{', without quotes' if isinstance(value, str) else ''}."
    return f"Write {'4' if kind is int else '0.5'}, for example."


def _literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    if value not in choices:
        raise InvalidInput("", f"must be one of {', '.join(map(repr, choices))}", value, one_of(choices, str(value)))
    return value


def _numbers(value: Any, *, text: bool = False) -> Any:
    """Numbers; with ``text``, "-0.04+0.117j" is a complex one."""
    if isinstance(value, (list, tuple)):
        return [_numbers(item, text=text) for item in value]
    if text and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return complex(value.replace(" ", ""))
    known = isinstance(value, (int, float, complex, np.ndarray, np.number)) and not isinstance(value, bool)
    if not known or (np.iscomplexobj(value) and not text):
        written = '0.1, "0.1+0.2j" or a list of them' if text else "0.1 or [0.1, 0.2], without quotes"
        raise InvalidInput("", "must be numbers", value, f"Write {written}.")
    return value
