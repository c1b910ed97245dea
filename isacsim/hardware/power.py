"""Power consumption of a base station and of user equipment with data converters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.checks import number
from isacsim.hardware.base import Transceiver
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
    """Converters, RF chains, local oscillators and amplifier: the model of [Xu25, eq. (20)].

    ``P_BS = P_LO + N_t (P_RF + 2 P_DAC) + N_r (P_RF + 2 P_ADC) + P / kappa`` and
    ``P_UE = P_LO + P_RF + 2 P_ADC`` for each user; an I and a Q converter in each chain. P is
    the power budget, not what a precoder radiates.

    The letter prints none of the constants and refers to [Choi22] for all but the ADC, and to
    [Liu19] for that; neither was at hand. The defaults are the set that published programs of
    this model use, and the sampling rate is assumed: with them the energy efficiency peaks at
    the 4 bits of [Xu25, Fig. 4(b)]. The peak is a property of the constants: at 65 fJ or less a
    conversion it lies at 5 bits, at 500 MHz at 3.

    Args:
        local_oscillator: P_LO, in W. Default of the usual set: 22.5 mW.
        rf_chain: P_RF of one chain, in W. Default of the usual set: two low-pass filters of
            14 mW, two mixers of 0.3 mW and a 90-degree hybrid of 3 mW.
        dac_static: Coefficient of ``2**bits`` in P_DAC, in W. Usual set: 15 uW.
        dac_dynamic: Coefficient of ``bits * sampling_rate`` in P_DAC, in J. Usual set: 9 pJ.
        adc_figure: Walden figure of merit, P_ADC over ``sampling_rate * 2**bits``, in J per
            conversion step. Usual set: 494 fJ.
        sampling_rate: Converter rate, in Hz. Assumed: 100 MHz.
        amplifier_efficiency: kappa, the efficiency of the power amplifier. Usual set: 27 %.
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
        dac = self.dac(transceiver.transmit.resolution(transmitters)).sum()
        adc = self.adc(transceiver.receive.resolution(receivers)).sum()
        user_adc = self.adc(transceiver.user.resolution(users)).sum()
        chains = self.rf_chain * (transmitters + receivers + users) + 2 * (dac + adc + user_adc)
        return np.asarray(power) / self.amplifier_efficiency + chains + self.local_oscillator * (1 + users)
