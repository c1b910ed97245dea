"""Figures of merit as pure functions of arrays with leading batch axes."""

from isacsim.link import covariance
from isacsim.metrics.attainable import single_user_precoder, sqinr_bound, sqinr_ceiling
from isacsim.metrics.fim import crlb, fim
from isacsim.metrics.power import antenna_power, beampattern, energy_efficiency, radiated_power, rescale_to_radiated
from isacsim.metrics.rate import rate_bits, rate_nats, sinr, sqinr, sum_rate, sum_rate_bits
from isacsim.metrics.sensing import radar_sqnr, radar_sqnr_combiner, response_crb

__all__ = [
    "antenna_power",
    "beampattern",
    "covariance",
    "crlb",
    "energy_efficiency",
    "fim",
    "radar_sqnr",
    "radar_sqnr_combiner",
    "radiated_power",
    "rate_bits",
    "rate_nats",
    "rescale_to_radiated",
    "response_crb",
    "single_user_precoder",
    "sinr",
    "sqinr",
    "sqinr_bound",
    "sqinr_ceiling",
    "sum_rate",
    "sum_rate_bits",
]
