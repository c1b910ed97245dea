"""Estimated linear models of memoryless devices, tabulated over the input power.

Of a device that treats each chain by itself and without memory, gain and distortion of a chain are
functions of that chain's input power alone. They are estimated (`estimate_linear_model`) at the
nodes of a lattice that is even in the logarithm of the power and interpolated between them by
quintics with a continuous curvature: the gain itself, and the distortion relative to the input power in
its logarithm, since it follows powers of the input power. The error is below 1e-4 of the gain of a
weak signal, and of the input power for the distortion, a tenth of what the estimate promises.

The lattice is fixed, and what is asked for decides only which of its nodes are estimated: a model
depends on the device and the power, and on nothing that was asked before. Nodes are kept by the
value of the device, so that equal devices share them.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from functools import lru_cache
from types import FunctionType
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from isacsim.hardware.base import (
    Hardware,
    LinearModel,
    chain_power,
    cotangent_diagonal,
    diagonal_matrix,
    estimate_chains,
    estimate_linear_model,
)
from isacsim.typing import AnyArray, ComplexArray, FloatArray

STEP = 0.25  # of the lattice, in nepers of power: 1.09 dB
REACH = 2800  # nodes on either side of 1 W: as far as powers and their squares are numbers
FLOOR = 1e-10  # ratio of distortion to input power below which it is not told from none
SHIFT = 1e-3  # nepers of power, for differences: truncation 1e-13 and rounding 1e-13 weigh the same
AROUND = np.arange(-2, 4)  # nodes that a value is interpolated from, relative to the one below it
KEPT = 4096  # nodes, of all devices together
PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, Enum, FunctionType, type)


@frozen(eq=False)
class _Valued:
    """A device that stands for its value, as a key of what is kept."""

    device: Hardware
    value: Hashable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Valued) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def tabulated_linear_model(device: Hardware, R: ComplexArray) -> LinearModel:
    """Gain and distortion of a memoryless ``device`` for input of covariance R (..., N, N), in W.

    A device that is no record of plain values, arrays and such records is estimated each time.
    """
    power = chain_power(R)
    try:
        key = _Valued(device, _value(device))
    except TypeError:
        return estimate_linear_model(device, R)
    if not power.size:
        return estimate_linear_model(device, R)
    return _interpolated(key, power)


def tabulated_vjp(device: Hardware, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
    """Cotangent of R (..., N, N) of `tabulated_linear_model`, which knows the power of each chain alone.

    By central differences of fourth order in the logarithm of the power, of all chains at once.
    """
    power = chain_power(R)
    slope = np.zeros(power.shape)
    for k, weight in ((1, 8.0), (2, -1.0)):
        for side in (k, -k):
            model = tabulated_linear_model(device, diagonal_matrix(power * np.exp(side * SHIFT)))
            f = (np.conj(gain) * model.gain).real + cotangent_diagonal(distortion, R) * model.distortion
            slope += np.sign(side) * weight / (12 * SHIFT) * f
    heard = np.isfinite(power) & (power > 0)
    return diagonal_matrix(np.divide(slope, power, out=np.zeros(power.shape), where=heard)).astype(complex)


def _interpolated(key: _Valued, power: FloatArray) -> LinearModel:
    chains = power.shape[-1]
    heard = np.isfinite(power) & (power > 0)
    logarithm = np.log(np.where(heard, power, 1.0))
    place = np.clip(logarithm / STEP, -REACH, REACH)
    below = np.floor(place).astype(int)
    nodes = np.unique(below[heard][:, None] + AROUND)
    gain, distortion = np.ones(power.shape, complex), np.where(np.isfinite(power), 0.0, np.nan)
    if (power == 0).any():
        distortion = np.where(power == 0, _silence(key, chains), distortion)
    if nodes.size:
        gains, ratios = (np.stack(rows) for rows in zip(*(_node(key, chains, int(n)) for n in nodes), strict=True))
        first = np.searchsorted(nodes, np.where(heard, below, nodes[2]) - 2)
        chain = np.broadcast_to(np.arange(chains), power.shape)
        weights = _weights(place - below)
        read = [first + k for k in range(len(AROUND))]
        at = sum(w * gains[k, chain] for w, k in zip(weights, read, strict=True))
        height = np.maximum(sum(w * ratios[k, chain] for w, k in zip(weights, read, strict=True)), 0.0)
        with np.errstate(divide="ignore"):  # FLOOR (exp(height) - 1) times the power, of which each may overflow
            noise = np.exp(height + np.log(-np.expm1(-height)) + np.log(FLOOR) + logarithm)
        gain, distortion = np.where(heard, at, gain), np.where(heard, noise, distortion)
    return LinearModel(gain, distortion)


def _weights(t: FloatArray) -> tuple[FloatArray, ...]:
    """Weights of the nodes `AROUND` at t of the way to the next one.

    Hermite's quintic, with slopes (f[-2] - 8 f[-1] + 8 f[1] - f[2]) / 12 and curvatures
    (-f[-2] + 16 f[-1] - 30 f[0] + 16 f[1] - f[2]) / 12 at both ends.
    """
    b = 1 - t
    slope, bend = t * b**3 * (1 + 3 * t) / 12, t**2 * b**3 / 24
    other_slope, other_bend = -b * t**3 * (1 + 3 * b) / 12, b**2 * t**3 / 24
    value = t**3 * (10 - 15 * t + 6 * t**2)
    return (
        slope - bend,
        -8 * slope + 16 * bend + other_slope - other_bend,
        1 - value - 30 * bend - 8 * other_slope + 16 * other_bend,
        value + 8 * slope + 16 * bend - 30 * other_bend,
        -slope - bend + 8 * other_slope + 16 * other_bend,
        -other_slope - other_bend,
    )


@lru_cache(maxsize=KEPT)
def _node(key: _Valued, chains: int, node: int) -> tuple[ComplexArray, FloatArray]:
    """Gain (N,) at a node, and log(1 + distortion / (FLOOR power)), (N,)."""
    power = np.full(chains, np.exp(STEP * node))
    gain, distortion = estimate_chains(key.device, power)
    with np.errstate(divide="ignore"):
        return gain, np.logaddexp(0.0, np.log(distortion) - STEP * node - np.log(FLOOR))


@lru_cache(maxsize=KEPT)
def _silence(key: _Valued, chains: int) -> FloatArray:
    """Distortion (N,) without input, in W."""
    return estimate_chains(key.device, np.zeros(chains))[1]


def _value(item: Any) -> Hashable:
    """What tells ``item`` from others, or TypeError where that is not known."""
    kind = type(item)
    if attrs.has(kind):
        return kind, tuple(_value(getattr(item, f.name)) for f in attrs.fields(kind))
    if isinstance(item, np.ndarray) and not item.dtype.hasobject:
        return kind, item.shape, item.dtype.str, item.tobytes()
    if isinstance(item, (tuple, list)):
        return kind, tuple(_value(entry) for entry in item)
    if isinstance(item, PLAIN):
        return kind, item
    raise TypeError(f"{kind.__name__} is no plain value")
