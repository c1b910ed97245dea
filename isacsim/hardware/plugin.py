"""Registers the bundled antenna arrays and elements, hardware stages and power models."""

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
def isacsim_elements() -> Iterable[Spec]:
    """Patterns of antenna elements."""
    home = "isacsim.elements"
    yield Spec("tr38901", f"{home}:Tr38901Element", "The element of TR 38.901, Table 7.3-1: 8 dBi, 65 degrees")
    yield Spec("cosine", f"{home}:CosineElement", "A power of the cosine off broadside", {"exponent": 3})
    angles, gains = [-90, -30, 30, 90], [[-20, -8, -20], [-2, 6, -2], [-2, 6, -2], [-20, -8, -20]]
    table = {"azimuth_deg": angles, "zenith_deg": [0, 90, 180], "gain_dbi": gains}
    yield Spec("measured", f"{home}:MeasuredElement", "A measured table of gains, interpolated", table)


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
