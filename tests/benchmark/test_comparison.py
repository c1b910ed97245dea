"""The verdict on times: what is named, and how often it is wrong, on simulated clocks."""

import numpy as np
import pytest

from isacsim.benchmark.cases import Case
from isacsim.benchmark.clock import Reading, Round
from isacsim.benchmark.comparison import MARGIN, Verdict, compare, differences, ratio, suspects
from isacsim.benchmark.results import Result, Results

MACHINE = {"machine": "a machine", "processor": "its processor", "library_versions": {"numpy": "2.0"}}
ROUNDS = 6


def session(rng, cases=40, slower=(), factor=1.0, *, drift=0.08, noise=0.15, speed=1.0, waits=0, **made):
    """Results of a run whose cases took 10 ms to 1 s, on a machine of some speed.

    Args:
        rng: Source of all noise.
        cases: Number of cases.
        slower: Cases that take ``factor`` times as long.
        factor: See there.
        drift: Spread of what a whole run is off by for a case, beside the kernel.
        noise: Spread of a round.
        speed: Of the machine, which the kernel sees as well.
        waits: How often the slower cases give up the core.
        made: Where the results come from.
    """
    results = []
    for i in range(cases):
        base = 10 ** (-2 + 2 * i / cases) / speed
        off = np.exp(drift * rng.standard_normal())
        rounds = []
        for _ in range(ROUNDS):
            cpu = base * off * np.exp(noise * abs(rng.standard_normal()))
            slow = cpu * factor if i in slower else cpu
            # Other processes take half of the core.
            reading = Reading(2 * slow, cpu if waits else slow, waits if i in slower else 0)
            rounds.append(Round(3e-3 / speed, (reading,)))
        results.append(Result(Case("problem", "16x4", f"solver-{i}", "alone", 1), tuple(rounds)))
    return Results({**MACHINE, **made}, tuple(results))


def looked_twice(rng, before, **what):
    """Names of the cases that are slower at the first look and at the second."""
    first = suspects(compare(before, session(rng, **what)))
    second = suspects(compare(before, session(rng, **what)))
    return {case.name for case in first} & {case.name for case in second}


@pytest.mark.parametrize("comparisons", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_noise_alone_gives_no_alarm(comparisons):
    rng = np.random.default_rng(1)
    # Comparisons of 40 cases with rounds that scatter by 15 % and runs that are off by 8 %
    # each: two runs then differ by the margin of 25 % in one case of 40, before the interval of
    # the rounds and the second look are asked.
    alarms = [looked_twice(rng, session(rng), speed=s) for s in np.linspace(0.6, 1.7, comparisons)]
    assert sum(map(bool, alarms)) <= comparisons // 100


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(s, marks=pytest.mark.slow) for s in range(6, 20))])
def test_twice_the_time_is_named_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    assert looked_twice(rng, session(rng), slower=(7, 31), factor=2.0, speed=0.7) == {"solver-7", "solver-31"}


def test_a_sleep_is_named_though_it_takes_no_processor_time():
    rng = np.random.default_rng(3)
    # Half of the time on the wall was other processes', and counts only where the core is given up.
    named = looked_twice(rng, session(rng), slower=(0, 20), factor=1.0, waits=400)
    assert named == {"solver-0", "solver-20"}


def test_a_slower_machine_is_no_slower_code():
    rng = np.random.default_rng(4)
    half = session(rng, speed=0.5, drift=0.0)
    comparisons = compare(session(rng, drift=0.0), half)
    assert {c.verdict for c in comparisons} == {Verdict.SAME}
    values = [c.ratio.value for c in comparisons]
    # Medians of 6 rounds of 15 % are off by some 6 % each.
    np.testing.assert_allclose(values, 1.0, atol=0.25)
    assert abs(np.mean(values) - 1) < 0.03


def test_faster_code_is_named_but_no_regression():
    rng = np.random.default_rng(5)
    (found,) = [c for c in compare(session(rng), session(rng, slower=(3,), factor=0.4)) if c.case.name == "solver-3"]
    assert (found.verdict, found.verdict.regression) == (Verdict.FASTER, False)


def test_times_of_another_machine_decide_nothing():
    rng = np.random.default_rng(6)
    before, now = session(rng), session(rng, slower=range(40), factor=3.0, processor="another")
    assert {c.verdict for c in compare(before, now)} == {Verdict.SAME}
    assert {c.verdict for c in compare(before, session(rng, slower=range(40), factor=3.0), times=False)} == {
        Verdict.SAME
    }
    assert differences(before, now) == ["processor: its processor -> another"]
    newer = Results({**MACHINE, "library_versions": {"numpy": "2.1"}}, now.results)
    assert differences(before, newer) == ["numpy: 2.0 -> 2.1"]


def test_the_interval_holds_the_true_ratio():
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(200):
        x, y = np.exp(0.1 * rng.standard_normal((2, 15)))
        found = ratio(x, 1.5 * y)
        assert found.low <= found.value <= found.high
        inside += found.low <= 1.5 <= found.high
    # An interval of 99 % over bootstrapped medians of 15 rounds; 4 standard errors below that.
    assert inside >= 200 * 0.99 - 4 * np.sqrt(200 * 0.99 * 0.01)


def test_one_or_two_rounds_tell_only_what_is_far_beyond_the_margin():
    one, two = np.array([1.0]), np.array([1.9, 1.9])
    assert not ratio(one, two).slower
    assert ratio(one, 1.2 * two).slower
    assert ratio(one, two).low < MARGIN


def test_what_failed_is_a_regression_and_what_is_gone_is_none():
    rng = np.random.default_rng(8)
    before = session(rng, cases=2)
    broken = [
        Result(before.results[0].case, error="ArithmeticError: no", failed=True),
        Result(before.results[1].case, error="no solver of that name is installed"),
    ]
    verdicts = [c.verdict for c in compare(before, Results(MACHINE, tuple(broken)))]
    assert verdicts == [Verdict.FAILED, Verdict.GONE]
    assert [v.regression for v in verdicts] == [True, False]
