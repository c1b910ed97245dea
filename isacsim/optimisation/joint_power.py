"""One power for many problems: how much each subcarrier of a band gets, by one price for all.

With the optimum c_f(P_f) of each problem, a convex and falling function of its power, the best split of a power Q is ::

    minimise sum_f c_f(P_f)  over  sum_f P_f = Q:   -dc_f/dP_f = mu  where P_f is above the least it needs

Water-filling is the case ``c_f = -ln(1 + g_f P_f)``. The functions are known by solving: each round solves every
problem at its power and a little beside, which tells slopes. These and how they fell since the last round make a power
law of each slope, in the power above the least it needs, and one price mu at which all powers together are Q.

What is known of a convex function at some points bounds it from below everywhere: a chord of two points, extended. So
every price gives a lower bound on the sum, ``sum_f min_P (c_f(P) + mu P) - mu Q``, and the best of them a
duality gap, whatever the solver is, as long as what it returns is the optimum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import define, field, frozen

from isacsim.typing import BoolArray, FloatArray

# By which the second power of a round is off the first, in turns above and below, as the rounds go on: far enough for
# slopes of optima of eight digits, and near enough for a gap of their product.
STEPS = (0.02, -0.01, 0.003, -0.002)
ROUNDS = 12
ENOUGH = 1e-5  # relative duality gap from which the split is taken for found
EXPONENT = 2.0  # of a slope before it is known: that of c = 1/P
EXPONENTS = (0.2, 6.0)  # what is believed of one: a linear c would send all power to one problem in a round
ABOVE = 1e-3  # relative, above the least power that a problem needs
MOVED = 1e-4  # relative, from which a change of power says how the slope changes
HALVINGS = 200  # of the logarithm of a price: down to rounding from any bracket
TINY = np.finfo(float).tiny
LARGEST = 700.0  # logarithm of a number that is one
BRACKET = 60.0  # of the logarithm of a price, about the mean steepness: 1e26 on either side


@frozen(eq=False)
class Answer:
    """Optima c (B, F) at some powers, infinite where there is none, lower bounds on them, and least powers, in W."""

    c: FloatArray
    bound: FloatArray
    least: FloatArray


@define(eq=False)
class Split:
    """The powers of F problems of each of B bands, as they are being found.

    Attributes:
        ask: What the problems' optima are at the powers (B, F), in W.
        total: Power of each band, (B,), in W.
        power: The best powers so far, (B, F), in W.
        value: What they come to, ``sum_f c_f``, (B,); infinite where some problem has no answer.
        bound: A lower bound on it, (B,).
        least: What each problem is known to need, (B, F), in W.
    """

    ask: Callable[[FloatArray], Answer]
    total: FloatArray
    power: FloatArray
    value: FloatArray
    bound: FloatArray
    least: FloatArray
    _powers: list[FloatArray] = field(factory=list)
    _answers: list[Answer] = field(factory=list)

    @classmethod
    def of(cls, ask: Callable[[FloatArray], Answer], total: FloatArray, problems: int) -> Split:
        """The split of a power that is found in `ROUNDS` at most."""
        even = np.repeat(total[:, None] / problems, problems, axis=1)
        members = len(total)
        found = cls(ask, total, even, np.full(members, np.inf), np.full(members, -np.inf), np.zeros(even.shape))
        found._search(even)
        return found

    @property
    def gap(self) -> FloatArray:
        """Relative duality gap, (B,); infinite without an answer."""
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(self.value), (self.value - self.bound) / np.abs(self.value), np.inf)

    @property
    def hopeless(self) -> BoolArray:
        """Which bands have less power than their problems are known to need, (B,)."""
        return self.least.sum(axis=-1) > self.total

    def _search(self, power: FloatArray) -> None:
        slope, exponent = np.full(power.shape, np.nan), np.full(power.shape, EXPONENT)
        done, before = np.zeros(len(power), bool), power
        for round_ in range(ROUNDS):
            step = STEPS[round_] if round_ < len(STEPS) else STEPS[-1 - round_ % 2]
            here, beside = self._told(power), self._told(power * (1 + step))
            self._keep(power, here.c.sum(axis=-1), done)
            done = done | (self.gap <= ENOUGH) | self.hopeless  # what comes later is none of its business
            if power.shape[-1] == 1 or done.all():
                return
            with np.errstate(all="ignore"):  # of problems without an answer
                new = (here.c - beside.c) / (step * power)
                moved = np.log((power - self.least) / (before - self.least))
                bent = -np.log(new / slope) / moved
                sound = np.isfinite(bent) & (np.abs(moved) > MOVED)
                exponent = np.where(sound, np.clip(bent, *EXPONENTS), exponent)
                slope, before = np.where(np.isfinite(new) & (new > 0), new, slope), power
                power = np.where(done[:, None], power, self._priced(power, slope, exponent))

    def _keep(self, power: FloatArray, value: FloatArray, done: BoolArray) -> None:
        """Take a split where it is better than the one so far, and the bound that follows from all that is known."""
        better = (value < self.value) & ~done
        self.power = np.where(better[:, None], power, self.power)
        self.value = np.where(better, value, self.value)
        self.bound = np.where(done, self.bound, np.maximum(self.bound, self._dual()))

    def _told(self, power: FloatArray) -> Answer:
        answer = self.ask(power)
        self._powers.append(power)
        self._answers.append(answer)
        self.least = np.fmax(self.least, np.where(np.isfinite(answer.least), answer.least, 0.0))
        return answer

    def _priced(self, power: FloatArray, slope: FloatArray, exponent: FloatArray) -> FloatArray:
        """Powers (B, F) at the one price at which they are the total, each above what its problem needs.

        What a problem needs is nothing of use to it: slopes are laws of the power above. One that had too little gets
        half as much again, at the steepest slope that is known.
        """
        floor, most = self.least * (1 + ABOVE), self.total[:, None]
        steepest = np.nanmax(np.where(np.isnan(slope), TINY, slope), axis=-1, keepdims=True)
        log_slope = np.log(np.where(np.isnan(slope), steepest, slope))
        log_power = np.log(np.where(power > self.least, power - self.least, self.least / 2))

        def at(price: FloatArray) -> FloatArray:
            wanted = np.exp(np.clip(log_power + (log_slope - price) / exponent, -LARGEST, LARGEST))
            return np.maximum(np.minimum(self.least + wanted, most), floor)

        low, high = np.full((len(power), 1), -LARGEST), np.full((len(power), 1), LARGEST)
        for _ in range(HALVINGS):
            price = (low + high) / 2
            over = at(price).sum(axis=-1, keepdims=True) > most
            low, high = np.where(over, price, low), np.where(over, high, price)
        found = at(high)
        return np.asarray(found * (most / found.sum(axis=-1, keepdims=True)))

    def _dual(self) -> FloatArray:
        """The best lower bound on the sum that what is known of convex optima proves, (B,)."""
        powers = np.stack(self._powers, axis=-1)
        c, bound = (np.stack([getattr(a, name) for a in self._answers], axis=-1) for name in ("c", "bound"))
        found = np.empty(len(self.total))
        for b, total in enumerate(self.total):
            each = zip(powers[b], c[b], bound[b], self.least[b], strict=True)
            found[b] = _best_price([_corners(P, high, low, total, least) for P, high, low, least in each], total)
        return found


def _corners(powers: FloatArray, c: FloatArray, bound: FloatArray, total: float, least: float) -> FloatArray:
    """Corners (n, 2), powers and values, of a convex function that is nowhere above one known at some powers.

    Args:
        powers: The powers, (n,).
        c: Its values there, (n,), infinite where there is none.
        bound: Lower bounds on these.
        total: The largest power that counts.
        least: The least one that has a value.
    """
    order = [i for i in np.argsort(powers) if np.isfinite(c[i]) and np.isfinite(bound[i])]
    order = [i for k, i in enumerate(order) if k == 0 or powers[i] > powers[order[k - 1]] * (1 + 1e-9)]
    if len(order) < 2:
        return np.array([[least, -np.inf]])
    P, high, low = powers[order], c[order], bound[order]
    # Chords from a value that is not too low to one that is not too high are not too steep where they are extended.
    right = (low[1:] - high[:-1]) / np.diff(P)  # slopes behind the second point of each pair, extended to the right
    left = (high[1:] - low[:-1]) / np.diff(P)  # and before the first one, to the left
    corners = [*zip(P, low, strict=True)]
    for i in range(len(P) - 1):  # between two points: from the pair before, and from the pair behind; c falls
        behind = left[i + 1] if i + 2 < len(P) else 0.0
        if i == 0:
            corners.append((P[0], low[1] + behind * (P[0] - P[1])))
        elif right[i - 1] < behind:
            x = (low[i + 1] - behind * P[i + 1] - low[i] + right[i - 1] * P[i]) / (right[i - 1] - behind)
            corners.append((x, low[i] + right[i - 1] * (x - P[i])))
    end = max(total, P[-1])
    corners.append((end, low[-1] + right[-1] * (end - P[-1])))
    corners.append((least, low[0] + left[0] * (least - P[0])))
    return np.array(corners)


def _best_price(corners: list[FloatArray], total: float) -> float:
    """The largest of ``sum_f min (c + mu P) - mu Q`` over prices mu."""
    if not all(np.isfinite(of).all() for of in corners):
        return -np.inf
    heights = np.array([np.ptp(of[:, 1]) for of in corners])
    low, high, best = -BRACKET, BRACKET, -np.inf
    for _ in range(HALVINGS // 2):
        mu = max(heights.max(), TINY) / total * np.exp((low + high) / 2)
        places = [of[np.argmin(of[:, 1] + mu * of[:, 0])] for of in corners]
        spent = sum(place[0] for place in places)
        best = max(best, sum(place[1] for place in places) + mu * (spent - total))
        low, high = ((low + high) / 2, high) if spent > total else (low, (low + high) / 2)
    return float(best)
