"""Scenes that the house does not know: their information, their problems, and what a scene must give."""

from functools import partial

import attrs
import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim import Aqnm, Drop, PointCrbMin, ResponseMatrix, SumRateCrlb, Transceiver, UniformLinearArray, metrics
from isacsim.batch import batched
from isacsim.link import Echo, Link, transmission
from isacsim.metrics.bounds import CrlbParameters
from isacsim.metrics.cotangents import crlb_cotangent
from isacsim.targets.condensed import Condensed
from isacsim.targets.models import TargetModel
from isacsim.targets.scene import ParametricScene
from isacsim.testing import ContractError, check_targets

TX, RX = UniformLinearArray(6), UniformLinearArray(5)
SNAPSHOTS, NOISE = 40, 0.05
IDEAL = isacsim.Ideal()


def columns(*vectors):
    return np.stack(vectors, axis=-1)


@frozen
class TwoReceivers(ParametricScene):
    """A target seen from two places: one direction of departure, two of arrival, and two reflections tied by a factor.

    V has two columns and C four, of both receivers stacked.
    """

    omega: np.ndarray = batched(1)  # departure, arrivals, reflection_real, reflection_imag

    unknowns = ("departure", "arrival", "arrival", "reflection_real", "reflection_imag")
    units = ("rad", "rad", "rad", "1", "1")

    @property
    def alpha(self):
        return self.omega[..., 3] + 1j * self.omega[..., 4]

    def response(self):
        C, V = self.receive_basis(), self.transmit_basis()
        b = C[..., 0] + 0.5 * C[..., 2]
        return self.alpha[..., None, None] * b[..., :, None] * np.conj(V[..., None, :, 0])

    def transmit_basis(self):
        return columns(*TX.steering_basis(self.omega[..., 0])[:2])

    def receive_basis(self):
        (b, db), (c, dc) = (RX.steering_basis(self.omega[..., i])[:2] for i in (1, 2))
        none = np.zeros_like(b)
        first, second = [b, db, none, none], [none, none, c, dc]
        return np.concatenate([columns(*first), columns(*second)], axis=-2)

    def parameter_matrices(self):
        X = np.zeros((*self.alpha.shape, 5, 4, 2), complex)
        X[..., 0, 0, 1], X[..., 0, 2, 1] = self.alpha, 0.5 * self.alpha
        X[..., 1, 1, 0], X[..., 2, 3, 0] = self.alpha, 0.5 * self.alpha
        for i, part in ((3, 1), (4, 1j)):
            X[..., i, 0, 0], X[..., i, 2, 0] = part, 0.5 * part
        return X

    def yardsticks(self):
        Y = self.parameter_matrices()
        Y[..., :3, :, :] = self.alpha[..., None, None, None] * Y[..., 3:4, :, :]
        return Y


@frozen
class RigidTarget(ParametricScene):
    """Scatterers in a row that turn together, of known relative reflections: an extended target of one direction."""

    omega: np.ndarray = batched(1)  # azimuth, reflection_real, reflection_imag
    offsets: tuple = (-0.15, 0.0, 0.1)
    shares: tuple = (0.5, 1.0, 0.3j)

    unknowns = ("azimuth", "reflection_real", "reflection_imag")

    @property
    def alpha(self):
        return (self.omega[..., 1] + 1j * self.omega[..., 2])[..., None, None]

    def response(self):
        B, A = (self._basis(array)[..., :3] for array in (RX, TX))
        return self.alpha * ((B * np.array(self.shares)) @ np.conj(A).swapaxes(-1, -2))

    def _basis(self, array):
        steering = array.steering_basis(self.omega[..., :1] + np.array(self.offsets))[:2]
        return np.ascontiguousarray(np.concatenate(steering, axis=-2).swapaxes(-1, -2))

    def transmit_basis(self):
        return self._basis(TX)

    def receive_basis(self):
        return self._basis(RX)

    def parameter_matrices(self):
        X, shares = np.zeros((*self.omega.shape[:-1], 3, 6, 6), complex), np.diag(self.shares)
        X[..., 0, 3:, :3] = X[..., 0, :3, 3:] = self.alpha * shares
        X[..., 1, :3, :3], X[..., 2, :3, :3] = shares, 1j * shares
        return X


SCENES = {
    TwoReceivers: np.array([0.3, -0.5, 0.7, 0.2, -0.1]),
    RigidTarget: np.array([0.3, 0.2, -0.1]),
}
seeds = st.integers(0, 2**32 - 1)
each_scene = pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__)


def information_by_differences(kit, scene, W, transceiver):
    """2 L Re tr(dG^H A_r C^-1 A_r dG A_t R A_t) with derivatives of the response by differences."""
    omega = scene.omega

    def shifted(i, t):
        return attrs.evolve(scene, omega=omega + t * np.eye(omega.size)[i]).response()

    # Phases are pi n sin(.) with n < 6: truncation (pi n h)^6 / 140 < 1e-10, rounding 1e-16 / h = 1e-13.
    J = [kit.central_difference(partial(shifted, i), 1e-3) for i in range(omega.size)]
    R, G = W @ np.conj(W).T, scene.response()
    transmit = transceiver.transmit.linear_model(R)
    arriving = G @ transmit.output_covariance(R) @ np.conj(G).T + NOISE * np.eye(len(G))
    receive = transceiver.receive.linear_model(arriving)
    A, D = receive.gain_matrix(), G @ transmit.distortion_matrix() @ np.conj(G).T + NOISE * np.eye(len(G))
    noise = A @ D @ np.conj(A).T + receive.distortion_matrix()
    reference, middle = transmit.signal_covariance(R), np.conj(A).T @ np.linalg.solve(noise, A)
    return np.array([[2 * SNAPSHOTS * np.trace(np.conj(a).T @ middle @ b @ reference).real for b in J] for a in J])


@pytest.mark.parametrize("mode", ["signal", "radiated"])
@given(seed=seeds)
def test_a_scene_seen_in_the_span_of_its_echo_tells_the_same_behind_any_transmitter(kit, mode, seed):
    tx, rx = UniformLinearArray(6), isacsim.UniformPlanarArray(4, 3)
    scene = isacsim.PointTargets(tx, rx, [0.3, -0.5], np.pi / 2, [0.2, 0.1j])
    few = Condensed.of(scene)
    assert few.antennas == (scene.receive_basis().shape[-1], 6)
    sent = transmission(kit.complex_gaussian((6, 3), seed), Transceiver(isacsim.MidRise(2)))
    (bound, toward), (expected, wanted) = (
        crlb_cotangent(each, Echo.of(each.response(), sent, NOISE, IDEAL, mode), np.ones(8), SNAPSHOTS, IDEAL)
        for each in (few, scene)
    )
    np.testing.assert_allclose(bound, expected, rtol=1e-9)  # inverses of Fisher matrices lose some digits
    for name in ("precoder", "distortion"):
        part = getattr(wanted, name)
        np.testing.assert_allclose(getattr(toward, name), part, atol=1e-8 * np.abs(part).max(), rtol=0)


@each_scene
def test_a_scene_keeps_the_antennas_that_its_echo_spans(kind):
    scene = kind(SCENES[kind])
    receivers, span = scene.antennas[0], scene.receive_basis().shape[-1]
    assert Condensed.of(scene).antennas[0] == min(receivers, span)


@each_scene
def test_a_foreign_scene_is_designed_for_behind_exact_converters(kit, kind):
    problem = SumRateCrlb(
        H=kit.complex_gaussian((6, 2), 1), targets=kind(SCENES[kind]), power=1.0, noise_power=0.1,
        radar_noise_power=NOISE, snapshots=SNAPSHOTS, rate_weight=0.3, crlb_weight=1.0,
        transceiver=Transceiver(isacsim.MidRise(3)),
    )  # fmt: skip
    found = isacsim.solve(problem)
    np.testing.assert_allclose(found.objective, problem.objective(found.precoder), rtol=1e-9)
    ideal = isacsim.solve(attrs.evolve(problem, transceiver=Transceiver()))
    fair = metrics.rescale_to_radiated(ideal.precoder, problem.transceiver.transmit, problem.power)
    assert found.objective >= problem.objective(fair)


@each_scene
@given(seed=seeds)
def test_a_receiver_sees_of_a_yardstick_what_all_antennas_send_of_it(kit, kind, seed):
    scene = kind(SCENES[kind])
    V, Y = scene.transmit_basis(), scene.yardsticks()
    C = kit.complex_gaussian((3, Y.shape[-2]), seed)
    S = np.conj(C).T @ C
    told = [np.trace(np.conj(y).T @ S @ y @ np.conj(V).T @ V).real for y in Y]
    # Sums of some hundred terms; what cancels is small beside the largest.
    np.testing.assert_allclose(scene.isotropic(S), told, rtol=1e-12, atol=1e-13 * max(told))


@each_scene
@pytest.mark.parametrize("transceiver", [Transceiver(), Transceiver(Aqnm(3), Aqnm(2))], ids=["ideal", "converters"])
@given(seed=seeds)
def test_the_information_of_a_foreign_scene_agrees_with_finite_differences(kit, kind, transceiver, seed):
    rng = np.random.default_rng(seed)
    scene, W = kind(SCENES[kind] * rng.uniform(0.8, 1.2, SCENES[kind].size)), kit.complex_gaussian((6, 3), seed)
    F = metrics.fim(scene, W, NOISE, SNAPSHOTS, transceiver)
    expected = information_by_differences(kit, scene, W, transceiver)
    d = 1 / np.sqrt(np.diagonal(expected))
    np.testing.assert_allclose(F * d[:, None] * d, expected * d[:, None] * d, rtol=0, atol=1e-8)
    inverse = np.diagonal(np.linalg.inv(expected * d[:, None] * d)) * d**2
    bound = metrics.crlb(scene, W, NOISE, SNAPSHOTS, transceiver)
    # Conditions below 1e4 after scaling, of entries that agree to 1e-8.
    np.testing.assert_allclose(bound, inverse, rtol=1e-3)


@each_scene
def test_a_member_of_a_batch_has_the_bound_it_has_alone(kit, kind):
    omega = SCENES[kind] * np.random.default_rng(1).uniform(0.8, 1.2, (3, SCENES[kind].size))
    W = kit.complex_gaussian((3, 6, 3), 0)
    bounds = metrics.crlb(kind(omega), W, NOISE, SNAPSHOTS)
    for i in range(3):
        assert bounds[i].tobytes() == metrics.crlb(kind(omega[i]), W[i], NOISE, SNAPSHOTS).tobytes()


@each_scene
def test_the_metric_of_each_parameter_is_labelled_as_the_scene_says(kit, kind):
    scene, W = kind(SCENES[kind]), kit.complex_gaussian((1, 6, 3), 0)
    drop = Drop(
        H=kit.complex_gaussian((6, 2), 0), targets=scene, tx_array=TX, rx_array=RX,
        power=1.0, noise_power=[0.1], radar_noise_power=NOISE, snapshots=SNAPSHOTS,
    )  # fmt: skip
    labels = CrlbParameters().labels(drop)["parameter"]
    assert len(labels) == CrlbParameters().value(Link(W, drop)).shape[-1] == len(set(labels))
    assert labels[-1] == "reflection_imag[0]"


def sum_rate_problem(kit, scene, **changes):
    arguments = {
        "H": kit.complex_gaussian((6, 2), 3), "targets": scene, "power": 1.0, "noise_power": 0.1,
        "radar_noise_power": NOISE, "snapshots": SNAPSHOTS, "rate_weight": 1.0, "crlb_weight": 1.0,
    }  # fmt: skip
    return SumRateCrlb(**{**arguments, **changes})


@each_scene
def test_a_sum_rate_is_balanced_against_the_bounds_of_a_foreign_scene(kit, kind):
    problem = sum_rate_problem(kit, kind(SCENES[kind]))
    assert problem.streams == max(2, problem.targets.sensing_streams)
    solution = isacsim.solve(problem, rng=np.random.default_rng(0))
    assert solution.status.good
    spread = np.sqrt(1 / 6) * np.eye(6)[:, : problem.streams]
    assert solution.objective > problem.objective(spread)
    # What the solver takes for the objective is what the metrics say of its precoder.
    assert solution.objective == pytest.approx(float(problem.objective(solution.precoder)), rel=1e-9)


@each_scene
def test_the_bounds_of_the_angles_of_a_foreign_scene_are_minimised(kit, kind):
    problem = PointCrbMin(
        H=kit.complex_gaussian((6, 1), 3), targets=kind(SCENES[kind]), min_sinr=1.0, power=1.0,
        noise_power=0.1, radar_noise_power=NOISE, snapshots=SNAPSHOTS,
    )  # fmt: skip
    assert problem.selection.sum() == {TwoReceivers: 3, RigidTarget: 1}[kind]
    solution = isacsim.solve(problem)
    assert solution.status.answered
    # No point lies below the proven bound, but for the accuracy of its multipliers.
    assert solution.objective >= solution.bound * (1 - 1e-6)


def test_parameters_are_weighed_under_the_names_that_the_scene_has(kit):
    scene = TwoReceivers(SCENES[TwoReceivers])
    problem = sum_rate_problem(kit, scene, parameters=("arrival", "reflection"), parameter_weights=(2.0, 0.5))
    np.testing.assert_array_equal(problem.selection, [0, 2, 2, 0.5, 0.5])
    with pytest.raises(isacsim.InvalidInput, match="parameters: must be kinds of target parameters.*'arrival'"):
        sum_rate_problem(kit, scene, parameters=("arival",))


def test_a_foreign_scene_that_cannot_be_estimated_is_told(kit):
    omega = np.array([SCENES[TwoReceivers], SCENES[TwoReceivers]])
    omega[1, 1] = np.pi / 2  # the first receiver sees the target at its endfire
    problem = sum_rate_problem(kit, TwoReceivers(omega), H=kit.complex_gaussian((2, 6, 2), 3))
    regular, notes = problem.screen()
    np.testing.assert_array_equal(regular, [True, False])
    assert notes[1] == ("arrival[0] is not identifiable: the echo does not depend on it",)


def test_what_needs_unknown_parameters_refuses_a_scene_without_them_in_one_sentence(kit):
    scene = ResponseMatrix(kit.complex_gaussian((5, 6), 0))
    for ask in (
        lambda: metrics.crlb(scene, np.eye(6), NOISE, SNAPSHOTS),
        lambda: sum_rate_problem(kit, scene),
        lambda: PointCrbMin(np.ones((6, 1)), scene, 1.0, 1.0, 1.0, 1.0, 1),
    ):
        with pytest.raises(isacsim.InvalidInput, match=r"targets: must have unknown parameters, .*'ResponseMatrix'"):
            ask()


@frozen
class Model(TargetModel):
    """Draws a scene; ``broken`` takes one of its parts away."""

    broken: str = ""

    def draw(self, tx_array, rx_array, trials, rngs):
        scene = isacsim.PointTargets(tx_array, rx_array, [0.3, -0.2], [1.0, 1.2], [1.0, 0.5])
        return type("Scene", (isacsim.PointTargets,), {self.broken: BROKEN[self.broken][0]})(
            *(getattr(scene, f.name) for f in attrs.fields(isacsim.PointTargets))
        )


BROKEN = {
    "labels": (("azimuth",) * 8, "name its 8 unknowns apart"),
    "units": (("rad",), "give a unit to each of its 8 unknowns"),
    "transmit_basis": (lambda self: np.ones((2, 2), complex), "have a transmit basis of shape"),
    "parameter_matrices": (lambda self: np.zeros((8, 6, 5), complex), "have parameter matrices of shape"),
    "yardsticks": (lambda self: np.full((8, 6, 6), np.nan, complex), "have finite yardsticks"),
    "sensing_streams": (0, "have a use for at least 1 stream"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_scene_that_breaks_the_contract_is_refused(broken):
    with pytest.raises(ContractError, match=BROKEN[broken][1]):
        check_targets(Model(broken))
