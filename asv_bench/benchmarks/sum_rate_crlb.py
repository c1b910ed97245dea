"""`SumRateCrlb` and its solvers over transmit antennas and batch size."""

import time

import attrs
import numpy as np

import isacsim

from .scenes import complex_gaussian, sum_rate_crlb

SIZES = ([16, 64, 256], [1, 100])


SOLVERS = ["sca", "ld-sca", "riemannian-cg", "riemannian-lbfgs"]


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
    authors', with most of the power in the sensing streams; the default solves them from its own
    starts, one at a time or 100 as a batch. Times are means over realisations, whose number of
    published iterations differs threefold. The published code has L = 30 snapshots, its paper 64.
    """

    param_names = ("batch", "snapshots")
    params = ([1, 100], [30, 64])
    timeout = 300
    realisations = 10

    def setup(self, batch, snapshots):
        problem = attrs.evolve(sum_rate_crlb(16, 100), snapshots=snapshots)
        some = [attrs.evolve(problem, H=problem.H[i]) for i in range(self.realisations)]
        runs, own = [], []
        for i, one in enumerate(some):  # in turns, since other work slows the machine for seconds at a time
            runs.append(timed(attrs.evolve(one, sensing_streams=6), "ld-sca", **from_sensing(one, i)))
            own.append(timed(one if batch == 1 else problem, None, repeat=10 if batch == 1 else 2))
        self.slow = np.mean([seconds for _, seconds in runs])
        self.fast = np.mean([seconds for _, seconds in own]) / batch
        self.steps = np.sum([run.iterations for run, _ in runs])
        ours = np.ravel([run.objective for run, _ in own])[: self.realisations]
        self.gain = np.min(ours - [run.objective for run, _ in runs])

    def track_time_ratio(self, batch, snapshots):
        return self.slow / self.fast

    def track_time(self, batch, snapshots):
        return self.fast

    def track_time_of_a_published_step(self, batch, snapshots):
        return self.slow * self.realisations / self.steps

    def track_objective_gain(self, batch, snapshots):
        return self.gain

    track_time_ratio.unit = "CPU time of published ld-sca over that of the default"
    track_time.unit = "s of CPU time a realisation"
    track_time_of_a_published_step.unit = "s of CPU time"
    track_objective_gain.unit = "least objective of the default minus that of published ld-sca"


def from_sensing(problem, seed):
    """The published options, and a start like the published ones."""
    users = 0.25 * problem.H / np.linalg.norm(problem.H, axis=0)
    initial = np.concatenate([users, np.sqrt(2) * complex_gaussian((16, 6), seed + 1)], axis=1)
    return {"initial": initial, **PUBLISHED}


PUBLISHED = {
    "curvature": "figures",
    "published_received_power": True,
    "inner_updates": 20,
    "step_tolerance": 1e-5,
    "tolerance": 1e-12,
}


def timed(problem, solver, repeat=1, **options):
    """A solution, and the mean CPU time it took in ``repeat`` runs after a short first one."""
    isacsim.solve(problem, solver, **{**options, "max_steps": 1})
    begin = time.process_time()
    for _ in range(repeat):
        solution = isacsim.solve(problem, solver, **options)
    return solution, (time.process_time() - begin) / repeat


class Reduction:
    """An iteration of the default knows nothing of the numbers of antennas, and a large batch fits in memory."""

    param_names = ("transmit_antennas", "receive_antennas")
    params = ([64, 256, 1024], [80, 1280])

    def setup(self, transmit_antennas, receive_antennas):
        problem = sum_rate_crlb(transmit_antennas, 20)
        receive = isacsim.UniformPlanarArray(5, receive_antennas // 5)
        self.problem = attrs.evolve(problem, targets=attrs.evolve(problem.targets, rx_array=receive))

    def track_time_of_a_step(self, transmit_antennas, receive_antennas):
        # From one start, since others end on the way.
        few, many = (timed(self.problem, None, 15, starts="mrt", max_steps=n, tolerance=1e-14)[1] for n in (2, 42))
        return (many - few) / 40

    track_time_of_a_step.unit = "s of CPU time for 20 members"


class Memory:
    """Peak memory of a thousand realisations of 256 antennas."""

    timeout = 300

    def setup(self):
        self.problem = sum_rate_crlb(256, 1000)

    def peakmem_solve(self):
        isacsim.solve(self.problem)


class Step:
    """Twenty iterations of `sca`, whatever they reach."""

    param_names = ("antennas", "batch")
    params = SIZES

    def setup(self, antennas, batch):
        self.problem = sum_rate_crlb(antennas, batch)

    def time_twenty_steps(self, antennas, batch):
        isacsim.solve(self.problem, "sca", max_steps=20)
