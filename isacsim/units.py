"""Units at the edge: how a scenario file writes a quantity that is SI and linear inside.

A record declares the unit of a field once, ``power: float = field(metadata=units.dbm())``,
and scenario files then write the key ``power_dbm``. Plugins use the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import frozen

__all__ = ["db", "dbm", "dbsm", "degrees", "hertz", "key_of", "metres", "seconds", "unit_of", "watts", "worded"]

UNIT = "isacsim.unit"
WORDS = "isacsim.words"
MOST_WATTS = 1e3  # a macro cell radiates some 100 W; more is a level in dBm or mW, as a rule


@frozen
class Unit:
    """A unit of scenario files: its key suffix, the conversion to and from SI, and what is plausible.

    Attributes:
        name: As people write it.
        suffix: Of a key.
        si: Name of the SI unit.
        to_si: Its conversion.
        from_si: The way back.
        most: Largest magnitude in SI that is hardly a slip.
        usual: The rule that a larger one breaks.
    """

    name: str
    suffix: str
    si: str
    to_si: Callable[[Any], Any]
    from_si: Callable[[Any], Any]
    most: float = math.inf
    usual: str = ""

    def written(self, value: Any) -> Any:
        """A value in SI as a file would write it: twelve digits, without the rounding of the conversion."""
        return np.vectorize(lambda x: float(f"{x:.12g}"), otypes=[float])(self.from_si(value))


def _scale(factor: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return lambda x: np.multiply(x, factor), lambda x: np.divide(x, factor)


def _from_db(x: Any) -> Any:
    return 10.0 ** (np.asarray(x, float) / 10.0)


def _to_db(x: Any) -> Any:
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(x)


def dbm() -> dict[str, Unit]:
    """Power: watts inside, ``_dbm`` in a scenario."""
    to_si, usual = lambda x: 1e-3 * _from_db(x), f"should be at most {MOST_WATTS:g} W, 60 dBm"
    return {UNIT: Unit("dBm", "_dbm", "W", to_si, lambda x: _to_db(np.divide(x, 1e-3)), MOST_WATTS, usual)}


def db() -> dict[str, Unit]:
    """Power ratio: linear inside, ``_db`` in a scenario."""
    return {UNIT: Unit("dB", "_db", "1", _from_db, _to_db)}


def dbsm() -> dict[str, Unit]:
    """Radar cross-section: square metres inside, ``_dbsm`` in a scenario."""
    return {UNIT: Unit("dBsm", "_dbsm", "m^2", _from_db, _to_db)}


def degrees() -> dict[str, Unit]:
    """Angle: radians inside, ``_deg`` in a scenario."""
    return {UNIT: Unit("deg", "_deg", "rad", *_scale(np.pi / 180), 2 * math.pi, "should be within a full turn")}


def watts() -> dict[str, Unit]:
    """Power that is usually told in watts, ``_w`` in a scenario."""
    return {UNIT: Unit("W", "_w", "W", *_scale(1.0))}


def hertz() -> dict[str, Unit]:
    """Frequency in hertz, ``_hz`` in a scenario."""
    return {UNIT: Unit("Hz", "_hz", "Hz", *_scale(1.0))}


def seconds() -> dict[str, Unit]:
    """Time in seconds, ``_s`` in a scenario."""
    return {UNIT: Unit("s", "_s", "s", *_scale(1.0))}


def metres() -> dict[str, Unit]:
    """Length in metres, ``_m`` in a scenario."""
    return {UNIT: Unit("m", "_m", "m", *_scale(1.0))}


def worded(words: str) -> dict[str, str]:
    """No unit, but what a value is, in words for `isacsim show`, where the type of the field does not tell it."""
    return {WORDS: words}


def words_of(attribute: Any) -> str:
    """What `worded` says of an attrs attribute; empty without."""
    return str(attribute.metadata.get(WORDS, ""))


def shown(unit: str) -> tuple[str, float]:
    """How people are shown numbers of an SI unit: the unit in words, and the factor that makes them so."""
    return {"rad": ("°", 180 / np.pi), "Hz": ("MHz", 1e-6)}.get(unit, (unit, 1.0))


def unit_of(attribute: Any) -> Unit | None:
    """The unit an attrs attribute declares, or None."""
    unit = attribute.metadata.get(UNIT)
    return unit if isinstance(unit, Unit) else None


def key_of(attribute: Any) -> str:
    """The key of an attrs attribute in a scenario file."""
    unit = unit_of(attribute)
    return str(attribute.name) + (unit.suffix if unit else "")
