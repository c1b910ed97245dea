"""Antenna arrays and modulations of plugins: in scenarios, and held to their contracts."""

import math

import numpy as np
import pytest
from attrs import evolve, field, frozen

import isacsim
from isacsim import InvalidInput
from isacsim.arrays import AntennaArray, UniformLinearArray
from isacsim.checks import whole
from isacsim.cli.describe import describe
from isacsim.engine.reader import Reader
from isacsim.plugin import Spec, build_registry, hookimpl
from isacsim.testing import ContractError, check_array, check_component, check_modulation
from isacsim.waveform.link import SampledLink
from isacsim.waveform.modulation import Constellation, Gaussian, Modulation, Qam


@frozen
class Circle(AntennaArray):
    """Elements on an upright circle, half a wavelength apart."""

    elements: int = field(validator=whole(2))
    normalized: bool = True
    conjugate: bool = False

    @property
    def grid(self):
        angle = 2 * np.pi * np.arange(self.elements) / self.elements
        radius = 0.5 / np.sin(np.pi / self.elements)
        return radius * np.cos(angle), radius * np.sin(angle)

    @property
    def planar(self):
        return True


@frozen
class OnOff(Constellation):
    """Two points, one of them zero."""

    bits = 1
    scale: float = math.sqrt(2)

    def modulate(self, labels):
        return self.scale * np.asarray(labels, complex)

    def decide(self, z):
        return (np.real(z) > math.sqrt(0.5)).astype(np.uint8)

    def bit_error_rate(self, snr):
        return np.vectorize(lambda s: 0.5 * math.erfc(math.sqrt(s / 2)), otypes=[float])(snr)


class Plugin:
    @hookimpl
    def isacsim_arrays(self):
        yield Spec("circle", f"{__name__}:Circle", "A circle of elements", {"elements": 8})

    @hookimpl
    def isacsim_modulations(self):
        yield Spec("on-off", f"{__name__}:OnOff", "Two points")


REGISTRY = build_registry([Plugin()], installed=False)


@pytest.mark.parametrize(("kind", "name"), [("arrays", "circle"), ("modulations", "on-off")])
def test_a_plugins_array_and_modulation_keep_the_contract(kind, name):
    check_component(kind, name, REGISTRY)


def test_a_scenario_runs_with_an_array_and_a_modulation_of_a_plugin(study, tmp_path):
    sets = (
        'base_station.transmit_array={kind="circle", elements=9}',
        'evaluate.converters.experiments=[{kind="link", modulation="on-off", symbols=64, training=32}]',
        "trials=1",
        "sweep.bits.values=[3]",
        "figure={}",
    )
    scenario = study(*sets, registry=REGISTRY)
    assert scenario.base_station.transmit_array == Circle(9)
    run = isacsim.run(scenario, tmp_path / "run", registry=REGISTRY)
    assert run.failures() == []
    assert 0 <= run.dataset()["bit-error-rate"].values.mean() <= 1


def test_scenarios_name_modulations_as_before_and_in_tables():
    reader = Reader(build_registry(installed=False))
    for value in ("qam64", {"kind": "qam64"}, {"kind": "qam", "order": 64}):
        table = {"kind": "link", "modulation": value, "symbols": 64}
        assert reader.component("experiments", table) == SampledLink(modulation=Qam(64), symbols=64)
    with pytest.raises(InvalidInput, match="kind: must name one of the modulations, got 'on-off'"):
        reader.component("modulations", "on-off")  # another registry has it
    with pytest.raises(InvalidInput, match="order: is not a known key, got 4. qam64 takes none"):
        reader.component("modulations", {"kind": "qam64", "order": 4})


def test_show_tells_what_a_ready_record_is():
    told = describe(build_registry(installed=False), "modulations", "qam64")
    assert (told["doc"], told["fields"]) == ("QAM of 64 symbols: Qam(order=64)", [])


@frozen
class Off(UniformLinearArray):
    """A linear array with a fault."""

    fault: str = ""

    @property
    def planar(self):
        return False

    def steering_basis(self, azimuth, zenith=np.pi / 2):
        a, da, dz = super().steering_basis(azimuth, zenith)
        if self.fault == "norm":
            return 2 * a, 2 * da, 2 * dz
        if self.fault == "slope":
            return a, 1.001 * da, dz
        if self.fault == "zenith":
            return a, da, dz + 0.1 * a
        if self.fault == "sign":
            return a.conj(), da.conj(), dz.conj()
        if self.fault == "order":
            return a[..., ::-1], da[..., ::-1], dz[..., ::-1]
        if self.fault == "shape":
            return a[..., :-1], da, dz
        return a * (1 + np.mean(azimuth) * 1j) if self.fault == "members" else a, da, dz


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("norm", "must give steering vectors of unit norm, got"),
        ("slope", "must give the derivative in azimuth of its steering vectors, in 1/rad, got 0.000999 off"),
        ("zenith", "must give the derivative in zenith of its steering vectors"),
        ("sign", "must have phases by its `grid`, with the sign of `conjugate`, got .* off"),
        ("order", "must have phases by its `grid`"),
        ("shape", r"must give vectors and derivatives of shape \(3, 4\), got \(3, 3\)"),
    ],
)
def test_an_array_that_breaks_the_contract_is_refused(fault, rule):
    check_array(Off(4))
    with pytest.raises(ContractError, match=rule):
        check_array(Off(4, fault=fault))


def test_what_an_array_gives_for_one_direction_must_not_depend_on_the_others():
    with pytest.raises(ContractError, match="must give member 0 of a batch the steering vector it has alone"):
        check_array(Off(4, normalized=False, fault="members"))


@frozen
class Strong(Gaussian):
    """Symbols of too much power."""

    def draw(self, rng, shape):
        return 1.1 * super().draw(rng, shape)


@frozen
class Blocks(Modulation):
    """Symbols that are drawn part by part."""

    def draw(self, rng, shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


@frozen
class Optimist(OnOff):
    """Claims fewer errors than it makes."""

    def bit_error_rate(self, snr):
        return 0.8 * super().bit_error_rate(snr)


@frozen
class Deaf(OnOff):
    """Decides for zero."""

    def decide(self, z):
        return np.zeros(np.shape(z), np.uint8)


@pytest.mark.parametrize(
    ("modulation", "rule"),
    [
        (Strong(), "must draw symbols of unit mean power, got 1.2"),
        (Blocks(), "must draw symbols that two draws join to"),
        (Optimist(), "must make the bit errors of its closed form, got"),
        (Deaf(), "must decide for the label of each of its points"),
        (evolve(OnOff(), scale=1.0), "must draw symbols of unit mean power, got 0.49"),
    ],
)
def test_a_modulation_that_breaks_the_contract_is_refused(modulation, rule):
    with pytest.raises(ContractError, match=rule):
        check_modulation(modulation)
