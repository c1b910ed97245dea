"""Content addresses: equal inputs have equal ids, on every machine and in every version."""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import numpy as np


def canonical(value: Any) -> Any:
    """``value`` as JSON-ready data that says everything results depend on.

    A component that reads a file has a ``fingerprint`` of it, which stands for the path.
    """
    if attrs.has(type(value)):
        read = hasattr(value, "fingerprint")
        fields = {
            f.name: canonical(getattr(value, f.name))
            for f in attrs.fields(type(value))
            if not (read and isinstance(getattr(value, f.name), Path))
        }
        if read:
            fields["fingerprint"] = value.fingerprint
        return {"type": f"{type(value).__module__}:{type(value).__qualname__}", **fields}
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return canonical(value.tolist())
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, (Enum, Path)):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no content address: make it an attrs record of plain values.")


def digest(value: Any) -> str:
    """The content address of ``value``."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]
