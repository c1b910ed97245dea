"""`CrbMin` and its solvers over transmit antennas, users and batch size.

At 20 dB and 30 dBm of power over noise of 0 dBm the SINRs cost something; at 10 dB most
optima are white and found in closed form, so that a benchmark there measures nothing.
"""

import time

import attrs
import numpy as np

import isacsim
from isacsim.batch import flatten
from isacsim.solvers.crb_min.reduction import reductions
from isacsim.solvers.sqinr.least_power import least_power

from .scenes import complex_gaussian

SIZES = ["64x4", "64x8", "64x16", "32x8"]


def crb_min(antennas, users, batch=(), sinr_db=20.0, excess=None):
    """Rayleigh channels at 30 dBm and noise of 0 dBm, or at a multiple of the least power."""
    H = complex_gaussian((*batch, antennas, users), 30000)
    problem = isacsim.CrbMin(H, 10 ** (sinr_db / 10), 1.0, 1e-3)
    if excess is None:
        return problem
    (group,) = reductions(flatten(problem))
    reduced = group.system
    return attrs.evolve(problem, power=excess * (least_power(reduced).power * reduced.unit)[0])


def cpu_time(problem, solver, repeat=1, **options):
    """A solution, and the least CPU time it took of some calls after a first one."""
    isacsim.solve(problem, solver, **{**options, "time_limit": 1e-9})
    times = []
    for _ in range(repeat):
        begin = time.process_time()
        solution = isacsim.solve(problem, solver, **options)
        times.append(time.process_time() - begin)
    return solution, min(times)


class Solve:
    """The default solver from nothing to a certified gap."""

    param_names = ("size", "batch")
    params = (SIZES, [1, 100])
    timeout = 300

    def setup(self, size, batch):
        antennas, users = map(int, size.split("x"))
        self.problem = crb_min(antennas, users, (batch,))

    def time_solve(self, size, batch):
        isacsim.solve(self.problem)

    def peakmem_solve(self, size, batch):
        isacsim.solve(self.problem)


class Quality:
    """What the default solver proves, here and where it is hard."""

    param_names = ("family",)
    params = (["64x8 20 dB", "8x8 5 dB", "32x8 1.0001 P_min", "8x8 1.000001 P_min"],)
    timeout = 300

    def setup(self, family):
        antennas, users = map(int, family.split()[0].split("x"))
        if "P_min" in family:
            problems = [crb_min(antennas, users, (50,), 5.0 if antennas == users else 15.0)]
            (group,) = reductions(flatten(attrs.evolve(problems[0], power=1e9)))
            reduced = group.system
            power = least_power(reduced).power * reduced.unit * float(family.split()[1])
            self.problem = attrs.evolve(problems[0], power=power)
        else:
            self.problem = crb_min(antennas, users, (50,), float(family.split()[1]))
        self.solution = isacsim.solve(self.problem)

    def track_gap(self, family):
        return float(np.nanmax(self.solution.gap))

    def track_steps(self, family):
        return float(np.median(self.solution.iterations))

    def track_answered(self, family):
        return float(np.mean([status.answered for status in self.solution.status]))

    track_gap.unit = "largest certified gap"
    track_steps.unit = "median steps"
    track_answered.unit = "share of members with a precoder"


class AgainstPublished:
    """The default solver, at a gap of 1e-6, against `r-bal` at its own tolerance, in one run."""

    param_names = ("size",)
    params = (SIZES,)
    timeout = 300

    def setup(self, size):
        antennas, users = map(int, size.split("x"))
        batch = crb_min(antennas, users, (100,))
        ones = [attrs.evolve(batch, H=batch.H[i]) for i in range(3)]
        self.published = np.mean([cpu_time(one, "r-bal")[1] for one in ones])
        _, together = cpu_time(batch, None, 3, tolerance=1e-6)
        self.batched = together / 100
        self.alone = np.mean([cpu_time(one, None, 3, tolerance=1e-6)[1] for one in ones])

    def track_ratio_batched(self, size):
        return self.published / self.batched

    def track_ratio_alone(self, size):
        return self.published / self.alone

    track_ratio_batched.unit = "CPU time of r-bal over that of the default, per realisation of 100"
    track_ratio_alone.unit = "CPU time of r-bal over that of the default, one realisation"


class StepOfRBal:
    """Time of a step of `r-bal`, which does not depend on the number of antennas."""

    timeout = 300

    def setup(self):
        self.times = {}
        for antennas in (16, 64, 256, 1024):
            problem = crb_min(antennas, 8, excess=1.5)
            options = {"tolerance": 1e-300}
            few, many = (cpu_time(problem, "r-bal", 3, max_steps=steps, **options)[1] for steps in (100, 600))
            self.times[antennas] = (many - few) / 500

    def track_time(self):
        return 1e6 * self.times[64]

    def track_spread(self):
        return max(self.times.values()) / min(self.times.values())

    track_time.unit = "us a step at 64 antennas"
    track_spread.unit = "largest over smallest time of 16 to 1024 antennas"


class BehindConverters:
    """Designs for converters on all sides, certified to 1e-8, and the same batch for ideal hardware.

    Constraints cost something at 11 dB behind 3 bits, and at 9 dB behind an eighth of 10-bit chains beside 2-bit ones.
    """

    param_names = ("size", "transmit")
    params = (["16x4", "64x8"], ["3 bit", "mixed"])
    timeout = 300

    def setup(self, size, transmit):
        antennas, users = map(int, size.split("x"))
        self.members = 50 if antennas == 16 else 6
        few = antennas // 8
        bits = 3 if transmit == "3 bit" else [10] * few + [2] * (antennas - few)
        hardware = [isacsim.Aqnm(bits) for bits in (bits, 4, 4)]
        self.problem = isacsim.CrbMin(
            complex_gaussian((self.members, antennas, users), 30000), 10 ** (1.1 if transmit == "3 bit" else 0.9),
            0.1, 1e-3, radar_noise_power=1e-3, response_variance=0.01, receivers=antennas,
            transceiver=isacsim.Transceiver(*hardware),
        )  # fmt: skip
        self.solution, self.time = cpu_time(self.problem, None, 3)

    def track_time(self, size, transmit):
        return 1e3 * self.time / self.members

    def track_gap(self, size, transmit):
        return float(self.solution.gap.max())

    def track_ratio_to_ideal(self, size, transmit):
        ideal = attrs.evolve(self.problem, transceiver=isacsim.Transceiver())
        return self.time / cpu_time(ideal, None, 3)[1]

    track_time.unit = "ms of CPU a realisation of the batch"
    track_gap.unit = "largest relative gap"
    track_ratio_to_ideal.unit = "CPU time over that of ideal hardware, whose optimum may have a closed form"


class Reduction:
    """`r-ipm` against `ipm` at 16 antennas, and what many antennas cost."""

    timeout = 600

    def setup(self):
        self.large = crb_min(1024, 16, excess=1.5)

    def track_ratio(self):
        problem = crb_min(16, 4)
        isacsim.solve(problem, "ipm")  # compiles
        isacsim.solve(problem, "r-ipm")
        return cpu_time(problem, "ipm")[1] / cpu_time(problem, "r-ipm")[1]

    def peakmem_many_antennas(self):
        isacsim.solve(self.large)

    def time_many_antennas(self):
        isacsim.solve(self.large)

    track_ratio.unit = "CPU time of ipm over that of r-ipm, 16 antennas and 4 users"
