"""Points stop when they are as precise as is asked, decided on trial order: nothing but the numbers has a say."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim.engine.backlog import Backlog
from isacsim.engine.events import Observer
from isacsim.engine.plan import Plan, Point
from isacsim.engine.precision import Precision
from isacsim.engine.settling import enough, looks
from isacsim.engine.statistics import mean
from isacsim.engine.work import Entry
from isacsim.errors import InvalidInput
from isacsim.report.summary import rows

TRIALS = 90
SETS = (f"trials={TRIALS}", "sweep.bits.values=[1, 3, inf]", 'design.sca.solver={kind="mrt"}',
        'evaluate.converters.metrics=["sum-rate-nats"]', "sinks=[]")  # fmt: skip
RELATIVE = 0.05


@pytest.fixture(scope="module")
def asked(studies, tmp_path_factory):
    """The quickstart without figures, of which a precision is asked or not."""
    folder = tmp_path_factory.mktemp("precision")

    def load(relative=RELATIVE, *sets, registry=None):
        text = studies.text.partition("[figure.rate]")[0]
        if relative:
            text += f"[precision.rate]\nquantity = 'sum-rate-nats'\nrelative = {relative}\n"
        return studies.load(*sets, text=text, folder=folder, small=SETS, registry=registry)

    return load


@pytest.fixture(scope="module")
def whole(asked, tmp_path_factory):
    """The run of all trials."""
    return isacsim.run(asked(None), tmp_path_factory.mktemp("whole") / "run").dataset()


@pytest.fixture(scope="module")
def settled(asked, tmp_path_factory):
    """The run that stops."""
    return isacsim.run(asked(), tmp_path_factory.mktemp("settled") / "run")


def same(one, two):
    """Whether two datasets have the same numbers, but for the time that they took."""
    return one.drop_vars("solve_time").drop_attrs().identical(two.drop_vars("solve_time").drop_attrs())


def expected(whole, relative):
    """The trials of each point, from all of them: the first look at which the report's interval is tight."""
    found = []
    for bits in whole["bits"].values:
        samples = whole["sum-rate-nats"].sel(bits=bits).values.ravel()
        for size in looks(TRIALS):
            told = mean(samples[:size])
            if told.high - told.value <= relative * told.value:
                break
        found.append(size)
    return found


def test_each_point_stops_at_the_first_look_at_which_its_interval_is_tight(settled, whole):
    dataset, wanted = settled.dataset(), expected(whole, RELATIVE)
    assert len(set(wanted)) > 1  # points differ, and one stops early at least
    assert min(wanted) < TRIALS
    assert dataset["trial_count"].values.tolist() == wanted
    assert settled.counts().requested == settled.counts().done == sum(wanted)
    for bits, size in zip(whole["bits"].values, wanted, strict=True):
        for name in ("sum-rate-nats", "objective"):
            values = dataset[name].sel(bits=bits).values.ravel()
            np.testing.assert_array_equal(values[:size], whole[name].sel(bits=bits).values.ravel()[:size])
            assert np.isnan(values[size:]).all()


def test_the_table_says_how_many_trials_a_point_has_and_how_tight_it_is(settled, whole):
    told = list(rows(settled))
    assert [row["trials"] for row in told] == expected(whole, RELATIVE)
    tight = [row["half_width"] <= RELATIVE * row["mean"] for row in told]
    assert all(tight[i] or row["trials"] == TRIALS for i, row in enumerate(told))


@pytest.mark.parametrize("options", [{"chunk": 1}, {"chunk": 7}, {"executor": "processes", "workers": 2}], ids=str)
def test_chunks_and_workers_do_not_matter(settled, asked, tmp_path, options):
    run = isacsim.run(asked(), tmp_path / "run", **options)
    assert same(run.dataset(), settled.dataset())


class Stopper(Observer):
    """Interrupts after some chunks."""

    def __init__(self, chunks):
        self.left = chunks

    def chunk_end(self, event):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("chunks", [1, 4, 5])
def test_an_interrupted_run_comes_to_the_same_end(settled, asked, tmp_path, chunks):
    first = isacsim.run(asked(), tmp_path / "run", chunk=11, observers=[Stopper(chunks)])
    assert first.counts().skipped
    again = isacsim.run(asked(), tmp_path / "run", resume=True)
    assert same(again.dataset(), settled.dataset())


def test_trials_beyond_the_end_of_a_point_are_kept_and_not_shown(settled, whole, asked, tmp_path):
    isacsim.run(asked(None), tmp_path / "run")
    fewer = isacsim.run(asked(), tmp_path / "run", resume=True)
    assert same(fewer.dataset(), settled.dataset())
    assert fewer.counts() == settled.counts()
    all_of_them = isacsim.run(asked(None), tmp_path / "run", resume=True)
    assert same(all_of_them.dataset(), whole)


def test_a_tighter_precision_goes_on_where_another_stopped(asked, whole, tmp_path):
    isacsim.run(asked(0.2), tmp_path / "run")
    tighter = isacsim.run(asked(), tmp_path / "run", resume=True)
    assert tighter.dataset()["trial_count"].values.tolist() == expected(whole, RELATIVE)


class Keeper(Observer):
    """Keeps what it is told of points."""

    def __init__(self):
        self.told = []

    def point_settled(self, event):
        self.told.append((event.coords["bits"], event.trials))


def test_observers_are_told_of_points_that_stop(asked, whole, tmp_path):
    keeper = Keeper()
    isacsim.run(asked(), tmp_path / "run", observers=[keeper])
    wanted = dict(zip(whole["bits"].values, expected(whole, RELATIVE), strict=True))
    assert dict(keeper.told) == {bits: size for bits, size in wanted.items() if size < TRIALS}


def test_trials_that_fail_are_left_out_and_stop_nothing(asked, registry, tmp_path):
    metric = 'evaluate.converters.metrics=["sum-rate-nats", {kind="touchy", trial=3}]'
    run = isacsim.run(asked(0.2, metric, registry=registry), tmp_path / "run", registry=registry)
    counts = run.counts()
    assert (counts.requested, counts.partly, counts.skipped) == (3 * 32, 3, 0)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("quantity = 'crlb'\nrelative = 0.1", "precision.p.quantity: must name a quantity that is evaluated"),
        ("quantity = 'sum-rate-nats'", "must not both be 0"),
        ("quantity = 'sum-rate-nats'\nrelative = -1", "precision.p.relative: must be a finite number of at least 0"),
        ("quantity = 'sum-rate-nats'\nrelative = 1\ndesign = 'wmmse'", "precision.p.design: must name one of its"),
        ("quantity = 'sum-rate-nats'\nrelative = 1\nevaluate = 'x'", "precision.p.evaluate: must name one of its"),
        ("quantity = 'sum-rate-nats'\nrelative = 1\nstatistic = 'mode'", "precision.p.statistic: must be"),
    ],
)
def test_a_precision_of_nothing_is_refused(studies, study, lines, words):
    text = f"{studies.text.partition('[figure.rate]')[0]}[precision.p]\n{lines}\n"
    with pytest.raises(InvalidInput, match=words.replace(".", r"\.")):
        study('evaluate.converters.metrics=["sum-rate-nats"]', text=text)


def entry(name, *shape):
    """A quantity of the one design and evaluation."""
    return Entry("e", "d", name, "1", ("user",) * len(shape), shape, {}, "")


def test_every_entry_of_a_quantity_and_every_quantity_is_to_be_tight():
    entries, rng = [entry("a"), entry("b", 2)], np.random.default_rng(0)
    tight, wide = 1 + 1e-3 * rng.standard_normal(40), 1 + rng.standard_normal(40)
    a, b = Precision("a", relative=0.01), Precision("b", relative=0.01)
    good = np.stack([tight, tight, 2 * tight], axis=-1)
    assert enough([a, b], entries, good)
    for place in range(3):
        bad = good.copy()
        bad[:, place] = wide
        assert not enough([a, b], entries, bad)
        assert enough([b], entries, bad) == (place == 0)
    assert not enough([Precision("c", relative=1.0)], entries, good)  # which is not judged at this point
    assert not enough([Precision("a", relative=0.01, least=41)], entries, good)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_a_rate_of_errors_that_has_not_seen_one_is_not_known_to_any_relative_precision(statistic):
    none = np.zeros((64, 1))
    assert not enough([Precision("a", relative=1e3, statistic=statistic)], [entry("a")], none)
    assert enough([Precision("a", absolute=1e-9, statistic=statistic)], [entry("a")], none)
    assert enough([Precision("a", relative=1e-9, statistic=statistic)], [entry("a")], none + 2.0)  # what is constant
    assert not enough([Precision("a", absolute=1.0)], [entry("a")], none * np.nan)


@given(st.integers(1, 10**6))
def test_looks_grow_by_a_quarter_up_to_all_trials(trials):
    found = list(looks(trials))
    assert found[-1] == trials
    assert found[0] == min(32, trials)
    assert all(a < b <= a * 1.25 + 1 for a, b in itertools.pairwise(found))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_no_trial_behind_a_look_is_begun_before_all_those_below_it_are_back(designs, seed, size):
    rng, trials = np.random.default_rng(seed), 120
    points = tuple(Point({}, None, str(i), {"d": name}, "") for i, name in enumerate(designs))
    groups = tuple(tuple(i for i, d in enumerate(designs) if d == name) for name in dict.fromkeys(designs))
    ends = {point.id: int(rng.choice([*looks(trials)])) for point in points}
    there = {point.id: set(rng.choice(trials, rng.integers(60)).tolist()) for point in points}
    seen = {point.id: set(there[point.id]) for point in points}

    def look(point, count):
        assert set(range(count)) <= seen[point.id]
        return count >= ends[point.id]

    backlog, flying = Backlog(Plan(None, points, groups), trials, there.__getitem__, None, [*looks(trials)], look), []
    while backlog or flying:
        if backlog and (not flying or rng.integers(3)):
            flying.append(backlog.take(int(rng.integers(1, size + 1))))
            continue
        task = flying.pop(int(rng.integers(len(flying))))
        for point in task.points:
            assert not seen[point.id] & set(task.trials)
            seen[point.id] |= set(task.trials)
        backlog.settled(task)
    assert backlog.items == 0
    for point in points:
        assert seen[point.id] - there[point.id] == set(range(ends[point.id])) - there[point.id]


@pytest.mark.slow
def test_intervals_that_stop_a_run_hold_nearly_as_often_as_they_say():
    rng, held, asked = np.random.default_rng(1), [], Precision("a", relative=0.02)
    for _ in range(2000):
        samples = 1 + 0.2 * rng.standard_normal(5000)
        size = next(n for n in looks(5000) if asked.tight(samples[:n]))
        told = mean(samples[:size])
        held.append(told.low <= 1 <= told.high)
    # Looking again and again takes one or two of the 95 %; 4 standard errors of 2000 runs are another two.
    print(f"intervals that hold: {np.mean(held):.3f}")
    assert 0.91 < np.mean(held) < 0.97
