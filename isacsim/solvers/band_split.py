"""Narrowband problems on all subcarriers of a band, whose power is split by one price.

On ideal hardware nothing but the power joins the subcarriers (`isacsim.optimisation.joint_power`). Chains meet all of
them together: gains and distortion on each follow from the covariances of all. A solver that knows whole bands
(``over_band``, of `CrbMin`) designs for converters as they are: one convex problem, proven to be solved. Other chains
it takes for converters of the same gain and distortion at some precoders, with what else users receive as noise; the
powers of the beams are then settled through the chains themselves, and the precoders are those of the next round. On
four subcarriers of two antennas and a user, a general optimiser that starts from there gains 3e-7 behind exact
converters of 3 bits at an SQINR of 3, 1e-8 behind 2 bits at 2, and 4 % behind 2 bits at 3, which can hardly be met.

For other solvers gains and distortion are held as they are at some precoders, which leaves each subcarrier a problem
on ideal chains, of what leaves the gains, among more noise (`SinrConstrained.held`), and of these the best split is
found as ever. The precoders of that split make other distortion, and so on, until it is the distortion that they are
designed for: then all SQINRs and the power are kept through the hardware as it meets the whole band.

What this leaves out is what precoders could gain by making less distortion: of its price, the average of the cotangents
of all subcarriers, the part that is the same for all antennas is a price of power, which is given; the rest is not in
it. So these precoders promise the constraints, and no optimum. A solver that knows better goes on from them
(``improved_over_band``, of those of `SqnrMax`), to a stationary point of the whole band. For `CrbMin` behind 3 bits
it costs 0.02 to 0.6 %, behind 2 bits 1.5 %, and it may find nothing where SQINRs can hardly be met.

The bound that comes with precoders is that of ideal chains, of the power and among the noise that converters leave at
least: of the power a share is distortion, and of a user's noise a part grows with what arrives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from attrs import define, field

from isacsim.batch import flatten, squared, take
from isacsim.grid import Grid
from isacsim.optimisation.joint_power import ENOUGH, Answer, Split
from isacsim.problems.sinr_constrained import Held, SinrConstrained
from isacsim.solvers.base import Solver, not_differentiable, refusal
from isacsim.solvers.solution import Solution, Status, gathered, objects
from isacsim.solvers.solve import solve
from isacsim.typing import AnyArray, ComplexArray, FloatArray

ROUNDS = 60  # of distortion: each leaves of what was missed the share of distortion in it, times the SQINR
SETTLED = 1e-3  # relative change of powers between rounds from which the split is kept
SPLITS = 6  # rounds after which it is kept in any case, and what the objective is with it
FALLING = 0.9  # share of what was missed before that a round must leave at most: beyond, distortion is a mean of rounds
# Relative, of noise and power. Solvers return one of many precoders that are as good but for their tolerance, and its
# distortion differs by some 1e-7 from round to round, which stays within it.
MARGIN = 1e-6
KEPT = 1e-9  # relative slack below which SQINRs and power are missed
LEFT_OUT = "the bound leaves distortion out, {:.1%} from the objective"
Found = tuple[ComplexArray, int] | str  # precoders (F, N_t, K+S) and the rounds to them, or why there are none
Climb = Callable[[Any, ComplexArray, float], Solution]  # from precoders (F, N_t, K+S) of a band, of a power in W
# Of a band whose problem goes through hardware, as that is at precoders, of a power in W; the last are others, at which
# hardware is the same if it is converters, whose solution is proven, and None stands for that it is not
WholeBand = Callable[[Any, ComplexArray, Grid, float, ComplexArray | None], Solution | None]


def jointly(problem: Any, solver: Solver, total: FloatArray, worth: Any = 1.0) -> Solution:
    """The solution at the best split of a power, with the gap of the split.

    Args:
        problem: Narrowband problems, convex in their power, with one leading axis of B bands after another.
        solver: Their solver.
        total: Power of all subcarriers of each band, (B,), in W.
        worth: By which the objective on each subcarrier counts, broadcast to (B, F).
    """
    begin, F = time.perf_counter(), problem.members // len(total)
    sense, worth = problem.sense, np.broadcast_to(worth, (len(total), F))

    def ask(power: FloatArray) -> Answer:
        found = solve(attrs.evolve(problem, power=power.ravel()), solver)
        answered = found.answered
        c = np.where(answered, -sense * found.objective, np.inf)
        bound = np.where(answered & np.isfinite(found.bound), -sense * found.bound, c)
        c, bound, least = (x.reshape(power.shape) for x in (c, np.minimum(bound, c), found.least_power))
        return Answer(worth * c, worth * bound, least)

    split = Split.of(ask, total, F)
    found = joined(solve(attrs.evolve(problem, power=split.power.ravel()), solver), F, worth)
    told = found.notes.copy()
    for i, status in enumerate(found.status):
        if status.answered:
            told[i] = (*told[i], f"power split over subcarriers within {split.gap[i]:.1e} of the optimum, relative")
    answered = np.isfinite(found.objective)
    gap = np.where(answered, np.maximum(split.gap, found.gap), found.gap)
    bound = np.where(answered, -sense * split.bound / F, found.bound)
    return attrs.evolve(found, gap=gap, bound=bound, notes=told, runtime=time.perf_counter() - begin)


def joined(solution: Solution, subcarriers: int, worth: Any = 1.0) -> Solution:
    """One member of each ``subcarriers`` members: means of objective and bound, and the worst of the others.

    The band is as far solved as its worst subcarrier, and has no precoder where one has none.
    """

    def split(array: Any) -> AnyArray:
        array = np.asarray(array)
        return array.reshape(-1, subcarriers, *array.shape[1:])

    order = list(Status)
    status = [max(of, key=order.index) for of in split(solution.status)]
    notes = [tuple(dict.fromkeys(note for one in of for note in one)) for of in split(solution.notes)]
    return Solution(
        decision={name: split(array) for name, array in solution.decision.items()},
        objective=(worth * split(solution.objective)).mean(axis=1),
        gap=split(solution.gap).max(axis=1),
        residual=split(solution.residual).max(axis=1),
        iterations=split(solution.iterations).max(axis=1),
        status=objects(status),
        bound=(worth * split(solution.bound)).mean(axis=1),
        notes=objects(notes),
        runtime=solution.runtime,
        least_power=split(solution.least_power).max(axis=1),
    )


def behind_hardware(problem: SinrConstrained, solver: Solver, grid: Grid, total: FloatArray) -> Solution:
    """The solution for bands whose subcarriers (B F,) share the chains designed for, of powers ``total`` (B,), in W."""
    begin, F = time.perf_counter(), grid.used
    flat = flatten(problem)
    bands = [take(flat, np.arange(b * F, (b + 1) * F)) for b in range(len(total))]
    found = [_behind(band, solver, grid, float(power)) for band, power in zip(bands, total, strict=True)]
    return gathered([(one, np.array([b])) for b, one in enumerate(found)], time.perf_counter() - begin)


def _behind(problem: SinrConstrained, solver: Solver, grid: Grid, total: float) -> Solution:
    """The solution for one band of F subcarriers."""
    if grid.subcarriers == 1 and refusal(solver, problem) is None:  # nothing is shared
        return joined(solve(attrs.evolve(problem, power=np.full(1, total)), solver), 1)
    through = problem.over_band(grid)
    whole: WholeBand | None = getattr(solver, "over_band", None)
    if whole is not None and not any(problem.hopeless()):
        even, other = _unlike(problem, total)
        if (proven := whole(through, even, grid, total, other)) is not None:
            return proven
    easier, left = problem.relaxed(grid, total)
    ideal = jointly(easier, solver, np.array([left]))
    if not ideal.status[0].answered:  # distortion makes nothing easier
        return ideal
    if (bounded := getattr(solver, "bound_over_band", None)) is not None:
        ideal = attrs.evolve(ideal, bound=bounded(problem, ideal.bound, grid.used / grid.subcarriers))
    if whole is not None:
        return _told(through, ideal, _improved(through, whole, ideal.precoder[0], grid, total))
    found = _settled(through, _Split(through, solver, total), ideal.precoder[0], total)
    return _climbed(through, solver, ideal, found, total)


def _climbed(through: SinrConstrained, solver: Solver, ideal: Solution, found: Found, total: float) -> Solution:
    """The solution of settled precoders, or of the stationary ones that they lead to where a solver knows the way."""
    settled = _told(through, ideal, found)
    climb: Climb | None = getattr(solver, "improved_over_band", None)
    if climb is None or not through.transceiver.transmit.scale_free or not_differentiable(through):
        return settled
    better = climb(through, ideal.precoder[0] if isinstance(found, str) else found[0], total)
    objective = better.objective[0]
    # Settled precoders that there are none of have no objective to be better than.
    if not better.status[0].answered or objective * through.sense <= settled.objective[0] * through.sense:
        return settled
    gap = _gap(objective, ideal.bound[0])
    note = f"SQINRs and power are kept through the hardware; {LEFT_OUT.format(gap)}"
    return attrs.evolve(better, bound=ideal.bound, gap=np.array([gap])).marked(np.ones(1, bool), note=note)


def _unlike(problem: SinrConstrained, total: float) -> tuple[ComplexArray, ComplexArray]:
    """Precoders (F, N_t, K+N_t) that spend a power evenly, on sensing, and others that differ in every respect."""
    (F, antennas, users), streams = problem.H.shape, problem.streams
    even = np.zeros((F, antennas, streams), complex)
    even[:, :, users:] = np.eye(antennas)
    tilt = (1 + np.arange(antennas) / antennas)[:, None] * (np.eye(antennas) + 0.5)
    other = np.zeros_like(even)
    other[:, :, users:] = (1 + np.arange(F) / F)[:, None, None] * tilt
    one, two = (W * np.sqrt(total / squared(W).sum()) for W in (even, other))
    return one, two


def _settled(through: SinrConstrained, design: _Split, met: ComplexArray, total: float) -> Found:
    """Precoders for the distortion that they make, with the rounds from ``met``; or why there are none."""
    missed, least, weight = np.inf, np.inf, 1.0
    for rounds in range(1, ROUNDS + 1):
        W, final = design(met)
        if W is None:
            return f"in round {rounds} no power was left for the SQINRs among the distortion of the last"
        missed = _missed(through, W, total)
        if final and missed <= KEPT:
            return W, rounds
        weight = weight if missed < FALLING * least else weight / 2
        least = min(least, missed)
        met = _mixed(met, W, weight)
    return f"SQINRs or power are off by {missed:.1e}, relative, after {ROUNDS} rounds of distortion"


def _told(through: SinrConstrained, ideal: Solution, found: Found) -> Solution:
    """The solution that precoders are, beside the one over ideal chains; that none were found proves nothing."""
    if isinstance(found, str):
        none = np.full(ideal.precoder.shape, np.nan, complex)
        return Solution.resting(none, Status.FAILED, [f"{found}; that there are none is not proven"])
    W, rounds = found
    objective = float(np.mean(through.objective(W)))
    gap = _gap(objective, ideal.bound[0])
    note = "SQINRs and power are kept through the hardware; that no split and precoders are better is not shown"
    note = f"{note}: {LEFT_OUT.format(gap)}"
    rest = Solution.resting(W[None], Status.HEURISTIC, [note], objective=objective, bound=ideal.bound, gap=gap)
    return attrs.evolve(rest, iterations=np.array([rounds]))


def _improved(through: SinrConstrained, whole: WholeBand, met: ComplexArray, grid: Grid, total: float) -> Found:
    """The best precoders of rounds that take hardware for what it is at those of the last, from ``met`` on."""
    best, least, rounds = None, np.inf, 0
    while rounds < ROUNDS:
        rounds += 1
        found = whole(through, met, grid, total, None)
        if found is None or not found.status[0].answered:
            break
        met, before = np.asarray(found.precoder[0]), least
        value = -through.sense * float(np.mean(through.objective(met)))
        if found.status[0] is Status.HEURISTIC and value < least:  # that of the hardware, which keeps all constraints
            best, least = met, value
        if best is not None and not value < before - ENOUGH * abs(value):
            break
    return (best, rounds) if best is not None else f"no precoders kept the SQINRs in {rounds} rounds of distortion"


@define
class _Split:
    """Precoders (F, N_t, K+S) of the best split among distortion that is held, and whether the split is kept by now."""

    through: SinrConstrained
    solver: Solver
    total: float
    kept: Any = None
    rounds: int = 0
    share: FloatArray = field(factory=lambda: np.zeros(1))

    def __call__(self, met: ComplexArray) -> tuple[ComplexArray | None, bool]:
        held, self.rounds = self.through.held(met), self.rounds + 1
        left, here = self.total * (1 - MARGIN) - held.distortion.sum(), held.problem
        here = attrs.evolve(self.kept or here, noise_power=here.noise_power * (1 + MARGIN))
        final = self.kept is not None
        found = _split(attrs.evolve(held, problem=here), self.solver, left, self.share if final else None)
        if found is None:
            return None, False
        before, self.share = self.share, squared(found).sum(axis=(-2, -1)) / left
        if not final and (self.rounds == SPLITS or np.abs(self.share - before).max() <= SETTLED * self.share.max()):
            self.kept = here
        return found / held.gain[..., None], final


def _mixed(one: ComplexArray, other: ComplexArray, weight: float) -> ComplexArray:
    """A precoder (F, N_t, N_t) whose covariance is that of one and of another, the latter to a part ``weight``."""
    if weight == 1:
        return other
    both = np.concatenate([np.sqrt(1 - weight) * one, np.sqrt(weight) * other], axis=-1)
    U, sizes, _ = np.linalg.svd(both, full_matrices=False)
    return np.asarray(U * sizes[:, None, :])


def _split(held: Held, solver: Solver, left: float, share: FloatArray | None) -> ComplexArray | None:
    """What leaves the gains (F, N_t, K+S) at given shares of a power, or, where these do not do, at the best split."""
    if not left > 0:
        return None
    if share is not None:
        found = joined(solve(attrs.evolve(held.problem, power=share * left), solver), len(share))
        if found.status[0].answered:
            return np.asarray(found.precoder[0])
    found = jointly(held.problem, solver, np.array([left]), held.worth)
    return np.asarray(found.precoder[0]) if found.status[0].answered else None


def _missed(through: SinrConstrained, W: ComplexArray, total: float) -> float:
    """How far precoders miss SQINRs or exceed the power, relative."""
    power = float(through.sent(W).power.sum())
    slack = np.asarray(through.constraints(W)[through.asks.removeprefix("min_")])
    return max(power / total - 1, float(-slack.min(initial=0.0)))


def _gap(objective: float, bound: float) -> float:
    return abs(objective - bound) / abs(objective)
