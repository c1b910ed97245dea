"""The sensing receiver at sample level: the radar SQNR that its samples have."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian
from isacsim.checks import invertible, whole
from isacsim.errors import InvalidInput
from isacsim.link import Link
from isacsim.metrics.components import Quantity
from isacsim.metrics.sensing import sqnr
from isacsim.typing import FloatArray
from isacsim.waveform.base import Experiment
from isacsim.waveform.echoes import EchoPath
from isacsim.waveform.signals import BLOCK, Sources, blocks, gaussian_symbols


def sampled_radar_sqnr(path: EchoPath, rng: np.random.Generator, symbols: int = 2**16) -> FloatArray:
    """Radar SQNR measured on Gaussian symbols sent through the hardware, shape (...), linear.

    The samples behind the receive chains are decomposed onto the symbols, ``y = M s + e`` by
    least squares, and the SQNR is ``tr(C^-1 M M^H)`` with the covariance C of e: [Xu25, eq. (9)]
    with the second-order statistics that the samples have in place of those that a linear
    model predicts. Those of a model that takes distortion for uncorrelated between chains are
    optimistic where few streams make many chains distort in unison.

    The estimate from n symbols is that of least squares with both its biases taken out, that
    of C^-1 and that of M; they are known where e is Gaussian, which it is on ideal hardware.
    The standard deviation relative to the SQNR g is then at most about ``sqrt((1 + 2/g) / n)``,
    that of one point target, as long as n is much larger than N_r + K + S.

    Args:
        path: From symbols to samples.
        rng: Source of symbols, noise and whatever is random in the hardware.
        symbols: Number n of symbols of each stream, more than N_r + K + S.

    Raises:
        InvalidInput: If the symbols are too few.
    """
    antennas, streams = path.noise_power.shape[-1], path.W.shape[-1]
    _enough(symbols, antennas, streams)
    sources = Sources.of(rng)
    moments = np.zeros((*path.noise_power.shape[:-1], streams + antennas, streams + antennas), complex)
    for count in blocks(symbols, max(1, BLOCK // (antennas + streams))):
        s = gaussian_symbols(path.W, count, sources)
        z = np.concatenate([s, path.samples(s, sources, True, path.power)], axis=-2)
        moments += z @ hermitian(z)
    sent, cross = moments[..., :streams, :streams], moments[..., streams:, :streams]
    M = hermitian(np.linalg.solve(sent, hermitian(cross)))
    freedom = symbols - streams
    C = (moments[..., streams:, streams:] - M @ hermitian(cross)) / freedom
    with invertible("receive", "a covariance of noise and distortion"):
        raw = np.trace(hermitian(M) @ np.linalg.solve(C, M), axis1=-2, axis2=-1).real
    bias = antennas * np.trace(np.linalg.inv(sent), axis1=-2, axis2=-1).real
    return np.asarray((1 - antennas / freedom) * raw - bias)


def _enough(symbols: int, antennas: int, streams: int) -> None:
    """Refuse symbols from which neither the response nor what is left can be estimated."""
    least = antennas + streams + 1
    if symbols < least:
        raise InvalidInput("symbols", f"must be at least N_r + K + S + 1 = {least}", symbols, "Send more.")


@frozen
class SampledEcho(Experiment):
    """Radar SQNR, measured on samples, and its ratio to what the linear model predicts.

    `sampled_radar_sqnr` says how, and why the two differ; the metric ``radar-sqnr`` is the
    prediction.

    Args:
        symbols: Number of symbols of each stream.
    """

    symbols: int = field(default=2**16, validator=whole(2))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The radar SQNR, and its ratio to the prediction."""
        return (
            Quantity("sampled-radar-sqnr", "1", (), "radar SQNR, measured on samples"),
            Quantity("radar-sqnr-ratio", "1", (), "radar SQNR, measured over predicted"),
        )

    def check(self, link: Link) -> None:
        """Refuse too few symbols."""
        super().check(link)
        _enough(self.symbols, link.drop.rx_array.size, link.W.shape[-1])

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """`sampled_radar_sqnr`, alone and over `isacsim.metrics.radar_sqnr`."""
        measured, predicted = sampled_radar_sqnr(EchoPath.over(link), rng, self.symbols), sqnr(link.echo)
        ratio = np.divide(measured, predicted, out=np.ones_like(measured), where=predicted > 0)
        return {"sampled-radar-sqnr": measured, "radar-sqnr-ratio": ratio}
