"""Samples through the hardware: what each chain sends and what each receiver gets.

Symbols s become ``x = W s``, leave the transmit chains as x_q and reach a receiver as
``A x_q + n``: A = H^H for the users, A = G for the echo [Xu25, eqs. (2), (3), (6)].

The gain control of a chain is set to the power that the linear model predicts there, not
to what a few samples happen to carry: full scale is then the same for every block of
samples. Only where transmit chains distort in unison does the true power differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, chain_power
from isacsim.link import Link, covariance
from isacsim.typing import AnyArray, ComplexArray, FloatArray
from isacsim.waveform.modulation import Gaussian, Modulation

BLOCK = 2**14  # samples of each chain that are held at once


class Sources(NamedTuple):
    """Independent generators of symbols, thermal noise and hardware.

    Kept apart so that hardware which draws leaves symbols and noise as they are: two
    pieces of hardware are compared on the same samples.
    """

    symbols: np.random.Generator
    noise: np.random.Generator
    hardware: np.random.Generator

    @classmethod
    def of(cls, rng: np.random.Generator) -> Sources:
        """Three children of ``rng``."""
        return cls(*rng.spawn(3))


def blocks(count: int, longest: int = BLOCK) -> Iterator[int]:
    """Nearly equal lengths of at most ``longest`` that add up to ``count``."""
    edges = np.linspace(0, count, -(-count // longest) + 1).astype(int)
    yield from (int(length) for length in np.diff(edges))


def sample_shapes(link: Link, count: int) -> list[tuple[int, int]]:
    """Shapes of so many symbols of a link's streams, and of what leaves the antennas and reaches the sensing chains."""
    return [(rows, count) for rows in (*link.W.shape[-2:], link.drop.rx_array.size)]


def symbols(modulation: Modulation, W: ComplexArray, count: int, sources: Sources) -> ComplexArray:
    """Symbols s of the streams of W (..., N_t, K+S), shape (..., K+S, count).

    They are drawn sample by sample, so that a signal does not depend on the blocks it is cut
    into: the array is a view whose last axis is the slowest in memory.
    """
    return stream(modulation, sources.symbols, (*W.shape[:-2], W.shape[-1]), count)


def gaussian_symbols(W: ComplexArray, count: int, sources: Sources) -> ComplexArray:
    """Gaussian `symbols`."""
    return symbols(Gaussian(), W, count, sources)


def stream(modulation: Modulation, rng: np.random.Generator, shape: tuple[int, ...], count: int) -> ComplexArray:
    """Symbols of streams of the given shape, ``(*shape, count)``, drawn sample by sample."""
    return np.moveaxis(modulation.draw(rng, (count, *shape)), 0, -1)


def radiate(W: ComplexArray, symbols: ComplexArray, transmit: Hardware, sources: Sources) -> ComplexArray:
    """Samples x_q out of the transmit chains, shape (..., N_t, L), in sqrt(W).

    Args:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        symbols: Symbols s, shape (..., K+S, L).
        transmit: The transmit chains.
        sources: Where the hardware draws from.
    """
    return through("transmit", transmit, W @ symbols, chain_power(covariance(W)), sources)


def receive(
    side: str, device: Hardware, arriving: ComplexArray, noise_power: AnyArray, power: FloatArray, sources: Sources
) -> ComplexArray:
    """Samples out of receive chains that add thermal noise, shape (..., M, L), in sqrt(W).

    Args:
        side: Whose chains they are, for messages.
        device: The receive chains.
        arriving: What arrives without noise, shape (..., M, L), in sqrt(W).
        noise_power: Noise of each chain, broadcast to (..., M), in W.
        power: Power that gain controls are set to, broadcast to (..., M), in W.
        sources: Where noise and hardware draw from.
    """
    y = np.ascontiguousarray(stream(Gaussian(), sources.noise, arriving.shape[:-1], arriving.shape[-1]))
    y *= np.sqrt(noise_power)[..., None]
    y += arriving
    return through(side, device, y, power, sources)


def through(side: str, device: Hardware, x: ComplexArray, power: FloatArray, sources: Sources) -> ComplexArray:
    """Samples x (..., N, L) through a device, gain controls set to ``power`` (..., N), in W.

    Raises:
        InvalidInput: If a chain is fed or puts out samples that are not finite.
    """
    require_finite(f"{side} input", x)
    y = device.apply(x, sources.hardware, power=power)
    require_finite(f"{side} output", y)
    return y


def require_finite(what: str, samples: AnyArray) -> None:
    """Refuse NaN and Inf in arrays (..., N, L) with a row for each of N chains.

    Raises:
        InvalidInput: Naming ``what`` and the chain.
    """
    with np.errstate(all="ignore"):
        if np.isfinite(samples.sum()):  # NaN and Inf survive a sum; a sum that overflows is looked into
            return
    finite = np.isfinite(samples)
    if not finite.all():
        at = tuple(np.argwhere(~finite)[0])
        remedy = "Check precoder, channels and the stages of this chain."
        raise InvalidInput(f"{what}, chain {at[-2]}", "must be finite samples", samples[at], remedy)
