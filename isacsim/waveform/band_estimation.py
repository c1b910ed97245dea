"""Estimation from OFDM bursts at sample level: how well are ranges and velocities found, beside the CRLB?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.checks import instance, whole
from isacsim.drop import Drop
from isacsim.grid import LIGHT, Grid
from isacsim.link import Link
from isacsim.metrics.components import Quantity
from isacsim.metrics.delay_doppler import kinds_of, labels_of
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.band_estimators import GEOMETRY, BandObservation, Echoes
from isacsim.waveform.modulation import QPSK, Modulation, modulation
from isacsim.waveform.radar import BurstExperiment
from isacsim.waveform.signals import Sources


@frozen
class DelayDopplerEstimation(BurstExperiment):
    """Errors of maximum-likelihood estimates of point targets from OFDM bursts, and their Cramer-Rao bounds.

    Each run sends a burst of the grid's symbols through the hardware and the background. The bound is that of
    the symbols that were really sent, averaged over the runs, for the reflections that motion within a symbol
    leaves. With n runs a mean squared error without outliers has a relative standard deviation of sqrt(2/n);
    below some SNR the highest cell of the map is another one than the target's, and errors leave the bound.

    Args:
        runs: Bursts of a trial.
        modulation: What the streams carry.
        directions_known: Whether azimuth and zenith of the targets are known.
        static_removed: As in ``range-doppler``.
    """

    runs: int = field(default=100, validator=whole(1))
    modulation: Modulation = field(default=QPSK, converter=modulation)
    directions_known: bool = field(default=False, validator=instance(bool))
    static_removed: bool = field(default=False, validator=instance(bool))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Errors and bounds: of range and velocity of each target, and of each unknown."""
        return (
            Quantity("range-rmse", "m", ("target",), "RMSE of the range of each target"),
            Quantity("range-bound", "m", ("target",), "root CRLB of the range of each target"),
            Quantity("velocity-rmse", "m/s", ("target",), "RMSE of the radial velocity of each target"),
            Quantity("velocity-bound", "m/s", ("target",), "root CRLB of the radial velocity of each target"),
            Quantity("parameter-mse", "1", ("parameter",), "mean squared error of each unknown, in rad, s, Hz and 1"),
            Quantity("parameter-bound", "1", ("parameter",), "mean CRLB of each unknown, in the same units"),
        )

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Names of the unknowns."""
        if not isinstance(drop.targets, PointTargets):
            return {}
        return {"parameter": labels_of(drop.targets, self._kinds(drop.targets))}

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """All six from the `errors` of the runs."""
        radar = self.radar(link)
        errors, bounds = self.errors(link, rng)
        mse, bound = (errors**2).mean(axis=0), bounds.mean(axis=0)
        targets, grid = radar.targets, radar.grid
        kinds = self._kinds(targets)
        of = {kind: slice(i * targets.count, (i + 1) * targets.count) for i, kind in enumerate(kinds)}
        metres, speed = LIGHT / 2, grid.wavelength / 2
        return {
            "range-rmse": metres * np.sqrt(mse[of["delay"]])[None],
            "range-bound": metres * np.sqrt(bound[of["delay"]])[None],
            "velocity-rmse": speed * np.sqrt(mse[of["doppler"]])[None],
            "velocity-bound": speed * np.sqrt(bound[of["doppler"]])[None],
            "parameter-mse": mse[None],
            "parameter-bound": bound[None],
        }

    def errors(self, link: Link, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Errors of the runs and the bounds on their squares, each (runs, P)."""
        radar, sources = self.radar(link), Sources.of(rng)
        targets, kinds = radar.targets, self._kinds(radar.targets)
        truth = Echoes(
            targets.azimuth[0], targets.zenith[0], radar.delay, radar.doppler,
            targets.reflection[0] * radar.remaining,
        )  # fmt: skip
        errors, bounds = [], []
        for _ in range(self.runs):
            seen = BandObservation.of(radar, radar.burst(sources, targets.reflection[0]), kinds)
            bound = seen.bounds(truth)
            errors.append(differences(seen.estimated(targets.count, truth), truth, kinds, bound, radar.grid))
            bounds.append(bound)
        return np.array(errors), np.array(bounds)

    def _kinds(self, targets: PointTargets) -> tuple[str, ...]:
        angles = () if self.directions_known else ("azimuth", "zenith")
        return kinds_of(targets, (*angles, "delay", "doppler", "reflection"))


def differences(found: Echoes, truth: Echoes, kinds: Sequence[str], bound: FloatArray, grid: Grid) -> FloatArray:
    """Errors of the unknowns (P,) of estimates in the order of the true targets: that of least squares over bounds.

    Delays and Doppler shifts are taken the short way round: the grid does not tell others.
    """
    from scipy.optimize import linear_sum_assignment

    def parts(of: Echoes, kind: str) -> ComplexArray | FloatArray:
        if kind.startswith("reflection"):
            return of.reflection.real if kind.endswith("real") else of.reflection.imag
        return np.asarray(getattr(of, kind))

    M, round_ = len(truth.delay), {"delay": 1 / grid.spacing, "doppler": 1 / grid.duration}
    off = np.empty((len(kinds), M, M))  # of each unknown, true and found
    for i, kind in enumerate(kinds):
        off[i] = parts(found, kind)[None, :] - parts(truth, kind)[:, None]
        if kind in round_:
            off[i] = np.remainder(off[i] + round_[kind] / 2, round_[kind]) - round_[kind] / 2
    geometric = [i for i, kind in enumerate(kinds) if kind in GEOMETRY]
    scale = bound.reshape(len(kinds), M)[geometric, :, None]
    cost = (off[geometric] ** 2 / np.where(np.isfinite(scale), scale, 1.0)).sum(axis=0)
    order = linear_sum_assignment(cost)[1]
    return np.ascontiguousarray(off[:, np.arange(M), order].ravel())
