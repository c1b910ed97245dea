"""Problems in any units: the same answers under common scalings, and an honest status where numbers end."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import (
    Aqnm,
    CrbMin,
    InvalidInput,
    PointCrbMin,
    PointTargets,
    SqnrMax,
    Status,
    SumRateCrlb,
    Transceiver,
    UniformLinearArray,
    solve,
)
from isacsim.batch import flatten
from isacsim.optimisation import semidefinite
from isacsim.problems.scaling import countable, in_noise_units

N, K = 6, 2
CONVERTERS = Transceiver(Aqnm(bits=3), Aqnm(bits=3), Aqnm(bits=4))


def posed(kit, kind, *, channel=1.0, power=1.0, echo=1.0):
    """A problem with the users' channels times ``channel``, all powers times ``power``, the response times ``echo``."""
    H, G = kit.complex_gaussian((N, K), 0), kit.complex_gaussian((4, N), 1)
    links = {"H": H * channel, "power": power, "noise_power": 0.01 * channel**2 * power}
    if kind == "crb-min":
        return CrbMin(min_sinr=100.0, **links)
    radar = {**links, "radar_noise_power": 0.1 * power * echo**2}
    if kind.startswith("sqnr-max"):
        hardware = CONVERTERS if kind.endswith("converters") else Transceiver()
        return SqnrMax(G=G * echo, min_sqinr=2.0, transceiver=hardware, **radar)
    array = UniformLinearArray(N)
    scene = {"targets": PointTargets(array, array, [0.3, -0.5], np.pi / 2, [1.0, 0.7j]), "snapshots": 100}
    if kind == "point-crb-min":
        return PointCrbMin(min_sinr=2.0, **scene, **radar)
    return SumRateCrlb(rate_weight=1.0, crlb_weight=0.5, **scene, **radar)


KINDS = ("sum-rate-crlb", "sqnr-max", "sqnr-max, converters", "crb-min", "point-crb-min")
WHATS = {kind: ("channel", "power", "echo") if kind.startswith("sqnr") else ("channel", "power") for kind in KINDS}
# A cone program answers to its own accuracy: the covariance of a flat optimum is known to about its square root.
ACCURACY = {"point-crb-min": (1e-6, 1e-4)}


@pytest.mark.parametrize(("kind", "what"), [(kind, what) for kind in KINDS for what in WHATS[kind]])
def test_objective_and_precoder_do_not_change_with_the_units(kit, kind, what):
    nominal = solve(posed(kit, kind))
    for factor in (1e-12, 1e-6, 1e6, 1e12):
        found = solve(posed(kit, kind, **{what: factor}))
        watts = factor if what == "power" else 1.0
        merit = found.objective * (watts if kind == "crb-min" else 1.0)  # in 1/W
        of_objective, of_precoder = ACCURACY.get(kind, (1e-6, 1e-6))
        assert found.status is nominal.status
        assert merit == pytest.approx(nominal.objective, rel=of_objective)
        W, wanted = found.precoder / np.sqrt(watts), nominal.precoder
        np.testing.assert_allclose(W @ W.conj().T, wanted @ wanted.conj().T, rtol=0, atol=of_precoder)
        if kind != "point-crb-min":  # whose sensing streams may turn among each other
            np.testing.assert_allclose(W, wanted, rtol=0, atol=of_precoder)


@pytest.mark.parametrize(("kind", "what"), [(kind, what) for kind in KINDS for what in WHATS[kind]])
@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_powers_of_two_change_no_byte(kit, kind, what, factor):
    nominal, found = solve(posed(kit, kind)), solve(posed(kit, kind, **{what: factor**2}))
    root = factor if what == "power" else 1.0
    # Real numbers are divided: of complex ones the sign of a zero would be lost.
    found, wanted = (np.ascontiguousarray(each.precoder).view(float) for each in (found, nominal))
    assert kit.raw_bytes(found / root) == kit.raw_bytes(wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channel", [1e-150, 1e-120, 1e120, 1e150])
def test_a_noise_at_the_ends_of_the_range_of_numbers_is_the_unit_of_its_user(kit, kind, channel):
    nominal, found = solve(posed(kit, kind)), solve(posed(kit, kind, channel=channel))
    assert found.status is nominal.status
    assert found.objective == pytest.approx(nominal.objective, rel=1e-6)


def test_an_ordinary_problem_is_left_as_it_is(kit):
    problem = posed(kit, "sqnr-max", channel=1e-12)
    assert in_noise_units(problem) is problem


def test_a_member_beyond_the_range_of_numbers_fails_alone(kit):
    H = kit.complex_gaussian((3, N, K), 0) * np.array([1.0, 1e200, 1.0])[:, None, None]
    G = kit.complex_gaussian((4, N), 1)
    whole = solve(SqnrMax(H, G, 2.0, 1.0, 0.01, 0.1))
    assert [status is Status.FAILED for status in whole.status] == [False, True, False]
    assert "channel of a user is beyond" in whole.notes[1][0]
    assert np.isnan(whole.precoder[1]).all()
    alone = solve(SqnrMax(H[2], G, 2.0, 1.0, 0.01, 0.1))
    assert kit.raw_bytes(whole.precoder[2]) == kit.raw_bytes(alone.precoder)


@pytest.mark.parametrize("power", [1e-320, 1e-280, 1e300])
def test_a_power_that_cannot_be_counted_with_is_a_status(kit, power):
    solution = solve(attrs.evolve(posed(kit, "sum-rate-crlb"), power=power))
    assert solution.status is Status.FAILED
    assert "power" in solution.notes[0]


@pytest.mark.parametrize("solver", [np.ones(3), 3, 2.5, object(), ("sca",)])
def test_what_is_no_solver_is_refused_also_with_options(kit, solver):
    with pytest.raises(InvalidInput, match="must be a name or a solver"):
        solve(posed(kit, "sum-rate-crlb"), solver, max_steps=3)


def test_streams_that_do_not_fit_in_memory_are_refused_with_the_estimate(kit):
    problem = attrs.evolve(posed(kit, "sum-rate-crlb"), sensing_streams=10**11)
    with pytest.raises(InvalidInput, match=r"problem: must fit in memory: .* takes at least 9600 GB"):
        solve(problem)


class PanicException(BaseException):
    """What Clarabel raises where it finds no eigenvalues; it is no Exception."""


@pytest.mark.parametrize("error", [PanicException("Eigval error"), ValueError("ScsWork allocation error!")])
def test_a_backend_that_gives_up_with_an_exception_is_told_in_the_note(kit, monkeypatch, error):
    class Program:
        status = "none"

        def get_problem_data(self, backend, solver_opts):
            return {}, self, None

        def solve_via_data(self, *_):
            raise error

    assert semidefinite.run_program(Program(), "CLARABEL", {}) == ("solver_error", str(error), 0)


def test_an_interrupt_is_no_failure_of_a_backend():
    class Program:
        def get_problem_data(self, backend, solver_opts):
            return {}, self, None

        def solve_via_data(self, *_):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        semidefinite.run_program(Program(), "CLARABEL", {})


@given(
    st.sampled_from(KINDS),
    st.sampled_from(("channel", "power", "echo")),
    st.integers(-320, 320),
    st.integers(-320, 320),
)
def test_what_is_passed_for_a_whole_batch_is_countable_member_by_member(kit, kind, what, first, second):
    problem = flatten(posed(kit, kind))
    strength = 2.0 ** np.array([first, second])
    name, own = {
        "channel": ("H", problem.H * strength[:, None, None]),
        "power": ("power", problem.power * strength),
        "echo": ("radar_noise_power", getattr(problem, "radar_noise_power", np.ones(1)) * strength),
    }[what]
    problem = attrs.evolve(problem, **{name: own})
    scaled, told = countable(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isacsim.problems.scaling._ordinary", lambda problem: False)
        other, expected = countable(problem)
    assert told == expected
    assert all(kit.raw_bytes(getattr(scaled, each)) == kit.raw_bytes(getattr(other, each)) for each in ("H", name))
