"""Fisher information and Cramer-Rao bounds of a scene's unknown parameters, through any hardware.

Unknown is what the scene says (`isacsim.targets.scene.ParametricScene`): of point targets the
azimuth and (with a planar array) the zenith of each and the real and imaginary part of its
reflection; noise statistics and the transmit signal are known. The derivatives of the mean of
the received signal are ``A_r C X_i V^H x`` with a transmit basis V and a receive basis C (of
point targets ``V = [A, dA/dazimuth, dA/dzenith]``, and C likewise) and constant sparse X_i.
Over L snapshots::

    F_ij = 2 L Re tr(X_i^H S X_j K),   S = (A_r C)^H C_n^-1 (A_r C),   K = V^H R V

with R the covariance of the reference signal and C_n that of the noise
(`isacsim.link.Echo`). For ideal hardware this equals [Fang25, eq. (9)]. Through
converters it is the mean term alone: a guarantee whatever the law of the distortion is,
where the covariance term would credit information that only Gaussian distortion carries.

Whether the unknowns can be estimated is decided in one place, `Information.inverse`, for the
metric, for the screens of problems and for estimators. Two things are asked. Does the echo
depend on each unknown? Its information is compared with that of an echo (the scene's yardstick)
under the same power, sent alike in all directions: derivatives of 1e-7 of it are hardly more
than what rounding leaves of a zero. And can the unknowns be told apart? What the others take
from each is compared with the digits of the inverse.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import all_of, hermitian, real_vectors, rows
from isacsim.checks import sample_count
from isacsim.compiled import compiled, part
from isacsim.hardware.base import Transceiver
from isacsim.linalg.hermitian import basis
from isacsim.linalg.parts import invert_each
from isacsim.link import IDEAL, Echo, Mode
from isacsim.metrics.sensing import echo_of
from isacsim.targets.background import Background
from isacsim.targets.scene import ParametricScene, Scene, parametric
from isacsim.typing import AnyArray, BoolArray, ComplexArray, FloatArray, IntArray

# Information relative to the yardstick below which an echo does not depend on an unknown but for rounding.
SILENT = 1e-14
# Reciprocal of the inflation by the other unknowns below which unknowns cannot be told apart: what rounding
# leaves of a singular matrix is inflated by 1e13 and more.
CONFUSED = 1e-12


@frozen(eq=False)
class FimTensor:
    """The tensor T_ij = 2 L X_i^H S X_j, which makes the FIM linear in K.

    Each X_i has few entries, of point targets one or two, and T is kept as one number for each pair of them: with
    entries x of X_i in row r and column c, and x' of X_j in row r' and column c', ``2 L conj(x) S[r, r'] x'`` is what
    K[c', c] counts in F_ij. Both directions are one pass over these, which knows nothing of the numbers of antennas.

    Attributes:
        terms: One number for each pair of entries of X_i and X_j with i <= j, shape (..., terms).
        places: i, j, c and c' of each, shape (terms, 4), shared by all.
        parameters: Number P of unknown parameters.
        columns: Number m of columns of V.
    """

    terms: ComplexArray = rows(1)
    places: IntArray = field(kw_only=True)
    parameters: int = field(kw_only=True)
    columns: int = field(kw_only=True)

    @classmethod
    def of(cls, targets: ParametricScene, S: ComplexArray, snapshots: float) -> FimTensor:
        """The tensor of a scene for the receive information S (..., m', m'), in 1/W."""
        (_, _, r, s, _, _), pairs = targets.entry_pairs
        return cls.of_terms(targets, 2 * snapshots * (pairs * S[..., r, s]))

    @classmethod
    def ideal(cls, targets: ParametricScene, radar_noise_power: Any, snapshots: float) -> FimTensor:
        """The tensor for an ideal receiver, whose noise is white."""
        scale = 2 * snapshots / np.asarray(radar_noise_power)
        return cls.of_terms(targets, scale[..., None] * targets.white_terms)

    @classmethod
    def of_terms(cls, targets: ParametricScene, terms: ComplexArray) -> FimTensor:
        """The tensor of a scene whose terms are known."""
        parameters, _, columns = targets.parameter_matrices().shape[-3:]
        terms = np.ascontiguousarray(terms)
        return cls(terms, places=targets.entry_places, parameters=parameters, columns=columns)

    def fim(self, K: ComplexArray) -> FloatArray:
        """F_ij = Re tr(T_ij K) for Hermitian K (..., m, m) in W, shape (..., P, P)."""
        return self._pass(compiled(fim_each), K, self.columns, (self.parameters, float))

    def adjoint(self, Phi: FloatArray) -> ComplexArray:
        """``sum_ij Phi_ij T_ij`` for symmetric Phi (..., P, P): Hermitian, (..., m, m)."""
        return self._pass(compiled(adjoint_each), Phi, self.parameters, (self.columns, complex))

    def linear_map(self, V: ComplexArray, unit: FloatArray) -> FloatArray:
        """What F is of a covariance R, for programs: the upper triangle of F, by rows, of each matrix of a basis.

        Args:
            V: Transmit basis (1, N, m): F is of ``K = V^H R V``.
            unit: That of each diagonal entry, (P,); off the diagonal it is the root of the product.

        Returns:
            The map (P (P+1) / 2, N^2) of the coordinates of R (`isacsim.linalg.hermitian`).
        """
        scale, (i, j) = 1 / np.sqrt(unit), np.triu_indices(self.parameters)
        F = np.moveaxis(self.fim(hermitian(V) @ basis(V.shape[-2]) @ V), 0, -1)
        return np.asarray(F[i, j] * (scale[i] * scale[j])[:, None])

    def _pass(self, kernel: Any, given: AnyArray, side: int, made: tuple[int, type]) -> AnyArray:
        terms, count = self.terms, self.terms.shape[-1]
        shape = given.shape[:-2]
        if terms.shape[:-1] != shape:
            shape = np.broadcast_shapes(terms.shape[:-1], shape)
            if terms.size > count and terms.shape[:-1] != shape:
                terms = np.ascontiguousarray(np.broadcast_to(terms, (*shape, count)))
            if given.shape[:-2] != shape:
                given = np.broadcast_to(given, (*shape, side, side))
        given = np.ascontiguousarray(given).reshape(-1, side, side)
        result: AnyArray = np.empty((len(given), made[0], made[0]), made[1])
        kernel(terms.reshape(-1, count), self.places, given, result)
        return result.reshape(*shape, *result.shape[1:])


@part
def fim_into(terms: ComplexArray, places: IntArray, K: ComplexArray, F: FloatArray) -> None:
    """Write the FIM (P, P) for Hermitian K (m, m), with the terms of a `FimTensor`."""
    for i in range(F.shape[0]):
        for j in range(i, F.shape[0]):
            F[i, j] = 0.0
    for t in range(terms.size):
        i, j, value = places[t, 0], places[t, 1], K[places[t, 3], places[t, 2]]
        term = terms[t]
        F[i, j] += term.real * value.real - term.imag * value.imag
    for i in range(F.shape[0]):
        for j in range(i):
            F[i, j] = F[j, i]


@part
def adjoint_into(terms: ComplexArray, places: IntArray, Phi: FloatArray, Q: ComplexArray) -> None:
    """Write ``sum_ij Phi_ij T_ij`` (m, m) for symmetric Phi (P, P), with the terms of a `FimTensor`."""
    for c in range(Q.shape[0]):
        for d in range(Q.shape[0]):
            Q[c, d] = 0.0
    for t in range(terms.size):
        i, j, c, d = places[t, 0], places[t, 1], places[t, 2], places[t, 3]
        # T_ij + T_ji = T_ij + T_ij^H, of which half is added here and half below.
        Q[c, d] += terms[t] * (Phi[i, j] if i == j else 2 * Phi[i, j])
    for c in range(Q.shape[0]):
        for d in range(c + 1):
            value = 0.5 * (Q[c, d] + Q[d, c].conjugate())
            Q[c, d], Q[d, c] = value, value.conjugate()


def fim_each(terms: ComplexArray, places: IntArray, K: ComplexArray, F: FloatArray) -> None:
    """Write the FIMs (B, P, P) for Hermitian K (B, m, m); terms of B members or of one."""
    for b in range(len(F)):
        fim_into(terms[min(b, len(terms) - 1)], places, K[b], F[b])


def adjoint_each(terms: ComplexArray, places: IntArray, Phi: FloatArray, Q: ComplexArray) -> None:
    """Write ``sum_ij Phi_ij T_ij`` (B, m, m) for symmetric Phi (B, P, P); terms of B members or of one."""
    for b in range(len(Q)):
        adjoint_into(terms[min(b, len(terms) - 1)], places, Phi[b], Q[b])


@frozen(eq=False, slots=False)
class Information:
    """Fisher information, and what it is judged by.

    Attributes:
        F: Fisher information matrix, shape (..., P, P).
        yardstick: Information that an echo well seen would carry on each unknown (..., P), were the
            same power sent alike in all directions.
    """

    F: FloatArray
    yardstick: FloatArray

    @classmethod
    def of(
        cls, targets: ParametricScene, S: ComplexArray, K: ComplexArray, share: Any, snapshots: float
    ) -> Information:
        """That of a scene.

        Args:
            targets: The scene.
            S: Receive information, shape (..., m', m'), in 1/W.
            K: ``V^H R V`` of the reference signal's covariance R, shape (..., m, m), in W.
            share: ``tr(R) / N_t``, shape (...), in W.
            snapshots: Number of samples L.
        """
        return cls(fisher(targets.parameter_matrices(), S, K, snapshots), yardstick(targets, S, share, snapshots))

    @cached_property
    def silent(self) -> BoolArray:
        """Unknowns on which the echo does not depend but for rounding, shape (..., P)."""
        return ~(np.diagonal(self.F, axis1=-2, axis2=-1) > SILENT * self.yardstick)

    @cached_property
    def inverse(self) -> tuple[FloatArray, BoolArray]:
        """Inverse of F, shape (..., P, P), and which members can be estimated; infinite for the others."""
        inverse, regular = inverse_fim(self.F)
        if np.count_nonzero(self.silent):
            regular = regular & ~self.silent.any(axis=-1)
        return inverse if all_of(regular) else np.where(regular[..., None, None], inverse, np.inf), regular

    @cached_property
    def bounds(self) -> FloatArray:
        """Cramer-Rao bounds, the diagonal of the inverse, shape (..., P)."""
        return np.ascontiguousarray(np.diagonal(self.inverse[0], axis1=-2, axis2=-1))


def alike(targets: ParametricScene) -> Information:
    """Information that half a snapshot has where each antenna sends 1 W by itself and a receiver's noise is 1 W.

    That of another power, noise or number of snapshots is in proportion, so that a scene needs it once.
    """
    kept = targets.worked_out
    if "alike" not in kept:
        F = FimTensor.of_terms(targets, targets.white_terms).fim(targets.transmit_gram)
        kept["alike"] = Information(F, targets.isotropic_yardstick)
    found: Information = kept["alike"]
    return found


def fisher(X: ComplexArray, S: ComplexArray, K: ComplexArray, snapshots: float) -> FloatArray:
    """``F_ij = 2 L Re tr(X_i^H S X_j K)``, (..., P, P), of X (..., P, m', m), S (..., m', m') and K (..., m, m)."""
    changes = from_right(from_left(S, X), K)
    # A `FimTensor` pays where many K meet one S; here each meets its own.
    return np.asarray(2 * snapshots * (real_vectors(X) @ real_vectors(changes).swapaxes(-1, -2)))


# One product with matrices side by side, or one above the other, where each alone costs more in calls.


def abreast(X: ComplexArray) -> ComplexArray:
    """Matrices (..., P, m', m) side by side, (..., m', P m)."""
    *lead, count, rows, columns = X.shape
    return np.ascontiguousarray(X.swapaxes(-3, -2)).reshape(*lead, rows, count * columns)


def stacked(X: ComplexArray) -> ComplexArray:
    """Matrices (..., P, m', m) one above the other, (..., P m', m)."""
    *lead, count, rows, columns = X.shape
    return X.reshape(*lead, count * rows, columns)


def from_left(S: ComplexArray, X: ComplexArray) -> ComplexArray:
    """``S X_i``, (..., P, m', m), of matrices X (..., P, m', m)."""
    count, _, columns = X.shape[-3:]
    product = S @ abreast(X)
    return np.ascontiguousarray(product.reshape(*product.shape[:-1], count, columns).swapaxes(-3, -2))


def from_right(X: ComplexArray, K: ComplexArray) -> ComplexArray:
    """``X_i K``, (..., P, m', m), of matrices X (..., P, m', m)."""
    product = stacked(X) @ K
    return product.reshape(*product.shape[:-2], *X.shape[-3:])


def yardstick(targets: ParametricScene, S: ComplexArray, share: Any, snapshots: float) -> FloatArray:
    """What the scene's yardsticks say of each unknown where all antennas send alike; see `Information`."""
    return np.asarray(2 * snapshots * np.asarray(share)[..., None] * targets.isotropic(S))


def information(
    targets: Scene,
    W: Any,
    radar_noise_power: Any,
    snapshots: float,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "signal",
    background: Background | None = None,
) -> Information:
    """Fisher information of the unknowns of a scene and its yardstick; arguments as in `fim`."""
    targets = parametric("targets", targets, "a Cramer-Rao bound")
    sample_count("snapshots", snapshots)
    echo = echo_of(targets.response(), W, radar_noise_power, transceiver, mode, background)
    return information_of(targets, echo, snapshots)


def information_of(targets: Scene, echo: Echo, snapshots: float) -> Information:
    """`information` of an echo of the targets."""
    targets = parametric("targets", targets, "a Cramer-Rao bound")
    V = targets.transmit_basis()
    share = np.trace(echo.probing, axis1=-2, axis2=-1).real / V.shape[-2]
    K = hermitian(V) @ echo.probing @ V
    return Information.of(targets, echo.information(targets.receive_basis()), K, share, snapshots)


def fim(
    targets: Scene,
    W: Any,
    radar_noise_power: Any,
    snapshots: float,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "signal",
    background: Background | None = None,
) -> FloatArray:
    """Fisher information matrix of the unknown parameters of a scene, shape (..., P, P).

    The parameters and their order are the scene's ``unknowns``; units are 1/rad^2 for pairs
    of angles, and those of the reflection (amplitude) accordingly.

    Args:
        targets: The scene, with unknown parameters (`isacsim.targets.scene.ParametricScene`).
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        radar_noise_power: Noise of each receive chain, broadcast to (...), in W.
        snapshots: Number of samples L, a whole number.
        transceiver: The hardware.
        mode: What the receiver knows: ``"signal"`` or ``"radiated"`` (`isacsim.link.Echo`).
        background: What arrives beside the echo; None is nothing.

    Raises:
        InvalidInput: If ``targets`` have no unknown parameters, or an argument breaks a rule.
    """
    return information(targets, W, radar_noise_power, snapshots, transceiver, mode, background).F


def inverse_fim(F: AnyArray, least: float = CONFUSED) -> tuple[FloatArray, BoolArray]:
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
    targets: Scene,
    W: Any,
    radar_noise_power: Any,
    snapshots: float,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "signal",
    background: Background | None = None,
) -> FloatArray:
    """Cramer-Rao bound on the variance of each unknown parameter, shape (..., P).

    The diagonal of the inverse FIM: rad^2 for angles, squared amplitude for reflections;
    infinite where the scene is not identifiable (`Information`). Its sum over the parameters is the
    objective of [Fang25, eq. (11)]. Arguments as in `fim`.
    """
    return information(targets, W, radar_noise_power, snapshots, transceiver, mode, background).bounds
