"""`CrbMin` on all subcarriers of a band behind converters, which meet them together: one convex problem.

Distortion of a converter is white, so that each bin gets a share of what the whole band draws. With R_f the covariance
of what leaves the gains on subcarrier f of F, of N bins, and ratios e_i and e_k of distortion to signal of transmit
chain i and of user k, in coordinates in which all power is 1::

    min  (sum_f tr R_f^-1) sum_f tr(diag(psi) R_f)
    s.t. (1 + 1 / Gamma_k) h_kf^H R_kf h_kf >= h_kf^H R_f h_kf + sum_f' [ sum_i l_kfi R_f'ii + b_k h_kf'^H R_f' h_kf' ]
    l_kfi = (e_i / N) (|h_kfi|^2 + (e_k / N) sum_f' |h_kf'i|^2) + n_kf c_i,  b_k = e_k / N

with n the noise, that in front of the user's converter and its share in the distortion, and
``c_i = (1 + e_i F / N) / F`` the power that chain i brings. That is the problem of
`isacsim.solvers.crb_min.homogeneous` with blocks on a diagonal: M_f on each subcarrier prove ::

    sqrt(objective) >= sum_f tr( Q_f^1/2 ),  lambda_kf = s_kf / (1 + 1 / Gamma_k),
    Q_f = diag(psi + sum_kf' lambda_kf' l_kf') + sum_k (lambda_kf + b_k sum_f' lambda_kf') h_kf h_kf^H - U_f M_f U_f^H

What the subcarriers share are N_t + K prices: one for each antenna, and one for what each user receives. So Newton's
matrix is blocks on a diagonal and a part of rank 2 (N_t + K), and a step costs F times that of one subcarrier.
"""

from __future__ import annotations

from typing import ClassVar, cast

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, rows, squared
from isacsim.grid import Grid
from isacsim.hardware.base import LinearModel, diagonal_matrix
from isacsim.linalg.hermitian import coordinates
from isacsim.linalg.stacked import Border, forms, inverse
from isacsim.link import Reception
from isacsim.problems.crb_min import CrbMin
from isacsim.solvers.crb_min.homogeneous import Homogeneous, channels, portions
from isacsim.solvers.solution import Solution, Status, objects
from isacsim.solvers.sqinr.least_power import ROUNDING
from isacsim.typing import AnyArray, ComplexArray, FloatArray

# Share of the way to the boundary of all M_f. One length serves all subcarriers, and those whose SQINRs hardly bind
# follow the path less far: 8 cases of 4 to 64 subcarriers take 19 to 21 steps, and with that of one problem 19 to 39.
BOUNDARY = 0.7
ROUNDS = 3000  # of the fixed point of the least power: it converges linearly
SETTLING = 60  # rounds of the powers of beams: each leaves the share of distortion in them, times the SQINR
SETTLED = 1e-12  # relative change of powers that rounding explains
ROUNDED = 1e-12  # relative difference that rounding explains: noise may be as much weaker than distortion
SAME = 1e-9  # relative difference of two models that rounding explains
LEAST_NOISE = 0.1  # of the thermal one: what is held beside converters may be less than nothing
NEAR = 1e-6  # relative change of its multipliers from which they are a place to start from


@frozen(eq=False)
class BandChains:
    """Hardware as converters are: gains, and distortion in proportion to the mean power of a chain over the band.

    Attributes:
        gain: Of each transmit chain, (N_t,).
        transmit: Ratio e_i of its distortion on a subcarrier to what is left of the signal in a sample, (N_t,).
        user: The same of each user's receiver, (K,).
        receive: The same of the sensing receiver, a mean over its chains.
        noise: Of each user on each subcarrier, with what it adds to the distortion of its receiver, (F, K), in W.
    """

    gain: ComplexArray
    transmit: FloatArray
    user: FloatArray
    receive: float
    noise: FloatArray

    @classmethod
    def at(cls, through: CrbMin, W: ComplexArray, grid: Grid) -> BandChains:
        """What hardware that meets the whole band is at precoders W (F, N_t, L), in sqrt(W).

        Of other devices the ratios are means over the band, and what users receive beside is noise.
        """
        sent, N = through.sent(W), grid.subcarriers
        kept, power = squared(sent.precoder).sum(axis=-1), sent.antenna_power
        sample = kept.sum(axis=0) / N
        transmit = _ratio((power - kept).mean(axis=0), sample)
        along = sent.distortion_along(through.H)
        rest = _beyond(along, (squared(through.H) * (transmit * sample)[:, None]).sum(axis=-2))
        reception = Reception.of(through.H, sent, through.noise_power, through.transceiver.user)
        thermal = np.broadcast_to(through.noise_power, rest.shape)
        silent = (1 - grid.used / N) * thermal[0]  # beside the band there is noise alone
        before = reception.receiver.distortion_power / squared(reception.receiver.gain)
        arriving = reception.power.sum(axis=0) / N + silent
        user = _ratio(before.mean(axis=0), arriving)
        noise = thermal + rest + user * ((thermal + rest).sum(axis=0) / N + silent) + _beyond(before, user * arriving)
        echo, noise_of = through.response_variance * sent.power, through.radar_noise_power
        arrived = (echo + noise_of)[:, None] + np.zeros(through.receivers)
        model = through.transceiver.receive.linear_model(diagonal_matrix(arrived))
        received = (model.distortion_power / squared(model.gain)).mean()
        receive = received / (echo.sum() / N + noise_of.mean())
        noise = np.maximum(noise, LEAST_NOISE * thermal)
        return cls(np.ravel(cast(LinearModel, sent.model).gain), transmit, user, float(receive), noise)

    def same(self, other: BandChains) -> bool:
        """Whether others are the same but for rounding."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in attrs.fields(BandChains)]
        return all(np.allclose(one, two, rtol=SAME, atol=0.0) for one, two in pairs)


def _beyond(distortion: FloatArray, told: FloatArray) -> FloatArray:
    """What distortion is more than ratios tell; nothing, where rounding explains it."""
    more = distortion - told
    return np.where(np.abs(more) <= ROUNDED * distortion, 0.0, more)


def _ratio(distortion: FloatArray, signal: FloatArray) -> FloatArray:
    return np.asarray(distortion / np.where(signal > 0, signal, 1.0))


@frozen(eq=False)
class Band(Homogeneous):
    """The subcarriers of one band, in the place of F members; they have no load of their own."""

    everywhere: FloatArray = rows(2)  #: l_kf, what a constraint draws from any subcarrier's R_ii, (F, N, K)
    share: FloatArray = rows(1)  #: b_k, what it draws from what its user receives on any subcarrier, (F, K)
    noise: FloatArray = rows(1)  #: n_kf, (F, K)
    boundary: ClassVar[float] = BOUNDARY

    @classmethod
    def over(cls, problem: CrbMin, chains: BandChains, grid: Grid, total: float) -> Band:
        """The band of narrowband problems (F,) with a power of all subcarriers, in W."""
        (F, _, users), N = problem.H.shape, grid.subcarriers
        power, unit = total / F, chains.noise.mean(axis=0)  # of covariances, and of what each user receives
        H = problem.H * np.sqrt(power / unit)
        brings = 1 + chains.transmit * F / N
        noise = chains.noise / unit
        received = squared(H) + chains.user / N * squared(H).sum(axis=0)
        everywhere = chains.transmit[:, None] / N * received + noise[:, None, :] * brings[:, None] / F
        echo = float(problem.response_variance.max()) * power / float(problem.radar_noise_power.max())
        psi = (1 + chains.receive) * brings / F + echo / N * (chains.transmit + chains.receive * brings)
        ratio = 1 + 1 / np.broadcast_to(problem.asked, (F, users))
        one = np.ones((F, 1))
        return cls(
            **channels(H), load=np.zeros(H.shape), ratio=ratio, psi=one * psi, cost=one * brings / F,
            scale=one * np.sqrt(power) / chains.gain, everywhere=everywhere, share=one * chains.user / N, noise=noise,
        )  # fmt: skip

    @property
    def dimensions(self) -> int:
        """Those of the M of all subcarriers."""
        return self.rank * len(self.H)

    def total(self, values: AnyArray) -> AnyArray:
        """Sums (F,) over the subcarriers, for each of them."""
        return np.broadcast_to(values.sum(axis=0), values.shape)

    def least(self, values: AnyArray) -> AnyArray:
        """The least (F,) over the subcarriers."""
        return np.broadcast_to(values.min(axis=0), values.shape)

    def drawn(self, X: ComplexArray) -> FloatArray:
        """What each constraint draws from Hermitian X (F, N, N), of its own subcarrier and of all, (F, K)."""
        received = forms(self.H, self.HH, X)
        chains = np.ascontiguousarray(np.diagonal(X, axis1=-2, axis2=-1).real).sum(axis=0)
        return np.asarray(received + chains @ self.everywhere + self.share * received.sum(axis=0))

    def paid(self, charged: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What multipliers (F, K) add to the diagonals of all Q, (F, N), and weights (F, K) of ``h_kf h_kf^H``."""
        antennas = (self.everywhere @ charged[..., None])[..., 0]
        return self.total(antennas), charged + self.total(self.share * charged)

    def powers(self, received: FloatArray, along: ComplexArray, drawn: FloatArray) -> FloatArray:
        """Powers (F, K) of beams that meet each SQINR with equality; see `Homogeneous.powers`."""
        K = self.share.shape[-1]
        left = np.concatenate([np.swapaxes(self.everywhere, -1, -2), self.share[:, :, None] * np.eye(K)], axis=-1)
        right = np.concatenate([np.swapaxes(squared(along), -1, -2), np.swapaxes(received, -1, -2)], axis=-1)
        return Border(left, -np.eye(left.shape[-1]), right).solved(self._own(received), drawn)

    def border(self, VH: ComplexArray, weights: FloatArray, outer: ComplexArray, seen: FloatArray) -> Border:
        """What the shared prices add to Newton's matrix: see `isacsim.solvers.crb_min.dual_newton.equations`.

        The prices theta = G^T Y move all Q_f by T_f theta. With C the second derivative by Y and theta, and S that
        by theta alone, the matrix gains ``C G^T + G C^T + G S G^T``.
        """
        (F, N, K), charged = self.H.shape, seen / self.ratio[:, None, :]
        S, C = np.zeros((N + K, N + K)), np.empty((F, seen.shape[1], N + K))
        for part in portions(F, (N + K) * N * N):  # T_f
            own, pulled = self._bent(part, VH[part], weights[part], outer[part])
            S += own.sum(axis=0)
            C[part] = charged[part] @ own[:, N:] - pulled
        G = np.concatenate([charged @ np.swapaxes(self.everywhere, -1, -2), charged * self.share[:, None, :]], axis=-1)
        both, one, none = np.concatenate([C, G], axis=-1), np.eye(N + K), np.zeros((N + K, N + K))
        return Border(both, np.block([[-S, one], [one, none]]), both)

    def _bent(
        self, part: slice, VH: ComplexArray, weights: FloatArray, outer: ComplexArray
    ) -> tuple[FloatArray, FloatArray]:
        """Second derivative of some subcarriers by theta, and by theta and M, (f, N+K, N+K) and (f, r^2, N+K)."""
        # Rows: e_i and h_k in the eigenbasis.
        x = np.ascontiguousarray(np.concatenate([VH, VH @ self.H[part]], axis=-1).swapaxes(-1, -2))
        T = x[..., :, None] * np.conj(x)[..., None, :]  # (f, N+K, N, N)
        weighed, flat = weights[:, None] * T, (*T.shape[:2], -1)
        own = weighed.view(float).reshape(flat) @ T.view(float).reshape(flat).swapaxes(-1, -2) / 2
        pulled = coordinates(hermitian(outer)[:, None] @ weighed @ outer[:, None]).swapaxes(-1, -2) / 2
        return own, pulled

    def least_power(self) -> tuple[FloatArray, float]:
        """Multipliers (F, K) of the least power, and a lower bound on that, relative to the power that is there.

        The fixed point of `isacsim.solvers.sqinr.least_power`, from below: each round proves a bound, and near the
        fixed point is near enough for a start.
        """
        multipliers, power = np.zeros(self.ratio.shape), 0.0
        for _ in range(ROUNDS):
            before, (diagonal, users) = multipliers, self.paid(multipliers)
            diagonal = diagonal + self.cost * (1 - power)  # what noise adds to the load is power that is there
            prices = (self.H * users[:, None, :]) @ self.HH + diagonal[..., None] * np.eye(diagonal.shape[-1])
            multipliers = 1 / (self.ratio * forms(self.H, self.HH, inverse(prices)))
            power = float((multipliers * self.noise).sum())
            moved = np.abs(multipliers - before)
            if not power <= 1 + ROUNDING or (moved <= NEAR * multipliers).all():
                break
        return multipliers, power

    def scaled(self, beams: ComplexArray) -> ComplexArray:
        """Precoders (F, N, L), in sqrt(W), that spend all power along beams."""
        spent = (self.cost[..., None] * squared(beams)).sum()
        return np.asarray(self.scale[..., None] * beams / np.sqrt(spent))


def none_over_band(problem: CrbMin, least: float, total: float) -> Solution:
    """That the SQINRs need at least a power of all subcarriers, in W, that is not there: one member."""
    nothing = np.full((1, *problem.H.shape[:2], problem.streams), np.nan, complex)
    note = f"infeasible: the SINRs of all subcarriers need at least {least:.9g} W, and the power is {total:.9g} W"
    return Solution.resting(nothing, Status.INFEASIBLE, [note], bound=least, least_power=least)


def told_over_band(band: Band, rows: Solution, tolerance: float, total: float) -> Solution:
    """The solution of one band, in W, of that of its subcarriers in normalised units, which all tell the same."""
    beams, status = rows.precoder / band.scale[..., None], rows.status[0]
    if not np.isfinite(beams).all():
        why = "; ".join(rows.notes[0]) or f"no beams met the SINRs in {rows.iterations[0]} steps"
        return Solution.resting(np.full((1, *beams.shape), np.nan, complex), Status.FAILED, [why])
    V = beams @ hermitian(beams)
    objective, bound = (float(x[0]) / total for x in (band.value(V), rows.bound))
    gap = objective / bound - 1
    proven = gap <= tolerance * (1 + 1e-6)
    status = Status.OPTIMAL if proven else Status.STALLED if status.good else status
    note = f"one problem of all subcarriers: within {max(gap, 0):.1e} of the optimum, relative"
    W = band.scaled(beams)[None]
    told = Solution.resting(W, status, [note], objective=objective, bound=bound, gap=gap)
    return attrs.evolve(told, iterations=rows.iterations[:1])


def kept_over_band(through: CrbMin, solution: Solution, grid: Grid, total: float) -> Solution:
    """A solution with the beams of another one at powers that keep all SQINRs, with equality, and the power.

    What chains are at some powers leads to others, and so on until these stay; ``HEURISTIC`` where they do.
    """
    if not solution.status[0].answered:
        return solution
    W, K = solution.precoder[0], through.users
    for _ in range(SETTLING):
        band = Band.over(through, BandChains.at(through, W, grid), grid, total)
        V = W / band.scale[..., None]
        users, sensing = V[..., :K], V[..., K:]
        drawn = band.drawn(sensing @ hermitian(sensing))
        powers = band.powers(squared(band.HH @ users), users, drawn)
        if not (powers > 0).all():
            break
        W = band.scaled(np.concatenate([users * np.sqrt(powers)[:, None, :], sensing], axis=-1))
        if np.abs(powers - 1).max() <= SETTLED:
            return attrs.evolve(solution, decision={"precoder": W[None]}, status=objects([Status.HEURISTIC]))
    return solution
