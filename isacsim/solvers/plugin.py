"""Registers the bundled solvers."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import SolverSpec


@hookimpl
def isacsim_solvers() -> Iterable[SolverSpec]:
    """Solvers."""
    yield SolverSpec(
        "sca",
        "isacsim.solvers.sum_rate_crlb.sca:Sca",
        "Successive convex approximation, monotone",
        default_for=("sum-rate-crlb",),
    )
