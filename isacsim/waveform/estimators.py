"""Estimators of directions and reflections from samples at the sensing receiver.

The receiver knows the signal ``A_t x_l`` that leaves the transmit gains and takes what the
linear models of the hardware leave over for Gaussian noise of a known covariance C_n::

    y_l = A_r G A_t x_l + e_l,   G = sum_m alpha_m b_m a_m^H,   cov(e) = C_n

With ``J = A_r^H C_n^-1 A_r``, ``K = sum_l A_t x_l x_l^H A_t^H`` and
``Z = A_r^H C_n^-1 sum_l y_l x_l^H A_t^H`` the log-likelihood is, up to a constant::

    2 Re tr(G^H Z) - tr(G^H J G K)

so that any number of snapshots is summed up in Z and K. It is quadratic in the reflections:
with ``z_m = b_m^H Z a_m`` and the Gram matrix ``E_ij = (b_i^H J b_j)(a_j^H K a_i)`` of the
targets' signals the best ones are ``alpha = E^-1 z``, and what is left to maximise over the
angles is the concentrated likelihood ``z^H E^-1 z``. The second derivatives that scoring
takes are those of the FIM (`isacsim.metrics.fim`), whose tensors serve here too.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from attrs import frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import hermitian, put, rows, squared, take
from isacsim.link import Echo
from isacsim.metrics.fim import Information
from isacsim.targets.scene import PointTargets
from isacsim.typing import AnyArray, ComplexArray, FloatArray

FINENESS = 4  # grid points of the coarse search a beam width of the larger array
DAMPING = (1e-3, 1e-9, 1e9)  # Levenberg-Marquardt, relative to the diagonal of the FIM: first, least, largest
SETTLED = 1e-6  # gain of log-likelihood that moves an estimate by a thousandth of its standard deviation
ROUNDING = 1e-13  # relative error of a likelihood
TINY = np.finfo(float).tiny
RIDGE = 1e-12  # relative, on Gram matrices: targets that coincide share their reflection


@frozen(eq=False)
class Observation:
    """What B observations say of a scene.

    Attributes:
        Z: Correlation of received and sent signal, shape (B, N_r, N_t).
        J: Information of a receive sample, shape (B or 1, N_r, N_r), in 1/W.
        K: Energy of the sent signal, shape (B, N_t, N_t), in W.
    """

    Z: ComplexArray = rows(2)
    J: ComplexArray = rows(2)
    K: ComplexArray = rows(2)

    @classmethod
    def of(cls, y: ComplexArray, sent: ComplexArray, echo: Echo) -> Observation:
        """Sums up samples.

        Args:
            y: Samples out of the receive chains, shape (B, N_r, L), in sqrt(W).
            sent: Signals behind the transmit gain, A_t x, shape (B, N_t, L), in sqrt(W).
            echo: Gain and noise of the receiver, with the leading axis B or 1.
        """
        eye = np.eye(y.shape[-2], dtype=complex)
        correlation = (hermitian(echo.whiten(eye)) @ y) @ hermitian(sent)
        return cls(correlation, echo.information(eye), sent @ hermitian(sent))


@frozen(eq=False)
class Fit:
    """Targets fitted to observations.

    Attributes:
        azimuth: Azimuths, shape (B, M), in rad.
        zenith: Zeniths, shape (B, M), in rad.
        reflection: Their best reflections, shape (B, M), amplitude.
        likelihood: Concentrated log-likelihood z^H E^-1 z, shape (B,).
    """

    azimuth: FloatArray = rows(1)
    zenith: FloatArray = rows(1)
    reflection: ComplexArray = rows(1)
    likelihood: FloatArray = rows()


@frozen
class Fitter:
    """Fits point targets to observations through two arrays.

    Args:
        tx_array: Transmit array.
        rx_array: Sensing receive array.
    """

    tx_array: AntennaArray
    rx_array: AntennaArray

    def fit(self, observed: Observation, azimuth: FloatArray, zenith: FloatArray) -> Fit:
        """The best reflections of targets in given directions (B, M), and their likelihood."""
        a, b = self.tx_array.steering(azimuth, zenith), self.rx_array.steering(azimuth, zenith)  # (B, M, N)
        aK, bJ = np.conj(a) @ observed.K, np.conj(b) @ observed.J
        z = ((np.conj(b) @ observed.Z) * a).sum(axis=-1)
        E = (bJ @ b.swapaxes(-1, -2)) * (aK @ a.swapaxes(-1, -2)).swapaxes(-1, -2)
        alpha = np.asarray(np.linalg.solve(_regular(E), z[..., None])[..., 0], complex)
        return Fit(azimuth, zenith, alpha, (np.conj(z) * alpha).real.sum(axis=-1))

    def scene(self, fit: Fit) -> PointTargets:
        """The targets of a fit."""
        return PointTargets(self.tx_array, self.rx_array, fit.azimuth, fit.zenith, fit.reflection)

    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Azimuths and zeniths of the coarse search, each (n,), even in direction cosines."""
        u, v = (_cosines(size) for size in self._sizes())
        if not (self.tx_array.planar or self.rx_array.planar):
            return np.arcsin(u), np.full(u.size, np.pi / 2)
        u, v = (c.ravel() for c in np.meshgrid(u, v))
        inside = u**2 + v**2 < 1
        zenith = np.arccos(v[inside])
        return np.arcsin(u[inside] / np.sin(zenith)), zenith

    def shapes(self, runs: int) -> list[tuple[int, ...]]:
        """Shapes of the largest arrays of a coarse search in the observations of so many runs."""
        planar = self.tx_array.planar or self.rx_array.planar
        u, v = (FINENESS * size for size in self._sizes())
        directions = int(np.pi / 4 * u * v) if planar else u
        elements = self.tx_array.size + self.rx_array.size
        return [(directions, elements), (runs, directions, elements)]

    def _sizes(self) -> tuple[int, int]:
        """Columns and rows of elements at half a wavelength that would be as wide and high as the larger array."""
        columns, rows = (
            max(np.ptp(g) for g in axis) + 1 for axis in zip(self.tx_array.grid, self.rx_array.grid, strict=True)
        )
        return math.ceil(columns), math.ceil(rows)

    def added(self, observed: Observation, fit: Fit | None) -> Fit:
        """A fit with one more target, in the direction of the grid that gains most likelihood.

        Given the directions so far, the gain of a further one is ``|z'|^2 / E'`` with the part of
        its signal that the others do not explain: orthogonal least squares.
        """
        azimuth, zenith = self.grid()
        a, b = self.tx_array.steering(azimuth, zenith), self.rx_array.steering(azimuth, zenith)  # (n, N)
        aK, bJ = np.conj(a) @ observed.K, np.conj(b) @ observed.J  # (B, n, N)
        z = ((np.conj(b) @ observed.Z) * a).sum(axis=-1)
        energy = (aK * a).sum(axis=-1).real * (bJ * b).sum(axis=-1).real
        if fit is not None:
            a_m = self.tx_array.steering(fit.azimuth, fit.zenith).swapaxes(-1, -2)  # (B, N, M)
            b_m = self.rx_array.steering(fit.azimuth, fit.zenith).swapaxes(-1, -2)
            shared = (bJ @ b_m) * np.conj(aK @ a_m)  # (B, n, M)
            E = (hermitian(b_m) @ observed.J @ b_m) * np.conj(hermitian(a_m) @ observed.K @ a_m)
            explained = shared @ np.linalg.inv(_regular(E))
            z = z - (shared @ fit.reflection[..., None])[..., 0]
            energy = np.maximum(energy - (explained * np.conj(shared)).sum(axis=-1).real, 1e-6 * energy)
        heard = energy > 0  # an element's pattern may have zeros
        best = np.argmax(np.where(heard, squared(z) / np.where(heard, energy, 1.0), 0.0), axis=-1)
        found = azimuth[best][:, None], zenith[best][:, None]
        if fit is not None:
            found = np.concatenate([fit.azimuth, found[0]], axis=-1), np.concatenate([fit.zenith, found[1]], axis=-1)
        return self.fit(observed, *found)

    def refined(self, observed: Observation, fit: Fit, steps: int = 50) -> Fit:
        """A fit at the local maximum of the likelihood, by damped scoring; it never falls."""
        first, least, largest = DAMPING
        damping = np.full(len(fit.likelihood), first)
        live = np.arange(len(damping))
        for _ in range(steps):
            here, now = take(observed, live), take(fit, live)
            move = self._scoring(here, now, damping[live])
            azimuth, zenith = folded(now.azimuth + move[0], now.zenith + move[1])
            trial = self.fit(here, azimuth, zenith)
            better = trial.likelihood > now.likelihood
            fit = put(fit, live[better], take(trial, better)) if better.any() else fit
            settled = np.abs(trial.likelihood - now.likelihood) <= SETTLED + ROUNDING * now.likelihood
            damping[live] = np.maximum(damping[live] * np.where(better, 0.1, 10.0), least)
            live = live[~(settled | (damping[live] > largest))]
            if not live.size:
                break
        return fit

    def _scoring(self, observed: Observation, fit: Fit, damping: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Changes of azimuth and zenith (B, M) of a damped scoring step."""
        scene = self.scene(fit)
        V, C = scene.transmit_basis(), scene.receive_basis()
        residual = hermitian(C) @ (observed.Z - observed.J @ scene.response() @ observed.K) @ V
        score = 2 * (np.conj(scene.parameter_matrices()) * residual[:, None]).real.sum(axis=(-2, -1))
        energy = np.trace(observed.K, axis1=-2, axis2=-1).real / V.shape[-2]
        seen = Information.of(scene, hermitian(C) @ observed.J @ C, hermitian(V) @ observed.K @ V, energy, 1)
        F = seen.F
        # What the echo does not depend on stays: its score is nothing but rounding.
        scale = np.where(seen.silent, 0.0, 1 / np.sqrt(np.maximum(F.diagonal(axis1=-2, axis2=-1), TINY)))
        damped = F * scale[:, :, None] * scale[:, None, :] + damping[:, None, None] * np.eye(F.shape[-1])
        step = scale * np.linalg.solve(damped, (scale * score)[..., None])[..., 0]
        M = scene.count
        return step[:, :M], step[:, M : 2 * M] if scene.planar else np.zeros_like(step[:, :M])


def beamforming(fitter: Fitter, observed: Observation, count: int) -> Fit:
    """The directions of the grid that explain most, one target after the other: cheap and coarse."""
    fit = fitter.added(observed, None)
    for _ in range(count - 1):
        fit = fitter.added(observed, fit)
    return fit


def maximum_likelihood(fitter: Fitter, observed: Observation, count: int, cycles: int = 2) -> Fit:
    """Maximum-likelihood directions and reflections of ``count`` targets.

    Targets are added one by one where the grid gains most, with all of them refined by scoring
    after each. Then each in turn is taken out and sought again beside the others, ``cycles``
    times; what gains no likelihood is not kept.
    """
    fit = fitter.refined(observed, fitter.added(observed, None))
    for _ in range(count - 1):
        fit = fitter.refined(observed, fitter.added(observed, fit))
    for m in list(range(count)) * (cycles if count > 1 else 0):
        others = [i for i in range(count) if i != m]
        rest = fitter.fit(observed, fit.azimuth[:, others], fit.zenith[:, others])
        trial = fitter.refined(observed, fitter.added(observed, rest))
        order = np.argsort([*others, m])  # the target sought again is last
        trial = attrs.evolve(
            trial,
            azimuth=trial.azimuth[:, order],
            zenith=trial.zenith[:, order],
            reflection=trial.reflection[:, order],
        )
        better = np.flatnonzero(trial.likelihood > fit.likelihood)
        fit = put(fit, better, take(trial, better)) if better.size else fit
    return fit


def folded(azimuth: AnyArray, zenith: AnyArray) -> tuple[FloatArray, FloatArray]:
    """The same directions, as arrays see them, with azimuths in [-pi/2, pi/2] and zeniths in [0, pi]."""
    zenith = np.remainder(np.asarray(zenith) + np.pi, 2 * np.pi) - np.pi
    azimuth = np.where(zenith < 0, -np.asarray(azimuth), azimuth)
    return np.arcsin(np.sin(azimuth)), np.abs(zenith)


def matched(fit: Fit, azimuth: FloatArray, zenith: FloatArray) -> Fit:
    """A fit with its targets in the order of true ones (M,), by the least sum of squared distances.

    Distances are those of the direction cosines sin(azimuth) sin(zenith) and cos(zenith).
    """
    from scipy.optimize import linear_sum_assignment

    def cosines(azimuth: AnyArray, zenith: AnyArray) -> FloatArray:
        return np.stack([np.sin(azimuth) * np.sin(zenith), np.cos(zenith)], axis=-1)

    distance = cosines(azimuth, zenith)[:, None] - cosines(fit.azimuth, fit.zenith)[:, None, :]
    cost = (distance**2).sum(axis=-1)  # (B, true, fitted)
    order = np.stack([linear_sum_assignment(c)[1] for c in cost])
    fields = {n: np.take_along_axis(getattr(fit, n), order, axis=-1) for n in ("azimuth", "zenith", "reflection")}
    return attrs.evolve(fit, **fields)


def _regular(E: ComplexArray) -> ComplexArray:
    """Gram matrices (B, M, M) with a ridge far below their diagonal."""
    scale = RIDGE * np.trace(E, axis1=-2, axis2=-1).real + np.finfo(float).tiny
    return E + scale[:, None, None] * np.eye(E.shape[-1])


def _cosines(size: float) -> FloatArray:
    """Direction cosines inside (-1, 1) for an axis of ``size`` elements, whose beam is 2 / size wide."""
    count = int(FINENESS * size) if size > 1 else 1
    return (np.arange(count) + 0.5) * 2 / count - 1
