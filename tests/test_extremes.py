"""Public functions given anything, of any shape, kind and magnitude: an answer, an honest status or InvalidInput."""

import contextlib
import os
from functools import partial

import numpy as np
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from isacsim_rf.amplifiers import Rapp, Saleh
from isacsim_rf.converters import ClippingDac
from isacsim_rf.mixers import IqImbalance

import isacsim
from isacsim import (
    Aqnm,
    Chain,
    CrbMin,
    Ideal,
    InvalidInput,
    MidRise,
    PointCrbMin,
    PointTargets,
    SqnrMax,
    SumRateCrlb,
    Transceiver,
    UniformLinearArray,
    UniformPlanarArray,
    metrics,
    solve,
)
from isacsim.api import build_registry, default_registry
from isacsim.solvers.base import refusal

STEPS = 2  # of a solver
# The slow test in portions: ISACSIM_EXAMPLES=500 with --hypothesis-seed 1, 2, 3 and 4 are 2000 examples.
PORTION = os.environ.get("ISACSIM_EXAMPLES")
NONE = (None, "12", b"x", [[1.0], [1.0, 2.0]], {"a": 1}, object, 10**400, np.datetime64(1, "D"), np.array([None]))
DTYPES = (float, complex, np.float32, np.complex64, np.int64, np.uint8, bool, float, complex)


class Draw:
    """Arguments that fit together most of the time, from one seed that Hypothesis draws and shrinks."""

    def __init__(self, seed, sane):
        self.rng, self.sane = np.random.default_rng(seed), sane
        self.lead = self.one((), (), (), (), (2,), (2,), (2, 1), (0,))
        self.antennas, self.users, self.receivers = self.one(1, 2, 4, 4), self.one(0, 1, 1, 2, 2, 3), self.one(1, 3, 4)

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def rarely(self):
        return not self.sane and self.rng.uniform() < 0.05

    def size(self):
        """A magnitude: an ordinary one, or of any order that a number can have."""
        if self.one(True, True, False):
            return self.rng.uniform(0.1, 10)
        return float(self.one(1e-12, 1e12, 10.0 ** self.rng.integers(-320, 301)))

    def array(self, *shape, dtype=complex, positive=False):
        """Numbers of one magnitude, or each of its own; at times of another shape or kind, or nothing numerical."""
        if self.rarely():
            return self.one(*NONE, np.nan, np.inf, -1.0, 0.0)
        if self.rarely():
            shape = self.one((), (1,), (5,), (2, 3), (0,), (1, 2, 1, 2))
        lead = self.lead if self.one(True, False) else ()
        x = self.rng.standard_normal((*lead, *shape))
        if dtype is complex:
            x = x + 1j * self.rng.standard_normal(x.shape)
        x = np.abs(x) if positive else x
        x = x * self.size()
        if self.rarely():
            x = x * 10.0 ** self.rng.integers(-300, 300, x.shape)
        if not self.sane and self.one(True, False, False, False) and not positive:
            with np.errstate(all="ignore"):
                x = x.real.astype(self.one(*DTYPES))
        if self.rarely() and x.size and x.dtype.kind in "fc":
            x.flat[0] = self.one(0.0, np.inf, np.nan, 1.0)
        return x

    def power(self, *shape):
        return self.array(*shape, dtype=float, positive=True)

    def whole(self):
        return self.one(*NONE, 0, -1, 1.5, 10**12, 10**30) if self.rarely() else self.one(1, 8, 1000)

    def hardware(self):
        bits = self.one(1, 3, 8, np.inf)
        stages = [
            Ideal(), Aqnm(bits=bits), Aqnm(bits=3, table="uniform"), MidRise(bits=self.one(2, 4)),
            Rapp(saturation=self.size() + 1e-320), Saleh(saturation=self.size() + 1e-320),
            ClippingDac(bits=2, full_scale=self.size() + 1e-320), IqImbalance(gain=self.one(1.0, 2.0), phase=0.1),
        ]  # fmt: skip
        return self.one(Ideal(), self.one(*stages), Chain(self.one(*stages), self.one(*stages)))

    def transceiver(self):
        if self.one(True, True, False):
            return Transceiver()
        return Transceiver(self.hardware(), self.hardware(), self.hardware())

    def elements(self, ordinary):
        return self.one(0, -1, 1.5, "3", 10**11, 10**30, None, True) if self.rarely() else ordinary

    def targets(self):
        linear = self.one(True, False)
        sides = [(size // 2, 2) if size == 4 else (size, 1) for size in (self.antennas, self.receivers)]
        made = [
            UniformLinearArray(self.elements(m * n)) if linear else UniformPlanarArray(self.elements(m), n)
            for m, n in sides
        ]
        count = self.one(1, 1, 2, 3)
        angles = self.array(count, dtype=float)
        zenith = np.pi / 2 if linear else self.array(count, dtype=float)
        return PointTargets(*made, angles, zenith, self.array(count))

    def link(self):
        return {
            "H": self.array(self.antennas, self.users), "power": self.power(),
            "noise_power": self.power(self.one(1, self.users)), "transceiver": self.transceiver(),
        }  # fmt: skip

    def weight(self):
        return self.one(*NONE, -1.0, np.nan) if self.rarely() else self.one(0.0, 1.0, 1.0, 1.0, self.size())

    def problem(self, kind):
        least = self.power(self.one(1, self.users))
        if kind is CrbMin:
            return CrbMin(min_sinr=least, **self.link())
        radar = {"radar_noise_power": self.power(), **self.link()}
        if kind is SqnrMax:
            return SqnrMax(G=self.array(self.receivers, self.antennas), min_sqinr=least, **radar)
        point = {"targets": self.targets(), "snapshots": self.whole(), **radar}
        if kind is PointCrbMin:
            return PointCrbMin(min_sinr=least, **point)
        return SumRateCrlb(
            rate_weight=self.weight(), crlb_weight=self.weight(), per_antenna=self.one(False, False, True),
            sensing_streams=self.one(None, None, 1, self.elements(2)),
            parameters=self.one(None, None, ("azimuth",), ("azimuth", "reflection")), **point,
        )  # fmt: skip

    def problem_of(self, kind, solver):
        """A problem, which the solver takes where arguments are sane, so that most of what is drawn is solved."""
        for _ in range(12 * self.sane):
            with contextlib.suppress(InvalidInput):
                if refusal(default_registry().load("solvers", solver)(), problem := self.problem(kind)) is None:
                    return problem
        return self.problem(kind)


def judge_metric(name, draw):
    H, W = draw.array(draw.antennas, draw.users), draw.array(draw.antennas, draw.users + draw.one(0, 2))
    G, noise, hardware = draw.array(draw.receivers, draw.antennas), draw.power(draw.one(1, draw.users)), None
    hardware, radar = draw.transceiver(), draw.power()
    calls = {
        "antenna_power": lambda f: f(W, hardware.transmit),
        "beampattern": lambda f: f(W, UniformLinearArray(draw.elements(draw.antennas)), draw.array(dtype=float)),
        "covariance": lambda f: f(W),
        "crlb": lambda f: f(draw.targets(), W, radar, draw.whole(), hardware, draw.one("signal", "radiated")),
        "fim": lambda f: f(draw.targets(), W, radar, draw.whole(), hardware, draw.one("signal", "radiated")),
        "energy_efficiency": lambda f: f(draw.power(), draw.power(), draw.power()),
        "radar_sqnr": lambda f: f(G, W, radar, hardware),
        "radar_sqnr_combiner": lambda f: f(G, W, radar, hardware),
        "radiated_power": lambda f: f(W, hardware.transmit),
        "rescale_to_radiated": lambda f: f(W, hardware.transmit, draw.power()),
        "response_crb": lambda f: f(G, W, radar, draw.whole(), hardware, draw.one("signal", "radiated")),
        "sinr": lambda f: f(H, W, noise),
        "sqinr_ceiling": lambda f: f(hardware, draw.whole()),
        **dict.fromkeys(("single_user_precoder", "sqinr_bound"), lambda f: f(H, draw.power(), noise, hardware)),
    }
    rates = ("rate_bits", "rate_nats", "sqinr", "sum_rate", "sum_rate_bits")
    calls |= dict.fromkeys(rates, lambda f: f(H, W, noise, hardware))
    calls[name](getattr(metrics, name))


def judge_problem(kind, draw):
    problem = draw.problem(kind)
    W = draw.array(draw.antennas, problem.streams if problem.streams < 100 else 2)
    problem.objective(W)
    problem.constraints(W)


def judge_hardware(draw):
    device = draw.hardware()
    x, power = draw.array(draw.antennas, 5), draw.one(None, draw.power(draw.antennas))
    device.apply(x, np.random.default_rng(0), power=power)
    R = draw.array(draw.antennas, draw.antennas)
    device.linear_model(R @ np.conj(np.swapaxes(R, -1, -2)) if isinstance(R, np.ndarray) and R.ndim > 1 else R)


def judge_array(draw):
    array = UniformPlanarArray(draw.elements(2), draw.elements(3))
    array.steering(draw.array(dtype=float), draw.array(dtype=float))
    array.steering_derivatives(draw.array(dtype=float))


def judge_scene(draw):
    scene = draw.targets()
    scene.response(), scene.transmit_basis(), scene.receive_basis(), scene.parameter_matrices()
    isacsim.ResponseMatrix(draw.array(draw.receivers, draw.antennas)).response()


def judge_places(draw):
    across, up = draw.array(draw.antennas, dtype=float), draw.one((0.0,), draw.array(draw.antennas, dtype=float))
    isacsim.PlacedArray(across, up).steering(draw.array(dtype=float), draw.array(dtype=float))


def judge_background(draw):
    shape = draw.one(1, 2), draw.receivers, draw.antennas
    isacsim.Background(draw.array(*shape), draw.one(0.0, 1.0, draw.power(shape[0]))).flat()
    scatterers = draw.one(0, -1, 1.5, "3", None, True) if draw.rarely() else 3
    model = isacsim.BackgroundModel(
        isacsim.SelfInterference(draw.power(), draw.one(0.0, draw.weight())),
        isacsim.Clutter(draw.power(), scatterers, draw.one(1.0, draw.power()), draw.one(0.0, draw.weight())),
    )
    arrays = (UniformLinearArray(draw.elements(size)) for size in (draw.antennas, draw.receivers))
    model.draw(*arrays, [np.random.default_rng(0)])


def judge_drop(draw):
    counts = (draw.one(*NONE, 0, -1, 1.5, 7) if draw.rarely() else count for count in (8, 2, draw.one(None, 4), 2))
    grid = isacsim.Grid(
        *(next(counts) if key != "spacing" else draw.power() for key in ("N", "spacing", "T", "F", "N_c"))
    )
    arrays = UniformLinearArray(draw.antennas), UniformLinearArray(draw.receivers)
    scene = isacsim.ResponseMatrix(draw.array(draw.receivers, draw.antennas))
    rest = scene, *arrays, draw.power(), draw.power(draw.users), draw.power(), draw.whole()
    isacsim.Drop(draw.array(draw.antennas, draw.users), *rest)
    H = draw.array(grid.used, draw.antennas, draw.users)
    keys = ("targets", "tx_array", "rx_array", "power", "noise_power", "radar_noise_power", "snapshots")
    isacsim.WidebandDrop(H=H, grid=grid, **dict(zip(keys, rest, strict=True))).subcarriers()


def judge_heuristic(solver, draw):
    judge_solver(draw.one(*SOLVERS), solver, draw)


SOLVERS = {
    SumRateCrlb: ("riemannian-lbfgs", "riemannian-cg", "sca", "ld-sca", "fp-sgda", "r-wmmse"),
    SqnrMax: ("newton-mm",),
    CrbMin: ("primal-dual-newton", "r-bal", "bal", "dual-newton"),
    PointCrbMin: (),
}
HEURISTICS = ("mrt", "zf", "rzf", "dft-beams", "equal-split")
PROGRAMS = {
    SumRateCrlb: ("wmmse-sdr",),
    SqnrMax: ("mm", "sdr", "augmented-lagrangian"),
    CrbMin: ("ipm", "r-ipm"),
    PointCrbMin: ("fisher-sdr",),
}


def judge_solver(kind, solver, draw):
    problem = draw.problem_of(kind, solver)
    # How long a loop goes on asserts nothing here: what it is given breaks it in its first steps or in its last answer.
    few = {"max_steps": STEPS} if hasattr(default_registry().load("solvers", solver), "max_steps") else {}
    odd = {"initial": draw.array(draw.antennas, 2)} if draw.rarely() else {}
    chosen = draw.one(solver, solver, 3, np.ones(3)) if draw.rarely() else solver
    solution = solve(problem, chosen, **few, **odd)
    told = np.ravel(np.asarray(solution.status, object))
    objective, size = np.ravel(solution.objective), problem.H.shape[-2] * problem.streams
    precoder = np.reshape(solution.precoder, (told.size, size))
    event(" ".join(sorted({status.name for status in told})) or "no members")
    for status, value, W in zip(told, objective, precoder, strict=True):
        assert status.answered == (not np.isnan(value)), (status, value)
        assert status.answered == bool(np.isfinite(W).all()), status
        assert not status.good or np.isfinite(value), (status, value)
        if not status.answered:
            assert np.isnan(W).all()


CASES = {
    **{f"metrics.{name}": partial(judge_metric, name) for name in metrics.__all__},
    **{kind.kind: partial(judge_problem, kind) for kind in SOLVERS},
    **{f"solve {s}": partial(judge_solver, kind, s) for kind, names in SOLVERS.items() for s in names},
    **{f"solve {s}": partial(judge_heuristic, s) for s in HEURISTICS},
    "hardware": judge_hardware,
    "array": judge_array,
    "places": judge_places,
    "background": judge_background,
    "drop": judge_drop,
    "scene": judge_scene,
}
SLOW = {f"solve {s}": partial(judge_solver, kind, s) for kind, names in PROGRAMS.items() for s in names}
# Of larger ranges Hypothesis draws small numbers more often, some of them again and again.
SEEDS = {"seed": st.integers(0, 2**24 - 1), "sane": st.booleans()}


# Which of the public names of `isacsim` each case takes, and why no case takes others. Of the other public modules
# `metrics` is here as a whole; what `api`, `units` and `testing` have is called by authors with what the engine has
# checked, and `tests/contracts` tries what these make of it.
TAKEN = {
    "array": "UniformLinearArray UniformPlanarArray", "places": "PlacedArray", "scene": "PointTargets ResponseMatrix",
    "background": "Background BackgroundModel Clutter SelfInterference", "drop": "Drop WidebandDrop Grid",
    "hardware": "Aqnm Chain Ideal MidRise Transceiver", "solve mm": "solve metrics",
    "sum-rate-crlb": "SumRateCrlb", "sqnr-max": "SqnrMax", "crb-min": "CrbMin", "point-crb-min": "PointCrbMin",
}  # fmt: skip
APART = {
    "reads a file: tests/cli/test_malformed_input.py": "Axis BaseStation Design Evaluation Expectation Figure "
    "Precision Scenario Users load_scenario run",
    "takes the folder of a run": "Run compare export open_run",
    "is returned, raised or derived from": "Hardware InvalidInput IsacsimError LinearModel PlausibilityWarning "
    "PluginError Solution Status StoreError",
}


def test_every_public_name_and_solver_is_tried_or_has_a_reason():
    assert set(TAKEN) <= set(CASES | SLOW)
    named = [name for names in (*TAKEN.values(), *APART.values()) for name in names.split()]
    assert sorted(named) == sorted(isacsim.__all__)
    assert {f"metrics.{name}" for name in metrics.__all__} <= set(CASES)
    assert {f"solve {name}" for name in build_registry(installed=False).names("solvers")} <= set(CASES | SLOW)


def refuses_or_answers(case, seed, sane):
    # Whether numbers out of range are worth a warning is the caller's setting.
    with np.errstate(all="ignore"):
        try:
            case(Draw(seed, sane))
        except InvalidInput:
            event("refused")


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=6)  # the slow test takes thousands
@given(**SEEDS)
def test_an_argument_is_refused_or_answered(name, seed, sane):
    refuses_or_answers(CASES[name], seed, sane)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *SLOW])
@settings(
    max_examples=int(PORTION or 2000), derandomize=not PORTION, database=None,
    phases=(Phase.explicit, Phase.generate),  # a smaller seed is no simpler example
)  # fmt: skip
@given(**SEEDS)
def test_any_of_many_arguments_is_refused_or_answered(name, seed, sane):
    refuses_or_answers((CASES | SLOW)[name], seed, sane)
