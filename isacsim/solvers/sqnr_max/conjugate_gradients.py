"""Directions of Newton's method on tight constraints, by conjugate gradients, compiled, member by member.

A direction maximises the second-order model of the Lagrangian in the tangent space, within a radius: the
method of [Steihaug83], turned by the inverse of a metric Phi. Lengths are in that metric. Along a direction
of positive curvature the path goes on to the radius. Its points are ever farther from its beginning, with ever more of
the rise: shorter steps come from the same path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.algebra import real_inner
from isacsim.blas import multiply, scalar_product
from isacsim.compiled import part
from isacsim.records import member
from isacsim.solvers.sqinr.tight import write_normals
from isacsim.solvers.sqnr_max.echo import Response, Seen
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

PRODUCTS = 100  # with the curvature, in one direction: ten times what most take
SHORTER = (1.0, 0.25, 0.0625)  # lengths of the steps from one path, relative to its own


class Prices(NamedTuple):
    """What constraints charge for changes of the precoder, of B members or of one."""

    H: ComplexArray  #: Channels, (B, N, K)
    HH: ComplexArray  #: (B, K, N)
    weight: FloatArray  #: lambda, (B, K)
    own: FloatArray  #: lambda_k (1 - c_k), (B, K)
    level: FloatArray  #: d and what the multipliers charge for R_ii, (B, N)


class Metric(NamedTuple):
    """``Phi^-1``, of B members or of one: ``diag(share) - left right``, or whole."""

    share: FloatArray  #: (B, N)
    left: ComplexArray  #: (B, N, m)
    right: ComplexArray  #: (B, m, N)
    whole: ComplexArray  #: Phi^-1 where m is 0, (B, N, N), else (B, 0, 0)


class Normals(NamedTuple):
    """What the normals of the tight constraints are made of, of B members."""

    load: FloatArray  #: What each constraint draws from R_ii, (B, N, K+1)
    R: ComplexArray  #: (B, K, L)
    tight: BoolArray  #: Which constraints have a normal, (B, K+1)
    inverse: FloatArray  #: Of their inner products, zero where there is none, (B, K+1, K+1)


class Lagrangian(NamedTuple):
    """What else the curvature of the Lagrangian is made of, with metric and tangent space.

    Compiled functions get the three apart: what it takes to compile a record grows with its square.
    """

    prices: Prices
    metric: Metric
    normals: Normals


class Tangents(NamedTuple):
    """Room for the tangent space of one member."""

    normals: ComplexArray  #: (K+1, N, L)
    flat: FloatArray  #: The same numbers, (K+1, 2NL)
    weights: FloatArray  #: (2, K+1)


class Path(NamedTuple):
    """Room for the path of one member, which begins at zero."""

    corners: FloatArray  #: (PRODUCTS+1, 2NL)
    told: FloatArray  #: Of its segments, by the names XX to LENGTH, (PRODUCTS+1, 6)


class Vectors(NamedTuple):
    """Room for vectors, each stored twice in one place: by columns (N, L), and as real numbers."""

    columns: ComplexArray  #: By the names RESIDUAL to MIXED, (5, N, L)
    flat: FloatArray  #: (5, 2NL)
    few: ComplexArray  #: (m, L)


class Product(NamedTuple):
    """Room for a product with the curvature."""

    pair: ComplexArray  #: Two columns for each of V, (N, 2L)
    seen: ComplexArray  #: ``A^H`` times that, (r, 2L)
    two: ComplexArray  #: Two columns for each of V at the receiver, (N_r, 2L)
    few: ComplexArray  #: (2, r, L)
    echo: ComplexArray  #: (3, N_r, L)
    received: ComplexArray  #: (K, L)
    chains: FloatArray  #: (N,)
    rows: FloatArray  #: (2, N_r)


class Steps(NamedTuple):
    """What is found for B members."""

    step: FloatArray  #: Steps of the lengths SHORTER, (B, 3, 2NL)
    rise: FloatArray  #: What the model promises for each, (B, 3)
    length: FloatArray  #: (B, 3)
    products: IntArray  #: With the curvature, (B,)


RESIDUAL, TURNED, DIRECTION, BENT, MIXED = range(5)
# Of a segment that begins at x and goes along d: <x, x>, <x, d>, <d, d>, slope and negative curvature of half of the
# model, and how far it goes.
XX, XD, DD, SLOPE, CURVE, LENGTH = range(6)


def room(H: ComplexArray, factors: Response, V: ComplexArray) -> tuple[Tangents, Path, Vectors, Product]:
    """Room for members like those of channels (B, N, K) at points V (B, N, L)."""
    (N, L), (r, receivers), K = V.shape[1:], (factors.A.shape[-1], factors.gains.shape[-2]), H.shape[-1]
    few = r + K if factors.B.size else 0
    columns, normals = np.zeros((5, N, L), complex), np.zeros((K + 1, N, L), complex)
    shapes = ((N, 2 * L), (r, 2 * L), (receivers, 2 * L), (2, r, L), (3, receivers, L), (K, L))
    return (
        Tangents(normals, normals.reshape(K + 1, -1).view(float), np.zeros((2, K + 1))),
        Path(np.zeros((PRODUCTS + 1, 2 * N * L)), np.zeros((PRODUCTS + 1, 6))),
        Vectors(columns, columns.reshape(5, -1).view(float), np.zeros((few, L), complex)),
        Product(*(*(np.zeros(shape, complex) for shape in shapes), np.zeros(N), np.zeros((2, receivers)))),
    )


def steps_each(
    factors: Response,
    seen: Seen,
    prices: Prices,
    metric: Metric,
    normals: Normals,
    gradient: FloatArray,
    radius: FloatArray,
    accuracy: FloatArray,
    tangents: Tangents,
    path: Path,
    vectors: Vectors,
    here: Product,
    steps: Steps,
) -> None:
    """Steps from half of the Lagrangian's gradients (B, 2NL), within radii (B,), to relative accuracies (B,)."""
    residual, told = vectors.flat[RESIDUAL], path.told
    for b in range(radius.size):
        of, point, charged = member(factors, b), member(seen, b), member(prices, b)
        for i in range(residual.size):
            residual[i] = gradient[b, i]
        write_normals(charged.H, normals.load[b], normals.R[b], point.V, normals.tight[b], tangents.normals)
        turning, inverse = member(metric, b), normals.inverse[b]
        segments = travel(of, point, charged, turning, inverse, radius[b], accuracy[b], tangents, path, vectors, here)
        farthest, step, rise = np.sqrt(max(told[segments, XX], 0.0)), steps.step[b], steps.rise[b]
        length, steps.products[b] = steps.length[b], segments
        for i in range(rise.size):
            length[i] = SHORTER[i] * farthest
            rise[i] = walk(path, segments, length[i], step[i])


@part
def travel(
    factors: Response,
    seen: Seen,
    prices: Prices,
    metric: Metric,
    inverse: FloatArray,
    radius: float,
    accuracy: float,
    tangents: Tangents,
    path: Path,
    vectors: Vectors,
    here: Product,
) -> int:
    """Conjugate gradients from zero to the radius or the accuracy: the number of segments of the path."""
    columns, flat, few = vectors.columns, vectors.flat, vectors.few
    normals, weights, mixed = tangents.flat, tangents.weights, flat[MIXED]
    residual, turned, direction = flat[RESIDUAL], flat[TURNED], flat[DIRECTION]
    corners, whole, bent = path.corners, path.told, flat[BENT]
    told, corner = whole[0], corners[0]
    for i in range(corner.size):
        corner[i] = direction[i] = 0.0
    told[XX] = told[XD] = told[DD] = 0.0
    for j in range(PRODUCTS):
        turn(metric, columns[RESIDUAL], columns[TURNED], few)
        project(normals, inverse, turned, weights, mixed)
        size = scalar_product(residual, turned)
        if j > 0 and not size > accuracy * accuracy * whole[0, SLOPE]:
            return j
        share = size / whole[j - 1, SLOPE] if j > 0 else 0.0
        for i in range(corner.size):
            direction[i] = turned[i] + share * direction[i]
        told[XD] *= share
        told[DD] = size + share * share * told[DD]
        bend(factors, seen, prices, columns[DIRECTION], columns[BENT], here)
        inside, after, ahead = reach(told, size, -scalar_product(direction, bent), radius), whole[j + 1], corners[j + 1]
        advance(told, after)
        length = told[LENGTH]
        for i in range(corner.size):
            ahead[i] = corner[i] + length * direction[i]
            residual[i] += length * bent[i]
        if not inside:
            return j + 1
        project(normals, inverse, residual, weights, mixed)
        told, corner = after, ahead
    return PRODUCTS


@part
def reach(told: FloatArray, slope: float, curve: float, radius: float) -> bool:
    """Write how far a segment of this slope and negative curvature goes: whether to its top, within the radius."""
    edge = to_edge(told, radius)
    inside = curve > 0 and slope < curve * edge
    told[SLOPE], told[CURVE], told[LENGTH] = slope, curve, slope / curve if inside else edge
    return inside


@part
def advance(told: FloatArray, after: FloatArray) -> None:
    """Write the products of the segment that begins where another one ends, with that one's direction."""
    length, xd, dd = told[LENGTH], told[XD], told[DD]
    after[XX] = told[XX] + length * (2 * xd + length * dd)
    after[XD], after[DD] = xd + length * dd, dd


@part
def to_edge(told: FloatArray, radius: float) -> float:
    """How far along a segment the radius is."""
    xd, dd = told[XD], told[DD]
    return (np.sqrt(max(xd * xd + dd * (radius * radius - told[XX]), 0.0)) - xd) / dd


@part
def walk(path: Path, segments: int, radius: float, step: FloatArray) -> float:
    """Write the point of the path at a radius, or its end, (2NL,): the rise that the model promises."""
    rise, whole, corners = 0.0, path.told, path.corners
    for j in range(segments):
        told, last = whole[j], j == segments - 1 or whole[j + 1, XX] >= radius * radius
        whole_length = told[LENGTH]
        length = min(whole_length, to_edge(told, radius)) if last else whole_length
        rise += 2 * length * told[SLOPE] - length * length * told[CURVE]
        if last:
            here, ahead, share = corners[j], corners[j + 1], length / whole_length
            for i in range(step.size):
                step[i] = here[i] + share * (ahead[i] - here[i])
            break
    return rise


@part
def project(normals: FloatArray, inverse: FloatArray, x: FloatArray, weights: FloatArray, mixed: FloatArray) -> None:
    """Leave of x (2NL,) what is orthogonal to the normals (K+1, 2NL)."""
    along, share = weights[0], weights[1]
    multiply(normals, x, along)
    multiply(inverse, along, share)
    multiply(share, normals, mixed)
    for i in range(x.size):
        x[i] -= mixed[i]


@part
def turn(metric: Metric, x: ComplexArray, into: ComplexArray, few: ComplexArray) -> None:
    """Write ``Phi^-1 x`` for x (N, L)."""
    whole, share = metric.whole, metric.share
    if whole.size:
        multiply(whole, x, into)
        return
    multiply(metric.right, x, few)
    multiply(metric.left, few, into)
    for i in range(x.shape[0]):
        for s in range(x.shape[1]):
            into[i, s] = x[i, s] * share[i] - into[i, s]


@part
def inner_rows(A: ComplexArray, B: ComplexArray, into: FloatArray) -> None:
    """Write twice the real inner product of each row of A with that of B, (m,)."""
    for i in range(A.shape[0]):
        into[i] = 0.0
        for j in range(A.shape[1]):
            into[i] += 2 * real_inner(A[i, j], B[i, j])


@part
def bend(factors: Response, seen: Seen, prices: Prices, D: ComplexArray, bent: ComplexArray, here: Product) -> None:
    """Write by how much half of the Lagrangian's gradient changes along the direction D (N, L), to first order.

    With dR_ii, dRy and ``w = eps dRy o Y`` of D, Y moves by ``Q^-1 (G (D - e dR_ii o C) - w)``.
    """
    look(factors, seen, D, here)
    two, pair, B = here.two, here.pair, factors.B
    more, echoes, echo = here.rows[1], here.echo, seen.echo
    there, moved, receive = echoes[0], echoes[1], factors.receive
    inner_rows(seen.Y, moved, more)
    (N, L), T = D.shape, seen.T
    for j in range(more.size):
        more[j] *= receive[j]
        for s in range(L):
            two[j, s] = moved[j, s]
            two[j, L + s] = echo[j, s] * more[j] + there[j, s] * T[j]
    if B.size:
        multiply(factors.BH, two, here.seen)
        multiply(factors.A, here.seen, pair)
    else:
        multiply(factors.A, two, pair)
    charge(prices, D, here.received, bent)
    chains, transmit, level = here.chains, factors.transmit, prices.level
    multiply(more, factors.gains, chains)
    V, C = seen.V, seen.C
    for i in range(N):
        spread = 0.0
        for s in range(L):
            spread += 2 * real_inner(C[i, s], pair[i, s])
        spread = transmit[i] * spread + chains[i]
        for s in range(L):
            priced = bent[i, s] + D[i, s] * level[i]
            bent[i, s] = pair[i, s] - pair[i, L + s] - V[i, s] * spread - priced


@part
def charge(prices: Prices, D: ComplexArray, received: ComplexArray, bent: ComplexArray) -> None:
    """Write what the users' constraints charge for D (N, L), but for the level."""
    weight, own = prices.weight, prices.own
    multiply(prices.HH, D, received)
    for k in range(weight.size):
        mine = received[k, k] * own[k]
        for s in range(received.shape[1]):
            received[k, s] *= weight[k]
        received[k, k] = mine
    multiply(prices.H, received, bent)


@part
def look(factors: Response, seen: Seen, D: ComplexArray, here: Product) -> None:
    """Write ``G D`` of the direction D (N, L), and the change of Y."""
    fews, echoes, rows = here.few, here.echo, here.rows
    few, fewer, pair = fews[0], fews[1], here.pair
    echo, moved, both = echoes[0], echoes[1], here.seen
    louder, received, chains = rows[0], rows[1], here.chains
    C, transmit, B = seen.C, factors.transmit, factors.B
    (N, L), thin = D.shape, B.size > 0
    inner_rows(seen.V, D, chains)
    for i in range(N):
        share = transmit[i] * chains[i]
        for s in range(L):
            pair[i, s], pair[i, L + s] = D[i, s], C[i, s] * share
    multiply(factors.AH, pair, both)
    for a in range(few.shape[0]):
        for s in range(L):
            fewer[a, s] = both[a, s]
            few[a, s] = both[a, s] - both[a, L + s]
    if thin:
        multiply(B, fewer, echo)
    else:
        for a in range(echo.shape[0]):
            for s in range(L):
                echo[a, s] = fewer[a, s]
    inner_rows(seen.echo, echo, louder)
    multiply(factors.gains, chains, received)
    Y, quiet, receive = seen.Y, seen.quiet, factors.receive
    for j in range(louder.size):
        louder[j] = receive[j] * (louder[j] + received[j])
        scale = louder[j] * (quiet[j] if thin else 1.0)
        for s in range(L):
            moved[j, s] = Y[j, s] * scale  # Delta^-1 w, or w where B is the identity
    answer(factors, seen, few, fewer, moved, echoes[2])


@part
def answer(
    factors: Response, seen: Seen, few: ComplexArray, fewer: ComplexArray, moved: ComplexArray, last: ComplexArray
) -> None:
    """Write the change of Y over what noise moves of it; the seen ``few`` (r, L) and ``fewer`` are overwritten."""
    inverse, B = seen.inverse, factors.B
    if not B.size:
        for j in range(moved.shape[0]):
            for s in range(moved.shape[1]):
                few[j, s] -= moved[j, s]
        multiply(inverse, few, moved)
        return
    X, quiet = seen.X, seen.quiet
    multiply(factors.BH, moved, fewer)
    for a in range(few.shape[0]):
        for c in range(few.shape[0]):
            for s in range(few.shape[1]):
                few[a, s] += X[a, c] * fewer[c, s]
    multiply(inverse, few, fewer)
    multiply(B, fewer, last)
    for j in range(moved.shape[0]):
        for s in range(moved.shape[1]):
            moved[j, s] = last[j, s] * quiet[j] - moved[j, s]
