"""What each solver takes, found by asking it: `isacsim list solvers` and the page of components show it."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from isacsim.errors import IsacsimError
from isacsim.hardware.base import Hardware, LinearModel, Transceiver, chain_power, diagonal_matrix
from isacsim.hardware.quantisers import Aqnm
from isacsim.plugin import Registry, default_registry
from isacsim.problems.base import Problem
from isacsim.solvers.base import Solver
from isacsim.solvers.solve import made_by_default
from isacsim.testing.examples import example_decision, example_problem, problem_for
from isacsim.typing import AnyArray, ComplexArray, FloatArray


@frozen
class Compressing(Hardware):
    """An amplifier whose gain falls with its drive: what no model of converters covers."""

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples with their envelope compressed."""
        return np.asarray(x / np.sqrt(1 + np.abs(x) ** 2))

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """A gain that falls with the input power, and what is lost as distortion: the manner of one, not its size."""
        power = chain_power(np.asarray(R))
        return LinearModel(1 / (1 + power), power / (1 + power) ** 2)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """The derivative of that model."""
        power = chain_power(np.asarray(R))
        own = distortion if np.ndim(distortion) < np.ndim(R) else np.diagonal(distortion, axis1=-2, axis2=-1)
        slope = np.real(own) * (1 - power) / (1 + power) ** 3 - np.real(gain) / (1 + power) ** 2
        return np.asarray(diagonal_matrix(slope), complex)


# From the least that a solver can take to the most; each is what the ones before it are not.
PROBES = {
    "ideal": Transceiver(),
    "converters": Transceiver(transmit=Aqnm(3), receive=Aqnm(3), user=Aqnm(3)),
    "any": Transceiver(transmit=Compressing(), receive=Compressing(), user=Compressing()),
}


@frozen
class Capability:
    """What a solver does for a problem.

    Attributes:
        problem: Name of the problem.
        solver: Name of the solver.
        hardware: What it can design for: ``ideal``, ``converters`` or ``any``.
        constraints: The sets of constraints it takes, each as names joined by " + ".
        guarantee: What an answer is known to be.
        default: Whether it is the problem's default.
    """

    problem: str
    solver: str
    hardware: str
    constraints: tuple[str, ...]
    guarantee: str
    default: bool


def capabilities(registry: Registry | None = None) -> list[Capability]:
    """Every solver with every problem it takes; one that cannot be imported or made is left out."""
    registry = registry or default_registry()
    found = []
    for problem in registry.names("problems"):
        posed, default = {}, ""
        with contextlib.suppress(IsacsimError):  # `isacsim plugins` tells of what is broken
            posed = {name: example_problem(problem, registry, probe) for name, probe in PROBES.items()}
            default = registry.default_solver(problem)
        for name in registry.names("solvers"):
            solver = made_by_default(name, registry)
            if posed and solver is not None and solver.takes(problem_for(solver, posed["ideal"])[0]) is None:
                found.append(_capability(solver, name, posed, name == default))
    return found


def _capability(solver: Solver, name: str, posed: dict[str, Any], default: bool) -> Capability:
    own = {probe: problem_for(solver, problem) for probe, problem in posed.items()}
    hardware = [probe for probe, (problem, _) in own.items() if solver.takes(problem) is None]
    ideal: Any
    ideal, alone = own["ideal"]
    variants = [ideal, *(attrs.evolve(ideal, **changes) for changes in ideal.variants.values())]
    sets = [" + ".join(_constraints(variant)) for variant in variants if solver.takes(variant) is None]
    sets = [f"{names} ({alone})" if alone else names for names in sets]
    return Capability(ideal.kind, name, hardware[-1], tuple(dict.fromkeys(sets)), solver.guarantee, default)


def _constraints(problem: Problem) -> list[str]:
    """Names of a problem's constraints."""
    return list(problem.constraints(problem.argument(example_decision(problem))))


def markdown(rows: list[Capability]) -> str:
    """The table as it stands in the page of components."""
    lines = ["| problem | solver | hardware | constraints | an answer is |", "|---|---|---|---|---|"]
    for row in rows:
        name = f"`{row.solver}`" + (" (default)" if row.default else "")
        lines.append(
            f"| `{row.problem}` | {name} | {row.hardware} | {'; or '.join(row.constraints)} | {row.guarantee or '-'} |"
        )
    return "\n".join(lines)
