"""Estimation of directions from samples: time a run, and errors beside the bound."""

import numpy as np

from .scenes import complex_gaussian

RUNS, SNAPSHOTS = 200, 32


class Estimate:
    """Maximum likelihood on a planar array at high and at low signal-to-noise ratio."""

    param_names = ("targets", "noise_power")
    params = ([1, 2, 3], [1e-3, 0.1])
    timeout = 300

    def setup(self, targets, noise_power):
        import isacsim
        from isacsim.link import Link
        from isacsim.waveform.estimation import Estimation

        arrays = isacsim.UniformPlanarArray(4, 4), isacsim.UniformPlanarArray(5, 4)
        azimuth, zenith = [[-0.6, 0.2, 0.8][:targets]], [[1.2, 1.0, 1.9][:targets]]
        scene = isacsim.PointTargets(*arrays, azimuth, zenith, [[1, 0.7j, -0.5 + 0.3j][:targets]])
        W = complex_gaussian((1, 16, 6), 1)
        drop = isacsim.Drop(np.zeros((1, 16, 0)), scene, *arrays, 1.0, np.zeros(0), [noise_power], SNAPSHOTS)
        self.link = Link(W / np.linalg.norm(W), drop)
        self.experiment = Estimation(runs=RUNS)

    def time_runs(self, targets, noise_power):
        self.experiment.errors(self.link, np.random.default_rng(0))

    def peakmem_runs(self, targets, noise_power):
        self.experiment.errors(self.link, np.random.default_rng(0))

    def track_rmse_over_bound(self, targets, noise_power):
        error, bound = self.experiment.errors(self.link, np.random.default_rng(0))
        return float(np.sqrt(np.mean(error.mean(axis=0) / bound.mean(axis=0))))
