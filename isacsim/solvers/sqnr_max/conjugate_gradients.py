"""Directions of Newton's method on tight constraints, by conjugate gradients, compiled, member by member.

A direction maximises the second-order model of the Lagrangian in the tangent space, within a radius: the
method of [Steihaug83], turned by the inverse of a metric Phi. Lengths are in that metric. Along a direction
of positive curvature the path goes on to the radius. Its points are ever farther from its beginning, with ever more of
the rise: shorter steps come from the same path.

All records may be in single precision (`rounded`), at half of the time: a direction needs few digits, since the point
that it leads to, and what is left to gain there, are computed in double precision.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np

from isacsim.compiled import brief, few_passes, part
from isacsim.linalg.blas import multiply, scalar_product
from isacsim.optimisation.trust_region import DD, LENGTH, SLOPE, XD, XX, Path, advance, project, reach, walk
from isacsim.records import member
from isacsim.solvers.sqnr_max.echo import Echoes, Response
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray

R = TypeVar("R", bound=tuple[Any, ...])

PRODUCTS = 100  # with the curvature, in one direction: ten times what most take
SHORTER = (1.0, 0.25, 0.0625)  # lengths of the steps from one path, relative to its own


class Point(NamedTuple):
    """An `Echoes` of B members or of one, whose columns are rows of real numbers: all but products go through these."""

    V: FloatArray  #: (B, N, 2L)
    echo: FloatArray  #: (B, N_r, 2L)
    Y: FloatArray  #: (B, N_r, 2L)
    C: FloatArray  #: (B, N, 2L)
    T: FloatArray  #: (B, N_r)
    quiet: FloatArray  #: The diagonal of ``Delta^-1``, or ones where B is the identity, (B, N_r)
    X: ComplexArray  #: (B, r, r)
    inverse: ComplexArray  #: (B, r, r)


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
    """The normals of the tight constraints, of B members or of one."""

    rows: FloatArray  #: Zero where a constraint is not tight, (B, K+1, 2NL)
    inverse: FloatArray  #: Of their inner products, zero where there is none, (B, K+1, K+1)


class Lagrangian(NamedTuple):
    """What else the curvature of the Lagrangian is made of, with metric and tangent space.

    Compiled functions get the three apart: what it takes to compile a record grows with its square.
    """

    prices: Prices
    metric: Metric
    normals: Normals


class Vectors(NamedTuple):
    """Room for vectors, each stored thrice in one place: by columns (N, L), and as real numbers."""

    columns: ComplexArray  #: By the names RESIDUAL to MIXED, (5, N, L)
    rows: FloatArray  #: (5, N, 2L)
    flat: FloatArray  #: (5, 2NL)
    few: ComplexArray  #: (m, L)


class Blocks(NamedTuple):
    """Room for a product with the curvature, of complex numbers, or the same ones as pairs of real ones."""

    pair: AnyArray  #: Two columns for each of V, (N, 2L)
    seen: AnyArray  #: ``A^H`` times that, (r, 2L)
    two: AnyArray  #: Two columns for each of V at the receiver, (N_r, 2L)
    few: AnyArray  #: (3, r, L)
    echo: AnyArray  #: (3, N_r, L)
    received: AnyArray  #: (K, L)


class Product(NamedTuple):
    """Room for a product with the curvature."""

    columns: Blocks  #: For products with matrices
    rows: Blocks  #: For all else
    chains: FloatArray  #: (N,)
    receivers: FloatArray  #: (3, N_r)


Rooms = tuple[FloatArray, Path, Vectors, Product]  # the first for weights of normals, (2, K+1)


class Steps(NamedTuple):
    """What is found for B members."""

    step: FloatArray  #: Steps of the lengths SHORTER, (B, 3, 2NL)
    rise: FloatArray  #: What the model promises for each, (B, 3)
    length: FloatArray  #: (B, 3)
    products: IntArray  #: With the curvature, (B,)


RESIDUAL, TURNED, DIRECTION, BENT, MIXED = range(5)


def rounded(record: R, single: bool = True) -> R:
    """A named tuple of arrays, and of more of them, in single precision; or as it is, in arrays of one layout."""
    kinds = {"c": np.complex64, "f": np.float32} if single else {}

    def cast(array: AnyArray) -> AnyArray:
        return array.astype(kinds.get(array.dtype.kind, array.dtype), order="C", copy=not single)

    return type(record)(*(rounded(each, single) if isinstance(each, tuple) else cast(each) for each in record))


def point_at(echoes: Echoes) -> Point:
    """The same as rows of real numbers."""
    seen = echoes.seen
    real = seen.V.real.dtype
    V, echo, Y, C = (np.ascontiguousarray(each).view(real) for each in (seen.V, seen.echo, seen.Y, echoes.C))
    quiet = seen.quiet if seen.X.size else np.ones_like(seen.quiet)
    return Point(V, echo, Y, C, echoes.T, quiet, seen.X, seen.inverse)


def room(H: ComplexArray, factors: Response, V: ComplexArray) -> Rooms:
    """Room for members like those of channels (B, N, K) at points V (B, N, L), in the precision of their factors."""
    (N, L), (r, receivers), K = V.shape[1:], (factors.A.shape[-1], factors.gains.shape[-2]), H.shape[-1]
    number, real = factors.A.dtype, factors.gains.dtype
    few = r + K if factors.B.size else 0
    columns = np.zeros((5, N, L), number)
    shapes = ((N, 2 * L), (r, 2 * L), (receivers, 2 * L), (3, r, L), (3, receivers, L), (K, L))
    blocks = Blocks(*(np.zeros(shape, number) for shape in shapes))
    flat, rows = columns.reshape(5, -1).view(real), Blocks(*(each.view(real) for each in blocks))
    return (
        np.zeros((2, K + 1), real),
        Path(np.zeros((PRODUCTS + 1, 2 * N * L), real), np.zeros((PRODUCTS + 1, 6))),
        Vectors(columns, columns.view(real), flat, np.zeros((few, L), number)),
        Product(blocks, rows, np.zeros(N, real), np.zeros((3, receivers), real)),
    )


@few_passes
def steps_each(
    factors: Response,
    point: Point,
    prices: Prices,
    metric: Metric,
    normals: Normals,
    gradient: FloatArray,
    radius: FloatArray,
    accuracy: FloatArray,
    weights: FloatArray,
    path: Path,
    vectors: Vectors,
    here: Product,
    steps: Steps,
) -> None:
    """Steps from half of the Lagrangian's gradients (B, 2NL), within radii (B,), to relative accuracies (B,)."""
    residual, told = vectors.flat[RESIDUAL], path.told
    for b in range(radius.size):
        of, at, charged = member(factors, b), member(point, b), member(prices, b)
        for i in range(residual.size):
            residual[i] = gradient[b, i]
        turning, own = member(metric, b), member(normals, b)
        segments = travel(of, at, charged, turning, own, radius[b], accuracy[b], weights, path, vectors, here)
        farthest, step, rise = np.sqrt(max(told[segments, XX], 0.0)), steps.step[b], steps.rise[b]
        length, steps.products[b] = steps.length[b], segments
        for i in range(rise.size):
            length[i] = SHORTER[i] * farthest
            rise[i] = walk(path, segments, length[i], step[i])


@part
def travel(
    factors: Response,
    point: Point,
    prices: Prices,
    metric: Metric,
    normals: Normals,
    radius: float,
    accuracy: float,
    weights: FloatArray,
    path: Path,
    vectors: Vectors,
    here: Product,
) -> int:
    """Conjugate gradients from zero to the radius or the accuracy: the number of segments of the path."""
    flat = vectors.flat
    along, inverse, mixed = normals.rows, normals.inverse, flat[MIXED]
    residual, turned, direction = flat[RESIDUAL], flat[TURNED], flat[DIRECTION]
    corners, whole, bent = path.corners, path.told, flat[BENT]
    told, corner = whole[0], corners[0]
    for i in range(corner.size):
        corner[i] = direction[i] = 0.0
    told[XX] = told[XD] = told[DD] = 0.0
    for j in range(PRODUCTS):
        turn(metric, vectors)
        project(along, inverse, turned, weights, mixed)
        size = scalar_product(residual, turned)
        if j > 0 and not size > accuracy * accuracy * whole[0, SLOPE]:
            return j
        share = size / whole[j - 1, SLOPE] if j > 0 else 0.0
        for i in range(corner.size):
            direction[i] = turned[i] + share * direction[i]
        told[XD] *= share
        told[DD] = size + share * share * told[DD]
        bend(factors, point, prices, vectors, here)
        inside, after, ahead = reach(told, size, -scalar_product(direction, bent), radius), whole[j + 1], corners[j + 1]
        advance(told, after)
        length = told[LENGTH]
        for i in range(corner.size):
            ahead[i] = corner[i] + length * direction[i]
            residual[i] += length * bent[i]
        if not inside:
            return j + 1
        project(along, inverse, residual, weights, mixed)
        told, corner = after, ahead
    return PRODUCTS


@brief
def turn(metric: Metric, vectors: Vectors) -> None:
    """Write ``Phi^-1`` times the residual."""
    whole, share, columns = metric.whole, metric.share, vectors.columns
    if whole.size:
        multiply(whole, columns[RESIDUAL], columns[TURNED])
        return
    multiply(metric.right, columns[RESIDUAL], vectors.few)
    multiply(metric.left, vectors.few, columns[TURNED])
    x, turned = vectors.rows[RESIDUAL], vectors.rows[TURNED]
    for i in range(x.shape[0]):
        for s in range(x.shape[1]):
            turned[i, s] = x[i, s] * share[i] - turned[i, s]


@brief
def inner_row(a: FloatArray, b: FloatArray) -> float:
    """Twice the inner product of the first of two rows with as much of the second, in the precision of both."""
    real, imaginary = a[0] * b[0], a[1] * b[1]  # two sums, neither of which waits for the other
    for s in range(2, a.size, 2):
        real += a[s] * b[s]
        imaginary += a[s + 1] * b[s + 1]
    total = real + imaginary
    return total + total


@brief
def bend(factors: Response, point: Point, prices: Prices, vectors: Vectors, here: Product) -> None:
    """Write by how much half of the Lagrangian's gradient changes along the direction D, to first order.

    With dR_ii, dRy and ``w = eps dRy o Y`` of D, Y moves by ``Q^-1 (G (D - e dR_ii o C) - w)``.
    """
    look(factors, point, vectors, here)
    columns, rows, more, receive = here.columns, here.rows, here.receivers[1], factors.receive
    two, pair, (there, moved), echo = rows.two, rows.pair, (rows.echo[0], rows.echo[1]), point.echo
    Y, T = point.Y, point.T
    receivers, width = echo.shape
    for j in range(receivers):
        more[j] = receive[j] * inner_row(Y[j], moved[j])
        louder, left = more[j], T[j]
        for s in range(width):
            two[j, s] = moved[j, s]
            two[j, width + s] = echo[j, s] * louder + there[j, s] * left
    if factors.B.size:
        multiply(factors.BH, columns.two, columns.seen)
        multiply(factors.A, columns.seen, columns.pair)
    else:
        multiply(factors.A, columns.two, columns.pair)
    charge(prices, vectors, here)
    chains, transmit, level = here.chains, factors.transmit, prices.level
    multiply(more, factors.gains, chains)
    V, C, D, bent = point.V, point.C, vectors.rows[DIRECTION], vectors.rows[BENT]
    for i in range(V.shape[0]):
        spread, price = transmit[i] * inner_row(C[i], pair[i]) + chains[i], level[i]
        for s in range(width):
            bent[i, s] = pair[i, s] - pair[i, width + s] - V[i, s] * spread - (bent[i, s] + D[i, s] * price)


@brief
def charge(prices: Prices, vectors: Vectors, here: Product) -> None:
    """Write what the users' constraints charge for the direction, but for the level."""
    columns, received = here.columns.received, here.rows.received
    multiply(prices.HH, vectors.columns[DIRECTION], columns)
    for k in range(prices.weight.size):
        weight, own = prices.weight[k], prices.own[k]
        real, imaginary = received[k, 2 * k] * own, received[k, 2 * k + 1] * own
        for s in range(received.shape[1]):
            received[k, s] *= weight
        received[k, 2 * k], received[k, 2 * k + 1] = real, imaginary
    multiply(prices.H, columns, vectors.columns[BENT])


@brief
def look(factors: Response, point: Point, vectors: Vectors, here: Product) -> None:
    """Write ``G D`` of the direction D, and the change of Y."""
    columns, rows, chains, transmit = here.columns, here.rows, here.chains, factors.transmit
    V, C, D, pair = point.V, point.C, vectors.rows[DIRECTION], rows.pair
    (N, width), thin = D.shape, factors.B.size > 0
    for i in range(N):
        chains[i] = inner_row(V[i], D[i])
        share = transmit[i] * chains[i]
        for s in range(width):
            pair[i, s], pair[i, width + s] = D[i, s], C[i, s] * share
    multiply(factors.AH, columns.pair, columns.seen)
    both, few, first = rows.seen, rows.few[0], rows.few[1] if thin else rows.echo[0]
    for a in range(few.shape[0]):
        for s in range(width):
            first[a, s] = both[a, s]
            few[a, s] = both[a, s] - both[a, width + s]
    if thin:
        multiply(factors.B, columns.few[1], columns.echo[0])
    louder, received, receive = here.receivers[0], here.receivers[2], factors.receive
    multiply(factors.gains, chains, received)
    there, moved, echo, Y, quiet = rows.echo[0], rows.echo[1], point.echo, point.Y, point.quiet
    for j in range(receive.size):
        louder[j] = receive[j] * (inner_row(echo[j], there[j]) + received[j])
        share = louder[j] * quiet[j]
        for s in range(width):
            moved[j, s] = Y[j, s] * share  # Delta^-1 w, or w where B is the identity
    answer(factors, point, here, thin)


@brief
def answer(factors: Response, point: Point, here: Product, thin: bool) -> None:
    """Write the change of Y over what noise moves of it; what is seen of the direction is overwritten."""
    columns, rows = here.columns, here.rows
    few, more, moved = rows.few[0], rows.few[2], rows.echo[1]
    if not thin:
        for j in range(moved.shape[0]):
            for s in range(moved.shape[1]):
                few[j, s] -= moved[j, s]
        multiply(point.inverse, columns.few[0], columns.echo[1])
        return
    multiply(factors.BH, columns.echo[1], columns.few[1])
    multiply(point.X, columns.few[1], columns.few[2])
    for a in range(few.shape[0]):
        for s in range(few.shape[1]):
            few[a, s] += more[a, s]
    multiply(point.inverse, columns.few[0], columns.few[1])
    multiply(factors.B, columns.few[1], columns.echo[2])
    last, quiet = rows.echo[2], point.quiet
    for j in range(moved.shape[0]):
        share = quiet[j]
        for s in range(moved.shape[1]):
            moved[j, s] = last[j, s] * share - moved[j, s]
