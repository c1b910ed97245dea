"""The scenario format as JSON Schema, made from the records that read it: editors complete and check files by it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from isacsim.batch import CORE, DTYPE
from isacsim.checks import choices_of
from isacsim.engine.reader import COMPONENTS, keys_of
from isacsim.engine.scenario import Scenario
from isacsim.errors import PluginError
from isacsim.hardware.base import Hardware
from isacsim.plugin import Registry
from isacsim.units import unit_of

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
NUMBERS = {"type": ["number", "array"]}
COMPLEX = {"type": ["number", "string", "array"]}  # "0.1+0.2j"


def schema(registry: Registry) -> dict[str, Any]:
    """The schema of scenario files with the components of a registry; what is broken in that is left out.

    Nothing is required: a file may leave to others, which it extends, what it does not say.
    """
    builder = _Builder(registry)
    top = builder.record(Scenario)
    names = {"type": ["string", "array"], "items": {"type": "string"}}
    top["properties"] = {
        "extends": {**names, "description": "Scenario files that this one is laid over."},
        "requires": {**names, "description": "Distributions whose components are named here."},
        **top["properties"],
    }
    return {"$schema": DRAFT, "title": "isacsim scenario", **top, "$defs": builder.definitions}


class _Builder:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.definitions: dict[str, Any] = {}

    def record(self, cls: type, kind: str | None = None) -> dict[str, Any]:
        """The table of a record class; of a component with its ``kind``."""
        told, types = field_docs(cls), types_of(cls)
        properties: dict[str, Any] = {} if kind is None else {"kind": {"const": kind}}
        for key, attribute in keys_of(cls).items():
            text = told.get(attribute.name, "")
            entry = self._field(attribute, types.get(attribute.name, Any))
            properties[key] = {**entry, "description": text} if text else entry
        made = {"type": "object", "properties": properties, "additionalProperties": False}
        summary = (inspect.getdoc(cls) or "").partition("\n")[0]
        return {**made, "description": summary} if summary else made

    def _field(self, attribute: Any, kind: Any) -> dict[str, Any]:
        if unit_of(attribute) is not None:
            return dict(NUMBERS)
        if CORE in attribute.metadata or DTYPE in attribute.metadata:
            return dict(COMPLEX if attribute.metadata.get(DTYPE) is complex else NUMBERS)
        if words := choices_of(attribute):
            return {"enum": list(words)}
        made = self.of(kind)
        if attribute.converter and made.get("type") == "array":  # one entry may stand for a list of it
            return {"anyOf": [made, *([made["items"]] if made.get("items") else [])]} if made.get("items") else {}
        return made if not attribute.converter or "$ref" in made or "properties" in made else {}

    def of(self, kind: Any) -> dict[str, Any]:
        """What a value of a type looks like in a file; anything, where the type does not say."""
        if kind in SCALARS:
            return {"type": SCALARS[kind]}
        origin, inner = get_origin(kind), get_args(kind)
        if origin is Literal:
            return {"enum": list(inner)}
        if origin is dict:
            entry = self.of(inner[1])
            return {"type": "object", "additionalProperties": entry or True}
        if origin is tuple:
            return {"type": "array", "items": self.of(inner[0])}
        if inner and type(None) in inner:
            rest = [part for part in inner if part is not type(None)]
            return self.of(rest[0]) if len(rest) == 1 else {}
        if kind is Hardware:
            stage = self._component("hardware")
            return {"anyOf": [stage, {"type": "array", "items": stage}]}
        if isinstance(kind, type) and kind in COMPONENTS:
            return self._component(COMPONENTS[kind])
        return self.record(kind) if isinstance(kind, type) and attrs.has(kind) else {}

    def _component(self, kind: str) -> dict[str, Any]:
        """A reference to the choice of all components of a kind: a name, or a table."""
        if kind not in self.definitions:
            self.definitions[kind] = {}  # in place before its parts, which may refer to it
            tables, names = [], self.registry.usable(kind)
            for name in names:
                try:
                    found = self.registry.load(kind, name)
                except PluginError:
                    continue
                tables.append(self.record(found, name) if isinstance(found, type) else _bare(name))
            self.definitions[kind] = {"anyOf": [{"enum": list(names)}, *tables]}
        return {"$ref": f"#/$defs/{kind}"}


def _bare(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"kind": {"const": name}}, "additionalProperties": False}


def types_of(cls: Any) -> dict[str, Any]:
    """Types of the fields of a record; none where a name in them cannot be resolved."""
    try:
        return get_type_hints(cls)
    except (NameError, TypeError):
        return {}


def field_docs(cls: type) -> Mapping[str, str]:
    """What the docstring of a record says of each field, in its section of arguments or attributes."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        for section in re.findall(r"^(?:Args|Attributes):\n((?:^ .*\n?|^\n)+)", text, re.MULTILINE):
            for name, said in re.findall(r"^    (\w+): ((?:.*\n?)(?:^ {8,}.*\n?)*)", section, re.MULTILINE):
                found[name] = " ".join(said.split())
    return found
