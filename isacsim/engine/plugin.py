"""Registers the bundled executors, sinks, observers and scenarios."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import ScenarioSpec, Spec


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


# The figures of [Fang25] that come in both settings.
FIGURES = {
    "fig2": "Convergence of Algorithm 1",
    "fig3": "Region of sum rate and CRLB",
    "fig4": "Objective over the number of sensing streams",
    "fig6": "Sum rate, CRLB and objective over the number of users",
    "fig7": "Sum rate, CRLB and objective over the power",
    "table1": "Sum rate, CRLB and time over the number of antennas (and Fig. 5)",
}


@hookimpl
def isacsim_scenarios() -> Iterable[ScenarioSpec]:
    """Scenario files."""
    yield _scenario("quickstart", "What converter resolution costs")
    for name, summary in FIGURES.items():
        for setting in ("as-run", "as-printed"):
            yield _scenario(f"sum-rate-crlb/{name}-{setting}", f"{summary}, {setting.replace('-', ' ')}")
    yield _scenario("sum-rate-crlb/fig4-sensing-as-run", "CRLB over the number of sensing streams, as run")
    yield _scenario("sum-rate-crlb/table1-wmmse-sdr", "WMMSE-SDR over the number of antennas, as run")
    yield _scenario("sum-rate-crlb/algorithms", "The published algorithms beside the default solver")
    yield _scenario("waveform/estimation", "Error of directions over power, beside the CRLB")
    yield _scenario("waveform/link", "Bit error rate of one user over SNR, through converters, beside theory")
    yield _scenario("waveform/link-users", "Bit error rate and sum rate of four users through converters")


def _scenario(file: str, summary: str) -> ScenarioSpec:
    name = file.replace("/", "-")
    return ScenarioSpec(name, "isacsim.engine.files:scenario_file", summary, file=f"{file}.toml")
