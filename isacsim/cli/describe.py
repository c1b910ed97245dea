"""What `isacsim show` tells of a component: its docstring and the keys of its table."""

from __future__ import annotations

import inspect
from typing import Any

import attrs
import numpy as np

from isacsim.errors import InvalidInput
from isacsim.plugin import Registry
from isacsim.units import key_of, unit_of


def describe(registry: Registry, kind: str, name: str) -> dict[str, Any]:
    """Name, home, docstring and fields of a component.

    Raises:
        InvalidInput: If there is none of that kind and name.
    """
    try:
        spec = registry.spec(kind, name)
    except InvalidInput as error:
        raise error.at("name" if kind in registry.kinds else "kind") from None
    component = spec.load()
    fields = attrs.fields(component) if attrs.has(component) else ()
    return {
        "kind": kind,
        "name": name,
        "target": spec.target,
        "plugin": registry.provider(kind, name),
        "summary": spec.summary,
        "doc": inspect.getdoc(component) or "",
        "example": {"kind": name, **spec.example},
        "fields": [_field(f) for f in fields if f.init],
    }


def _field(attribute: Any) -> dict[str, Any]:
    required = attribute.default is attrs.NOTHING
    return {
        "key": key_of(attribute),
        "type": str(getattr(attribute.type, "__name__", attribute.type)),
        "required": required,
        "default": None if required else _default(attribute),
    }


def _default(attribute: Any) -> Any:
    """The default as a scenario file would write it."""
    default, unit = attribute.default, unit_of(attribute)
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return f"{getattr(default.factory, '__name__', '...')}()"
    if unit is not None and default is not None:
        default = unit.from_si(default)
    if isinstance(default, (np.ndarray, np.generic)):
        default = default.tolist()
    return default if isinstance(default, (bool, int, float, str, type(None))) else str(default)
