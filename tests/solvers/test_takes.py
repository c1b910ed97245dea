"""What a solver takes: asked, said in words, and the same for `solve`, `check` and the table of capabilities."""

import json
import sys
import warnings
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
import pytest
from attrs import frozen

import isacsim
from isacsim import Aqnm, Chain, InvalidInput, Transceiver
from isacsim.cli.main import main
from isacsim.hardware.base import Hardware
from isacsim.plugin import SolverSpec, build_registry, hookimpl
from isacsim.solvers.base import Solver
from isacsim.solvers.solve import made_by_default, takers
from isacsim.testing.capabilities import Compressing, capabilities, markdown
from isacsim.testing.examples import example_problem, problem_for

BUNDLED = build_registry(installed=False)
AMPLIFIED = Transceiver(transmit=Chain(Aqnm(3), Compressing()))


class Opaque(Compressing):
    """A stage whose linear model has no derivative."""

    linear_model_vjp = Hardware.linear_model_vjp


OPAQUE = Transceiver(transmit=Chain(Aqnm(3), Opaque()))


@pytest.mark.parametrize("name", BUNDLED.names("solvers"))
def test_a_solver_takes_what_it_solves_and_says_why_not(name):
    solver = made_by_default(name, BUNDLED)
    for kind in BUNDLED.names("problems"):
        told = solver.takes(problem_for(solver, example_problem(kind, BUNDLED))[0])
        assert told is None if kind in solver.problems else told == f"takes {', '.join(solver.problems)}, not {kind}"
        told = solver.takes(example_problem(kind, BUNDLED, AMPLIFIED))
        if solver.heuristic:  # its beams know nothing of hardware
            assert (told is None) == (kind in solver.problems)
            continue
        if told is None:  # for any hardware with a derivative
            assert kind in solver.problems
            told = solver.takes(example_problem(kind, BUNDLED, OPAQUE))
        assert kind not in solver.problems or "transmit.1 (" in told or "transmit.0 (Aqnm)" in told


def test_a_solver_whose_package_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr("isacsim.solvers.base._installed", lambda module: module != "cvxpy")
    problem = example_problem("point-crb-min", BUNDLED)
    told = r"fisher-sdr needs cvxpy, which is not installed: pip install 'isacsim\[convex\]'"
    with pytest.raises(InvalidInput, match=told):
        isacsim.solve(problem, registry=BUNDLED)
    assert takers(problem, BUNDLED) == []
    assert "ipm" not in takers(example_problem("crb-min", BUNDLED), BUNDLED)


def test_a_cone_program_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)  # what makes an import fail as if it were not there
    with pytest.raises(InvalidInput, match=r"must have cvxpy.*pip install 'isacsim\[convex\]'"):
        isacsim.solve(example_problem("sqnr-max", BUNDLED), "sdr", route="program", registry=BUNDLED)


def test_a_stage_that_is_no_converter_is_named_by_solve():
    problem = example_problem("sqnr-max", BUNDLED, AMPLIFIED)
    with pytest.raises(
        InvalidInput,
        match=r"mm designs for data converters, and transmit\.1 \(Compressing\) does not add noise.*"
        r"augmented-lagrangian, newton-mm",
    ):
        isacsim.solve(problem, "mm", registry=BUNDLED)
    assert takers(problem, BUNDLED) == ["augmented-lagrangian", "newton-mm"]
    assert takers(example_problem("sqnr-max", BUNDLED), BUNDLED) == ["augmented-lagrangian", "mm", "newton-mm", "sdr"]
    opaque = example_problem("sqnr-max", BUNDLED, OPAQUE)
    with pytest.raises(
        InvalidInput, match=r"newton-mm needs the derivative of hardware, and transmit\.1 \(Opaque\) gives"
    ):
        isacsim.solve(opaque, registry=BUNDLED)
    assert takers(opaque, BUNDLED) == []


def test_a_power_of_each_antenna_leaves_the_solvers_that_take_one():
    problem = attrs.evolve(example_problem("sum-rate-crlb", BUNDLED), per_antenna=True)
    left = takers(problem, BUNDLED)
    assert "sca" in left
    assert {"ld-sca", "wmmse-sdr"}.isdisjoint(left)
    for name in left:
        assert np.isfinite(isacsim.solve(problem, name, registry=BUNDLED, max_steps=2).objective).all()


def old_class():
    """A solver as plugins of the first release wrote them."""

    @frozen
    class Old(Solver):
        problems: ClassVar[tuple[str, ...]] = ("crb-min",)
        hardware_aware: ClassVar[bool] = True

        def solve(self, problem, request):
            raise NotImplementedError

    return Old


def test_a_solver_of_the_first_release_is_taken_at_its_word_with_one_notice():
    with pytest.warns(DeprecationWarning, match="hardware_aware: .*override `takes`") as told:
        solver = old_class()()
    assert len(told) == 1
    assert solver.takes(example_problem("crb-min", BUNDLED, AMPLIFIED)) is None
    assert solver.takes(example_problem("sqnr-max", BUNDLED)) == "takes crb-min, not sqnr-max"


class Clumsy:
    """Offers a solver that cannot be imported."""

    @staticmethod
    @hookimpl
    def isacsim_solvers():
        yield SolverSpec("clumsy", "no_such_module:Solver", "cannot be imported")


def test_a_solver_that_cannot_be_imported_spoils_no_answer():
    registry = build_registry([Clumsy], installed=False)
    with pytest.raises(
        InvalidInput, match="sca takes sum-rate-crlb, not crb-min, got 'sca'. Valid: bal, dual-newton, ipm"
    ):
        isacsim.solve(example_problem("crb-min", registry), "sca", registry=registry)
    assert capabilities(registry) == capabilities(BUNDLED)


def test_the_table_in_the_docs_is_what_the_solvers_answer():
    page = (Path(__file__).parents[2] / "docs" / "components.md").read_text()
    assert markdown(capabilities(BUNDLED)) in page, "write the table of `isacsim.testing.capabilities.markdown` there"


def test_list_solvers_tells_hardware_constraints_and_guarantee(capsys):
    assert main(["list", "solvers"]) == 0
    told = capsys.readouterr().out
    assert "sum-rate-crlb: hardware ideal; constraints total; or antenna" in told
    assert "sqnr-max: hardware any; constraints sqinr + total" in told
    assert "sqnr-max: hardware converters; constraints sqinr + total" in told
    assert main(["list", "solvers", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    (sca,) = rows["sca"]["takes"]
    assert (sca["problem"], sca["hardware"], sca["default"]) == ("sum-rate-crlb", "ideal", False)
    assert all(row["takes"][0]["guarantee"] for row in rows.values() if row["plugin"].startswith("isacsim."))


def test_every_bundled_solver_is_made_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(made_by_default(name, BUNDLED) for name in BUNDLED.names("solvers"))
