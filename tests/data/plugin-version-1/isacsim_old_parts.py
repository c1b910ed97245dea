"""A metric and a solver as their authors wrote them for version 1 of the plugin API."""

from typing import ClassVar

import numpy as np
from attrs import frozen

from isacsim.metrics import sum_rate
from isacsim.metrics.components import Metric, Quantity
from isacsim.plugin import SolverSpec, Spec, hookimpl
from isacsim.solvers.base import Request, Solver
from isacsim.solvers.solution import Solution, Status


@frozen
class OldRate(Metric):
    quantity = Quantity("old-rate", "nat/s/Hz", (), "sum rate of the users")

    def value(self, W, drop, transceiver):
        return sum_rate(drop.H, W, drop.noise_power, transceiver)


@frozen
class Beams(Solver):
    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb",)
    hardware_aware: ClassVar[bool] = True

    def solve(self, problem, request: Request) -> Solution:
        W = np.zeros((*problem.H.shape[:-1], problem.streams), complex)
        W[..., : problem.users] = problem.H
        W *= np.sqrt(problem.power / np.sum(np.abs(W) ** 2, axis=(-2, -1)))[:, None, None]
        value, nothing = problem.objective(W), np.full(len(W), np.nan)
        status, notes = np.full(len(W), Status.MAX_STEPS, object), np.empty(len(W), object)
        notes[:] = [()] * len(W)
        trace = {"objective": value[:, None], "time": np.zeros((len(W), 1))}
        return Solution(W, value, nothing, nothing, np.zeros(len(W), int), status, nothing, notes, 0.0, trace)


@hookimpl
def isacsim_metrics():
    yield Spec("old-rate", "isacsim_old_parts:OldRate", "Sum rate")


@hookimpl
def isacsim_solvers():
    yield SolverSpec("old-beams", "isacsim_old_parts:Beams", "Beams along the channels")
