"""`SumRateCrlb` and its solvers over transmit antennas and batch size."""

import time

import attrs
import numpy as np

import isacsim

from .scenes import complex_gaussian, sum_rate_crlb

SIZES = ([16, 64, 256], [1, 100])


SOLVERS = ["sca", "ld-sca", "riemannian-lbfgs"]


class Solve:
    """Each solver from its own start to its own tolerance."""

    param_names = ("solver", "antennas", "batch")
    params = (SOLVERS, [16, 64], [1, 20])
    timeout = 300

    def setup(self, solver, antennas, batch):
        self.problem = sum_rate_crlb(antennas, batch)

    def time_solve(self, solver, antennas, batch):
        isacsim.solve(self.problem, solver)

    def peakmem_solve(self, solver, antennas, batch):
        isacsim.solve(self.problem, solver)


class Quality:
    """What a solver reaches; a faster one that ends lower is not faster."""

    param_names = ("solver", "antennas")
    params = (SOLVERS, [16, 64])
    timeout = 300

    def setup(self, solver, antennas):
        self.solution = isacsim.solve(sum_rate_crlb(antennas, 20), solver)

    def track_objective(self, solver, antennas):
        return float(np.mean(self.solution.objective))

    def track_residual(self, solver, antennas):
        return float(np.max(self.solution.residual))

    def track_steps(self, solver, antennas):
        return float(np.median(self.solution.iterations))

    def track_converged(self, solver, antennas):
        return float(np.mean(self.solution.converged))

    track_objective.unit = "mean objective"
    track_residual.unit = "largest relative KKT residual"
    track_steps.unit = "median steps"
    track_converged.unit = "share of members"


class AgainstPublished:
    """The default solver against `ld-sca` with the published options, in one run.

    The published iteration solves one realisation at a time with N_s = 3M from a start like its
    authors', with most of the power in the sensing streams; the default solves a batch from its
    own starts, and its time is that of one member.
    """

    param_names = ("batch",)
    params = ([1, 100],)
    timeout = 300

    def setup(self, batch):
        self.problem = sum_rate_crlb(16, batch)
        first = attrs.evolve(self.problem, H=self.problem.H[0], sensing_streams=6)
        users = 0.25 * first.H / np.linalg.norm(first.H, axis=0)
        start = np.concatenate([users, np.sqrt(2) * complex_gaussian((16, 6), 1)], axis=1)
        self.published, self.slow = timed(first, "ld-sca", initial=start, **PUBLISHED)
        self.ours, self.fast = timed(self.problem, None)

    def track_time_ratio(self, batch):
        return self.slow * batch / self.fast

    def track_objective_gain(self, batch):
        return float(np.ravel(self.ours.objective)[0] - self.published.objective)

    track_time_ratio.unit = "CPU time of published ld-sca over that of the default"
    track_objective_gain.unit = "objective of the default minus that of published ld-sca"


PUBLISHED = {
    "curvature": "figures",
    "published_received_power": True,
    "inner_updates": 20,
    "step_tolerance": 1e-5,
    "tolerance": 1e-12,
}


def timed(problem, solver, **options):
    """A solution, and the CPU time it took after a first call."""
    isacsim.solve(problem, solver, max_steps=1)
    begin = time.process_time()
    solution = isacsim.solve(problem, solver, **options)
    return solution, time.process_time() - begin


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
