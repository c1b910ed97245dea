"""Registers the bundled target models."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_targets() -> Iterable[Spec]:
    """Target models."""
    one = {"azimuth_deg": 20, "zenith_deg": 70, "reflection": "0.1+0.05j"}
    two = {"azimuth_deg": [-42, 20], "zenith_deg": [38, 71], "reflection": [0.09, "-0.04+0.1j"]}
    yield Spec("point", "isacsim.targets.models:PointTarget", "One fixed point target", one)
    yield Spec("points", "isacsim.targets.models:FixedPoints", "Several fixed point targets", two)
    far = {
        "azimuth_deg": [-42, 20],
        "zenith_deg": [60, 71],
        "range_m": [80, 150],
        "rcs_dbsm": [0, 10],
        "carrier_hz": 28e9,
    }
    yield Spec("radar", "isacsim.targets.radar:RadarTargets", "Point targets by range and cross-section", far)
    yield Spec("extended", "isacsim.targets.models:ExtendedTarget", "Gaussian response of an extended target")
