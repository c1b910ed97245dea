"""What [Xu25] says of its designs, on eight channels whose numbers another implementation has too.

16 antennas on either side, 4 users, 20 dBm over 0 dBm of noise, converters of 3 bits; a point
target at 40 degrees of -10 dB, or an extended one of that variance. The numbers are means of
linear ratios over the channels, printed to 0.001 dB (SQINRs: 0.01 dB).
"""

from functools import cache

import attrs
import numpy as np
import pytest

from isacsim import Aqnm, CrbMin, PointCrbMin, PointTargets, SqnrMax, Transceiver, UniformLinearArray, metrics, solve
from isacsim.hardware.power import ConverterPower

N, K, CHANNELS = 16, 4, 8
TX = UniformLinearArray(N, normalized=False, conjugate=True)
RX = UniformLinearArray(N, normalized=False)
POINT = PointTargets(TX, RX, [np.radians(40)], [np.pi / 2], [np.sqrt(0.1)])
MIXED = [10, 10] + [3] * 14
UNIFORM = Transceiver(Aqnm(3), Aqnm(3), Aqnm(3))
HARDWARE = {"uniform": UNIFORM, "mixed": attrs.evolve(UNIFORM, transmit=Aqnm(MIXED))}

# Least SQINR in dB: SQNR of the robust design; that of the non-robust one, its mean and its least SQINR.
NUMBERS = {
    ("point", "uniform", 5): (22.866, 22.918, 3.24, 1.52),
    ("point", "uniform", 8): (22.681, 22.822, 5.20, 3.06),
    ("point", "uniform", 12): (21.555, 22.695, 7.34, 5.45),
    ("point", "mixed", 5): (23.862, 23.205, 3.36, 1.77),
    ("point", "mixed", 8): (23.661, 23.116, 5.38, 3.40),
    ("point", "mixed", 12): (22.908, 22.995, 7.60, 5.83),
    ("extended", "uniform", 5): (21.372, 20.432, 3.33, 2.37),
    ("extended", "uniform", 8): (21.327, 20.439, 5.23, 3.89),
    ("extended", "uniform", 12): (20.929, 20.450, 7.24, 5.70),
    ("extended", "mixed", 5): (22.105, 20.796, 3.44, 2.58),
}
RADAR_ONLY = {("point", "uniform"): 23.102, ("point", "mixed"): 24.198, ("extended", "uniform"): 21.401}


def db(x):
    return 10 * np.log10(x)


def drawn(shape, rng):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def problem_of(target, transceiver, sqinr_db, channels=CHANNELS):
    """The channels of seeds 0, 1, ...: H, then the response of an extended target."""
    rngs = [np.random.default_rng(seed) for seed in range(channels)]
    H = np.stack([drawn((N, K), rng) for rng in rngs])
    G = POINT.response() if target == "point" else np.sqrt(0.1) * np.stack([drawn((N, N), rng) for rng in rngs])
    return SqnrMax(H, G, 10 ** (sqinr_db / 10) if sqinr_db is not None else 0.0, 0.1, 1e-3, 1e-3, transceiver)


@cache
def designed(target, converters, sqinr_db):
    """Robust and non-robust designs: SQNRs, and SQINRs (channels, K), both through the converters."""
    problem = problem_of(target, HARDWARE[converters], sqinr_db)
    robust = solve(problem)
    naive = solve(attrs.evolve(problem, transceiver=Transceiver()))
    assert np.all(robust.converged)
    assert np.all(naive.converged)
    sqinrs = [metrics.sqinr(problem.H, x.precoder, 1e-3, problem.transceiver) for x in (robust, naive)]
    return robust.objective, problem.objective(naive.precoder), *sqinrs


@pytest.mark.parametrize("case", NUMBERS)
def test_both_designs_have_the_numbers_of_another_implementation(case):
    robust, naive, _, sqinrs = designed(*case)
    found = [db(robust.mean()), db(naive.mean()), db(sqinrs.mean()), db(sqinrs.min(axis=1).mean())]
    # SQNRs are printed to 0.001 dB; the SQINRs of the non-robust design are as accurate as its optimum is flat.
    np.testing.assert_allclose(found[:2], NUMBERS[case][:2], atol=0.001)
    np.testing.assert_allclose(found[2:], NUMBERS[case][2:], atol=0.02)


@pytest.mark.parametrize(("target", "converters"), RADAR_ONLY)
def test_without_users_the_sqnr_is_an_upper_bound(target, converters):
    problem = problem_of(target, HARDWARE[converters], None)
    best = solve(problem)
    assert db(best.objective.mean()) == pytest.approx(RADAR_ONLY[target, converters], abs=0.001)  # as printed
    for sqinr_db in (5, 12):
        assert np.all(designed(target, converters, sqinr_db)[0] <= best.objective * (1 + 1e-9))


@pytest.mark.parametrize(("target", "converters"), [("point", "uniform"), ("point", "mixed"), ("extended", "uniform")])
def test_the_robust_sqnr_falls_with_the_threshold_and_every_sqinr_is_met(target, converters):
    values = []
    for sqinr_db in (5, 8, 12):
        robust, _, sqinrs, _ = designed(target, converters, sqinr_db)
        values.append(robust)
        assert np.all(sqinrs >= 10 ** (sqinr_db / 10) * (1 - 1e-9))
    assert np.all(np.diff(values, axis=0) < 0)


@pytest.mark.parametrize("case", NUMBERS)
def test_the_non_robust_design_misses_the_threshold_of_every_user(case):
    sqinrs = designed(*case)[3]
    assert np.all(sqinrs < 10 ** (case[2] / 10))


def test_for_a_point_target_and_one_resolution_both_designs_trade_alike():
    # Where the non-robust design delivers 7.34 dB of SQINR, the robust one loses as little.
    _, naive, _, sqinrs = designed("point", "uniform", 12)
    delivered = db(sqinrs.mean())
    robust = solve(problem_of("point", UNIFORM, delivered)).objective
    assert db(robust.mean()) == pytest.approx(db(naive.mean()), abs=0.1)


# At 12 dB the robust design pays for SQINRs of a point target that the non-robust one does not reach.
@pytest.mark.parametrize("case", [c for c in NUMBERS if c[0] == "extended" or (c[1] == "mixed" and c[2] < 12)])
def test_with_mixed_converters_or_an_extended_target_the_robust_design_gains_on_every_channel(case):
    robust, naive, *_ = designed(*case)
    assert np.all(robust > naive)


def test_the_design_of_least_crb_has_the_least_sqnr_for_an_extended_target():
    problem = problem_of("extended", UNIFORM, 5)
    crb = solve(CrbMin(problem.H, problem.min_sqinr, 0.1, 1e-3))
    below = db(designed("extended", "uniform", 5)[0].mean()) - db(problem.objective(crb.precoder).mean())
    assert below == pytest.approx(2.6, abs=0.1)  # as printed


@pytest.mark.slow
def test_the_design_of_least_crb_has_the_least_sqnr_for_a_point_target():
    problem = problem_of("point", UNIFORM, 5, channels=1)
    crb = solve(PointCrbMin(problem.H, POINT, problem.min_sqinr, 0.1, 1e-3, 1e-3, 16))
    robust = solve(problem)
    below = db(robust.objective[0]) - db(problem.objective(crb.precoder)[0])
    assert db(problem.objective(crb.precoder)[0]) == pytest.approx(17.59, abs=0.05)  # printed to 0.01, solved to 1e-4
    assert below == pytest.approx(5.3, abs=0.1)


def test_energy_efficiency_peaks_at_four_bits():
    # Means of another implementation over six channels, by bits; at one bit 5 dB is out of reach.
    expected = {2: 8.198, 3: 8.891, 4: 9.226, 5: 9.179, 6: 8.782, 7: 8.051, 8: 6.945}
    found = {}
    for bits in expected:
        hardware = Transceiver(Aqnm(bits), Aqnm(bits), Aqnm(bits))
        problem = problem_of("extended", hardware, 5, channels=6)
        solution = solve(problem)
        rate = metrics.sum_rate_bits(problem.H, solution.precoder, 1e-3, hardware)
        drawn_power = ConverterPower().consumption(hardware, N, N, K, 0.1)
        found[bits] = float(metrics.energy_efficiency(rate, solution.objective, drawn_power).mean())
    np.testing.assert_allclose(list(found.values()), list(expected.values()), atol=0.001)  # as printed
    assert max(found, key=found.get) == 4


def test_one_bit_cannot_meet_the_threshold_of_the_study():
    solution = solve(problem_of("extended", Transceiver(Aqnm(1), Aqnm(1), Aqnm(1)), 5, channels=1))
    assert str(solution.status[0]) == "INFEASIBLE"
    assert "user 0" in solution.notes[0][0]
