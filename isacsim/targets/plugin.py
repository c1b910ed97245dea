"""Registers the bundled target models."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec


@hookimpl
def isacsim_targets() -> Iterable[Spec]:
    """Target models."""
    yield Spec("point", "isacsim.targets.models:PointTarget", "One fixed point target")
    yield Spec("points", "isacsim.targets.models:FixedPoints", "Several fixed point targets")
    yield Spec("extended", "isacsim.targets.models:ExtendedTarget", "Gaussian response of an extended target")
