"""Registers the bundled antenna arrays, hardware stages and power models."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_arrays() -> Iterable[Spec]:
    """Antenna arrays."""
    yield Spec(
        "upa",
        "isacsim.arrays:UniformPlanarArray",
        "Uniform planar array",
        {"horizontal": 4, "vertical": 4},
    )
    yield Spec("ula", "isacsim.arrays:UniformLinearArray", "Uniform linear array", {"elements": 8})
    places = {"across": [0, 0.5, 1.1, 1.9], "up": [0, 0.5, 0, 0.4]}
    yield Spec("placed", "isacsim.arrays:PlacedArray", "Elements at any places in a plane", places)


@hookimpl
def isacsim_hardware() -> Iterable[Spec]:
    """Hardware stages."""
    yield Spec("ideal", "isacsim.hardware.base:Ideal", "Changes nothing")
    yield Spec("aqnm", "isacsim.hardware.quantisers:Aqnm", "Converter of few bits, modelled by the AQNM", {"bits": 3})
    yield Spec("mid-rise", "isacsim.hardware.quantisers:MidRise", "Uniform mid-rise quantiser", {"bits": 3})


@hookimpl
def isacsim_power_models() -> Iterable[Spec]:
    """Power models."""
    yield Spec("converters", "isacsim.hardware.power:ConverterPower", "Converters, RF chains, oscillator, amplifier")
