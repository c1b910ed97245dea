"""What designs for exact models gain over the honest baselines: merits that an independent program found.

The numbers are means over five channels, of a prototype with its own models (Gauss quadrature in the arc sine, Laguerre
series), its own merit and SciPy's L-BFGS-B. They were printed to four digits.
"""

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, Ideal, MidRise, PointTargets, SumRateCrlb, Transceiver, UniformPlanarArray
from isacsim.hardware.base import Hardware
from isacsim.link import Transmission

ANTENNAS, USERS, CHANNELS, POWER = 16, 4, 5, 0.1
ORDER = np.arange(ANTENNAS).reshape(4, 4).T.ravel()  # antennas of that program are kron(a_v, a_h)
DIGITS = 1.5e-4  # of printed means, and of optima that end at a residual of 1e-5
WEIGHTS, DRIVES = (0.25, 1.0, 4.0, 16.0, 64.0), 10 ** (np.arange(-9, 10, 0.25) / 20)  # of the ideal designs
BELIEVED = (0.5, 1.0, 2.0, 4.0)  # weights of the designs for the AQNM


def mixed(bits):
    """Two ideal chains among coarse ones."""
    return MidRise(np.where(ORDER < 2, np.inf, float(bits)))


def amplifiers():
    """Rapp amplifiers that saturate at the whole power together."""
    rf = pytest.importorskip("isacsim_rf.amplifiers", reason="the RF plugin is not installed")
    return rf.Rapp(POWER / ANTENNAS)


@attrs.frozen
class Row:
    """Hardware, whether each antenna has its share of power, and the merits: baseline, AQNM-aware, exact-aware."""

    transmit: object
    per_antenna: bool
    retuned: float
    for_aqnm: float | None
    exact: float


ROWS = {
    "1 bit": Row(MidRise(1), False, 1.2441, 1.3255, 1.3672),
    "2 bit": Row(MidRise(2), False, 2.6047, 2.6881, 2.7066),
    "3 bit": Row(MidRise(3), False, 3.7170, 3.7749, 3.7835),
    "4 bit": Row(MidRise(4), False, 4.5561, 4.5818, 4.5844),
    "1 bit, equal powers": Row(MidRise(1), True, 1.2419, 1.2827, 1.3247),
    "2 bit, equal powers": Row(MidRise(2), True, 2.6181, 2.6315, 2.6508),
    "3 bit, equal powers": Row(MidRise(3), True, 3.7223, 3.7255, 3.7344),
    "mixed 1 bit": Row(mixed(1), False, 1.4608, 1.8282, 1.9413),
    "mixed 2 bit": Row(mixed(2), False, 2.7518, 3.0685, 3.1004),
    "mixed 3 bit": Row(mixed(3), False, 3.8243, 4.0086, 4.0173),
    "mixed 1 bit, equal powers": Row(mixed(1), True, 1.4116, 1.4608, 1.5110),
    "mixed 2 bit, equal powers": Row(mixed(2), True, 2.7536, 2.7667, 2.7868),
    "amplifiers, free drive": Row(amplifiers, False, 3.1304, None, 3.2917),
}
FAST = "4 bit"


def problem(transmit, per_antenna, crlb_weight=1.0):
    """The five channels of the scene of [Fang25] behind transmit chains."""
    H = []
    for seed in range(1000, 1000 + CHANNELS):
        rng = np.random.default_rng(seed)
        parts = rng.standard_normal((ANTENNAS, USERS)), rng.standard_normal((ANTENNAS, USERS))
        H.append(((parts[0] + 1j * parts[1]) / np.sqrt(2))[ORDER])
    targets = PointTargets(
        UniformPlanarArray(4, 4), UniformPlanarArray(5, 4), [-0.73983273, -0.85380405], [-0.65709508, -0.32345686],
        [0.0870197 + 6.2536e-5j, -0.03992069 + 0.117000274j],
    )  # fmt: skip
    return SumRateCrlb(
        H=np.array(H), targets=targets, power=POWER, noise_power=1e-3, radar_noise_power=1e-3, snapshots=64,
        rate_weight=0.25, crlb_weight=crlb_weight, sensing_streams=0, per_antenna=per_antenna,
        transceiver=Transceiver(transmit=transmit),
    )  # fmt: skip


def fair(one, W):
    """Precoders as they may be sent: at full power, of each antenna or in all; or at some drives behind amplifiers."""
    sent = Transmission.of(W, one.transceiver.transmit)
    if not one.transceiver.transmit.scale_free:
        return [drive * W for drive in DRIVES]
    if one.per_antenna:
        return [W * np.sqrt(POWER / ANTENNAS / sent.antenna_power)[..., None]]
    return [W * np.sqrt(POWER / sent.power)[:, None, None]]


def best_of(one, believed: Hardware, weights):
    """The best merit of each channel that designs for other hardware reach, whose CRLB has one of the ``weights``."""
    found = []
    for weight in weights:
        W = isacsim.solve(problem(believed, one.per_antenna, weight)).precoder
        found += [one.objective(each) for each in fair(one, W)]
    return np.max(found, axis=0)


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in ROWS]
)
def test_awareness_is_worth_what_an_independent_program_found(name):
    row = ROWS[name]
    one = problem(row.transmit() if callable(row.transmit) else row.transmit, row.per_antenna)
    aware = isacsim.solve(one).objective
    assert aware.mean() >= row.exact - DIGITS  # local optima: better ones are welcome
    retuned = best_of(one, Ideal(), WEIGHTS)
    assert retuned.mean() == pytest.approx(row.retuned, abs=DIGITS)
    assert np.all(aware > retuned)
    if row.for_aqnm is not None:
        bits = one.transceiver.transmit.bits
        by_papers = best_of(one, Aqnm(bits, table="uniform"), BELIEVED)
        assert by_papers.mean() == pytest.approx(row.for_aqnm, abs=DIGITS)
        assert np.all(aware > by_papers)
