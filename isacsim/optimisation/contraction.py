"""Contractions whose columns reach far enough along given vectors, or the proof that there are none.

A contraction V (r x K) with ``Re h_k^H v_k >= c_k`` for all k exists, by duality, unless some weights t >= 0 have::

    ||H diag(t)||_* < sum_k t_k c_k        (nuclear norm)

The left side is the most that a contraction gets, and the polar factor of H diag(t) gets it.
"""

from __future__ import annotations

import numpy as np

from isacsim.batch import hermitian
from isacsim.typing import BoolArray, ComplexArray, FloatArray

STEPS = 40  # of which ten do where what is asked is far from the border; what is missed is for another method
POWER = 2.0  # exponent of the update of the weights


def contraction(H: ComplexArray, needed: FloatArray, steps: int = STEPS) -> tuple[ComplexArray, BoolArray]:
    """Contractions V (B, r, K) with ``Re h_k^H v_k >= c_k``, and for which members they are found.

    The weights of vectors along which it gets too little are raised until all get enough, or until the
    weights prove that there is no such contraction, or for so many steps.

    Args:
        H: The vectors h_k, of unit norm, (B, r, K).
        needed: c_k, (B, K), positive.
        steps: Largest number of steps.
    """
    weights, V = np.ones_like(needed), np.zeros_like(H)
    found = np.zeros(len(needed), bool)
    todo = np.arange(len(needed))
    for _ in range(steps if H.shape[-2] else 0):
        h = H[todo]
        polar, norm = _polar(h * weights[todo][:, None, :])
        reached = np.ascontiguousarray(np.diagonal(hermitian(h) @ polar, axis1=-2, axis2=-1).real)
        enough = (reached >= needed[todo]).all(axis=-1)
        V[todo[enough]], found[todo[enough]] = polar[enough], True
        hopeless = norm < (weights[todo] * needed[todo]).sum(axis=-1) * (1 - 1e-12)  # but for rounding
        going = ~enough & ~hopeless & (reached > 0).all(axis=-1)
        weights[todo[going]] *= (needed[todo[going]] / reached[going]) ** POWER
        todo = todo[going]
        if not todo.size:
            break
    return V, found | (needed.shape[-1] == 0)


def _polar(A: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """Polar factors (B, r, K), partial isometries, and nuclear norms (B,)."""
    U, spectrum, VH = np.linalg.svd(A, full_matrices=False)
    return U @ VH, spectrum.sum(axis=-1)
