"""The parts that the solvers of `SqnrMax` are made of, each against its own definition."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, Chain, Hardware, Ideal, InvalidInput, LinearModel, MidRise, SqnrMax, Transceiver
from isacsim.batch import flatten, frobenius2, hermitian, inner, squared
from isacsim.records import member
from isacsim.solvers.base import Request
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.group import certificate
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqinr.pipeline import send_each
from isacsim.solvers.sqinr.repair import least_power_beams
from isacsim.solvers.sqinr.system import write_slack
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sqnr_max.starts import start

DATA = Path(__file__).parents[1] / "data" / "sqnr-max"
INSTANCES = sorted(path.stem for path in DATA.glob("*.npz"))
seeds = st.integers(0, 2**32 - 1)
hardware = st.builds(
    Transceiver,
    st.sampled_from(
        [
            Ideal(),
            Aqnm(2),
            Aqnm([1, 2, 3, 4, np.inf]),
            MidRise(3, step=0.9, correlated=False),
            Chain(Aqnm(4), MidRise(2, correlated=False)),
        ]
    ),
    st.sampled_from(
        [Ideal(), Aqnm(1), Aqnm([3, 2, np.inf, 1], table="uniform"), MidRise(2, step=0.7, correlated=False)]
    ),
    st.sampled_from([Ideal(), Aqnm(3), Aqnm([1, np.inf]), MidRise(4, step=0.2, correlated=False)]),
)


def make_problem(kit, seed=0, batch=(), **changes):
    arguments = {
        "H": kit.complex_gaussian((*batch, 5, 2), seed),
        "G": kit.complex_gaussian((*batch, 4, 5), seed + 1),
        "min_sqinr": [0.4, 0.3],
        "power": 5.0,
        "noise_power": [0.1, 0.2],
        "radar_noise_power": 0.3,
    }
    return SqnrMax(**{**arguments, **changes})


def instance(name):
    """A reference instance, its problem, places of the asked users, and its system."""
    d = np.load(DATA / f"{name}.npz")
    kit = Transceiver(Aqnm(d["bits_dac"]), Aqnm(d["bits_adc"]), Aqnm(d["bits_user"]))
    problem = SqnrMax(d["H"], d["G"], d["gamma"], d["P"], d["sigma2_k"], d["sigma2_r"], kit)
    (group,) = sqnr_groups(flatten(problem))
    return d, problem, group


def normalised(problem, W):
    """The system of a problem whose users are all asked, and W (N, L) in its units."""
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    return system, W[None] / system.scale[:, :, None]


# Normalised units


@given(seeds, hardware)
def test_normalised_units_keep_objective_power_and_constraints(kit, seed, transceiver):
    problem = make_problem(kit, seed, transceiver=transceiver)
    W = kit.complex_gaussian((5, 7), seed + 2)
    system, V = normalised(problem, W)
    told = problem.constraints(W)
    assert system.objective.surrogate(V).value[0] == pytest.approx(float(problem.objective(W)), rel=1e-11)
    assert frobenius2(V)[0] == pytest.approx(1 - told["total"], rel=1e-12)
    slack = system.slack(V)[0]
    assert slack[-1] == pytest.approx(told["total"], rel=1e-11, abs=1e-12)
    # alpha (1 + 1/gamma) S - r is a multiple of the relative slack of the SQINR: same sign, same zero.
    gains = system.ratio[0] * np.abs(np.diag((system.HH @ V[:, :, :2])[0])) ** 2
    received = gains - slack[:-1]
    own = 1 / (1 + system.receiver[0])
    reached = own * gains / system.ratio[0] / (received - own * gains / system.ratio[0])
    np.testing.assert_allclose(reached / [0.4, 0.3] - 1, told["sqinr"], rtol=1e-9, atol=1e-11)


@given(seeds, hardware)
def test_the_slacks_of_kernels_are_those_of_the_system(kit, seed, transceiver):
    system, V = normalised(make_problem(kit, seed, transceiver=transceiver), kit.complex_gaussian((5, 7), seed + 1))
    slack = np.empty(3)
    write_slack(member(system.constraints, 0), (system.HH @ V)[0], (np.abs(V[0]) ** 2).sum(axis=-1), slack)
    np.testing.assert_allclose(system.slack(V)[0], slack, rtol=1e-12, atol=1e-12)  # sums of some ten terms


def test_members_are_told_apart_by_the_number_of_users_that_are_asked(kit):
    asked = np.array([[0.4, 0.0], [0.0, 0.3], [0.4, 0.3], [0.0, 0.0]])
    problem = flatten(make_problem(kit, batch=(4,), min_sqinr=asked))
    groups = sqnr_groups(problem)
    assert [(list(g.places), g.system.users) for g in groups] == [([3], 0), ([0, 1], 1), ([2], 2)]
    system = groups[1].system
    np.testing.assert_array_equal(groups[1].columns, [[0], [1]])
    full = sqnr_groups(attrs.evolve(problem, min_sqinr=[[0.5, 0.5]]))[0].system
    np.testing.assert_array_equal(system.H[:, :, 0], full.H[[0, 1], :, [0, 1]])


# Hardware


@frozen
class Compressor(Hardware):
    """Its gain falls with the power of a chain."""

    def apply(self, x, rng=None, *, power=None):
        raise NotImplementedError

    def linear_model(self, R):
        power = np.diagonal(R, axis1=-2, axis2=-1).real
        return LinearModel(1 / (1 + power), 0.1 * power)


@frozen
class Crosstalk(Hardware):
    """Its distortion is the same in all chains."""

    def apply(self, x, rng=None, *, power=None):
        raise NotImplementedError

    def linear_model(self, R):
        return LinearModel(np.ones(np.shape(R)[:-1]), 0.1 * np.ones(np.shape(R)))


@pytest.mark.parametrize("device", [Compressor(), Crosstalk()])
@pytest.mark.parametrize("side", ["transmit", "receive", "user"])
def test_hardware_that_is_no_converter_is_refused_by_name(kit, device, side):
    for stage, name in ((device, side), (Chain(Aqnm(3), device), rf"{side}.stages\[1\]")):
        problem = flatten(make_problem(kit, transceiver=Transceiver(**{side: stage})))
        with pytest.raises(InvalidInput, match=rf"transceiver.{name}: must add noise in proportion .*converters"):
            sqnr_groups(problem)


# Surrogate


def constant_of(objective, V):
    """c0 of the surrogate that is taken at V, (B,) [Xu25, eq. (18)], from the noise as it is defined."""
    G, powers = objective.G, squared(V).sum(axis=-1) * objective.transmit
    received = squared(G @ V).sum(axis=-1) + (squared(G) @ powers[..., None])[..., 0] + 1
    loud = np.eye(G.shape[-2]) * (1 + objective.receive * received)[:, None, :]
    Y = np.linalg.solve((G * powers[:, None, :]) @ hermitian(G) + loud, G @ V)
    return ((1 + objective.receive) * squared(Y).sum(axis=-1)).sum(axis=-1)


def below(surrogate, U):
    """A surrogate but for c0 at U (B, N, L), (B,)."""
    return 2 * inner(surrogate.C, U) - inner(U, surrogate.M @ U)


@given(seeds, hardware, st.floats(-3, 1))
def test_the_surrogate_touches_the_sqnr_from_below(kit, seed, transceiver, size):
    system, V = normalised(make_problem(kit, seed, transceiver=transceiver), kit.complex_gaussian((5, 6), seed))
    U = V + 10.0**size * kit.complex_gaussian(V.shape, seed + 3)
    objective = system.objective
    anchor = objective.surrogate(V)
    constant = constant_of(objective, V)
    np.testing.assert_allclose(below(anchor, V) - constant, anchor.value, rtol=1e-11)
    assert below(anchor, U) - constant <= objective.surrogate(U).value * (1 + 1e-11)
    # Value and surrogate have one derivative, and it is that of df/dR.
    D = kit.complex_gaussian(V.shape, seed + 4) / np.sqrt(frobenius2(V))
    slope = kit.central_difference(lambda t: objective.surrogate(V + t * D).value[0], 1e-3)
    scale = np.abs(anchor.value[0])
    assert slope == pytest.approx(2 * inner(objective.first_order(V)[1] @ V, D)[0], rel=1e-6, abs=1e-7 * scale)
    assert slope == pytest.approx(2 * inner(anchor.C - anchor.M @ V, D)[0], rel=1e-6, abs=1e-7 * scale)


@given(seeds)
def test_a_linear_objective_is_its_gradient_times_the_covariance(kit, seed):
    system, V = normalised(make_problem(kit, seed), kit.complex_gaussian((5, 6), seed))
    X = kit.complex_gaussian((1, 5, 5), seed + 1)
    value, theta = system.to_maximise(X + hermitian(X)).objective.first_order(V)
    np.testing.assert_allclose(value, np.trace(V[0] @ hermitian(V)[0] @ theta[0]).real, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(theta, X + hermitian(X))


# The least power


@pytest.mark.parametrize("name", INSTANCES)
def test_least_power_bounds_and_surrogates_of_the_reference_instances(name):
    d, _, group = instance(name)
    system = group.system
    found = least_power(system)
    # The tolerances are those of the reference: algebra, and an iteration that ends at 1e-11.
    np.testing.assert_allclose(system.attainable()[0], d["bound_single_user"], rtol=1e-10)
    np.testing.assert_allclose(found.power * d["P"], d["P_min"], rtol=1e-8)
    assert (found.power[0] <= 1) == bool(d["feasible"])
    assert np.all(np.minimum(system.attainable(noise=0.0)[0], 1e300) <= d["bound_user_adc"] * (1 + 1e-12))
    V, U = (d[key][None] / system.scale[:, :, None] for key in ("Vtest", "Vtest2"))
    surrogate = system.objective.surrogate(V)
    value = below(surrogate, U) - constant_of(system.objective, V)
    np.testing.assert_allclose(value, d["Vtest2_surrogate"], rtol=1e-10)
    np.testing.assert_allclose(system.objective.surrogate(U).value, d["Vtest2_sqnr"], rtol=1e-10)
    if np.isinf(d["P_min"]):
        told = certificate(attrs.evolve(group, feasible=found))
        assert told == (np.inf, told[1])
        assert "user 0 is unattainable: through these converters it stays below 1.73" in told[1]


@given(seeds, hardware)
def test_the_beams_of_least_power_meet_every_sqinr_with_equality(kit, seed, transceiver):
    problem = make_problem(kit, seed, transceiver=transceiver)
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    found = least_power(system)
    beams = least_power_beams(system, found.multipliers)
    assert frobenius2(beams)[0] == pytest.approx(found.power[0], rel=1e-9)
    np.testing.assert_allclose(system.slack(beams)[0, :-1], 0.0, atol=1e-9)


@pytest.mark.parametrize("transmit", [Ideal(), Aqnm(1)])
def test_one_user_reaches_its_bound_and_no_more(kit, transmit):
    transceiver = Transceiver(transmit=transmit, user=Aqnm(1))

    def least(threshold, power):
        problem = make_problem(
            kit, H=kit.complex_gaussian((5, 1), 0), min_sqinr=threshold, noise_power=0.1, power=power
        )
        (group,) = sqnr_groups(flatten(attrs.evolve(problem, transceiver=transceiver)))
        system = group.system
        return least_power(system), (system.attainable(), system.attainable(noise=0.0))

    reached, ever = (bound[0, 0] for bound in least(0.1, 5.0)[1])
    assert least(reached, 5.0)[0].power[0] == pytest.approx(1.0, rel=1e-9)
    assert np.isfinite(least(0.9999 * ever, 5.0)[0].power[0])
    assert np.isinf(least(1.0001 * ever, 5.0)[0].power[0])
    if transmit == Ideal():
        assert 10 * np.log10(ever) == pytest.approx(2.43, abs=0.01)  # of one bit, as 0.6366 / 0.3634


def test_users_that_no_power_serves_together_are_told_so(kit):
    h = kit.complex_gaussian((5, 1), 0)
    problem = make_problem(kit, H=np.concatenate([h, h], axis=1), min_sqinr=1.01, noise_power=0.1)
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    found = least_power(system)
    assert certificate(attrs.evolve(group, feasible=found)) == (
        np.inf,
        "infeasible: no power meets the SQINRs together",
    )
    # Below 1, which two users on one channel can share, some power does.
    (group,) = sqnr_groups(flatten(attrs.evolve(problem, min_sqinr=0.99)))
    system = group.system
    assert np.isfinite(least_power(system).power).all()


def test_a_channel_of_zero_is_named(kit):
    H = kit.complex_gaussian((5, 2), 0)
    H[:, 1] = 0
    (group,) = sqnr_groups(flatten(make_problem(kit, H=H)))
    system = group.system
    told = certificate(attrs.evolve(group, feasible=least_power(system)))
    assert told[1] == "infeasible: the SQINR 0.3 of user 1 is unattainable: its channel is zero"


# Starts


@given(seeds, hardware, st.sampled_from([None, "random"]), st.integers(1, 5))
def test_named_starts_meet_all_constraints_and_have_sensing_streams(kit, seed, transceiver, name, streams):
    problem = make_problem(kit, seed, transceiver=transceiver)
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    request = Request(start=name, rngs=kit.generators([seed]))
    V = start(attrs.evolve(group, feasible=least_power(system)), request, streams)
    assert V.shape == (1, 5, 2 + streams)
    assert system.slack(V).min() >= -1e-9  # rounding of sums of powers
    assert frobenius2(V[..., 2:])[0] > 1e-9


def test_a_precoder_to_start_from_keeps_its_covariance_and_gains_a_stream(kit):
    problem = make_problem(kit, min_sqinr=[0.0, 0.3])
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    found = least_power(system)
    W = kit.complex_gaussian((1, 5, 7), 1)
    V = start(attrs.evolve(group, feasible=found), Request(initial=W), 5)
    whole = W / system.scale[:, :, None]
    whole /= np.sqrt(frobenius2(whole))
    # The user without a requirement is a sensing stream like others.
    np.testing.assert_allclose(V @ hermitian(V), whole @ hermitian(whole), atol=1e-12)
    np.testing.assert_allclose(V[..., 0], whole[..., 1], atol=1e-13)
    W[..., [0, *range(2, 7)]] = 0
    V = start(attrs.evolve(group, feasible=found), Request(initial=W), 2)
    assert frobenius2(V[..., 1:])[0] == pytest.approx(1e-3, rel=0.01)


def test_unknown_starts_and_starts_without_a_generator_are_refused(kit):
    (group,) = sqnr_groups(flatten(make_problem(kit)))
    system = group.system
    found = least_power(system)
    with pytest.raises(InvalidInput, match="starts: must be names of starts, got 'rzf'.*least-power, random"):
        start(attrs.evolve(group, feasible=found), Request(start="rzf"), 2)
    with pytest.raises(InvalidInput, match="rng: must be given for a random start"):
        start(attrs.evolve(group, feasible=found), Request(start="random"), 2)


# Certificate


@given(seeds, st.sampled_from([Ideal(), Aqnm(2)]), st.floats(-2, 2), st.sampled_from(["linear", "ideal", "point"]))
def test_any_multipliers_prove_a_bound_that_no_feasible_point_passes(kit, seed, converters, size, kind):
    transceiver = Transceiver() if kind == "ideal" else Transceiver(converters, converters, converters)
    problem = make_problem(kit, seed, transceiver=transceiver)
    if kind == "point":  # receivers of equal gain, as those of a steering vector
        b = np.exp(1j * np.arange(4))[:, None]
        problem = attrs.evolve(problem, G=b * kit.complex_gaussian((1, 5), seed))
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    found = least_power(system)
    if kind == "linear":
        X = kit.complex_gaussian((1, 5, 5), seed + 1)
        system = system.to_maximise(X + hermitian(X))
    multipliers = 10.0**size * np.random.default_rng(seed).uniform(size=(1, 3))
    request = Request(start="random", rngs=kit.generators([seed]))
    V, U = (start(attrs.evolve(group, feasible=found), request, streams) for streams in (1, 4))
    proven = certify(system, V, multipliers)
    other, _ = system.objective.first_order(U)
    assert other <= proven.bound + 1e-9 * np.abs(other)
    # The gradient's own promise holds whatever the objective.
    _, gradient = system.objective.first_order(V)
    promised = inner(U, gradient @ U) - inner(V, gradient @ V)
    assert promised <= proven.excess * np.abs(proven.value) + 1e-9 * np.abs(other)


def test_first_order_proves_no_bound_for_extended_targets_through_converters(kit):
    system, V = normalised(make_problem(kit, transceiver=Transceiver(receive=Aqnm(3))), np.eye(5)[:, [0, 1, 2]] + 0j)
    assert np.isnan(certify(system, V, np.ones((1, 3))).bound).all()


def test_what_is_sent_has_beams_at_the_columns_of_their_users_and_streams_behind_all(kit):
    V, scale = kit.complex_gaussian((2, 3, 4), 0), kit.complex_gaussian((2, 3), 1)
    columns, places, W = np.array([[0, 2], [1, 2]]), np.array([3, 1]), np.zeros((4, 3, 6), complex)
    send_each(V, scale, columns, places, 3, W)
    for b, (mine, at) in enumerate(zip(columns, places, strict=True)):
        np.testing.assert_allclose(W[at][:, [*mine, 3, 4]], scale[b][:, None] * V[b], rtol=1e-15)
    assert np.count_nonzero(W) == V.size
