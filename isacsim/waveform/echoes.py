"""The sensing receiver: what it knows of an echo, and the samples it gets.

Symbols s become ``x = W s``, leave the transmit chains as x_q, come back as ``G x_q + n``
and pass the receive chains [Xu25, eqs. (2), (6), (7)]. The receiver knows the symbols. By
the linear model of the hardware it expects ``y = M s + e`` with ``M = A_r G A_t W`` and a
covariance Q of noise and distortion, and combines with ``u = Q^-1 M s`` [Xu25, eq. (9)].

A few point targets make G and M of low rank; both are then used as products of thin
factors, which samples pass in fewer operations.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian
from isacsim.checks import invertible
from isacsim.hardware.base import Transceiver, chain_power, diagonal_matrix
from isacsim.link import Echo, Link
from isacsim.metrics.sensing import echo_of
from isacsim.targets.scene import Scene
from isacsim.typing import AnyArray, ComplexArray, FloatArray
from isacsim.waveform.modulation import Gaussian
from isacsim.waveform.signals import Sources, radiate, receive, require_finite, stream


def thin(A: ComplexArray, rank: int) -> tuple[ComplexArray, ComplexArray]:
    """Factors (..., m, rank) and (..., rank, n) of matrices (..., m, n) of at most that rank.

    The first has orthonormal columns; they are the leading left singular vectors.
    """
    U, values, V = np.linalg.svd(A, full_matrices=False)
    return np.ascontiguousarray(U[..., :rank]), values[..., :rank, None] * V[..., :rank, :]


@frozen(eq=False)
class EchoModel:
    """What the sensing receiver knows of an echo before it listens.

    Attributes:
        mean: Expected samples for each stream, M = A_r G A_t W, shape (..., N_r, K+S), in sqrt(W).
        noise: Covariance Q of noise and distortion, (..., N_r, N_r), or its diagonal
            (..., N_r) where it is diagonal; in W.
        sent: What leaves the transmit chains for each stream, distortion apart, A_t W, shape
            (..., N_t, K+S), in sqrt(W).
        rank: Largest rank that M can have.
    """

    mean: ComplexArray
    noise: AnyArray
    sent: ComplexArray
    rank: int

    @classmethod
    def of(cls, scene: Scene, W: Any, noise_power: Any, transceiver: Transceiver) -> EchoModel:
        """The model of a precoder W (..., N_t, K+S), in sqrt(W), by the linear model of the hardware."""
        require_finite("transmit input", np.asarray(W, complex))
        return cls.expected(echo_of(scene.response(), W, noise_power, transceiver), scene.rank)

    @classmethod
    def expected(cls, echo: Echo, rank: int) -> EchoModel:
        """The model of an echo whose response has at most that ``rank``."""
        sent, mean, noise = echo.sent.precoder, echo.mean, echo.noise
        for what, rows in (("transmit model", sent), ("receive model", mean)):
            require_finite(what, rows)
        own = noise.shape[-1:] if echo.diagonal else noise.shape[-2:]
        lead = np.broadcast_shapes(mean.shape[:-2], noise.shape[: -len(own)])
        mean, noise = np.broadcast_to(mean, (*lead, *mean.shape[-2:])), np.broadcast_to(noise, (*lead, *own))
        return cls(mean, noise, sent, min(rank, *mean.shape[-2:]))

    @cached_property
    def combiner(self) -> ComplexArray:
        """Combiner of largest SQNR for each stream, Q^-1 M, shape (..., N_r, K+S): u = (Q^-1 M) s."""
        if self.noise.ndim < self.mean.ndim:
            return np.asarray(self.mean / self.noise[..., None])
        with invertible("receive", "a noise covariance"):
            return np.asarray(np.linalg.solve(self.noise, self.mean), complex)

    @cached_property
    def combiner_factors(self) -> tuple[ComplexArray | None, ComplexArray]:
        """B^H (..., r, N_r) and F (..., r, K+S) with u = B F s and orthonormal columns of B.

        Where the combiner has full rank, B is the identity and stands as None.
        """
        if self.rank == self.mean.shape[-2]:
            return None, self.combiner
        with invertible("receive", "a combiner"):
            B, F = thin(self.combiner, self.rank)
        return hermitian(B), F

    @cached_property
    def whitener(self) -> ComplexArray:
        """A matrix (..., N_r, N_r) that makes noise and distortion white and of unit power, in 1/sqrt(W)."""
        noise = self.noise if self.noise.ndim == self.mean.ndim else diagonal_matrix(self.noise)
        with invertible("receive", "a noise covariance"):
            return np.asarray(np.linalg.inv(np.linalg.cholesky(noise)), complex)

    @cached_property
    def whitened_factors(self) -> tuple[ComplexArray, ComplexArray]:
        """P (..., r, N_r) and E (..., r, K+S) with u^H y = (E s)^H P y and P Q P^H = I.

        In these coordinates the receiver sees E s in white noise of unit power. The rows are
        ordered by the power of the echo in them: the first row of P is the fixed combiner of
        largest SQNR.
        """
        B, E = thin(self.whitener @ self.mean, self.rank)
        return hermitian(B) @ self.whitener, E


@frozen(eq=False)
class Leakage:
    """The background at sample level: what it adds to what arrives, and what cancellation takes off again.

    The canceller subtracts the known ``A_r B_s A_t x``, but for an error that changes from sample to
    sample, as with the phase noise that keeps real cancellers from perfection: of ``eps_s`` of its
    power, circular and Gaussian.

    Attributes:
        response: B, shape (..., N_r, N_t), amplitude; None without a background.
        known: ``A_r B_s A_t W``, shape (..., S, N_r, K+S'), in sqrt(W).
        residual: Part of the power of each source that is left, shape (..., S).
    """

    response: ComplexArray | None
    known: ComplexArray
    residual: FloatArray

    @classmethod
    def of(cls, echo: Echo) -> Leakage:
        """That of an echo."""
        background = echo.background
        if background is None:
            return cls(None, np.zeros((0, 0, 0), complex), np.zeros(0))
        arriving = background.responses @ echo.sent.precoder[..., None, :, :]
        receive = echo.receive
        gain = receive.gain[..., None, :, :] if receive.coupled else receive.gain[..., None, :, None]
        known = gain @ arriving if receive.coupled else gain * arriving
        return cls(background.response(), known, background.residual)

    def with_background(self, arriving: ComplexArray, sent: ComplexArray) -> ComplexArray:
        """What arrives in all, where ``arriving`` (..., N_r, L) is from targets and ``sent`` (..., N_t, L) radiated."""
        return arriving if self.response is None else arriving + self.response @ sent

    def cancelled(self, y: ComplexArray, symbols: ComplexArray, sources: Sources) -> ComplexArray:
        """Samples y (..., N_r, L) less what is known of the background, for symbols (..., K+S, L)."""
        if self.response is None:
            return y
        if not np.any(self.residual):
            return y - self.known.sum(axis=-3) @ symbols
        error = stream(Gaussian(), sources.hardware, self.known.shape[:-2], symbols.shape[-1])
        error = np.sqrt(self.residual)[..., None] * error  # (..., S, L)
        parts = self.known @ symbols[..., None, :, :]
        return np.asarray(y - (parts * (1 - error)[..., None, :]).sum(axis=-3))


@frozen(eq=False)
class EchoPath:
    """From symbols to the samples out of the sensing receiver's chains, for one precoder.

    Attributes:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        response: G, shape (..., N_r, N_t), or two factors of it.
        noise_power: Noise of each receive chain, shape (..., N_r), in W.
        power: Power into each receive chain where there is an echo, shape (..., N_r), in W.
        transceiver: The hardware.
        leakage: The background, and its cancellation.
        idle_power: Power into each receive chain without an echo, shape (..., N_r), in W.
    """

    W: ComplexArray
    response: tuple[ComplexArray, ...]
    noise_power: FloatArray
    power: FloatArray
    transceiver: Transceiver
    leakage: Leakage
    idle_power: FloatArray

    @classmethod
    def of(cls, scene: Scene, W: Any, noise_power: Any, transceiver: Transceiver) -> EchoPath:
        """The path of a precoder W (..., N_t, K+S), in sqrt(W), and its echo from a scene."""
        W = np.asarray(W, complex, order="C")
        return cls._of(echo_of(scene.response(), W, noise_power, transceiver), W, scene.rank, transceiver)

    @classmethod
    def over(cls, link: Link) -> EchoPath:
        """The path of the precoders of a link."""
        return cls._of(link.echo, link.W, link.drop.targets.rank, link.transceiver)

    @classmethod
    def _of(cls, echo: Echo, W: ComplexArray, rank: int, transceiver: Transceiver) -> EchoPath:
        cheap = rank * sum(echo.G.shape[-2:]) < np.prod(echo.G.shape[-2:])
        response = thin(echo.G, rank) if cheap else (echo.G,)
        thermal, leakage = np.broadcast_to(echo.thermal, echo.power.shape), Leakage.of(echo)
        idle = thermal
        if leakage.response is not None:
            idle = thermal + chain_power(leakage.response @ echo.sent.radiated @ hermitian(leakage.response))
        return cls(W, response, thermal, echo.power, transceiver, leakage, idle)

    def samples(self, symbols: ComplexArray, sources: Sources, echo: bool, power: FloatArray) -> ComplexArray:
        """Samples out of the receive chains, shape (..., N_r, L), in sqrt(W).

        Args:
            symbols: Symbols s, shape (..., K+S, L).
            sources: Where noise and hardware draw from.
            echo: Whether there is one.
            power: Power that the receive gain controls are set to, shape (..., N_r), in W.
        """
        arriving = np.broadcast_to(0j, (*self.noise_power.shape, symbols.shape[-1]))
        if echo or self.leakage.response is not None:
            sent = radiate(self.W, symbols, self.transceiver.transmit, sources)
            if echo:
                arriving = sent
                for factor in reversed(self.response):
                    arriving = factor @ arriving
            arriving = self.leakage.with_background(arriving, sent)
        y = receive("receive", self.transceiver.receive, arriving, self.noise_power, power, sources)
        return self.leakage.cancelled(y, symbols, sources)
