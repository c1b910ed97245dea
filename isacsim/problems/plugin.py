"""Registers the bundled design problems."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec


@hookimpl
def isacsim_problems() -> Iterable[Spec]:
    """Design problems."""
    home = "isacsim.problems.sum_rate_crlb"
    yield Spec("sum-rate-crlb", f"{home}:SumRateCrlbRequirements", "Balance sum rate and CRLB of point targets")
