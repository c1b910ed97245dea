"""Converters: samples through the quantisers, and their second-order models."""

import isacsim

from .scenes import complex_gaussian

DEVICES = {
    "aqnm, 3 bits": isacsim.Aqnm(3),
    "aqnm uniform, 3 bits": isacsim.Aqnm(3, table="uniform"),
    "mid-rise, 8 bits": isacsim.MidRise(8),
    "mixed bits": isacsim.Aqnm([1, 2, 3, 4] * 4),
}
CHAINS, SAMPLES = 16, 2**16


class Samples:
    """A million complex samples: 16 chains of 65,536."""

    param_names = ("device",)
    params = (list(DEVICES),)

    def setup(self, device):
        self.device = DEVICES[device]
        self.x = complex_gaussian((CHAINS, SAMPLES))
        self.device.apply(self.x[:, :16])  # the codebooks are computed once in a process

    def time_apply(self, device):
        self.device.apply(self.x)


class LinearModel:
    """The second-order model for 100 covariances of 16 chains."""

    param_names = ("device",)
    params = (list(DEVICES),)

    def setup(self, device):
        W = complex_gaussian((100, CHAINS, 4))
        self.R = W @ W.conj().swapaxes(-1, -2)
        self.device = DEVICES[device]
        self.device.linear_model(self.R[:1])

    def time_linear_model(self, device):
        self.device.linear_model(self.R)
