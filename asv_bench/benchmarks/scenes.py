"""Seeded inputs that the benchmarks share."""

import importlib

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


def needed(target):
    """What ``package.module:Name`` stands for; a version without it skips the benchmark."""
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise NotImplementedError(f"this version has no {target}") from None


def precoder(antennas, streams, batch, power=1e-2):
    """Random precoders of full power, (batch, N_t, streams)."""
    W = complex_gaussian((batch, antennas, streams), 1)
    return W * np.sqrt(power) / np.linalg.norm(W, axis=(-2, -1), keepdims=True)


def low_resolution(bits):
    """Converters of so many bits everywhere; infinity is ideal hardware."""
    return isacsim.Transceiver(*([isacsim.Ideal() if bits == np.inf else isacsim.Aqnm(bits)] * 3))
