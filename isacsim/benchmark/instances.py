"""Reference instances: one place that says on what each problem's solvers are compared.

An instance is posed from a scenario's problem table on a drop, as the engine does, so that
this module knows problems by name only. A problem that a plugin brings is tried on the
example of its spec; it needs no entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.arrays import UniformLinearArray, UniformPlanarArray
from isacsim.drop import Drop
from isacsim.engine.reader import Reader
from isacsim.errors import InvalidInput, one_of
from isacsim.hardware.base import Transceiver
from isacsim.hardware.quantisers import Aqnm
from isacsim.plugin import Registry
from isacsim.problems.base import Problem
from isacsim.random import Stream, complex_normal, generator
from isacsim.targets.scene import PointTargets, ResponseMatrix, Scene
from isacsim.testing.examples import drop_for
from isacsim.typing import ComplexArray

SEED = 2025
EXAMPLE = "example"


@frozen
class Size:
    """One size of a problem's instances.

    Attributes:
        antennas: Transmit antennas N_t.
        users: Users K.
        short: Whether the short run takes it; the others are the sweeps of the paper.
        table: What the problem's table says otherwise at this size.
        point: Whether the target is one point, where it is an extended one otherwise.
        scatterers: Number of scatterers of a target of few; 0 is any other target.
        mark: What its name ends with, where its table says what other sizes do not.
    """

    antennas: int
    users: int
    short: bool = False
    table: Mapping[str, Any] = field(factory=dict)
    point: bool = False
    scatterers: int = 0
    mark: str = ""

    @property
    def name(self) -> str:
        """Antennas and users, ``16x4``, and what else tells it from others."""
        target = "-point" if self.point else f"-{self.scatterers}-scatterers" if self.scatterers else ""
        return f"{self.antennas}x{self.users}{target}" + (f"-{self.mark}" if self.mark else "")


@frozen
class Family:
    """The instances of a problem.

    Attributes:
        kind: Name of the problem.
        table: Its table in a scenario.
        drop: Draws realisations of a size; none is the example of `isacsim.testing`.
        sizes: Sizes, in the order of their cost.
        hardware: The hardware designed for.
        published: What the published algorithm is called in the results; empty is the slowest.
        solver: Solver that the published algorithm is, where options make it one.
        options: Those options.
    """

    kind: str
    table: Mapping[str, Any]
    drop: Callable[[Size, int], Drop] | None = None
    sizes: tuple[Size, ...] = ()
    hardware: Transceiver = Transceiver()
    published: str = ""
    solver: str = ""
    options: Mapping[str, Any] = field(factory=dict)

    def names(self, full: bool) -> list[str]:
        """Names of the sizes of a run."""
        return [size.name for size in self.sizes if full or size.short] or [EXAMPLE]

    def problem(self, name: str, members: int, registry: Registry) -> Problem:
        """The first ``members`` realisations of a size, along one leading axis.

        Raises:
            InvalidInput: For a size that it does not have.
        """
        size = next((size for size in self.sizes if size.name == name), None)
        if size is None and name != EXAMPLE:
            raise InvalidInput("size", f"must be one of {self.kind}'s", name, one_of(self.names(full=True), name))
        table = {"kind": self.kind, **self.table, **(size.table if size else {})}
        requirements = Reader(registry).component("problems", table)
        drop = self.drop(size, members) if size and self.drop else drop_for(requirements, members)
        problem: Problem = requirements.pose(drop, self.hardware)
        return problem


def families(registry: Registry) -> dict[str, Family]:
    """Every problem that the registry knows, with its instances."""
    known = {family.kind: family for family in FAMILIES}
    return {
        kind: known.get(kind) or Family(kind, registry.spec("problems", kind).example)
        for kind in registry.usable("problems")
    }


def _gaussian(stream: Stream, members: int, shape: tuple[int, int]) -> ComplexArray:
    """Matrices of CN(0, 1) entries; each depends on its place alone."""
    return np.stack([complex_normal(generator(SEED, stream, i), shape) for i in range(members)])


def _drop(size: Size, members: int, scene: Callable[[int], Scene], arrays: Any, power: float, snapshots: int) -> Drop:
    tx, rx = arrays
    return Drop(
        H=_gaussian(Stream.CHANNEL, members, (size.antennas, size.users)),
        targets=scene(members),
        tx_array=tx,
        rx_array=rx,
        power=power,
        noise_power=np.full(size.users, 1e-3),
        radar_noise_power=1e-3,
        snapshots=snapshots,
    )


def _points(size: Size, members: int) -> Drop:
    """The scene of the published figures [Fang25], one for all: over random scenes the mean CRLB is infinite."""
    rows = size.antennas // 4
    arrays = UniformPlanarArray(4, rows), UniformPlanarArray(5, rows)
    azimuth, zenith = [-0.73983273, -0.85380405], [-0.65709508, -0.32345686]
    reflection = [0.0870197 + 6.2536e-5j, -0.03992069 + 0.117000274j]
    scene = PointTargets(*arrays, azimuth, zenith, reflection)
    return _drop(size, members, lambda _: scene, arrays, power=1e-2, snapshots=30)


def _echo(power: float, snapshots: int, size: Size, members: int) -> Drop:
    """A target of -10 dB seen by linear arrays of equal size: extended, or a point at 40 degrees [Xu25, Sec. IV].

    Of few scatterers, each is seen and lit at random.
    """
    tx = UniformLinearArray(size.antennas, normalized=False, conjugate=True)
    rx = UniformLinearArray(size.antennas, normalized=False)
    shape = (size.antennas, size.antennas)

    def scene(count: int) -> Scene:
        if size.point:
            return PointTargets(tx, rx, [np.deg2rad(40)], [np.pi / 2], [np.sqrt(0.1)])
        if size.scatterers:
            sides = _gaussian(Stream.TARGET, count, (2 * size.antennas, size.scatterers))
            seen, lit = np.split(sides, 2, axis=-2)
            return ResponseMatrix(np.sqrt(0.1 / size.scatterers) * seen @ np.swapaxes(lit, -1, -2))
        return ResponseMatrix(np.sqrt(0.1) * _gaussian(Stream.TARGET, count, shape))

    return _drop(size, members, scene, (tx, rx), power, snapshots)


THREE_BITS = Aqnm(3)
# The thresholds of crb-min are high, since below some 15 dB most optima are white and found in
# closed form; 20 dB are out of reach with 8 users at 16 antennas.
FAMILIES = (
    Family(
        "sum-rate-crlb",
        {"rate_weight": 0.25, "crlb_weight": 1.0},
        _points,
        (
            Size(16, 4, True),
            Size(32, 4),
            *(Size(64, users, users == 4) for users in (4, 8)),
            *(Size(antennas, 4) for antennas in (128, 256)),
            *(Size(*size, table={"crlb_weight": 0.0}, mark="rates") for size in ((16, 4), (64, 8))),
        ),
        published="ld-sca as published",
        solver="ld-sca",
        options={
            "start": "published",
            "curvature": "figures",
            "published_received_power": True,
            "inner_updates": 20,
            "tolerance": 1e-12,
            "step_tolerance": 1e-5,
        },
    ),
    Family(
        "crb-min",
        {"min_sinr_db": 20},
        partial(_echo, 1.0, 256),
        (
            Size(16, 4, True),
            Size(16, 8, table={"min_sinr_db": 15}),
            *(Size(antennas, 8) for antennas in (24, 32, 48)),
            *(Size(64, users, short=users == 8) for users in (4, 6, 8)),
            *(Size(antennas, 8) for antennas in (96, 128)),
            *(Size(64, users) for users in (10, 12, 14, 16)),
        ),
        published="r-bal",
    ),
    Family(
        "sqnr-max",
        {"min_sqinr_db": 5},
        partial(_echo, 0.1, 16),
        (
            Size(8, 4, True),
            Size(8, 4, True, point=True),
            Size(16, 4, True),
            Size(16, 4, point=True),
            *(Size(antennas, 4, point=point) for antennas in (24, 32) for point in (False, True)),
            *(Size(64, 8, point=point, scatterers=few) for point, few in ((True, 0), (False, 8), (False, 0))),
        ),
        hardware=Transceiver(THREE_BITS, THREE_BITS, THREE_BITS),
        published="mm",
    ),
    Family(
        "point-crb-min",
        {"min_sinr_db": 5},
        partial(_echo, 0.1, 16),
        (Size(8, 4, True, point=True), *(Size(antennas, 4, point=True) for antennas in (16, 32))),
    ),
)
