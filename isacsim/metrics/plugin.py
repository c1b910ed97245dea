"""Registers the bundled metrics."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import Spec

isacsim_api = 2


@hookimpl
def isacsim_metrics() -> Iterable[Spec]:
    """Closed-form metrics."""
    home = "isacsim.metrics"
    yield Spec("sum-rate-nats", f"{home}.communication:SumRateNats", "Sum rate of the users, nat/s/Hz")
    yield Spec("sum-rate-bits", f"{home}.communication:SumRateBits", "Sum rate of the users, bit/s/Hz")
    yield Spec("rate-nats", f"{home}.communication:RateNats", "Rate of each user, nat/s/Hz")
    yield Spec("sqinr", f"{home}.communication:Sqinr", "SQINR of each user")
    yield Spec(
        "subcarrier-power", f"{home}.radiation:SubcarrierPower", "Power out of the transmit chains on each subcarrier"
    )
    yield Spec(
        "radiated-spectrum", f"{home}.radiation:RadiatedSpectrum", "Power out of the transmit chains on all bins, W"
    )
    mask = {"offset_hz": [1e5, 1e6], "limit_db": [-20.0, -40.0]}
    yield Spec("spectral-mask", f"{home}.radiation:SpectralMask", "Power that a mask allows on all bins, W", mask)
    yield Spec("mask-margin", f"{home}.radiation:MaskMargin", "Least distance from a spectral mask", mask)
    yield Spec(
        "adjacent-leakage", f"{home}.radiation:AdjacentLeakage", "Radiated power beside the band over that within"
    )
    yield Spec(
        "subcarrier-sqinr", f"{home}.communication:SubcarrierSqinr", "SQINR of each user on each subcarrier of a grid"
    )
    yield Spec("mean-sqinr", f"{home}.communication:MeanSqinr", "Mean SQINR of the users")
    yield Spec("min-sqinr", f"{home}.communication:MinSqinr", "Least SQINR of the users")
    yield Spec("sqinr-bound", f"{home}.communication:SqinrBound", "Largest SQINR of each user, were it served alone")
    yield Spec("crlb", f"{home}.bounds:CrlbTrace", "Sum of the CRLBs of all target parameters")
    yield Spec("crlb-parameters", f"{home}.bounds:CrlbParameters", "CRLB of each target parameter")
    yield Spec(
        "angle-rmse-bound", f"{home}.bounds:AngleRmseBound", "Least RMSE of the targets' angles, shown in degrees"
    )
    yield Spec("range-rmse-bound", f"{home}.band_bounds:RangeRmseBound", "Least RMSE of the targets' ranges, m")
    yield Spec(
        "velocity-rmse-bound",
        f"{home}.band_bounds:VelocityRmseBound",
        "Least RMSE of the targets' radial velocities, m/s",
    )
    yield Spec("range-crlb", f"{home}.band_bounds:RangeCrlb", "CRLB of the range of each target, m^2")
    yield Spec(
        "velocity-crlb", f"{home}.band_bounds:VelocityCrlb", "CRLB of the radial velocity of each target, m^2/s^2"
    )
    yield Spec("radar-sqnr", f"{home}.bounds:RadarSqnr", "Radar SQNR, symbol-dependent combiner")
    yield Spec("radar-sqnr-combiner", f"{home}.bounds:RadarSqnrCombiner", "Radar SQNR of one fixed combiner")
    yield Spec("response-crb", f"{home}.bounds:ResponseCrb", "CRB on the target response")
    yield Spec("radiated-power", f"{home}.radiation:RadiatedPower", "Power out of the transmit chains, W")
    yield Spec("beampattern", f"{home}.radiation:Beampattern", "Radiated power toward each azimuth, W")
    yield Spec("energy-efficiency", f"{home}.radiation:EnergyEfficiency", "Rate over power drawn, bit/s/Hz/W")
