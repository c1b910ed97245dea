"""Units at the edge, errors of one line, and addressed randomness."""

import pickle

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import units
from isacsim.errors import InvalidInput, IsacsimError, brief, one_of
from isacsim.random import Stream, complex_normal, generator


@pytest.mark.parametrize(
    ("unit", "edge", "inside"),
    [
        (units.dbm(), 0.0, 1e-3),
        (units.dbm(), 30.0, 1.0),
        (units.db(), 3.0, 10**0.3),
        (units.dbsm(), 10.0, 10.0),
        (units.db(), -np.inf, 0.0),
        (units.degrees(), 180.0, np.pi),
        (units.watts(), 2.5, 2.5),
        (units.hertz(), 1e8, 1e8),
    ],
)
def test_a_unit_converts_both_ways(unit, edge, inside):
    (unit,) = unit.values()
    assert unit.to_si(edge) == pytest.approx(inside, rel=1e-14)
    assert unit.from_si(inside) == pytest.approx(edge, rel=1e-14, abs=1e-13)


@given(st.lists(st.floats(-150, 150), min_size=1, max_size=4))
def test_conversion_takes_arrays_and_is_undone_by_its_inverse(values):
    for make in (units.dbm, units.db, units.dbsm, units.degrees, units.watts, units.hertz):
        (unit,) = make().values()
        np.testing.assert_allclose(unit.from_si(unit.to_si(values)), values, rtol=1e-12, atol=1e-11)


def test_the_key_of_a_field_carries_its_unit():
    @attrs.frozen
    class Record:
        power: float = attrs.field(metadata=units.dbm())
        count: int = 0

    power, count = attrs.fields(Record)
    assert units.key_of(power) == "power_dbm"
    assert units.unit_of(power).si == "W"
    assert units.key_of(count) == "count"
    assert units.unit_of(count) is None


def test_an_error_names_field_rule_value_and_remedy_in_one_line():
    error = InvalidInput("power", "must be positive", -1, "Check the sign.")
    assert str(error) == "power: must be positive, got -1. Check the sign."
    assert error.field == "power"
    assert isinstance(error, IsacsimError)
    assert isinstance(error, ValueError)
    assert str(InvalidInput("power", "must be given")) == "power: must be given."


def test_an_error_keeps_its_text_on_the_way_from_a_worker_and_at_another_path():
    error = InvalidInput("power", "must be positive", -1, "Check the sign.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert (
        str(error.at("base_station.power_dbm")) == "base_station.power_dbm: must be positive, got -1. Check the sign."
    )


def test_values_in_errors_are_short_and_on_one_line():
    assert brief(np.zeros((3, 4))) == "an array of shape (3, 4)"
    assert brief(np.zeros(2)) == "array([0., 0.])"
    assert len(brief("x" * 500)) == 80
    assert brief("/folder" * 50 + "/scenario.toml").endswith("/scenario.toml'")
    assert "..." in brief("x" * 500)
    assert "\n" not in brief("a\nb")


def test_a_list_of_names_starts_with_the_nearest():
    assert one_of(["rician", "rayleigh"], "raleigh") == "Did you mean 'rayleigh'? Valid: rayleigh, rician."
    assert one_of(["b", "a"]) == "Valid: a, b."
    assert one_of([]) == "Valid: none."


def test_a_draw_depends_on_its_address_alone():
    first = generator(7, Stream.CHANNEL, 3).standard_normal(4)
    np.testing.assert_array_equal(generator(7, Stream.CHANNEL, 3).standard_normal(4), first)
    sequence = np.random.SeedSequence(7, spawn_key=(0, 3))
    np.testing.assert_array_equal(np.random.default_rng(sequence).standard_normal(4), first)
    others = [(8, Stream.CHANNEL, 3), (7, Stream.TARGET, 3), (7, Stream.CHANNEL, 4)]
    assert all(generator(*address).standard_normal() != first[0] for address in others)


def test_children_of_a_generator_do_not_depend_on_earlier_calls():
    spawned = generator(1, Stream.SOLVER, 0).spawn(2)[1].standard_normal()
    generator(1, Stream.SOLVER, 0).spawn(5)
    assert generator(1, Stream.SOLVER, 0).spawn(2)[1].standard_normal() == spawned


def test_the_numbers_of_the_streams_never_change():
    # Stored runs are replayed by these numbers.
    assert {s.name: s.value for s in Stream} == {
        "CHANNEL": 0,
        "TARGET": 1,
        "SOLVER": 2,
        "WAVEFORM": 3,
        "ESTIMATE": 4,
        "BACKGROUND": 5,
    }


def test_complex_normal_entries_have_unit_variance_and_are_circular():
    x = complex_normal(np.random.default_rng(0), (100_000,))
    # Four standard errors: |x|^2 is exponential with unit deviation, so is that of x^2.
    assert np.mean(np.abs(x) ** 2) == pytest.approx(1.0, abs=4 / np.sqrt(x.size))
    assert abs(np.mean(x**2)) < 4 * np.sqrt(2 / x.size)
    assert abs(np.mean(x)) < 4 / np.sqrt(x.size)
