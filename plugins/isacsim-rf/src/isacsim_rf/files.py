"""Where the scenario files that come with this plugin are."""

from __future__ import annotations

from pathlib import Path


def scenario_file(name: str) -> Path:
    """A scenario file of this plugin."""
    return Path(__file__).resolve().parent / "scenarios" / name
