"""Observers are told everything, in order, and can do no harm."""

import pytest

import isacsim
from isacsim.engine.events import ChunkEnd, Observer, RunEnd, RunStart, TrialFailed
from isacsim.plugin import Spec, build_registry, hookimpl

TOUCHY = 'evaluate.converters.metrics=["crlb", {kind="touchy", trial=1}]'
NO_FIGURES = ("sweep.bits.values=[1, 3]", "figure.rate.y=crlb")


class Keeper(Observer):
    """Keeps what it is told."""

    def __init__(self):
        self.events = []

    def run_start(self, event):
        self.events.append(event)

    chunk_end = trial_failed = run_end = run_start


class Broken(Keeper):
    """Raises when a chunk ends."""

    def chunk_end(self, event):
        raise RuntimeError("no more room")


def test_events_come_in_order_and_add_up(study, registry, tmp_path):
    keeper = Keeper()
    isacsim.run(
        study(TOUCHY, *NO_FIGURES, registry=registry), tmp_path / "run", chunk=3, observers=[keeper], registry=registry
    )
    start, *between, end = keeper.events
    assert start == RunStart("What converter resolution costs in rate and in sensing accuracy", tmp_path / "run", 12, 0)
    part = "design sca in evaluate.converters (touchy)"
    failed = [TrialFailed({"bits": bits}, 1, "ArithmeticError: this trial is touchy", part) for bits in (1, 3)]
    assert between == [*failed, ChunkEnd(4, 0, 2), ChunkEnd(6, 0, 0)]
    assert end == RunEnd(12, 10, 0, 0, 2)


def test_a_resumed_run_says_what_is_there_already(study, tmp_path):
    isacsim.run(study(), tmp_path / "run", trials=2)
    keeper = Keeper()
    isacsim.run(study(), tmp_path / "run", trials=3, resume=True, observers=[keeper])
    assert (keeper.events[0].requested, keeper.events[0].done) == (18, 12)
    assert sum(e.done for e in keeper.events if isinstance(e, ChunkEnd)) == 6


def test_a_raising_observer_is_reported_and_told_nothing_more(study, tmp_path):
    broken, keeper = Broken(), Keeper()
    run = isacsim.run(study(), tmp_path / "run", chunk=2, observers=[broken, keeper])
    assert run.counts().complete
    assert run.complaints == ("Broken raised in chunk_end: RuntimeError('no more room')",)
    assert len(broken.events) == 1
    assert len(keeper.events) == 5  # start, three chunks, end


def test_an_observer_that_calls_sys_exit_does_not_end_the_run(study, tmp_path):
    class Leaving(Observer):
        def run_start(self, event):
            raise SystemExit(7)

    run = isacsim.run(study(), tmp_path / "run", observers=[Leaving()])
    assert run.counts().complete
    assert run.complaints == ("Leaving raised in run_start: SystemExit(7)",)


def test_an_observer_that_interrupts_keeps_the_chunk_it_was_told_of(study, tmp_path):
    class Impatient(Observer):
        def chunk_end(self, event):
            raise KeyboardInterrupt

    run = isacsim.run(study(), tmp_path / "run", chunk=2, observers=[Impatient()])
    assert run.counts().done == 12
    assert run.counts().skipped == 24


def test_observers_of_plugins_are_told(study, registry, parts, tmp_path):
    isacsim.run(study(), tmp_path / "run", registry=registry)
    assert isinstance(parts.EVENTS[0], RunStart)
    assert isinstance(parts.EVENTS[-1], RunEnd)


def test_an_observer_that_cannot_be_made_is_reported(study, tmp_path):
    class Missing:
        @hookimpl
        def isacsim_observers(self):
            yield Spec("nowhere", "isacsim.nowhere:Nobody")

    run = isacsim.run(study(), tmp_path / "run", registry=build_registry(extra=[Missing()]))
    assert run.counts().complete
    assert len(run.complaints) == 1
    assert "nowhere cannot be told: 'nowhere' (isacsim.nowhere:Nobody) cannot be imported" in run.complaints[0]


@pytest.mark.parametrize("event", ["run_start", "chunk_end", "trial_failed", "run_end"])
def test_an_observer_may_ignore_any_event(event):
    assert getattr(Observer(), event)(None) is None
