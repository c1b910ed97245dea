"""A number lies at its own label, whatever other evaluations, points and quantities call their places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim.engine.coordinates import OwnAxes
from isacsim.engine.work import Entry

LABELS = st.lists(st.integers(-3, 3) | st.sampled_from("ab"), min_size=1, max_size=4)


def entry(labels):
    return Entry("real", "sca", "q", "1", ("k",), (len(labels),), {"k": labels}, "")


@given(st.lists(LABELS, min_size=1, max_size=4))
def test_every_number_is_found_at_its_label(ways):
    axes = OwnAxes()
    for labels in ways:
        axes.add(entry(labels))
    names, whole = axes.coordinates()["k"], np.full((len(ways), axes.size("k")), np.nan)
    for i, labels in enumerate(ways):
        axes.put(whole[None], np.array([0]), np.array([i]), entry(labels), np.arange(len(labels), dtype=float)[None])
    for row, labels in zip(whole, ways, strict=True):
        found = [(str(names[place]), row[place]) for place in np.flatnonzero(~np.isnan(row))]
        assert sorted(found) == sorted((str(label), float(i)) for i, label in enumerate(labels))


def test_numbered_places_are_shared_and_ascending_ones_stay_in_order():
    axes = OwnAxes()
    for size in (2, 4):
        axes.add(Entry("real", "sca", "q", "1", ("user", "angle"), (size, 2), {"angle": [0.0, 1.0 * size]}, ""))
    assert axes.coordinates() == {"user": [0, 1, 2, 3], "angle": [0.0, 2.0, 4.0]}


TWO = """
[evaluate.other]
power = "radiated"
metrics = [{ kind = "beampattern", azimuth_deg = [10, 0, 30] }]
"""
CUT = 'evaluate.converters.metrics=[{kind="beampattern", azimuth_deg=[-60, 0, 60]}]'
VIEWS = 'sweep={view={values=[1, 2], sets={"evaluate.converters.metrics.0.azimuth_deg"=[[-60, 0, 60], [10, 0, 30]]}}}'


@pytest.fixture
def pattern(study, tmp_path):
    def run(name, *sets, text=""):
        sets = ("figure={}", "expect={}", *sets)
        return isacsim.run(study(*sets, text=text), tmp_path / name).dataset()["beampattern"]

    return run


def test_two_evaluations_and_two_points_keep_their_own_angles(studies, pattern):
    both = pattern("both", CUT, "sweep={}", "hardware.converters={}", text=studies.text + TWO)
    swept = pattern("swept", CUT, VIEWS, "hardware.converters={}")
    views = {
        "converters": ([-60, 0, 60], both.sel(evaluate="converters"), swept.sel(view=1)),
        "other": ([10, 0, 30], both.sel(evaluate="other"), swept.sel(view=2)),
    }
    for angles, *found in views.values():
        alone = pattern(
            f"alone{angles[0]}", CUT.replace("[-60, 0, 60]", str(angles)), "sweep={}", "hardware.converters={}"
        )
        for one in found:
            got = one.dropna("azimuth", how="all")
            assert np.rad2deg(got["azimuth"].values).round(9).tolist() == sorted(angles)
            wanted = alone.sel(azimuth=got["azimuth"].values)
            np.testing.assert_array_equal(np.ravel(got.values), np.ravel(wanted.values))
