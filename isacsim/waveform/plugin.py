"""Registers the bundled waveform experiments, modulations and detectors."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_experiments() -> Iterable[Spec]:
    """Waveform experiments."""
    short = {"modulation": "qam16", "symbols": 128, "training": 32}
    yield Spec("link", "isacsim.waveform.link:SampledLink", "Error rates, EVM and rate of the users, on samples", short)
    few = {"decisions": 100, "curve": [0.01, 0.1, 1.0]}
    yield Spec("detection", "isacsim.waveform.detection:Detection", "ROC with confidence bands, on samples", few)
    yield Spec(
        "sampled-echo",
        "isacsim.waveform.sensing:SampledEcho",
        "Radar SQNR, measured on samples",
        {"symbols": 128},
    )
    yield Spec(
        "estimation",
        "isacsim.waveform.estimation:Estimation",
        "Errors of estimated directions beside their CRLB, on samples",
        {"runs": 3},
    )
    yield Spec(
        "constellation",
        "isacsim.waveform.scatter:ReceivedConstellation",
        "Equalised samples of the users",
        {"modulation": "qam16", "symbols": 16},
    )
    brief = {"modulation": "qam16", "symbols": 8, "training": 4}
    summary = "Error rates, EVM and SQINR on each subcarrier of an OFDM link, on samples"
    pulse = {"bursts": 4, "detector": {"kind": "ca-cfar", "cells": 2, "guard": 0, "false_alarm": 0.1}}
    maps = "Detection on range-Doppler maps, beside closed forms, on samples"
    yield Spec("range-doppler", "isacsim.waveform.range_doppler:RangeDoppler", maps, pulse)
    yield Spec("range-doppler-map", "isacsim.waveform.map:RangeDopplerMap", "A range-Doppler map to look at")
    told = "Errors of ranges, velocities and directions beside their CRLB, on OFDM bursts"
    home = "isacsim.waveform.band_estimation:DelayDopplerEstimation"
    yield Spec("delay-doppler-estimation", home, told, {"runs": 2})
    yield Spec("ofdm-link", "isacsim.waveform.ofdm_link:OfdmLink", summary, brief)


@hookimpl
def isacsim_modulations() -> Iterable[Spec]:
    """Modulations."""
    home = "isacsim.waveform.modulation"
    yield Spec("qam", f"{home}:Qam", "Square QAM with a Gray code, of 4, 16, 64 or 256 symbols", {"order": 16})
    yield Spec("qpsk", f"{home}:QPSK", "QAM of 4 symbols")
    for order in (16, 64, 256):
        yield Spec(f"qam{order}", f"{home}:QAM{order}", f"QAM of {order} symbols")
    yield Spec("gaussian", f"{home}:Gaussian", "Gaussian symbols, which carry no bits")


@hookimpl
def isacsim_map_detectors() -> Iterable[Spec]:
    """Detectors on maps."""
    home, few = "isacsim.waveform.cfar", {"cells": 8, "guard": 1}
    yield Spec("ca-cfar", f"{home}:CellAveraging", "Threshold from the mean of the cells around", few)
    yield Spec("os-cfar", f"{home}:OrderedStatistic", "Threshold from an ordered statistic of the cells around", few)


@hookimpl
def isacsim_detectors() -> Iterable[Spec]:
    """Detectors."""
    yield Spec("energy", "isacsim.waveform.detectors:EnergyDetector", "Energy behind the combiner")
    yield Spec(
        "likelihood-ratio",
        "isacsim.waveform.detectors:LikelihoodRatio",
        "Generalised likelihood ratio of an echo of unknown amplitude or response",
    )
