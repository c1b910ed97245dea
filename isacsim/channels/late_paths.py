"""Paths that are longer than the prefix: what they lose of a symbol, and bring of the one before.

The samples of a symbol, prefix and body, arrive over a path of delay tau by the time tau later. Where that is ``q``
samples more than the prefix, the first q of a body are those of the symbol before. With ``v_p[l] = 1`` there and 0
elsewhere, and its DFT ``V_p[k] = (1/N) sum_l v_p[l] exp(-2 pi j k l / N)``, a receiver on subcarrier f gets ::

    sum_p h_p[f]^H x[f]  -  sum_g sum_p V_p[f - g] h_p[g]^H (x[g] - x'[g])

of the symbol x and the one before, x', in its phase. So it loses ``V_p[0]`` of each path, a share of the body, and
gets from all subcarriers twice what the V_p let through, but once its own. Of a single path of a full band that is
``q/N`` from the symbol before and ``(q/N)(1 - q/N)`` from other subcarriers, which is white.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.typing import ComplexArray, FloatArray, IntArray


def late_samples(delays: FloatArray, grid: Grid) -> IntArray:
    """Samples of a body, for each delay (P,) in s, that are of the symbol before.

    Raises:
        InvalidInput: If a delay is longer than a symbol with its prefix.
    """
    if np.any(delays > grid.duration):
        rule = f"must have delays within a symbol and its prefix, {grid.duration:.6g} s"
        remedy = "Take a longer prefix, more subcarriers at a smaller spacing, or a shorter delay spread."
        raise InvalidInput("channel", rule, float(delays.max()), remedy)
    return grid.late_samples(delays)


def stray_power(power: FloatArray, delays: FloatArray, grid: Grid) -> FloatArray:
    """Power that a path alone brings to each subcarrier from others and from the symbol before, (..., F), in W.

    Args:
        power: What goes over it on each subcarrier, (..., F), in W.
        delays: Its delay, (...), in s.
        grid: The grid.
    """
    N = grid.subcarriers
    windows = np.arange(N) < grid.late_samples(delays)[..., None]
    shares = np.abs(np.fft.fft(windows) / N) ** 2
    whole = np.fft.ifft(np.fft.fft(grid.spread(power, -1)) * np.fft.fft(shares)).real
    # All of a later symbol is no reference: also what is left of the body on its own subcarrier.
    later = (grid.symbols_late(delays) > 0)[..., None]
    own = np.where(later, 2 * np.sqrt(shares[..., :1]) - 1, shares[..., :1])
    return np.maximum(2 * whole[..., grid.bins] - own * power, 0.0)


@frozen(eq=False)
class LatePaths:
    """The paths of a channel that are longer than the prefix.

    Attributes:
        grid: The grid.
        delays: Their delays, (P,), in s.
        taps: Their taps, (..., P, N_t, K), amplitude.
    """

    grid: Grid
    delays: FloatArray
    taps: ComplexArray

    @classmethod
    def of(cls, grid: Grid, delays: FloatArray, taps: ComplexArray) -> LatePaths | None:
        """Those among taps (..., P, N_t, K) at delays (P,); None where there are none."""
        late = late_samples(delays, grid) > 0
        return cls(grid, delays[late], taps[..., late, :, :]) if late.any() else None

    @property
    def windows(self) -> FloatArray:
        """Where the symbol before is, v_p, shape (P, N)."""
        count = late_samples(self.delays, self.grid)
        return np.asarray(np.arange(self.grid.subcarriers) < count[:, None], float)

    def lost(self) -> ComplexArray:
        """What the channels on the active subcarriers lose, shape (..., F, N_t, K), amplitude."""
        share = self.windows.mean(axis=-1)
        return np.asarray(self.grid.response(self.delays, share[:, None, None] * self.taps))

    def leaked(self, R: ComplexArray) -> FloatArray:
        """Power that gets to each subcarrier of each user from others and from the symbol before, (..., F, K), in W.

        Args:
            R: Covariances of what is sent, shape (..., F, N_t, N_t), in W.
        """
        grid, V = self.grid, np.fft.fft(self.windows) / self.grid.subcarriers
        taps = np.moveaxis(self.taps, (-1, -2), (-3, -2))[..., None, :, :, :]  # (..., 1, K, N_t, P)
        through = hermitian(taps) @ R[..., None, :, :] @ taps  # (..., F, K, P, P)
        turn = np.exp(2j * np.pi * np.outer(grid.frequencies, self.delays))
        B = through * (np.conj(turn)[:, :, None] * turn[:, None, :])[:, None]
        pairs = V[:, None] * np.conj(V)  # (P, P, N)
        spectrum = np.fft.fft(np.moveaxis(pairs, -1, 0), axis=0)[:, None]
        whole = np.fft.ifft((np.fft.fft(grid.spread(B, -4), axis=-4) * spectrum).sum(axis=(-2, -1)), axis=-2)
        own = (B * pairs[..., 0]).sum(axis=(-2, -1))
        return np.maximum((2 * whole[..., grid.bins, :] - own).real, 0.0)

    def spilled(self, x: ComplexArray) -> ComplexArray:
        """What arrives of symbols beside the paths as if the prefix covered them, (..., F, K, T), in sqrt(W).

        Args:
            x: Active subcarriers as they are sent, shape (..., F, N_t, T), in sqrt(W); before the first is silence.
        """
        grid = self.grid
        f = grid.frequencies[:, None, None]
        change = -x
        change[..., 1:] += x[..., :-1] * np.exp(2j * np.pi * f * grid.duration)
        body = np.zeros((*x.shape[:-3], grid.subcarriers, self.taps.shape[-1], x.shape[-1]), complex)
        for p, delay in enumerate(self.delays):
            arriving = hermitian(self.taps[..., p, None, :, :]) @ (change * np.exp(-2j * np.pi * f * delay))
            body += self.windows[p][:, None, None] * np.fft.ifft(grid.spread(arriving, -3), axis=-3)
        return np.asarray(np.fft.fft(body, axis=-3)[..., grid.bins, :, :])
