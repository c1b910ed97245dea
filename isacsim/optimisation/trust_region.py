"""The path of conjugate gradients within a radius, for compiled loops that maximise a quadratic model [Steihaug83].

Points of the path are ever farther from its beginning, with ever more of the rise: steps of any length come from one
path. Where a model is to be maximised in a tangent space, `project` leaves what is in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isacsim.compiled import part
from isacsim.linalg.blas import multiply
from isacsim.typing import FloatArray

# Of a segment that begins at x and goes along d: <x, x>, <x, d>, <d, d>, slope and negative curvature of half of the
# model, and how far it goes.
XX, XD, DD, SLOPE, CURVE, LENGTH = range(6)


class Path(NamedTuple):
    """Room for a path of at most m segments in n dimensions, which begins at zero."""

    corners: FloatArray  #: (m+1, n)
    told: FloatArray  #: Of its segments, by the names XX to LENGTH, (m+1, 6)


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
    """Write the point of the path at a radius, or its end, (n,): the rise that the model promises."""
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
    """Leave of x (n,) what is orthogonal to normals (c, n), by the inverse of their inner products, (c, c).

    There is room for weights (2, c), and for what is taken away, (n,).
    """
    along, share = weights[0], weights[1]
    multiply(normals, x, along)
    multiply(inverse, along, share)
    multiply(share, normals, mixed)
    for i in range(x.size):
        x[i] -= mixed[i]
