"""RF impairments of the plugin isacsim-rf: samples through them, and their second-order models."""

import importlib

from .scenes import complex_gaussian

DEVICES = {
    "rapp": ("amplifiers", "Rapp", {"saturation": 2.0}),
    "saleh": ("amplifiers", "Saleh", {"saturation": 2.0}),
    "memory polynomial": (
        "polynomial",
        "MemoryPolynomial",
        {"reference": 4.0, "coefficients": [[1, -0.1j, 0.01], [0.05, 0.01, 0]]},
    ),
    "iq imbalance": ("mixers", "IqImbalance", {"gain": 1.1, "phase": 0.05}),
    "phase noise": ("oscillators", "PhaseNoise", {"linewidth": 1e3, "sampling_rate": 1e7, "block": 256}),
    "clipping dac": ("converters", "ClippingDac", {"bits": 8, "full_scale": 10.0}),
}
CHAINS, SAMPLES = 16, 2**16


class _Device:
    param_names = ("device",)
    params = (list(DEVICES),)

    def setup(self, device):
        import numpy as np

        module, name, arguments = DEVICES[device]
        try:
            self.device = getattr(importlib.import_module(f"isacsim_rf.{module}"), name)(**arguments)
        except ImportError:
            raise NotImplementedError("isacsim-rf is not installed") from None
        self.x = complex_gaussian((CHAINS, SAMPLES))
        W = complex_gaussian((100, CHAINS, 4))
        self.R = W @ W.conj().swapaxes(-1, -2)
        self.rng = np.random.default_rng(0)
        self.device.apply(self.x[:, :16], self.rng)
        self.device.linear_model(self.R[:1])


class Samples(_Device):
    """A million complex samples: 16 chains of 65,536."""

    def time_apply(self, device):
        self.device.apply(self.x, self.rng)


class LinearModel(_Device):
    """The second-order model for 100 covariances of 16 chains."""

    def time_linear_model(self, device):
        self.device.linear_model(self.R)
