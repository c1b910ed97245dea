"""Registers the bundled design problems."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_problems() -> Iterable[Spec]:
    """Design problems."""
    home = "isacsim.problems.sum_rate_crlb"
    weights = {"rate_weight": 0.25, "crlb_weight": 1.0}
    yield Spec("sum-rate-crlb", f"{home}:SumRateCrlbWeights", "Balance sum rate and CRLB of points", weights)
    home = "isacsim.problems.crb_min"
    yield Spec(
        "crb-min", f"{home}:CrbMinRequirements", "Minimise the CRB of the response under SINRs", {"min_sinr_db": 8}
    )
    home = "isacsim.problems.sqnr_max"
    yield Spec("sqnr-max", f"{home}:SqnrMaxRequirements", "Maximise the radar SQNR under SQINRs", {"min_sqinr_db": 5})
    home = "isacsim.problems.point_crb_min"
    asked = {"min_sinr_db": 5}
    yield Spec("point-crb-min", f"{home}:PointCrbMinRequirements", "Minimise the CRLBs of angles under SINRs", asked)
    home = "isacsim.problems.band_sum_rate_crlb"
    told = "Balance sum rate and CRLB of moving points over all subcarriers"
    yield Spec("band-sum-rate-crlb", f"{home}:BandSumRateCrlbWeights", told, weights)
