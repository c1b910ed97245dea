"""Registers the bundled waveform experiments and detectors."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec


@hookimpl
def isacsim_experiments() -> Iterable[Spec]:
    """Waveform experiments."""
    yield Spec(
        "sampled-link", "isacsim.waveform.link:SampledLink", "SQINR and sum rate, measured on samples", {"symbols": 128}
    )
    few = {"decisions": 100}
    yield Spec(
        "detection", "isacsim.waveform.detection:Detection", "Detection probability and ROC area, on samples", few
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
    yield Spec("energy", "isacsim.waveform.detectors:EnergyDetector", "Energy behind the symbol-dependent combiner")
