"""What this plugin offers; isacsim calls it through the entry point of the distribution."""

from collections.abc import Iterable

from isacsim.api import SolverSpec, Spec, hookimpl

isacsim_api = 2


@hookimpl
def isacsim_hardware() -> Iterable[Spec]:
    """One hardware stage."""
    yield Spec(
        "soft-limiter",
        "isacsim_example.limiter:SoftLimiter",
        "Amplifier that clips the envelope",
        {"saturation_dbm": 3},
    )


@hookimpl
def isacsim_problems() -> Iterable[Spec]:
    """One problem, which decides on powers."""
    home = "isacsim_example.allocation:AllocationRequirements"
    yield Spec("power-allocation", home, "Share the power between zero-forcing beams")


@hookimpl
def isacsim_solvers() -> Iterable[SolverSpec]:
    """Its solver."""
    home = "isacsim_example.allocation:LogProgram"
    yield SolverSpec("log-program", home, "Exponential-cone program, certified", default_for=("power-allocation",))
