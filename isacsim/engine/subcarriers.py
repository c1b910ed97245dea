"""Designs for OFDM: a narrowband problem for each subcarrier, and one solution for all of them.

The power is split over the active subcarriers evenly (`isacsim.drop.WidebandDrop.subcarriers`), so that the problems of
a trial are members of one batch, or by one price for all (`isacsim.solvers.band_split`). A problem that is
``wideband`` takes all subcarriers in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import attrs
import numpy as np

from isacsim.drop import Drop, WidebandDrop
from isacsim.engine.scenario import Design
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.problems.base import Problem, Requirements
from isacsim.problems.sinr_constrained import SinrConstrained
from isacsim.solvers.band_split import behind_hardware, joined, jointly
from isacsim.solvers.solution import Solution
from isacsim.solvers.solve import solve


def posed_on(drop: Drop, requirements: Requirements) -> Drop:
    """The realisations that a problem is posed on: the subcarriers of a wideband drop, unless it takes them in one."""
    return drop.subcarriers() if isinstance(drop, WidebandDrop) and not requirements.wideband else drop


def check_split(design: Design, drop: Drop, problem: Problem) -> None:
    """Refuse a joint split where there is none to be found.

    Raises:
        InvalidInput: On ``split``.
    """
    if design.split == "even":
        return
    if not isinstance(drop, WidebandDrop) or design.problem.wideband:
        rule = "must be 'even' where there is no problem for each subcarrier"
        raise InvalidInput("split", rule, design.split, "Add base_station.grid, or leave it out.")
    if not over_ideal_chains(problem).convex_in_power:
        rule = f"must be 'even' where the optimum is not convex in the power, as of {problem.kind}"
        remedy = "Use crb-min, sqnr-max, or band-sum-rate-crlb, which splits the power itself."
        raise InvalidInput("split", rule, design.split, remedy)
    antennas, transmit = problem.decision["precoder"].shape[0], problem.transceiver.transmit
    if transmit.linear_model(np.eye(antennas, dtype=complex)).coupled:
        rule = "must be 'even' where the chains designed for are coupled"
        raise InvalidInput("split", rule, design.split, "Leave the coupling out.")


def over_ideal_chains(problem: Any) -> Any:
    """The problem that a joint split poses on each subcarrier: distortion is part of its noise."""
    return attrs.evolve(problem, transceiver=Transceiver()) if hasattr(problem, "transceiver") else problem


def posed_to_solver(design: Design, drop: Drop, problem: Problem) -> Problem:
    """The problem that the solver of a design has to take."""
    narrow = isinstance(drop, WidebandDrop) and not design.problem.wideband
    return over_ideal_chains(problem) if narrow and design.split == "joint" else problem


def solved(design: Design, drop: Drop, believed: Transceiver, rngs: Sequence[np.random.Generator]) -> Solution:
    """The solution of a design for the trials of a drop; of OFDM precoders (B, F, N_t, K+S)."""
    problem = design.problem.pose(posed_on(drop, design.problem), believed)
    if not isinstance(drop, WidebandDrop) or design.problem.wideband:
        return solve(problem, design.solver, rng=list(rngs))
    grid, trials = drop.grid, problem.members // drop.grid.used
    if design.split == "joint":
        total = np.broadcast_to(np.asarray(drop.power, float) * grid.subcarriers, (trials,))
        if problem.transceiver.is_ideal:
            return jointly(problem, design.solver, total)
        return behind_hardware(cast(SinrConstrained, problem), design.solver, grid, total)
    each = [own for rng in rngs for own in rng.spawn(grid.used)]
    return joined(solve(problem, design.solver, rng=each), grid.used)
