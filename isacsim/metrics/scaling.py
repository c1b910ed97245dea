"""At what drive a device puts out a wanted power, in at most six evaluations of it.

What a chain puts out is followed in reciprocal amplitudes: x of the drive, y of the output. Of a linear
device y is proportional to x, and of one that saturates it tends to a constant as x tends to 0. So
each chain's y is a polynomial in x through the points nearest to where it is asked for, from whose sum of 1 / y^2
over chains follows the next drive. The second drive is guessed from the first alone: chains of one kind that are
driven unequally show how output grows with drive.

That is how most devices are scaled, in three to five evaluations. Where it leads out of what was tried, as near
saturation, beyond a peak or behind much gain, an evaluation takes a batch of drives, from which the curve is known
as a whole: where the wanted output is passed first, or where the peak is if it is nowhere. A second batch between
the neighbours of that place tells it to the accuracy of the models, and the last evaluation confirms it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from isacsim.typing import BoolArray, FloatArray, IntArray

ACCURACY = 1e-12  # of the output
# After a step this short, the next needs no evaluation to confirm it where the polynomials without the oldest
# and without the two oldest points give the same output: what is left is far below the first difference.
SHORT, AGREED = 1e-5, (5e-14, 2e-12)
# Evaluations of one drive each. After the third and fourth a member goes on if the next drive is as near as this to the
# last; after the sixth what is known is enough.
TELLING, FOLLOWED = {3: 0.1, 4: 0.01}, 6
DRIVES = 32  # of a batch
AT_ONCE = 1 << 22  # entries of covariances of the members that are surveyed in one call: 64 MiB
FAR_BELOW, FAR_ABOVE = 23.0, 16.0  # nepers of power beyond what was tried: gains of 100 dB, and 1e-7 of saturation
KEPT = 7  # nearest points that a polynomial goes through
KNOWN = 1e-6  # of the output, to which models are known: enough where a seventh evaluation would tell more
MORE = 30  # batches, each inside two neighbours of the last, for curves with a kink: some five reach rounding
SUMMIT = 65  # places at which the polynomial is looked at for its peak
ROOT_STEPS = 100  # Newton's steps halve at worst, and need some eight

Output = Callable[[IntArray, FloatArray], FloatArray]
Points = Sequence[tuple[FloatArray, FloatArray]]  # (x, y), the nearest first


@frozen(eq=False)
class Drive:
    """What was found.

    Attributes:
        factor: Factor of the power at the input, shape (B,).
        reached: Whether it gives the wanted output.
        most: Largest output seen or foreseen, shape (B,), in W.
    """

    factor: FloatArray
    reached: BoolArray
    most: FloatArray


def drive_for(output: Output, given: FloatArray, target: FloatArray, alive: BoolArray, parts: int = 1) -> Drive:
    """The factor of the input power at which ``output`` is ``target``, in at most six calls for each member.

    To 1e-12, or 1e-11 where not confirmed. Where six calls do not tell more, to the 1e-6 to which models are
    known. A curve with a kink where it meets the target takes more.

    Args:
        output: Output power of the chains (D, n, N), in W, of the members numbered (n,) for the factors (D, n).
        given: Input power of the chains at the factor 1, (B, N), in W.
        target: Wanted output, shape (B,), in W.
        alive: Members that have an input at all; the others keep the factor 1.
        parts: How many members in a row share their calls, as antennas of a precoder that have factors of their own.
    """
    factor, most, reached = np.ones(target.shape), np.zeros(target.shape), ~alive
    members = np.flatnonzero(alive)
    with np.errstate(all="ignore"):
        if members.size:
            search = _Search(output, given[members], target[members], members, parts)
            search.follow()
            # Those that were followed longer have fewer evaluations left.
            for when, batches in ((3, 2), (4, 1), (FOLLOWED, 1)):
                chosen = np.flatnonzero(search.lost == when)
                for some in np.array_split(chosen, max(1, -(-chosen.size * DRIVES * given.shape[1] ** 2 // AT_ONCE))):
                    if some.size:
                        search.survey(some, when, batches)
            factor[members], most[members], reached[members] = search.first / search.x**2, search.most, search.reached
    return Drive(factor, reached, most)


class _Search:
    """The points of B members that are alive, and where each is; arrays (B,) unless said otherwise."""

    def __init__(self, output: Output, given: FloatArray, target: FloatArray, members: IntArray, parts: int) -> None:
        self.output, self.target, self.members, self.whole = output, target, members, members // parts
        whole = given.sum(axis=-1)
        self.share = given / whole[:, None]
        self.first = target / whole  # the factor of a device that passes on what it is given
        self.x, self.most = np.ones(target.shape), np.zeros(target.shape)
        self.reached, self.lost = np.zeros(target.shape, bool), np.zeros(target.shape, int)  # lost: after how many
        self.tried: list[tuple[FloatArray, FloatArray]] = []

    def ask(self, members: IntArray, x: FloatArray) -> FloatArray:
        """Reciprocal amplitudes (D, n, N) at x (D, n), in one evaluation."""
        chains = self.output(self.members[members], self.first[members] / x**2)
        self.most[members] = np.fmax(self.most[members], np.fmax.reduce(chains.sum(axis=-1), axis=0))
        return np.asarray(np.sqrt(self.target[members, None] / chains))

    def follow(self) -> None:
        """By one drive after the other, until that leads too far."""
        for count in range(1, FOLLOWED + 1):
            # A member that has arrived stays, so that its bytes do not depend on the others.
            open_ = ~self.reached & (self.lost == 0)
            here = np.flatnonzero(open_)
            if not here.size:
                break
            y = np.full(self.share.shape, np.nan)
            y[here] = self.ask(here, self.x[None, here])[0]
            self.tried.insert(0, (self.x, y))
            out = _out(y).sum(axis=-1)
            arrived = np.abs(out - 1) <= ACCURACY
            ahead, agreed, inside = self._ahead(out)
            if count == FOLLOWED:
                agreed |= np.abs(out - 1) <= KNOWN
                ahead = np.where(inside, ahead, self._corrected(out))
            rest = open_ & ~arrived & ~agreed
            gone = rest & (~inside | (np.abs(ahead / self.x - 1) > TELLING.get(count, 0.0)))
            gone &= count in (*TELLING, FOLLOWED)
            gone = rest & np.isin(self.whole, self.whole[gone])  # who share calls are surveyed together
            self.lost = np.where(gone, count, self.lost)
            self.x = np.where(open_ & ~arrived, ahead, self.x)
            self.reached |= open_ & (arrived | agreed)

    def _ahead(self, out: FloatArray) -> tuple[FloatArray, BoolArray, BoolArray]:
        """The next x, where it needs no confirmation, and where the polynomials have one."""
        near, lack = self.tried[:KEPT], out**-0.5
        if len(near) == 1:
            terms = _guess(near[0], self.share)
        else:
            terms = _differences(near)
        x = np.stack([at for at, _ in near])
        outs = np.stack([_out(y).sum(axis=-1) for _, y in near])
        strong, weak = np.where(outs >= 1, x, 0.0).max(axis=0), np.where(outs < 1, x, np.inf).min(axis=0)
        lower = np.where(strong > 0, strong, self.x / np.fmin(lack, np.exp(10.0)) / np.e)
        upper = np.where(np.isinf(weak), np.maximum(self.x / lack, strong) * np.e, weak)
        fits = (_outputs(near, terms, lower)[0][-1] > 1) & (_outputs(near, terms, upper)[0][-1] <= 1)
        fits &= lower < upper  # where more drive gave less, there is a peak
        ahead = np.where(fits, _root(near, terms, lower, upper), self.x / lack)
        sums = _outputs(near, terms, ahead)[0]
        agreed = fits & (np.abs(ahead / self.x - 1) <= SHORT) & (len(near) > len(AGREED))
        for fewer, difference in zip(sums[-2::-1], AGREED, strict=False):
            agreed = agreed & (np.abs(fewer - 1) <= difference)
        return ahead, agreed, fits

    def _corrected(self, out: FloatArray) -> FloatArray:
        """The x a step of Newton's method ahead, for what is nearly reached."""
        near = self.tried[:KEPT]
        growth = _outputs(near, _differences(near), self.x)[1]
        return np.where(np.abs(out - 1) <= KNOWN, self.x * np.exp(-np.log(out) / growth), self.x)

    def survey(self, chosen: IntArray, when: int, batches: int) -> None:
        """By batches of drives: one around all that was tried unless they are to be between two, and inside it."""
        own = self.tried[-when:]  # others were followed further
        x = np.stack([at[chosen] for at, _ in own])
        y = np.stack([at[chosen] for _, at in own])
        for count in range(batches + MORE):
            low, high = _neighbours(x, _out(y).sum(axis=-1), wide=count == 0 and batches > 1)
            if count == 0 and batches == 1:  # as far behind what was foreseen as that is ahead
                foreseen = self.x[chosen]
                high = np.where(foreseen < low, np.maximum(high, foreseen * (foreseen / low) ** 2), high)
            steps = np.linspace(0.0, 1.0, DRIVES + 2)[1:-1, None]
            new = low ** (1 - steps) * high**steps
            x, y = np.concatenate([x, new]), np.concatenate([y, self.ask(chosen, new)])
            if count + 1 < batches:
                continue
            ahead, hopeless, most = _place(x, y)
            self.most[chosen] = np.fmax(self.most[chosen], most * self.target[chosen])
            self.x[chosen] = np.where(self.reached[chosen], self.x[chosen], ahead)
            confirmed = self.ask(chosen, self.x[None, chosen])
            off = np.abs(_out(confirmed[0]).sum(axis=-1) - 1)
            x, y = np.concatenate([x, self.x[None, chosen]]), np.concatenate([y, confirmed])
            # What is left is below the accuracy of the last step squared, and needs no evaluation.
            arrived = ~self.reached[chosen] & ~hopeless & (off <= KNOWN)
            better = arrived & (off > ACCURACY) & (_out(y).sum(axis=-1) >= 1).any(axis=0)
            self.x[chosen] = np.where(better, _place(x, y)[0], self.x[chosen])
            self.reached[chosen] |= arrived
            if np.all(self.reached[chosen] | hopeless):
                break


def _out(y: FloatArray) -> FloatArray:
    """Output over the wanted one; none where it is no number, as of chains that put out nothing."""
    return np.where(y > 0, y**-2, np.where(np.isnan(y), 0.0, np.inf))


def _neighbours(x: FloatArray, out: FloatArray, *, wide: bool) -> tuple[FloatArray, FloatArray]:
    """The x (n,) on both sides of where the wanted output is passed first, or else of the most; x, out: (D, n).

    ``wide`` ones reach far beyond all that was tried.
    """
    below, above = np.exp(FAR_BELOW / 2), np.exp(-FAR_ABOVE / 2)
    if wide:
        return x.max(axis=0) * below, x.min(axis=0) * above
    u, at, enough, _ = _sorted(x, out)
    end = len(u) - 1
    before = np.take_along_axis(u, np.maximum(at - 1, 0)[None], axis=0)[0]
    behind = np.take_along_axis(u, np.minimum(at + np.where(enough, 0, 1), end)[None], axis=0)[0]
    return np.where(at == 0, before * below, before), np.where(~enough & (at == end), behind * above, behind)


def _sorted(x: FloatArray, out: FloatArray) -> tuple[FloatArray, IntArray, BoolArray, IntArray]:
    """Reciprocal amplitudes, weakest drive first, the place that counts, whether it is enough, and their order."""
    order = np.argsort(-x, axis=0, kind="stable")
    u, v = (np.take_along_axis(of, order, axis=0) for of in (x, out))
    enough = np.asarray((v >= 1).any(axis=0))
    at = np.where(enough, np.argmax(v >= 1, axis=0), np.argmax(v, axis=0))
    return u, at, enough, order


def _place(x: FloatArray, y: FloatArray) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Where the curve through points x (D, n), y (D, n, N) gives the wanted output, and the most it gives.

    Where it gives less everywhere, the place is that of the most.
    """
    u, at, enough, order = _sorted(x, _out(y).sum(axis=-1))
    start = np.clip(at - KEPT // 2, 0, max(len(u) - KEPT, 0))
    window = start + np.arange(min(KEPT, len(u)))[:, None]
    # The nearest first: what a polynomial of few terms leaves out is then far away.
    middle = np.take_along_axis(u, at[None], axis=0)
    window = np.take_along_axis(
        window, np.argsort(np.abs(np.log(np.take_along_axis(u, window, axis=0) / middle)), axis=0), axis=0
    )
    taken = np.take_along_axis(order, window, axis=0)
    near = [(np.take_along_axis(x, k[None], axis=0)[0], y[k, np.arange(k.size)]) for k in taken]
    terms = _differences(near)
    low, high = _neighbours(x, _out(y).sum(axis=-1), wide=False)
    summit, most = _summit(near, terms, low, high)
    strong = np.where(enough, high, summit)
    root = _root(near, terms, np.minimum(strong, low), low)
    hopeless = ~enough & (most < 1 - KNOWN)
    return np.where(enough | (most >= 1), root, summit), hopeless, np.where(enough, 1.0, most)


def _summit(
    near: Points, terms: Sequence[FloatArray], low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Where the polynomials give most between two x, and how much: a parabola through the best of many places."""
    steps = np.linspace(0.0, 1.0, SUMMIT)
    x = np.stack([low ** (1 - s) * high**s for s in steps])
    v = np.stack([_outputs(near, terms, at)[0][-1] for at in x])
    v = np.where(np.isfinite(v), v, -np.inf)
    best = np.clip(np.argmax(v, axis=0), 1, SUMMIT - 2)
    a, b, c = (np.take_along_axis(v, (best + k)[None], axis=0)[0] for k in (-1, 0, 1))
    bend = a - 2 * b + c
    turn = np.where(bend < 0, np.clip(0.5 * (a - c) / bend, -1, 1), 0.0)
    share = (best + turn) / (SUMMIT - 1)
    at = low ** (1 - share) * high**share
    return at, np.maximum(_outputs(near, terms, at)[0][-1], v.max(axis=0))


def _differences(tried: Points) -> list[FloatArray]:
    """Newton's divided differences of y over x, each (..., N)."""
    x, terms = [at[..., None] for at, _ in tried], [y for _, y in tried]
    for k in range(1, len(tried)):
        for i in range(len(tried) - 1, k - 1, -1):
            terms[i] = (terms[i] - terms[i - 1]) / (x[i] - x[i - k])
    return terms


def _guess(point: tuple[FloatArray, FloatArray], given: FloatArray) -> list[FloatArray]:
    """Value and slope of y at a first point, from how outputs of chains (..., N) grow with what they are given."""
    x, y = point
    share = y**-2 / (y**-2).sum(axis=-1, keepdims=True)
    drive, out = (v - (share * v).sum(axis=-1, keepdims=True) for v in (np.log(given), -2 * np.log(y)))
    spread = (share * drive**2).sum(axis=-1)
    growth = (share * drive * out).sum(axis=-1) / spread
    # Chains that differ by less than a part in 100 tell more of what they are than of how they grow.
    growth = np.where((spread > 1e-4) & (growth > 0) & (growth < 1), growth, 1.0)
    return [y, y * (growth / x)[..., None]]


def _outputs(tried: Points, terms: Sequence[FloatArray], x: FloatArray) -> tuple[list[FloatArray], FloatArray]:
    """Output at x over the wanted one, of the polynomials of 1, 2, ... terms, and the last one's slope in log x."""
    x = x[..., None]
    y, slope, basis, steeper, sums = np.zeros_like(x), np.zeros_like(x), np.ones_like(x), np.zeros_like(x), []
    for k, term in enumerate(terms):
        y, slope = y + term * basis, slope + term * steeper
        power = _out(y)
        sums.append(power.sum(axis=-1))
        if k < len(tried):
            steeper, basis = steeper * (x - tried[k][0][..., None]) + basis, basis * (x - tried[k][0][..., None])
    growth = np.where(power > 0, -2 * power * slope * x / y, 0.0).sum(axis=-1) / sums[-1]
    return sums, growth


def _root(tried: Points, terms: Sequence[FloatArray], lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Where the polynomials give the wanted output, by Newton's method in logarithms, between two bounds."""
    x = np.clip(tried[0][0], lower, upper)
    open_ = np.isfinite(lower) & np.isfinite(upper)
    for _ in range(ROOT_STEPS):
        sums, growth = _outputs(tried, terms, x)
        excess = np.log(sums[-1])
        open_ = open_ & (np.abs(excess) > 1e-15) & (upper / lower - 1 > 1e-15)
        if not open_.any():
            break
        lower, upper = np.where(excess > 0, x, lower), np.where(excess > 0, upper, x)
        step = x * np.exp(-excess / growth)
        step = np.where((lower < step) & (step < upper), step, np.sqrt(lower * upper))
        x = np.where(open_, step, x)
    return x
