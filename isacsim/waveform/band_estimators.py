"""Maximum-likelihood estimates of directions, delays, Doppler shifts and reflections from a burst on a grid.

Behind a whitening of noise and distortion the receiver has, on subcarrier f and in symbol t ::

    y[f, t] = sum_m alpha_m s_m[f, t] + e[f, t]
    s_m[f, t] = A_r b_m (a_m^H A_t x[f, t]) exp(-2 pi j f D tau_m + 2 pi j nu_m t T_s)

with white e, the static rows taken out of y and s alike. The best reflections are those of least squares, and what is
left to maximise is the power of y along the s_m. Targets are added one by one where the map of what is left
is highest, on a grid of directions and on cells of half the resolution, and all of them refined by damped scoring with
the derivatives of s: the Fisher information of the very symbols that were sent, whose inverse bounds the errors.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import hermitian, squared
from isacsim.grid import Grid
from isacsim.metrics.delay_doppler import cells_of
from isacsim.metrics.fim import inverse_fim
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.estimators import DAMPING, ROUNDING, SETTLED, Fitter, folded
from isacsim.waveform.radar import Burst, Look, Radar, without

PADDING = 2  # cells of the map a resolution cell: scoring from the nearest one finds the peak
STEPS = 30
GEOMETRY = ("azimuth", "zenith", "delay", "doppler")


@frozen(eq=False)
class Echoes:
    """M targets on a grid: each array (M,), in rad, s, Hz and amplitude."""

    azimuth: FloatArray
    zenith: FloatArray
    delay: FloatArray
    doppler: FloatArray
    reflection: ComplexArray

    def plus(self, other: Echoes) -> Echoes:
        """These targets and others."""
        return Echoes(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in (*GEOMETRY, "reflection")))

    def take(self, order: Sequence[int]) -> Echoes:
        """The targets at some places."""
        return Echoes(*(getattr(self, n)[list(order)] for n in (*GEOMETRY, "reflection")))


@frozen(eq=False)
class BandObservation:
    """A burst, whitened.

    Attributes:
        y: What was received, shape (F, N_r, T).
        gain: The receive gain behind the whitening, shape (F, N_r, N_r).
        burst: The burst.
        grid: The grid.
        tx_array: Transmit array.
        rx_array: Sensing receive array.
        kinds: What is not known, of `isacsim.metrics.delay_doppler.KINDS`, in their order.
    """

    y: ComplexArray
    gain: ComplexArray
    burst: Burst
    grid: Grid
    tx_array: AntennaArray = field()
    rx_array: AntennaArray = field()
    kinds: tuple[str, ...] = field()

    @classmethod
    def of(cls, radar: Radar, burst: Burst, kinds: Sequence[str]) -> BandObservation:
        """What a radar has of a burst."""
        targets, echo = radar.targets, radar.echo
        eye = np.eye(burst.Y.shape[-2], dtype=complex)
        amplified = echo.receive.amplify(eye[None, None])[0]
        noise = echo.noise[0] if not echo.diagonal else echo.noise[0][..., None] * np.eye(len(eye))
        whitener = np.linalg.inv(np.linalg.cholesky(noise))
        gain = np.broadcast_to(whitener @ amplified, (len(burst.Y), *eye.shape))
        arrays = targets.tx_array, targets.rx_array
        return cls(whitener @ burst.Y, gain, burst, radar.grid, *arrays, tuple(kinds))

    def signals(self, at: Echoes) -> tuple[ComplexArray, ComplexArray]:
        """S of each target, and the derivative by each unknown at their reflections, (M, n) and (P, n)."""
        count = len(at.delay)
        a, b = (np.array(array.steering_basis(at.azimuth, at.zenith)) for array in (self.tx_array, self.rx_array))
        p = np.conj(a)[:, :, None, None] @ self.burst.x  # (3, M, F, 1, T): the vectors and their two derivatives
        g = self.gain @ b[:, :, None, :, None]  # (3, M, F, N_r, 1)
        f, t = self.grid.frequencies[:, None, None], self.grid.times
        delays, shifts = at.delay[:, None, None, None], at.doppler[:, None, None, None]
        turn = np.exp(2j * np.pi * (shifts * t - f * delays))
        s = g[0] * (p[0] * turn)
        alpha = at.reflection[:, None, None, None]
        derivatives = {
            "azimuth": lambda: alpha * (g[1] * (p[0] * turn) + g[0] * (p[1] * turn)),
            "zenith": lambda: alpha * (g[2] * (p[0] * turn) + g[0] * (p[2] * turn)),
            "delay": lambda: alpha * (-2j * np.pi * f) * s,
            "doppler": lambda: alpha * (2j * np.pi * t) * s,
            "reflection_real": lambda: s,
            "reflection_imag": lambda: 1j * s,
        }
        D = np.concatenate([derivatives[kind]() for kind in self.kinds])
        return self._flat(s, count), self._flat(D, len(D))

    def _flat(self, arrays: ComplexArray, count: int) -> ComplexArray:
        """Arrays (count, F, N_r, T) without the static rows, as vectors."""
        return without(arrays, self.burst.static).reshape(count, -1)

    def fitted(self, at: Echoes) -> tuple[Echoes, float]:
        """The targets with their best reflections, and the likelihood: the power that they explain."""
        s, _ = self.signals(at)
        gram, z = np.conj(s) @ s.T, np.conj(s) @ self.y.ravel()
        alpha = np.asarray(np.linalg.lstsq(gram, z, rcond=None)[0], complex)
        return attrs.evolve(at, reflection=alpha), float((np.conj(z) @ alpha).real)

    def information(self, at: Echoes) -> FloatArray:
        """Fisher information of the unknowns of the symbols that were sent, (P, P)."""
        _, D = self.signals(at)
        return np.asarray(2 * (np.conj(D) @ D.T).real)

    def bounds(self, at: Echoes) -> FloatArray:
        """Cramer-Rao bounds of the unknowns, (P,); infinite where they cannot be told apart."""
        return np.ascontiguousarray(np.diagonal(inverse_fim(self.information(at))[0]))

    def refined(self, at: Echoes) -> Echoes:
        """The targets at the local maximum of the likelihood, by damped scoring; it never falls."""
        damping, least, largest = DAMPING
        at, likelihood = self.fitted(at)
        for _ in range(STEPS):
            s, D = self.signals(at)
            left = self.y.ravel() - at.reflection @ s
            score, F = 2 * (np.conj(D) @ left).real, 2 * (np.conj(D) @ D.T).real
            unit = 1 / np.sqrt(np.maximum(np.diagonal(F), np.finfo(float).tiny))
            damped = F * np.outer(unit, unit) + damping * np.eye(len(unit))
            trial, found = self.fitted(self._moved(at, unit * np.linalg.solve(damped, unit * score)))
            better, settled = found > likelihood, abs(found - likelihood) <= SETTLED + ROUNDING * likelihood
            if better:
                at, likelihood = trial, found
            damping = max(damping * (0.1 if better else 10.0), least)
            if settled or damping > largest:
                break
        return at

    def _moved(self, at: Echoes, step: FloatArray) -> Echoes:
        """The targets after a step of the unknowns (P,), as the grid and the arrays see them."""
        moves = dict(zip(self.kinds, step.reshape(len(self.kinds), -1), strict=True))
        new = {name: getattr(at, name) + moves.get(name, 0.0) for name in GEOMETRY}
        azimuth, zenith = folded(new["azimuth"], new["zenith"])
        rate = 1 / self.grid.duration
        doppler = np.remainder(new["doppler"] + rate / 2, rate) - rate / 2
        return Echoes(azimuth, zenith, np.remainder(new["delay"], 1 / self.grid.spacing), doppler, at.reflection)

    def sought(self, at: Echoes | None, directions: tuple[FloatArray, FloatArray]) -> Echoes:
        """The cell of the padded maps in some directions that gains most beside the targets found so far."""
        left = self.y if at is None else self.y - (at.reflection @ self.signals(at)[0]).reshape(self.y.shape)
        flat, best = np.ones((len(self.y), self.grid.symbols)), (-1.0, 0, 0, 0)
        a, b = self.tx_array.steering(*directions), self.rx_array.steering(*directions)
        for i in range(len(a)):
            u = self.gain @ b[i][:, None]
            r, p, v = (hermitian(u) @ left)[:, 0], np.conj(a[i]) @ self.burst.x, squared(u).sum(axis=(-2, -1))
            look = Look(r, p, v, self.burst.static)
            power = look.map(flat, PADDING)
            cell = np.unravel_index(np.argmax(power), power.shape)
            best = max(best, (float(power[cell]), i, int(cell[0]), int(cell[1])))
        _, i, delay, doppler = best
        cells, symbols = cells_of(self.grid), PADDING * self.grid.symbols
        shift = (doppler + symbols // 2) % symbols - symbols // 2
        return Echoes(
            azimuth=directions[0][i : i + 1],
            zenith=directions[1][i : i + 1],
            delay=np.array([delay * cells["delay"] / PADDING]),
            doppler=np.array([shift * cells["doppler"] / PADDING]),
            reflection=np.zeros(1, complex),
        )

    def estimated(self, count: int, known: Echoes) -> Echoes:
        """Maximum-likelihood estimates of ``count`` targets, with the ``known`` directions unless they are unknown."""
        search = "azimuth" in self.kinds
        directions = Fitter(self.tx_array, self.rx_array).grid() if search else (known.azimuth, known.zenith)
        found = self.refined(self.sought(None, directions))
        for _ in range(count - 1):
            found = self.refined(found.plus(self.sought(found, directions)))
        return found
