"""Registers the bundled metrics."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_metrics() -> Iterable[Spec]:
    """Closed-form metrics."""
    home = "isacsim.metrics.components"
    yield Spec("sum-rate-nats", f"{home}:SumRateNats", "Sum rate of the users, nat/s/Hz")
    yield Spec("sum-rate-bits", f"{home}:SumRateBits", "Sum rate of the users, bit/s/Hz")
    yield Spec("rate-nats", f"{home}:RateNats", "Rate of each user, nat/s/Hz")
    yield Spec("sqinr", f"{home}:Sqinr", "SQINR of each user")
    yield Spec("subcarrier-power", f"{home}:SubcarrierPower", "Power out of the transmit chains on each subcarrier")
    yield Spec("radiated-spectrum", f"{home}:RadiatedSpectrum", "Power out of the transmit chains on all bins, W")
    yield Spec("adjacent-leakage", f"{home}:AdjacentLeakage", "Radiated power beside the band over that within")
    yield Spec("subcarrier-sqinr", f"{home}:SubcarrierSqinr", "SQINR of each user on each subcarrier of a grid")
    yield Spec("mean-sqinr", f"{home}:MeanSqinr", "Mean SQINR of the users")
    yield Spec("min-sqinr", f"{home}:MinSqinr", "Least SQINR of the users")
    yield Spec("sqinr-bound", f"{home}:SqinrBound", "Largest SQINR of each user, were it served alone")
    yield Spec("crlb", f"{home}:CrlbTrace", "Sum of the CRLBs of all target parameters")
    yield Spec("crlb-parameters", f"{home}:CrlbParameters", "CRLB of each target parameter")
    yield Spec("angle-rmse-bound", f"{home}:AngleRmseBound", "Least RMSE of the targets' angles, shown in degrees")
    yield Spec("range-rmse-bound", f"{home}:RangeRmseBound", "Least RMSE of the targets' ranges, m")
    yield Spec("velocity-rmse-bound", f"{home}:VelocityRmseBound", "Least RMSE of the targets' radial velocities, m/s")
    yield Spec("range-crlb", f"{home}:RangeCrlb", "CRLB of the range of each target, m^2")
    yield Spec("velocity-crlb", f"{home}:VelocityCrlb", "CRLB of the radial velocity of each target, m^2/s^2")
    yield Spec("radar-sqnr", f"{home}:RadarSqnr", "Radar SQNR, symbol-dependent combiner")
    yield Spec("radar-sqnr-combiner", f"{home}:RadarSqnrCombiner", "Radar SQNR of one fixed combiner")
    yield Spec("response-crb", f"{home}:ResponseCrb", "CRB on the target response")
    yield Spec("radiated-power", f"{home}:RadiatedPower", "Power out of the transmit chains, W")
    yield Spec("beampattern", f"{home}:Beampattern", "Radiated power toward each azimuth, W")
    yield Spec("energy-efficiency", f"{home}:EnergyEfficiency", "Rate over power drawn, bit/s/Hz/W")
