"""Precoders in closed form: what each is known for, what it keeps, and what it says of the rest."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim.api import Request, Solver
from isacsim.errors import InvalidInput
from isacsim.solvers.solution import Status

NAMES = ("mrt", "zf", "rzf", "dft-beams", "equal-split")


def gains(H, W):
    """Power of stream j at user k, (..., K, K+S)."""
    return np.abs(np.conj(H).swapaxes(-1, -2) @ W) ** 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", ["make_problem", "make_crb_min", "make_sqnr_max"])
def test_every_problem_gets_a_precoder_of_full_power(kit, name, make):
    problem = getattr(kit, make)()
    solution = isacsim.solve(problem, name)
    assert solution.status is Status.HEURISTIC
    assert not solution.converged
    # Of what leaves the converters, where the problem has some.
    np.testing.assert_allclose(problem.constraints(solution.precoder)["total"], 0, atol=1e-12)
    assert solution.objective == problem.objective(solution.precoder)


@given(seed=st.integers(0, 2**32 - 1), users=st.integers(1, 4))
def test_zero_forcing_leaves_no_interference(kit, seed, users):
    problem = kit.make_problem(users, seed=seed)
    W = isacsim.solve(problem, "zf").precoder[:, :users]
    power = gains(problem.H, W)
    off = power[~np.eye(users, dtype=bool)]
    assert np.all(off <= 1e-20 * power.max())  # rounding, squared, times the condition of the channels


def test_one_user_gets_the_beamforming_capacity_by_maximum_ratio(kit):
    problem = kit.make_problem(1, sensing_streams=0, rate_weight=1.0, crlb_weight=0.0)
    capacity = np.log1p(problem.power * np.linalg.norm(problem.H) ** 2 / problem.noise_power[0])
    for name in ("mrt", "zf", "rzf"):  # of one user they are one
        assert isacsim.solve(problem, name).objective == pytest.approx(float(capacity), rel=1e-12)


def test_regularised_zero_forcing_lies_between_its_limits(kit):
    problem = kit.make_problem(3, sensing_streams=0)
    beams = {}
    for name, power in (("mrt", 1e-9), ("zf", 1e9)):
        extreme = attrs.evolve(problem, power=power)
        W = isacsim.solve(extreme, "rzf").precoder / np.sqrt(power)
        beams[name] = W, isacsim.solve(attrs.evolve(problem, power=1.0), name).precoder
    for found, limit in beams.values():  # up to phases: each limit is approached as the load, 1e-6 here
        np.testing.assert_allclose(np.abs(np.sum(np.conj(found) * limit, axis=0)), 1 / 3, rtol=1e-5)


def test_beams_of_the_dft_are_chosen_once_each_and_best_first(kit):
    n = np.arange(6)
    codebook = np.exp(2j * np.pi * np.outer(n, n) / 6) / np.sqrt(6)
    H = codebook[:, [4, 1, 4]] @ np.diag([3, 2, 1]) + 1e-3 * codebook[:, [0, 0, 2]]
    problem = attrs.evolve(kit.make_problem(3, sensing_streams=0), H=H)
    W = isacsim.solve(problem, "dft-beams").precoder
    chosen = np.abs(codebook.conj().T @ W).argmax(axis=0)
    assert chosen.tolist() == [4, 1, 2]  # the third user's own beam is taken


def test_equal_power_on_all_antennas_keeps_each_antennas_share(kit):
    problem = kit.make_problem(2, per_antenna=True)
    for name in NAMES:
        W = isacsim.solve(problem, name).precoder
        assert np.min(problem.constraints(W)["antenna"]) >= -1e-12
    power = (np.abs(isacsim.solve(problem, "equal-split").precoder) ** 2).sum(axis=-1)
    np.testing.assert_allclose(power, problem.power / 6, rtol=1e-12)


def test_the_share_of_the_sensing_streams_is_theirs(kit):
    problem = kit.make_crb_min()
    for share in (0.25, 0.5, 1.0):
        W = isacsim.solve(problem, "zf", sensing_share=share).precoder
        assert np.linalg.norm(W[:, 2:]) ** 2 == pytest.approx(share * problem.power, rel=1e-12)


def test_a_requirement_that_is_missed_is_named(kit):
    problem = kit.make_crb_min(sinr_db=30.0)
    (note,) = isacsim.solve(problem, "equal-split").notes
    assert note.startswith("misses the constraint sinr by ")
    assert isacsim.solve(kit.make_problem(), "mrt").notes == ()


def test_beams_toward_users_without_channels_are_told(kit):
    problem = kit.make_problem(sensing_streams=0)
    blocked = attrs.evolve(problem, H=np.stack([problem.H, 0 * problem.H]))
    for name in ("mrt", "zf", "rzf"):
        solution = isacsim.solve(blocked, name)
        assert [str(s) for s in solution.status] == ["HEURISTIC", "FAILED"]
        assert solution.notes[1] == ("there is nothing to radiate: the channels of all users are zero",)


def test_errors_recommend_no_heuristic(kit):
    with pytest.raises(InvalidInput, match="must take the problem crb-min") as caught:
        isacsim.solve(kit.make_crb_min(), "sca")
    assert not any(name in str(caught.value).split("Valid:")[1] for name in ("mrt", "zf", "split"))


@attrs.frozen
class Mine(Solver):
    """A solver in closed form is this long."""

    problems = ("sum-rate-crlb",)

    def solve(self, problem, request: Request):
        return isacsim.Solution.of(problem, problem.H)


def test_each_member_has_a_status_and_a_note_of_its_own(kit):
    problem = kit.make_problem(batch=(4,))
    W = np.array(problem.H)
    W[2] = np.nan
    statuses, notes = [Status.HEURISTIC, Status.INFEASIBLE, Status.FAILED, Status.OPTIMAL], ["", "why", "lost", "near"]
    bound = np.array([np.nan, 7.0, np.nan, 8.0])
    solution = isacsim.Solution.of(problem, W, statuses, notes, bound=bound, gap=0.5)
    assert list(solution.status) == statuses
    assert solution.notes[1:3].tolist() == [("why",), ("lost",)]  # without an answer nothing is missed
    assert solution.notes[3][0].startswith("near; misses the constraint total by ")
    answered = [True, False, False, True]
    assert (np.isfinite(solution.precoder).all(axis=(-2, -1)) == answered).all()
    assert (np.isfinite(solution.objective) == answered).all()
    np.testing.assert_array_equal(solution.bound, bound)
    np.testing.assert_array_equal(solution.gap, 0.5)
    with pytest.raises(InvalidInput, match=r"status: must be one Status, or one for each of 4 members, got \['GLOBAL'"):
        isacsim.Solution.of(problem, W, ["GLOBAL"] * 4)
    with pytest.raises(InvalidInput, match=r"notes: must be one str, or one for each of 4 members, got \['a', 'b'\]"):
        isacsim.Solution.of(problem, W, notes=["a", "b"])


def test_a_precoder_becomes_a_solution(kit):
    problem = kit.make_problem(batch=(3,))
    W = np.array(problem.H) * 1e-3
    W[1] = np.nan
    solution = isacsim.Solution.of(problem, W)
    assert list(solution.status) == [Status.HEURISTIC, Status.FAILED, Status.HEURISTIC]
    assert solution.notes[1] == ("the precoder or its objective is not finite",)
    assert np.isnan(solution.precoder[1]).all()
    W[1] = W[0]
    loud = isacsim.solve(problem, Mine())
    assert all(note.startswith("misses the constraint total by ") for (note,) in loud.notes)
    with pytest.raises(
        InvalidInput, match=r"precoder: must have the shape \(3, 6, 2\), or fewer columns, got \(3, 6, 5\)"
    ):
        isacsim.Solution.of(problem, np.ones((3, 6, 5)))


@pytest.mark.parametrize("name", NAMES)
def test_chains_of_a_small_gain_are_driven_to_the_whole_power(kit, name):
    # Fifteen converters of one bit in a row put out 1e-3 of the power: the search for a drive ends far below that.
    chains = isacsim.Chain(*[isacsim.Aqnm(1)] * 15)
    problem = kit.make_problem(transceiver=isacsim.Transceiver(transmit=chains))
    solution = isacsim.solve(problem, name)
    np.testing.assert_allclose(problem.constraints(solution.precoder)["total"], 0, atol=1e-12)
