"""Chains that are less correlated than they are, as designs follow them to where distortion has no derivative."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.hardware.base import LinearModel, Remodelled, chain_power, diagonal_matrix
from isacsim.typing import AnyArray, ComplexArray


@frozen
class Loosened(Remodelled):
    """A device whose model sees its input with a share of each chain's power replaced by independent noise.

    Args:
        share: That share, up to 1, at which distortion of chains is uncorrelated.
    """

    share: float

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """The device's model for the loosened covariance."""
        return self.device.linear_model(self._loosened(R))

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """That of the model, through the loosening, which is its own adjoint."""
        return self._loosened(self.device.linear_model_vjp(self._loosened(R), gain, distortion))

    def _loosened(self, R: ComplexArray) -> ComplexArray:
        return np.asarray((1 - self.share) * R + self.share * diagonal_matrix(chain_power(R)), complex)
