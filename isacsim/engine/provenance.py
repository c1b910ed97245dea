"""What a result came from: versions, plugins, components, machine."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from isacsim import __version__
from isacsim.engine.identity import Names, defaults, text, version_of
from isacsim.plugin import Registry

LIBRARIES = ("numpy", "scipy", "cvxpy", "clarabel", "attrs", "cattrs", "pluggy", "xarray", "h5netcdf")
MISSING = "not installed"
# What computes numbers: another version may give others. Of cvxpy and Clarabel that holds where a solver
# uses them, which nobody can tell beforehand; the other libraries carry numbers and make none, and what
# Python itself computes with is the machine's. What is not installed has computed nothing, and is not told.
COMPUTING = ("numpy", "scipy", "numba", "cvxpy", "clarabel")


def provenance(registry: Registry) -> dict[str, Any]:
    """Versions of everything that can change a number, the plugins in use and the machine."""
    return {
        "isacsim_version": __version__,
        "python_version": platform.python_version(),
        "library_versions": {name: _version(name) for name in LIBRARIES},
        "plugins": {p.name: p.origin for p in registry.plugins if not p.problem},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "byte_order": sys.byteorder,
        "created_time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, Any]:
    """Versions of isacsim and of the libraries that compute, as far as they are installed."""
    found = {name: _version(name) for name in COMPUTING}
    return {"isacsim": __version__, **{name: version for name, version in found.items() if version != MISSING}}


def differences(was: dict[str, Any], now: dict[str, Any], path: str = "") -> Iterator[str]:
    """Where two environments differ, of what both of them tell, as ``what: was -> is``."""
    for key in (key for key in was if key in now):
        place = f"{path} {key}".strip() if key != "records" else ""
        before, after = was[key], now[key]
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differences(before, after, place)
        elif text(before) != text(after):
            yield f"{place}: {before} -> {after}"


def merged(was: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Everything that two environments without differences tell."""
    return {**now, **was, "records": {**was.get("records", {}), **now["records"]}}


def described_code(cls: type, names: Names, registry: Registry) -> dict[str, Any]:
    """The code of a class of records: its version, the defaults of its options, and the plugin it is from.

    The defaults count, because an address leaves out what is at its default.
    """
    told: dict[str, Any] = {"version": version_of(cls), "default": defaults(cls, names)}
    kind, name = names(cls)
    if kind in registry.kinds:
        origins = {plugin.name: plugin.origin for plugin in registry.plugins}
        told["plugin"] = origins[registry.provider(kind, name)]
    return told


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING
