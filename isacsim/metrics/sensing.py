"""The radar SQNR and the CRB of the target response; `isacsim.link.Echo` has the sensing link and its modes.

Each figure is a function of an `Echo`; those on plain arrays work the echo out first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.batch import hermitian, spectrum_of
from isacsim.checks import finite_numbers, positive, sample_count
from isacsim.hardware.base import Transceiver, chain_power
from isacsim.link import IDEAL, Echo, Mode, transmission
from isacsim.targets.background import Background
from isacsim.typing import ComplexArray, FloatArray


def echo_of(
    G: Any,
    W: Any,
    radar_noise_power: Any,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "signal",
    background: Background | None = None,
) -> Echo:
    """The echo of a precoder through hardware.

    Args:
        G: Target response, shape (..., N_r, N_t).
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        radar_noise_power: Noise of each receive chain, broadcast to (...), in W.
        transceiver: The hardware.
        mode: What the receiver knows.
        background: What arrives beside the echo; None is nothing.

    Raises:
        InvalidInput: For an unknown mode, an argument that breaks a rule, or shapes that do not fit together.
    """
    finite_numbers("G", G, axes=2)
    positive("radar_noise_power", radar_noise_power)
    return Echo.of(G, transmission(W, transceiver), radar_noise_power, transceiver.receive, mode, background)


def radar_sqnr(
    G: Any, W: Any, radar_noise_power: Any, transceiver: Transceiver = IDEAL, background: Background | None = None
) -> FloatArray:
    """Radar SQNR ``tr(Q^-1 N)`` of [Xu25, eq. (9)], shape (...), linear.

    It is the mean over the symbols of the best symbol-dependent combiner, not the SQNR of
    one fixed combiner; for that see `radar_sqnr_combiner`. Arguments as in `echo_of`.
    """
    return sqnr(echo_of(G, W, radar_noise_power, transceiver, background=background))


def sqnr(echo: Echo) -> FloatArray:
    """`radar_sqnr` of an echo, shape (...), linear."""
    with np.errstate(over="ignore", invalid="ignore"):  # beyond the range of numbers it is infinite
        (known, first), (sent, second) = _scaled(echo.response_information), _scaled(echo.probing)
        value = np.trace(known @ sent, axis1=-2, axis2=-1).real
        return _of_echo(echo, np.maximum(value, 0.0) * first * second)  # of nothing, rounding may leave less than 0


def radar_sqnr_combiner(
    G: Any, W: Any, radar_noise_power: Any, transceiver: Transceiver = IDEAL, background: Background | None = None
) -> FloatArray:
    """Radar SQNR of the best fixed combiner, lambda_max(Q^-1 N), shape (...), linear.

    At most `radar_sqnr`, and equal to it for one point target. Arguments as in `echo_of`.
    """
    return combiner_sqnr(echo_of(G, W, radar_noise_power, transceiver, background=background))


def combiner_sqnr(echo: Echo) -> FloatArray:
    """`radar_sqnr_combiner` of an echo, shape (...), linear."""
    with np.errstate(over="ignore", invalid="ignore"):  # as in `sqnr`
        (known, first), (sent, second) = _scaled(echo.response_information), _scaled(echo.sent.precoder)
        spectrum = spectrum_of(hermitian(sent) @ known @ sent)  # same non-zero spectrum as Q^-1 N
        largest = spectrum[..., -1] if spectrum.shape[-1] else np.zeros(spectrum.shape[:-1])
        return _of_echo(echo, largest * first * second * second)


def _scaled(A: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """A (..., m, n) in units of about its largest entry, and the units (...): products do not overflow.

    The units are powers of two, so that they change no digit.
    """
    largest = np.abs(A).max(axis=(-2, -1), initial=0.0)
    unit = np.ldexp(1.0, np.frexp(np.where((largest > 0) & np.isfinite(largest), largest, 1.0))[1] - 1)
    return A / unit[..., None, None], unit


def _of_echo(echo: Echo, ratio: FloatArray) -> FloatArray:
    """A ratio to the noise; of noise so faint that nothing can be divided by it, infinite where there is an echo."""
    lost = np.isnan(ratio)
    if not lost.any():
        return ratio
    mean, noise = echo.mean, echo.noise if echo.diagonal else chain_power(echo.noise)
    sound = np.isfinite(mean).all(axis=(-2, -1)) & np.isfinite(noise).all(axis=-1)
    return np.where(lost & sound, np.where(mean.any(axis=(-2, -1)), np.inf, 0.0), ratio)


def response_crb(
    G: Any,
    W: Any,
    radar_noise_power: Any,
    snapshots: float,
    transceiver: Transceiver = IDEAL,
    mode: Mode = "signal",
    background: Background | None = None,
) -> FloatArray:
    """CRB on the target response, the sum of the mean squared errors of the entries of G, shape (...).

    From the information ``L P^T kron A_r^H C^-1 A_r`` about vec(G), where P is the covariance
    of what the receiver knows to arrive and C the noise behind the receive gain A_r. On ideal
    hardware it is ``(sigma_s^2 N_r / L) tr(R^-1)`` [Zhao26, problem (1)]; infinite where P is
    singular.

    Args:
        G: Target response, shape (..., N_r, N_t); it sets the distortion of the receive chains.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        radar_noise_power: Noise of each receive chain, broadcast to (...), in W.
        snapshots: Number of samples L, at least N_t for the covariance to be that of the samples.
        transceiver: The hardware.
        mode: What the receiver knows.
        background: What arrives beside the echo; None is nothing.
    """
    sample_count("snapshots", snapshots)
    return response_bound(echo_of(G, W, radar_noise_power, transceiver, mode, background), snapshots)


def response_bound(echo: Echo, snapshots: float) -> FloatArray:
    """`response_crb` of an echo, shape (...)."""
    spectrum = spectrum_of(echo.probing)
    regular = ~(spectrum[..., 0] <= spectrum.shape[-1] * np.finfo(float).eps * spectrum[..., -1])  # NaN stays NaN
    probing = (1 / np.where(regular[..., None], spectrum, 1.0)).sum(axis=-1)
    return np.where(regular, probing * echo.equivalent_noise() / snapshots, np.inf)
