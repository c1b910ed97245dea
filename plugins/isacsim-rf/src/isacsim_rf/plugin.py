"""What this plugin offers; isacsim calls it through the entry point of the distribution."""

from collections.abc import Iterable
from pathlib import Path

from isacsim.api import ScenarioSpec, Spec, hookimpl

isacsim_api = 2

DATA = Path(__file__).resolve().parent / "data"  # files to begin with
AMPLIFIERS = (
    Spec("rapp", "isacsim_rf.amplifiers:Rapp", "Solid-state amplifier, AM/AM", {"saturation_dbm": 33}),
    Spec("saleh", "isacsim_rf.amplifiers:Saleh", "Travelling-wave tube, AM/AM and AM/PM", {"saturation_dbm": 33}),
    Spec(
        "memory-polynomial",
        "isacsim_rf.polynomial:MemoryPolynomial",
        "Amplifier of odd orders with memory",
        {"reference_dbm": 40, "coefficients": [[1, "-0.1-0.05j", "0.01j"], ["0.05j", 0.01, 0]]},
    ),
    Spec(
        "predistorter",
        "isacsim_rf.predistortion:Predistorter",
        "Predistorter of the amplifier behind it",
        {"device": {"kind": "rapp", "saturation_dbm": 33}},
    ),
    Spec(
        "measured-amplifier",
        "isacsim_rf.measured:MeasuredAmplifier",
        "Amplifier by its measured AM/AM and AM/PM",
        {"path": str(DATA / "amplifier.csv")},
    ),
)
FRONT_ENDS = (
    Spec("iq-imbalance", "isacsim_rf.mixers:IqImbalance", "Mixer with an image", {"gain_db": 0.5, "phase_deg": 3}),
    Spec(
        "phase-noise",
        "isacsim_rf.oscillators:PhaseNoise",
        "Free-running oscillator, tracked once a block",
        {"linewidth_hz": 2e3, "sampling_rate_hz": 1e7, "block": 64},
    ),
    Spec(
        "pll-phase-noise",
        "isacsim_rf.oscillators:PllPhaseNoise",
        "Oscillator in a phase-locked loop",
        {"rms_deg": 5, "bandwidth_hz": 1e6, "sampling_rate_hz": 1e7},
    ),
    Spec(
        "carrier-offset",
        "isacsim_rf.oscillators:CarrierOffset",
        "Carrier that is off, its phase taken out once a block",
        {"offset_hz": 2e4, "sampling_rate_hz": 1e7, "block": 64},
    ),
    Spec("mutual-coupling", "isacsim_rf.coupling:MutualCoupling", "Antennas coupled by a matrix", {"matrix": [[1]]}),
    Spec(
        "neighbour-coupling",
        "isacsim_rf.coupling:NeighbourCoupling",
        "Antennas coupled to their neighbours",
        {"coefficient": "0.1+0.15j"},
    ),
)
CONVERTERS = (
    Spec(
        "clipping-dac",
        "isacsim_rf.converters:ClippingDac",
        "Uniform converter of a fixed full scale",
        {"bits": 6, "full_scale_dbm": 38},
    ),
    Spec(
        "sigma-delta",
        "isacsim_rf.converters:SigmaDelta",
        "Sigma-delta converter of first order, one bit",
        {"oversampling": 32, "full_scale_dbm": 36},
    ),
    Spec(
        "measured-converter",
        "isacsim_rf.measured:MeasuredConverter",
        "Converter by the measured errors of its codes",
        {"path": str(DATA / "converter.csv"), "full_scale_dbm": 36},
    ),
)


@hookimpl
def isacsim_hardware() -> Iterable[Spec]:
    """RF impairments."""
    return (*AMPLIFIERS, *FRONT_ENDS, *CONVERTERS)


@hookimpl
def isacsim_scenarios() -> Iterable[ScenarioSpec]:
    """Scenario files."""
    yield ScenarioSpec("rf", "isacsim_rf.files:scenario_file", "What a whole RF chain costs", file="rf.toml")
    summary = "Design for the amplifier, or linearise it"
    yield ScenarioSpec("rf-amplifier", "isacsim_rf.files:scenario_file", summary, file="amplifier.toml")
    summary = "The same with a cap on the power of each antenna"
    yield ScenarioSpec(
        "rf-amplifier-per-antenna", "isacsim_rf.files:scenario_file", summary, file="amplifier-per-antenna.toml"
    )
    summary = "Design for converters and amplifiers in series, for either, or for none"
    yield ScenarioSpec("rf-both", "isacsim_rf.files:scenario_file", summary, file="both.toml")
    summary = "Models of amplifiers beside samples"
    yield ScenarioSpec("rf-truth", "isacsim_rf.files:scenario_file", summary, file="truth.toml")
