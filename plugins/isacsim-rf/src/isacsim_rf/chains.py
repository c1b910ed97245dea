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
    x = np.asarray(_numbers("x", x, "(..., N, L)"), complex)
    finite = np.isfinite(x)
    if not finite.all():
        at = tuple(np.argwhere(~finite)[0])
        remedy = "Check precoder, channels and the stages before."
        raise InvalidInput(f"x, chain {at[-2]}", "must be finite samples", x[at], remedy)
    return x


def covariance(R: Any) -> AnyArray:
    """A covariance (..., N, N).

    Raises:
        InvalidInput: If these are no numbers, or no square matrices.
    """
    R = _numbers("R", R, "(..., N, N)")
    if R.shape[-1] != R.shape[-2]:
        raise InvalidInput("R", "must be square, (..., N, N)", f"shape {R.shape}", "Of a precoder it is W W^H.")
    return R


def _numbers(name: str, value: Any, axes: str) -> AnyArray:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)  # a list of lists of different lengths
    if array.dtype.kind not in "biufc" or array.ndim < 2:
        raise InvalidInput(name, f"must be complex numbers {axes}", value, "See the docstring for the axes.")
    return array


def repeated(value: AnyArray, copies: int) -> AnyArray:
    """Values of each chain (N,) for ``copies`` sets of chains; a single one stands for all."""
    return np.tile(value, copies) if value.ndim else value


def per_chain(name: str, value: AnyArray, chains: int) -> AnyArray:
    """One value for each chain, shape (N,), of a single one or of one for each.

    Raises:
        InvalidInput: If there is another number of them.
    """
    if value.ndim > 1 or value.size not in (1, chains):
        rule = f"must be one number, or one for each of the {chains} chains"
        raise InvalidInput(name, rule, value, "Match the number of chains.")
    return np.broadcast_to(value, (chains,))
