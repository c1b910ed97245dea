"""Fisher information and Cramer-Rao bounds of point targets, through any hardware.

Unknown are the azimuth and (with a planar array) the zenith of each target and the real and
imaginary part of its reflection; noise statistics and the transmit signal are known. The
mean of the received signal is ``mu = A_r C X_0 V^H x`` with ``V = [A, dA/dazimuth,
dA/dzenith]`` and ``C`` likewise for the receive array, and its derivatives are
``A_r C X_i V^H x`` with constant sparse X_i (3M x 3M). Over L snapshots::

    F_ij = 2 L Re tr(X_i^H S X_j K),   S = (A_r C)^H C_n^-1 (A_r C),   K = V^H R V

with R the covariance of the reference signal and C_n that of the noise
(`isacsim.link.Echo`). For ideal hardware this equals [Fang25, eq. (9)]. Through
converters it is the mean term alone: a guarantee whatever the law of the distortion is,
where the covariance term would credit information that only Gaussian distortion carries.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.algebra import invert_each
from isacsim.batch import hermitian, real_vectors, rows
from isacsim.compiled import compiled
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.link import IDEAL, Echo, Mode
from isacsim.metrics.sensing import echo_of
from isacsim.targets.scene import PointTargets
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray


def parameter_matrices(targets: PointTargets) -> ComplexArray:
    """The matrices X_i of the unknown parameters, shape (..., P, 3M, 3M)."""
    M, alpha = targets.count, targets.reflection
    X = np.zeros((*alpha.shape[:-1], 4, M, 3 * M, 3 * M), complex)
    for m in range(M):
        a, a_azimuth, a_zenith = m, M + m, 2 * M + m  # columns of V and of C
        X[..., 0, m, a_azimuth, a] = X[..., 0, m, a, a_azimuth] = alpha[..., m]
        X[..., 1, m, a_zenith, a] = X[..., 1, m, a, a_zenith] = alpha[..., m]
        X[..., 2, m, a, a] = 1
        X[..., 3, m, a, a] = 1j
    kinds = [0, 1, 2, 3] if targets.planar else [0, 2, 3]
    return X[..., kinds, :, :, :].reshape(*alpha.shape[:-1], len(kinds) * M, 3 * M, 3 * M)


@frozen(eq=False)
class FimTensor:
    """The tensor T_ij = 2 L X_i^H S X_j, which makes the FIM linear in K.

    It is kept as a real matrix (..., P^2, 2 (3M)^2), so that both directions are one
    matrix-vector product whose cost knows nothing of the numbers of antennas.

    Attributes:
        matrix: T, flattened, with real and imaginary parts as neighbours.
        parameters: Number P of unknown parameters.
    """

    matrix: Any = rows(2)
    parameters: int = field(kw_only=True)

    @classmethod
    def of(cls, targets: PointTargets, S: ComplexArray, snapshots: float) -> FimTensor:
        """The tensor of a scene for the receive information S (..., 3M, 3M), in 1/W."""
        X = parameter_matrices(targets)
        SX = S[..., None, :, :] @ X
        XH = np.ascontiguousarray(np.conj(X).swapaxes(-1, -2))
        T = 2 * snapshots * (XH[..., :, None, :, :] @ SX[..., None, :, :, :])
        flat = T.reshape(*T.shape[:-4], T.shape[-4] * T.shape[-3], T.shape[-2] * T.shape[-1])
        return cls(flat.view(float), parameters=T.shape[-3])

    @classmethod
    def ideal(cls, targets: PointTargets, radar_noise_power: Any, snapshots: float) -> FimTensor:
        """The tensor for an ideal receiver, whose noise is white: ``S = C^H C / radar_noise_power``."""
        C = targets.receive_basis()
        return cls.of(targets, hermitian(C) @ C / np.asarray(radar_noise_power)[..., None, None], snapshots)

    def fim(self, K: ComplexArray) -> FloatArray:
        """F_ij = Re tr(T_ij K) for Hermitian K (..., 3M, 3M) in W, shape (..., P, P)."""
        F = self.matrix @ real_vectors(K)[..., :, None]
        return np.asarray(F.reshape(*F.shape[:-2], self.parameters, self.parameters))

    def adjoint(self, Phi: FloatArray) -> ComplexArray:
        """``sum_ij Phi_ij T_ij`` for symmetric Phi (..., P, P): Hermitian, (..., 3M, 3M)."""
        Q = (real_vectors(Phi)[..., None, :] @ self.matrix).view(complex)
        side = math.isqrt(Q.shape[-1])
        return np.asarray(Q.reshape(*Q.shape[:-2], side, side))


def fim(
    targets: PointTargets,
    W: Any,
    radar_noise_power: Any,
    snapshots: float,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "x",
) -> FloatArray:
    """Fisher information matrix of the targets' parameters, shape (..., P, P).

    The parameters and their order are `PointTargets.unknowns`; units are 1/rad^2 for pairs
    of angles, and those of the reflection (amplitude) accordingly.

    Args:
        targets: The scene.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        radar_noise_power: Noise of each receive chain, broadcast to (...), in W.
        snapshots: Number of samples L.
        transceiver: The hardware.
        mode: What the receiver knows: ``"x"`` or ``"xq"`` (`isacsim.link.Echo`).

    Raises:
        InvalidInput: If ``targets`` are not point targets.
    """
    return fim_of(targets, echo_of(targets.response(), W, radar_noise_power, transceiver, mode), snapshots)


def fim_of(targets: PointTargets, echo: Echo, snapshots: float) -> FloatArray:
    """`fim` of an echo of the targets, shape (..., P, P)."""
    if not isinstance(targets, PointTargets):
        raise InvalidInput("targets", "must be point targets for a CRLB of angles", targets, "Use kind 'points'.")
    V, X = targets.transmit_basis(), parameter_matrices(targets)
    S = echo.information(targets.receive_basis())[..., None, :, :]
    K = (np.conj(V).swapaxes(-1, -2) @ echo.probing @ V)[..., None, :, :]
    # A tensor pays where many K meet one S; here each meets its own.
    return np.asarray(2 * snapshots * (real_vectors(X) @ real_vectors(S @ X @ K).swapaxes(-1, -2)))


def inverse_fim(F: AnyArray, least: float = 1e-14) -> tuple[FloatArray, BoolArray]:
    """Inverse of Fisher matrices F (..., P, P), and where they are numerically regular.

    By how much the other unknowns inflate the bound on each parameter stands on the diagonal of the
    inverse of F scaled to a unit diagonal, since the blocks of a FIM differ in scale by the squared
    reflections. Members where that is 1 / ``least`` or more are singular and get an inverse of infinities.
    """
    F = np.ascontiguousarray(F, float)
    inverse, regular = np.empty_like(F), np.empty(F.shape[:-2], bool)
    flat = (-1, *F.shape[-2:])
    compiled(invert_each)(F.reshape(flat), least, inverse.reshape(flat), regular.reshape(-1))
    return inverse, regular


def crlb(
    targets: PointTargets,
    W: Any,
    radar_noise_power: Any,
    snapshots: float,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "x",
) -> FloatArray:
    """Cramer-Rao bound on the variance of each unknown parameter, shape (..., P).

    The diagonal of the inverse FIM: rad^2 for angles, squared amplitude for reflections;
    infinite where the scene is not identifiable. Its sum over the parameters is the
    objective of [Fang25, eq. (11)]. Arguments as in `fim`.
    """
    return bounds(fim(targets, W, radar_noise_power, snapshots, transceiver, mode))


def bounds(F: FloatArray) -> FloatArray:
    """The diagonal of the inverse of Fisher matrices F (..., P, P), shape (..., P); infinite where singular."""
    inverse, _ = inverse_fim(F)
    return np.ascontiguousarray(np.diagonal(inverse, axis1=-2, axis2=-1))
