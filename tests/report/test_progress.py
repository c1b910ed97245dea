"""What a run tells while it goes on: a bar for people, a log for whoever looks after it."""

import io
import json
import os
from concurrent.futures import Future

import pytest
from attrs import evolve
from rich.console import Console

import isacsim
from isacsim import compiled
from isacsim.engine.driver import _Queue
from isacsim.engine.events import ChunkEnd, Observer, PointSettled, RunEnd, RunStart, TrialFailed, Word
from isacsim.engine.executors import Processes, Serial
from isacsim.engine.log import RunLog
from isacsim.errors import InvalidInput
from isacsim.report.progress import MOST_FAILURES, ProgressBar


@pytest.fixture
def bar():
    """A bar on a wide terminal."""
    return ProgressBar(Console(width=160, file=io.StringIO(), force_terminal=True, color_system=None))


def shown(bar):
    """What the bar shows now."""
    console = Console(width=160, file=io.StringIO())
    console.print(bar._bar.get_renderable())
    return console.file.getvalue()


START = RunStart("study", None, requested=60, done=12, trials=10, points=6, workers=2)


def test_the_bar_counts_the_trials_that_were_asked_for(bar):
    bar.run_start(START)
    assert "2/10 trials x 6 points" in shown(bar)
    bar.chunk_end(ChunkEnd(20, 2, 2))
    assert "6/10 trials x 6 points" in shown(bar)
    bar.run_end(RunEnd(60, 32, 2, 24, 2))


def test_the_bar_says_at_once_why_nothing_moves(bar):
    bar.run_start(START)
    assert "starting" in shown(bar)
    bar.word(Word(compiled.ANNOUNCEMENT))
    assert "compiling for the first use on this machine" in shown(bar)
    bar.chunk_end(ChunkEnd(6, 0))
    assert "compiling" not in shown(bar)
    bar.run_end(RunEnd(60, 18, 0, 42))


def test_the_bar_tells_how_fast_it_goes_and_on_how_much(bar):
    ticks = iter(range(10**6))
    bar._bar.get_time = lambda: next(ticks) / 100
    bar.run_start(START)
    for _ in range(4):
        bar.chunk_end(ChunkEnd(6, 0, seconds=0.02, memory=310_000_000))
    text = shown(bar)
    assert "/s" in text
    assert "/2 busy" in text
    assert "310 MB" in text
    bar.run_end(RunEnd(60, 36, 0, 24))


def test_the_bar_fits_a_terminal_of_80_characters():
    bar = ProgressBar(Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None))
    bar.run_start(START)
    for word in (compiled.ANNOUNCEMENT, ""):
        bar.word(Word(word))
        console = Console(width=80, file=io.StringIO())
        console.print(bar._bar.get_renderable())
        assert len(console.file.getvalue().splitlines()) == 1
        bar.chunk_end(ChunkEnd(6, 0, seconds=0.02, memory=310_000_000))
    bar.run_end(RunEnd(60, 24, 0, 36))


def test_a_settled_point_takes_the_trials_it_does_not_need_off_the_bar(bar):
    bar.run_start(RunStart("study", None, requested=300, done=0, trials=100, points=3))
    bar.chunk_end(ChunkEnd(96, 0))
    assert "32/100 trials x 3 points" in shown(bar)
    bar.point_settled(PointSettled({}, 32))
    assert "32/78 trials x 3 points" in shown(bar)  # 232 are left of 300
    bar.run_end(RunEnd(232, 96, 0, 136))


def test_the_first_failure_of_each_kind_is_told_while_it_happens(bar):
    bar.run_start(START)
    for trial in (6, 7):
        bar.trial_failed(TrialFailed({"bits": 3}, trial, "[red] is no markup"))
    for trial in range(3 * MOST_FAILURES):
        bar.trial_failed(TrialFailed({}, trial, f"error {trial}", "design sca"))
    bar.run_end(RunEnd(60, 11, 2, 7))
    text = bar._bar.console.file.getvalue()
    assert "32 failed" in text
    assert text.count("[red] is no markup") == 1
    assert "trial 6 failed at bits = 3" in text
    assert "design sca of trial 0 failed: error 0" in text
    assert text.count(": error ") == MOST_FAILURES - 1


def lines_of(path):
    """The entries of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_has_a_line_for_each_event_and_is_added_to(study, registry, tmp_path):
    log = tmp_path / "run.log"
    metric = 'evaluate.converters.metrics=["crlb", {kind="touchy", trial=1}]'
    scenario = study(metric, "sweep.bits.values=[1, inf]", "figure.rate.y=crlb", registry=registry)
    for trials in (3, 4):
        isacsim.run(
            scenario, tmp_path / "run", trials=trials, chunk=2, resume=trials > 3, registry=registry,
            observers=[{"kind": "log", "path": str(log)}],
        )  # fmt: skip
    lines = [line for line in lines_of(log) if line["event"] != "word"]  # where kernels are not compiled yet
    first = [line["event"] for line in lines]
    assert first[:6] == ["run_start", "trial_failed", "trial_failed", "chunk_end", "chunk_end", "run_end"]
    assert first.count("run_start") == 2
    assert all(line["time"].endswith("+00:00") for line in lines)
    start, failed, chunk = lines[0], lines[2], lines[3]
    assert (start["requested"], start["trials"], start["points"], start["workers"]) == (6, 3, 2, 1)
    assert (failed["trial"], failed["coords"]) == (1, {"bits": "inf"})
    assert (chunk["done"], chunk["partly"]) == (2, 2)
    assert chunk["seconds"] > 0
    assert chunk["memory"] > 10**7


@pytest.mark.parametrize("path", ["nowhere/run.log", "."])
def test_a_log_that_cannot_be_written_is_refused(tmp_path, path):
    with pytest.raises(InvalidInput, match="path: must be a file, in a folder that is there"):
        RunLog(tmp_path / path)


def test_every_event_has_its_line(tmp_path):
    log, events = RunLog(tmp_path / "log"), {
        "run_start": START, "word": Word("compiling"), "chunk_end": ChunkEnd(1, 0),
        "point_settled": PointSettled({}, 9), "trial_failed": TrialFailed({}, 1, "x"), "run_end": RunEnd(1, 1, 0, 0),
    }  # fmt: skip
    assert set(events) | {"on_event"} == {name for name in vars(Observer) if not name.startswith("_")}
    for name, event in events.items():
        getattr(log, name)(event)
    assert [line["event"] for line in lines_of(log.path)] == list(events)


def test_a_worker_process_says_what_it_compiles_before_it_answers():
    told, factory = [], Processes()
    executor = factory.open(1)
    factory.listen(executor, told.append)
    executor.submit(compiled._say, "compiled push in 3.0 s").result()
    assert executor.submit(os.getpid).result() != os.getpid()
    assert told == ["compiled push in 3.0 s"]
    executor.shutdown()


def test_what_is_compiled_here_is_told_until_the_executor_is_shut_down():
    told, factory = [], Serial()
    executor = factory.open(1)
    factory.listen(executor, told.append)
    executor.submit(compiled._say, "one")
    executor.shutdown()
    compiled._say("two")
    assert told == ["one"]


def test_the_driver_hears_words_between_tasks():
    queue, future = _Queue([]), Future()
    queue.fly(future, "task")
    queue.hear("compiling")
    assert queue.landed() == []
    assert queue.words() == ["compiling"]
    future.set_result(None)
    assert queue.landed() == [future]
    assert queue.words() == []


def test_the_start_of_a_run_is_the_same_whatever_its_extent_says():
    assert evolve(START, workers=7) == START  # who compares events looks at what is counted
