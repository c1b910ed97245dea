"""What the starts of different problems share: names, and draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isacsim.errors import InvalidInput, one_of
from isacsim.random import complex_normal
from isacsim.typing import ComplexArray


def check_name(name: str, known: Sequence[str]) -> None:
    """Refuse what is no name of a start.

    Raises:
        InvalidInput: It tells the names, and which may be meant.
    """
    if name not in known:
        raise InvalidInput("starts", "must be names of starts", name, one_of(known, str(name)))


def drawn(rngs: Sequence[np.random.Generator] | None, shape: tuple[int, int]) -> ComplexArray:
    """Matrices ``(B, *shape)`` of CN(0, 1) entries from the generator of each member.

    Raises:
        InvalidInput: If there are none.
    """
    if rngs is None:
        remedy = "Pass rng=numpy.random.default_rng(seed)."
        raise InvalidInput("rng", "must be given for a random start", None, remedy)
    return np.stack([complex_normal(rng, shape) for rng in rngs])
