"""One BLAS thread while a problem is solved, and as many as before afterwards; calls in threads of their own."""

import threading
import time

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from isacsim.threads import allowance, allowed, one_blas_thread, side_by_side


def counts():
    return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]


def test_there_is_one_blas_thread_within_and_as_many_as_before_behind():
    with threadpool_limits(2, user_api="blas"):
        before = counts()
        with one_blas_thread():
            assert set(counts()) == {1}
        assert counts() == before
    assert 2 in before  # else there is nothing to see


def test_each_call_is_made_at_the_same_time_in_a_thread_of_its_own():
    meeting = threading.Barrier(3, timeout=60)

    def call():
        meeting.wait()  # nobody comes through alone
        return threading.get_ident()

    found = side_by_side([call] * 3)
    assert found[0] == threading.get_ident()
    assert len(set(found)) == 3


def test_what_holds_where_calls_are_made_holds_in_each_of_them():
    with np.errstate(divide="ignore"), allowed(4):
        told = side_by_side([lambda: (np.geterr()["divide"], allowance())] * 2)
        # What they call in turn has their own thread only.
        assert told == [("ignore", 1)] * 2
        assert allowance() == 4
    assert allowance() == 1


def failing(text, after=None):
    def call():
        if after is not None:
            after.wait(60)
        raise ValueError(text)

    return call


def test_of_several_errors_the_first_in_order_is_raised_whichever_comes_first_in_time():
    soon = threading.Event()

    def fails_at_once():
        soon.set()
        raise ValueError("last")

    with pytest.raises(ValueError, match="second"):
        side_by_side([lambda: 1, failing("second", soon), fails_at_once])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_or_a_failure_of_the_first_ends_the_others(error):
    begun, seen = threading.Event(), []

    def first():
        begun.wait(60)
        raise error

    def endless():
        try:
            begun.set()
            while True:
                time.sleep(1e-3)
        except KeyboardInterrupt:
            seen.append("ended")
            raise

    with pytest.raises(error):
        side_by_side([first, endless])
    assert seen == ["ended"]  # and before it was raised
