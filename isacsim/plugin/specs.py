"""What a plugin yields: a named component that is imported only when it is used."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import field, frozen

from isacsim.errors import PluginError, brief
from isacsim.plugin.isolation import guarded

NAME = re.compile(r"[a-z][a-z0-9-]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _named(_instance: Any, _attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        remedy = "Write 'my-component', as scenario files name it."
        raise PluginError(f"name: must be lower-case letters, digits and hyphens, got {brief(value)}. {remedy}")


def _located(_instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not TARGET.fullmatch(value):
        remedy = "Write the module, a colon, and the name of the class in it: it is imported when it is used."
        raise PluginError(f"{attribute.name}: must read 'package.module:Name', got {brief(value)}. {remedy}")


def _of(kind: type, told: str) -> Callable[[Any, Any, Any], None]:
    def check(_instance: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            raise PluginError(f"{attribute.name}: must be {told}, got {brief(value)}.")

    return check


SIZES = ("antennas", "receive_antennas", "users", "trials")


def _sizes(_instance: Any, attribute: Any, value: Any) -> None:
    _of(Mapping, "a table")(_instance, attribute, value)
    for name, size in value.items():
        if name not in SIZES or not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise PluginError(f"sizes: must be whole numbers of {', '.join(SIZES)}, got {name} = {brief(size)}.")


@frozen
class Spec:
    """A component under a name that scenario files can use.

    Attributes:
        name: The ``kind`` in a scenario, lower-case with hyphens.
        target: Where it lives, ``"package.module:Class"``; imported on first use.
        summary: One line for `isacsim list`.
        example: A table that builds one, without its ``kind``: for `isacsim show` and for the
            contract tests, which run over every component.
        sizes: Sizes that contract draws of a channel or of targets use, of ``antennas``, ``receive_antennas``,
            ``users`` and ``trials``, where a recording for example has its own.
    """

    name: str = field(validator=_named)
    target: str = field(validator=_located)
    summary: str = field(default="", validator=_of(str, "text"))
    example: Mapping[str, Any] = field(factory=dict, validator=_of(Mapping, "a table"))
    sizes: Mapping[str, int] = field(factory=dict, validator=_sizes, kw_only=True)

    def load(self) -> Any:
        """Import the component.

        Raises:
            PluginError: If it cannot be imported, whatever its module raises.
        """
        try:
            return guarded(_imported, self.target)
        except PluginError as error:
            raise PluginError(f"{self.name!r} ({self.target}) cannot be imported: {error}") from error


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value)


@frozen
class SolverSpec(Spec):
    """A solver; ``default_for`` names the problems it is the default of."""

    default_for: tuple[str, ...] = field(default=(), converter=_names)


@frozen
class ScenarioSpec(Spec):
    """A scenario file: ``target`` names a function that returns its path.

    Attributes:
        file: What the function is called with; empty is nothing.
    """

    file: str = ""

    def load(self) -> Any:
        """The function, which takes nothing any more and returns a `Path`."""
        locate = super().load()
        return partial(_path, self, partial(locate, self.file) if self.file else locate)


def _path(spec: ScenarioSpec, locate: Callable[[], Any]) -> Path:
    try:
        return guarded(lambda: Path(locate()))
    except PluginError as error:
        raise PluginError(f"{spec.name!r} ({spec.target}) cannot tell the path of its file: {error}") from error
