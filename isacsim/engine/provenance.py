"""What a result came from: versions, plugins, machine."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from isacsim import __version__
from isacsim.plugin import Registry

LIBRARIES = ("numpy", "scipy", "cvxpy", "clarabel", "attrs", "cattrs", "pluggy", "xarray", "h5netcdf")


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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
