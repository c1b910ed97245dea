"""What leaves the transmit chains for a precoder: the effective precoder and the covariance of the distortion."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, squared
from isacsim.checks import numbers
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, LinearModel, Transceiver, chain_power, diagonal_matrix
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray

IDEAL = Transceiver()


def covariance(W: Any) -> ComplexArray:
    """Transmit covariance R_x = W W^H, shape (..., N_t, N_t), in W; W is (..., N_t, K+S)."""
    W = np.asarray(numbers("W", W, axes=2), complex, order="C")
    return W @ hermitian(W)


@frozen(eq=False, slots=False)
class Transmission:
    """What leaves the transmit chains for one precoder.

    Attributes:
        precoder: Effective precoder A_t W: what leaves the chains of each stream, shape
            (..., N_t, K+S), in sqrt(W).
        distortion: Covariance D of the transmit distortion, (..., N_t) where it is diagonal, else
            (..., N_t, N_t); in W.
        ideal: Whether the chains are ideal, so that there is no distortion.
        model: Linear model of the chains that this is of, which derivatives are pulled back through; None where
            it is not at hand.
    """

    precoder: ComplexArray
    distortion: AnyArray
    ideal: bool = False
    model: LinearModel | None = None

    @classmethod
    def of(cls, W: Any, transmit: Hardware) -> Transmission:
        """The transmission of a precoder W (..., N_t, K+S), in sqrt(W), by the linear model of the chains."""
        W = np.asarray(numbers("W", W, axes=2), complex, order="C")
        require_hardware("transmit", transmit)
        R = W @ hermitian(W)
        model = transmit.linear_model(R)
        own = W.shape[-2:-1] if model.diagonal else (W.shape[-2],) * 2
        distortion, shape = model.distortion, (*W.shape[:-2], *own)
        if distortion.shape != shape:
            distortion = np.broadcast_to(distortion, shape)
        sent = cls(np.ascontiguousarray(model.amplify(W)), distortion, transmit.is_ideal, model)
        if model.ideal:
            sent.__dict__["signal"] = R  # where cached_property keeps it
        return sent

    @property
    def diagonal(self) -> bool:
        """Whether the distortion is uncorrelated between chains."""
        return self.distortion.ndim < self.precoder.ndim

    @cached_property
    def signal(self) -> ComplexArray:
        """Covariance of what is left of the streams, A_t R A_t^H, shape (..., N_t, N_t), in W."""
        return covariance(self.precoder)

    @cached_property
    def radiated(self) -> ComplexArray:
        """Covariance of x_q, shape (..., N_t, N_t), in W."""
        if self.ideal:
            return self.signal
        return self.signal + (diagonal_matrix(self.distortion) if self.diagonal else self.distortion)

    @cached_property
    def antenna_power(self) -> FloatArray:
        """Power out of each chain, shape (..., N_t), in W."""
        distortion = self.distortion.real if self.diagonal else chain_power(self.distortion)
        return np.asarray(squared(self.precoder).sum(axis=-1) + distortion)

    def power_along(self, A: ComplexArray) -> FloatArray:
        """Power a^H R_xq a along the columns a of A (..., N_t, n), shape (..., n), in W."""
        return np.asarray(squared(hermitian(A) @ self.precoder).sum(axis=-1) + self.distortion_along(A))

    @property
    def power(self) -> FloatArray:
        """Power that leaves the chains, shape (...), in W."""
        return np.asarray(self.antenna_power.sum(axis=-1))

    def distortion_along(self, A: ComplexArray) -> FloatArray:
        """Distortion a^H D a along the columns a of A (..., N_t, n), shape (..., n), in W."""
        if self.diagonal:
            return np.asarray((squared(A) * self.distortion[..., :, None]).sum(axis=-2))
        return np.asarray((np.conj(A) * (self.distortion @ A)).real.sum(axis=-2))

    def distortion_through(self, A: ComplexArray) -> ComplexArray:
        """Covariance A D A^H of the distortion behind A (..., M, N_t), shape (..., M, M), in W."""
        if self.diagonal:
            return (A * self.distortion[..., None, :]) @ hermitian(A)
        return A @ self.distortion @ hermitian(A)

    def louder(self, factor: FloatArray) -> Transmission:
        """What chains make of so many times the input power (...) whose output is in proportion to it."""
        power = factor[..., None] if self.diagonal else factor[..., None, None]
        return Transmission(np.sqrt(factor)[..., None, None] * self.precoder, power * self.distortion, self.ideal)

    def take(self, members: IntArray) -> Transmission:
        """The members at some places of the one leading axis."""
        return Transmission(self.precoder[members], self.distortion[members], self.ideal)


def transmission(W: Any, transceiver: Any) -> Transmission:
    """What a transceiver makes of a precoder W (..., N_t, K+S), in sqrt(W); see `Transmission.of`.

    Raises:
        InvalidInput: If the transceiver is none, or W no precoder.
    """
    require_transceiver(transceiver)
    return Transmission.of(W, transceiver.transmit)


def require_hardware(name: str, stage: Any) -> None:
    """Refuse what is no hardware of one side of a link.

    Raises:
        InvalidInput: It names the side.
    """
    if not callable(getattr(stage, "linear_model", None)):
        raise InvalidInput(name, "must be hardware", stage, "Pass a stage such as Aqnm(bits=3).")


def require_transceiver(transceiver: Any) -> None:
    """Refuse what is no hardware of a link.

    Raises:
        InvalidInput: It names the transceiver.
    """
    if not isinstance(transceiver, Transceiver):
        remedy = "Give Transceiver(transmit=..., receive=..., user=...)."
        raise InvalidInput("transceiver", "must be a Transceiver", transceiver, remedy)


def require_antennas(name: str, antennas: int, W: ComplexArray) -> None:
    """Refuse a precoder of other antennas than the array ``name`` has."""
    if W.shape[-2] != antennas:
        rule = f"must have a row for each of the {antennas} transmit antennas of {name}"
        raise InvalidInput("W", rule, f"shape {W.shape}", "W is (..., N_t, K+S).")


def over_noise(signal: Any, noise: FloatArray) -> Any:
    """Signal over noise; 0 where a receiver puts out neither, as a converter far from its level does."""
    return np.asarray(signal / np.where(noise == 0, 1.0, noise))
