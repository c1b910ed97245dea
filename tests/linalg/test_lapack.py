"""Factorisations by LAPACK, in plain Python and compiled."""

import numba
import numpy as np
import pytest

from isacsim.compiled import _jitted, _with_parts
from isacsim.linalg import lapack
from isacsim.linalg.lapack import (
    add_gram,
    adjoint_multiply,
    combine,
    eigen,
    eigenvalues,
    factorise,
    invert,
    multiply_adjoint,
    orthonormalise,
    scale,
    substitute,
)
from isacsim.linalg.parts import orthonormalise_rows


def each_multiply(A, B, first, C, second):
    adjoint_multiply(A, B, first)
    multiply_adjoint(A, C, second)


def each_factorise(A, spectrum, values, copy, positive, inverse):
    eigenvalues(copy, values)
    eigen(A, spectrum)
    factorise(positive)
    invert(inverse)


def each_real(A, into, factor, x):
    add_gram(A, 2.0, -1.0, into)
    factorise(factor)
    substitute(factor, x)


def each_number(X, Y, into, x, y):
    combine(0.5, X, -2.0, Y)
    scale(3.0, X, into)
    scale(-1.0, X, X)
    combine(1.0, x, 1.0, y)


def each_orthonormalise(A):
    orthonormalise(A)


def compiled(function):
    return _jitted(_with_parts(function, False), False)


def both(function, *arrays):
    """Arrays after the function, compiled and as it is."""
    made, plain = ([array.copy() for array in arrays] for _ in range(2))
    compiled(function)(*made)
    function(*plain)
    return made, plain


@pytest.fixture(scope="module")
def factorise_each():
    return compiled(each_factorise)


def hermitian_part(X):
    return X + np.conj(X.T)


@pytest.mark.parametrize("kind", [float, complex])
def test_products_with_adjoints_are_those_of_numpy(kind):
    rng = np.random.default_rng(0)
    A, B, C = (np.asarray(rng.standard_normal(s) * (1 if kind is float else 1 + 2j)) for s in ((4, 3), (4, 5), (6, 3)))
    (_, _, first, _, second), plain = both(each_multiply, A, B, np.zeros((3, 5), kind), C, np.zeros((4, 6), kind))
    np.testing.assert_allclose(first, np.conj(A.T) @ B, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(second, A @ np.conj(C.T), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(plain[2], first, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(plain[4], second, rtol=1e-14, atol=1e-14)
    wrong = np.zeros((3, 4), kind)
    compiled(each_multiply)(A, B, wrong, C, second)
    assert np.isnan(wrong).all()
    assert np.isfinite(second).all()


def test_factorisations_are_what_they_say(kit, factorise_each):
    A, P = hermitian_part(kit.complex_gaussian((7, 7), 0)), kit.complex_gaussian((7, 7), 1)
    P = P @ np.conj(P.T)
    for run in (factorise_each, each_factorise):
        UH, spectrum, values, L, inverse = A.copy(), np.zeros(7), np.zeros(7), P.copy(), P.copy()
        run(UH, spectrum, values, A.copy(), L, inverse)
        np.testing.assert_allclose((np.conj(UH.T) * spectrum) @ UH, A, atol=1e-13)  # some rounding of norms of 10
        np.testing.assert_allclose(UH @ np.conj(UH.T), np.eye(7), atol=1e-14)
        assert np.all(np.diff(spectrum) > 0)
        np.testing.assert_allclose(values, spectrum, atol=1e-13)
        np.testing.assert_array_equal(L, np.tril(L))
        np.testing.assert_allclose(L @ np.conj(L.T), P, atol=1e-13)
        np.testing.assert_allclose(inverse @ P, np.eye(7), atol=1e-11)  # condition of some 1e3


def test_what_breaks_down_or_does_not_fit_is_no_number(kit, factorise_each):
    A = hermitian_part(kit.complex_gaussian((3, 3), 0))
    bad, none = np.full((3, 3), np.nan, complex), np.zeros((3, 3), complex)
    for run in (factorise_each, each_factorise):
        spectrum, values, L, inverse = np.zeros(3), np.zeros(3), -np.eye(3, dtype=complex), none.copy()
        run(bad.copy(), spectrum, values, A.copy(), L, inverse)
        assert np.isnan(spectrum).all()
        assert np.isfinite(values).all()
        assert np.isnan(L).all()
        assert np.isnan(inverse).all()
    spectrum, values = np.zeros(2), np.zeros(4)
    factorise_each(A.copy(), spectrum, values, A.copy(), np.ones((3, 2), complex), np.eye(3, dtype=complex))
    assert np.isnan(spectrum).all()
    assert np.isnan(values).all()


@pytest.mark.parametrize("rows", [1, 4, 40])
def test_rows_are_made_orthonormal_and_span_the_same(kit, rows):
    A = kit.complex_gaussian((rows, 40), 0)
    for (Q,) in both(each_orthonormalise, A):
        np.testing.assert_allclose(Q @ np.conj(Q.T), np.eye(rows), atol=1e-13)
        np.testing.assert_allclose((A @ np.conj(Q.T)) @ Q, A, atol=1e-12)
        # The first rows span the first ones: what is left is triangular.
        np.testing.assert_allclose(np.triu(A @ np.conj(Q.T), 1), 0, atol=1e-12)


def test_more_rows_than_can_be_orthonormal_are_no_number():
    A = np.ones((3, 2), complex)
    compiled(each_orthonormalise)(A)
    assert np.isnan(A).all()


@pytest.mark.parametrize(("antennas", "rank"), [(16, 3), (2, 2)])
def test_rows_of_any_lengths_are_spanned_by_as_many_as_their_rank(kit, antennas, rank):
    A = kit.complex_gaussian((5, rank), 0) @ kit.complex_gaussian((rank, antennas), 1)
    A[1] = A[0] + 1e-8 * kit.complex_gaussian((1, rank), 2) @ A[2 : 2 + rank]  # what it adds is no longer than that
    A[4] = 0
    Q = A.copy()
    assert orthonormalise_rows(Q, 1e-10) == rank
    Q = Q[:rank]
    np.testing.assert_allclose(
        Q @ np.conj(Q.T), np.eye(rank), atol=1e-14
    )  # whatever the lengths: rows go through twice
    np.testing.assert_allclose((A @ np.conj(Q.T)) @ Q, A, atol=1e-14 * np.linalg.norm(A))


def test_real_systems_are_solved_from_a_lower_triangle():
    rng = np.random.default_rng(2)
    A, x = rng.standard_normal((6, 4)), rng.standard_normal(4)
    into, S = rng.standard_normal((4, 4)), A.T @ A
    (_, lower, factor, solution), plain = both(each_real, A, into, np.tril(S), x)
    np.testing.assert_allclose(np.tril(lower), np.tril(2 * S - into), atol=1e-14)
    np.testing.assert_allclose(factor @ factor.T, S, atol=1e-13)
    for each in (solution, plain[3]):
        np.testing.assert_allclose(S @ each, x, atol=1e-12)


def test_numbers_are_combined_one_by_one(kit):
    X, Y, x, y = kit.complex_gaussian((2, 3), 0), kit.complex_gaussian((2, 3), 1), np.ones(4), np.arange(4.0)
    (minus, combined, scaled, _, real), plain = both(each_number, X, Y, np.zeros_like(X), x, y)
    np.testing.assert_allclose(combined, 0.5 * X - 2 * Y, rtol=1e-15)
    np.testing.assert_allclose(scaled, 3 * X, rtol=1e-15)
    np.testing.assert_array_equal(minus, -X)
    np.testing.assert_array_equal(real, x + y)
    np.testing.assert_allclose(plain[1], combined, rtol=1e-15)


def test_mixed_types_are_refused():
    with pytest.raises(numba.core.errors.TypingError):
        compiled(each_multiply)(
            np.ones((2, 2)), np.ones((2, 2), complex), np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2))
        )


def test_no_two_functions_have_one_name_among_machine_code():
    # What is loaded from disk is found by module, name and a number that two processes can share.
    forms = [each.native() for each in vars(lapack).values() if hasattr(each, "native")]
    names = {form.__qualname__ for form in forms}
    assert len(forms) >= 10
    assert len(names) == len(forms)
