"""Ascent along ridges: transmit chains that share their distortion since they send in phase or in quadrature.

Behind a converter the distortion of two chains falls from that of a full correlation by a share of the angle
between their rows of W. A merit that gains by correlated distortion, as where it reaches no user, has a ridge
there, a cone in what one row has beside the other: no gradient ends on it, and a member that is drawn to it stalls
anywhere along it. Chains of such a `bundle` are kept together here. With real amplitudes s_i and quarter turns q_i
their rows are ``q_i s_i u``, real matrices of rank one, to which steps are taken back and on whose tangent space
gradients are projected. What ends there is stationary along the ridge, and stays where no part of
a bundle gains by leaving.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from attrs import frozen

from isacsim.batch import rows, take
from isacsim.hardware.gaussian import correlations
from isacsim.link import covariance
from isacsim.solvers.sum_rate_crlb.hardware import HardwareMerit
from isacsim.solvers.sum_rate_crlb.merit import Derived
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

# Of a correlation, by which chains miss 1 that are bundled: those that gain by leaving do so at the end.
TOGETHER = 1e-5
LEAVING = (1e-2, 1e-4, 1e-6)  # steps off a ridge, in lengths of a row, at which a gain would be seen
MOST = 6  # chains of a bundle of which all parts are tried; of larger ones each chain


@frozen(eq=False)
class Ridge(HardwareMerit):
    """The merit of B members behind hardware on their ridges; to its derivative what is off a ridge adds nothing.

    Attributes:
        bundle: The first chain of the bundle of each, (B, N_t).
        turn: Its quarter turn from that one, (B, N_t).
    """

    bundle: IntArray = rows(1)
    turn: ComplexArray = rows(1)

    @classmethod
    def at_precoders(cls, merit: HardwareMerit, Z: ComplexArray) -> Ridge:
        """The ridges that coordinates Z (B, N_t, K+S) are on."""
        _, xi = correlations(covariance(Z))
        quarter = np.where(np.abs(xi.real) > np.abs(xi.imag), np.sign(xi.real), 1j * np.sign(xi.imag))
        near = np.maximum(np.abs(xi.real), np.abs(xi.imag)) >= 1 - TOGETHER
        bundle = near.argmax(axis=-1)  # the first chain that is near, in the end itself
        turn = np.take_along_axis(quarter, bundle[..., None], axis=-1)[..., 0]
        alone = bundle == np.arange(bundle.shape[-1])
        return cls(merit.problem, merit.ideal, merit.surface, None, bundle, np.where(alone, 1.0, turn))

    def project(self, Z: ComplexArray) -> ComplexArray:
        """The nearest rows of rank one, of full power."""
        near = np.array(Z)
        for m, chains in self._every():
            x = self._real(m, chains, Z)
            left, size, right = np.linalg.svd(x, full_matrices=False)
            near[m, chains] = self._complex(m, chains, size[0] * np.outer(left[:, 0], right[0]))
        return super().project(near)

    def slope(self, point: Derived) -> ComplexArray:
        """Gradient of the objective along ridges and surface."""
        gradient = np.array(point.gradient)
        for m, chains in self._every():
            x, g = self._real(m, chains, point.W), self._real(m, chains, point.gradient)
            gradient[m, chains] = self._complex(m, chains, _tangent(x, g))
        return np.asarray(self.surface.slope(point.W, gradient, point.normal))

    def left(self, Z: ComplexArray) -> tuple[ComplexArray, BoolArray]:
        """Coordinates off the ridge where a part of a bundle gains by leaving it, and of which members, (B,)."""
        point, found, gained = self.evaluate(Z), np.array(Z), np.zeros(len(Z), bool)
        for m in range(self.members):
            trials = [Z[m] + way for way in self._ways(m, point)]
            if not trials:
                continue
            one = take(self, np.full(len(trials), m))
            trial = HardwareMerit.project(one, np.array(trials))
            value = one.value(trial)
            best = int(value.argmax())
            if value[best] > point.objective[m]:
                found[m], gained[m] = trial[best], True
        return found, gained

    def _ways(self, m: int, point: Derived) -> Iterator[ComplexArray]:
        """Steps of parts of member m's bundles along what their gradient has beside the ridge."""
        for _, chains in self._bundles(m):
            x, g = self._real(m, chains, point.W), self._real(m, chains, point.gradient)
            beside, size = g - _tangent(x, g), np.sqrt((x**2).sum(axis=-1))
            for part in _parts(chains.size):
                pull = size[part] @ beside[part]
                pull = pull / max(np.linalg.norm(pull), np.finfo(float).tiny)
                for length in LEAVING:
                    step = np.zeros_like(x)
                    step[part] = length * np.outer(size[part], pull)
                    way = np.zeros_like(point.W[m])
                    way[chains] = self._complex(m, chains, step)
                    yield way

    def _bundles(self, m: int) -> list[tuple[int, IntArray]]:
        """Member and chains of each bundle of member m."""
        first, count = np.unique(self.bundle[m], return_counts=True)
        return [(m, np.flatnonzero(self.bundle[m] == one)) for one in first[count > 1]]

    def _every(self) -> Iterator[tuple[int, IntArray]]:
        for m in range(self.members):
            yield from self._bundles(m)

    def _real(self, m: int, chains: IntArray, Z: ComplexArray) -> FloatArray:
        """The rows of a bundle, turned into phase, as real ones."""
        return np.ascontiguousarray(np.conj(self.turn[m, chains])[:, None] * Z[m, chains]).view(float)

    def _complex(self, m: int, chains: IntArray, x: FloatArray) -> ComplexArray:
        """Back from `_real`."""
        return np.asarray(self.turn[m, chains][:, None] * np.ascontiguousarray(x).view(complex))


def _tangent(x: FloatArray, g: FloatArray) -> FloatArray:
    """What g has along the matrices of rank one at x, ``s u^T`` in the end, both (n, d)."""
    left, _, right = np.linalg.svd(x, full_matrices=False)
    s, u = left[:, :1], right[:1]
    along, across = s @ (s.T @ g), (g @ u.T) @ u
    return np.asarray(along + across - s @ (s.T @ g @ u.T) @ u)


def _parts(count: int) -> list[list[int]]:
    """Parts of a bundle that may leave the rest: half of it at most, or, of a large one, each chain."""
    most = count // 2 if count <= MOST else 1
    return [list(part) for n in range(1, most + 1) for part in combinations(range(count), n)]
