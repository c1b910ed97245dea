"""Names of a module that are imported on first use, so that importing the module stays light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    module: str, homes: Mapping[str, Sequence[str]], submodules: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and the ``__dir__`` of a module.

    For example::

        __getattr__, __dir__ = lazy_names(__name__, {"package.home": ("Name",)})

    Args:
        module: The module's own name.
        homes: The names that each other module is the home of.
        submodules: Modules of isacsim that are names themselves.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def found(name: str) -> Any:
        if name in home_of:
            value = getattr(importlib.import_module(home_of[name]), name)
        elif name in submodules:
            value = importlib.import_module(f"isacsim.{name}")
        else:
            import difflib

            close = difflib.get_close_matches(name.lower(), {n.lower(): n for n in (*home_of, *submodules)}, 1, 0.75)
            meant = next((n for n in (*home_of, *submodules) if close and n.lower() == close[0]), "")
            hint = f". Did you mean {meant!r}?" if meant else ""
            raise AttributeError(f"module {module!r} has no attribute {name!r}{hint}")
        vars(sys.modules[module])[name] = value
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *home_of, *submodules})

    return found, names
