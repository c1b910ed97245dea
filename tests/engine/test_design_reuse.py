"""No design is solved twice: not within a sweep, and not when a run is extended."""

import json

import numpy as np
import pytest

import isacsim
from isacsim.engine.plan import Plan
from isacsim.errors import InvalidInput
from isacsim.plugin import default_registry
from isacsim.solvers.solution import Status

VALUES = "sweep.bits.values="
POWER = """
[sweep.power]
values = [5, 10]
sets = "base_station.power_dbm"
"""
TWO_DESIGNS = """
[design.sensing]
problem = { kind = "sum-rate-crlb", rate_weight = 0, crlb_weight = 1 }
solver = { kind = "counting" }

[sweep.weight]
values = [0.1, 0.2, 0.3]
sets = "design.sca.problem.rate_weight"
"""
FIGURES = "[figure.rate]"


@pytest.fixture
def quick(studies, study, registry):
    """A study of the counting solver, with an addition to its text before the figures."""

    def make(*sets, extra=""):
        text = studies.text.partition(FIGURES)[0].replace('kind = "sca"', 'kind = "counting"') + extra
        return study("trials=6", *sets, text=text, small=(), registry=registry)

    return make


def test_a_sweep_of_the_hardware_met_solves_each_trial_once(studies, quick, registry, parts, tmp_path):
    run = isacsim.run(quick(), tmp_path / "run", registry=registry)
    assert sorted(parts.SOLVED) == list(range(6))
    assert len(studies.numbers(run, "designs")) == 6
    assert len(studies.numbers(run, "results")) == 36


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_sweep_of_the_power_solves_each_point(studies, quick, registry, parts, tmp_path, chunk):
    run = isacsim.run(quick(extra=POWER), tmp_path / "run", chunk=chunk, registry=registry)
    assert sorted(parts.SOLVED) == sorted(2 * list(range(6)))
    assert len(studies.numbers(run, "designs")) == 12
    powers = [np.linalg.norm(run.design("sca", 0, power=p).precoder) ** 2 for p in (5, 10)]
    np.testing.assert_allclose(powers, [10**-2.5, 10**-2], rtol=1e-12)  # the projection onto full power


def test_each_design_is_solved_where_its_own_inputs_differ(studies, quick, registry, parts, tmp_path):
    scenario = quick("trials=2", extra=TWO_DESIGNS)
    plan = Plan.of(scenario, registry)
    assert len(plan.points) == 18
    assert len(plan.groups) == 1  # all points share the design that senses only
    run = isacsim.run(scenario, tmp_path / "run", registry=registry)
    assert sorted(parts.SOLVED) == [0] * 4 + [1] * 4
    assert len(studies.numbers(run, "designs")) == 8
    assert run.dataset()["objective"].dims == ("bits", "weight", "design", "trial")


def test_new_sweep_values_are_judged_on_stored_precoders(studies, quick, registry, parts, tmp_path):
    first = isacsim.run(quick(VALUES + "[1, 2]"), tmp_path / "run", registry=registry)
    before, solved = studies.numbers(first), len(parts.SOLVED)
    second = isacsim.run(quick(VALUES + "[1, 2, 5, inf]"), tmp_path / "run", resume=True, registry=registry)
    assert len(parts.SOLVED) == solved
    after = studies.numbers(second)
    assert len(after) == 24
    assert before.items() <= after.items()
    fresh = isacsim.run(quick(VALUES + "[1, 2, 5, inf]"), tmp_path / "fresh", registry=registry)
    assert studies.numbers(fresh) == after
    assert second.dataset()["bits"].values.tolist() == [1, 2, 5, np.inf]
    provenance = second.dataset().attrs
    assert json.loads(provenance["scenario"])["sweep"]["bits"]["values"] == [1, 2, 5, np.inf]
    assert len(json.loads(provenance["continued"])) == 1


def test_new_trials_keep_the_old_ones(studies, quick, registry, parts, tmp_path):
    first = isacsim.run(quick("trials=3"), tmp_path / "run", registry=registry)
    before = studies.numbers(first)
    parts.SOLVED.clear()
    second = isacsim.run(quick(), tmp_path / "run", resume=True, registry=registry)
    assert sorted(parts.SOLVED) == [3, 4, 5]
    assert before.items() <= studies.numbers(second).items()
    assert second.counts().requested == 36


def test_resuming_with_fewer_trials_keeps_more(quick, registry, parts, tmp_path):
    isacsim.run(quick(), tmp_path / "run", registry=registry)
    parts.SOLVED.clear()
    again = isacsim.run(quick(), tmp_path / "run", trials=2, resume=True, registry=registry)
    assert not parts.SOLVED
    assert again.trials == 6
    assert again.counts().complete


def test_one_trial_can_be_replayed_alone(study, tmp_path):
    scenario = study()
    run = isacsim.run(scenario, tmp_path / "run")
    stored = run.design("sca", 4, bits=2)
    design = scenario.design["sca"]
    problem = design.problem.pose(scenario.drop((4,)), isacsim.Transceiver())
    replayed = isacsim.solve(problem, design.solver)
    assert replayed.precoder[0].tobytes() == stored.precoder.tobytes()
    assert stored.status is Status.MAX_STEPS
    assert stored.scalars[0] == replayed.objective[0]
    assert stored.solve_time > 0


def test_asking_for_a_design_that_is_not_there_says_what_is(quick, registry, tmp_path):
    run = isacsim.run(quick(extra=POWER), tmp_path / "run", registry=registry)
    with pytest.raises(InvalidInput, match=r"name: must name a design, got 'scaa'. Did you mean 'sca'"):
        run.design("scaa", 0, power=5)
    with pytest.raises(InvalidInput, match=r"trial: must be a trial that is done, below 6, got 6"):
        run.design("sca", 6, power=5)
    with pytest.raises(InvalidInput, match=r"coords: must be values of the sweep, got {'power': 6}. .*bits, power"):
        run.design("sca", 0, power=6)
    with pytest.raises(InvalidInput, match=r"coords: must choose one of 2 solutions.*bits, power"):
        run.design("sca", 0, bits=1)


def test_all_points_of_the_quickstart_share_one_design(study):
    plan = Plan.of(study("trials=100"), default_registry())
    assert len(plan.points) == 6
    assert len({address for point in plan.points for address in point.design_ids.values()}) == 1
