"""The link of a precoder through hardware, worked out once and read by whoever judges it.

A precoder W leaves the transmit chains as ``x_q = A_t W s + q_t``. What follows depends on it
through two things alone, the effective precoder ``A_t W`` and the covariance D of q_t
(`Transmission`): user k receives ``h_k^H x_q + n_k`` and quantises it (`Reception`), the sensing
receiver gets ``A_r (G x_q + n) + q_r`` (`Echo`) [Xu25, eqs. (2)-(7)], with G + B in place of G where
there is a background B. A merit written on these records therefore is one of any hardware: a design
for hardware is the same merit behind another transmission.

`Link` joins them for the realisations of a drop and works each out when it is first read.
"""

from __future__ import annotations

from isacsim.link.echo import ADDRESSED, MODES, Echo, Mode, in_words
from isacsim.link.reception import Reception, band_reception
from isacsim.link.record import Link, WidebandLink, link_over
from isacsim.link.sent import IDEAL, Transmission, covariance, require_hardware, require_transceiver, transmission

__all__ = [
    "ADDRESSED",
    "IDEAL",
    "MODES",
    "Echo",
    "Link",
    "Mode",
    "Reception",
    "Transmission",
    "WidebandLink",
    "band_reception",
    "covariance",
    "in_words",
    "link_over",
    "require_hardware",
    "require_transceiver",
    "transmission",
]
