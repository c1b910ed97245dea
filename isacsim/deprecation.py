"""Names that go: one warning through one release, then they are gone (docs/plugins.md)."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def warn_deprecated(old: str, new: str, gone: str, *, stacklevel: int = 2) -> None:
    """Warn that a name goes.

    Args:
        old: The name that goes.
        new: What to use in its place.
        gone: The release of isacsim that has it no more.
        stacklevel: Who is told: 1 is the caller, 2 the caller of the caller.
    """
    text = f"{old} is deprecated and goes with isacsim {gone}; use {new}."
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel + 1)


def deprecated_names(module: str, names: Mapping[str, str], gone: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module whose names have moved: they work, with a warning.

    For example::

        __getattr__ = deprecated_names(__name__, {"old_name": "package.module:new_name"}, gone="0.2")

    Args:
        module: Name of the module.
        names: Where each of its old names is now, ``"package.module:name"``.
        gone: The release of isacsim that has them no more.
    """

    def moved(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = names[name].partition(":")
        warn_deprecated(f"{module}.{name}", f"{home}.{new}", gone)
        return getattr(importlib.import_module(home), new)

    return moved
