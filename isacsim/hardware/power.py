"""Power consumption of a base station and of user equipment with data converters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.checks import number
from isacsim.hardware.base import Chain, Hardware, Transceiver
from isacsim.hardware.quantisers import Aqnm, MidRise
from isacsim.typing import FloatArray


class PowerModel(ABC):
    """Says what a transceiver consumes."""

    @abstractmethod
    def consumption(
        self, transceiver: Transceiver, transmitters: int, receivers: int, users: int, power: Any
    ) -> FloatArray:
        """Power drawn by base station and users together, in W, shape of ``power``.

        Args:
            transceiver: The hardware, whose converters have resolutions.
            transmitters: Transmit chains N_t.
            receivers: Sensing receive chains N_r.
            users: Users K.
            power: Transmit power budget, shape (...), in W.
        """


@frozen
class ConverterPower(PowerModel):
    """The consumption model of [Xu25, eq. (20)] and of the work it builds on.

    ``P_BS = P_LO + N_t (P_RF + 2 P_DAC) + N_r (P_RF + 2 P_ADC) + P / efficiency`` and
    ``P_UE = P_LO + P_RF + 2 P_ADC`` for each user. The letter leaves the constants to its
    references; the defaults are the set that is usual in this literature, and the sampling
    rate is assumed.

    Args:
        local_oscillator: P_LO, in W.
        rf_chain: P_RF of one chain (filters, mixers, hybrid), in W.
        dac_static: Coefficient of ``2**bits`` in P_DAC, in W.
        dac_dynamic: Coefficient of ``bits * sampling_rate`` in P_DAC, in J.
        adc_figure: Walden figure of merit of the ADC, in J per conversion step.
        sampling_rate: Converter rate, in Hz.
        amplifier_efficiency: Drain efficiency of the power amplifier.
    """

    local_oscillator: float = field(default=22.5e-3, validator=number(above=0), metadata=units.watts())
    rf_chain: float = field(default=31.6e-3, validator=number(above=0), metadata=units.watts())
    dac_static: float = field(default=1.5e-5, validator=number(above=0), metadata=units.watts())
    dac_dynamic: float = field(default=9e-12, validator=number(above=0))
    adc_figure: float = field(default=494e-15, validator=number(above=0))
    sampling_rate: float = field(default=1e8, validator=number(above=0), metadata=units.hertz())
    amplifier_efficiency: float = field(default=0.27, validator=number(above=0))

    def dac(self, bits: FloatArray) -> FloatArray:
        """Power of one DAC, in W."""
        return self.dac_static * 2.0**bits + self.dac_dynamic * bits * self.sampling_rate

    def adc(self, bits: FloatArray) -> FloatArray:
        """Power of one ADC, in W."""
        return self.adc_figure * self.sampling_rate * 2.0**bits

    def consumption(
        self, transceiver: Transceiver, transmitters: int, receivers: int, users: int, power: Any
    ) -> FloatArray:
        """Power drawn by base station and users together; infinite for ideal converters."""
        dac = self.dac(resolution(transceiver.transmit, transmitters)).sum()
        adc = self.adc(resolution(transceiver.receive, receivers)).sum()
        user_adc = self.adc(resolution(transceiver.user, users)).sum()
        chains = self.rf_chain * (transmitters + receivers + users) + 2 * (dac + adc + user_adc)
        return np.asarray(power) / self.amplifier_efficiency + chains + self.local_oscillator * (1 + users)


def resolution(hardware: Hardware, chains: int) -> FloatArray:
    """Bits of the converter in each chain, shape (chains,); inf where there is none."""
    stages = hardware.stages if isinstance(hardware, Chain) else (hardware,)
    bits = np.full(chains, np.inf)
    for stage in stages:
        if isinstance(stage, (Aqnm, MidRise)):
            bits = np.minimum(bits, stage.bits)
    return bits
