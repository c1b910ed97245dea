"""The random numbers of the published code of [Fang25], one by one.

The code resets MATLAB's default generator to seed 1 for each channel. It then draws the scene,
100 channels, and the start, so that all channels share one scene and one start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.channels.conventions import Convention
from isacsim.channels.models import ChannelModel
from isacsim.checks import whole
from isacsim.errors import InvalidInput
from isacsim.typing import ComplexArray

CHANNELS = 100
LAYERS = 256
TAIL = 3.6541528853610088  # right end of the ziggurat's base layer [Marsaglia00]


class Twister:
    """MATLAB's generator after ``rng(seed, "twister")``.

    Its normal numbers, by the ziggurat method [Marsaglia00], are MATLAB's to 1e-8.
    """

    def __init__(self, seed: int) -> None:
        self._words = _words(seed)
        self._edges, self._heights = _ziggurat()

    def uniform(self) -> float:
        """A number of U(0, 1), of two words as everywhere."""
        high, low = next(self._words) >> 5, next(self._words) >> 6
        return (high * 2**26 + low) / 2**53

    def normal(self) -> float:
        """A number of N(0, 1)."""
        edges, heights = self._edges, self._heights
        while True:
            place, layer = next(self._words), next(self._words)
            i = LAYERS - 1 - (layer >> 24)
            x = edges[i] * (2 * (place + (layer & 0xFFFFFF) / 2**24) / 2**32 - 1)
            if abs(x) < edges[i + 1]:
                return x
            if i == 0:
                return math.copysign(self._beyond(), x)
            if heights[i] + self.uniform() * (heights[i + 1] - heights[i]) < math.exp(-x * x / 2):
                return x

    def _beyond(self) -> float:
        """A number of N(0, 1), given that it lies beyond the tail's begin."""
        while True:
            x, y = -math.log(self.uniform()) / TAIL, -math.log(self.uniform())
            if 2 * y > x * x:
                return TAIL + x

    def complex_normal(self, shape: tuple[int, ...]) -> ComplexArray:
        """``randn(shape) + 1j * randn(shape)``: entries of CN(0, 2), the first axis running fastest."""
        real, imag = (np.array([self.normal() for _ in range(math.prod(shape))]) for _ in range(2))
        return (real + 1j * imag).reshape(shape, order="F")


def _words(seed: int) -> Iterator[int]:
    """Words of 32 bits of the Mersenne twister."""
    generator = np.random.RandomState(seed)
    while True:
        yield from generator.randint(2**32, size=4096, dtype=np.uint64).tolist()


@lru_cache(maxsize=1)
def _ziggurat() -> tuple[list[float], list[float]]:
    """Right ends of the layers, from the base up and with 0 at the top, and exp(-x^2/2) there."""
    tail = math.sqrt(math.pi / 2) * math.erfc(TAIL / math.sqrt(2))
    area = TAIL * math.exp(-(TAIL**2) / 2) + tail
    edges = [area / math.exp(-(TAIL**2) / 2), TAIL]
    while len(edges) < LAYERS:
        edges.append(math.sqrt(-2 * math.log(area / edges[-1] + math.exp(-(edges[-1] ** 2) / 2))))
    edges.append(0.0)
    return edges, [math.exp(-x * x / 2) for x in edges]


@lru_cache(maxsize=16)
def published_draw(antennas: int, users: int, targets: int, streams: int) -> tuple[ComplexArray, ComplexArray]:
    """Channels (100, N_t, K) of CN(0, 1) and sensing streams (N_t, streams) of CN(0, 2); not to be written to.

    Antennas are ordered as kron(a_v, a_h), see `as_ours`.
    """
    twister = Twister(1)
    for number in (twister.normal, twister.uniform, twister.uniform, twister.uniform):
        for _ in range(targets):  # magnitude and phase of the reflections, azimuths, zeniths
            number()
    H = twister.complex_normal((CHANNELS, antennas, users)) / math.sqrt(2)
    return H, twister.complex_normal((antennas, streams))


def as_ours(array: AntennaArray, X: ComplexArray) -> ComplexArray:
    """X (..., N_t, n) with the antennas of the published code's order in that of `isacsim.arrays`."""
    return Convention("horizontal-fastest").applied(X, array)


@frozen
class Fang25(ChannelModel):
    """The 100 channels of Table I, Fig. 5 and Fig. 7 of [Fang25]; trial i gets the i-th.

    Args:
        targets: Targets of the scene, which is drawn before the channels.
    """

    targets: int = field(default=2, validator=whole(1))

    def draw(
        self, array: AntennaArray, users: int, trials: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> ComplexArray:
        """The channels of the trials; the generators are not used."""
        if max(trials) >= CHANNELS:
            raise InvalidInput(
                "trials", f"must be at most {CHANNELS}, the number of published channels", max(trials) + 1,
                "Ask for fewer trials, or use 'rayleigh'.",
            )  # fmt: skip
        H, _ = published_draw(array.size, users, self.targets, 0)
        return as_ours(array, H[list(trials)])
