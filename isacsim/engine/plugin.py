"""Registers the bundled executors, sinks, observers and scenarios."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import ScenarioSpec, Spec

isacsim_api = 2


@hookimpl
def isacsim_executors() -> Iterable[Spec]:
    """Executors."""
    yield Spec("serial", "isacsim.engine.executors:Serial", "One task after another in this process")
    yield Spec("processes", "isacsim.engine.executors:Processes", "Worker processes on this machine")


@hookimpl
def isacsim_sinks() -> Iterable[Spec]:
    """Sinks."""
    yield Spec("netcdf", "isacsim.engine.sinks:NetCdf", "The labelled dataset as results.nc")
    yield Spec("csv", "isacsim.engine.sinks:Csv", "One row a trial as results.csv")


@hookimpl
def isacsim_observers() -> Iterable[Spec]:
    """Observers."""
    words = "A line of JSON for each event of a run, in a file"
    yield Spec("log", "isacsim.engine.log:RunLog", words, {"path": "run.jsonl"})


# The figures of [Fang25] that come in both settings.
SUM_RATE_CRLB = {
    "fig2": "Convergence of Algorithm 1",
    "fig3": "Region of sum rate and CRLB",
    "fig4": "Objective over the number of sensing streams",
    "fig6": "Sum rate, CRLB and objective over the number of users",
    "fig7": "Sum rate, CRLB and objective over the power",
    "table1": "Sum rate, CRLB and time over the number of antennas (and Fig. 5)",
}

# Those of [Zhao26], beyond the white regime and in it.
CRB_MIN = {
    "algorithms": "The published algorithms beside the default solver",
    "fig1-users": "CRB and time over the number of users (and Table I)",
    "fig1-users-all": "CRB and time over the number of users, all algorithms",
    "fig1-users-white": "CRB and time over the number of users, where the white covariance is optimal",
    "fig1-antennas": "CRB and time over the number of antennas (and Table II)",
    "fig1-antennas-white": "CRB and time over the number of antennas, where the white covariance is optimal",
    "fig2": "Gap of the iterates against time",
    "fig3": "Violation of the iterates against time",
    "threshold": "CRB over the threshold, into the white regime and out of it",
}

# Those of [Xu25].
SQNR_MAX = {
    "fig1a": "SQNR of a point target against the users' SQINR",
    "fig1b": "SQNR of an extended target against the users' SQINR",
    "fig2a": "ROC of a point target, two transmit converters of 10 bits",
    "fig2b": "ROC of an extended target",
    "fig3a": "SQNR of an extended target over the transmit power",
    "fig3b": "SQNR of an extended target over the number of antennas",
    "fig4a": "Run time over the number of antennas",
    "fig4b": "Energy efficiency over the converter resolution",
}

WAVEFORM = {
    "detection": "ROC of a point and of an extended target behind converters of few bits",
    "detectors": "Three detectors on the same samples",
    "echo": "Radar SQNR measured on samples over the prediction of the linear model",
    "estimation": "Error of directions over power, beside the CRLB",
    "link": "Bit error rate of one user over SNR, through converters, beside theory",
    "link-users": "Bit error rate and sum rate of four users through converters",
}

WIDEBAND = {
    "link": "OFDM over TDL-C through converters of few bits, measured and predicted",
    "joint-design": "Rate against range accuracy over all subcarriers at once",
    "detection-over-range": "Detection over range, through a receiver of few bits that hears itself",
    "mobility": "A slot of OFDM to users who move, through clustered delay lines",
    "spectrum": "Spectrum of an array of few bits against a mask",
    "radar": "Detection on range-Doppler maps under self-interference, over the receiver's resolution",
    "self-interference": "Radar SQNR and CRLB under self-interference, over the receiver's resolution",
}

HARDWARE_AWARE = {
    "uniform": "What designs gain that know their transmit converters, of equal resolution",
    "mixed": "The same for two fine converters among coarse ones, under a total power",
    "mixed-per-antenna": "The same with equal antenna powers",
    "crb-limit": "The CRB of a response near the limit of the users' requirements",
    "channel-error": "Designs that know the error of the channels, the converters, or both",
    "energy": "Energy efficiency over the resolution of exact transmit converters, for designs that know them",
}

HARDWARE_TRUTH = {
    "converters": "Models of converters beside samples, over the resolution",
    "streams": "The same over the number of streams",
    "symbols": "The exact model beside samples of QAM",
    "figures": "The SQNR of [Xu25] over the power, by the model of the papers and by the exact one",
}


@hookimpl
def isacsim_scenarios() -> Iterable[ScenarioSpec]:
    """Scenario files."""
    yield _scenario("quickstart", "What converter resolution costs")
    for name, summary in SUM_RATE_CRLB.items():
        for setting in ("as-run", "as-printed"):
            yield _scenario(f"sum-rate-crlb/{name}-{setting}", f"{summary}, {setting.replace('-', ' ')}")
    yield _scenario("sum-rate-crlb/fig4-sensing-as-run", "CRLB over the number of sensing streams, as run")
    yield _scenario("sum-rate-crlb/fig4-sensing-as-printed", "CRLB over the number of sensing streams, as printed")
    yield _scenario("sum-rate-crlb/table1-wmmse-sdr", "WMMSE-SDR over the number of antennas, as run")
    yield _scenario("sum-rate-crlb/table1-fp-sgda", "FP-SGDA over the number of antennas, as run")
    yield _scenario("sum-rate-crlb/algorithms", "The published algorithms beside the default solver")
    folders = {
        "crb-min": CRB_MIN,
        "sqnr-max": SQNR_MAX,
        "waveform": WAVEFORM,
        "wideband": WIDEBAND,
        "hardware-aware": HARDWARE_AWARE,
        "hardware-truth": HARDWARE_TRUTH,
    }
    for folder, files in folders.items():
        for name, summary in files.items():
            yield _scenario(f"{folder}/{name}", summary)


def _scenario(file: str, summary: str) -> ScenarioSpec:
    name = file.replace("/", "-")
    return ScenarioSpec(name, "isacsim.engine.files:scenario_file", summary, file=f"{file}.toml")
