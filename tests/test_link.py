"""The link record: worked out once, whatever reads it; and the same numbers as the functions on plain arrays."""

import warnings

import attrs
import numpy as np
import pytest

from isacsim import Aqnm, InvalidInput, MidRise, Transceiver, metrics
from isacsim.engine.load import load_scenario
from isacsim.engine.plan import Plan, Task
from isacsim.engine.work import work
from isacsim.hardware.base import Ideal
from isacsim.hardware.chain import Chain
from isacsim.link import Link, Transmission
from isacsim.metrics.components import Metric, Quantity
from isacsim.metrics.power import radiating
from isacsim.plugin import build_registry
from isacsim.testing.examples import LOW_RESOLUTION, example_drop, example_precoder
from isacsim.waveform.base import Experiment
from isacsim.waveform.echoes import EchoModel
from isacsim.waveform.link import SampledLink
from isacsim.waveform.sensing import SampledEcho

METRICS = ("sum-rate-nats", "sqinr", "crlb", "crlb-parameters", "radar-sqnr", "radiated-power", "beampattern")


def test_all_measures_of_an_evaluation_share_one_linear_model_of_the_transmit_chains(studies, counted):
    registry, transmit = build_registry(installed=False), counted(MidRise(3))
    scenario = load_scenario(studies.FILE, registry=registry)
    evaluation = attrs.evolve(
        scenario.evaluate["converters"],
        power="designed",
        metrics=tuple(registry.load("metrics", name)() for name in METRICS),
        experiments=(SampledLink(symbols=8, training=4, gain="predicted"), SampledEcho(symbols=100)),
    )
    hardware = attrs.evolve(scenario.hardware["converters"], transmit=transmit)
    scenario = attrs.evolve(
        scenario, trials=3, hardware={"converters": hardware}, evaluate={"converters": evaluation}, sweep={}, figure={}
    )
    task = Task(Plan.of(scenario, registry).points, (0, 1, 2))
    transmit.asked.clear()  # the plan has rehearsed
    outcome = work(task, {})
    assert not outcome.failures
    assert transmit.asked == [(3, 16, 16)]


def test_scaling_to_a_radiated_power_leaves_its_last_linear_model_to_the_link(counted):
    transmit, drop = counted(MidRise(3)), example_drop()
    link = radiating(Link(example_precoder(drop), drop, Transceiver(transmit)), drop.power)
    np.testing.assert_allclose(link.sent.power, drop.power, rtol=1e-12)
    assert len(transmit.asked) == 2  # one finds the factor of a converter, one confirms it
    np.testing.assert_array_equal(link.sent.radiated, Transmission.of(link.W, transmit).radiated)


@pytest.mark.parametrize("hardware", [Transceiver(), LOW_RESOLUTION, Transceiver(Chain(Aqnm(4), Ideal()), Aqnm(2))])
def test_metrics_of_a_link_are_those_on_plain_arrays(hardware):
    drop = example_drop()
    W = example_precoder(drop)
    link, G = Link(W, drop, hardware), drop.targets.response()
    sensing = (G, W, drop.radar_noise_power, hardware)
    np.testing.assert_array_equal(link.users.sqinr, metrics.sqinr(drop.H, W, drop.noise_power, hardware))
    np.testing.assert_array_equal(link.sent.power, metrics.radiated_power(W, hardware.transmit))
    registry = build_registry(installed=False)
    for name, expected in {
        "radar-sqnr": metrics.radar_sqnr,
        "radar-sqnr-combiner": metrics.radar_sqnr_combiner,
    }.items():
        np.testing.assert_array_equal(registry.load("metrics", name)().value(link), expected(*sensing))


def test_members_share_the_transmission_and_see_their_own_realisation():
    drop = example_drop()
    link = Link(example_precoder(drop), drop, LOW_RESOLUTION)
    for i, one in enumerate(link.members()):
        assert one.sent.precoder.shape[0] == 1
        np.testing.assert_array_equal(one.users.sqinr, link.users.sqinr[i : i + 1])
        np.testing.assert_array_equal(one.echo.noise, link.echo.noise[i : i + 1])


def test_a_merit_is_one_of_the_effective_precoder_and_the_distortion():
    # A gain of one half and no distortion is ideal hardware behind half the amplitude.
    drop = example_drop()
    W = example_precoder(drop)
    halved = Transmission(W / 2, np.zeros(W.shape[:-1]), ideal=True)
    ideal = Transmission.of(W / 2, Ideal())
    np.testing.assert_array_equal(halved.radiated, ideal.radiated)
    np.testing.assert_allclose(halved.power, Transmission.of(W, Ideal()).power / 4, rtol=1e-15)


def test_what_the_receiver_knows_changes_reference_and_noise_of_one_echo():
    drop = example_drop()
    link = Link(example_precoder(drop), drop, LOW_RESOLUTION)
    known = link.echo.knowing("radiated")
    assert known.receive is link.echo.receive
    assert np.all(np.trace(known.probing - link.echo.probing, axis1=1, axis2=2).real > 0)
    assert known.noise.ndim == 2  # thermal noise and the distortion of each chain by itself
    assert link.echo.noise.ndim == 3
    assert EchoModel.expected(link.echo, 2).mean.shape == link.echo.mean.shape


def test_measures_of_the_old_signature_still_work_and_say_once_what_to_change():
    with pytest.warns(
        DeprecationWarning,
        match=r"Old.value.* use one that takes a link, and reads link.W, link.drop and link.transceiver",
    ):

        class Old(Metric):
            quantity = Quantity("old", "1")

            def value(self, W, drop, transceiver):
                return metrics.radiated_power(W, transceiver.transmit) / drop.power

    with pytest.warns(DeprecationWarning, match=r"Older.trial.* use one that takes a link"):

        class Older(Experiment):
            quantities = (Quantity("old", "1"),)

            def trial(self, W, drop, transceiver, rng):
                return {"old": metrics.radiated_power(W, transceiver.transmit) / drop.power}

    drop = example_drop()
    link = Link(example_precoder(drop), drop, LOW_RESOLUTION)
    rngs = [np.random.default_rng(i) for i in range(len(link.W))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for measure in (Old(), Older()):
            np.testing.assert_array_equal(measure.measure(link, rngs)["old"], link.sent.power / drop.power)


@pytest.mark.parametrize(("lead", "noise"), [((2,), (3, 1)), ((0, 2), (0, 1)), ((2,), (3, 2))])
def test_leading_axes_that_do_not_go_together_are_refused(kit, lead, noise):
    H, W = kit.complex_gaussian((*lead, 4, 2), 0), kit.complex_gaussian((*lead, 4, 2), 1)
    with pytest.raises(InvalidInput, match="H, W, noise_power: must have shapes that fit together"):
        metrics.rate_nats(H, W, np.ones(noise))
