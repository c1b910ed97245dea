"""Devices as they were measured: AM/AM and AM/PM of an amplifier, and the errors of a converter's codes.

*Amplifier.* Gain in dB and phase between rows are interpolated over the drive in dB by cubics that do not overshoot
(PCHIP [Fritsch80]); below the weakest drive the gain is that of the first row, above the strongest the output stays.

*Converter.* With the step LSB = 2A/n of n codes over a full scale of +-A, and INL_k in steps: the DAC puts out
``(k - (n-1)/2 + INL_k) LSB`` for the code k = 0 ... n-1 next to the part of its input; the ADC changes from code k-1
to k at ``(k - n/2 + INL_k) LSB``. A DNL is summed to an INL.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.api import (
    AnyArray,
    ComplexArray,
    Envelopes,
    FixedCodebooks,
    FloatArray,
    Hardware,
    InvalidInput,
    LinearModel,
    batched,
    choice,
    exact_model,
    exact_vjp,
    number,
    squared,
)
from isacsim_rf.chains import covariance, per_chain, samples
from isacsim_rf.tables import read_columns

DRIVES, OUTPUTS, PHASES = (
    ("input_dbm", "input_volt"),
    ("output_dbm", "output_volt", "gain_db"),
    ("phase_deg", "phase_rad"),
)
ERRORS = ("inl_lsb", "dnl_lsb")
LEAST = 4  # rows of an amplifier, through which a cubic is worth its name


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


class Measured(Hardware):
    """A device that is read from a file."""

    path: Path

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file: part of the address of every result made from it."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def scalar(self) -> bool:
        """Always true."""
        return True


@frozen(slots=False)
class MeasuredAmplifier(Measured):
    """An amplifier by its measured AM/AM and AM/PM curves, the same for all chains.

    The file has a row for each drive, in ascending order: ``input_dbm`` or ``input_volt``; ``output_dbm``,
    ``output_volt`` or ``gain_db``; and, where phase was measured, ``phase_deg`` or ``phase_rad``. Text (CSV and the
    like) names its columns in the first line; ``.mat`` and ``.npz`` files have an array for each.

    Args:
        path: The file; a scenario file's own folder is the base of a relative path.
        columns: Names of the columns of text without a first line that has them; those not of interest any name.
        impedance: Of what volts are measured at, in ohms; they are amplitudes of the carrier, of power V^2/(2Z).
        unit_gain: Divide by the gain of the weakest drive, as the amplifiers `rapp` and `saleh` have it.
    """

    path: Path = field(converter=Path)
    columns: tuple[str, ...] = field(default=(), converter=_names)
    impedance: float = field(default=50.0, validator=number(above=0))
    unit_gain: bool = False

    def __attrs_post_init__(self) -> None:
        self.curve  # noqa: B018  # what is wrong with the file is told when the device is made

    @cached_property
    def curve(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Drive in dB over 1 W, gain in dB, and phase in rad, each (rows,)."""
        table = read_columns(self.path, DRIVES + OUTPUTS + PHASES, self.columns)
        drive = self._power(table, DRIVES[:2], "a drive")
        self._refuse_drives(drive)
        if "gain_db" in table:
            gain = table["gain_db"]
        else:
            gain = self._power(table, OUTPUTS[:2], "an output") - drive
        phase = table.get("phase_rad", np.deg2rad(table["phase_deg"]) if "phase_deg" in table else np.zeros(drive.size))
        phase = np.unwrap(phase)
        return drive, gain - self.unit_gain * gain[0], phase - self.unit_gain * phase[0]

    def _power(self, table: dict[str, FloatArray], names: tuple[str, ...], what: str) -> FloatArray:
        """A column of powers in dB over 1 W, of dBm or volts."""
        dbm, volt = names
        if dbm in table:
            return table[dbm] - 30
        if volt not in table:
            rule = f"must have {what}, {dbm} or {volt}"
            raise InvalidInput("path", rule, f"{self.path.name} with {', '.join(table)}", "Say the unit in the name.")
        lost = np.flatnonzero(table[volt] <= 0)
        if lost.size:
            told = f"{self.path.name}, row {lost[0] + 1} of {volt}: {table[volt][lost[0]]:g}"
            raise InvalidInput("path", "must hold positive amplitudes", told, "Leave the row out.")
        return 10 * np.log10(table[volt] ** 2 / (2 * self.impedance))

    def _refuse_drives(self, drive: FloatArray) -> None:
        back = np.flatnonzero(np.diff(drive) <= 0)
        if drive.size < LEAST:
            raise InvalidInput(
                "path", f"must have at least {LEAST} rows", f"{self.path.name}: {drive.size}", "Sweep more."
            )
        if back.size:
            told = f"{self.path.name}, row {back[0] + 2}: {drive[back[0] + 1]:g} dBW after {drive[back[0]]:g} dBW"
            raise InvalidInput("path", "must have its drives in ascending order", told, "Sort them, each once.")

    @cached_property
    def _interpolated(self) -> Any:
        from scipy.interpolate import PchipInterpolator

        drive, gain, phase = self.curve
        return PchipInterpolator(drive, np.stack([gain, phase], axis=-1))

    def response(self, power: FloatArray) -> ComplexArray:
        """Complex gain of samples of a power (...), in W."""
        drive, _, _ = self.curve
        with np.errstate(divide="ignore"):
            at = 10 * np.log10(power)
        gain, phase = np.moveaxis(self._interpolated(np.clip(at, drive[0], drive[-1])), -1, 0)
        gain = gain - np.maximum(at - drive[-1], 0.0)  # the output stays
        return np.asarray(10 ** (gain / 20) * np.exp(1j * phase))

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Amplified samples; there is no gain control, and nothing is random."""
        x = samples(x)
        return x * self.response(squared(x))

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain and covariance of the distortion, exact for the interpolated curve, for R (..., N, N), in W."""
        return exact_model(self.envelopes(covariance(R).shape[-1]), R)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """By the next order of the expansion."""
        return exact_vjp(self.envelopes(covariance(R).shape[-1]), R, gain, distortion)

    def envelopes(self, chains: int) -> Envelopes:
        """Complex gain of samples by their power, which bends at each row."""
        return Envelopes(self.response, np.tile(10 ** (self.curve[0] / 10), (chains, 1)))


@frozen(slots=False)
class MeasuredConverter(Measured):
    """A converter of fixed full scale by the measured errors of its codes, the same for I and Q of all chains.

    The file has ``inl_lsb`` or ``dnl_lsb``: of a DAC one for each of n codes, of an ADC one for each of n - 1 changes
    of the code.

    Args:
        path: The file; a scenario file's own folder is the base of a relative path.
        full_scale: Power of a complex tone that just fills the range: one number, or one for each chain (N,), in W.
        converts: What it is: ``dac``, whose levels are off, or ``adc``, whose thresholds are.
        columns: Names of the columns of text without a first line that has them.
    """

    path: Path = field(converter=Path)
    full_scale: Any = batched(0, above=0.0, metadata=units.dbm())
    converts: str = field(default="dac", validator=choice("dac", "adc"))
    columns: tuple[str, ...] = field(default=(), converter=_names)

    def __attrs_post_init__(self) -> None:
        self.book  # noqa: B018  # what is wrong with the file is told when the device is made

    @cached_property
    def book(self) -> tuple[FloatArray, FloatArray]:
        """Thresholds (n - 1,) and levels (n,), in steps."""
        table = read_columns(self.path, ERRORS, self.columns)
        inl = table["inl_lsb"] if "inl_lsb" in table else np.cumsum(table["dnl_lsb"])
        codes = inl.size + (self.converts == "adc")
        if codes < 2:
            raise InvalidInput("path", "must have a row for each code", f"{self.path.name}: {inl.size}", "Give more.")
        thresholds, levels = np.arange(1, codes) - codes / 2, np.arange(codes) - (codes - 1) / 2
        if self.converts == "dac":
            return thresholds, levels + inl
        thresholds = thresholds + inl
        back = np.flatnonzero(np.diff(thresholds) < 0)
        if back.size:
            told = f"{self.path.name}, row {back[0] + 2}: {np.diff(thresholds)[back[0]] - 1:.3g} LSB of DNL"
            raise InvalidInput("path", "must have thresholds in ascending order", told, "A DNL is at least -1.")
        return thresholds, levels

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Converted samples; there is no gain control, and nothing is random."""
        x = np.ascontiguousarray(samples(x))
        thresholds, levels = self.book
        step = self._step(x.shape[-2])[:, None]
        return np.asarray(
            (step * levels[np.searchsorted(thresholds, x.view(float) / step, side="right")]).view(complex)
        )

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain and exact covariance of the distortion, its mean included, for R (..., N, N), in W."""
        return exact_model(self._maps(R), R)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """In closed form."""
        return exact_vjp(self._maps(R), R, gain, distortion)

    def _maps(self, R: ComplexArray) -> FixedCodebooks:
        thresholds, levels = self.book
        step = self._step(covariance(R).shape[-1])
        return FixedCodebooks(step[:, None] * thresholds, step[:, None] * np.diff(levels), step * levels[0])

    def resolution(self, chains: int) -> FloatArray:
        """log2 of the number of codes, shape (chains,)."""
        return np.full(chains, np.log2(self.book[1].size))

    def _step(self, chains: int) -> FloatArray:
        return 2 * np.sqrt(per_chain("full_scale", self.full_scale, chains)) / self.book[1].size
