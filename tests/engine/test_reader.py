"""From TOML to records: units, components, complex text, relative paths; and from Python to the same."""

import math
import pickle
from datetime import datetime

import numpy as np
import pytest

import isacsim
from isacsim.channels.models import Rayleigh, Rician
from isacsim.channels.recorded import Recorded
from isacsim.engine.reader import Invalid, Reader
from isacsim.engine.scenario import BaseStation, Design, Evaluation, Scenario, Users
from isacsim.engine.sinks import Csv, NetCdf
from isacsim.engine.sweep import Axis
from isacsim.engine.views import Figure
from isacsim.errors import InvalidInput
from isacsim.hardware.power import ConverterPower, PowerModel
from isacsim.metrics.bounds import CrlbTrace
from isacsim.metrics.communication import SumRateNats
from isacsim.metrics.radiation import Beampattern, EnergyEfficiency
from isacsim.plugin import build_registry, default_registry
from isacsim.problems.sum_rate_crlb import SumRateCrlbWeights
from isacsim.solvers.sum_rate_crlb.sca import Sca
from isacsim.targets.models import FixedPoints, PointTarget
from isacsim.waveform.detection import Detection
from isacsim.waveform.detectors import EnergyDetector

BITS = ("transmit", "receive", "user")


def radians(*degrees):
    return np.multiply(degrees, np.pi / 180)


def study_from_python():
    """The study of the tests, as records."""
    three = isacsim.Chain(isacsim.Aqnm(3))
    return Scenario(
        title="What converter resolution costs in rate and in sensing accuracy",
        seed=2025,
        trials=6,
        base_station=BaseStation(
            transmit_array=isacsim.UniformPlanarArray(4, 4),
            receive_array=isacsim.UniformPlanarArray(5, 4),
            power=0.01,
            radar_noise=1e-3,
            snapshots=30,
        ),
        users=Users(count=4, channel=Rayleigh(), noise=1e-3),
        targets=FixedPoints(
            azimuth=radians(-42.38929297, -48.91936860),
            zenith=radians(-37.64877482, -18.53271293),
            reflection=[0.0870197 + 0.000062536j, -0.03992069 + 0.117000274j],
        ),
        hardware={"converters": isacsim.Transceiver(three, three, three)},
        design={"sca": Design(SumRateCrlbWeights(rate_weight=0.25, crlb_weight=1.0), Sca(max_steps=3))},
        evaluate={"converters": Evaluation((SumRateNats(), CrlbTrace()), hardware="converters", power="radiated")},
        sweep={
            "bits": Axis(
                [1, 2, 3, 4, 6, math.inf], [f"hardware.converters.{b}.0.bits" for b in BITS],
                "converter resolution (bits)",
            )
        },
        figure={"rate": Figure("bits", "sum-rate-nats"), "crlb": Figure("bits", "crlb")},
        sinks=(),
    )  # fmt: skip


@pytest.fixture
def reader(tmp_path):
    return Reader(build_registry(installed=False), tmp_path)


def test_records_and_toml_make_the_same_scenario(study):
    assert study() == study_from_python()


def test_records_and_toml_run_to_the_same_bytes(studies, study, tmp_path):
    one = isacsim.run(study(), tmp_path / "one")
    other = isacsim.run(study_from_python(), tmp_path / "other")
    assert studies.numbers(one) == studies.numbers(other)


def test_a_scenario_file_can_be_run_by_its_path(studies, tmp_path, monkeypatch):
    file = tmp_path / "study.toml"
    file.write_text(studies.text.replace("trials = 100", "trials = 1"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    class Noon(datetime):
        @classmethod
        def now(cls):
            return cls(2025, 1, 1, 12)

    monkeypatch.setattr("isacsim.engine.run.datetime", Noon)
    runs = [isacsim.run(file) for _ in range(2)]
    assert all(run.counts().requested == 6 for run in runs)
    name = "runs/what-converter-resolution-costs-in-rate-20250101-120000"
    assert [str(run.path) for run in runs] == [name, f"{name}-1"]


def test_units_are_converted_once(study):
    scenario = study(
        "base_station.power_dbm=-3", "users.noise_dbm=[0, 10, 20, -20]",
        'users.channel={kind="rician", k_factor_db=6, gain_db=[0, 1, 2, 3], '
        "azimuth_deg=[-30, 0, 15, 45], sector_deg=10}",
    )  # fmt: skip
    assert scenario.base_station.power == pytest.approx(1e-3 * 10**-0.3, rel=1e-15)
    np.testing.assert_allclose(scenario.users.noise, [1e-3, 1e-2, 1e-1, 1e-5], rtol=1e-15)
    channel = scenario.users.channel
    assert isinstance(channel, Rician)
    assert channel.k_factor == pytest.approx(10**0.6, rel=1e-15)
    np.testing.assert_allclose(channel.gain, 10.0 ** np.array([0, 0.1, 0.2, 0.3]), rtol=1e-15)
    np.testing.assert_allclose(channel.azimuth, radians(-30, 0, 15, 45), rtol=1e-15)
    assert channel.zenith == np.pi / 2
    assert channel.sector == pytest.approx(np.pi / 18, rel=1e-15)


def test_defaults_hold_where_nothing_is_said(study, studies):
    text = studies.text.replace('solver   = { kind = "sca" }\n', "").replace('hardware = "ideal"\n', "")
    scenario = study(text=text, small=())
    registry = default_registry()
    default = registry.load("solvers", registry.default_solver("sum-rate-crlb"))()
    assert scenario.design["sca"] == Design(SumRateCrlbWeights(rate_weight=0.25, crlb_weight=1.0), default)
    assert scenario.sinks == (NetCdf(),)
    assert scenario.transceiver("ideal") == isacsim.Transceiver()
    assert scenario.figure["rate"].series == "design"


def test_a_problem_that_is_a_name_alone_has_its_default_solver(study, studies):
    text = studies.text.replace('solver   = { kind = "sca" }\n', "")
    text = text.replace('{ kind = "sum-rate-crlb", rate_weight = 0.25, crlb_weight = 1.0 }', '"sum-rate-crlb"')
    # Weights are missing, and a solver is not.
    with pytest.raises(InvalidInput, match="design.sca.problem") as error:
        study(text=text, small=())
    assert "solver" not in str(error.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"0.1+0.2j"', 0.1 + 0.2j),
        ('" 0.1 - 0.2j "', 0.1 - 0.2j),
        ('"2j"', 2j),
        ("-1", -1),
        ("0.5", 0.5),
        ('"1e-2"', 0.01),
    ],
)
def test_complex_numbers_are_text_or_numbers(study, written, value):
    point = study(f'targets={{kind="point", azimuth_deg=20, reflection={written}}}').targets
    assert isinstance(point, PointTarget)
    assert point.reflection == value
    points = study(f'targets={{kind="points", azimuth_deg=[20], zenith_deg=[80], reflection=[{written}]}}').targets
    np.testing.assert_array_equal(points.reflection, [value])


def test_stages_are_a_list_a_table_or_a_name(study):
    aqnm, ideal = isacsim.Aqnm(3), isacsim.Ideal()
    for written, hardware in [
        ('[{kind="aqnm", bits=3}]', isacsim.Chain(aqnm)),
        ('{kind="aqnm", bits=3}', aqnm),
        ('"ideal"', ideal),
        ('["ideal", {kind="aqnm", bits=3}]', isacsim.Chain(ideal, aqnm)),
        ("[]", isacsim.Chain()),
    ]:
        scenario = study(f"hardware.converters.transmit={written}", 'sweep.bits.sets="hardware.converters.user.0.bits"')
        assert scenario.hardware["converters"].transmit == hardware


def test_bits_may_differ_between_chains(study):
    bits = [1, 2, 3, math.inf]
    hardware = study("hardware.converters.user.0.bits=[1, 2, 3, inf]").hardware["converters"]
    np.testing.assert_array_equal(hardware.user.stages[0].bits, bits)


def test_components_nest(study):
    scenario = study(
        'evaluate.converters.metrics=["sum-rate-nats", {kind="crlb", mode="radiated"}, {kind="energy-efficiency", '
        'power_model={kind="converters", rf_chain_w=0.04}}, {kind="beampattern", azimuth_deg=[-90, 0, 90]}]',
        'evaluate.converters.experiments=[{kind="detection", detector="energy", decisions=200}]',
        'sinks=["netcdf", {kind="csv"}]',
    )
    rate, crlb, efficiency, pattern = scenario.evaluate["converters"].metrics
    assert (rate, crlb) == (SumRateNats(), CrlbTrace("radiated"))
    assert efficiency == EnergyEfficiency(ConverterPower(rf_chain=0.04))
    assert pattern == Beampattern(radians(-90, 0, 90))
    assert scenario.evaluate["converters"].experiments == (Detection(EnergyDetector(), decisions=200),)
    assert scenario.sinks == (NetCdf(), Csv())


def test_recordings_lie_beside_the_scenario_file(studies, study, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    channels = rng.standard_normal((3, 16, 4)) + 1j * rng.standard_normal((3, 16, 4))
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "channels.npz", H=channels)
    monkeypatch.chdir("/")
    setting = 'users.channel={kind="recorded", path="data/channels.npz"}'
    scenario = study(setting, "trials=3")
    assert scenario.users.channel == Recorded(tmp_path / "data" / "channels.npz")
    np.testing.assert_array_equal(scenario.drop((2, 0)).H, channels[[2, 0]])
    run = isacsim.run(scenario, tmp_path / "run", executor="processes")
    moved = tmp_path / "moved"
    (tmp_path / "data").rename(moved)
    scenario = study(setting.replace("data/", f"{moved}/"), "trials=3")
    assert isacsim.run(scenario, tmp_path / "run", resume=True).counts().complete  # the content is the address
    assert len(studies.numbers(run)) == 18


def test_more_trials_than_recordings_are_refused_before_anything_is_written(study, tmp_path):
    np.savez(tmp_path / "channels.npz", H=np.ones((3, 16, 4)))
    scenario = study('users.channel={kind="recorded", path="channels.npz"}', "trials=4")
    with pytest.raises(InvalidInput, match=r"trials: must be at most 3, the number of records in channels.npz, got 4"):
        isacsim.run(scenario, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recordings_of_another_size_are_refused(study, tmp_path):
    np.savez(tmp_path / "channels.npz", H=np.ones((6, 8, 4)))
    scenario = study('users.channel={kind="recorded", path="channels.npz"}')
    with pytest.raises(InvalidInput, match=r"users.channel: must have 16 antennas and 4 users, got '8 and 4'"):
        isacsim.run(scenario, tmp_path / "run")


def test_all_faults_of_a_file_are_told_at_once(study):
    with pytest.raises(Invalid, match=r"base_station.transmit_array.kind: must .*, got 'ulb'") as caught:
        study(
            text="""
            [base_station]
            transmit_array = { kind = "ulb", elements = 3 }
            receive_array = { kind = "ula", elements = 0 }
            power_dbm = "ten"
            radar_noise_dbm = nan
            snapshots = 1.5
            [users]
            count = 4
            channel = "raleigh"
            noise_dbm = 0
            [targets]
            kind = "points"
            [design.one]
            problem = { kind = "sum-rate-crlb" }
            solver = "sca"
            [evaluate.one]
            metrics = ["crlb", "sumrate"]
            """,
            small=(),
        )
    assert {fault.field for fault in caught.value.errors} == {
        "base_station.transmit_array.kind", "base_station.receive_array.elements", "base_station.power_dbm",
        "base_station.snapshots", "users.channel.kind", "targets.azimuth_deg",
        "design.one.problem.rate_weight", "design.one.problem.crlb_weight",
        "evaluate.one.metrics.1.kind",
    }  # fmt: skip
    again = pickle.loads(pickle.dumps(caught.value))
    assert [str(fault) for fault in again.errors] == [str(fault) for fault in caught.value.errors]
    assert str(again) == str(caught.value.errors[0])


def test_settings_are_judged_together(study):
    """Neither order of two settings that need each other is refused."""
    settings = 'evaluate.converters.metrics=["sqinr"]', "figure.rate.y=sqinr", "figure.crlb.y=sqinr"
    assert study(*settings) == study(*reversed(settings))


def test_the_last_of_two_settings_counts(study):
    assert study("seed=1", "seed=2").seed == 2


def test_records_pass_through_unchanged(reader):
    record = ConverterPower(rf_chain=0.5)
    assert reader.read(ConverterPower, record) is record
    assert reader.read(PowerModel, {"kind": "converters", "rf_chain_w": 0.5}) == record
    assert reader.read(Rician, {"k_factor_db": 0, "azimuth_deg": None}).azimuth is None


def test_a_component_that_refuses_in_its_own_way_is_still_one_error(study, registry):
    for setting in (
        'users.channel={kind="moody", mood=3}',
        'users={count=1, noise_dbm=0, channel={kind="moody", mood=3}}',
    ):
        with pytest.raises(InvalidInput, match=r"users.channel: is not valid. LookupError: not on a Sunday"):
            study(setting, registry=registry)
    with pytest.raises(InvalidInput, match=r"users.channel.mood: is not valid, got 3. not on a Sunday"):
        study('users.channel={kind="moody"}', "users.channel.mood=3", registry=registry)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"rf_chain_w": 1j}, "rf_chain_w: must be numbers, got 1j"),
        ({"rf_chain_w": np.array([1j])}, "rf_chain_w: must be numbers"),
        ({"rf_chain_w": [[1], 2]}, "rf_chain_w: must be a number or a rectangular list"),
        ({"rf_chain_w": "0.1"}, "rf_chain_w: must be numbers, got '0.1'. Write 0.1 or"),
        ({"rf_chain_w": None}, "rf_chain_w: must be numbers, got None"),
        (["rf_chain_w"], "must be a table, got .*Its keys: local_oscillator_w"),
        ({"rf_chain": 1}, "rf_chain: is not a known key, got 1. Did you mean 'rf_chain_w'"),
        ({7: 1}, "7: is not a known key"),
        ({"dac_dynamic": math.nan}, "dac_dynamic: must not be NaN"),
        ({"dac_dynamic": True}, "dac_dynamic: must be a number, got True"),
    ],
)
def test_a_table_of_the_wrong_shape_says_what_it_should_be(reader, table, words):
    with pytest.raises(Invalid, match=rf"^power_model\.?.*{words}"):
        reader.read(ConverterPower, table, "power_model")


def test_installed_plugins_are_not_looked_for_where_a_registry_is_given(study, tmp_path, monkeypatch):
    registry = build_registry(installed=False)

    def sought():
        raise AssertionError("the registry of this process is asked")

    for module in ("isacsim.engine.load", "isacsim.engine.run", "isacsim.solvers.solve", "isacsim.waveform.modulation"):
        monkeypatch.setattr(f"{module}.default_registry", sought)
    link = 'evaluate.converters.experiments=[{kind="link", modulation="qam16", symbols=64, training=8}]'
    run = isacsim.run(study(link, registry=registry), tmp_path / "run", registry=registry)
    assert run.counts().complete


def test_what_is_set_mends_a_file_that_is_at_fault_without_it(tmp_path, studies):
    """As of a recording that lies elsewhere on this machine."""
    np.savez(tmp_path / "here.npz", H=np.ones((6, 16, 4), complex))
    gone = 'channel = { kind = "recorded", path = "gone.npz" }'
    text = studies.text.replace('channel   = { kind = "rayleigh" }', gone)
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")

    def load(*changes):
        return isacsim.load_scenario(tmp_path / "study.toml", set=changes)

    for change in ("users.channel.path='here.npz'", "users.channel={ kind='recorded', path='here.npz' }"):
        assert load(change).users.channel.path == tmp_path / "here.npz"
    stage = "hardware.converters.user.0.bits=0"
    for changes in ((), ("trials=3",), ("users.channel.path='nowhere.npz'",), ("users.count.x=1",), (stage,)):
        with pytest.raises(Invalid, match="users.channel.path: must be a file that exists"):
            load(*changes)
