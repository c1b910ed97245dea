"""The default solver beside the published data of each channel, which the project does not hold.

The tests read ``shared/figures`` beside the checkout and skip without it. Table I and Fig. 7 run on
the published channels. Where the channels are others of the same law, means are compared within
four standard errors of their difference. What must hold on every channel is compared on ours.
"""

import csv
from pathlib import Path

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.engine.files import scenario_file

FIGURES = Path(__file__).parents[3] / "shared" / "figures"
STUDIES = scenario_file("sum-rate-crlb")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FIGURES.is_dir(), reason="the published data are not beside the checkout"),
]


def published(name, key):
    """Sum rates and CRLBs of each algorithm and sweep value, (channels, 2)."""
    found = {}
    with (FIGURES / name).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            place = found.setdefault(row["algorithm"], {}).setdefault(float(row[key]), [])
            place.append((float(row["sum_rate_nats"]), float(row["crlb_trace"])))
    return {a: {v: np.array(rows) for v, rows in places.items()} for a, places in found.items()}


def mean_and_error(samples):
    return samples.mean(axis=-1), samples.std(axis=-1, ddof=1) / np.sqrt(samples.shape[-1])


@pytest.fixture
def run(tmp_path):
    """Runs some designs of a study; returns objective, sum rate and CRLB, each (designs, axis, trials)."""

    def run(name, designs, *sets):
        scenario = isacsim.load_scenario(STUDIES / f"{name}.toml", set=("sinks=[]", "expect={}", *sets))
        kept = {n: d for n, d in scenario.design.items() if n in designs}
        sweep = {
            name: attrs.evolve(axis, sets={p: v for p, v in axis.sets.items() if not _of_others(p, kept)})
            for name, axis in scenario.sweep.items()
        }
        scenario = attrs.evolve(scenario, design=kept, sweep=sweep, figure={})
        dataset = isacsim.run(scenario, tmp_path / "run").dataset().isel(evaluate=0)
        order = ("design", *scenario.sweep, "trial")
        return [dataset[q].sel(design=designs).transpose(*order).values for q in ("objective", "sum-rate-nats", "crlb")]

    return run


def _of_others(path, kept):
    keys = path.split(".")
    return keys[0] == "design" and keys[1] not in kept


def objectives(file, key):
    """Objectives of each published algorithm, one row of channels a value of ``key``."""
    for algorithm, values in published(file, key).items():
        yield algorithm, np.array([0.25 * rows[:, 0] - rows[:, 1] for _, rows in sorted(values.items())])


def test_mean_objectives_over_users_are_not_below_any_published(run):
    (ours,), _, _ = run("fig6-as-run", ["riemannian-lbfgs"])
    mean, error = mean_and_error(ours)
    for _, theirs in objectives("fig6_vs_K_raw.csv", "K"):
        other, its_error = mean_and_error(theirs)
        assert np.all(mean >= other - 4 * np.hypot(error, its_error))


def test_on_the_published_channels_no_mean_objective_over_the_power_is_below_a_published_one(run):
    (ours,), _, _ = run("fig7-as-run", ["riemannian-lbfgs"])
    for algorithm, theirs in objectives("fig7_vs_Pt_raw.csv", "Pt_dBm"):
        assert np.all(ours.mean(axis=-1) >= theirs.mean(axis=-1)), algorithm


def test_on_the_published_channels_of_the_table_no_objective_is_below_a_published_one(run):
    (ours,), _, _ = run("table1-as-run", ["riemannian-lbfgs"])
    for algorithm, theirs in objectives("fig5_table1_raw.csv", "Nt_in_published_code"):
        # All channels: also where the published relaxation or its rounding leaves a user out.
        assert np.all(ours[: len(theirs)] >= theirs), algorithm


def test_on_the_published_channels_the_low_dimensional_iteration_gives_their_data(run):
    _, (rate,), (crlb,) = run("table1-as-run", ["ld-sca"])
    data = published("fig5_table1_raw.csv", "Nt_in_published_code")["LD Algorithm 1, Ns=3M"]
    for i, (antennas, rows) in enumerate(sorted(data.items())):
        # Found: 2e-8, but 3e-5 with 128 antennas, where oscillations at the beginning amplify rounding.
        allowed = 1e-4 if antennas == 128 else 1e-7
        np.testing.assert_allclose(np.stack([rate[i], crlb[i]], axis=1), rows, rtol=allowed, err_msg=str(antennas))


def test_no_published_point_dominates_the_region(run):
    _, (rate,), (crlb,) = run("fig3-as-run", ["riemannian-lbfgs"])
    mean_rate, rate_error = mean_and_error(rate)
    mean_crlb, crlb_error = mean_and_error(crlb)
    assert np.all(np.diff(mean_crlb) > 0)
    assert np.all(np.diff(mean_rate) > 0)
    for algorithm, values in published("fig3_tradeoff_raw.csv", "delta_c").items():
        for weight, rows in values.items():
            (their_rate, their_crlb), (e_rate, e_crlb) = mean_and_error(rows.T)
            # Our rate at a CRLB that is larger by the error of both.
            at = np.log(their_crlb + 4 * np.hypot(e_crlb, np.interp(their_crlb, mean_crlb, crlb_error)))
            ours = np.interp(at, np.log(mean_crlb), mean_rate, left=-np.inf)
            allowed = 4 * np.hypot(e_rate, np.interp(their_crlb, mean_crlb, rate_error))
            if their_crlb >= mean_crlb[0]:
                assert their_rate <= ours + allowed, (algorithm, weight)


def test_the_published_iteration_dominates_nothing_on_the_same_channels(run):
    weights = [0.01, 0.1, 1.0, 10.0]
    places = [f"design.{name}.problem.rate_weight" for name in ("sca", "riemannian-lbfgs")]
    axis = f"sweep.rate-weight={{ values = {weights}, sets = {places} }}"
    objective, _, _ = run("fig3-as-run", ["riemannian-lbfgs", "sca"], axis)
    # At each weight the mean merit of the default is at least that of the published iteration.
    assert np.all(objective[0].mean(axis=-1) >= objective[1].mean(axis=-1))
