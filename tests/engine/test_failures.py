"""What goes wrong stays where it is: one trial, one member, one worker, one observer."""

import json
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.engine.driver import Driver
from isacsim.engine.executors import ExecutorFactory, Processes, Serial
from isacsim.errors import InvalidInput, StoreError
from isacsim.report.figures import draw_figures
from isacsim.report.summary import rows, statuses, table

ONE_METRIC = "evaluate.converters.metrics=[%s]"


def touchy(**options):
    """The setting that adds the touchy metric."""
    told = ", ".join(f"{key}={json.dumps(value)}" for key, value in options.items())
    return ONE_METRIC % f'"sum-rate-nats", "crlb", {{kind="touchy", {told}}}'


@pytest.fixture
def fuse(tmp_path):
    """A file while which exists a touchy metric is touchy."""
    path = tmp_path / "fuse"
    path.touch()
    return path


@pytest.fixture(scope="module")
def whole(studies, tmp_path_factory):
    """The dataset of the study in which nothing fails."""
    folder = tmp_path_factory.mktemp("whole")
    return isacsim.run(studies.load(folder=folder), folder / "run").dataset()


@pytest.mark.parametrize("chunk", [1, 4, 6])
def test_a_failing_trial_is_the_only_one_that_fails(study, registry, tmp_path, fuse, chunk, whole):
    scenario = study(touchy(trial=3, armed=str(fuse)), registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", chunk=chunk, registry=registry)
    counts = run.counts()
    assert (counts.requested, counts.done, counts.partly, counts.failed, counts.skipped) == (36, 30, 6, 0, 0)
    assert str(counts) == "36 requested = 30 done + 6 partly done + 0 failed + 0 skipped"
    assert not counts.complete
    assert repr(run) == f"Run('{run.path}': {counts})"
    failures = run.failures()
    assert {trial for _, trial, _ in failures} == {3}
    assert [coords["bits"] for coords, _, _ in failures] == [1, 2, 3, 4, 6, np.inf]
    assert {text for _, _, text in failures} == {"ArithmeticError: this trial is touchy"}
    assert {(f.what.design, f.what.evaluation, f.what.measure) for f in failures} == {("sca", "converters", "touchy")}
    assert {f.what.file for f in failures} == {"parts/isacsim_test_parts.py"}
    dataset = run.dataset()
    assert np.isnan(dataset["touchy"].sel(trial=3)).all()
    assert np.isfinite(dataset["touchy"].drop_sel(trial=3)).all()
    # The other measures of the trial are what they are where nothing fails.
    for name in ("sum-rate-nats", "crlb"):
        assert dataset[name].values.tobytes() == whole[name].values.tobytes()


@pytest.mark.parametrize(("how", "told"), [("quit", "SystemExit: not today"), ("interrupt", "KeyboardInterrupt")])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_measure_that_would_end_the_program_costs_its_row(study, registry, tmp_path, how, told, workers):
    # Even at the last trial, which is rehearsed.
    executor = Processes() if workers > 1 else None
    scenario = study(touchy(trial=5, how=how), registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", workers=workers, executor=executor, registry=registry)
    assert str(run.counts()) == "36 requested = 30 done + 6 partly done + 0 failed + 0 skipped"
    assert {(f.trial, f.error, f.what.type, f.what.file, f.what.measure) for f in run.failures()} == {
        (5, told, told.partition(":")[0], "parts/isacsim_test_parts.py", "touchy")
    }


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
@pytest.mark.parametrize("part", ["design", "targets"])
def test_a_design_or_a_scene_that_would_end_the_program_costs_its_trial(study, registry, tmp_path, part, error):
    chosen = {
        "design": f'design.sca.solver={{kind="counting", raising=[3], error="{error}"}}',
        "targets": f'targets={{kind="sometimes-blind", trial=9, lost=3, error="{error}"}}',
    }
    run = isacsim.run(study(chosen[part], registry=registry), tmp_path / "run", registry=registry)
    assert (run.counts().done, run.counts().failed) == (30, 6)
    assert {(f.trial, f.what.type) for f in run.failures()} == {(3, error)}


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_run_that_is_to_abort_ends_with_its_first_failure(studies, study, registry, tmp_path, fuse, chunk):
    scenario = study(touchy(trial=1, armed=str(fuse)), "sweep.bits.values=[2, 3]", registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", chunk=chunk, on_failure="abort", registry=registry)
    counts = run.counts()
    assert counts.requested == counts.done + counts.partly + counts.failed + counts.skipped == 12
    assert counts.partly == 2
    assert counts.skipped == (8 if chunk == 1 else 4)
    fuse.unlink()
    again = isacsim.run(scenario, tmp_path / "run", resume=True, on_failure="abort", registry=registry)
    assert again.counts().complete
    assert studies.numbers(again) == studies.numbers(isacsim.run(scenario, tmp_path / "whole", registry=registry))


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_trial_that_is_tried_again_fails_once_or_is_done(study, registry, parts, tmp_path, fuse, chunk):
    scenario = study(touchy(trial=1, armed=str(fuse)), "sweep.bits.values=[2, 3]", registry=registry)
    kept = {"chunk": chunk, "on_failure": "retry", "registry": registry, "observers": ["listener"]}
    run = isacsim.run(scenario, tmp_path / "run", **kept)
    assert str(run.counts()) == "12 requested = 10 done + 2 partly done + 0 failed + 0 skipped"
    assert [f.trial for f in run.failures()] == [1, 1]
    told = [event for event in parts.EVENTS if type(event).__name__ == "TrialFailed"]
    assert [event.trial for event in told] == [1, 1]  # of each failure once, and not of the first attempt
    ends = [event for event in parts.EVENTS if type(event).__name__ == "ChunkEnd"]
    assert (sum(end.done for end in ends), sum(end.partly for end in ends)) == (10, 2)
    # What fails but once is done, as where a worker is killed for want of memory.
    once = study(touchy(trial=1, armed=str(fuse), how="once"), "sweep.bits.values=[2]", registry=registry)
    again = isacsim.run(once, tmp_path / "again", **kept)
    assert again.counts().complete
    fuse.touch()
    skipped = isacsim.run(once, tmp_path / "skipped", **{**kept, "on_failure": "skip"})
    assert skipped.counts().partly == 1


def test_what_a_component_changes_of_its_process_is_put_back(study, registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenario = study(touchy(trial=1, how="wander"), "sweep.bits.values=[3]", "sinks=['csv']", registry=registry)
    before = np.geterr()
    run = isacsim.run(scenario, "run", chunk=1, registry=registry)  # in this process, by a path from here
    assert run.counts().complete
    assert (tmp_path / "run" / "results.csv").exists()
    assert (os.getcwd(), np.geterr()) == (str(tmp_path), before)


def test_a_policy_that_is_not_known_is_refused(study, tmp_path):
    with pytest.raises(InvalidInput, match="on_failure: must be one of its choices, got 'abrot'. Did you mean 'abort'"):
        isacsim.run(study(), tmp_path / "run", on_failure="abrot")
    assert not (tmp_path / "run").exists()


def test_of_axes_that_differ_those_of_the_first_trial_are_kept_whatever_comes_first(
    studies, study, registry, tmp_path, fuse
):
    ragged = f'evaluate.converters.metrics=["sum-rate-nats", {{kind="ragged", armed="{fuse}"}}]'
    scenario = study(ragged, "sweep.bits.values=[3]", "figure={}", "expect={}", registry=registry)
    # Trial 0 fails at first, so that others say the axes until it comes.
    first = isacsim.run(scenario, tmp_path / "late", chunk=1, registry=registry)
    assert (first.counts().done, first.counts().partly) == (3, 3)
    assert sorted(t for _, t in studies.numbers(first)) == [1, 3, 5]
    fuse.unlink()
    late = isacsim.run(scenario, tmp_path / "late", resume=True, chunk=2, registry=registry)
    whole = isacsim.run(scenario, tmp_path / "whole", chunk=4, registry=registry)
    for run in (late, whole):
        assert str(run.counts()) == "6 requested = 3 done + 3 partly done + 0 failed + 0 skipped"
        assert {(f.trial, f.what.measure) for f in run.failures()} == {(t, "ragged") for t in (1, 3, 5)}
        assert run.dataset()["ragged"].squeeze().values[::2].tolist() == [[0, 1], [2, 3], [4, 5]]
        assert np.isfinite(run.dataset()["sum-rate-nats"]).all()
        assert run.replay(trial=3, registry=registry).same
    assert studies.numbers(late) == studies.numbers(whole)


def test_resuming_tries_failed_trials_again(studies, study, registry, tmp_path, fuse):
    scenario = study(touchy(trial=3, armed=str(fuse)), registry=registry)
    first = isacsim.run(scenario, tmp_path / "run", registry=registry)
    before = studies.numbers(first)
    assert isacsim.run(scenario, tmp_path / "run", resume=True, registry=registry).counts().partly == 6
    fuse.unlink()
    again = isacsim.run(scenario, tmp_path / "run", resume=True, registry=registry)
    assert again.counts().complete
    assert again.failures() == []
    assert before.items() <= studies.numbers(again).items()


def test_a_solver_that_raises_fails_its_trial_at_every_point(study, registry, tmp_path):
    scenario = study('design.sca.solver={kind="counting", raising=[5]}', registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", registry=registry)
    assert (run.counts().done, run.counts().failed) == (30, 6)
    assert {(trial, text) for _, trial, text in run.failures()} == {(5, "FloatingPointError: no step is finite")}
    assert {f.what.part for f in run.failures()} == {"design sca"}


def test_a_design_that_raises_costs_no_other_design_its_row(studies, study, registry, tmp_path):
    plain = study("sweep.bits.values=[3]", registry=registry)
    counting = study('design.sca.solver={kind="counting", raising=[5]}', registry=registry).design["sca"]
    scenario = attrs.evolve(plain, design={**plain.design, "fragile": counting})
    run = isacsim.run(scenario, tmp_path / "run", chunk=4, registry=registry)
    assert str(run.counts()) == "6 requested = 5 done + 1 partly done + 0 failed + 0 skipped"
    (failure,) = run.failures()
    assert (failure.trial, failure.what.part, failure.what.type) == (5, "design fragile", "FloatingPointError")
    rate = run.dataset()["sum-rate-nats"].squeeze()
    assert np.isnan(rate.sel(design="fragile", trial=5))
    alone = isacsim.run(plain, tmp_path / "alone", registry=registry).dataset()["sum-rate-nats"].squeeze()
    # The mean of the other design is over all its trials: it is not biased by what another cannot do.
    assert rate.sel(design="sca").values.tobytes() == alone.values.tobytes()
    assert sorted(t for _, t in studies.numbers(run, "designs")) == sorted([*range(6), *range(5)])


def test_a_worker_that_dies_takes_one_trial_with_it(studies, study, registry, tmp_path, fuse):
    scenario = study(
        touchy(trial=2, how="die", armed=str(fuse)), "sweep.bits.values=[3]", "trials=4", registry=registry
    )
    run = isacsim.run(scenario, tmp_path / "run", workers=2, chunk=2, registry=registry)
    counts = run.counts()
    assert (counts.done, counts.failed, counts.skipped) == (3, 1, 0)
    (failure,) = run.failures()
    assert failure[1] == 2
    assert "worker process ended with SIGKILL over this trial" in failure[2]
    fuse.unlink()
    again = isacsim.run(scenario, tmp_path / "run", resume=True, registry=registry)
    assert again.counts().complete
    expected = isacsim.run(scenario, tmp_path / "serial", registry=registry)
    assert studies.numbers(again) == studies.numbers(expected)


class StillBorn(ExecutorFactory):
    """Opens pools whose workers die at once."""

    def __init__(self):
        self.opened = 0

    def open(self, workers):
        self.opened += 1
        return ProcessPoolExecutor(workers, get_context("spawn"), initializer=exit)


def test_workers_that_cannot_start_are_one_clear_error(study, tmp_path):
    factory = StillBorn()
    with pytest.raises(InvalidInput, match=r"executor: must be able to start its workers.*__main__"):
        isacsim.run(study("sweep.bits.values=[3]"), tmp_path / "run", executor=factory)
    assert factory.opened == 2
    counts = isacsim.open_run(tmp_path / "run").counts()
    assert (counts.done, counts.failed, counts.skipped) == (0, 0, 6)


class BreaksOnce(ExecutorFactory):
    """Opens an executor whose second submission finds a broken pool, and then sound ones."""

    def __init__(self):
        self.submitted = 0

    def open(self, workers):
        sound = Serial().open(workers)
        submit = sound.submit

        def counted(*args):
            self.submitted += 1
            if self.submitted == 2:
                raise BrokenProcessPool("a worker died in between")
            return submit(*args)

        sound.submit = counted
        return sound


def test_a_task_that_could_not_be_submitted_is_not_lost(studies, study, tmp_path):
    run = isacsim.run(study(), tmp_path / "run", workers=2, chunk=1, executor=BreaksOnce())
    assert run.counts().complete
    assert studies.numbers(run) == studies.numbers(isacsim.run(study(), tmp_path / "sound"))


def test_a_trial_that_cannot_be_drawn_fails_alone(study, registry, tmp_path):
    # Even the last one, on which the plan is rehearsed.
    scenario = study('targets={kind="sometimes-blind", trial=9, lost=5}', registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", registry=registry)
    assert (run.counts().done, run.counts().failed) == (30, 6)
    assert {(trial, text) for _, trial, text in run.failures()} == {(5, "RuntimeError: the targets are gone")}


@pytest.mark.parametrize("chunk", [1, 2])
def test_an_interrupt_keeps_what_is_committed(study, registry, tmp_path, fuse, chunk):
    scenario = study(touchy(trial=4, how="pressed", armed=str(fuse)), "sinks=['netcdf']", registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", chunk=chunk, registry=registry)
    assert (run.counts().done, run.counts().failed, run.counts().skipped) == (24, 0, 12)
    assert (tmp_path / "run" / "results.nc").exists()
    fuse.unlink()
    again = isacsim.run(scenario, tmp_path / "run", resume=True, registry=registry)
    assert again.counts().complete


class Threads(ExecutorFactory):
    """Four threads, which begin when they are told to."""

    def __init__(self):
        self.begin = threading.Event()

    def open(self, workers):
        executor = ThreadPoolExecutor(4)
        submit = executor.submit
        executor.submit = lambda fn, *args: submit(lambda: self.begin.wait() and fn(*args))
        return executor


def test_an_interrupt_of_the_driver_commits_what_is_in_flight(study, tmp_path, monkeypatch):
    factory, calls = Threads(), []

    def interrupted(*args, **kwargs):
        calls.append(args)
        factory.begin.set()
        raise KeyboardInterrupt

    monkeypatch.setattr("isacsim.engine.driver._Queue.landed", interrupted)
    run = isacsim.run(study(), tmp_path / "run", chunk=1, workers=2, executor=factory)
    assert len(calls) == 1
    assert run.counts().done == 4 * 6  # two tasks a worker were in flight, each of all points
    assert run.counts().skipped == 2 * 6


def test_a_second_interrupt_abandons_what_is_in_flight(study, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("isacsim.engine.driver._Queue.landed", interrupted)
    monkeypatch.setattr(Driver, "_commit", interrupted)
    run = isacsim.run(study(), tmp_path / "run", executor=Serial())
    assert run.counts().skipped == 36


def test_a_member_without_a_precoder_keeps_its_status_and_stops_no_other(study, registry, tmp_path):
    solver = 'design.sca.solver={kind="counting", without=[1, 4]}'
    scenario = study(solver, 'evaluate.converters.metrics=["sum-rate-nats", "crlb", "sqinr"]', registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", chunk=2, registry=registry)
    assert run.counts().complete
    assert statuses(run) == {"MAX_STEPS": 4, "INFEASIBLE": 2}
    assert run.design("sca", 1).status is isacsim.Status.INFEASIBLE
    dataset = run.dataset()
    for name in ("sum-rate-nats", "crlb", "sqinr", "objective"):
        lost = np.isnan(dataset[name]).isel(bits=0, evaluate=0, missing_dims="ignore").isel(design=0)
        lost = lost.any("user") if "user" in lost.dims else lost
        assert np.flatnonzero(lost).tolist() == [1, 4]
    assert {row["trials"] for row in rows(run)} == {4}
    assert table(run).row_count == 6
    assert all(path.stat().st_size > 10_000 for path in draw_figures(run))


def test_a_study_without_any_precoder_still_ends(study, registry, tmp_path):
    solver = 'design.sca.solver={kind="counting", without=[0, 1, 2, 3, 4, 5]}'
    run = isacsim.run(study(solver, registry=registry), tmp_path / "run", registry=registry)
    assert run.counts().complete
    assert statuses(run) == {"INFEASIBLE": 6}
    assert list(rows(run)) == []
    assert np.isnan(run.dataset()["crlb"]).all()
    assert len(draw_figures(run)) == 2


def test_an_unidentifiable_scene_has_its_status_and_an_infinite_bound_nowhere(study, registry, tmp_path):
    scenario = study('targets={kind="sometimes-blind", trial=2}', registry=registry)
    run = isacsim.run(scenario, tmp_path / "run", registry=registry)
    assert statuses(run) == {"MAX_STEPS": 5, "UNIDENTIFIABLE": 1}
    record = run.design("sca", 2)
    assert np.isnan(record.precoder).all()
    assert any("not identifiable" in note for note in record.notes)
    crlb = run.dataset()["crlb"].isel(bits=0, evaluate=0, design=0)
    assert np.flatnonzero(np.isnan(crlb)).tolist() == [2]


def test_a_sink_that_fails_is_one_error_and_loses_nothing(study, registry, tmp_path):
    scenario = study("sinks=['leaky']", registry=registry)
    with pytest.raises(StoreError, match=r"sinks: Leaky failed on .*the pipe is leaky.*--resume"):
        isacsim.run(scenario, tmp_path / "run", registry=registry)
    assert isacsim.open_run(tmp_path / "run").counts().complete
    again = isacsim.run(study("sinks=['csv']"), tmp_path / "run", resume=True)
    assert (again.path / "results.csv").exists()
