"""Directions of Newton's method on tight constraints, by conjugate gradients, compiled, member by member.

A direction maximises the second-order model of the Lagrangian in the tangent space, within a radius: the
method of [Steihaug83], turned by the inverse of a metric Phi. Lengths are in that metric. Along a direction
of positive curvature the path goes on to the radius. Its points are ever farther from its beginning, with ever more of
the rise: shorter steps come from the same path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.algebra import real_inner, write
from isacsim.compiled import part
from isacsim.solvers.sqinr.tight import write_normals
from isacsim.solvers.sqnr_max.echo import Factors, Seen
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

PRODUCTS = 100  # with the curvature, in one direction: ten times what most take
SHORTER = (1.0, 0.25, 0.0625)  # lengths of the steps from one path, relative to its own


class Lagrangian(NamedTuple):
    """What else the curvature of the Lagrangian is made of, with metric and tangent space, of B members or of one."""

    H: ComplexArray  #: Channels, (B, N, K)
    HH: ComplexArray  #: (B, K, N)
    load: FloatArray  #: What each constraint draws from R_ii, (B, N, K+1)
    R: ComplexArray  #: Of the normals, (B, K, L)
    tight: BoolArray  #: Which constraints have a normal, (B, K+1)
    inverse: FloatArray  #: Of their inner products, zero where there is none, (B, K+1, K+1)
    weight: FloatArray  #: lambda, (B, K)
    own: FloatArray  #: lambda_k (1 - c_k), (B, K)
    level: FloatArray  #: d and what the multipliers charge for R_ii, (B, N)
    share: FloatArray  #: ``Phi^-1 = diag(share) - left right``, (B, N)
    left: ComplexArray  #: (B, N, m)
    right: ComplexArray  #: (B, m, N)
    whole: ComplexArray  #: Phi^-1 where m is 0, (B, N, N), else (B, 0, 0)


class Room(NamedTuple):
    """What is written to on the way. Vectors are stored twice in one place: by columns (N, L), and as real numbers."""

    columns: ComplexArray  #: By the names RESIDUAL to MIXED, (5, N, L)
    flat: FloatArray  #: (5, 2NL)
    normals: ComplexArray  #: (K+1, N, L)
    normals_flat: FloatArray  #: (K+1, 2NL)
    corners: FloatArray  #: Of the path, which begins at zero, (PRODUCTS+1, 2NL)
    told: FloatArray  #: Of its segments, by the names XX to LENGTH, (PRODUCTS+1, 6)
    pair: ComplexArray  #: Two columns for each of V, (N, 2L)
    seen: ComplexArray  #: ``A^H`` times that, (r, 2L)
    two: ComplexArray  #: Two columns for each of V at the receiver, (N_r, 2L)
    few: ComplexArray  #: (2, r, L)
    echo: ComplexArray  #: (3, N_r, L)
    received: ComplexArray  #: (K, L)
    mixed: ComplexArray  #: (m, L)
    chains: FloatArray  #: (N,)
    rows: FloatArray  #: (2, N_r)
    weights: FloatArray  #: (2, K+1)


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


def room(factors: Factors, seen: Seen, lagrangian: Lagrangian) -> Room:
    """Room for members like these."""
    (N, L), (r, receivers), K = seen.V.shape[1:], (seen.X.shape[-1], seen.T.shape[-1]), lagrangian.weight.shape[-1]
    columns, normals = np.zeros((5, N, L), complex), np.zeros((K + 1, N, L), complex)
    complexes = ((N, 2 * L), (r, 2 * L), (receivers, 2 * L), (2, r, L), (3, receivers, L), (K, L))
    return Room(
        columns,
        columns.reshape(5, -1).view(float),
        normals,
        normals.reshape(K + 1, -1).view(float),
        np.zeros((PRODUCTS + 1, 2 * N * L)),
        np.zeros((PRODUCTS + 1, 6)),
        *(np.zeros(shape, complex) for shape in (*complexes, (lagrangian.left.shape[-1], L))),
        *(np.zeros(shape) for shape in (N, (2, receivers), (2, K + 1))),
    )


def steps_each(
    factors: Factors,
    seen: Seen,
    lagrangian: Lagrangian,
    gradient: FloatArray,
    radius: FloatArray,
    accuracy: FloatArray,
    here: Room,
    steps: Steps,
) -> None:
    """Steps from half of the Lagrangian's gradients (B, 2NL), within radii (B,), to relative accuracies (B,)."""
    for b in range(radius.size):
        mine = of_member(lagrangian, b)
        write(gradient[b], here.flat[RESIDUAL])
        write_normals(mine.H, mine.load, mine.R, seen.V[b], mine.tight, here.normals)
        segments = travel(factors_of(factors, b), seen_of(seen, b), mine, radius[b], accuracy[b], here)
        steps.products[b] = segments
        farthest = np.sqrt(max(here.told[segments, XX], 0.0))
        for i in range(steps.rise.shape[1]):
            steps.length[b, i] = SHORTER[i] * farthest
            steps.rise[b, i] = walk(here, segments, steps.length[b, i], steps.step[b, i])


@part
def factors_of(factors: Factors, b: int) -> Factors:
    """Those of member b."""
    A, AH, B, BH, gains, transmit, receive = factors
    return Factors(A[b], AH[b], B[b], BH[b], gains[b], transmit[b], receive[b])


@part
def seen_of(seen: Seen, b: int) -> Seen:
    """That of member b."""
    V, echo, quiet, X, inverse, Y, C, T = seen
    return Seen(V[b], echo[b], quiet[b], X[b], inverse[b], Y[b], C[b], T[b])


@part
def of_member(of: Lagrangian, b: int) -> Lagrangian:
    """That of member b."""
    H, HH, load, R, tight, inverse, weight, own, level, share, left, right, whole = of
    normals = load[b], R[b], tight[b], inverse[b]
    return Lagrangian(H[b], HH[b], *normals, weight[b], own[b], level[b], share[b], left[b], right[b], whole[b])


@part
def travel(factors: Factors, seen: Seen, lagrangian: Lagrangian, radius: float, accuracy: float, here: Room) -> int:
    """Conjugate gradients from zero to the radius or the accuracy: the number of segments of the path."""
    told, corners, flat = here.told, here.corners, here.flat
    n, before, first = flat.shape[1], 0.0, 0.0
    for i in range(n):
        corners[0, i] = flat[DIRECTION, i] = 0.0
    told[0, XX] = told[0, XD] = told[0, DD] = 0.0
    for j in range(PRODUCTS):
        turn(lagrangian, here)
        project(lagrangian, flat[TURNED], here)
        size = np.dot(flat[RESIDUAL], flat[TURNED])
        first = size if j == 0 else first
        if not size > accuracy * accuracy * first and j > 0:
            return j
        share = size / before if j > 0 else 0.0
        for i in range(n):
            flat[DIRECTION, i] = flat[TURNED, i] + share * flat[DIRECTION, i]
        told[j, XD] *= share
        told[j, DD] = size + share * share * told[j, DD]
        before = size
        bend(factors, seen, lagrangian, here)
        told[j, SLOPE], told[j, CURVE] = size, -np.dot(flat[DIRECTION], flat[BENT])
        told[j, LENGTH] = to_edge(told[j], radius)
        inside = told[j, CURVE] > 0 and size < told[j, CURVE] * told[j, LENGTH]
        if inside:
            told[j, LENGTH] = size / told[j, CURVE]
        length = told[j, LENGTH]
        for i in range(n):
            corners[j + 1, i] = corners[j, i] + length * flat[DIRECTION, i]
            flat[RESIDUAL, i] += length * flat[BENT, i]
        told[j + 1, XX] = told[j, XX] + length * (2 * told[j, XD] + length * told[j, DD])
        told[j + 1, XD], told[j + 1, DD] = told[j, XD] + length * told[j, DD], told[j, DD]
        if not inside:
            return j + 1
        project(lagrangian, flat[RESIDUAL], here)
    return PRODUCTS


@part
def to_edge(told: FloatArray, radius: float) -> float:
    """How far along a segment the radius is."""
    xd, dd = told[XD], told[DD]
    return (np.sqrt(max(xd * xd + dd * (radius * radius - told[XX]), 0.0)) - xd) / dd


@part
def walk(here: Room, segments: int, radius: float, step: FloatArray) -> float:
    """Write the point of the path at a radius, or its end, (2NL,): the rise that the model promises."""
    rise, told, corners = 0.0, here.told, here.corners
    for j in range(segments):
        last = j == segments - 1 or told[j + 1, XX] >= radius * radius
        length = min(told[j, LENGTH], to_edge(told[j], radius)) if last else told[j, LENGTH]
        rise += 2 * length * told[j, SLOPE] - length * length * told[j, CURVE]
        if last:
            share = length / told[j, LENGTH]
            for i in range(step.size):
                step[i] = corners[j, i] + share * (corners[j + 1, i] - corners[j, i])
            break
    return rise


@part
def project(of: Lagrangian, x: FloatArray, here: Room) -> None:
    """Leave of x (2NL,) what is orthogonal to the normals."""
    along, weights, mixed = here.weights[0], here.weights[1], here.flat[MIXED]
    np.dot(here.normals_flat, x, along)
    np.dot(of.inverse, along, weights)
    np.dot(weights, here.normals_flat, mixed)
    for i in range(x.size):
        x[i] -= mixed[i]


@part
def turn(lagrangian: Lagrangian, here: Room) -> None:
    """Write ``Phi^-1`` times the residual."""
    x, into = here.columns[RESIDUAL], here.columns[TURNED]
    if lagrangian.whole.size:
        np.dot(lagrangian.whole, x, into)
        return
    np.dot(lagrangian.right, x, here.mixed)
    np.dot(lagrangian.left, here.mixed, into)
    for i in range(x.shape[0]):
        for s in range(x.shape[1]):
            into[i, s] = x[i, s] * lagrangian.share[i] - into[i, s]


@part
def inner_rows(A: ComplexArray, B: ComplexArray, into: FloatArray) -> None:
    """Write twice the real inner product of each row of A with that of B, (m,)."""
    for i in range(A.shape[0]):
        into[i] = 0.0
        for j in range(A.shape[1]):
            into[i] += 2 * real_inner(A[i, j], B[i, j])


@part
def bend(factors: Factors, seen: Seen, lagrangian: Lagrangian, here: Room) -> None:
    """Write by how much half of the Lagrangian's gradient changes along the direction, to first order.

    With dR_ii, dRy and ``w = eps dRy o Y`` of the direction D, Y moves by ``Q^-1 (G (D - e dR_ii o C) - w)``.
    """
    D, bent, V, two, pair = here.columns[DIRECTION], here.columns[BENT], seen.V, here.two, here.pair
    N, L = V.shape
    look(factors, seen, here)
    inner_rows(seen.Y, here.echo[1], here.rows[1])
    for j in range(two.shape[0]):
        more = factors.receive[j] * here.rows[1, j]
        here.rows[1, j] = more
        for s in range(L):
            two[j, s] = here.echo[1, j, s]
            two[j, L + s] = seen.echo[j, s] * more + here.echo[0, j, s] * seen.T[j]
    if factors.B.size:
        np.dot(factors.BH, two, here.seen)
        np.dot(factors.A, here.seen, pair)
    else:
        np.dot(factors.A, two, pair)
    np.dot(lagrangian.HH, D, here.received)
    for k in range(here.received.shape[0]):
        mine = here.received[k, k] * lagrangian.own[k]
        for s in range(L):
            here.received[k, s] *= lagrangian.weight[k]
        here.received[k, k] = mine
    np.dot(lagrangian.H, here.received, bent)
    np.dot(here.rows[1], factors.gains, here.chains)
    for i in range(N):
        spread = 0.0
        for s in range(L):
            spread += 2 * real_inner(seen.C[i, s], pair[i, s])
        spread = factors.transmit[i] * spread + here.chains[i]
        for s in range(L):
            priced = bent[i, s] + D[i, s] * lagrangian.level[i]
            bent[i, s] = pair[i, s] - pair[i, L + s] - V[i, s] * spread - priced


@part
def look(factors: Factors, seen: Seen, here: Room) -> None:
    """Write ``G D`` of the direction, and the change of Y."""
    D, few, fewer, echo, moved = here.columns[DIRECTION], here.few[0], here.few[1], here.echo[0], here.echo[1]
    (N, L), rows = D.shape, here.rows[0]
    inner_rows(seen.V, D, here.chains)
    for i in range(N):
        louder = factors.transmit[i] * here.chains[i]
        for s in range(L):
            here.pair[i, s], here.pair[i, L + s] = D[i, s], seen.C[i, s] * louder
    np.dot(factors.AH, here.pair, here.seen)
    for a in range(few.shape[0]):
        for s in range(L):
            fewer[a, s] = here.seen[a, s]
            few[a, s] = here.seen[a, s] - here.seen[a, L + s]
    if factors.B.size:
        np.dot(factors.B, fewer, echo)
    else:
        write(fewer, echo)
    inner_rows(seen.echo, echo, rows)
    np.dot(factors.gains, here.chains, here.rows[1])
    for j in range(rows.size):
        rows[j] = factors.receive[j] * (rows[j] + here.rows[1, j])
        scale = rows[j] * (seen.quiet[j] if factors.B.size else 1.0)
        for s in range(L):
            moved[j, s] = seen.Y[j, s] * scale  # Delta^-1 w, or w where B is the identity
    if not factors.B.size:
        for j in range(rows.size):
            for s in range(L):
                few[j, s] -= moved[j, s]
        np.dot(seen.inverse, few, moved)
        return
    np.dot(factors.BH, moved, fewer)
    for a in range(few.shape[0]):
        for c in range(few.shape[0]):
            for s in range(L):
                few[a, s] += seen.X[a, c] * fewer[c, s]
    np.dot(seen.inverse, few, fewer)
    np.dot(factors.B, fewer, here.echo[2])
    for j in range(rows.size):
        for s in range(L):
            moved[j, s] = here.echo[2, j, s] * seen.quiet[j] - moved[j, s]
