"""What the stages share: samples that are checked, and values given for each chain."""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.api import AnyArray, ComplexArray, InvalidInput


def samples(x: Any) -> ComplexArray:
    """Complex samples (..., N, L).

    Raises:
        InvalidInput: If these are no numbers, or a chain has samples that are not finite.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "biufc" or x.ndim < 2:
        raise InvalidInput("x", "must be complex numbers (..., N, L)", x, "Give the samples of each chain.")
    x = np.asarray(x, complex)
    finite = np.isfinite(x)
    if not finite.all():
        at = tuple(np.argwhere(~finite)[0])
        remedy = "Check precoder, channels and the stages before."
        raise InvalidInput(f"x, chain {at[-2]}", "must be finite samples", x[at], remedy)
    return x


def per_chain(name: str, value: AnyArray, chains: int) -> AnyArray:
    """One value for each chain, shape (N,), of a single one or of one for each.

    Raises:
        InvalidInput: If there is another number of them.
    """
    if value.ndim > 1 or value.size not in (1, chains):
        rule = f"must be one number, or one for each of the {chains} chains"
        raise InvalidInput(name, rule, value, "Match the number of chains.")
    return np.broadcast_to(value, (chains,))
