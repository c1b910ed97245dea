"""A small scene on which components are tried; member i of it does not depend on the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np

from isacsim.arrays import UniformPlanarArray
from isacsim.batch import frobenius2
from isacsim.drop import Drop, WidebandDrop
from isacsim.engine.reader import Reader
from isacsim.grid import Grid
from isacsim.hardware.base import Transceiver
from isacsim.hardware.quantisers import Aqnm
from isacsim.plugin import Registry, default_registry
from isacsim.problems.base import Problem, Requirements
from isacsim.random import complex_normal
from isacsim.targets.scene import PointTargets
from isacsim.typing import AnyArray, ComplexArray

MEMBERS = 3
USERS = 2
GRID = Grid(8, 120e3, symbols=4, active=6, prefix=4)
TX_ARRAY = UniformPlanarArray(2, 3)
RX_ARRAY = UniformPlanarArray(3, 3)
UNIFORM = Aqnm(3, table="uniform")  # what designs for converters take
LOW_RESOLUTION = Transceiver(transmit=UNIFORM, receive=UNIFORM, user=UNIFORM)


def example_drop(members: int = MEMBERS) -> Drop:
    """Realisations of 6 transmit and 9 receive antennas, 2 users and 2 point targets.

    Args:
        members: Number of realisations, the one leading axis.
    """
    rngs = [np.random.default_rng(i) for i in range(members)]
    H = np.stack([complex_normal(rng, (TX_ARRAY.size, USERS)) for rng in rngs])
    azimuth = np.stack([np.array([-0.7, 0.4]) + rng.uniform(-0.1, 0.1, 2) for rng in rngs])
    zenith = np.stack([np.array([0.9, 1.3]) + rng.uniform(-0.1, 0.1, 2) for rng in rngs])
    return Drop(
        H=H,
        targets=PointTargets(TX_ARRAY, RX_ARRAY, azimuth, zenith, [0.2 + 0.1j, -0.1 + 0.2j]),
        tx_array=TX_ARRAY,
        rx_array=RX_ARRAY,
        power=0.02,
        noise_power=np.full(USERS, 1e-3),
        radar_noise_power=1e-4,
        snapshots=16,
    )


def example_wideband_drop(members: int = MEMBERS) -> WidebandDrop:
    """The scene of `example_drop` on 6 of 8 subcarriers and 4 symbols, with delays, velocities and fading taps.

    Args:
        members: Number of realisations, the one leading axis.
    """
    grid, flat = GRID, example_drop(members)
    rngs = [np.random.default_rng(50 + i) for i in range(members)]
    taps = np.stack([complex_normal(rng, (2, TX_ARRAY.size, USERS)) for rng in rngs]) / np.sqrt(2)
    return WidebandDrop(
        H=grid.response(np.array([0.0, 2 / grid.rate]), taps),
        targets=attrs.evolve(
            cast(PointTargets, flat.targets), delay=np.array([1.0, 2.0]) / grid.rate, velocity=[20.0, -40.0]
        ),
        tx_array=TX_ARRAY,
        rx_array=RX_ARRAY,
        power=flat.power,
        noise_power=flat.noise_power,
        radar_noise_power=flat.radar_noise_power,
        snapshots=grid.symbols,
        grid=grid,
    )


def drop_for(requirements: Requirements, members: int = MEMBERS) -> Drop:
    """The `example_drop` that a problem can be posed on, or the `example_wideband_drop`."""
    return example_wideband_drop(members) if requirements.wideband else example_drop(members)


def example_precoder(drop: Drop, streams: int | None = None) -> ComplexArray:
    """Random precoders of full power, shape (B, N_t, streams), of OFDM (B, F, N_t, streams), in sqrt(W).

    Args:
        drop: The realisations, with one leading axis B.
        streams: Number of columns; None is one for each user.
    """
    if isinstance(drop, WidebandDrop):
        each = example_precoder(drop.subcarriers(), streams)
        return each.reshape(len(drop.H), drop.grid.used, *each.shape[1:])
    members, antennas, users = drop.H.shape
    streams = users if streams is None else streams
    W = np.stack([complex_normal(np.random.default_rng(100 + i), (antennas, streams)) for i in range(members)])
    return W * np.sqrt(drop.power / frobenius2(W))[:, None, None]


def example_decision(problem: Problem, drop: Drop | None = None) -> dict[str, AnyArray]:
    """A decision of each member to evaluate a problem at: precoders of full power, other arrays of random entries.

    Args:
        problem: The problem, with one leading axis B.
        drop: The realisations it was posed on; None is `example_drop`, or `example_wideband_drop`.
    """
    found: dict[str, AnyArray] = {}
    for name, variable in problem.decision.items():
        if name == "precoder":
            example = example_drop if len(variable.shape) == 2 else example_wideband_drop
            found[name] = example_precoder(drop or example(problem.members), problem.streams)
        else:
            rngs = [np.random.default_rng(100 + i) for i in range(problem.members)]
            draw = complex_normal if variable.dtype is complex else _positive
            found[name] = np.stack([draw(rng, variable.shape) for rng in rngs])
    return found


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    return rng.uniform(0.1, 1.0, shape)


def example_component(kind: str, name: str, registry: Registry | None = None, folder: str | Path | None = None) -> Any:
    """The component that the ``example`` of a spec builds.

    Args:
        kind: Kind of component.
        name: Its name.
        registry: Where it is looked up; None is the registry of this process.
        folder: Base of relative paths in the example.
    """
    registry = registry or default_registry()
    table = {"kind": name, **registry.spec(kind, name).example}
    return Reader(registry, Path(folder or "")).component(kind, table)


def example_problem(kind: str, registry: Registry | None = None, transceiver: Transceiver | None = None) -> Problem:
    """The problem that the example of a kind of requirements poses on the drop that `drop_for` gives.

    Args:
        kind: Name of the problem, ``sum-rate-crlb`` for example.
        registry: Where it is looked up; None is the registry of this process.
        transceiver: The hardware designed for; None is ideal.
    """
    requirements = example_component("problems", kind, registry)
    problem: Problem = requirements.pose(drop_for(requirements), transceiver or Transceiver())
    return problem


def problem_for(solver: Any, problem: Problem) -> tuple[Problem, str]:
    """A problem as it is, or the first of its variants that a solver takes where it takes that alone, with its name.

    Args:
        solver: The solver.
        problem: The problem, of `example_problem` for example.
    """
    if solver.takes(problem) is not None:
        for name, changes in problem.variants.items():
            variant = attrs.evolve(cast(Any, problem), **changes)
            if solver.takes(variant) is None:
                return variant, name
    return problem, ""
