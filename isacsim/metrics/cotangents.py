"""Derivatives of merits of the link, through any hardware that has a derivative.

A merit depends on a precoder W through the effective precoder ``W_e = A_t W`` and the covariance D of the
transmit distortion alone (`isacsim.link.Transmission`), and on receivers through the linear models that
these set. So its derivative is a `Cotangent` of the two, and `pulled_back` through the transmit
chains a gradient in W: whoever writes a merit in this way has designs for any hardware whose linear
model has a derivative (`isacsim.hardware.base.Hardware.linear_model_vjp`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part, squared
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, diagonal_matrix
from isacsim.link import Echo, Reception, Transmission, covariance
from isacsim.metrics.delay_doppler import correlations, fisher_of_band, kinds_of, matrices, turns
from isacsim.metrics.fim import abreast, fisher, from_left, from_right, inverse_fim, stacked
from isacsim.targets.scene import ParametricScene, PointTargets
from isacsim.typing import AnyArray, ComplexArray, FloatArray


@frozen(eq=False)
class Cotangent:
    """The derivative of a merit: ``df = 2 Re tr(precoder^H dW_e) + Re tr(distortion dD)``.

    Attributes:
        precoder: Of the effective precoder, a half gradient, shape (..., N_t, K+S).
        distortion: Of the transmit distortion, Hermitian, shape (..., N_t, N_t).
    """

    precoder: ComplexArray
    distortion: ComplexArray

    def __add__(self, other: Cotangent) -> Cotangent:
        """That of the sum of two merits."""
        return Cotangent(self.precoder + other.precoder, self.distortion + other.distortion)

    def times(self, factor: Any) -> Cotangent:
        """That of the merit times a factor (...)."""
        factor = np.asarray(factor)[..., None, None]
        return Cotangent(factor * self.precoder, factor * self.distortion)


def pulled_back(W: ComplexArray, sent: Transmission, transmit: Hardware, cotangent: Cotangent) -> ComplexArray:
    """Half gradient in W (..., N_t, K+S) of a merit of what is sent of it: ``df = 2 Re tr(g^H dW)``."""
    if transmit.is_ideal:
        return cotangent.precoder
    R = covariance(W)
    model = transmit.linear_model(R) if sent.model is None else sent.model
    g = cotangent.precoder
    if model.coupled:
        gain = 2 * g @ hermitian(W)
        direct = hermitian(model.gain) @ g
    else:
        gain = 2 * (g * np.conj(W)).sum(axis=-1)
        direct = np.conj(model.gain)[..., None] * g
    return np.asarray(direct + transmit.linear_model_vjp(R, gain, cotangent.distortion) @ W)


def power_cotangent(sent: Transmission) -> Cotangent:
    """That of the radiated power."""
    antennas = sent.precoder.shape[-2]
    return Cotangent(sent.precoder, np.broadcast_to(np.eye(antennas, dtype=complex), sent.radiated.shape))


def rate_cotangent(
    H: ComplexArray, sent: Transmission, users: Reception, user: Hardware, weights: Any = 1.0
) -> Cotangent:
    """That of the weighted sum rate ``sum_k w_k ln(1 + SQINR_k)``.

    Behind a receiver of gain g and distortion d it is ``ln((|g|^2 (S + T) + d) / (|g|^2 T + d))``, where g and d may
    follow the power S + T that arrives.

    Args:
        H: Channels, shape (..., N_t, K).
        sent: What leaves the transmit chains.
        users: What the users receive of it.
        user: Their receivers.
        weights: w, broadcast to (..., K).
    """
    own, others = _rate_by_power(users, user, weights)
    received = hermitian(H) @ sent.precoder
    mine = np.eye(received.shape[-2], received.shape[-1]) > 0
    precoder = H @ (np.where(mine, own[..., None], others[..., None]) * received)
    distortion = (H * others[..., None, :]) @ hermitian(H)
    if users.error is not None:
        error = (others[..., None, None] * users.error).sum(axis=-3)
        precoder, distortion = precoder + error @ sent.precoder, distortion + error
    return Cotangent(precoder, distortion)


def _rate_by_power(users: Reception, user: Hardware, weights: Any) -> tuple[FloatArray, FloatArray]:
    """Derivatives of the weighted sum rate by the powers S_k and T_k before the receivers, each (..., K).

    Weights go through a receiver too: what it makes of one subcarrier may follow what arrives on others.
    """
    model, S, T = users.receiver, users.signal, users.other
    kept = squared(model.gain)
    total = kept * (S + T) + model.distortion_power
    rest = kept * T + model.distortion_power
    sound = rest > 0  # a receiver that puts out nothing has no rate
    by_total, by_rest = (
        np.where(sound, weights / np.where(sound, total, 1.0), 0.0),
        np.where(sound, weights / np.where(sound, rest, 1.0), 0.0),
    )
    own, others = kept * by_total, kept * (by_total - by_rest)
    if user.is_ideal:
        return np.asarray(own), np.asarray(others)
    gain = 2 * model.gain * ((S + T) * by_total - T * by_rest)
    follow = user.linear_model_vjp(diagonal_matrix(S + T).astype(complex), gain, by_total - by_rest)
    arriving = np.ascontiguousarray(np.diagonal(follow, axis1=-2, axis2=-1).real)
    return np.asarray(own + arriving), np.asarray(others + arriving)


def crlb_cotangent(
    targets: ParametricScene, echo: Echo, selection: FloatArray, snapshots: float, receive: Hardware
) -> tuple[FloatArray, Cotangent]:
    """The weighted CRLB ``tr(D F^-1)``, shape (...), and its cotangent.

    With ``Phi = F^-1 D F^-1``, and S and K of `isacsim.metrics.fim`::

        -d tr(D F^-1) = tr(G_K dK) + tr(G_S dS)
        G_K = 2 L sum_ij Phi_ij X_i^H S X_j,  G_S = 2 L sum_ij Phi_ij X_j K X_i^H

    where S follows the noise and the gain of the receive chains; infinite where F is singular, with NaN for
    a cotangent.

    Args:
        targets: The scene.
        echo: What the sensing receiver gets.
        selection: The diagonal of D, (P,).
        snapshots: Number of samples L.
        receive: The receive chains.
    """
    V, C, X = targets.transmit_basis(), targets.receive_basis(), targets.parameter_matrices()
    return _bound_cotangent(echo, receive, (V, C, X), lambda S, K: fisher(X, S, K, snapshots), snapshots, selection)


def band_crlb_cotangent(
    targets: PointTargets, echo: Echo, grid: Grid, unknowns: Sequence[str], selection: FloatArray, receive: Hardware
) -> tuple[FloatArray, Cotangent]:
    """`crlb_cotangent` on a grid: the bound (...), and its cotangent on each subcarrier (..., F, N_t, .).

    With the Fisher information of `isacsim.metrics.delay_doppler` the factors L of G_K and G_S become
    ``conj(u_i[f]) u_j[f] (v_i^H v_j)``.

    Args:
        targets: The targets.
        echo: What the sensing receiver gets on each subcarrier.
        grid: The grid.
        unknowns: What is not known of the targets.
        selection: The diagonal of D, (P,), of unknowns in rad, s, Hz and 1.
        receive: The receive chains, as subcarriers see them.
    """
    V, C = targets.transmit_basis()[..., None, :, :], targets.receive_basis()[..., None, :, :]
    kinds = kinds_of(targets, unknowns)
    Y, _ = matrices(targets, kinds)
    turning = correlations(*turns(targets, kinds, grid, grid.covered(targets.delay)))
    basis = V, C, Y[..., None, :, :, :]
    return _bound_cotangent(echo, receive, basis, lambda S, K: fisher_of_band(Y, S, K, turning), turning, selection)


def _bound_cotangent(
    echo: Echo,
    receive: Hardware,
    basis: tuple[ComplexArray, ComplexArray, ComplexArray],
    information: Callable[[ComplexArray, ComplexArray], FloatArray],
    turning: Any,
    selection: FloatArray,
) -> tuple[FloatArray, Cotangent]:
    """``tr(D F^-1)`` and its cotangent, for ``F_ij = 2 Re sum turning_ij tr(X_i^H S X_j K)``.

    Args:
        echo: What the sensing receiver gets.
        receive: The receive chains.
        basis: V, C and the matrices X_i, (..., P, m', m).
        information: F of S and K.
        turning: A number, or Hermitian matrices (..., F, P, P) where there is a sum over subcarriers.
        selection: The diagonal of D, (P,).
    """
    V, C, X = basis
    VH = hermitian(V)
    received = echo.receive.amplify(C)
    whitened = echo.whiten(C)
    S, K = hermitian(received) @ whitened, VH @ echo.probing @ V
    F_inverse, regular = inverse_fim(information(S, K))
    bound = np.where(regular, (np.diagonal(F_inverse, axis1=-2, axis2=-1) * selection).sum(axis=-1), np.inf)
    F_inverse = np.where(regular[..., None, None], F_inverse, np.nan)
    Phi = (F_inverse * selection) @ F_inverse
    Phi = turning * (Phi if np.ndim(turning) == 0 else Phi[..., None, :, :])
    mixed = (Phi @ X.reshape(*X.shape[:-2], -1)).reshape(*Phi.shape[:-2], *X.shape[-3:])
    by_K = 2 * hermitian(stacked(mixed)) @ stacked(from_left(S, X))  # sum_i mixed_i^H S X_i
    by_S = 2 * abreast(from_right(mixed, K)) @ hermitian(abreast(X))  # sum_i mixed_i K X_i^H, as Hermitian part alike
    probing = V @ hermitian_part(by_K) @ VH
    signal, distortion = _through_receiver(echo, receive, C, whitened, hermitian_part(by_S))
    signal = signal + probing
    if echo.mode == "radiated":
        distortion = distortion + probing
    return bound, Cotangent(-(signal @ echo.sent.precoder), -distortion)


def sqnr_cotangent(echo: Echo, receive: Hardware) -> Cotangent:
    """That of the radar SQNR ``tr(Q^-1 N)``, N the signal behind the receive chains [Xu25, eq. (9)]."""
    whitened = echo.whiten(echo.G)
    information = hermitian(echo.receive.amplify(echo.G)) @ whitened  # of which the SQNR is the trace with what probes
    signal, distortion = _through_receiver(echo, receive, echo.G, whitened, echo.probing)
    if echo.mode == "radiated":
        distortion = distortion + information
    return Cotangent((information + signal) @ echo.sent.precoder, distortion)


def _through_receiver(
    echo: Echo, receive: Hardware, C: ComplexArray, whitened: ComplexArray, by_S: ComplexArray
) -> tuple[ComplexArray, ComplexArray]:
    """Cotangents of the signal and of the distortion, (..., N_t, N_t), of ``tr(by_S S)`` with ``S = (A C)^H Q^-1 A C``.

    Q is the noise behind the receive gain A: thermal noise and, if the receiver knows x alone, transmit distortion
    through A, and the distortion of the receive chains, which with A follows what arrives.
    """
    if echo.background is not None:
        remedy = "Design without it, and judge with it."
        raise InvalidInput("echo", "must have no background to be differentiated", echo.background, remedy)
    E = whitened @ by_S @ hermitian(whitened)  # of -Q
    GH, A = hermitian(echo.G), echo.receive
    nothing = np.zeros_like(echo.sent.signal)
    behind = E if receive.is_ideal else _adjoint(A.gain, A.coupled, E)  # A^H E A, of the noise before the gain
    distortion = -(GH @ behind @ echo.G) if echo.mode == "signal" and not echo.sent.ideal else nothing
    if receive.is_ideal:
        return nothing, distortion
    noise = diagonal_matrix(echo.thermal).astype(complex)
    if echo.mode == "signal" and not echo.sent.ideal:
        noise = noise + echo.sent.distortion_through(echo.G)
    turned = C @ by_S @ hermitian(whitened)  # of A, its adjoint
    gain = 2 * hermitian(
        turned - noise @ (A.gain.conj().swapaxes(-1, -2) @ E if A.coupled else np.conj(A.gain)[..., :, None] * E)
    )
    gain = gain if A.coupled else np.ascontiguousarray(np.diagonal(gain, axis1=-2, axis2=-1))
    arriving = echo.G @ echo.sent.radiated @ GH + diagonal_matrix(echo.thermal)
    follow = GH @ receive.linear_model_vjp(arriving, gain, -E) @ echo.G
    return follow, distortion + follow


def _adjoint(gain: AnyArray, coupled: bool, E: ComplexArray) -> ComplexArray:
    """``A^H E A``."""
    if coupled:
        return np.asarray(hermitian(gain) @ E @ gain)
    return np.asarray(np.conj(gain)[..., :, None] * E * gain[..., None, :])
