"""How near `SumRateCrlb` and `CrbMin` come to the arithmetic of the machine, alone and in a batch.

A step is told by a model of its real operations, of the leading terms alone, so that the share of the peak is a lower
bound. The peak is that of BLAS on large complex matrices, measured in the same process. `sqnr_max.RealTime` is the
same for `SqnrMax`.
"""

import time

import numpy as np

import isacsim

from .crb_min import crb_min
from .scenes import complex_gaussian

ROUNDS = 3
SIDE = 256  # of the matrices whose product the peak is told by
# Of M targets, well apart, so that each can be told from the others.
AZIMUTH, ZENITH = np.linspace(-0.9, 0.9, 8), np.linspace(1.2, 1.9, 8)


def sum_rate_crlb(antennas, users, targets, batch):
    """Rayleigh channels at 10 dBm over noise of 0 dBm, a receive array of 8 x 8, and targets of equal strength."""
    tx, rx = isacsim.UniformPlanarArray(8, antennas // 8), isacsim.UniformPlanarArray(8, 8)
    scene = isacsim.PointTargets(tx, rx, AZIMUTH[:targets], ZENITH[:targets], np.full(targets, 0.1))
    H = complex_gaussian((batch, antennas, users))
    return isacsim.SumRateCrlb(H, scene, 1e-2, 1e-3, 1e-3, 30, 0.25, 1.0)


def least_time(call, repeat=1):
    """The least CPU time of some rounds, in s a call."""
    times = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for _ in range(repeat):
            call()
        times.append((time.process_time() - begin) / repeat)
    return min(times)


def peak():
    """Real operations that BLAS makes in a second of CPU time."""
    A = complex_gaussian((SIDE, SIDE))
    return 8 * SIDE**3 / least_time(lambda: A @ A, 5)


def operations_of_a_step(problem):
    """Real operations of a step of the default solver, for one member."""
    if problem.kind == "crb-min":
        unknowns = problem.users**2
        # The block of X and its Cholesky factor, five solutions with it, and eight decompositions on the range.
        return unknowns**3 * (1 + 1 / 3) + 10 * unknowns**2 + 8 * 30 * problem.users**3
    K, m, P = problem.users, 3 * problem.targets.count, 4 * problem.targets.count
    dimensions, streams = min(problem.H.shape[-2], K + m), problem.streams
    # Gains and gradient, the Gram matrix of the targets' gains, F and its inverse, and ten pairs, gone through twice.
    products = 2 * 8 * dimensions * (K + m) * streams + 8 * m**2 * streams + 2 * P**3
    return products + 10 * 2 * 4 * 2 * dimensions * streams + 8 * dimensions**2 * streams


class RealTime:
    """The default solvers by antennas, users and targets; ``-`` where there are none."""

    param_names = ("problem", "size", "targets", "batch")
    params = (["sum-rate-crlb", "crb-min"], ["64x8", "128x8"], ["-", 2, 4, 8], [1, 100])
    timeout = 300

    def setup(self, problem, size, targets, batch):
        if (problem == "crb-min") != (targets == "-"):
            raise NotImplementedError("targets are those of sum-rate-crlb")
        antennas, users = map(int, size.split("x"))
        if problem == "crb-min":
            self.problem = crb_min(antennas, users, (batch,))
        else:
            self.problem = sum_rate_crlb(antennas, users, targets, batch)
        # From one start, so that the steps are all that were taken.
        self.options = {} if problem == "crb-min" else {"starts": "mrt"}
        self.solution = isacsim.solve(self.problem, **self.options)

    def track_cpu(self, problem, size, targets, batch):
        return least_time(lambda: isacsim.solve(self.problem)) / batch

    def track_steps(self, problem, size, targets, batch):
        return float(np.mean(self.solution.iterations))

    def track_converged(self, problem, size, targets, batch):
        return float(np.mean(self.solution.converged))

    def track_operations(self, problem, size, targets, batch):
        return operations_of_a_step(self.problem) * float(np.mean(self.solution.iterations))

    def track_share_of_peak(self, problem, size, targets, batch):
        seconds = least_time(lambda: isacsim.solve(self.problem, **self.options)) / batch
        return self.track_operations(problem, size, targets, batch) / seconds / peak()

    track_cpu.unit = "s of CPU time a realisation"
    track_steps.unit = "steps from one start"
    track_converged.unit = "share of members"
    track_operations.unit = "real operations a realisation"
    track_share_of_peak.unit = "share of the operations of BLAS in the same time"
