"""Addressed randomness: a trial's draws depend on its address alone.

The address is ``(seed, stream, trial)``. Trial i therefore sees the same channel at every
sweep point, for every solver and for any chunk size, worker count or executor.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from isacsim.typing import ComplexArray


class Stream(IntEnum):
    """What a generator is for; streams of one trial are independent. Values never change."""

    CHANNEL = 0
    TARGET = 1
    SOLVER = 2
    WAVEFORM = 3
    ESTIMATE = 4


def generator(seed: int, stream: Stream, trial: int) -> np.random.Generator:
    """The generator of one address, fresh at every call."""
    # A fresh SeedSequence: a reused one counts the children it has spawned, so that a
    # component that spawns would see other children at the next sweep point.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), trial)))


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
    """Circularly symmetric complex Gaussian entries of unit variance."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)
