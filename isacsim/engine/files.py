"""Where the scenario files that come with isacsim are."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def scenario_file(name: str) -> Path:
    """A bundled scenario file: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "scenarios" / name
    return inside if inside.exists() else PACKAGE.parent / "scenarios" / name
