"""At what drive a device puts out a wanted power, in few evaluations of it.

What a chain puts out is followed in reciprocal amplitudes: x of the drive, y of the output. Of a linear
device y is proportional to x, and of one that saturates it tends to a constant as x tends to 0. So
each chain's y is a polynomial in x through the latest evaluations, from whose sum of 1 / y^2 over chains
follows the next drive, kept between those that were too weak and too strong. Where more drive has given
less, the peak is looked for first. The second drive is guessed from the first alone: chains of one kind
that are driven unequally show how output grows with drive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from isacsim.typing import BoolArray, FloatArray

ACCURACY = 1e-12  # of the output
# After a step this short, the next needs no evaluation to confirm it where the polynomials without the oldest
# and without the two oldest points give the same output: what is left is far below the first difference.
SHORT, AGREED = 1e-5, (5e-14, 2e-12)
# So many evaluations are enough where the next step is at most this long, and the polynomial without the oldest
# point gives the same output to the second number.
FEW, LITTLE, NEARLY = 6, 3e-3, 1e-9
EVALUATIONS = 60
KEPT = 7  # newest points that a polynomial goes through: older ones are far away, mostly beyond a peak
# Lack of amplitude by which the drive is raised at most: far beyond a peak a device may put out nothing.
FAR = np.exp(10.0)
FLAT = 1e-7  # spread of the logarithms of three amplitudes about a peak, which rises above them by less than that
FARTHEST = np.exp(-30.0)  # the reciprocal amplitude at which output that still is too little will not grow any more
ROOT_STEPS = 100  # Newton's steps halve at worst, and need some eight

Points = Sequence[tuple[FloatArray, FloatArray]]  # (x, y), the newest first


@frozen(eq=False)
class Drive:
    """What was found.

    Attributes:
        factor: Factor of the power at the input, shape (...).
        reached: Whether it gives the wanted output.
        most: Largest output seen, shape (...), in W.
    """

    factor: FloatArray
    reached: BoolArray
    most: FloatArray


def drive_for(
    output: Callable[[FloatArray], FloatArray], given: FloatArray, target: FloatArray, alive: BoolArray
) -> Drive:
    """The factor of the input power at which ``output`` is ``target``.

    To 1e-12, or 1e-11 where not confirmed; where that would take more than six evaluations, to the 1e-6 to
    which models are known, and mostly to 1e-9.

    Args:
        output: Output power of the chains (..., N), in W, for factors (...) of the input power.
        given: Input power of the chains at the factor 1, (..., N), in W.
        target: Wanted output, shape (...), in W.
        alive: Members that have an input at all; the others keep the factor 1.
    """
    # First as of a device that passes on what it is given.
    whole = given.sum(axis=-1)
    first = np.divide(target, whole, out=np.ones(target.shape), where=alive)
    x, reached, most = np.ones(target.shape), ~alive, np.zeros(target.shape)
    reach = np.ones(target.shape)  # of a step into what was not tried yet, in nepers beyond that of a linear device
    tried: list[tuple[FloatArray, FloatArray]] = []
    lacks: list[FloatArray] = []
    with np.errstate(all="ignore"):
        for _ in range(EVALUATIONS):
            chains = output(first / x**2)
            out = chains.sum(axis=-1)
            most, lack = np.fmax(most, np.where(alive, out, 0.0)), np.sqrt(target / out)
            reached = reached | (np.abs(out / target - 1) <= ACCURACY)
            if reached.all() or np.any(~reached & (x < FARTHEST)):
                break
            tried.insert(0, (x, np.sqrt(target[..., None] / chains)))
            lacks.insert(0, lack)
            strong, weak, summit, hopeless = _bounds(np.stack([at for at, _ in tried]), np.stack(lacks))
            if np.any(~reached & hopeless):
                break
            lower = np.where(strong > 0, strong, x / np.fmin(lack, FAR) * np.exp(-reach))
            upper = np.where(np.isinf(weak), np.maximum(x / lack, strong) * np.exp(reach), weak)
            near = tried[:KEPT]
            taylor = _differences(near) if len(tried) > 1 else _guess(tried[0], given / whole[..., None])
            ahead, agreed, outward = _ahead(near, taylor, lower, upper)
            searching = np.isfinite(summit)
            ahead, agreed = np.where(searching, summit, ahead), agreed & ~searching
            reach = np.where(outward, 2 * reach, reach)
            # A member that has arrived stays, so that its bytes do not depend on the others.
            x, reached = np.where(reached, x, ahead), reached | agreed
            if reached.all():
                break
    return Drive(first / x**2, reached, most)


def _bounds(x: FloatArray, lack: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Between which x the wanted output lies, where to look for a peak instead, and whether the peak is too low.

    Beyond a peak more drive gives less, so that too little output tells of too little drive only where a
    stronger one gave more.
    """
    enough = (lack <= 1).any(axis=0)
    order = np.argsort(-x, axis=0, kind="stable")  # the weakest first
    u, v = (np.take_along_axis(of, order, axis=0) for of in (np.log(x), np.log(lack)))
    at = np.where(enough, np.argmax(v <= 0, axis=0), np.argmin(v, axis=0))  # the weakest that is enough, or the best
    left, best, right = (
        tuple(np.take_along_axis(of, np.clip(at + k, 0, len(x) - 1)[None], axis=0)[0] for of in (u, v))
        for k in (-1, 0, 1)
    )
    weakest, strongest = at == 0, at == len(x) - 1
    rising = ~enough & strongest  # as far as is known
    weak = np.where(rising, np.exp(best[0]), np.where(weakest, np.inf, np.exp(left[0])))
    strong = np.where(rising, 0.0, np.exp(best[0]))
    # The peak of a parabola through the best and its neighbours; a tenth of a side away from all three at least,
    # so that the sides shrink.
    (a, fa), (b, fb), (c, fc) = left, best, right
    p, q = (b - a) * (fb - fc), (b - c) * (fb - fa)
    peak = b - 0.5 * ((b - a) * p - (b - c) * q) / (p - q)
    side = np.where(peak > b, a - b, c - b)
    peak = b + side * np.clip((peak - b) / side, 0.1, 0.9)
    falling = ~enough & ~strongest
    # Where the weakest gave most, all are beyond the peak as far as is known: back by twice the last distance.
    summit = np.where(falling, np.where(weakest, 3 * b - 2 * c, peak), np.nan)
    return strong, weak, np.exp(summit), falling & ~weakest & (np.maximum(fa, fc) - fb < FLAT)


def _ahead(
    tried: Points, terms: Sequence[FloatArray], lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """The next x between two, where it needs no confirmation, and where it goes beyond all so far."""
    x, _ = tried[0]
    least, most = (end([at for at, _ in tried], axis=0) for end in (np.min, np.max))
    enough, little = _outputs(tried, terms, lower)[0][-1] > 1, _outputs(tried, terms, upper)[0][-1] <= 1
    inside, down, up = enough & little, ~enough & (lower < least), ~little & (upper > most)
    beyond = np.where(down, lower, np.where(up, upper, np.sqrt(lower * upper)))
    ahead = np.where(inside, _root(tried, terms, lower, upper), beyond)
    sums = _outputs(tried, terms, ahead)[0]
    agreed = inside & (np.abs(ahead / x - 1) <= SHORT) & (len(tried) > len(AGREED))
    for fewer, difference in zip(sums[-2::-1], AGREED, strict=False):
        agreed = agreed & (np.abs(fewer - 1) <= difference)
    if len(tried) >= FEW:
        agreed = agreed | (inside & (np.abs(ahead / x - 1) <= LITTLE) & (np.abs(sums[-2] - 1) <= NEARLY))
    return ahead, agreed, down | up


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
        power = np.where(y > 0, y**-2, np.where(np.isnan(y), 0.0, np.inf))  # NaN of chains that put out nothing
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
