"""Where plugins come from: the bundled ones, installed distributions, and those that code gives."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from importlib.metadata import Distribution, EntryPoint, distributions
from types import ModuleType
from typing import Any

from attrs import frozen

from isacsim.bundled import PLUGINS
from isacsim.errors import PluginError, printable
from isacsim.plugin.isolation import guarded, shielded

GROUP = "isacsim"
GIVEN = "given"  # where a plugin comes from that code gives


@frozen(eq=False)
class Found:
    """A plugin that is there, not yet imported.

    Attributes:
        name: Name of its entry point or module; each name once.
        origin: Distribution and version, ``bundled``, or ``given``.
        load: Imports it.
        blockers: Names under which it can be blocked.
        versioned: Whether it should say which version of the plugin API it is written for. An
            object that code gives lives beside that code, and need not.
    """

    name: str
    origin: str
    load: Callable[[], Any]
    blockers: frozenset[str]
    versioned: bool = True


def find(extra: Sequence[Any], installed: bool) -> list[Found]:
    """Every plugin: the bundled ones, the installed ones if asked for, and ``extra``."""
    found = {m: Found(m, "bundled", partial(importlib.import_module, m), frozenset({m})) for m in PLUGINS}
    for origin, name, load in _installed() if installed else ():
        distribution = origin.partition(" ")[0]
        own = _once(f"{distribution}:{name}" if name in found else name, found)
        # Not by the name of its entry point where another plugin has it.
        found[own] = Found(own, origin, load, frozenset({own, distribution}))
    for plugin in extra:
        own = _once(_name_of(plugin), found)
        versioned = issubclass(type(plugin), ModuleType)
        found[own] = Found(own, GIVEN, partial(_given, plugin), frozenset({own}), versioned)
    return list(found.values())


def _once(name: str, taken: Collection[str]) -> str:
    """``name``, with a number where it is taken."""
    number, own = 1, name
    while own in taken:
        number, own = number + 1, f"{name}#{number + 1}"
    return own


def _given(plugin: Any) -> Any:
    return plugin


def _name_of(plugin: Any) -> str:
    try:
        return printable(str(guarded(lambda: getattr(plugin, "__name__", "")) or type(plugin).__name__))
    except PluginError:
        return type(plugin).__name__


def _installed() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Distribution with version, name and import of every entry point of the group.

    One distribution after another: a file of one that cannot be read costs no other, as it
    would in `importlib.metadata.entry_points`.
    """
    seen = set()
    for distribution in distributions():
        try:
            points: list[EntryPoint] = shielded(_points, distribution)  # of a hundred, whose files are read
        except PluginError as error:
            yield _origin(distribution), "entry-points", partial(_refuse, f"its entry points cannot be read: {error}")
            continue
        if not points:
            continue
        origin = _origin(distribution)
        key = re.sub(r"[-_.]+", "-", origin.partition(" ")[0]).lower()
        if key not in seen:  # else an older one, further down the path
            seen.add(key)
            yield from ((origin, printable(point.name), point.load) for point in points)


def _points(distribution: Distribution) -> list[EntryPoint]:
    text = distribution.read_text("entry_points.txt")
    if not text or GROUP not in text:  # what is wrong with other groups is not ours to tell
        return []
    return list(distribution.entry_points.select(group=GROUP))


def _origin(distribution: Distribution) -> str:
    """Name and version, as far as its metadata tell."""
    try:
        name, version = shielded(lambda: (distribution.metadata["Name"], distribution.version))
    except PluginError:
        name, version = None, None
    return printable(f"{name or 'unnamed'} {version or ''}".strip())


def _refuse(text: str) -> Any:
    raise PluginError(text)
