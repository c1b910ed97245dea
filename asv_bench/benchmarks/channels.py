"""Drawing channels and targets: one generator a trial, over antennas, users and batch size."""

import tempfile
from pathlib import Path

import numpy as np

import isacsim

from .scenes import complex_gaussian, needed

HOME = "isacsim.channels"


class Channels:
    """The draws of each bundled model."""

    param_names = ("model", "antennas", "users", "batch")
    params = (["rayleigh", "rician", "recorded"], [16, 256], [4, 16], [1, 100])

    def setup(self, model, antennas, users, batch):
        self.array = isacsim.UniformPlanarArray(4, antennas // 4)
        self.trials = range(batch)
        if model == "rayleigh":
            self.model = needed(f"{HOME}.models:Rayleigh")()
        elif model == "rician":
            self.model = needed(f"{HOME}.models:Rician")(k_factor=10.0)
        else:
            self.folder = tempfile.TemporaryDirectory()
            file = Path(self.folder.name) / "channels.npz"
            np.savez(file, H=complex_gaussian((batch, antennas, users)))
            self.model = needed(f"{HOME}.recorded:Recorded")(file)

    def teardown(self, model, antennas, users, batch):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def time_draw(self, model, antennas, users, batch):
        rngs = [np.random.default_rng(i) for i in self.trials]
        self.model.draw(self.array, users, self.trials, rngs)


class Targets:
    """The draws of each bundled target model."""

    param_names = ("model", "antennas", "batch")
    params = (["points", "extended"], [16, 64, 256], [1, 100])

    def setup(self, model, antennas, batch):
        self.array = isacsim.UniformPlanarArray(4, antennas // 4)
        self.trials = range(batch)
        home = "isacsim.targets.models"
        if model == "points":
            self.model = needed(f"{home}:FixedPoints")([-0.7, 0.4], [0.9, 1.3], [0.1, 0.2j])
        else:
            self.model = needed(f"{home}:ExtendedTarget")()

    def time_draw(self, model, antennas, batch):
        rngs = [np.random.default_rng(i) for i in self.trials]
        self.model.draw(self.array, self.array, self.trials, rngs)
