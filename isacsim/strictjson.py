"""Numbers as strict JSON can hold them."""

from __future__ import annotations

from typing import Any


def finite(value: Any) -> Any:
    """``value`` with null in the place of NaN, and with infinities as text, which `float` reads back."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None if value != value else str(value)
    return value
