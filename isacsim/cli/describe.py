"""What `isacsim show` tells of a component: its docstring and the keys of its table; of a scenario its file."""

from __future__ import annotations

import inspect
from itertools import takewhile
from pathlib import Path
from typing import Any

import attrs

from isacsim.cli.kinds import kind_named
from isacsim.engine.sections import SECTIONS, keys
from isacsim.errors import InvalidInput, PluginError, one_of
from isacsim.plugin import KINDS, Registry


def describe_section(registry: Registry, word: str) -> dict[str, Any]:
    """Docstring and fields of a table of scenario files that is no component, ``figure`` for example.

    Raises:
        InvalidInput: If the word means none.
    """
    name = next((w for w in (word, word.removesuffix("s"), word.replace("-", "_")) if w in SECTIONS), None)
    if name is None:
        kind = kind_named(word)
        if kind in KINDS:
            raise InvalidInput("name", f"must name one of the {kind}", "", one_of(registry.names(kind)))
        remedy = one_of((*KINDS, *SECTIONS), word)
        raise InvalidInput("kind", "must be a kind of component, or a table of scenarios", word, remedy)
    heading, cls = SECTIONS[name]
    doc = (inspect.getdoc(cls) or "").partition("\n\n")[0]
    fields = [attrs.asdict(key) for key in keys(cls)]
    return {"kind": "section", "name": name, "heading": heading, "doc": doc, "fields": fields}


def describe(registry: Registry, kind: str, name: str) -> dict[str, Any]:
    """Name, home, docstring and fields of a component; of a scenario the file and the comment it begins with.

    Raises:
        InvalidInput: If there is none of that kind and name.
    """
    try:
        spec = registry.spec(kind, name)
    except InvalidInput as error:
        raise error.at("name" if kind in registry.kinds else "kind") from None
    component = registry.load(kind, name)
    told = {
        "kind": kind,
        "name": name,
        "target": spec.target,
        "plugin": registry.provider(kind, name),
        "summary": spec.summary,
    }
    if kind == "scenarios":
        file = component()
        return {**told, "doc": _opening(file) or spec.summary, "file": str(file)}
    if not isinstance(component, type):
        return {**told, "doc": f"{spec.summary}: {component!r}", "example": {"kind": name}, "fields": []}
    return {
        **told,
        "doc": inspect.getdoc(component) or "",
        "example": {"kind": name, **spec.example},
        "fields": [attrs.asdict(key) for key in keys(component)],
    }


def _opening(file: Path) -> str:
    """The comment that a scenario file begins with."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PluginError(f"{file} cannot be read: {error}") from None
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.removeprefix("#").strip() for line in lines)
