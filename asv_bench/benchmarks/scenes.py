"""Seeded inputs that the benchmarks share."""

import numpy as np

import isacsim

# One fixed scene: the CRLB has infinite mean over randomly drawn ones.
AZIMUTH = (-0.73983273, -0.85380405)
ZENITH = (-0.65709508, -0.32345686)
REFLECTION = (0.0870197 + 6.2536e-5j, -0.03992069 + 0.117000274j)


def complex_gaussian(shape, seed=0):
    """CN(0, 1) entries."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def scene(antennas):
    """Two point targets, a transmit array of ``antennas`` (a multiple of 4) and a receive array of 5/4 as many."""
    rows = antennas // 4
    tx, rx = isacsim.UniformPlanarArray(4, rows), isacsim.UniformPlanarArray(5, rows)
    return isacsim.PointTargets(tx, rx, AZIMUTH, ZENITH, REFLECTION)


def sum_rate_crlb(antennas, batch, users=4):
    """Rayleigh channels at 10 dBm, noise of 0 dBm, and the fixed scene."""
    return isacsim.SumRateCrlb(
        H=complex_gaussian((batch, antennas, users)),
        targets=scene(antennas),
        power=1e-2,
        noise_power=1e-3,
        radar_noise_power=1e-3,
        snapshots=30,
        rate_weight=0.25,
        crlb_weight=1.0,
    )
