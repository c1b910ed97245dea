"""Digital predistortion: a stage that undoes an amplifier behind it, up to a ceiling.

The amplifier maps amplitudes a to b(a) and turns them by theta(a), with the gain g of small signals. In front of it

*inverse*: the amplitude r becomes ``b^-1(|g| r)``, turned by ``theta(0) - theta(b^-1(|g| r))``: both together are the
linear gain g up to the ceiling, and a limiter there.

*polynomial*: ``sum_k c_k x |x|^(2k)``, whose coefficients are learnt indirectly [Eun97]: the same polynomial behind the
amplifier would give back what went into it, in the least squares of a Gaussian signal.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.api import (
    AnyArray,
    ComplexArray,
    Envelopes,
    FloatArray,
    Hardware,
    InvalidInput,
    LinearModel,
    choice,
    exact_model,
    exact_vjp,
    instance,
    number,
    squared,
    whole,
)
from isacsim_rf.chains import covariance, samples

SCANNED = 10 ** np.arange(-12, 12.001, 0.005)  # W of input, 0.05 dB apart, in which the largest output is looked for
TURNS = np.exp(1j * np.array([0.0, 0.3, 1.1, 2.6]))  # at which a device must do the same
ALIKE = 1e-9  # of the output
NODES = 4097  # of the inverse curve, whose cubics are 1e-11 off for smooth amplifiers
BISECTIONS = 60
LARGEST = 0.999  # ceiling
ROUNDS = 6  # of indirect learning: the third changes next to nothing
TRAINED = 400  # amplitudes that a polynomial is fitted at


def _share(_instance: Any, attribute: Any, value: Any) -> None:
    if not (isinstance(value, (int, float)) and 0 < value <= LARGEST):
        remedy = "Stay a tenth of a decibel below: a saturated amplifier would be driven without end."
        raise InvalidInput(attribute.name, f"must lie between 0 and {LARGEST:g}", value, remedy)


@frozen(slots=False)
class Predistorter(Hardware):
    """Predistorter of a memoryless device that turns with its input: ``rapp``, ``saleh``, a measured amplifier.

    It stands before the device in a chain, and both are one map: the gain of small signals up to the ceiling. What
    would be above is clipped: back-off, ``ceiling`` and clipping are the price of linearity.

    Args:
        device: The device that follows; in a scenario its table, or a list of them in series.
        method: ``inverse``, the inverse of its curves, or ``polynomial``, learnt indirectly.
        ceiling: Largest output of both, as a share of the largest output power of the device, below 1.
        orders: Number of odd orders of the polynomial.
        training: Power of the Gaussian signal that the polynomial is fitted for, at the input of the predistorter,
            in W; None is 6 dB below the input at which the ceiling is met.
    """

    device: Hardware = field(validator=instance(Hardware))
    method: Literal["inverse", "polynomial"] = field(default="inverse", validator=choice("inverse", "polynomial"))
    ceiling: float = field(default=10**-0.05, validator=_share, metadata=units.db())
    orders: int = field(default=5, validator=whole(1))
    training: float | None = field(default=None, validator=number(above=0, optional=True), metadata=units.dbm())

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Predistorted samples; nothing is random."""
        x = samples(x)
        return x * self.envelopes(x.shape[-2]).response(squared(x))

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain and covariance of the distortion of the predistorter alone, for R (..., N, N), in W."""
        return exact_model(self.envelopes(covariance(R).shape[-1]), R)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """By the next order of the expansion."""
        return exact_vjp(self.envelopes(covariance(R).shape[-1]), R, gain, distortion)

    @property
    def scalar(self) -> bool:
        """Always true."""
        return True

    def envelopes(self, chains: int) -> Envelopes:
        """Complex gain of samples by their power, and where it bends."""
        fits: dict[int, Envelopes] = self.__dict__.setdefault("fits", {})  # of each number of chains, once
        if chains not in fits:
            fits[chains] = _Fit(self, chains).envelopes
        return fits[chains]

    def __getstate__(self) -> dict[str, Any]:
        """The record without its fits, which cannot be sent to a worker and are soon found again."""
        return {name: value for name, value in self.__dict__.items() if name != "fits"}


class _Fit:
    """The fit of a predistorter to the chains of its device."""

    def __init__(self, stage: Predistorter, chains: int) -> None:
        self.stage, self.chains = stage, chains

    def output(self, amplitude: FloatArray) -> ComplexArray:
        """What the device makes of real amplitudes (N, n)."""
        return self.stage.device.apply(amplitude.astype(complex), None)

    @cached_property
    def reach(self) -> tuple[FloatArray, FloatArray]:
        """Input and output amplitude (N,) of the device at the ceiling."""
        a = np.sqrt(SCANNED) * np.ones((self.chains, 1))
        b = np.abs(self._circular(a))
        top = b.max(axis=-1)
        if np.any(b.argmax(axis=-1) == SCANNED.size - 1) and np.any(b[:, -1] > b[:, -2] * (1 + ALIKE)):
            remedy = "A device whose output grows for ever needs no predistorter."
            raise InvalidInput("device", "must have a largest output", self.stage.device, remedy)
        wanted = np.sqrt(self.stage.ceiling) * top
        first = (b >= wanted[:, None]).argmax(axis=-1)
        chain = np.arange(self.chains)
        low, high = a[chain, np.maximum(first - 1, 0)], a[chain, first]
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            above = np.abs(self.output(middle[:, None]))[:, 0] >= wanted
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return high, wanted

    def _circular(self, a: FloatArray) -> ComplexArray:
        """What the device makes of amplitudes (N, n), if it turns with its input and remembers nothing."""
        device = self.stage.device
        y = [device.apply(a * turn, None) for turn in TURNS] if device.memoryless else []
        size = np.abs(y[0]).max() if y else 0.0
        if not y or any(np.abs(each - turn * y[0]).max() > ALIKE * size for each, turn in zip(y, TURNS, strict=True)):
            remedy = "Predistort amplifiers; converters and mixers do not turn with their input."
            raise InvalidInput("device", "must be a memoryless device that turns with its input", device, remedy)
        return y[0]

    @cached_property
    def gain(self) -> ComplexArray:
        """Gain (N,) of small signals."""
        weak = 1e-4 * self.reach[0][:, None]
        return self.output(weak)[:, 0] / weak[:, 0]

    @property
    def envelopes(self) -> Envelopes:
        """The complex gain of the predistorter."""
        full = self.reach[1] / np.abs(self.gain)  # amplitude in at the ceiling, (N,)
        curve = self._inverse() if self.stage.method == "inverse" else self._polynomial(full)

        def response(power: FloatArray) -> ComplexArray:
            edge = full[:, None]
            share = np.minimum(np.sqrt(power) / edge, 1.0)
            return curve(share) * np.minimum(1.0, edge / np.sqrt(np.maximum(power, np.finfo(float).tiny)))

        return Envelopes(response, full**2)

    def _inverse(self) -> Any:
        """Complex gain over the amplitude relative to that at the ceiling."""
        from scipy.interpolate import PchipInterpolator

        # Denser towards the ceiling, where the inverse is steep.
        a = self.reach[0][:, None] * np.sin(np.linspace(0, np.pi / 2, NODES))[1:]
        y = self.output(a)
        rise = np.abs(y) / self.reach[1][:, None]
        if np.any(np.diff(rise, axis=-1) <= 0):
            remedy = "Lower the ceiling to where the output grows with the input."
            raise InvalidInput("ceiling", "must lie below the first fall of the output", self.stage.ceiling, remedy)
        ratio = a / np.abs(y) * np.abs(self.gain)[:, None] * np.exp(1j * (np.angle(self.gain)[:, None] - np.angle(y)))
        curves = []
        for share, values in zip(rise, ratio, strict=True):
            x, v = np.append(0.0, share), np.append(1.0 + 0j, values)
            curves.append(PchipInterpolator(x, np.stack([v.real, v.imag], axis=-1)))

        def gains(share: FloatArray) -> ComplexArray:
            parts = [curve(share[..., i, :]) for i, curve in enumerate(curves)]
            return np.stack([part[..., 0] + 1j * part[..., 1] for part in parts], axis=-2)

        return gains

    def _polynomial(self, full: FloatArray) -> Any:
        """Likewise, of the polynomial that indirect learning finds."""
        share = (np.arange(TRAINED) + 0.5) / TRAINED
        orders = 2 * np.arange(self.stage.orders)
        c = np.zeros((self.chains, self.stage.orders), complex)
        c[:, 0] = 1.0
        for i in range(self.chains):
            power = full[i] ** 2 / 4 if self.stage.training is None else self.stage.training
            weight = np.sqrt(share * np.exp(-((share * full[i]) ** 2) / power))
            for _ in range(ROUNDS):
                sent = share * (share[:, None] ** orders @ c[i])  # relative to the ceiling
                sent *= np.minimum(1.0, self.reach[0][i] / full[i] / np.maximum(np.abs(sent), ALIKE))
                whole_array = np.zeros((self.chains, TRAINED), complex)
                whole_array[i] = full[i] * sent
                back = self.stage.device.apply(whole_array, None)[i] / (self.gain[i] * full[i])
                basis = back[:, None] * np.abs(back[:, None]) ** orders
                c[i] = np.linalg.lstsq(weight[:, None] * basis, weight * sent, rcond=None)[0]

        def gains(share: FloatArray) -> ComplexArray:
            total = np.zeros(share.shape, complex)
            for k in range(self.stage.orders - 1, -1, -1):
                total = total * share**2 + c[:, k, None]
            return total

        return gains
