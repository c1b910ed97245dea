"""What Python users mistype, or write in the wrong unit: an error that names what was meant, or a doubt."""

import warnings

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import InvalidInput, PlausibilityWarning, PluginError
from isacsim.plugin import Spec
from isacsim.testing import check_component

ARRAY = isacsim.UniformPlanarArray(2, 2)
H = np.eye(4, 2)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: isacsim.SqnrMax(H, np.eye(4), 1, 1, 1, radar_noise=1),
            r"SqnrMax\(\) got an unexpected keyword argument 'radar_noise'\. Did you mean 'radar_noise_power'\?",
        ),
        (lambda: isacsim.CrbMin(H, min_sqinr=1, power=1, noise_power=1), r"'min_sqinr'\. Did you mean 'min_sinr'\?"),
        (lambda: isacsim.PointCrbMin(H, target=None), r"'target'\. Did you mean 'targets'\?"),
        (lambda: isacsim.SumRateCrlb(H, None, crlb_wieght=1), r"'crlb_wieght'\. Did you mean 'crlb_weight'\?"),
        (lambda: isacsim.PointTargets(ARRAY, ARRAY, azimut=0), r"'azimut'\. Did you mean 'azimuth'\?"),
        (lambda: isacsim.UniformPlanarArray(2, verticl=2), r"'verticl'\. Did you mean 'vertical'\?"),
        (lambda: isacsim.Aqnm(bit=3), r"Aqnm\(\) got an unexpected keyword argument 'bit'\. Did you mean 'bits'\?"),
        (lambda: isacsim.Transceiver(transmitter=None), r"'transmitter'\. Did you mean 'transmit'\?"),
        (lambda: isacsim.Grid(16, 1e3, symbol=2), r"'symbol'\. Did you mean 'symbols'\?"),
        (lambda: isacsim.Users(2, nois=1), r"'nois'\. Did you mean 'noise'\?"),
        (lambda: attrs.evolve(ARRAY, spaceing=1), r"'spaceing'\. Did you mean 'spacing'\?"),
    ],
)
def test_a_mistyped_keyword_gets_a_suggestion(make, told):
    with pytest.raises(TypeError, match=told):
        make()


def test_other_errors_of_a_record_are_told_as_they_are():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'vertical'"):
        isacsim.UniformPlanarArray(2)
    with pytest.raises(InvalidInput, match="horizontal: must be a whole number"):
        isacsim.UniformPlanarArray(0, 2)


@pytest.mark.parametrize("how", ["second", "G", "targets"])
def test_sqnr_max_takes_targets_in_place_of_their_response(how):
    targets = isacsim.PointTargets(ARRAY, ARRAY, [0.3], [1.2], [0.2j])
    rest = {"min_sqinr": 1, "power": 1, "noise_power": 1, "radar_noise_power": 1}
    problem = isacsim.SqnrMax(H, targets, **rest) if how == "second" else isacsim.SqnrMax(H, **{how: targets}, **rest)
    np.testing.assert_array_equal(problem.G, targets.response())
    with pytest.raises(InvalidInput, match="targets: must not be given beside G"):
        isacsim.SqnrMax(H, targets, targets=targets, G=targets, **rest)


def test_angles_beyond_a_full_turn_are_doubted_and_can_be_silenced():
    with pytest.warns(PlausibilityWarning, match=r"azimuth: .* within a full turn, got 42\.0.*np\.deg2rad") as told:
        isacsim.PointTargets(ARRAY, ARRAY, [-42.0, 0.1], [1.2, 1.3], [0.1, 0.1])
    assert [(len(told), told[0].filename)] == [(1, __file__)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        isacsim.PointTargets(ARRAY, ARRAY, [-2 * np.pi, 0.1], [1.2, 1.3], [0.1, 0.1])
        warnings.simplefilter("ignore", PlausibilityWarning)
        isacsim.PointTargets(ARRAY, ARRAY, [-42.0, 0.1], [1.2, 1.3], [0.1, 0.1])


def test_powers_above_a_kilowatt_are_doubted_once_and_used_as_they_are(kit):
    problem = isacsim.SumRateCrlb(
        kit.complex_gaussian((4, 2), 0), isacsim.PointTargets(ARRAY, ARRAY, [0.3], [1.2], [0.2]),
        power=2000.0, noise_power=1e-13, radar_noise_power=1e-13, snapshots=10, rate_weight=1.0, crlb_weight=1.0,
    )  # fmt: skip
    with pytest.warns(PlausibilityWarning, match=r"power: should be at most 1000 W, got 2000\.0.*dBm") as told:
        isacsim.solve(problem, "mrt")
    assert len(told) == 1
    assert told[0].filename == __file__
    # Within a solve noises are the unit, and powers far beyond a kilowatt; nothing is doubted there.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        isacsim.solve(attrs.evolve(problem, power=1.0), "mrt")


def test_a_spec_states_the_sizes_that_its_contract_draws(tmp_path, kit):
    np.savez(tmp_path / "H.npz", H=kit.complex_gaussian((2, 8, 3), 0))

    class Plugin:
        isacsim_api = 2

        @staticmethod
        @isacsim.plugin.hookimpl
        def isacsim_channels():
            sizes = {"antennas": 8, "users": 3, "trials": 2}
            yield Spec("mine", "isacsim.channels.recorded:Recorded", "Mine", {"path": "H.npz"}, sizes=sizes)

    registry = isacsim.plugin.build_registry([Plugin()], installed=False)
    check_component("channels", "mine", registry, tmp_path)
    for sizes in ({"antenna": 8}, {"users": 0}, {"users": 2.0}, {"users": True}):
        with pytest.raises(PluginError, match="sizes: must be whole numbers of antennas, receive_antennas, users, tri"):
            Spec("mine", "a:B", sizes=sizes)


def test_a_scenario_of_such_a_power_is_doubted_where_it_is_made(study):
    with pytest.warns(
        PlausibilityWarning,
        match=r"base_station\.power_dbm: should be at most 1000 W, 60 dBm, got 70\.0\. Its unit is dBm",
    ):
        scenario = study("base_station.power_dbm=70", "trials=1", "sweep.bits.values=[3]", "figure={}")
    assert scenario.base_station.power == pytest.approx(1e4)
