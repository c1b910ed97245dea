"""Designs of `SumRateCrlb` behind any hardware: gradients, surfaces of power, optima, and channels with an error."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim import Aqnm, Chain, InvalidInput, MidRise, Transceiver, metrics
from isacsim.hardware.base import Hardware, LinearModel, chain_power, diagonal_matrix
from isacsim.hardware.converters import power_shares
from isacsim.hardware.envelopes import Envelopes
from isacsim.hardware.expansions import exact_model, exact_vjp
from isacsim.hardware.gain_control import tables_of
from isacsim.hardware.loosened import Loosened
from isacsim.link import Echo, Transmission
from isacsim.metrics.cotangents import _through_receiver, pulled_back, sqnr_cotangent
from isacsim.metrics.sensing import sqnr
from isacsim.optimisation.ascent import OBJECTIVE
from isacsim.solvers.solution import Status
from isacsim.solvers.sum_rate_crlb.distorted import disturb, disturbance
from isacsim.solvers.sum_rate_crlb.hardware import HardwareMerit
from isacsim.solvers.sum_rate_crlb.member import bound, differentiate, follow, multiplier, rates
from isacsim.testing.capabilities import Compressing
from isacsim.testing.examples import example_drop

seeds = st.integers(0, 2**32 - 1)
COARSE = Transceiver(transmit=Aqnm(2), receive=Aqnm(2), user=Aqnm(3))


@attrs.frozen
class Amplifier(Hardware):
    """`Compressing` at a saturation: the same manner at any power."""

    saturation: float

    def apply(self, x, rng=None, *, power=None):
        """The samples of the unit device, scaled."""
        unit = np.sqrt(self.saturation)
        return unit * Compressing().apply(x / unit, rng)

    def linear_model(self, R):
        """The model of the unit device, scaled."""
        model = Compressing().linear_model(R / self.saturation)
        return LinearModel(model.gain, self.saturation * model.distortion)

    def linear_model_vjp(self, R, gain, distortion):
        """Likewise."""
        inner = Compressing().linear_model_vjp(R / self.saturation, gain, self.saturation * distortion)
        return inner / self.saturation


@attrs.frozen
class Correlating(Hardware):
    """Distortion that is correlated between chains, a coupling of them, and gains that follow the power."""

    coupling: np.ndarray

    def apply(self, x, rng=None, *, power=None):
        """Of no use here."""
        raise NotImplementedError

    def linear_model(self, R):
        """``A = B diag(1 / (1 + p))``, ``D = 0.3 R o conj(R) o R``."""
        p = chain_power(R)
        return LinearModel(self.coupling / (1 + p)[..., None, :], 0.3 * R * np.conj(R) * R, coupled=True)

    def linear_model_vjp(self, R, gain, distortion):
        """The derivative of that."""
        p = chain_power(R)
        by_power = -np.real(np.conj(gain) * self.coupling).sum(axis=-2) / (1 + p) ** 2
        squares = R.real**2 + R.imag**2
        return diagonal_matrix(by_power) + 0.3 * (2 * squares * distortion + R**2 * np.conj(distortion))


def problem(transceiver, **changes):
    """The example of 6 transmit antennas, 2 users and 2 point targets."""
    drop = example_drop()
    arguments = {
        "H": drop.H, "targets": drop.targets, "power": drop.power, "noise_power": drop.noise_power,
        "radar_noise_power": drop.radar_noise_power, "snapshots": 16, "rate_weight": 0.25, "crlb_weight": 1.0,
    }  # fmt: skip
    return isacsim.SumRateCrlb(**{**arguments, **changes}, transceiver=transceiver)


def covariances(kit, users, antennas, size, seed=9):
    """Covariances of channel errors of about the variance ``size``."""
    A = kit.complex_gaussian((users, antennas, antennas), seed)
    return size / antennas * A @ np.conj(A).swapaxes(-1, -2)


AMPLIFIER = Amplifier(0.01)
CASES = {
    "converters": Transceiver(transmit=Aqnm([1, 2, 3, 4, 5, 6])),
    "user converters": Transceiver(user=Aqnm([1, 3])),
    "receive converters": Transceiver(receive=Aqnm([1, 2, 3] * 3)),
    "all converters": COARSE,
    "amplifiers": Transceiver(transmit=AMPLIFIER, receive=Amplifier(1e-3), user=Amplifier(0.05)),
    "converters and amplifier": Transceiver(transmit=Chain(Aqnm(3), AMPLIFIER), user=Aqnm(2)),
    "loosened": Transceiver(transmit=Loosened(AMPLIFIER, 0.3)),
}


@pytest.mark.parametrize("mode", ["signal", "radiated"])
@pytest.mark.parametrize("name", [*CASES, "correlated", "coupled receiver"])
def test_the_gradient_is_that_of_the_problems_own_objective(kit, name, mode):
    rng = np.random.default_rng(1)
    mixing = {n: np.eye(n) + 0.2 * kit.complex_gaussian((n, n), n) for n in (6, 9)}
    cases = CASES | {
        "correlated": Transceiver(transmit=Correlating(mixing[6])),
        "coupled receiver": Transceiver(transmit=Aqnm(2), receive=Correlating(mixing[9])),
    }
    one = problem(cases[name], mode=mode, channel_error=covariances(kit, 2, 6, 0.05))
    merit = HardwareMerit.of(one)
    Z = merit.ideal.project(rng.standard_normal((3, 6, 3)) + 1j * rng.standard_normal((3, 6, 3)))
    along = rng.standard_normal(Z.shape) + 1j * rng.standard_normal(Z.shape)
    along *= np.linalg.norm(Z) / np.linalg.norm(along)
    point = merit.evaluate(Z)
    np.testing.assert_allclose(point.objective, one.objective(merit.precoder(Z)), rtol=1e-12)
    slope = 2 * (np.conj(point.gradient) * along).real.sum(axis=(-2, -1))
    differences = kit.central_difference(lambda t: one.objective(merit.precoder(Z + t * along)), 1e-3)
    # Differences of sixth order; rounding over the step is 1e-12 of an objective of about 1.
    np.testing.assert_allclose(slope, differences, rtol=1e-7, atol=1e-9 * np.abs(differences).max())


@pytest.mark.parametrize("weights", [(0.25, 1.0), (1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize(
    "transmit", [MidRise(2), MidRise([1, 2, np.inf, 2, 1, 3]), MidRise(3, correlated=False), Aqnm([1, 2, 3, 4, 5, 6])]
)
def test_compiled_loops_see_the_distortion_that_the_merit_sees(kit, transmit, weights):
    one = problem(Transceiver(transmit), rate_weight=weights[0], crlb_weight=weights[1])
    merit = HardwareMerit.of(one)
    Z = merit.ideal.project(kit.complex_gaussian((3, 6, 3), 5))
    Z[1, 2] = 0  # a silent chain
    point, link, terms, room = merit.evaluate(Z), merit.link, merit.ideal.terms(3), merit.ideal.room(3)
    for m in range(3):  # not compiled
        gradient = np.empty((6, 3), complex)
        disturb(link, m, Z[m], terms.powers[m], terms.tensor[m])
        rates(terms.NH[m], terms.powers[m], terms.weights, Z[m], room.told, room.gains)
        if weights[1]:
            tensor, places = terms.tensor[m], terms.places
            bound(tensor, places, terms.weights, room.gains, room.square, room.F, room.inverse, room.told)
            multiplier(tensor, places, terms.weights, room.inverse, room.F, room.square)
        differentiate(terms.N[m], weights[0], room.told, room.gains, room.square, room.factor, gradient)
        follow(terms.powers[m], terms.weights, room.told, room.betas)
        given = room.betas, room.gains, terms.tensor[m], terms.places, room.F, room.square
        disturbance(link, m, Z[m], *given, gradient)
        # The FIM's inverse has a condition of some 1e4 here.
        np.testing.assert_allclose(room.told[OBJECTIVE], point.objective[m], rtol=1e-12)
        np.testing.assert_allclose(gradient, point.gradient[m], rtol=1e-9, atol=1e-10 * np.abs(gradient).max())


def test_a_class_with_a_linear_model_of_its_own_does_not_inherit_tables():
    class Doubled(MidRise):
        def linear_model(self, R):
            return LinearModel(*(2 * part for part in (np.ones(R.shape[:-1]), chain_power(R))))

    assert tables_of(MidRise(2), 4) is not None
    assert tables_of(Doubled(2), 4) is None
    assert HardwareMerit.of(problem(Transceiver(Doubled(2)))).link is None


def test_value_and_gradient_share_one_linear_model_of_the_transmit_chains(kit, counted):
    transmit = counted(Aqnm(3))
    merit = HardwareMerit.of(problem(Transceiver(transmit)))
    transmit.asked.clear()
    merit.evaluate(merit.ideal.project(kit.complex_gaussian((3, 6, 3), 1)))
    assert transmit.asked == [(3, 6, 6)]


@pytest.mark.parametrize("mode", ["signal", "radiated"])
@pytest.mark.parametrize("name", CASES)
def test_the_cotangent_of_the_sqnr_is_its_derivative(kit, name, mode):
    hardware, G, W = CASES[name], 0.3 * kit.complex_gaussian((9, 6), 0), 0.05 * kit.complex_gaussian((6, 4), 1)
    along = 0.05 * kit.complex_gaussian((6, 4), 2)

    def echo(W):
        return Echo.of(G, Transmission.of(W, hardware.transmit), 1e-3, hardware.receive, mode)

    here = echo(W)
    g = pulled_back(W, here.sent, hardware.transmit, sqnr_cotangent(here, hardware.receive))
    slope = 2 * np.vdot(g, along).real
    differences = kit.central_difference(lambda t: sqnr(echo(W + t * along)), 1e-3)
    assert slope == pytest.approx(differences, rel=1e-7, abs=1e-9 * abs(sqnr(echo(W))))


def test_the_cotangent_of_an_echo_beside_a_background_is_refused(kit):
    sent = Transmission.of(kit.complex_gaussian((6, 4), 1), Aqnm(2))
    G = kit.complex_gaussian((9, 6), 0)
    echo = attrs.evolve(Echo.of(G, sent, 1e-3, Aqnm(2)), background=object())
    with pytest.raises(InvalidInput, match="echo: must have no background to be differentiated"):
        _through_receiver(echo, Aqnm(2), G, G, np.eye(9, dtype=complex))


@given(seeds)
def test_converters_of_many_bits_lead_to_the_ideal_design(kit, seed):
    fine = Transceiver(transmit=Aqnm(16), receive=Aqnm(16), user=Aqnm(16))
    H = kit.complex_gaussian((6, 2), seed)
    scene = attrs.evolve(problem(fine), H=H).targets
    scene = isacsim.batch.take(isacsim.batch.flatten(scene), np.array([0]))
    one = problem(fine, H=H[None], targets=scene)
    ideal = isacsim.solve(attrs.evolve(one, transceiver=Transceiver()), starts="rzf")
    found = isacsim.solve(one, initial=ideal.precoder)
    np.testing.assert_allclose(found.objective, ideal.objective, rtol=1e-5)


@pytest.mark.parametrize("per_antenna", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_design_is_stationary_keeps_the_power_and_beats_the_ideal_one(name, per_antenna):
    one = problem(CASES[name], per_antenna=per_antenna)
    solution = isacsim.solve(one)
    assert all(status is Status.STATIONARY for status in solution.status)
    for slack in one.constraints(solution.precoder).values():
        assert np.all(slack >= -1e-9)
    np.testing.assert_allclose(one.objective(solution.precoder), solution.objective, rtol=1e-12)
    ideal = isacsim.solve(attrs.evolve(one, transceiver=Transceiver())).precoder
    sent = Transmission.of(ideal, one.transceiver.transmit)
    excess = sent.antenna_power * 6 / one.power if per_antenna else sent.power[:, None] / one.power
    proportional = power_shares(one.transceiver.transmit, 6) is not None  # where each antenna has its share of power
    fair = ideal / np.sqrt(excess if proportional else np.maximum(excess, 1.0))[..., None]
    assert np.all(solution.objective >= one.objective(fair))


def test_the_first_order_conditions_hold_at_a_design_for_converters(kit):
    one = problem(COARSE)
    solution = isacsim.solve(one, tolerance=1e-7)
    weight = power_shares(COARSE.transmit, 6)
    rng = np.random.default_rng(0)
    for _ in range(5):
        W = solution.precoder + 1e-3 * np.abs(solution.precoder).max() * rng.standard_normal(solution.precoder.shape)
        W = W * np.sqrt(one.power / (weight[:, None] * np.abs(W) ** 2).sum(axis=(-2, -1)))[:, None, None]
        assert np.all(one.objective(W) <= solution.objective)


def test_the_drive_behind_an_amplifier_ends_inside_or_at_the_cap():
    saturation = 2e-3
    tight, loose = (problem(Transceiver(transmit=Amplifier(saturation)), power=p) for p in (1e-4, 1.0))
    at_cap, inside = isacsim.solve(tight), isacsim.solve(loose)
    power = [metrics.radiated_power(s.precoder, Amplifier(saturation)) for s in (at_cap, inside)]
    np.testing.assert_allclose(power[0], 1e-4, rtol=1e-6)
    assert np.all(power[1] < 6 * saturation)
    for factor in (0.99, 1.01):  # more and less drive are worse
        assert np.all(loose.objective(factor * inside.precoder) < inside.objective)


def test_the_optimum_below_a_cap_does_not_depend_on_how_far_above_it_is():
    near, far = (problem(Transceiver(transmit=Amplifier(2e-3)), power=p) for p in (1.0, 1e6))
    one, other = isacsim.solve(near), isacsim.solve(far)
    assert all(status is Status.STATIONARY for status in other.status)
    np.testing.assert_allclose(other.objective, one.objective, rtol=1e-7)  # the square of the tolerance is 1e-10


def test_each_antenna_keeps_its_own_cap_behind_amplifiers():
    one = problem(Transceiver(transmit=Amplifier(2e-3)), power=1e-3, per_antenna=True)
    solution = isacsim.solve(one)
    power = metrics.antenna_power(solution.precoder, one.transceiver.transmit)
    assert np.all(power <= 1e-3 / 6 * (1 + 1e-9))
    assert np.all(power.max(axis=-1) >= 1e-3 / 6 * (1 - 1e-6))


def test_what_the_receiver_knows_changes_the_design_for_the_better(kit):
    known, unknown = (problem(COARSE, mode=mode, rate_weight=0.01) for mode in ("radiated", "signal"))
    assert np.all(isacsim.solve(known).objective >= isacsim.solve(unknown).objective)


def test_a_member_has_the_bytes_it_has_alone():
    one = isacsim.batch.flatten(problem(CASES["converters and amplifier"]))
    together = isacsim.solve(one)
    for i in range(3):
        alone = isacsim.solve(isacsim.batch.take(one, np.array([i])))
        assert np.array_equal(alone.precoder[0], together.precoder[i])


def test_a_rate_over_channels_with_an_error_is_that_of_its_second_moments(kit):
    samples = 20_000
    H, W = kit.complex_gaussian((6, 2), 0), 0.3 * kit.complex_gaussian((6, 2), 1)
    error = covariances(kit, 2, 6, 0.1)
    sent = Transmission.of(W, Aqnm(3))
    users = isacsim.link.Reception.of(H, sent, 0.05, Aqnm(3), error)
    half = np.linalg.cholesky(error)
    e = np.einsum("kij,skj->sik", half, kit.complex_gaussian((samples, 2, 6), 2))
    drawn = isacsim.link.Reception.of(H + e, sent, 0.05, isacsim.Ideal())
    # What arrives has the power of H, and that through the error; four standard errors of the mean.
    spread = 4 * drawn.power.std(axis=0) / np.sqrt(samples)
    assert np.all(np.abs(drawn.power.mean(axis=0) - users.power) < spread)
    assert np.all(users.sqinr < isacsim.link.Reception.of(H, sent, 0.05, Aqnm(3)).sqinr)


def test_designs_that_know_the_error_have_the_better_bound(kit):
    for transceiver in (Transceiver(), CASES["converters"]):
        blind, robust = (problem(transceiver, channel_error=error, crlb_weight=0.01) for error in (0.0, 0.2))
        naive, found = isacsim.solve(blind), isacsim.solve(robust)
        assert np.all(found.objective > robust.objective(naive.precoder))
        assert np.all(found.objective < naive.objective)


def test_one_variance_is_a_covariance_for_each_user():
    one, other = problem(COARSE, channel_error=0.1), problem(COARSE, channel_error=0.1 * np.stack([np.eye(6)] * 2))
    W = isacsim.testing.examples.example_precoder(example_drop(), one.streams)
    assert np.array_equal(one.objective(W), other.objective(W))
    assert np.array_equal(isacsim.solve(one).precoder, isacsim.solve(other).precoder)


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (np.ones((2, 3, 3)), "must be one variance, or covariances of shape"),
        (-0.1 * np.stack([np.eye(6)] * 2), "must be Hermitian and positive semidefinite"),
        (np.triu(np.ones((2, 6, 6))), "must be Hermitian and positive semidefinite"),
    ],
)
def test_what_is_no_covariance_is_refused(error, rule):
    with pytest.raises(InvalidInput, match=f"channel_error: {rule}"):
        problem(COARSE, channel_error=error)


def test_other_solvers_refuse_an_error_of_the_channels():
    with pytest.raises(InvalidInput, match="sca designs for known channels only, not for `channel_error`"):
        isacsim.solve(problem(Transceiver(), channel_error=0.1), "sca")


def test_hardware_without_a_derivative_is_refused_with_its_stage(kit):
    @attrs.frozen
    class Opaque(Compressing):
        linear_model_vjp = Hardware.linear_model_vjp

    with pytest.raises(InvalidInput, match=r"needs the derivative of hardware, and transmit.1 \(Opaque\) gives none"):
        isacsim.solve(problem(Transceiver(transmit=Chain(Aqnm(3), Opaque()))))
    coupled = Transceiver(transmit=Correlating(np.eye(6) + 0.1))
    with pytest.raises(InvalidInput, match="only where the transmit chains are not coupled"):
        isacsim.solve(problem(coupled, per_antenna=True))


@attrs.frozen
class Limiter(Hardware):
    """The soft limiter as a plugin may give it: by its samples alone."""

    saturation: float

    def apply(self, x, rng=None, *, power=None):
        """The envelope clipped."""
        return x / np.sqrt(np.maximum((x.real**2 + x.imag**2) / self.saturation, 1.0))


@attrs.frozen
class Rapp(Hardware):
    """The amplifier of smoothness 2, by its closed expansion."""

    saturation: float

    def apply(self, x, rng=None, *, power=None):
        """The envelope compressed."""
        return x * self.response(x.real**2 + x.imag**2)

    def response(self, power):
        """Gain at a power."""
        return (1 + (power / self.saturation) ** 2) ** -0.25

    def linear_model(self, R):
        """By the orders of the expansion."""
        return exact_model(self._maps(R), R)

    def linear_model_vjp(self, R, gain, distortion):
        """Likewise."""
        return exact_vjp(self._maps(R), R, gain, distortion)

    def _maps(self, R):
        return Envelopes(self.response, np.full(R.shape[-1], self.saturation))


DESIGNS = Path(__file__).parents[1] / "data" / "exact-hardware"
TRANSMITTERS = {
    "dac2_tot": lambda order: MidRise(2),
    "dac1_ant": lambda order: MidRise(1),
    "mix1_tot": lambda order: MidRise(np.where(order < 2, np.inf, 1.0)),
    "pa_free": lambda order: Rapp(0.1 / 16),
}


def reference_design(name):
    """A reference design of 16 antennas: its problem, the precoder, and its merit."""
    data = dict(np.load(DESIGNS / f"design_{name}.npz"))
    horizontal, vertical, *receive = (int(n) for n in data["arrays"])
    order = np.arange(horizontal * vertical).reshape(vertical, horizontal).T.ravel()  # a_v x a_h to a_h x a_v
    tx, rx = isacsim.UniformPlanarArray(horizontal, vertical), isacsim.UniformPlanarArray(*receive)
    one = isacsim.SumRateCrlb(
        H=data["H"][order],
        targets=isacsim.PointTargets(tx, rx, data["theta"], data["phi"], data["alpha"]),
        power=float(data["P"]),  # the saturation of all amplifiers, where the drive is free: it ends at a third
        noise_power=float(data["noise_user"]),
        radar_noise_power=float(data["noise_radar"]),
        snapshots=int(data["L"]),
        rate_weight=float(data["weights"][0]),
        crlb_weight=float(data["weights"][1]),
        sensing_streams=0,
        per_antenna=str(data["constraint"]) == "ant",
        transceiver=Transceiver(transmit=TRANSMITTERS[name](order)),
    )
    return one, data["W"][order], float(data["best"])


@pytest.mark.parametrize("name", TRANSMITTERS)
def test_the_merit_through_exact_models_is_that_of_independent_ones(name):
    one, W, best = reference_design(name)
    # The amplifiers there stop at ten orders, and the tables of converters at some 1e-8 of the merit.
    assert float(one.objective(W)) == pytest.approx(best, rel=1e-6 if name == "pa_free" else 1e-7)
    for slack in one.constraints(W).values():
        assert np.all(slack >= -1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSMITTERS)
def test_designs_for_exact_models_reach_the_best_that_is_known(name):
    one, _, best = reference_design(name)
    solution = isacsim.solve(one)
    assert float(one.objective(solution.precoder)) >= best - 5e-4 * abs(best)


@pytest.mark.slow
def test_a_limiter_of_a_plugin_is_designed_for_by_its_samples_alone():
    limiter, cap = Limiter(2e-3), 5e-3
    one = isacsim.batch.take(isacsim.batch.flatten(problem(Transceiver(transmit=limiter), power=cap)), np.array([0]))
    found = isacsim.solve(one, starts="rzf", tolerance=1e-3)
    assert metrics.radiated_power(found.precoder, limiter) <= cap * (1 + 1e-9)
    ideal = isacsim.solve(attrs.evolve(one, transceiver=Transceiver())).precoder
    ladder = np.sqrt(np.geomspace(0.1, 4.0, 25))[:, None, None] * ideal
    kept = metrics.radiated_power(ladder, limiter) <= cap  # better than the ideal design at every drive that may be
    assert np.all(found.objective > np.max([one.objective(W[None]) for W in ladder[kept]], axis=0))
