"""Every metric gives member i of a batch the bytes it has alone, and never writes into its input."""

import numpy as np
import pytest
from attrs import frozen

from isacsim import Aqnm, Chain, Drop, Hardware, Ideal, MidRise, PointTargets, Transceiver, metrics
from isacsim.hardware.base import estimate_linear_model
from isacsim.link import Link, link_over
from isacsim.metrics.bounds import CrlbParameters, CrlbTrace
from isacsim.metrics.components import Metric
from isacsim.metrics.radiation import Beampattern, EnergyEfficiency
from isacsim.plugin import build_registry
from isacsim.testing.examples import example_component, example_wideband_drop


@frozen
class Clipper(Hardware):
    """Device with `apply` alone, whose model is estimated."""

    def apply(self, x, rng=None, *, power=None):
        return np.clip(np.real(x), -0.5, 0.5) + 1j * np.clip(np.imag(x), -0.5, 0.5)

    def linear_model(self, R):
        return estimate_linear_model(self, R)  # diagonal, as the bound of the SQINR asks for


TRANSCEIVERS = {
    "ideal": Transceiver(),
    "uniform": Transceiver(Aqnm(3), Aqnm(2), Aqnm(4)),
    "mixed": Transceiver(Aqnm([1, 2, 3, 4, 5, np.inf]), MidRise([1, 2, 3] * 3), MidRise([1, np.inf])),
    "chains": Transceiver(Chain(Aqnm(3), Clipper()), Chain(Clipper(), Aqnm(2)), Ideal()),
}
MEMBERS = 5


@pytest.fixture(params=sorted(TRANSCEIVERS))
def transceiver(request):
    return TRANSCEIVERS[request.param]


@pytest.fixture(params=["own scenes", "one scene"])
def drop(request, kit):
    scene = kit.make_scene(2, seed=1, batch=() if request.param == "one scene" else (MEMBERS,))
    return Drop(
        H=kit.complex_gaussian((MEMBERS, 6, 2), 2),
        targets=scene,
        tx_array=scene.tx_array,
        rx_array=scene.rx_array,
        power=np.linspace(0.5, 1.5, MEMBERS),
        noise_power=np.linspace(0.1, 1.0, 2 * MEMBERS).reshape(MEMBERS, 2),
        radar_noise_power=np.linspace(0.01, 0.1, MEMBERS),
        snapshots=30,
    )


def member(drop, i):
    """One realisation of a drop, without leading axes."""
    t = drop.targets
    angles = [x if x.ndim == 1 else x[i] for x in (t.azimuth, t.zenith, t.reflection)]
    return Drop(
        H=drop.H[i],
        targets=PointTargets(t.tx_array, t.rx_array, *angles),
        tx_array=drop.tx_array,
        rx_array=drop.rx_array,
        power=drop.power[i],
        noise_power=drop.noise_power[i],
        radar_noise_power=drop.radar_noise_power[i],
        snapshots=drop.snapshots,
    )


FUNCTIONS = {
    "covariance": lambda W, d, t: metrics.covariance(W),
    "sinr": lambda W, d, t: metrics.sinr(d.H, W, d.noise_power),
    "sqinr": lambda W, d, t: metrics.sqinr(d.H, W, d.noise_power, t),
    "rate_nats": lambda W, d, t: metrics.rate_nats(d.H, W, d.noise_power, t),
    "rate_bits": lambda W, d, t: metrics.rate_bits(d.H, W, d.noise_power, t),
    "sum_rate": lambda W, d, t: metrics.sum_rate(d.H, W, d.noise_power, t),
    "sum_rate_bits": lambda W, d, t: metrics.sum_rate_bits(d.H, W, d.noise_power, t),
    "fim": lambda W, d, t: metrics.fim(d.targets, W, d.radar_noise_power, d.snapshots, t),
    "crlb": lambda W, d, t: metrics.crlb(d.targets, W, d.radar_noise_power, d.snapshots, t, "radiated"),
    "radar_sqnr": lambda W, d, t: metrics.radar_sqnr(d.targets.response(), W, d.radar_noise_power, t),
    "radar_sqnr_combiner": lambda W, d, t: metrics.radar_sqnr_combiner(d.targets.response(), W, d.radar_noise_power, t),
    "response_crb": lambda W, d, t: metrics.response_crb(
        d.targets.response(), W, d.radar_noise_power, d.snapshots, t, "radiated"
    ),
    "antenna_power": lambda W, d, t: metrics.antenna_power(W, t.transmit),
    "radiated_power": lambda W, d, t: metrics.radiated_power(W, t.transmit),
    "beampattern": lambda W, d, t: metrics.beampattern(W, d.tx_array, np.linspace(-1, 1, 7), 1.3, t.transmit),
    "rescale_to_radiated": lambda W, d, t: metrics.rescale_to_radiated(W, t.transmit, 0.7 * d.power),
    "sqinr_bound": lambda W, d, t: metrics.sqinr_bound(d.H, d.power, d.noise_power, t),
    "single_user_precoder": lambda W, d, t: metrics.single_user_precoder(d.H, d.power, d.noise_power, t),
    "energy_efficiency": lambda W, d, t: metrics.energy_efficiency(d.noise_power.sum(-1), d.power, d.power),
}


def test_every_public_metric_is_in_this_file():
    of_hardware_alone = {"sqinr_ceiling"}  # which has no leading axes
    assert set(FUNCTIONS) | of_hardware_alone == set(metrics.__all__)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_member_of_a_batch_has_the_bytes_it_has_alone(kit, name, drop, transceiver):
    W = kit.complex_gaussian((MEMBERS, 6, 3), 3)
    before = W.tobytes()
    together = FUNCTIONS[name](W, drop, transceiver)
    for i in range(MEMBERS):
        alone = FUNCTIONS[name](W[i], member(drop, i), transceiver)
        assert kit.raw_bytes(together[i]) == kit.raw_bytes(alone)
    assert W.tobytes() == before


COMPONENTS = build_registry(installed=False).names("metrics")


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_registered_metric_records_what_it_says(kit, name, drop):
    measure = example_component("metrics", name, build_registry(installed=False))
    assert isinstance(measure, Metric)
    if measure.wideband:
        drop = example_wideband_drop(MEMBERS)
    *band, antennas, _ = drop.H.shape[1:]
    W = kit.complex_gaussian((MEMBERS, *band, antennas, antennas), 3)  # so many streams make a regular covariance
    transceiver = Transceiver(Aqnm(3), Aqnm(2), Aqnm(4))
    values = measure.measure(link_over(W, drop, transceiver), kit.generators(range(MEMBERS)))
    (quantity,) = measure.quantities
    assert list(values) == [quantity.name]
    assert quantity.name == name
    assert quantity.unit
    value = values[name]
    assert value.shape[0] == MEMBERS
    assert value.ndim == 1 + len(quantity.dims)
    assert np.all(np.isfinite(value))
    labels = measure.labels(drop)
    for axis, size in zip(quantity.dims, value.shape[1:], strict=True):
        assert len(labels.get(axis, range(size))) == size


EXPECTED = {
    "sum-rate-nats": FUNCTIONS["sum_rate"],
    "sum-rate-bits": FUNCTIONS["sum_rate_bits"],
    "rate-nats": FUNCTIONS["rate_nats"],
    "sqinr": FUNCTIONS["sqinr"],
    "radar-sqnr": FUNCTIONS["radar_sqnr"],
    "radar-sqnr-combiner": FUNCTIONS["radar_sqnr_combiner"],
    "radiated-power": FUNCTIONS["radiated_power"],
    "response-crb": lambda W, d, t: metrics.response_crb(d.targets.response(), W, d.radar_noise_power, d.snapshots, t),
    "crlb-parameters": lambda W, d, t: metrics.crlb(d.targets, W, d.radar_noise_power, d.snapshots, t),
    "crlb": lambda W, d, t: metrics.crlb(d.targets, W, d.radar_noise_power, d.snapshots, t).sum(axis=-1),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_registered_metric_is_the_function_of_its_name(kit, name, drop, transceiver):
    W = kit.complex_gaussian((MEMBERS, 6, 3), 3)
    value = build_registry(installed=False).load("metrics", name)().value(Link(W, drop, transceiver))
    assert kit.raw_bytes(value) == kit.raw_bytes(EXPECTED[name](W, drop, transceiver))


def test_options_of_metrics_reach_the_functions(kit, drop):
    W, transceiver = kit.complex_gaussian((MEMBERS, 6, 3), 3), TRANSCEIVERS["uniform"]
    radar = drop.targets, W, drop.radar_noise_power, drop.snapshots, transceiver
    np.testing.assert_array_equal(
        CrlbParameters(mode="radiated").value(Link(W, drop, transceiver)), metrics.crlb(*radar, "radiated")
    )
    grid = Beampattern(azimuth=[0.1, 0.2], zenith=1.2)
    expected = metrics.beampattern(W, drop.tx_array, [0.1, 0.2], 1.2, transceiver.transmit)
    np.testing.assert_array_equal(grid.value(Link(W, drop, transceiver)), expected)
    assert grid.labels(drop) == {"azimuth": [0.1, 0.2]}
    parameters = CrlbParameters().labels(drop)["parameter"]
    assert list(parameters)[:3] == ["azimuth[0]", "azimuth[1]", "zenith[0]"]


def test_energy_efficiency_counts_both_rates_and_all_consumers(kit, drop):
    W, transceiver = kit.complex_gaussian((MEMBERS, 6, 3), 3), TRANSCEIVERS["uniform"]
    measure = EnergyEfficiency()
    rate = FUNCTIONS["sum_rate_bits"](W, drop, transceiver) + np.log2(1 + FUNCTIONS["radar_sqnr"](W, drop, transceiver))
    drawn = measure.power_model.consumption(transceiver, 6, 9, 2, drop.power)
    np.testing.assert_allclose(measure.value(Link(W, drop, transceiver)), rate / drawn, rtol=1e-12)


def test_an_unknown_mode_of_a_bound_is_refused():
    with pytest.raises(ValueError, match="mode"):
        CrlbTrace(mode="y")
