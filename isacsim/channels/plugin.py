"""Registers the bundled user channel models."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_channels() -> Iterable[Spec]:
    """User channel models."""
    yield Spec("rayleigh", "isacsim.channels.models:Rayleigh", "Independent Rayleigh fading")
    yield Spec("rician", "isacsim.channels.models:Rician", "Line of sight plus Rayleigh scattering", {"k_factor_db": 6})
    wide = "isacsim.channels.wideband"
    delays = {"profile": "C", "delay_spread_s": 100e-9}
    yield Spec("tdl", f"{wide}:Tdl", "Tapped delay lines of TR 38.901, frequency-selective", delays)
    yield Spec("cdl", "isacsim.channels.clustered:Cdl", "Clustered delay lines of TR 38.901, with directions", delays)
    yield Spec(
        "exponential",
        f"{wide}:Exponential",
        "Taps of exponentially falling power, frequency-selective",
        {"delay_spread_s": 100e-9},
    )
    near = "isacsim.channels.correlated"
    yield Spec(
        "kronecker", f"{near}:Kronecker", "Antennas correlated as a matrix or a coefficient says", {"correlation": 0.7}
    )
    ring = {"azimuth_deg": 20, "spread_deg": 10}
    yield Spec("one-ring", f"{near}:OneRing", "Scattering from a range of directions about each user", ring)
    urban = {"channel": "rayleigh", "distance_m": 100, "carrier_hz": 28e9}
    yield Spec("path-loss", "isacsim.channels.pathloss:PathLoss", "Urban path loss and shadowing of TR 38.901", urban)
    yield Spec("fang25", "isacsim.channels.fang25:Fang25", "The very channels of the published code of [Fang25]")
    yield Spec(
        "recorded", "isacsim.channels.recorded:Recorded", "Read from .npz, .npy, .mat or HDF5", {"path": "channels.npz"}
    )
