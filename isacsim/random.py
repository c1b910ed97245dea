"""Addressed randomness: a trial's draws depend on its address alone.

The address is ``(seed, stream, trial)``. Trial i therefore sees the same channel at every
sweep point, for every solver and for any chunk size, worker count or executor.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from attrs import field, frozen

from isacsim.typing import ComplexArray


class Stream(IntEnum):
    """What a generator is for; streams of one trial are independent. Values never change."""

    CHANNEL = 0
    TARGET = 1
    SOLVER = 2
    WAVEFORM = 3
    ESTIMATE = 4
    BACKGROUND = 5


def generator(seed: int, stream: Stream, trial: int) -> np.random.Generator:
    """The generator of one address, fresh at every call."""
    # A fresh SeedSequence: a reused one counts the children it has spawned, so that a
    # component that spawns would see other children at the next sweep point.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), trial)))


@frozen(eq=False)
class Generators(Sequence[np.random.Generator]):
    """The generators of some trials of one stream, each made when it is first asked for.

    Making one takes as long as judging a small precoder, and most metrics draw nothing.
    """

    seed: int
    stream: Stream
    trials: tuple[int, ...]
    _made: dict[int, np.random.Generator] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]  # of an int or a slice
        if isinstance(place, slice):
            return [self[i] for i in range(len(self))[place]]
        place = range(len(self))[place]
        if place not in self._made:
            self._made[place] = generator(self.seed, self.stream, self.trials[place])
        return self._made[place]


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
    """Circularly symmetric complex Gaussian entries of unit variance."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)
