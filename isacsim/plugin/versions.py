"""Versions of the plugin API: which one a plugin is written for, and what becomes of older ones.

A plugin says ``isacsim_api = 2`` in the module of its entry point. docs/plugins.md lists what
each version changed and how a plugin follows.
"""

from __future__ import annotations

from typing import Any

from isacsim.errors import PluginError, brief

API_VERSION = 2
OLDEST = 1  # still works, with a notice
GONE = "0.2"  # the release of isacsim without the versions before API_VERSION
ATTRIBUTE = "isacsim_api"


def notice_of(plugin: Any, versioned: bool = True) -> str:
    """What the author of a plugin should do about its version; empty where it is the present one.

    Args:
        plugin: The module or object with hook implementations.
        versioned: Whether it should say its version; else it may, and has the present one.

    Raises:
        PluginError: If the version is not one that is supported.
    """
    version = getattr(plugin, ATTRIBUTE, None)
    update = f"follow docs/plugins.md and say `{ATTRIBUTE} = {API_VERSION}` in its module"
    if version is None and not versioned:
        return ""
    if version is None:
        return (
            f"it does not say which version of the plugin API it is written for and counts as version {OLDEST}, "
            f"which goes with isacsim {GONE}: {update}."
        )
    if isinstance(version, bool) or not isinstance(version, int):
        raise PluginError(
            f"{ATTRIBUTE} must be a whole number, got {brief(version)}: say {API_VERSION}, or the version it follows."
        )
    written = f"it is written for version {version} of the plugin API"
    known = f"and this isacsim knows {OLDEST} to {API_VERSION}"
    if version > API_VERSION:
        raise PluginError(f"{written}, {known}: update isacsim, or install an older release of the plugin.")
    if version < OLDEST:
        raise PluginError(f"{written}, {known}: install a newer release of the plugin, or {update}.")
    return "" if version == API_VERSION else f"{written}, which goes with isacsim {GONE}: {update}."
