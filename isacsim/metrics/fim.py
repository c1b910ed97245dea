"""Fisher information and Cramer-Rao bounds of point targets, through any hardware.

Unknown are the azimuth and (with a planar array) the zenith of each target and the real and
imaginary part of its reflection; noise statistics and the transmit signal are known. The
mean of the received signal is ``mu = A_r C X_0 V^H x`` with ``V = [A, dA/dazimuth,
dA/dzenith]`` and ``C`` likewise for the receive array, and its derivatives are
``A_r C X_i V^H x`` with constant sparse X_i (3M x 3M). Over L snapshots::

    F_ij = 2 L Re tr(X_i^H S X_j K),   S = (A_r C)^H C_n^-1 (A_r C),   K = V^H R V

with R the covariance of the reference signal and C_n that of the noise
(`isacsim.metrics.sensing`). For ideal hardware this equals [Fang25, eq. (9)]. Through
converters it is the mean term alone: a guarantee whatever the law of the distortion is,
where the covariance term would credit information that only Gaussian distortion carries.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.metrics.rate import IDEAL
from isacsim.metrics.sensing import Mode, sensing_link
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
        matrix: ``[Re T, Im T]``, flattened.
        parameters: Number P of unknown parameters.
    """

    matrix: FloatArray
    parameters: int

    @classmethod
    def of(cls, targets: PointTargets, S: ComplexArray, snapshots: float) -> FimTensor:
        """The tensor of a scene for the receive information S (..., 3M, 3M), in 1/W."""
        X = parameter_matrices(targets)
        SX = S[..., None, :, :] @ X
        XH = np.ascontiguousarray(np.conj(X).swapaxes(-1, -2))
        T = 2 * snapshots * (XH[..., :, None, :, :] @ SX[..., None, :, :, :])
        flat = T.reshape(*T.shape[:-4], T.shape[-4] * T.shape[-3], T.shape[-2] * T.shape[-1])
        return cls(np.concatenate([flat.real, flat.imag], axis=-1), T.shape[-3])

    def fim(self, K: ComplexArray) -> FloatArray:
        """F_ij = Re tr(T_ij K) for Hermitian K (..., 3M, 3M) in W, shape (..., P, P)."""
        flat = K.reshape(*K.shape[:-2], K.shape[-2] * K.shape[-1], 1)
        F = self.matrix @ np.concatenate([flat.real, flat.imag], axis=-2)
        return np.asarray(F.reshape(*F.shape[:-2], self.parameters, self.parameters))

    def adjoint(self, Phi: FloatArray) -> ComplexArray:
        """``sum_ij Phi_ij T_ij`` for symmetric Phi (..., P, P): Hermitian, (..., 3M, 3M)."""
        flat = Phi.reshape(*Phi.shape[:-2], 1, self.parameters**2)
        q = (flat @ self.matrix)[..., 0, :]
        half = q.shape[-1] // 2
        Q = q[..., :half] + 1j * q[..., half:]
        side = round(half**0.5)
        return np.asarray(Q.reshape(*Q.shape[:-1], side, side))


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
        mode: What the receiver knows: ``"x"`` or ``"xq"`` (`isacsim.metrics.sensing`).

    Raises:
        InvalidInput: If ``targets`` are not point targets.
    """
    if not isinstance(targets, PointTargets):
        raise InvalidInput("targets", "must be point targets for a CRLB of angles", targets, "Use kind 'points'.")
    link = sensing_link(targets.response(), W, radar_noise_power, transceiver, mode)
    V = targets.transmit_basis()
    K = np.conj(V).swapaxes(-1, -2) @ link.probing @ V
    return FimTensor.of(targets, link.information(targets.receive_basis()), snapshots).fim(K)


def inverse_fim(F: AnyArray, least: float = 1e-14) -> tuple[FloatArray, BoolArray]:
    """Inverse of Fisher matrices F (..., P, P), and where they are numerically regular.

    The blocks of a FIM differ in scale by the squared reflections, hence the scaling to a
    unit diagonal first. Members whose scaled matrix has a reciprocal condition (in the
    Frobenius norm) of at most ``least`` are singular and get an inverse of infinities.
    """
    diagonal = np.diagonal(F, axis1=-2, axis2=-1)
    regular = np.all(np.isfinite(F), axis=(-2, -1)) & np.all(diagonal > 0, axis=-1)
    F = np.where(regular[..., None, None], F, np.eye(F.shape[-1]))
    d = 1 / np.sqrt(np.diagonal(F, axis1=-2, axis2=-1))
    scale = d[..., :, None] * d[..., None, :]
    scaled = F * scale
    inverse = _inverse(scaled)
    # Rounding can make a singular matrix look regular, but hardly with a positive definite inverse.
    positive = np.all(np.diagonal(inverse, axis1=-2, axis2=-1) > 0, axis=-1)
    regular &= positive & (np.linalg.norm(scaled, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1)) * least < 1)
    inverse = (inverse + inverse.swapaxes(-1, -2)) / 2
    return np.where(regular[..., None, None], inverse * scale, np.inf), regular


def _inverse(matrices: FloatArray) -> FloatArray:
    """Inverses (..., P, P); NaN for a matrix that is exactly singular, which stops no other."""
    try:
        return np.asarray(np.linalg.inv(matrices), float)
    except np.linalg.LinAlgError:
        inverses = np.full(matrices.shape, np.nan)
        for member in np.ndindex(matrices.shape[:-2]):
            with contextlib.suppress(np.linalg.LinAlgError):
                inverses[member] = np.linalg.inv(matrices[member])
        return inverses


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
    inverse, _ = inverse_fim(fim(targets, W, radar_noise_power, snapshots, transceiver, mode))
    return np.ascontiguousarray(np.diagonal(inverse, axis1=-2, axis2=-1))
