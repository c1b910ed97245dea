"""Fisher information against finite differences of the received mean, and its inverse."""

from functools import partial
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import (
    Aqnm,
    InvalidInput,
    PointTargets,
    ResponseMatrix,
    Transceiver,
    UniformLinearArray,
    UniformPlanarArray,
    metrics,
)
from isacsim.hardware.codebooks import aqnm_distortion
from isacsim.linalg.parts import invert_each
from isacsim.metrics.fim import FimTensor, alike, information, inverse_fim

DATA = Path(__file__).parents[1] / "data" / "sum-rate-crlb"
SNAPSHOTS, NOISE = 40, 0.05


def unknowns(scene):
    """The unknown parameters as one vector, in the order of the FIM."""
    angles = [scene.azimuth, scene.zenith] if scene.planar else [scene.azimuth]
    return np.concatenate([*angles, scene.reflection.real, scene.reflection.imag])


def with_unknowns(scene, omega):
    """The scene with the parameters ``omega``."""
    parts = omega.reshape(-1, scene.count)
    zenith = parts[1] if scene.planar else scene.zenith
    return attrs.evolve(scene, azimuth=parts[0], zenith=zenith, reflection=parts[-2] + 1j * parts[-1])


def derivatives(kit, scene):
    """dG/domega_i by differences of sixth order, (P, N_r, N_t)."""
    omega = unknowns(scene)

    def shifted(i, t):
        return with_unknowns(scene, omega + t * np.eye(omega.size)[i]).response()

    # Phases are pi n sin(.): with n < 9 the truncation is (pi n h)^6 / 140 < 4e-10 at most,
    # the rounding 1e-16 / h = 1e-13, relative to the largest derivative.
    return np.stack([kit.central_difference(partial(shifted, i), 1e-3) for i in range(omega.size)])


def fim_by_differences(kit, scene, W, a_t, a_r, mode):
    """2 L Re tr(dmu_i^H C^-1 dmu_j) with the noise of the converters written out."""
    R, G = W @ np.conj(W).T, scene.response()
    R_qt = np.diag(a_t * (1 - a_t) * np.diagonal(R).real)
    R_lin = a_t[:, None] * R * a_t
    A_r = np.diag(a_r)
    quantised = np.diag(a_r * (1 - a_r)) * np.diagonal(G @ (R_lin + R_qt) @ np.conj(G).T).real
    C = NOISE * A_r + quantised
    if mode == "signal":
        C, reference = C + A_r @ G @ R_qt @ np.conj(G).T @ A_r, R_lin
    else:
        reference = R_lin + R_qt
    J = derivatives(kit, scene)
    return np.array(
        [
            [2 * SNAPSHOTS * np.trace(np.conj(a).T @ A_r @ np.linalg.solve(C, A_r @ b) @ reference).real for b in J]
            for a in J
        ]
    )


def assert_fims_agree(one, other, accuracy):
    """Entries against the geometric mean of their diagonal: the blocks differ in scale."""
    d = 1 / np.sqrt(np.diagonal(other))
    np.testing.assert_allclose(one * d[:, None] * d, other * d[:, None] * d, rtol=0, atol=accuracy)


seeds = st.integers(0, 2**32 - 1)
bits = st.sampled_from([1, 2, 3, 5, 7, np.inf])


@given(seeds, st.integers(1, 3), st.booleans(), st.integers(1, 4))
def test_ideal_information_agrees_with_finite_differences(kit, seed, targets, linear, streams):
    scene = kit.make_scene(targets, seed=seed, linear=linear)
    W = kit.complex_gaussian((scene.tx_array.size, streams), seed)
    ones = np.ones(scene.tx_array.size), np.ones(scene.rx_array.size)
    F = metrics.fim(scene, W, NOISE, SNAPSHOTS)
    assert F.shape == ((3 if linear else 4) * targets,) * 2
    assert_fims_agree(F, fim_by_differences(kit, scene, W, *ones, "signal"), 1e-8)


@pytest.mark.parametrize("mode", ["signal", "radiated"])
@given(
    seed=seeds,
    dac=st.lists(bits, min_size=6, max_size=6),
    adc=st.lists(bits, min_size=9, max_size=9),
    echo=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_information_through_converters_agrees_with_finite_differences(kit, mode, seed, dac, adc, echo):
    scene = kit.make_scene(2, seed=seed)
    scene = attrs.evolve(scene, reflection=echo * scene.reflection)
    W = kit.complex_gaussian((6, 3), seed)
    a_t, a_r = (np.array([1 - aqnm_distortion(b) for b in side]) for side in (dac, adc))
    F = metrics.fim(scene, W, NOISE, SNAPSHOTS, Transceiver(Aqnm(dac), Aqnm(adc)), mode)
    assert_fims_agree(F, fim_by_differences(kit, scene, W, a_t, a_r, mode), 1e-8)


@pytest.mark.parametrize("mode", ["signal", "radiated"])
def test_linear_arrays_through_converters_agree_with_finite_differences(kit, mode):
    scene = kit.make_scene(2, seed=4, linear=True)
    W = kit.complex_gaussian((6, 2), 5)
    dac, adc = [1, 2, 3, np.inf, 4, 2], [3, 1, 2, 2, np.inf, 4, 1, 1]
    a_t, a_r = (np.array([1 - aqnm_distortion(b) for b in side]) for side in (dac, adc))
    F = metrics.fim(scene, W, NOISE, SNAPSHOTS, Transceiver(Aqnm(dac), Aqnm(adc)), mode)
    assert_fims_agree(F, fim_by_differences(kit, scene, W, a_t, a_r, mode), 1e-8)


@pytest.mark.parametrize("tx_planar", [True, False])
def test_one_planar_side_is_enough_to_make_the_zenith_an_unknown(kit, tx_planar):
    planar, linear = UniformPlanarArray(3, 2), UniformLinearArray(6)
    sides = {"tx": planar, "rx": linear} if tx_planar else {"tx": linear, "rx": planar}
    scene = kit.make_scene(1, seed=2, **sides)
    W = kit.complex_gaussian((6, 2), 0)
    assert scene.unknowns == ("azimuth", "zenith", "reflection_real", "reflection_imag")
    F = metrics.fim(scene, W, NOISE, SNAPSHOTS)
    assert_fims_agree(F, fim_by_differences(kit, scene, W, np.ones(6), np.ones(6), "signal"), 1e-8)


@pytest.mark.parametrize("options", [{"normalized": False}, {"conjugate": True}])
def test_other_conventions_of_the_array_agree_with_finite_differences(kit, options):
    scene = kit.make_scene(2, tx=UniformPlanarArray(3, 2, **options), rx=UniformPlanarArray(2, 4, **options))
    W = kit.complex_gaussian((6, 2), 0)
    F = metrics.fim(scene, W, NOISE, SNAPSHOTS)
    assert_fims_agree(F, fim_by_differences(kit, scene, W, np.ones(6), np.ones(8), "signal"), 1e-8)


@given(seeds, st.sampled_from(["signal", "radiated"]), st.booleans())
def test_batches_hold_the_information_of_each_member(kit, seed, mode, shared):
    scenes = kit.make_scene(2, seed=seed, batch=() if shared else (3,))
    W = kit.complex_gaussian((3, 6, 3), seed)
    noise = np.array([0.01, 0.1, 1.0])
    hardware = Transceiver(Aqnm(2), Aqnm(3))
    F = metrics.fim(scenes, W, noise, SNAPSHOTS, hardware, mode)
    assert F.shape == (3, 8, 8)
    for i in range(3):
        one = (
            scenes
            if shared
            else PointTargets(
                scenes.tx_array, scenes.rx_array, scenes.azimuth[i], scenes.zenith[i], scenes.reflection[i]
            )
        )
        assert F[i].tobytes() == metrics.fim(one, W[i], noise[i], SNAPSHOTS, hardware, mode).tobytes()


@given(seeds)
def test_what_the_receiver_knows_in_addition_never_raises_a_bound(kit, seed):
    scene, W = kit.make_scene(2, seed=seed), kit.complex_gaussian((6, 3), seed)
    hardware = Transceiver(Aqnm(1), Aqnm(2))
    ideal = metrics.crlb(scene, W, NOISE, SNAPSHOTS)
    known = metrics.crlb(scene, W, NOISE, SNAPSHOTS, hardware, "radiated")
    unknown = metrics.crlb(scene, W, NOISE, SNAPSHOTS, hardware, "signal")
    assert np.all(known <= unknown * (1 + 1e-9))
    assert np.all(ideal <= unknown * (1 + 1e-9))


def test_information_is_linear_in_snapshots_and_inverse_in_noise(kit):
    scene, W = kit.make_scene(2), kit.complex_gaussian((6, 3), 0)
    F = metrics.fim(scene, W, NOISE, SNAPSHOTS)
    assert_fims_agree(metrics.fim(scene, W, NOISE / 3, 2 * SNAPSHOTS), 6 * F, 1e-12)
    assert_fims_agree(metrics.fim(scene, 2 * W, NOISE, SNAPSHOTS), 4 * F, 1e-12)


def test_the_bound_of_one_target_on_linear_arrays_has_its_closed_form():
    """One target, isotropic transmission: the amplitude decouples from the rest by phase reference."""
    N, alpha, azimuth, power = 8, 0.3, 0.4, 2.0
    array = UniformLinearArray(N)
    scene = PointTargets(array, array, [azimuth], [np.pi / 2], [alpha])
    W = np.sqrt(power / N) * np.eye(N)
    # mu = alpha b(t) a(t)^H x: with R = (P/N) I, information on the angle with the complex
    # reflection as nuisance is 2 L |alpha|^2 P / (N s2) (|a'|^2 + |b'|^2 centred), and the
    # centred norms are pi^2 cos^2 (N^2 - 1) / 12 each.
    centred = np.pi**2 * np.cos(azimuth) ** 2 * (N**2 - 1) / 12
    information = 2 * SNAPSHOTS * alpha**2 * power / N / NOISE * 2 * centred
    bound = metrics.crlb(scene, W, NOISE, SNAPSHOTS)
    assert bound[0] == pytest.approx(1 / information, rel=1e-10)


@given(seeds, st.integers(1, 8))
def test_the_inverse_is_the_inverse_whatever_the_scales(seed, size):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3, size, 2 * size))
    scale = 10.0 ** rng.uniform(-5, 5, size)
    F = (A @ A.swapaxes(-1, -2)) * scale[:, None] * scale
    inverse, regular = inverse_fim(F)
    assert np.all(regular)
    # Conditioned below 1e5 after scaling to a unit diagonal.
    identity = (F / scale[:, None] / scale) @ (inverse * scale[:, None] * scale)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(size), identity.shape), atol=1e-9)


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 2)), [[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]], [[np.nan, 0.0], [0.0, 1.0]], -np.eye(2)],
)
def test_a_singular_matrix_gets_infinities_and_leaves_the_others_alone(bad):
    inverse, regular = inverse_fim(np.stack([np.asarray(bad, float), 2 * np.eye(2)]))
    np.testing.assert_array_equal(regular, [False, True])
    assert np.all(np.isinf(inverse[0]))
    np.testing.assert_allclose(inverse[1], np.eye(2) / 2, rtol=1e-14)


def test_what_is_compiled_of_the_inverse_has_the_bytes_of_what_is_written():
    A = np.random.default_rng(0).standard_normal((3, 4, 6))
    F = A @ A.swapaxes(-1, -2)
    F[1] = -F[1]
    expected, regular = inverse_fim(F)
    inverse, sound = np.empty_like(F), np.empty(3, bool)
    with np.errstate(all="ignore"):
        invert_each(F, 1e-14, inverse, sound)
    assert inverse.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(regular, [True, False, True])
    np.testing.assert_array_equal(sound, regular)


def test_bounds_of_a_scene_that_cannot_be_estimated_are_infinite(kit):
    scene = kit.make_scene(2, batch=(2,))
    twins = attrs.evolve(scene, azimuth=[[0.1, 0.1], [0.1, -0.6]], zenith=[[1.0, 1.0], [1.0, 1.2]])
    bound = metrics.crlb(twins, kit.complex_gaussian((2, 6, 3), 0), NOISE, SNAPSHOTS)
    assert np.all(np.isinf(bound[0]))
    assert np.all(np.isfinite(bound[1]))
    assert np.all(bound[1] > 0)


def test_a_scene_without_unknown_parameters_has_no_such_bound():
    with pytest.raises(InvalidInput, match="targets: must have unknown parameters.* for a Cramer-Rao bound.*'point'"):
        metrics.fim(ResponseMatrix(np.ones((2, 2))), np.ones((2, 1)), 1.0, 1)


def reference(name):
    d = np.load(DATA / f"{name}.npz")
    horizontal, vertical = int(d["Nth"]), int(d["Ntv"])
    order = np.arange(horizontal * vertical).reshape(vertical, horizontal).T.ravel()  # a_v x a_h to a_h x a_v
    tx, rx = UniformPlanarArray(horizontal, vertical), UniformPlanarArray(int(d["Nrh"]), int(d["Nrv"]))
    return d, PointTargets(tx, rx, d["theta"], d["phi"], d["alpha"]), order


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.npz")))
def test_the_reference_instances_have_the_reference_information(name):
    d, scene, order = reference(name)
    F = metrics.fim(scene, d["W0"][order], d["noise_s"], float(d["L"]))
    # Two implementations of the same algebra; entries against their diagonal.
    assert_fims_agree(F, d["F0"], 1e-10)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(), (3,)]), st.booleans())
def test_what_a_scene_gives_to_antennas_that_send_alike_is_in_proportion_to_power_over_noise(kit, seed, batch, linear):
    """Against the general way, of a precoder, and of bounds and decisions of another power."""
    scene = kit.make_scene(seed=seed, batch=batch, linear=linear)
    power, noise = 10.0 ** np.random.default_rng(seed).uniform(-3, 3, (2, *batch))
    antennas = scene.antennas[1]
    W = np.sqrt(power / antennas)[..., None, None] * np.eye(antennas)
    white, found = information(scene, W, noise, SNAPSHOTS), alike(scene)
    scale = np.asarray(2 * SNAPSHOTS * power / antennas / noise)[..., None]
    # Sums of some ten terms in another order; those off the diagonal may cancel.
    size = np.sqrt(np.einsum("...i,...j->...ij", *2 * [np.diagonal(white.F, axis1=-2, axis2=-1)]))
    assert np.all(np.abs(scale[..., None] * found.F - white.F) <= 1e-12 * size)
    np.testing.assert_allclose(scale * found.yardstick, white.yardstick, rtol=1e-12)
    np.testing.assert_array_equal(found.inverse[1], white.inverse[1])
    # Well separated targets: the condition of F takes up to six digits.
    np.testing.assert_allclose(found.bounds / scale, white.bounds, rtol=1e-8)
    assert alike(scene) is found


def test_there_are_reference_instances_of_the_information():
    assert len(list(DATA.glob("*.npz"))) == 10


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_the_tensor_and_its_adjoint_are_those_of_dense_products(kit, lead):
    scene, rng = kit.make_scene(batch=lead), np.random.default_rng(0)
    S, X = scene.receive_gram / 0.1, scene.parameter_matrices()
    tensor = FimTensor.of(scene, S, 16)
    (P, m), G = (X.shape[-3], X.shape[-1]), rng.standard_normal((2, 3, X.shape[-1], X.shape[-1]))
    K = G[0] + 1j * G[1]
    K = K @ np.conj(K).swapaxes(-1, -2)
    Phi = rng.standard_normal((3, P, P))
    Phi = Phi + Phi.swapaxes(-1, -2)
    white = FimTensor.ideal(scene, 0.1, 16)
    np.testing.assert_allclose(white.terms, tensor.terms, rtol=1e-14)  # the order of three factors
    T = 32 * np.einsum("...ikc,...kl,...jld->...ijcd", np.conj(X), S, X)
    # Sums of some ten terms in another order.
    rounding = 1e-12 * np.abs(T).max() * np.abs(K).max()
    expected = np.einsum("...ijcd,...dc->...ij", T, K).real
    np.testing.assert_allclose(tensor.fim(K), expected, rtol=1e-10, atol=rounding)
    expected = np.einsum("...ij,...ijcd->...cd", Phi, T)
    np.testing.assert_allclose(tensor.adjoint(Phi), expected, rtol=1e-10, atol=1e-12 * abs(expected).max())
    assert m == tensor.columns
