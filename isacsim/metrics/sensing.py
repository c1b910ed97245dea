"""The sensing link through hardware, and the radar SQNR.

The receiver sees ``y = A_r (G (A_t x + q_t) + n) + q_r`` [Xu25, eqs. (2), (6), (7)]. What
part of that is reference and what part noise depends on what the receiver knows:

- mode ``"x"``: the digital x; distortion of the transmit chains is noise.
- mode ``"xq"``: what the chains put out (data converters are deterministic); their
  distortion is probing power.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, squared
from isacsim.errors import InvalidInput
from isacsim.hardware.base import LinearModel, Transceiver, diagonal_matrix
from isacsim.metrics.rate import IDEAL, covariance, require_fit
from isacsim.typing import AnyArray, ComplexArray, FloatArray

Mode = Literal["x", "xq"]


@frozen(eq=False)
class SensingLink:
    """Second-order description of the sensing link for one precoder.

    Attributes:
        probing: Covariance of the reference signal behind the transmit gain, (..., N_t, N_t), in W.
        receive: Linear model of the receive chains.
        noise: Noise covariance behind the receive gain: (..., N_r, N_r), or its diagonal
            (..., N_r) where it is diagonal by structure; in W.
    """

    probing: ComplexArray
    receive: LinearModel
    noise: AnyArray

    @property
    def gain(self) -> AnyArray:
        """Receive gain: of each chain, (..., N_r), or where the receiver couples its chains the matrix."""
        return self.receive.gain

    @property
    def diagonal(self) -> bool:
        """Whether the noise is diagonal by structure."""
        return self.noise.ndim == self.gain.ndim - self.receive.coupled

    def whiten(self, C: ComplexArray) -> ComplexArray:
        """``noise^-1 A_r C`` with the receive gain A_r, for C (..., N_r, m)."""
        received = self.receive.amplify(C)
        if self.diagonal:
            return np.asarray(received / self.noise[..., None])
        return np.asarray(np.linalg.solve(self.noise, received), complex)

    def information(self, C: ComplexArray) -> ComplexArray:
        """``(A_r C)^H noise^-1 (A_r C)``, shape (..., m, m), in 1/W."""
        return hermitian(self.receive.amplify(C)) @ self.whiten(C)

    def equivalent_noise(self) -> FloatArray:
        """Noise before the receive gain, ``tr(A_r^-1 noise A_r^-H)``, shape (...), in W."""
        if self.receive.coupled:
            half = np.linalg.solve(self.gain, self.noise)
            return np.asarray(np.trace(np.linalg.solve(self.gain, hermitian(half)), axis1=-2, axis2=-1).real)
        noise = self.noise if self.diagonal else np.diagonal(self.noise, axis1=-2, axis2=-1).real
        return np.ascontiguousarray(noise / squared(self.gain)).sum(axis=-1)


def sensing_link(
    G: Any, W: Any, radar_noise_power: Any, transceiver: Transceiver = IDEAL, mode: Mode = "x"
) -> SensingLink:
    """The sensing link of a precoder through hardware; see the module for the modes.

    Args:
        G: Target response, shape (..., N_r, N_t).
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        radar_noise_power: Noise of each receive chain, broadcast to (...), in W.
        transceiver: The hardware.
        mode: What the receiver knows.

    Raises:
        InvalidInput: For an unknown mode, or for shapes that do not fit together.
    """
    if mode not in ("x", "xq"):
        raise InvalidInput("mode", "must be 'x' or 'xq'", mode, "'x': the receiver knows x; 'xq': also the DAC output.")
    G, W = np.asarray(G, complex, order="C"), np.asarray(W, complex, order="C")
    require_fit("the sensing array", G.shape[-1], W, transceiver)
    R = covariance(W)
    sigma2 = np.asarray(radar_noise_power, float)[..., None]
    transmit = transceiver.transmit.linear_model(R)
    radiated = transmit.output_covariance(R)
    arriving = G @ radiated @ hermitian(G)
    thermal = sigma2 + np.zeros(G.shape[-2])
    receive = transceiver.receive.linear_model(arriving + diagonal_matrix(thermal))
    probing = transmit.carry(R) if mode == "x" else radiated
    if receive.diagonal and not receive.coupled and (mode == "xq" or transceiver.transmit.is_ideal):
        noise = np.abs(receive.gain) ** 2 * thermal + receive.distortion
    else:
        noise = receive.output_covariance(diagonal_matrix(thermal) + (transmit.through(G) if mode == "x" else 0.0))
    return SensingLink(probing, receive, noise)


def radar_sqnr(G: Any, W: Any, radar_noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Radar SQNR ``tr(Q^-1 N)`` of [Xu25, eq. (9)], shape (...), linear.

    It is the mean over the symbols of the best symbol-dependent combiner, not the SQNR of
    one fixed combiner; for that see `radar_sqnr_combiner`. Arguments as in `sensing_link`.
    """
    G = np.asarray(G, complex, order="C")
    link = sensing_link(G, W, radar_noise_power, transceiver)
    return np.asarray(np.trace(link.information(G) @ link.probing, axis1=-2, axis2=-1).real)


def radar_sqnr_combiner(G: Any, W: Any, radar_noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Radar SQNR of the best fixed combiner, lambda_max(Q^-1 N), shape (...), linear.

    At most `radar_sqnr`, and equal to it for one point target. Arguments as in
    `sensing_link`.
    """
    G, W = np.asarray(G, complex, order="C"), np.asarray(W, complex, order="C")
    link = sensing_link(G, W, radar_noise_power, transceiver)
    V = transceiver.transmit.linear_model(covariance(W)).amplify(W)
    matrix = hermitian(V) @ link.information(G) @ V  # same non-zero spectrum as Q^-1 N
    finite = np.all(np.isfinite(matrix), axis=(-2, -1))
    matrix = np.where(finite[..., None, None], matrix, 0.0)
    return np.where(finite, np.linalg.eigvalsh(matrix)[..., -1], np.nan)


def response_crb(
    G: Any,
    W: Any,
    radar_noise_power: Any,
    snapshots: float,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "x",
) -> FloatArray:
    """CRB on the target response, the sum of the mean squared errors of the entries of G, shape (...).

    From the information ``L P^T kron A_r^H C^-1 A_r`` about vec(G), where P is the covariance
    of what the receiver knows to arrive and C the noise behind the receive gain A_r. On ideal
    hardware it is ``(sigma_s^2 N_r / L) tr(R^-1)`` [Zhao26, problem (1)]; infinite where P is
    singular.

    Args:
        G: Target response, shape (..., N_r, N_t); it sets the distortion of the receive chains.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        radar_noise_power: Noise of each receive chain, broadcast to (...), in W.
        snapshots: Number of samples L, at least N_t for the covariance to be that of the samples.
        transceiver: The hardware.
        mode: What the receiver knows.
    """
    link = sensing_link(G, W, radar_noise_power, transceiver, mode)
    spectrum = np.linalg.eigvalsh(link.probing)
    regular = spectrum[..., 0] > spectrum.shape[-1] * np.finfo(float).eps * spectrum[..., -1]
    probing = (1 / np.where(regular[..., None], spectrum, 1.0)).sum(axis=-1)
    return np.where(regular, probing * link.equivalent_noise() / snapshots, np.inf)
