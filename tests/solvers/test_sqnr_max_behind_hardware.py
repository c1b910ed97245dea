"""`SqnrMax` behind exact models: gradients, optima that other solvers know, certificates, and what it gains."""

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, MidRise, SqnrMax, Transceiver, metrics
from isacsim.batch import flatten, take
from isacsim.optimisation.augmented import tightened
from isacsim.solvers.solution import Status
from isacsim.solvers.sqnr_max.augmented import AugmentedMerit, lacking
from isacsim.solvers.sqnr_max.behind_hardware import AugmentedLagrangian
from isacsim.testing.capabilities import Compressing

SOLVER = AugmentedLagrangian()
COARSE = Transceiver(transmit=MidRise(2), receive=MidRise(4), user=MidRise(4))


def problem(kit, transceiver, rank=4, members=2, antennas=4, users=2, **changes):
    """Rayleigh channels, and responses of a rank."""
    left, right = kit.complex_gaussian((members, 5, rank), 1), kit.complex_gaussian((members, rank, antennas), 2)
    arguments = {
        "H": kit.complex_gaussian((members, antennas, users), 0), "G": left @ right / np.sqrt(rank),
        "min_sqinr": 2.0, "power": 10.0, "noise_power": 1.0, "radar_noise_power": 1.0,
    }  # fmt: skip
    return SqnrMax(**{**arguments, **changes}, transceiver=transceiver)


@pytest.mark.parametrize("transceiver", [COARSE, Transceiver(transmit=Compressing(), user=Aqnm(3))])
def test_the_gradient_is_that_of_the_augmented_lagrangian(kit, transceiver):
    merit = AugmentedMerit.of(flatten(problem(kit, transceiver)))
    merit = attrs.evolve(merit, multipliers=np.array([[0.3, 0.0], [0.1, 2.0]]))
    Z, along = (kit.complex_gaussian((2, 4, 3), seed) for seed in (5, 6))
    point = merit.evaluate(Z)
    assert np.any(point.push > 0)
    slope = 2 * (np.conj(point.gradient) * along).real.sum(axis=(-2, -1))
    differences = kit.central_difference(lambda t: merit.evaluate(Z + t * along).objective, 1e-3)
    np.testing.assert_allclose(slope, differences, rtol=1e-7)
    slack, normals = merit.normals(merit.project(Z))
    assert slack.shape == (2, 2)
    assert normals.shape == (2, 2, 24)


@pytest.mark.parametrize("rank", [1, 4])
def test_the_optimum_for_additive_noise_is_that_of_newton_mm(kit, rank):
    one = problem(kit, Transceiver(transmit=Aqnm(3), receive=Aqnm(3), user=Aqnm(4)), rank)
    known = isacsim.solve(one, "newton-mm")
    found = isacsim.solve(one, SOLVER, starts="least-power")  # which knows nothing of that
    np.testing.assert_allclose(found.objective, known.objective, rtol=1e-7)


def test_without_users_all_power_goes_to_the_target(kit):
    """Converters of no users have no power at which they could be believed."""
    one = problem(kit, attrs.evolve(COARSE, transmit=Aqnm(3)), rank=1, users=0)
    found = isacsim.solve(one)
    assert all(status.answered for status in found.status)
    np.testing.assert_allclose(one.constraints(found.precoder)["total"], 0.0, atol=1e-9)


@pytest.mark.parametrize("rank", [1, 4])
def test_a_design_through_the_exact_model_keeps_what_is_asked_and_gains(kit, rank):
    one = problem(kit, COARSE, rank)
    found = isacsim.solve(one)
    assert all(status is Status.STATIONARY for status in found.status)
    slack = one.constraints(found.precoder)
    assert slack["sqinr"].min() >= -1e-9
    np.testing.assert_allclose(slack["total"], 0.0, atol=1e-9)
    np.testing.assert_allclose(found.objective, one.objective(found.precoder), rtol=1e-12)
    # The design for uncorrelated distortion, moved to where it meets the SQINRs, which it misses.
    plain = {side: attrs.evolve(getattr(COARSE, side), correlated=False) for side in ("transmit", "receive", "user")}
    naive = isacsim.solve(attrs.evolve(one, transceiver=Transceiver(**plain))).precoder
    assert one.constraints(naive)["sqinr"].min() < -1e-3
    merit = AugmentedMerit.of(flatten(one))
    moved, worst = tightened(merit, merit.surface.coordinates(naive), np.ones((2, 2)))
    assert np.all(worst >= -1e-10)
    assert np.all(found.objective > 1.001 * one.objective(merit.surface.precoder(moved)))


def test_without_users_a_design_is_no_worse_than_that_for_additive_noise(kit):
    one = problem(kit, Transceiver(transmit=MidRise(2)), rank=1, min_sqinr=0.0)
    naive = isacsim.solve(attrs.evolve(one, transceiver=Transceiver(transmit=MidRise(2, correlated=False))))
    found = isacsim.solve(one)
    # One beam, whose distortion goes where it goes.
    assert np.all(found.objective > 1.05 * one.objective(naive.precoder))


def test_no_stream_is_missing_where_it_ends(kit):
    one = flatten(problem(kit, COARSE, rank=4))
    found = isacsim.solve(one)
    merit = AugmentedMerit.of(one)
    point = merit.evaluate(merit.surface.coordinates(found.precoder))
    # Multipliers from the stationarity of the users' beams, by least squares.
    slack, normals = merit.normals(point.W)
    gradient = merit.slope(point).reshape(2, -1).view(float)
    assert np.all(np.abs(slack) < 1e-9)
    push = [-np.linalg.lstsq(J.T, g, rcond=None)[0] for J, g in zip(normals, gradient, strict=True)]
    assert np.all(np.array(push) > 0)
    gain, _ = lacking(attrs.evolve(merit, multipliers=np.array(push)), point.W)
    assert np.all(gain < 1e-3)


def test_what_no_chains_can_meet_is_infeasible_with_the_least_power(kit):
    one = problem(kit, Transceiver(transmit=MidRise(3)), min_sqinr=1e3)
    found = isacsim.solve(one)
    assert all(status is Status.INFEASIBLE for status in found.status)
    assert np.all(found.least_power > 10.0)
    ideal = attrs.evolve(one, transceiver=Transceiver(), power=0.9 * found.least_power.min())  # 3 bits keep 96 %
    assert all(status is Status.INFEASIBLE for status in isacsim.solve(ideal).status)


def test_what_is_not_found_and_not_disproved_has_failed(kit):
    one = problem(kit, Transceiver(transmit=MidRise(1)), members=1, min_sqinr=15.0, power=1e4)
    found = isacsim.solve(one, SOLVER, starts="least-power", max_steps=40)
    assert all(status is Status.FAILED for status in found.status)
    assert np.isnan(found.precoder).all()
    assert all("misses one by" in note[-1] and "is not proven" in note[-1] for note in found.notes)


def test_the_drive_behind_amplifiers_is_free_below_the_cap(kit):
    one = problem(kit, Transceiver(transmit=Compressing()), min_sqinr=0.5, power=1e3)
    found = isacsim.solve(one)
    assert all(status is Status.STATIONARY for status in found.status)
    power = metrics.radiated_power(found.precoder, Compressing())
    assert np.all(power < 10.0)
    for factor in (0.98, 1.02):
        W = factor * found.precoder
        keeps = one.constraints(W)["sqinr"].min(axis=-1) >= 0
        assert np.all((one.objective(W) < found.objective) | ~keeps)


def test_a_member_has_the_bytes_it_has_alone(kit):
    one = flatten(problem(kit, COARSE, rank=2, members=3))
    together = isacsim.solve(one, SOLVER, max_steps=30)
    for i in range(3):
        alone = isacsim.solve(take(one, np.array([i])), SOLVER, max_steps=30)
        assert np.array_equal(alone.precoder[0], together.precoder[i], equal_nan=True)


def test_a_target_that_is_not_there_leaves_the_requirements(kit):
    one = problem(kit, COARSE, G=np.zeros((2, 5, 4)))
    found = isacsim.solve(one)
    assert one.constraints(found.precoder)["sqinr"].min() >= -1e-9
    assert all("the target response is zero" in note[-1] for note in found.notes)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 2, 3])
def test_random_instances_end_well(kit, bits):
    rng = np.random.default_rng(bits)
    for _ in range(20):
        antennas, users = int(rng.integers(2, 9)), int(rng.integers(1, 4))
        users = min(users, antennas)
        one = problem(
            kit, Transceiver(transmit=MidRise(bits)), int(rng.integers(1, antennas + 1)), 5, antennas, users,
            min_sqinr=rng.uniform(0.1, 0.6 * bits**2), power=float(10 ** rng.uniform(0, 2)),
        )  # fmt: skip
        found = isacsim.solve(one)
        for i, status in enumerate(found.status):
            if status.answered:
                here = take(flatten(one), np.array([i]))
                slack = here.constraints(found.precoder[[i]])
                assert slack["sqinr"].min() >= -1e-9
                assert abs(slack["total"][0]) <= 1e-9
            else:
                assert status in (Status.INFEASIBLE, Status.FAILED)
                assert found.notes[i]
