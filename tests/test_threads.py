"""One BLAS thread while a problem is solved, and as many as before afterwards."""

from threadpoolctl import ThreadpoolController, threadpool_limits

from isacsim.threads import one_blas_thread


def counts():
    return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]


def test_there_is_one_blas_thread_within_and_as_many_as_before_behind():
    with threadpool_limits(2, user_api="blas"):
        before = counts()
        with one_blas_thread():
            assert set(counts()) == {1}
        assert counts() == before
    assert 2 in before  # else there is nothing to see
