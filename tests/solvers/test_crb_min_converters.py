"""`dual-newton`: designs of `CrbMin` for converters against a semidefinite program, certificates and limits."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim import Aqnm, Chain, CrbMin, Transceiver, metrics
from isacsim.batch import flatten, take
from isacsim.hardware.base import Hardware, LinearModel, chain_power
from isacsim.solvers.crb_min.dual_newton import DualNewton
from isacsim.solvers.crb_min.homogeneous import Homogeneous, evaluate
from isacsim.solvers.solution import Status
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.testing.capabilities import Compressing

DATA = Path(__file__).parents[1] / "data" / "crb-min-converters"
seeds = st.integers(0, 2**32 - 1)


@attrs.frozen
class Share(Hardware):
    """Additive noise quantisation with any gains: the reference data have some that no number of bits gives."""

    alpha: np.ndarray

    def apply(self, x, rng=None, *, power=None):
        """Of no use here."""
        raise NotImplementedError

    def linear_model(self, R):
        """The AQNM."""
        power = chain_power(R)
        alpha = np.broadcast_to(self.alpha, power.shape)
        return LinearModel(alpha, alpha * (1 - alpha) * power)


def mixed(kit, seed, members=1, antennas=6, users=3, **changes):
    """Problems with converters of 1 to 6 bits in turn, at one and a half times the least power."""
    transmit = Aqnm(1.0 + np.arange(antennas) % 6)
    hardware = Transceiver(transmit=transmit, receive=Aqnm([1, 3, 2]), user=Aqnm(4))
    arguments = {"min_sinr": 3.0, "power": 1.0, "noise_power": 1.0, "transceiver": hardware} | changes
    arguments |= {"response_variance": 0.05, "radar_noise_power": 0.5, "receivers": 3}
    problem = CrbMin(kit.complex_gaussian((members, antennas, users), seed), **arguments)
    least = needed(problem)
    return attrs.evolve(problem, power=np.where(np.isfinite(least), 1.5 * least, 1.0))


def needed(problem):
    """The least power of each member, in W."""
    (group,) = DualNewton().groups(flatten(problem))
    return least_power(group.system).power * group.system.unit


@pytest.mark.parametrize("name", ["1", "2"])
def test_the_reference_program_has_the_same_optimum(name):
    d = np.load(DATA / f"{name}.npz")
    hardware = Transceiver(transmit=Share(d["alpha_t"]), receive=Share(d["alpha_r"]), user=Share(d["alpha_k"]))
    receivers, thermal = d["alpha_r"].size, float(d["noise_radar"])
    problem = CrbMin(
        d["H"], d["gamma"], d["P"], d["noise_user"], hardware,
        response_variance=d["tau"], radar_noise_power=thermal, receivers=receivers,
    )  # fmt: skip
    solution = isacsim.solve(problem)
    unit = thermal * receivers / d["L"]
    assert solution.status is Status.OPTIMAL
    assert solution.objective * unit == pytest.approx(d["crb_sdp"], rel=1e-6)  # the program's own accuracy: 6e-8
    assert solution.objective * unit >= d["dual_bound"] * (1 - 1e-7)
    assert solution.bound * unit <= d["primal"] * (1 + 1e-9)
    reached = metrics.sqinr(d["H"], solution.precoder, d["noise_user"], hardware)
    np.testing.assert_allclose(reached, d["gamma"], rtol=1e-9)  # all are active here


@given(seeds, st.integers(2, 8), st.integers(1, 5))
def test_converters_without_distortion_are_the_ideal_problem(kit, seed, antennas, users):
    problem = CrbMin(kit.complex_gaussian((antennas, users), seed), 2.0, 1.0, 0.01)
    ideal, found = isacsim.solve(problem), isacsim.solve(problem, "dual-newton")
    assert found.status is ideal.status
    # Two proven gaps of 1e-8 bracket one optimum.
    np.testing.assert_allclose(found.objective, ideal.objective, rtol=3e-8)


@given(seeds, st.integers(2, 8), st.integers(1, 6))
def test_every_answer_meets_all_constraints_within_its_gap(kit, seed, antennas, users):
    problem = mixed(kit, seed, 2, antennas, users, min_sinr=1.0)
    solution = isacsim.solve(problem)
    there = np.isfinite(needed(problem))
    assert np.array_equal([status is Status.OPTIMAL for status in solution.status], there)
    assert np.array_equal([status is Status.INFEASIBLE for status in solution.status], ~there)
    problem, solution = take(flatten(problem), there), solution.take(there)
    for slack in problem.constraints(solution.precoder).values():
        assert np.all(slack >= -1e-9)
    np.testing.assert_allclose(problem.objective(solution.precoder), solution.objective, rtol=1e-9)
    assert np.all(solution.gap <= 1e-8)


def test_no_other_precoder_is_better_than_the_bound(kit):
    problem = mixed(kit, 3)
    solution = isacsim.solve(problem)
    rng = np.random.default_rng(0)
    W = solution.precoder
    for size in (1e-3, 1e-2, 1e-1, 1.0):
        step = rng.standard_normal(W.shape) + 1j * rng.standard_normal(W.shape)
        V = W + size * step * np.linalg.norm(W) / np.linalg.norm(step)
        sent = isacsim.link.Transmission.of(V, problem.transceiver.transmit)
        V = V * np.sqrt(problem.power / sent.power)[:, None, None]
        if np.all(problem.constraints(V)["sinr"] >= 0):
            assert problem.objective(V) >= solution.bound * (1 - 1e-12)  # rounding
        # Without SINRs the bound of all problems is that of the noise alone.
        free = attrs.evolve(problem, min_sinr=1e-9)
        assert free.objective(V) >= isacsim.solve(free).bound * (1 - 1e-12)


def test_the_dual_is_a_bound_at_every_point_and_rises_along_its_gradient(kit):
    problem = mixed(kit, 5)
    (group,) = DualNewton().groups(flatten(problem))
    system, best = Homogeneous.of(group), isacsim.solve(problem).objective
    least = least_power(group.system)
    state = DualNewton().init(system, least.multipliers, least.power)
    for _ in range(20):
        step = DualNewton().step(state)
        assert np.all(step.dual.bound <= best)
        assert np.all(step.beams.objective >= best * (1 - 1e-12))
        state = step
    assert state.dual.bound == pytest.approx(best, rel=1e-7)
    assert -np.inf == evaluate(system, 1e3 * state.dual.L).X  # out of the domain


def test_a_member_has_the_bytes_it_has_alone(kit):
    problem = mixed(kit, 7, members=5)
    together = isacsim.solve(problem)
    for i in range(5):
        alone = isacsim.solve(take(flatten(problem), np.array([i])))
        assert np.array_equal(alone.precoder[0], together.precoder[i])
        assert alone.bound[0] == together.bound[i]


@pytest.mark.parametrize("excess", [1.0, 1e-2, 1e-4])
def test_near_the_least_power_the_gap_closes_too(kit, excess):
    problem = mixed(kit, 11, members=3, antennas=8, users=4)
    solution = isacsim.solve(attrs.evolve(problem, power=problem.power / 1.5 * (1 + excess)))
    assert all(status is Status.OPTIMAL for status in solution.status)


def test_below_the_least_power_it_is_proven_infeasible(kit):
    problem = mixed(kit, 11, members=3)
    solution = isacsim.solve(attrs.evolve(problem, power=problem.power / 1.5 * (1 - 1e-6)))
    assert all(status is Status.INFEASIBLE for status in solution.status)
    np.testing.assert_allclose(solution.least_power, problem.power / 1.5, rtol=1e-9)


def test_what_its_converter_allows_at_no_power_is_told(kit):
    solution = isacsim.solve(mixed(kit, 0, min_sinr=1e4, power=1.0))
    assert solution.status[0] is Status.INFEASIBLE
    assert "through these converters" in solution.notes[0][0]


@given(seeds)
def test_where_no_sinr_costs_anything_the_optimum_is_known(kit, seed):
    problem = mixed(kit, seed, min_sinr=1e-3)
    solution = isacsim.solve(attrs.evolve(problem, power=1e6))
    assert "what is optimal without SINRs meets every one of them" in solution.notes[0]
    e = 1 / problem.transceiver.transmit.linear_model(np.eye(6)).gain - 1  # (1 - alpha) / alpha
    eps = np.mean(1 / problem.transceiver.receive.linear_model(np.eye(3)).gain - 1)
    echo = 1e6 * 0.05 / 0.5
    psi = (1 + e) * (1 + eps) + echo * (eps * (1 + e) + e)
    # tr(T^-1) tr(diag(psi) T) / P >= (sum_i psi_i^1/2)^2 / P for all T of full power [Cauchy-Schwarz].
    np.testing.assert_allclose(solution.objective, np.sqrt(psi).sum() ** 2 / 1e6, rtol=1e-9)


def test_units_do_not_matter(kit):
    problem = mixed(kit, 2)
    scaled = attrs.evolve(
        problem, H=problem.H * 1e-5, power=problem.power * 1e3, noise_power=problem.noise_power * 1e-7,
        response_variance=problem.response_variance * 1e-3,
    )  # fmt: skip
    one, other = isacsim.solve(problem), isacsim.solve(scaled)
    np.testing.assert_allclose(other.objective * 1e3, one.objective, rtol=3e-8)


def test_without_users_the_power_goes_where_it_brings_least_noise():
    hardware = Transceiver(transmit=Aqnm([1, 2, 3, 4]))
    arguments = (np.zeros((3, 4, 0)), np.ones(0), 2.0, np.ones(0), hardware)
    solution = isacsim.solve(CrbMin(*arguments, response_variance=0.3))
    assert all(status is Status.OPTIMAL for status in solution.status)
    sent = isacsim.link.Transmission.of(solution.precoder, hardware.transmit)
    assert np.all(np.diff(np.diagonal(sent.signal, axis1=1, axis2=2).real) > 0)


@pytest.mark.parametrize(
    ("hardware", "why"),
    [
        (Transceiver(transmit=Compressing()), r"transmit \(Compressing\) does not add noise in proportion"),
        (Transceiver(transmit=Chain(Aqnm(3), Compressing())), r"transmit.1 \(Compressing\) does not"),
    ],
)
def test_other_hardware_is_refused_with_the_stage(kit, hardware, why):
    problem = CrbMin(kit.complex_gaussian((4, 2), 0), 1.0, 1.0, 1.0, hardware)
    with pytest.raises(isacsim.InvalidInput, match=why):
        isacsim.solve(problem)


@pytest.mark.slow
def test_random_problems_of_all_sizes_are_solved(kit):
    rng, open_gaps, count = np.random.default_rng(7), 0, 0
    while count < 500:
        antennas = int(rng.integers(4, 33))
        users = int(rng.integers(1, min(antennas, 8) + 1))
        bits = rng.choice([1, 2, 3, 4, 6, 10], antennas) if rng.random() < 0.5 else rng.integers(1, 6)
        user = rng.choice([2.0, 3.0, 4.0, 6.0])
        receive = rng.choice([1.0, 2.0, 3.0, 5.0])
        hardware = Transceiver(transmit=Aqnm(bits), user=Aqnm(user), receive=Aqnm(receive))
        H = kit.complex_gaussian((antennas, users), int(rng.integers(2**32))) * 10 ** rng.uniform(-0.5, 0.5, users)
        asked = np.minimum(10 ** rng.uniform(0, 1.2, users), 0.4 * 4**user)
        problem = CrbMin(H, asked, 1e6, 1.0, hardware, response_variance=10 ** rng.uniform(-4, 1))
        least = float(needed(problem)[0])
        if not least < 1e6:
            continue
        count += 1
        problem = attrs.evolve(problem, power=least * (1 + 10 ** rng.uniform(-3, 2)))
        solution = isacsim.solve(problem)
        if not solution.gap <= 1e-6:
            open_gaps += 1
            assert solution.status in (Status.STALLED, Status.MAX_STEPS, Status.FAILED)
        if solution.status.answered:
            assert np.min(problem.constraints(solution.precoder)["sinr"]) >= -1e-9
            assert problem.objective(solution.precoder) >= solution.bound * (1 - 1e-12)  # rounding
    assert open_gaps <= 5  # of 500
