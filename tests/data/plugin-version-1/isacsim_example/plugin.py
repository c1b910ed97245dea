"""What this plugin offers; isacsim calls it through the entry point of the distribution."""

from collections.abc import Iterable

from isacsim.plugin import Spec, hookimpl


@hookimpl
def isacsim_hardware() -> Iterable[Spec]:
    """One hardware stage."""
    yield Spec(
        "soft-limiter",
        "isacsim_example.limiter:SoftLimiter",
        "Amplifier that clips the envelope",
        {"saturation_dbm": 3},
    )
