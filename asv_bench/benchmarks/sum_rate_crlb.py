"""`SumRateCrlb` and its solver `sca` over transmit antennas and batch size."""

import numpy as np

import isacsim

from .scenes import sum_rate_crlb

SIZES = ([16, 64, 256], [1, 100])


class Solve:
    """`sca` from its own start to its own tolerance."""

    param_names = ("antennas", "batch")
    params = ([16, 64], [1, 20])
    timeout = 300

    def setup(self, antennas, batch):
        self.problem = sum_rate_crlb(antennas, batch)

    def time_solve(self, antennas, batch):
        isacsim.solve(self.problem, "sca")

    def peakmem_solve(self, antennas, batch):
        isacsim.solve(self.problem, "sca")


class Quality:
    """What `sca` reaches; a faster solver that ends lower is not faster."""

    param_names = ("antennas",)
    params = ([16, 64],)
    timeout = 300

    def setup(self, antennas):
        self.solution = isacsim.solve(sum_rate_crlb(antennas, 20), "sca")

    def track_objective(self, antennas):
        return float(np.mean(self.solution.objective))

    def track_residual(self, antennas):
        return float(np.max(self.solution.residual))

    def track_steps(self, antennas):
        return float(np.median(self.solution.iterations))

    def track_converged(self, antennas):
        return float(np.mean(self.solution.converged))

    track_objective.unit = "mean objective"
    track_residual.unit = "largest relative KKT residual"
    track_steps.unit = "median steps"
    track_converged.unit = "share of members"


class Step:
    """Twenty iterations of `sca`, whatever they reach."""

    param_names = ("antennas", "batch")
    params = SIZES

    def setup(self, antennas, batch):
        self.problem = sum_rate_crlb(antennas, batch)

    def time_twenty_steps(self, antennas, batch):
        isacsim.solve(self.problem, "sca", max_steps=20)


class Metrics:
    """FIM, CRLB and sum rate of given precoders, ideal and through 3-bit converters."""

    param_names = ("antennas", "batch", "hardware")
    params = ([16, 64], [1, 100], ["ideal", "aqnm"])

    def setup(self, antennas, batch, hardware):
        self.problem = sum_rate_crlb(antennas, batch)
        self.W = np.sqrt(1e-2) * self.problem.H / np.linalg.norm(self.problem.H, axis=(-2, -1), keepdims=True)
        stage = isacsim.Aqnm(3) if hardware == "aqnm" else isacsim.Ideal()
        self.transceiver = isacsim.Transceiver(transmit=stage, receive=stage, user=stage)

    def time_fim(self, antennas, batch, hardware):
        isacsim.metrics.fim(self.problem.targets, self.W, 1e-3, 30, self.transceiver)

    def time_crlb(self, antennas, batch, hardware):
        isacsim.metrics.crlb(self.problem.targets, self.W, 1e-3, 30, self.transceiver)

    def time_sum_rate(self, antennas, batch, hardware):
        isacsim.metrics.sum_rate(self.problem.H, self.W, 1e-3, self.transceiver)
