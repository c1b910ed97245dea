"""The best precoder for one point target, a search in K + 1 multipliers.

With ``G = b a^H``, a of norm 1, the SQNR is a function f of ``zeta = a^H R a`` and ``s = sum_i
e_i |a_i|^2 R_ii`` alone (`isacsim.solvers.sqnr_max.target`), and an optimum of it is one of::

    min  tr(R) - gamma (zeta - rho s)  under the SQINRs,  rho = -f_s / f_zeta,  with gamma such that tr(R) = 1

With ``E = diag(e_i |a_i|^2)`` and ``sigma = gamma rho``, where all users' constraints bind, there is
no sensing stream, and the conditions are those of an uplink whose noise is less along the target::

    lambda_k c_k h_k^H Phi^-1 h_k = 1,  Phi = Phi_0 - gamma a a^H,
    Phi_0 = I + sum_j lambda_j (h_j h_j^H + diag(e |h_j|^2)) + sigma E

The beams are ``sqrt(q_k) Phi^-1 h_k`` with the powers q that just meet the SQINRs. The parameter is
tau in place of gamma, ``Phi^-1 = Phi_0^-1 + tau v v^H`` with ``v = Phi_0^-1 a``: every tau >= 0 keeps
Phi positive. Where no user's constraint binds, all power goes along one direction. Both are
optima by duality; some users with slack and some without need ``h_k^H v = 0`` for these, which
no tau reaches: such a member is not found.

Derived in docs/derivations/newton-mm, section 9.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from isacsim.compiled import few_passes, part
from isacsim.linalg.blas import multiply, write
from isacsim.linalg.parts import real_inner
from isacsim.records import laid, member
from isacsim.solvers.sqinr.system import Constraints, write_slack
from isacsim.solvers.sqnr_max.point_conditions import Room, Sizes, enter, evaluate, follow, powers
from isacsim.solvers.sqnr_max.target import SAME, TINY, PointResponse
from isacsim.typing import BoolArray, ComplexArray, FloatArray

PROBLEMS = 40  # of Dinkelbach's method, which squares the error with each, and of steps back from one that is too far
EVALUATIONS = 60  # of one problem, far beyond the some ten that it takes
GROWTH = 4.0  # of rho from one problem to the next: farther off, lambda of the last one does not lead to the next
FIRST_TAU, FIRST_GAMMA = 3.0, 0.8  # in the midst of what is found for powers of three to three hundred times the least
FIRST_ZETA = 0.7  # of the power, on the target, for the first rho
COARSE, FINE = 1e-3, 1e-11  # relative errors of the power that end a problem, of the first and of the last
SETTLED = 1e-8  # relative change of rho after which one more problem is the last: its square is rounding
SHORT = 1e-11  # of the power that the beams are to leave: scaled up to all of it, they exceed their SQINRs
ALIKE = 1e-9  # relative difference of e_i |a_i|^2 that counts as none
ROUGH = 0.2  # error of the conditions below which tau moves on
PATIENCE, CLOSE = 30, 1e-4  # evaluations after which the error must be below that
SURE = 1e3  # relative error of 1 / (P - P_min) over that of the conditions, at most
# Errors without powers that serve all which lead nowhere: the first after so many evaluations of the kind, the second.
STRAYED, LOST, ASTRAY_MOST = 0.1, 0.6, 3
VIOLATION = 1e4  # weight of a violated constraint in a residual: it must be so small that its repair is not seen
STEP = 25.0  # largest factor of 1 / tau^2 in one move


class Search(NamedTuple):
    """Where the search of one member is."""

    now: Annotated[FloatArray, "K+3"]  #: Multipliers lambda, then tau, gamma, and the slope of psi that is known
    anchor: Annotated[FloatArray, "K+3"]  #: The last ones whose powers served all users
    kept: Annotated[FloatArray, "K+3"]  #: Those at the end of the last problem that was solved
    #: The largest x with too small a psi, the least with too large a one, the last x and psi
    known: Annotated[FloatArray, "4"]
    total: Annotated[FloatArray, "3"]  #: Power, zeta and s
    told: Annotated[FloatArray, "8"]  #: By the names RHO to LEFT


class Work(NamedTuple):
    """All that is written to on the way, of one member."""

    room: Room
    search: Search


RHO, GOOD, TOLERANCE, EVEN, LEAST, TRIALS, ASTRAY, LEFT = range(8)
# rho, and the last one whose problem was solved; the power's tolerance, and whether s is known; the least power;
# evaluations for this rho, and of these without powers; problems left, of which the last is FINE
GOING, SERVED, SOLVED, GIVEN_UP = range(4)
VALUE, PROMISED, GAP, RESIDUAL, BOUND = range(5)
# f; how much first order promises beyond it, relative; what of that is proven, NaN without a proof; the larger of these
# and the violation; the bound


@part
def slopes(target: PointResponse, zeta: float, s: float) -> tuple[float, float, float]:
    """f, and its derivatives by zeta and by s."""
    B, fall = 0.0, 0.0
    for j in range(target.gains.size):
        kept = 1 / (1 + target.share[j] * (zeta + s))
        B += target.gains[j] * kept
        fall += target.gains[j] * target.share[j] * kept * kept
    noise, steep = 1 / B + s, fall / (B * B)  # noise over signal, and how its first part grows
    return zeta / noise, (noise - zeta * steep) / (noise * noise), -zeta * (steep + 1) / (noise * noise)


@part
def begin(target: PointResponse, least: FloatArray, path: Search) -> None:
    """Start from the users' multipliers at the least power, (K,)."""
    K, N, told = least.size, target.a.size, path.told
    told[LEAST], lowest, highest, mean = 0.0, np.inf, 0.0, 0.0
    for k in range(K):
        path.now[k] = least[k]
        told[LEAST] += least[k]
    path.now[K], path.now[K + 1], path.now[K + 2] = FIRST_TAU, FIRST_GAMMA, 0.0
    for i in range(N):
        lowest, highest = min(lowest, target.spread[i]), max(highest, target.spread[i])
        mean += target.spread[i] / N
    _, by_zeta, by_s = slopes(target, FIRST_ZETA, mean)
    even = highest - lowest <= ALIKE * highest  # then s is known at full power, and each rho has the optimum
    told[EVEN], told[RHO], told[GOOD] = (1.0, 0.0, 0.0) if even else (0.0, -by_s / by_zeta, 0.0)
    told[TOLERANCE], told[LEFT] = (FINE if even else COARSE), (1.0 if even else PROBLEMS)
    renew(path)
    write(path.now, path.kept)


@part
def renew(path: Search) -> None:
    """Begin the problem of another rho."""
    path.told[TRIALS], path.told[ASTRAY] = 0.0, 0.0
    path.known[0], path.known[1], path.known[2] = 0.0, np.inf, 0.0
    write(path.now, path.anchor)


@part
def advance(here: Room, ratio: FloatArray, grown: float, sound: bool, path: Search) -> int:
    """What became of the last evaluation; where it goes on, the next tau, gamma and lambda."""
    now, anchor, known, told, K = path.now, path.anchor, path.known, path.told, ratio.size
    tau, gamma, rho, tolerance = now[K], now[K + 1], told[RHO], told[TOLERANCE]
    power, at = 1 - min(SHORT, 0.5 * (1 - told[LEAST])), tau / grown
    off = abs(gamma / at - 1) if rho > 0 else 0.0
    for k in range(K):
        off = max(off, abs(ratio[k] * here.T[k, k].real - 1))
    told[TRIALS] += 1
    if sound and abs(path.total[0] - power) <= tolerance and off <= 1e-3 * np.sqrt(tolerance):
        return SOLVED
    if not told[TRIALS] < EVALUATIONS:
        return GIVEN_UP
    told[ASTRAY] = 0 if sound else told[ASTRAY] + 1
    if sound and off < ROUGH:
        write(now, anchor)
    elif not sound and (off > LOST or (off > STRAYED and told[ASTRAY] > ASTRAY_MOST)):
        told[ASTRAY] = 0.0
        anchor[K] *= 0.3 if tau == anchor[K] else 1.0
        if tau > anchor[K]:
            known[0] = max(known[0], 1 / (tau * anchor[K]))
        else:
            known[1] = min(known[1], 1 / (tau * anchor[K]))
        write(anchor, now)
        return GOING
    if off < (ROUGH if told[TRIALS] <= PATIENCE else CLOSE) or (told[TRIALS] == 1 and now[K + 2] == 0):
        psi = 1 / (path.total[0] - told[LEAST])
        x = next_of(1 / (tau * tau), psi if sound else min(psi, 0.0), 1 / (power - told[LEAST]), off, path)
        now[K] = 1 / np.sqrt(x)
    there = now[K] / (1 + now[K] * (grown - 1) / tau)  # gamma of the same lambda at the new tau
    follow(here, now, there, rho)
    return GOING


@part
def next_of(x: float, psi: float, goal: float, off: float, path: Search) -> float:
    """The next ``x = 1 / tau^2``: ``psi = 1 / (P - P_min)``, which is nearly affine in x, is to be ``goal``."""
    known, slope = path.known, path.now.size - 1
    sure = SURE * off < min(abs(psi / goal - 1), ROUGH)  # else the sign may change when lambda has followed
    if sure and psi < goal:
        known[0] = max(known[0], x)
    elif sure:
        known[1] = min(known[1], x)
    if known[2] > 0 and abs(x - known[2]) > 1e-13 * x:
        path.now[slope] = (psi - known[3]) / (x - known[2])
    known[2], known[3] = x, psi
    new = x * goal / psi if psi > 0 else 4 * x
    if path.now[slope] > 0:
        new = x + (goal - psi) / path.now[slope]
    if known[0] >= known[1] or (known[1] - known[0] < 1e-3 * x and not known[0] < new < known[1]):
        known[0], known[1] = 0.0, np.inf  # an end was wrong after all
    if not known[0] < new < known[1]:
        new = np.sqrt(known[0] * known[1]) if known[0] > 0 else 0.2 * known[1]
        if known[1] == np.inf:
            new = 5 * known[0]
    return min(max(new, x / STEP), STEP * x)


@part
def alone(constraints: Constraints, target: PointResponse, V: ComplexArray, path: Search) -> float:
    """Write beams that send all power along the best direction for rho, and behind them a stream; gamma.

    The direction is that of ``(1/gamma + rho E)^-1 a``, the top eigenvector of ``a a^H - rho E``.
    The total gets the power that the users need along it, zeta and s.
    """
    load, H, a, spread = constraints.load, constraints.H, target.a, target.spread
    total, rho = path.total, path.told[RHO]
    (N, K), mean, top, last = H.shape, 0.0, -np.inf, -np.inf
    for i in range(N):
        mean += spread[i] * real_inner(a[i], a[i])
        top = max(top, real_inner(a[i], a[i]) - rho * spread[i])
    top, slope = max(top, 1 - rho * mean), 1.0
    while top > last:  # Newton's method rises to the eigenvalue, until rounding stops it
        last, over, slope, total[2] = top, -1.0, 0.0, 0.0
        for i in range(N):
            weight, level = real_inner(a[i], a[i]), top + rho * spread[i]
            if weight > 0:
                over += weight / level
                slope += weight / (level * level)
                total[2] += spread[i] * weight / (level * level)
        top += over / slope
    total[0], total[1], total[2] = 0.0, 1 / slope, total[2] / slope
    for i in range(N):
        V[i, K] = a[i] * (1 / ((top + rho * spread[i]) * np.sqrt(slope)))
    for k in range(K):
        noise, seen = 1.0, 0j
        for i in range(N):
            noise += load[i, k] * real_inner(V[i, K], V[i, K])
            seen += np.conj(H[i, k]) * V[i, K]
        gain = real_inner(seen, seen)
        share = (gain + noise) / (constraints.ratio[k] * gain)
        total[0] += share
        for i in range(N):
            V[i, k] = V[i, K] * np.sqrt(share)
    return 1 / top


@part
def settle(target: PointResponse, state: int, path: Search) -> bool:
    """Whether the last problem was solved that had to be; else the next rho, by Dinkelbach's method."""
    told = path.told
    told[LEFT] -= 1
    if state == GIVEN_UP:
        told[RHO] = np.sqrt(told[RHO] * told[GOOD]) if told[GOOD] > 0 else 0.2 * told[RHO]
        told[TOLERANCE] = COARSE
        write(path.kept, path.now)
    else:
        if told[TOLERANCE] == FINE:
            told[LEFT] = 0.0
            return True
        _, by_zeta, by_s = slopes(target, path.total[1], path.total[2])
        write(path.now, path.kept)
        error, told[GOOD] = abs(-by_s / by_zeta / told[RHO] - 1), told[RHO]
        told[RHO] = min(-by_s / by_zeta, GROWTH * told[RHO])
        tolerance = max(min(told[TOLERANCE], 0.1 * error * error), 0.1 * SETTLED)
        told[TOLERANCE] = FINE if error < SETTLED else tolerance
    renew(path)
    return False


@part
def write_beams(here: Room, served: bool, path: Search, V: ComplexArray) -> None:
    """Write beams of full power, and no stream beside users, from `alone` where that has ``served``.

    The total becomes that of these.
    """
    (N, K), total = (here.A.shape[0], here.q.size), path.total
    for k in range(K):
        length = np.sqrt((1.0 if served else here.q[k]) / total[0])
        for i in range(N):
            V[i, k] = (V[i, k] if served else here.U[i, k]) * length
            V[i, K] = 0.0
        path.now[k] = 0.0 if served else path.now[k]
    if not served:
        total[1], total[2] = total[1] / total[0], total[2] / total[0]


@few_passes
def point_each(
    constraints: Constraints,
    target: PointResponse,
    least: FloatArray,
    tolerance: float,
    work: FloatArray,
    sizes: Sizes,
    V: ComplexArray,
    multipliers: FloatArray,
    judged: FloatArray,
    found: BoolArray,
) -> None:
    """The optimum from the users' multipliers at the least power (B, K), into the last four arrays, member by member.

    Beams and a stream V are (B, N, K+1), the multipliers of f (B, K+1), and ``judged`` is (5, B): by VALUE to BOUND.
    With ``S = -Phi f_zeta / gamma``, but for a diagonal that the multiplier of the power takes up, no eigenvalue of the
    conditions is positive. What is no point is not found, and what has a residual above the tolerance.
    """
    here, path = laid(Work, work, sizes)
    K = sizes.K
    for b in range(V.shape[0]):
        mine, aim = member(constraints, b), member(target, b)
        enter(mine, aim, here)
        begin(aim, least[b], path)
        found[b], gamma = False, 1.0
        if not aim.there:
            continue
        while path.told[LEFT] > 0:
            gamma = alone(mine, aim, V[b], path)
            state = SERVED if path.total[0] <= 1 else GOING
            while state == GOING:
                grown = evaluate(here, path.now, path.told[RHO])
                sound = powers(here, mine.ratio, path.now, grown, path.total)
                state = advance(here, mine.ratio, grown, sound, path)
            found[b] = settle(aim, state, path)
            if found[b]:
                write_beams(here, state == SERVED, path, V[b])
            gamma = gamma if state == SERVED else path.now[K + 1]
        value, excess = price(aim, gamma, path, multipliers[b])
        gap, violation = judge(mine, aim, here, V[b], value, excess)
        promised = excess / max(value, TINY)
        residual = max(promised if np.isnan(gap) else gap, VIOLATION * violation)
        judged[VALUE, b], judged[PROMISED, b], judged[GAP, b] = value, promised, gap
        judged[RESIDUAL, b], judged[BOUND, b] = residual, (1 + gap) * value
        found[b] = found[b] and residual <= tolerance


@part
def price(target: PointResponse, gamma: float, path: Search, multipliers: FloatArray) -> tuple[float, float]:
    """Write the multipliers of f, (K+1,): f, and the excess."""
    zeta, s, K = path.total[1], path.total[2], multipliers.size - 1
    value, by_zeta, by_s = slopes(target, zeta, s)
    over, prices = -np.inf, 0.0
    for i in range(target.a.size):
        over = max(over, (by_s + by_zeta * path.told[RHO]) * target.spread[i])
    for k in range(K):
        multipliers[k] = path.now[k] * (by_zeta / gamma)
        prices += multipliers[k]
    multipliers[K] = by_zeta / gamma + over
    return value, multipliers[K] - prices - by_zeta * zeta - by_s * s


@part
def judge(
    constraints: Constraints, target: PointResponse, here: Room, V: ComplexArray, value: float, excess: float
) -> tuple[float, float]:
    """The gap to a bound on f, NaN where first order proves none, and the largest violation, at beams V (N, K+1).

    Where 1/B is affine f is a ratio ``zeta / D``, which rises by no more than the excess times D over the least D.
    """
    (N, K), chain, slack = constraints.H.shape, here.squares[0], here.seen[0]
    multiply(here.AH, V, here.gram)
    zeta, quality, least, most, worst = 0.0, 0.0, np.inf, 0.0, 0.0
    for s in range(K + 1):
        zeta += real_inner(here.gram[K, s], here.gram[K, s])
    for j in range(target.gains.size):
        quality += target.gains[j]
        least, most = min(least, target.share[j]), max(most, target.share[j])
    for i in range(N):
        chain[i] = 0.0
        for s in range(K + 1):
            chain[i] += real_inner(V[i, s], V[i, s])
    write_slack(constraints, here.gram[:K], chain, slack)
    for k in range(K + 1):
        worst = max(worst, -slack[k])
    return (zeta * quality * excess / (value * value) if most - least <= SAME * most else np.nan), worst
