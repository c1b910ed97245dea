"""Components that distributions beside isacsim offer, so that an unknown name says what to install."""

from __future__ import annotations

from collections.abc import Mapping

# By kind and name; a test compares it with the distributions of this repository.
ELSEWHERE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "isacsim-rf": {
        "hardware": (
            "carrier-offset", "clipping-dac", "iq-imbalance", "measured-amplifier", "measured-converter",
            "memory-polynomial", "mutual-coupling", "neighbour-coupling", "phase-noise", "pll-phase-noise",
            "predistorter", "rapp", "saleh", "sigma-delta",
        ),
        "scenarios": ("rf", "rf-amplifier", "rf-amplifier-per-antenna", "rf-both", "rf-truth"),
    },
    "isacsim-dask": {"executors": ("dask",)},
}  # fmt: skip


def where_to_find(kind: str, name: str) -> str:
    """What to install for a component that is not there; empty where that is not known."""
    found = next((dist for dist, kinds in ELSEWHERE.items() if name in kinds.get(kind, ())), "")
    return f"{found} has it: pip install {found}. " if found else ""
