"""Numbers of other code are not mixed in, unless that is forced, and then it is told."""

import json

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.engine.calls import OtherCode
from isacsim.engine.code import Code, Job
from isacsim.engine.executors import ExecutorFactory, Serial
from isacsim.engine.plan import Task
from isacsim.engine.provenance import differences, merged
from isacsim.errors import InvalidInput, StoreError

COUNTING = ('design.sca.solver={kind="counting"}', "sweep.bits.values=[1, 2]")
FORCE = r"use the versions that it was begun with, choose another --out, or continue with --force"


@pytest.fixture
def resume(study, registry, tmp_path):
    """Begins or continues a run with a number of trials."""

    def go(trials, *sets, **options):
        scenario = study(*COUNTING, *sets, f"trials={trials}", small=("sinks=[]",), registry=registry)
        return isacsim.run(scenario, tmp_path / "run", **{"registry": registry, **options})

    return go


def test_a_run_of_another_version_of_isacsim_is_not_continued(resume, studies, monkeypatch):
    run = resume(1)
    before = studies.numbers(run)
    monkeypatch.setattr("isacsim.engine.provenance.__version__", "9.9.9")
    with pytest.raises(
        StoreError, match=rf"out: .* other code, isacsim: {isacsim.__version__} -> 9.9.9. .*mixed: {FORCE}"
    ):
        resume(2, resume=True)
    assert studies.numbers(isacsim.open_run(run.path)) == before
    assert isacsim.open_run(run.path).trials == 1


@pytest.mark.parametrize("library", ["numpy", "scipy", "numba", "cvxpy", "clarabel"])
def test_a_run_of_another_version_of_what_computes_is_not_continued(resume, monkeypatch, library):
    resume(1)
    monkeypatch.setattr("isacsim.engine.provenance._version", lambda name: "0.0" if name == library else "1.0")
    with pytest.raises(StoreError, match=rf"{library}: \S+ -> 0.0"):
        resume(2, resume=True)


def test_a_run_of_another_version_of_a_plugin_is_not_continued(resume, registry):
    resume(1)
    named = [attrs.evolve(p, origin="parts 2.0") if p.origin == "given" else p for p in registry.plugins]
    newer = attrs.evolve(registry, plugins=tuple(named))
    with pytest.raises(StoreError, match=r"other code, solvers counting plugin: given -> parts 2.0\. Numbers"):
        resume(2, resume=True, registry=newer)


def test_a_plugin_that_offers_nothing_that_is_used_may_be_of_any_version(resume, registry, parts):
    without = ('design.sca.solver={kind="sca", max_steps=1}',)
    resume(1, *without)
    named = [attrs.evolve(p, origin="parts 2.0") if p.origin == "given" else p for p in registry.plugins]
    newer = attrs.evolve(registry, plugins=tuple(named))
    assert resume(2, *without, resume=True, registry=newer).counts().complete


def test_a_run_of_another_version_of_a_component_is_not_continued(resume, parts, monkeypatch):
    resume(1)
    monkeypatch.setattr(parts.Counting, "component_version", 3, raising=False)
    with pytest.raises(StoreError, match=r"other code, solvers counting version: 1 -> 3\. Numbers"):
        resume(2, resume=True)
    parts.SOLVED.clear()
    run = resume(2, resume=True, force=True)
    assert sorted(parts.SOLVED) == [0, 1]  # what the other version designed stands under other addresses
    assert run.dataset()["row_environment"].values.tolist() == [[1, 1], [1, 1]]


def test_what_is_forced_is_told_for_each_row_and_each_solve(resume, studies, parts, monkeypatch):
    before = studies.numbers(resume(1))
    assert not {"row_environment", "solve_environment"} & set(isacsim.open_run(resume(1, resume=True).path).dataset())
    monkeypatch.setattr("isacsim.engine.provenance.__version__", "9.9.9")
    run = resume(2, "sweep.bits.values=[1, 2, 3]", resume=True, force=True)
    assert run.counts().complete
    assert before.items() <= studies.numbers(run).items()
    dataset = run.dataset()
    told = json.loads(dataset.attrs["environments"])
    assert [e["isacsim"] for e in told] == [isacsim.__version__, "9.9.9"]
    assert dataset["row_environment"].dims == ("bits", "trial")
    assert dataset["row_environment"].values.tolist() == [[0, 1], [0, 1], [1, 1]]
    assert dataset["solve_environment"].dims == ("bits", "design", "trial")
    assert dataset["solve_environment"].values.tolist() == 3 * [[[0, 1]]]
    continued = json.loads(dataset.attrs["continued"])
    assert [entry["environment"] for entry in continued] == [0, 1]
    assert run.design("sca", 0, bits=1).environment == 0
    assert run.design("sca", 1, bits=1).environment == 1


def test_a_trial_that_failed_comes_from_nothing(resume, monkeypatch):
    touchy = 'evaluate.converters.metrics=["sum-rate-nats", "crlb", {kind="touchy", trial=1}]'
    resume(1, touchy)
    monkeypatch.setattr("isacsim.engine.provenance.__version__", "9.9.9")
    dataset = resume(3, touchy, resume=True, force=True).dataset()
    assert dataset["row_environment"].values.tolist() == 2 * [[0, -1, 1]]


def test_a_mix_that_was_accepted_is_continued_by_both(resume, monkeypatch):
    resume(1)
    with monkeypatch.context() as newer:
        newer.setattr("isacsim.engine.provenance.__version__", "9.9.9")
        resume(2, resume=True, force=True)
        resume(3, resume=True)
    run = resume(4, resume=True)
    assert run.dataset()["row_environment"].isel(bits=0).values.tolist() == [0, 1, 1, 0]
    monkeypatch.setattr("isacsim.engine.provenance.__version__", "10.0.0")
    with pytest.raises(StoreError, match=r"isacsim: 9.9.9 -> 10.0.0"):
        resume(5, resume=True)


def test_components_that_a_longer_sweep_adds_are_remembered(resume, parts, monkeypatch):
    solvers = '{kind="sca", max_steps=1}', '{kind="counting"}'
    axis = 'sweep.bits={values=%s, sets={"design.sca.solver"=[%s]}}'
    first, swept = axis % ([1], solvers[0]), axis % ([1, 2], ", ".join(solvers))
    resume(1, first)
    run = resume(1, swept, resume=True)
    assert "row_environment" not in run.dataset()
    monkeypatch.setattr(parts.Counting, "component_version", 2, raising=False)
    with pytest.raises(StoreError, match=r"solvers counting version: 1 -> 2"):
        resume(2, swept, resume=True)


def test_force_is_for_runs_that_are_continued(resume, tmp_path):
    with pytest.raises(InvalidInput, match=r"force: needs resume=True"):
        resume(1, force=True)
    assert not (tmp_path / "run").exists()


def test_another_default_is_other_code(registry):
    @attrs.frozen
    class Before:
        known_as = "test.before"

        steps: int = 500
        table: tuple[float, ...] = (1.0, np.nan)

    @attrs.frozen
    class After:
        known_as = "test.before"

        steps: int = 1000
        table: tuple[float, ...] = (1.0, np.nan)
        more: int = 0

    was, now = (json.loads(json.dumps(Code.of(registry, kind()).environment)) for kind in (Before, After))
    assert list(differences(was, now)) == ["record test.before default steps: 500 -> 1000"]
    assert list(differences(now, was)) == ["record test.before default steps: 1000 -> 500"]
    assert list(differences(merged(was, Code.of(registry, isacsim.Aqnm(3)).environment), was)) == []


def elsewhere(code, host="another-host", **changes):
    """The job of a driver on another host, whose code differs from this one's as told."""
    return Job.of(attrs.evolve(code, home=(host, 1), environment={**code.environment, **changes}), 0)


def test_a_worker_of_the_same_code_computes(registry, parts):
    # A plugin that a script gives is compared by the versions of its classes: elsewhere it has no name.
    job = elsewhere(Code.of(registry, [isacsim.Aqnm(3), parts.Counting()]))
    assert job(Task((), ()), {}).results == []


def test_a_worker_of_other_code_refuses_to_compute(registry, parts, monkeypatch):
    code = Code.of(registry, [isacsim.Aqnm(3), parts.Counting()])
    with pytest.raises(OtherCode, match=rf"process \d+ on \S+: numpy: 0\.1 -> {np.__version__}$"):
        elsewhere(code, numpy="0.1")(Task((), ()), {})
    monkeypatch.setattr(parts.Counting, "component_version", 3, raising=False)
    with pytest.raises(OtherCode, match=r": solvers counting version: 1 -> 3$"):
        elsewhere(code, "a-third-host")(Task((), ()), {})  # a job is compared once
    missing = attrs.evolve(code, places={"hardware lens": "isacsim_lens.stage:Lens"})
    with pytest.raises(OtherCode, match=r"ModuleNotFoundError: No module named 'isacsim_lens'"):
        elsewhere(missing)(Task((), ()), {})


class Foreign(ExecutorFactory):
    """Opens executors whose workers have other code."""

    def open(self, workers):
        sound = Serial().open(workers)
        sound.submit = lambda job, *args: Serial().open(1).submit(refuse)
        return sound


def refuse():
    raise OtherCode("process 7 on node3: numpy: 2.4.6 -> 2.3.0")


def test_a_run_whose_workers_have_other_code_ends_with_a_sentence(study, tmp_path):
    with pytest.raises(InvalidInput, match=r"executor: must compute with the driver's code.*on node3: numpy.*Install"):
        isacsim.run(study("sweep.bits.values=[3]"), tmp_path / "run", executor=Foreign())
    assert isacsim.open_run(tmp_path / "run").counts().skipped == 6
