"""Estimation at sample level: how well are directions found, beside the Cramer-Rao bound?

The base station sends Gaussian symbols that it knows, and estimates the azimuth (with a
planar array also the zenith) and the reflection of each of M point targets from what its
receive converters put out. The bound is that of the signal that was really sent, averaged
over the runs; its mean is a bound on the mean squared error of unbiased estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim.batch import squared
from isacsim.checks import choice, whole
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.link import Link
from isacsim.memory import must_fit
from isacsim.metrics.components import Quantity
from isacsim.metrics.fim import crlb
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.base import Experiment
from isacsim.waveform.echoes import Leakage
from isacsim.waveform.estimators import Fit, Fitter, Observation, beamforming, folded, matched, maximum_likelihood
from isacsim.waveform.signals import BLOCK, Sources, blocks, gaussian_symbols, radiate, receive, sample_shapes


@frozen
class Estimation(Experiment):
    """Root mean squared errors of directions and reflections, and their Cramer-Rao bounds.

    ``angle-rmse`` and ``angle-bound`` are roots of means over runs, targets and angles.

    Each run sends new symbols for the drop's number of snapshots. With n runs the mean squared
    error of a parameter that is estimated without outliers has a relative standard deviation of
    sqrt(2/n).

    Args:
        method: ``maximum-likelihood``, a coarse search refined by scoring; or ``beamforming``,
            the coarse search alone, on a grid of a quarter of a beam width.
        runs: Runs of a trial.
    """

    method: Literal["maximum-likelihood", "beamforming"] = field(
        default="maximum-likelihood", validator=choice("maximum-likelihood", "beamforming")
    )
    runs: int = field(default=100, validator=whole(1))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Errors and bounds: of all angles together, and of each parameter."""
        return (
            Quantity("angle-rmse", "rad", (), "RMSE of all angles"),
            Quantity("angle-bound", "rad", (), "root CRLB of all angles"),
            Quantity("parameter-mse", "1", ("parameter",), "mean squared error of each target parameter"),
            Quantity("parameter-bound", "1", ("parameter",), "mean CRLB of each target parameter"),
        )

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Names of the parameters."""
        return {"parameter": _points(drop).labels}

    def check(self, link: Link) -> None:
        """Refuse runs whose samples and search cannot be held."""
        scene, snapshots = _points(link.drop), link.drop.snapshots
        together = min(self.runs, max(1, BLOCK // snapshots))
        shapes = Fitter(scene.tx_array, scene.rx_array).shapes(together)
        what = f"the search in {together} runs of {snapshots} samples"
        must_fit("runs", what, self.runs, *shapes, *sample_shapes(link, together * snapshots))

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """All four from the `errors` of the runs."""
        scene = _points(link.drop)
        error, bound = self.errors(link, rng)
        mse, mean_bound = error.mean(axis=0), bound.mean(axis=0)
        angles = np.array([kind in ("azimuth", "zenith") for kind in scene.unknowns])
        return {
            "angle-rmse": np.sqrt(mse[angles].mean(keepdims=True)),
            "angle-bound": np.sqrt(mean_bound[angles].mean(keepdims=True)),
            "parameter-mse": mse[None],
            "parameter-bound": mean_bound[None],
        }

    def errors(self, link: Link, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Squared errors of the runs and the bounds on them, each (runs, P).

        Args:
            link: A link of one member to point targets.
            rng: Source of symbols, noise and whatever is random in the hardware.
        """
        scene, snapshots, hardware, echo = _points(link.drop), link.drop.snapshots, link.transceiver, link.echo
        sources, fitter, found = Sources.of(rng), Fitter(scene.tx_array, scene.rx_array), []
        heard, noise_power = Leakage.of(echo), link.drop.radar_noise_power
        for count in blocks(self.runs, max(1, BLOCK // snapshots)):
            s = gaussian_symbols(link.W, count * snapshots, sources)
            sent = radiate(link.W, s, hardware.transmit, sources)
            arriving = heard.with_background(echo.G @ sent, sent)
            y = receive("receive", hardware.receive, arriving, echo.thermal, echo.power, sources)
            y = heard.cancelled(y, s, sources)
            observed = Observation.of(_runs(y, count), _runs(link.sent.precoder @ s, count), echo)
            method = maximum_likelihood if self.method == "maximum-likelihood" else beamforming
            fit = method(fitter, observed, scene.count)
            # W W^H L is the sample covariance of the run, for which the bound is asked.
            run = _runs(link.W @ s, count) / np.sqrt(snapshots)
            bound = crlb(scene, run, noise_power, snapshots, hardware, background=echo.background)
            found.append((squared_errors(fitter, fit, scene), bound))
        errors, bounds = zip(*found, strict=True)
        return np.concatenate(errors), np.concatenate(bounds)


def squared_errors(fitter: Fitter, fit: Fit, scene: PointTargets) -> FloatArray:
    """Squared error of each unknown of ``scene`` (1, M), in the order of `PointTargets.unknowns`, shape (B, P)."""
    azimuth, zenith = folded(scene.azimuth[0], scene.zenith[0])
    fit = matched(fit, azimuth, zenith)
    off = fit.reflection - scene.reflection[0]
    parts = [fit.azimuth - azimuth, *([fit.zenith - zenith] if scene.planar else []), off.real, off.imag]
    return squared(np.concatenate(parts, axis=-1))


def _points(drop: Drop) -> PointTargets:
    if not isinstance(drop.targets, PointTargets):
        raise InvalidInput("targets", "must be point targets to be located", drop.targets, "Use kind 'points'.")
    return drop.targets


def _runs(x: ComplexArray, count: int) -> ComplexArray:
    """A stream (1, N, count L) cut into runs (count, N, L)."""
    return np.ascontiguousarray(x[0].reshape(x.shape[1], count, -1).swapaxes(0, 1))
