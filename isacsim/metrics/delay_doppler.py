"""Fisher information of directions, delays, Doppler shifts and reflections on an OFDM grid.

The mean of what the sensing receiver gets on subcarrier f in symbol t is ::

    mu[f, t] = A_r sum_m alpha_m b_m a_m^H A_t x[f, t] exp(-2 pi j f D tau_m + 2 pi j nu_m t T_s)

with the spacing D and the symbol duration T_s. Its derivative by unknown i is that of
`isacsim.metrics.fim` with a matrix Y_i, times a turn over frequency u_i[f] and one over time v_i[t]: both
get a factor ``-2 pi j f D`` for a delay and ``2 pi j t T_s`` for a Doppler shift, whose Y_i is the echo
itself. Hence ::

    F_ij = 2 Re sum_f conj(u_i[f]) u_j[f] tr(Y_i^H S[f] Y_j K[f]) (v_i^H v_j)

with S and K as there, for each subcarrier. Frequencies count from the carrier and times from the first
symbol, which the phase of a reflection refers to. The bound sees the curvature of the likelihood alone,
and no ambiguity: delays that differ by 1/D, or Doppler shifts by 1/T_s, look the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isacsim.batch import hermitian
from isacsim.errors import InvalidInput, one_of
from isacsim.grid import LIGHT, Grid
from isacsim.link import Echo
from isacsim.metrics.fim import Information, from_left, from_right
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray

KINDS = ("azimuth", "zenith", "delay", "doppler", "reflection_real", "reflection_imag")


def kinds_of(targets: PointTargets, unknowns: Sequence[str]) -> tuple[str, ...]:
    """The kinds of unknowns in the order of the FIM, of the five words of `information_on_grid`.

    A zenith that no array resolves is none.

    Raises:
        InvalidInput: For another word, or none.
    """
    words = ("azimuth", "zenith", "delay", "doppler", "reflection")
    for word in unknowns:
        if word not in words:
            raise InvalidInput("unknowns", "must be unknowns of a target", word, one_of(words, word))
    if not unknowns:
        raise InvalidInput("unknowns", "must name at least one", (), one_of(words))
    asked = {kind for word in unknowns for kind in KINDS if kind.startswith(word)}
    return tuple(kind for kind in KINDS if kind in asked and (kind != "zenith" or targets.planar))


def labels_of(targets: PointTargets, kinds: Sequence[str]) -> tuple[str, ...]:
    """Name of each unknown, ``delay[0]`` and so on."""
    return tuple(f"{kind}[{m}]" for kind in kinds for m in range(targets.count))


def matrices(targets: PointTargets, kinds: Sequence[str]) -> tuple[ComplexArray, ComplexArray]:
    """Matrices Y_i of the unknowns and their yardsticks, each (..., P, 3M, 3M)."""
    M, alpha = targets.count, targets.reflection
    Y = np.zeros((*alpha.shape[:-1], len(kinds), M, 3 * M, 3 * M), complex)
    ruler = np.zeros_like(Y)
    for k, kind in enumerate(kinds):
        for m in range(M):
            unit = {"reflection_real": 1.0, "reflection_imag": 1j}.get(kind, alpha[..., m])
            ruler[..., k, m, m, m] = unit
            if kind in ("azimuth", "zenith"):
                turned = (1 + (kind == "zenith")) * M + m  # its column of V and of C
                Y[..., k, m, turned, m] = Y[..., k, m, m, turned] = alpha[..., m]
            else:
                Y[..., k, m, m, m] = unit
    own = (*alpha.shape[:-1], len(kinds) * M, 3 * M, 3 * M)
    return Y.reshape(own), ruler.reshape(own)


def turns(
    targets: PointTargets, kinds: Sequence[str], grid: Grid, covered: FloatArray | float = 1.0
) -> tuple[ComplexArray, ComplexArray]:
    """U (..., F, P) and v (..., T, P) of the unknowns, where ``covered`` (..., M) is left of each echo."""
    frequencies, times, doppler = grid.frequencies, grid.times, doppler_of(targets, grid)
    over_band = np.exp(-2j * np.pi * frequencies[:, None] * targets.delay[..., None, :])
    over_band = over_band * np.asarray(covered)[..., None, :] if np.ndim(covered) else over_band
    over_time = np.exp(2j * np.pi * times[:, None] * doppler[..., None, :])
    u = [over_band * (-2j * np.pi * frequencies[:, None] if kind == "delay" else 1.0) for kind in kinds]
    v = [over_time * (2j * np.pi * times[:, None] if kind == "doppler" else 1.0) for kind in kinds]
    return np.concatenate(u, axis=-1), np.concatenate(v, axis=-1)


def correlations(u: ComplexArray, v: ComplexArray, kept: FloatArray | None = None) -> ComplexArray:
    """``conj(u_i[f]) u_j[f] (v_i^H Pi v_j)`` of turns (..., F, P) and (..., T, P), shape (..., F, P, P).

    Pi is what is ``kept`` of the symbols, (T, T); None is all of them.
    """
    over_time = hermitian(v) @ (v if kept is None else kept @ v)
    return np.asarray(np.conj(u)[..., :, None] * u[..., None, :] * over_time[..., None, :, :])


def information_on_grid(
    targets: PointTargets,
    S: ComplexArray,
    K: ComplexArray,
    grid: Grid,
    unknowns: Sequence[str],
    kept: FloatArray | None = None,
    covered: FloatArray | float = 1.0,
) -> Information:
    """Fisher information of the unknowns of point targets, and what it is judged by.

    Args:
        targets: The targets.
        S: Receive information ``(A_r C)^H noise^-1 (A_r C)``, shape (..., F, 3M, 3M), in 1/W.
        K: ``V^H A_t R[f] A_t^H V``, shape (..., F, 3M, 3M), in W.
        grid: The grid.
        unknowns: What is not known, of ``azimuth``, ``zenith``, ``delay``, ``doppler`` and ``reflection``.
        kept: What is kept of the symbols, (T, T), `static_kept` for example; None is all.
        covered: What is left of the amplitude of each echo, (..., M), or of all: `Grid.covered` beyond a prefix.

    Returns:
        F (..., P, P): all azimuths, zeniths, delays, Doppler shifts, real and imaginary parts that are
        unknown, in rad, s, Hz and 1.
    """
    kinds = kinds_of(targets, unknowns)
    Y, ruler = matrices(targets, kinds)
    u, v = turns(targets, kinds, grid, covered)
    F = fisher_of_band(Y, S, K, correlations(u, v, kept))
    # An echo well seen: that of a target with the mean-square bandwidth and duration of the whole grid.
    reach = {kind: 2 * np.pi / cell for kind, cell in cells_of(grid).items()}
    scale = np.repeat([reach.get(kind, 1.0) for kind in kinds], targets.count)
    flat_u, flat_v = np.ones_like(u) * scale, np.ones_like(v)
    own = np.diagonal(fisher_of_band(ruler, S, K, correlations(flat_u, flat_v)), axis1=-2, axis2=-1)
    return Information(F, np.ascontiguousarray(own))


def fisher_of_band(Y: ComplexArray, S: ComplexArray, K: ComplexArray, turning: ComplexArray) -> FloatArray:
    """``F_ij = 2 Re sum_f turning_ij[f] tr(Y_i^H S[f] Y_j K[f])``, (..., P, P), of `correlations` (..., F, P, P)."""
    changes = from_right(from_left(S, Y[..., None, :, :, :]), K)  # (..., F, P, 3M, 3M)
    flat, own = changes.reshape(*changes.shape[:-2], -1), Y.reshape(*Y.shape[:-2], -1)
    traces = np.conj(own)[..., None, :, :] @ flat.swapaxes(-1, -2)
    return np.asarray(2 * (traces * turning).sum(axis=-3).real)


def cells_of(grid: Grid) -> dict[str, float]:
    """What the grid resolves of a delay, in s, and of a Doppler shift, in Hz: the cells of its map."""
    return {"delay": 1 / (grid.used * grid.spacing), "doppler": 1 / (grid.symbols * grid.duration)}


def static_kept(grid: Grid, streams: int = 1) -> FloatArray:
    """What is left of T symbols when all that stands still is estimated and subtracted, (T, T).

    Least squares over the T symbols take the rows of the n streams on each subcarrier out of what is received.
    Of one stream of constant modulus this is the projector ``I - 1 1^T / T``. Each further stream takes one of
    the T dimensions more, wherever it lies: in the mean over independent symbols ``(1 - (n - 1)/T) I - 1 1^T / T``,
    but for terms of 1/T^2.
    """
    T = grid.symbols
    return np.asarray(max(0.0, 1 - (streams - 1) / T) * np.eye(T) - np.ones((T, T)) / T)


def doppler_of(targets: PointTargets, grid: Grid) -> FloatArray:
    """Doppler shifts ``2 v / wavelength`` of a monostatic radar, shape (..., M), in Hz."""
    return np.asarray(2 * targets.velocity / grid.wavelength)


def information_of_band(
    targets: PointTargets, echo: Echo, grid: Grid, unknowns: Sequence[str], kept: FloatArray | None = None
) -> Information:
    """`information_on_grid` of an echo whose arrays have the subcarriers behind the batch axes."""
    V, C = targets.transmit_basis()[..., None, :, :], targets.receive_basis()[..., None, :, :]
    K = hermitian(V) @ echo.probing @ V
    S = echo.information(C)
    lead = np.broadcast_shapes(S.shape[:-2], K.shape[:-2])
    S, K = (np.broadcast_to(part, (*lead, *part.shape[-2:])) for part in (S, K))
    return information_on_grid(targets, S, K, grid, unknowns, kept, grid.covered(targets.delay))


def require_unambiguous(targets: Any, grid: Grid) -> None:
    """Refuse delays and velocities that the grid takes for others, unless the targets are to ``fold``.

    Raises:
        InvalidInput: For a delay of a body or more, or a Doppler shift of half a symbol rate or more.
    """
    if targets.fold:
        return
    body = 1 / grid.spacing
    if np.any(targets.delay >= body):
        rule = f"must be below the {body * LIGHT / 2:.6g} m of a body"
        worst = float(np.max(targets.delay)) * LIGHT / 2
        raise InvalidInput("targets.range", rule, worst, "Take a smaller subcarrier spacing, or fold = true.")
    most = grid.wavelength / (4 * grid.duration)
    if np.any(np.abs(targets.velocity) >= most):
        rule, worst = f"must be between -{most:.6g} and {most:.6g} m/s", float(np.max(np.abs(targets.velocity)))
        raise InvalidInput("targets.velocity", rule, worst, "Take shorter symbols, a lower carrier, or fold = true.")
