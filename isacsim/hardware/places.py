"""What the stages of a transceiver are called: by their places in a scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isacsim.hardware.base import Hardware, Transceiver
from isacsim.hardware.chain import Chain

SIDES = ("transmit", "receive", "user")  # of a transceiver


def first_stage(
    transceiver: Transceiver, lacks: Callable[[Hardware], bool], sides: Sequence[str] = SIDES
) -> str | None:
    """The first stage that lacks what a solver needs, as messages name it, ``transmit.0 (Aqnm)``; None where none does.

    Args:
        transceiver: The hardware.
        lacks: Whether a stage does.
        sides: Which sides count.
    """
    for side in sides:
        for place, stage in stages(getattr(transceiver, side), side):
            if lacks(stage):
                return f"{place} ({type(stage).__name__})"
    return None


def stages(hardware: Hardware, side: str) -> list[tuple[str, Hardware]]:
    """The stages of a chain with their places as a scenario names them, ``transmit.0`` for example."""
    if isinstance(hardware, Chain):
        return [(f"{side}.{i}", stage) for i, stage in enumerate(hardware.stages)]
    return [(side, hardware)]
