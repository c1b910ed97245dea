"""Registers the bundled metrics."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_metrics() -> Iterable[Spec]:
    """Closed-form metrics."""
    rooms = ("communication", "bounds", "band_bounds", "radiation")
    users, bounds, band, radiation = (f"isacsim.metrics.{room}" for room in rooms)
    yield Spec("sum-rate-nats", f"{users}:SumRateNats", "Sum rate of the users, nat/s/Hz")
    yield Spec("sum-rate-bits", f"{users}:SumRateBits", "Sum rate of the users, bit/s/Hz")
    yield Spec("rate-nats", f"{users}:RateNats", "Rate of each user, nat/s/Hz")
    yield Spec("sqinr", f"{users}:Sqinr", "SQINR of each user")
    yield Spec("subcarrier-power", f"{radiation}:SubcarrierPower", "Radiated power on each subcarrier, W")
    yield Spec("radiated-spectrum", f"{radiation}:RadiatedSpectrum", "Radiated power on all bins, W")
    mask = {"offset_hz": [1e5, 1e6], "limit_db": [-20.0, -40.0]}
    yield Spec("spectral-mask", f"{radiation}:SpectralMask", "Power that a mask allows on all bins, W", mask)
    yield Spec("mask-margin", f"{radiation}:MaskMargin", "Least distance from a spectral mask", mask)
    yield Spec("adjacent-leakage", f"{radiation}:AdjacentLeakage", "Radiated power beside the band over that within")
    yield Spec("subcarrier-sqinr", f"{users}:SubcarrierSqinr", "SQINR of each user on each subcarrier of a grid")
    yield Spec("mean-sqinr", f"{users}:MeanSqinr", "Mean SQINR of the users")
    yield Spec("min-sqinr", f"{users}:MinSqinr", "Least SQINR of the users")
    yield Spec("sqinr-bound", f"{users}:SqinrBound", "Largest SQINR of each user, were it served alone")
    yield Spec("crlb", f"{bounds}:CrlbTrace", "Sum of the CRLBs of all target parameters")
    yield Spec("crlb-parameters", f"{bounds}:CrlbParameters", "CRLB of each target parameter")
    yield Spec("angle-rmse-bound", f"{bounds}:AngleRmseBound", "Least RMSE of the targets' angles, shown in degrees")
    yield Spec("range-rmse-bound", f"{band}:RangeRmseBound", "Least RMSE of the targets' ranges, m")
    yield Spec("velocity-rmse-bound", f"{band}:VelocityRmseBound", "Least RMSE of the radial velocities, m/s")
    yield Spec("range-crlb", f"{band}:RangeCrlb", "CRLB of the range of each target, m^2")
    yield Spec("velocity-crlb", f"{band}:VelocityCrlb", "CRLB of each radial velocity, m^2/s^2")
    yield Spec("radar-sqnr", f"{bounds}:RadarSqnr", "Radar SQNR, symbol-dependent combiner")
    yield Spec("radar-sqnr-combiner", f"{bounds}:RadarSqnrCombiner", "Radar SQNR of one fixed combiner")
    yield Spec("response-crb", f"{bounds}:ResponseCrb", "CRB on the target response")
    yield Spec("radiated-power", f"{radiation}:RadiatedPower", "Power out of the transmit chains, W")
    yield Spec("beampattern", f"{radiation}:Beampattern", "Radiated power toward each azimuth, W")
    yield Spec("energy-efficiency", f"{radiation}:EnergyEfficiency", "Rate over power drawn, bit/s/Hz/W")
