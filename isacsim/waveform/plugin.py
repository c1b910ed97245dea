"""Registers the bundled waveform experiments and detectors."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec


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


@hookimpl
def isacsim_detectors() -> Iterable[Spec]:
    """Detectors."""
    yield Spec("energy", "isacsim.waveform.detectors:EnergyDetector", "Energy behind the combiner")
    yield Spec(
        "likelihood-ratio",
        "isacsim.waveform.detectors:LikelihoodRatio",
        "Generalised likelihood ratio of an echo of unknown amplitude or response",
    )
