"""What is kept of records that never change."""

import gc

import attrs
import numpy as np
import pytest

from isacsim.hardware.base import Ideal, Transceiver
from isacsim.hardware.chain import Chain
from isacsim.hardware.quantisers import Aqnm
from isacsim.lasting import kept, lasting


@attrs.frozen
class Record:
    value: object


@attrs.frozen(eq=False)
class Nameless:
    value: object


@attrs.define
class Changing:
    value: object = 1


class Plain:
    pass


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "value",
    [Record(1), Record("a"), Record((1.0, None)), Record(read_only(np.ones(2))), Record(Record(True)), Aqnm(3),
     Aqnm([1, 2]), Ideal(), Chain(Aqnm(1), Ideal()), Transceiver(user=Aqnm(2))],
    ids=repr,
)  # fmt: skip
def test_records_of_what_cannot_change_last(value):
    assert lasting(value)


@pytest.mark.parametrize(
    "value",
    [Changing(), Plain(), Nameless(1), Record(np.ones(2)), Record([1]), Record(Changing()), Record((1, Plain()))],
    ids=lambda v: type(v).__name__,
)
def test_what_can_change_does_not(value):
    assert not lasting(value)


def test_a_record_is_asked_once_and_one_that_can_change_each_time():
    calls = []

    @kept
    def asked(record, power):
        calls.append(record)
        return power, record.value

    one, like, other = Record(1), Record(1), Changing()
    assert [asked(one, 2), asked(one, 2), asked(one, 3)] == [(2, 1), (2, 1), (3, 1)]
    assert len(calls) == 2
    assert asked(like, 2) == (2, 1)
    assert len(calls) == 3
    assert asked(other, 2) == (2, 1)
    other.value = 5
    assert asked(other, 2) == (2, 5)


@pytest.mark.parametrize("value", [[1], Plain(), Record(read_only(np.ones(2)))], ids=["list", "plain", "no hash"])
def test_nothing_is_kept_of_values_that_can_change_or_have_no_hash(value):
    calls = []
    asked = kept(lambda record, other: calls.append(other))
    one = Record(1)
    asked(one, value)
    asked(one, value)
    assert len(calls) == 2


def test_of_what_takes_memory_the_last_records_alone_are_kept():
    calls = []
    asked = kept(lambda record: calls.append(record), most=2)
    first, second, third = records = [Record(i) for i in range(3)]
    for record in (*records, third, second, first):
        asked(record)
    assert calls == [first, second, third, first]


def test_nothing_is_kept_of_a_record_that_is_gone():
    asked = kept(lambda record: record.value)
    # A new record may lie where the last one was.
    for value in range(100):
        assert asked(Record(value)) == value
    gc.collect()
    (found,) = (cell.cell_contents for cell in asked.__closure__ if isinstance(cell.cell_contents, dict))
    assert not found
