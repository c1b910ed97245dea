"""Realised targets: what the sensing receiver sees of a scene.

A scene's response ``G`` (..., N_r, N_t) maps what the transmit array radiates to what the
receive array gets back, ``y = G x + n``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import all_of, batch_shape, batched, hermitian, real_vectors
from isacsim.checks import doubt_angles, instance
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.keywords import keywords
from isacsim.typing import ComplexArray, FloatArray, IntArray

ANGLES = ("azimuth", "zenith")
PARAMETERS = (*ANGLES, "reflection_real", "reflection_imag")


class Scene(ABC):
    """Targets of one realisation, or of a batch of them."""

    @abstractmethod
    def response(self) -> ComplexArray:
        """Response matrix G, shape (..., N_r, N_t)."""

    def band_response(self, grid: Grid) -> ComplexArray:
        """Response on each active subcarrier, shape (..., F or 1, N_r, N_t); by default the same on all."""
        return self.response()[..., None, :, :]

    @property
    def antennas(self) -> tuple[int, int]:
        """Sensing receive antennas N_r, of all receivers together, and transmit antennas N_t."""
        receivers, transmitters = self.response().shape[-2:]
        return receivers, transmitters

    @property
    def rank(self) -> int:
        """Largest rank that the response can have."""
        return min(self.antennas)


class ParametricScene(Scene):
    """A scene of P unknown real parameters, told by what its Fisher information is made of.

    The derivative of the response by unknown i is ``dG/domega_i = C X_i V^H``: V spans what the
    targets see of the transmitter, C what the receivers see of the targets, and the constant X_i
    are mostly zeros. V and C may differ in size, and C may stack several receivers. Metrics,
    problems and solvers of a Cramer-Rao bound ask a scene for nothing else.
    """

    @property
    @abstractmethod
    def unknowns(self) -> tuple[str, ...]:
        """Kind of each unknown, in the order of the FIM: P words.

        The parts of a complex unknown are ``name_real`` and ``name_imag``.
        """

    @abstractmethod
    def transmit_basis(self) -> ComplexArray:
        """V, shape (..., N_t, m)."""

    @abstractmethod
    def receive_basis(self) -> ComplexArray:
        """C, shape (..., N_r, m')."""

    @abstractmethod
    def parameter_matrices(self) -> ComplexArray:
        """The matrices X_i, shape (..., P, m', m)."""

    def yardsticks(self) -> ComplexArray:
        """Matrices Y_i by which X_i are judged, shape (..., P, m', m).

        ``C Y_i V^H`` is an echo about as strong as the one that a unit of unknown i makes where
        it can be seen well; an unknown whose information is nothing beside that of this echo
        cannot be estimated. This default is X_i: nothing but the precoder can hide an unknown.
        """
        return self.parameter_matrices()

    # What follows from these alone, worked out once for all problems of a scene.

    @cached_property
    def worked_out(self) -> dict[str, Any]:
        """What of it rooms above keep with the scene, by name."""
        return {}

    @cached_property
    def transmit_gram(self) -> ComplexArray:
        """``V^H V``, shape (..., m, m)."""
        V = self.transmit_basis()
        return hermitian(V) @ V

    @cached_property
    def receive_gram(self) -> ComplexArray:
        """``C^H C``, shape (..., m', m')."""
        C = self.receive_basis()
        return hermitian(C) @ C

    @cached_property
    def yardstick_grams(self) -> ComplexArray:
        """``Y_i V^H V Y_i^H`` of each yardstick: its echo where all antennas send 1 W each, (..., P, m', m')."""
        Y = self.yardsticks()
        return Y @ self.transmit_gram[..., None, :, :] @ hermitian(Y)

    def isotropic(self, S: ComplexArray) -> FloatArray:
        """``tr(Y_i^H S Y_i V^H V)``: what Hermitian S (..., m', m') tells of these echoes, (..., P)."""
        return np.asarray((real_vectors(self.yardstick_grams) @ real_vectors(S)[..., None])[..., 0])

    @cached_property
    def isotropic_yardstick(self) -> FloatArray:
        """What ``C^H C`` tells of them: the echo of each yardstick at the receivers, (..., P)."""
        return self.isotropic(self.receive_gram)

    @cached_property
    def entry_pairs(self) -> tuple[IntArray, ComplexArray]:
        """Pairs of entries x of X_i at (r, c) and x' of X_j at (r', c'), i <= j, that are not all 0.

        Returns:
            The places i, j, r, r', c and c', shape (6, pairs), shared by all, and ``conj(x) x'``, (..., pairs).
        """
        X = self.parameter_matrices()
        # An entry that is 0 for some members only adds 0 for these.
        there = (X != 0).reshape(-1, *X.shape[-3:]).any(axis=0)
        places = _pairs_of(there.shape, there.tobytes())
        i, j, r, s, c, d = places
        return places, np.conj(X[..., i, r, c]) * X[..., j, s, d]

    @cached_property
    def white_terms(self) -> ComplexArray:
        """``conj(x) (C^H C)[r, r'] x'`` of each of the `entry_pairs`, (..., pairs)."""
        (_, _, r, s, _, _), pairs = self.entry_pairs
        return pairs * self.receive_gram[..., r, s]

    @cached_property
    def entry_places(self) -> IntArray:
        """The places i, j, c and c' of each of the `entry_pairs`, shape (pairs, 4)."""
        return np.ascontiguousarray(self.entry_pairs[0][[0, 1, 4, 5]].T)

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each unknown; ``rad`` makes it an angle."""
        return _named(tuple(self.unknowns))[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each unknown, ``azimuth[0]`` and so on."""
        return _named(tuple(self.unknowns))[1]

    @property
    def sensing_streams(self) -> int:
        """Streams of a precoder that sensing alone has a use for; by default as many as V has columns."""
        return int(self.transmit_basis().shape[-1])


@lru_cache(maxsize=64)  # scenes of a study are alike in this
def _named(unknowns: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Units and labels of unknowns of some kinds."""
    units = tuple("rad" if kind in ANGLES else "1" for kind in unknowns)
    return units, tuple(f"{kind}[{unknowns[:i].count(kind)}]" for i, kind in enumerate(unknowns))


@lru_cache(maxsize=64)  # likewise
def _pairs_of(shape: tuple[int, ...], there: bytes) -> IntArray:
    """Places i, j, r, r', c and c' of the pairs with i <= j of entries of matrices that are there, (6, pairs)."""
    entries = np.argwhere(np.frombuffer(there, bool).reshape(shape))
    first, second = (index.ravel() for index in np.indices((len(entries),) * 2))
    kept = entries[first][:, 0] <= entries[second][:, 0]
    (i, r, c), (j, s, d) = entries[first[kept]].T, entries[second[kept]].T
    return np.stack([i, j, r, s, c, d])


def parametric(name: str, scene: Any, purpose: str, remedy: str = "Use kind 'point' or 'points'.") -> ParametricScene:
    """``scene`` itself, when it has unknown parameters.

    Raises:
        InvalidInput: It names ``name``, the ``purpose`` and the scene's type.
    """
    if isinstance(scene, ParametricScene):
        return scene
    rule = f"must have unknown parameters, as point targets do, for {purpose}"
    raise InvalidInput(name, rule, type(scene).__name__, remedy)


@keywords()
@frozen
class PointTargets(ParametricScene):
    """M point targets in the far field of co-located arrays [Fang25, eqs. (4)-(7)].

    ``G = B U A^H`` with steering vectors A (N_t x M) and B (N_r x M) and the complex
    reflections U = diag(alpha).

    Args:
        tx_array: Transmit array.
        rx_array: Receive array of the sensing receiver.
        azimuth: Azimuth angles, shape (..., M), in rad; one number stands for all targets.
        zenith: Zenith angles, likewise; pi/2 for linear arrays.
        reflection: Complex reflection coefficients, likewise, amplitude.
        delay: Round-trip delays, likewise, in s; they and the velocities count where the signal is OFDM.
        velocity: Radial velocities, positive where a target comes nearer, likewise, in m/s.
        fold: Whether delays and velocities that a grid takes for others are let in: they show up as these.

    Raises:
        InvalidInput: If the angles and reflections do not pair up, or a linear array is
            given other zeniths.
    """

    tx_array: AntennaArray = field(validator=instance(AntennaArray))
    rx_array: AntennaArray = field(validator=instance(AntennaArray))
    azimuth: Any = batched(1, scalar=True)
    zenith: Any = batched(1, scalar=True)
    reflection: Any = batched(1, dtype=complex, scalar=True)
    delay: Any = batched(1, scalar=True, least=0.0, default=0.0)
    velocity: Any = batched(1, scalar=True, default=0.0)
    fold: bool = field(default=False, validator=instance(bool))

    def __attrs_post_init__(self) -> None:
        names = (*ANGLES, "reflection", "delay", "velocity")
        most = max((getattr(self, name).shape[-1] for name in names if getattr(self, name).ndim), default=1)
        for name in names:
            if getattr(self, name).ndim == 0:  # one number stands for every target
                object.__setattr__(self, name, np.full(most, getattr(self, name)))
        counts = {name: getattr(self, name).shape[-1] for name in names}
        if len(set(counts.values())) > 1 or 0 in counts.values():
            raise InvalidInput(
                "targets",
                "must have one azimuth, zenith, reflection, delay and velocity a target",
                counts,
                "Give lists of equal length.",
            )
        batch_shape(self)
        for name in ANGLES:
            doubt_angles(name, getattr(self, name), stacklevel=6)  # past post-init, init and `keywords`
        if not self.planar and not all_of(np.abs(self.zenith - np.pi / 2) <= 1e-12):
            raise InvalidInput(
                "zenith", "must be pi/2 (90 degrees) for linear arrays", self.zenith, "Use a UPA to resolve it."
            )

    @property
    def count(self) -> int:
        """Number of targets M."""
        return int(self.reflection.shape[-1])

    @property
    def sensing_streams(self) -> int:
        """One for each target."""
        return self.count

    @property
    def antennas(self) -> tuple[int, int]:
        """The sizes of the arrays, N_r and N_t."""
        return self.rx_array.size, self.tx_array.size

    @property
    def rank(self) -> int:
        """Largest rank that the response can have: that of M rank-one echoes."""
        return min(self.count, *self.antennas)

    @property
    def planar(self) -> bool:
        """Whether the zenith angles are unknowns: one of the arrays resolves them."""
        return self.tx_array.planar or self.rx_array.planar

    @cached_property
    def unknowns(self) -> tuple[str, ...]:
        """Kind of each unknown real parameter, in the order of the FIM: P of them.

        All azimuths, all zeniths (unless both arrays are linear), the real and then the
        imaginary parts of all reflections.
        """
        kinds = PARAMETERS if self.planar else tuple(p for p in PARAMETERS if p != "zenith")
        return tuple(kind for kind in kinds for _ in range(self.count))

    def response(self) -> ComplexArray:
        """Response matrix G = B U A^H, shape (..., N_r, N_t)."""
        return self._response

    def band_response(self, grid: Grid) -> ComplexArray:
        """``G[f] = B U diag(exp(-2 pi j f tau)) A^H``, shape (..., F, N_r, N_t); velocities turn it over time.

        Of a target beyond the prefix it is what the rest of a body tells.
        """
        A, B = (basis[..., : self.count] for basis in self._bases)
        turn = np.exp(-2j * np.pi * grid.frequencies[:, None] * self.delay[..., None, :])
        turn = turn * grid.covered(self.delay)[..., None, :]
        return (B[..., None, :, :] * (self.reflection[..., None, :] * turn)[..., None, :]) @ hermitian(A)[
            ..., None, :, :
        ]

    def transmit_basis(self) -> ComplexArray:
        """V = [A, dA/dazimuth, dA/dzenith], shape (..., N_t, 3M)."""
        return self._bases[0]

    def receive_basis(self) -> ComplexArray:
        """C = [B, dB/dazimuth, dB/dzenith], shape (..., N_r, 3M)."""
        return self._bases[1]

    def parameter_matrices(self) -> ComplexArray:
        """The matrices X_i, shape (..., P, 3M, 3M)."""
        return self._matrices

    @cached_property
    def _bases(self) -> tuple[ComplexArray, ComplexArray]:
        """V and C, which each evaluation of a merit asks for again."""
        V = self._basis(self.tx_array)
        return V, V if self.rx_array == self.tx_array else self._basis(self.rx_array)

    @cached_property
    def _response(self) -> ComplexArray:
        A, B = (basis[..., : self.count] for basis in self._bases)
        return _kept((B * self.reflection[..., None, :]) @ hermitian(A))

    @cached_property
    def _matrices(self) -> ComplexArray:
        M, alpha = self.count, self.reflection
        X = np.zeros((*alpha.shape[:-1], 4, M, 3 * M, 3 * M), complex)
        for m in range(M):
            a, a_azimuth, a_zenith = m, M + m, 2 * M + m  # columns of V and of C
            X[..., 0, m, a_azimuth, a] = X[..., 0, m, a, a_azimuth] = alpha[..., m]
            X[..., 1, m, a_zenith, a] = X[..., 1, m, a, a_zenith] = alpha[..., m]
            X[..., 2, m, a, a] = 1
            X[..., 3, m, a, a] = 1j
        return _kept(self._of_unknowns(X))

    def yardsticks(self) -> ComplexArray:
        """Of an angle the echo of its target, as a phase ramp over few elements turns it; X_i of a reflection."""
        return self._yardsticks

    @cached_property
    def _yardsticks(self) -> ComplexArray:
        M, alpha = self.count, self.reflection
        Y = np.zeros((*alpha.shape[:-1], 4, M, 3 * M, 3 * M), complex)
        for m in range(M):
            Y[..., 0, m, m, m] = Y[..., 1, m, m, m] = alpha[..., m]
            Y[..., 2, m, m, m] = 1
            Y[..., 3, m, m, m] = 1j
        return _kept(self._of_unknowns(Y))

    def _of_unknowns(self, X: ComplexArray) -> ComplexArray:
        """Matrices (..., 4, M, 3M, 3M) by kind and target as those of the unknowns, (..., P, 3M, 3M)."""
        kept = X if self.planar else X[..., [0, 2, 3], :, :, :]
        unknowns = kept.shape[-4] * kept.shape[-3]  # not -1: a batch may be empty
        return kept.reshape(*X.shape[:-4], unknowns, *X.shape[-2:])

    def _basis(self, array: AntennaArray) -> ComplexArray:
        basis = array.steering_basis(self.azimuth, self.zenith)
        return _kept(np.concatenate([x.swapaxes(-1, -2) for x in basis], axis=-1))


def _kept(array: ComplexArray) -> ComplexArray:
    """An array in C order that is handed out more than once, and not to be written to."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


@keywords()
@frozen
class ResponseMatrix(Scene):
    """A scene given by its response alone: an extended target, or measured data.

    Args:
        G: Response, shape (..., N_r, N_t).
    """

    G: ComplexArray = batched(2, dtype=complex)

    def response(self) -> ComplexArray:
        """The given G."""
        return np.asarray(self.G)
