"""The users' link at sample level: the SQINR that a user measures on known symbols."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, squared
from isacsim.checks import whole
from isacsim.drop import Drop
from isacsim.hardware.base import Transceiver
from isacsim.metrics.components import Quantity
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.base import Experiment
from isacsim.waveform.signals import (
    Sources,
    arriving_power,
    blocks,
    gaussian_symbols,
    radiate,
    receive,
)


def sampled_sqinr(
    H: Any, W: Any, noise_power: Any, transceiver: Transceiver, rng: np.random.Generator, symbols: int = 4096
) -> FloatArray:
    """SQINR of each user measured on Gaussian symbols sent through the hardware, shape (..., K).

    The samples of user k are decomposed onto its own symbols, ``y = c s + e`` with
    ``c = mean(y s*) / mean|s|^2`` (empirical Bussgang); then SQINR = |c|^2 mean|s|^2 over
    mean|e|^2, linear. Where y is Gaussian and the SQINR is g, n symbols estimate it with a
    bias of (1 + 2 g) / (n - 2) and a standard deviation of about
    sqrt((2 g (1 + g) + 1 / n) / n).

    Args:
        H: Channels, shape (..., N_t, K), amplitude; user k receives ``h_k^H x_q + n_k``.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W); the first K columns are the users'.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        transceiver: The hardware the samples pass.
        rng: Source of symbols, noise and whatever is random in the hardware.
        symbols: Number n of symbols of each stream.
    """
    W, noise_power = np.asarray(W, complex, order="C"), np.asarray(noise_power, float)
    A = hermitian(np.asarray(H, complex))
    power, sources = arriving_power(A, W, noise_power, transceiver), Sources.of(rng)
    cross, sent, received = np.zeros(power.shape, complex), np.zeros(power.shape), np.zeros(power.shape)
    for count in blocks(symbols):
        s = gaussian_symbols(W, count, sources)
        arriving = A @ radiate(W, s, transceiver.transmit, sources)
        y = receive("user", transceiver.user, arriving, noise_power, power, sources)
        own = s[..., : A.shape[-2], :]
        cross += (y * np.conj(own)).sum(axis=-1)
        sent += squared(own).sum(axis=-1)
        received += squared(y).sum(axis=-1)
    explained = squared(cross) / sent
    return np.asarray(explained / (received - explained))


@frozen
class SampledLink(Experiment):
    """Users' SQINR and sum rate, measured on samples; `sampled_sqinr` says how well.

    The rate ln(1 + SQINR) is what Gaussian symbols achieve with a decoder that takes the
    distortion for independent noise.

    Args:
        symbols: Number of symbols of each stream.
    """

    symbols: int = field(default=4096, validator=whole(2))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """SQINR of each user, and the sum rate it carries."""
        return (
            Quantity("sampled-sqinr", "1", ("user",), "SQINR of each user, measured on samples"),
            Quantity("sampled-sum-rate-nats", "nat/s/Hz", (), "sum rate of the users, measured on samples"),
        )

    def trial(
        self, W: ComplexArray, drop: Drop, transceiver: Transceiver, rng: np.random.Generator
    ) -> dict[str, FloatArray]:
        """`sampled_sqinr`, and the sum of ln(1 + SQINR)."""
        sqinr = sampled_sqinr(drop.H, W, drop.noise_power, transceiver, rng, self.symbols)
        return {"sampled-sqinr": sqinr, "sampled-sum-rate-nats": np.log1p(sqinr).sum(axis=-1)}
