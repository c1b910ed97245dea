"""Detectors: their formulas, their laws on ideal hardware, low rank, edges."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import gammaincc

from isacsim import Aqnm, InvalidInput, MidRise, PointTargets, ResponseMatrix, Transceiver, UniformLinearArray
from isacsim.metrics import covariance, radar_sqnr, radar_sqnr_combiner
from isacsim.metrics.sensing import echo_of
from isacsim.random import complex_normal
from isacsim.waveform.detectors import EnergyDetector, LikelihoodRatio
from isacsim.waveform.echoes import EchoModel, EchoPath
from isacsim.waveform.signals import Sources, gaussian_symbols

TX, RX = UniformLinearArray(6, normalized=False), UniformLinearArray(4, normalized=False)
ONE = PointTargets(TX, RX, [0.3], [np.pi / 2], [0.3 - 0.1j])
TWO = PointTargets(TX, RX, [0.3, -0.8], np.pi / 2, [0.2, 0.1j])
EXTENDED = ResponseMatrix(complex_normal(np.random.default_rng(2), (4, 6)) / 4)
SCENES = {"one": ONE, "two": TWO, "extended": EXTENDED}
HARDWARE = {
    "ideal": Transceiver(),
    "converters": Transceiver(MidRise(2), Aqnm(3)),
    "receiver": Transceiver(receive=MidRise(2)),
}
NOISE = 0.7
DETECTORS = [EnergyDetector(), EnergyDetector("fixed"), LikelihoodRatio(), LikelihoodRatio("response")]


@pytest.fixture
def W():
    return complex_normal(np.random.default_rng(5), (6, 3))


def samples(scene, W, transceiver, count, echo, seed=0):
    """Symbols and samples out of the receive chains."""
    path, sources = EchoPath.of(scene, W, NOISE, transceiver), Sources.of(np.random.default_rng(seed))
    s = gaussian_symbols(np.asarray(W), count, sources)
    return s, path.samples(s, sources, echo, path.power)


def by_the_text(scene, W, transceiver):
    """M and Q from the sensing link, without factors."""
    link, G = echo_of(scene.response(), W, NOISE, transceiver), scene.response()
    gain = transceiver.transmit.linear_model(covariance(W)).gain
    Q = link.noise if link.noise.ndim == 2 else np.diag(link.noise)
    return np.diag(link.gain) @ G @ np.diag(gain) @ W, Q


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("scene", SCENES)
class TestFormulas:
    """Each statistic against its definition, decision by decision."""

    snapshots, decisions = 3, 7

    def pieces(self, scene, hardware, W):
        scene, transceiver = SCENES[scene], HARDWARE[hardware]
        s, y = samples(scene, W, transceiver, self.snapshots * self.decisions, echo=True)
        M, Q = by_the_text(scene, W, transceiver)
        return s, y, EchoModel.of(scene, W, NOISE, transceiver), M @ s, np.linalg.inv(Q)

    def cut(self, values):
        return np.asarray(values).reshape(self.decisions, self.snapshots)

    def test_energy_is_that_along_the_combiner_of_each_symbol(self, scene, hardware, W):
        s, y, echo, m, inverse = self.pieces(scene, hardware, W)
        u = inverse @ m
        energy = [abs(np.vdot(a, b)) ** 2 / np.vdot(a, a).real for a, b in zip(u.T, y.T, strict=True)]
        found = EnergyDetector().statistic(y, s, echo, self.snapshots)
        np.testing.assert_allclose(found, self.cut(energy).sum(axis=1), rtol=1e-9)

    def test_the_fixed_combiner_is_the_best_single_one(self, scene, hardware, W):
        s, y, echo, _, _ = self.pieces(scene, hardware, W)
        M, Q = by_the_text(SCENES[scene], W, HARDWARE[hardware])
        row = echo.whitened_factors[0][0]
        best = abs(row @ M @ M.conj().T @ row.conj()) / abs(row @ Q @ row.conj())
        np.testing.assert_allclose(best, radar_sqnr_combiner(SCENES[scene].response(), W, NOISE, HARDWARE[hardware]))
        energy = np.abs(row @ y) ** 2 / np.linalg.norm(row) ** 2
        found = EnergyDetector("fixed").statistic(y, s, echo, self.snapshots)
        np.testing.assert_allclose(found, self.cut(energy).sum(axis=1), rtol=1e-9)

    def test_the_likelihood_ratio_is_the_gain_of_the_best_fit(self, scene, hardware, W):
        s, y, echo, m, inverse = self.pieces(scene, hardware, W)
        found = LikelihoodRatio().statistic(y, s, echo, self.snapshots)
        for i in range(self.decisions):
            part = slice(i * self.snapshots, (i + 1) * self.snapshots)
            a, b = m[:, part], y[:, part]
            c = np.vdot(a, inverse @ b) / np.vdot(a, inverse @ a)  # weighted least squares
            before, after = (np.vdot(e, inverse @ e).real for e in (b, b - c * a))
            np.testing.assert_allclose(found[i], before - after, rtol=1e-9, atol=1e-12 * before)

    @pytest.mark.parametrize("snapshots", [1, 3, 5])
    def test_for_an_unknown_response_it_is_the_gain_of_the_best_response(self, scene, hardware, snapshots, W):
        scene, transceiver = SCENES[scene], HARDWARE[hardware]
        s, y = samples(scene, W, transceiver, snapshots * self.decisions, echo=True)
        _, Q = by_the_text(scene, W, transceiver)
        echo, inverse = EchoModel.of(scene, W, NOISE, transceiver), np.linalg.inv(Q)
        found = LikelihoodRatio("response").statistic(y, s, echo, snapshots)
        for i in range(self.decisions):
            part = slice(i * snapshots, (i + 1) * snapshots)
            G = y[:, part] @ np.linalg.pinv(W @ s[:, part])  # least squares, whatever the weight Q^-1
            before, after = (np.vdot(e, inverse @ e).real for e in (y[:, part], y[:, part] - G @ W @ s[:, part]))
            np.testing.assert_allclose(found[i], before - after, rtol=1e-9)

    def test_the_expected_power_is_the_radar_sqnr(self, scene, hardware, W):
        _, E = EchoModel.of(SCENES[scene], W, NOISE, HARDWARE[hardware]).whitened_factors
        expected = radar_sqnr(SCENES[scene].response(), W, NOISE, HARDWARE[hardware])
        np.testing.assert_allclose(np.linalg.norm(E) ** 2, expected, rtol=1e-10)


@pytest.mark.parametrize("combiner", ["symbol", "fixed"])
def test_one_point_target_needs_one_combiner(W, combiner):
    s, y = samples(ONE, W, Transceiver(), 50, echo=True)
    echo = EchoModel.of(ONE, W, NOISE, Transceiver())
    a = RX.steering(0.3)
    found = EnergyDetector(combiner).statistic(y, s, echo)
    np.testing.assert_allclose(found, np.abs(a.conj() @ y) ** 2 / RX.size, rtol=1e-10)


def survival_deviation(found, survival):
    """Largest deviation of the empirical distribution, in units of its DKW band at 1e-6."""
    ordered = np.sort(found)
    deviation = np.abs(survival(ordered) - (1 - np.arange(found.size) / found.size)).max()
    return deviation / np.sqrt(np.log(2 / 1e-6) / (2 * found.size))


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("snapshots", [1, 4])
@pytest.mark.parametrize("combiner", ["symbol", "fixed"])
def test_without_a_target_the_energy_is_a_sum_of_exponentials(scene, snapshots, combiner, W):
    s, y = samples(SCENES[scene], W, Transceiver(), 20_000 * snapshots, echo=False)
    echo = EchoModel.of(SCENES[scene], W, NOISE, Transceiver())
    T = EnergyDetector(combiner).statistic(y, s, echo, snapshots) / NOISE
    assert survival_deviation(T, lambda t: gammaincc(snapshots, t)) < 1


@pytest.mark.parametrize(("snapshots", "rank"), [(1, 1), (2, 2), (5, 3)])
def test_without_a_target_the_likelihood_ratio_of_an_unknown_response_is_a_gamma_variable(snapshots, rank, W):
    padded = np.hstack([W, np.zeros((6, 2))])  # streams that are not sent count for nothing
    s, y = samples(EXTENDED, padded, Transceiver(), 20_000 * snapshots, echo=False)
    echo = EchoModel.of(EXTENDED, padded, NOISE, Transceiver())
    T = LikelihoodRatio("response").statistic(y, s, echo, snapshots)
    assert survival_deviation(T, lambda t: gammaincc(4 * rank, t)) < 1


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("snapshots", [1, 4])
def test_without_a_target_the_likelihood_ratio_is_exponential(scene, snapshots, W):
    s, y = samples(SCENES[scene], W, Transceiver(), 20_000 * snapshots, echo=False)
    T = LikelihoodRatio().statistic(y, s, EchoModel.of(SCENES[scene], W, NOISE, Transceiver()), snapshots)
    assert survival_deviation(T, lambda t: np.exp(-t)) < 1


def mixture(echo, snapshots, size=3000):
    """Survival of the likelihood ratio with a target, on ideal hardware and with Gaussian symbols.

    Given the symbols, 2 T is noncentral chi-squared of two degrees with noncentrality 2 lambda:
    T is Gamma(1 + j) with j Poisson of mean lambda. And lambda is a sum of independent exponential
    variables whose means are the eigenvalues of E^H E, of each snapshot anew, so that j is a sum
    of geometric ones.
    """
    weights = np.eye(1, size)[0]
    for mean in np.linalg.svd(echo.whitened_factors[1], compute_uv=False) ** 2:
        share = mean / (1 + mean)
        for _ in range(snapshots):
            weights = lfilter([1 - share], [1, -share], weights)
    assert weights[-1] < 1e-9 / size
    return lambda t: weights @ gammaincc(1 + np.arange(size), t)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(
    ("detector", "snapshots"), [(LikelihoodRatio(), 1), (LikelihoodRatio(), 4), (EnergyDetector(), 1)]
)
def test_with_a_target_the_statistic_has_its_closed_form(scene, detector, snapshots, W):
    s, y = samples(SCENES[scene], W, Transceiver(), 20_000 * snapshots, echo=True)
    echo = EchoModel.of(SCENES[scene], W, NOISE, Transceiver())
    T = detector.statistic(y, s, echo, snapshots)
    if isinstance(detector, EnergyDetector):
        T = T / NOISE  # one sample in white noise: there it is the likelihood ratio
    survival = mixture(echo, snapshots)
    if (scene, snapshots) == ("one", 1):
        sqnr = radar_sqnr(ONE.response(), W, NOISE)
        np.testing.assert_allclose(survival(3.0), np.exp(-3.0 / (1 + sqnr)), rtol=1e-9)

    def between(t):  # linear between a hundred quantiles
        edges = np.quantile(t, np.linspace(0, 1, 101))
        return np.interp(t, edges, [survival(e) for e in edges])

    # A law with a hundredth between two places differs from a line there by a tenth of the band at most.
    assert survival_deviation(T, between) < 1.1


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("antennas", [1, 4])
def test_no_decision_one_decision_and_one_antenna_work(detector, antennas):
    array = UniformLinearArray(antennas)
    scene = PointTargets(array, array, [0.2], [np.pi / 2], [1.0])
    W = complex_normal(np.random.default_rng(0), (antennas, 1))
    transceiver = Transceiver(MidRise(2), MidRise(2))
    for count in (0, 1):
        s, y = samples(scene, W, transceiver, count, echo=True)
        assert detector.statistic(y, s, EchoModel.of(scene, W, NOISE, transceiver)).shape == (count,)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("scene", [TWO, EXTENDED])
def test_a_member_of_a_batch_has_the_bytes_it_has_alone(detector, scene):
    rng = np.random.default_rng(9)
    W, s = complex_normal(rng, (3, 6, 3)), complex_normal(rng, (3, 3, 40))
    y = complex_normal(rng, (3, 4, 40))
    transceiver = HARDWARE["converters"]
    together = detector.statistic(y, s, EchoModel.of(scene, W, NOISE, transceiver), 4)
    for i in range(3):
        alone = detector.statistic(y[i], s[i], EchoModel.of(scene, W[i], NOISE, transceiver), 4)
        assert alone.tobytes() == together[i].tobytes()


def test_noise_may_differ_where_all_else_is_shared(W):
    y, s = complex_normal(np.random.default_rng(1), (2, 4, 5)), complex_normal(np.random.default_rng(2), (3, 5))
    for transceiver in HARDWARE.values():
        shared = EchoModel.of(EXTENDED, W, [0.7, 0.2], transceiver)
        for detector in DETECTORS:
            found = detector.statistic(y, s, shared)
            for i, noise in enumerate([0.7, 0.2]):
                alone = detector.statistic(y[i], s, EchoModel.of(EXTENDED, W, noise, transceiver))
                np.testing.assert_allclose(found[i], alone, rtol=1e-9)


@pytest.mark.parametrize("scene", [ONE, EXTENDED])
def test_factors_of_a_response_of_low_rank_change_nothing_but_rounding(scene, W):
    _, y = samples(scene, W, HARDWARE["converters"], 100, echo=True)
    G = scene.response()
    _, whole = samples(ResponseMatrix(G), W, HARDWARE["converters"], 100, echo=True)
    # Quantised samples differ by a whole level or not at all.
    np.testing.assert_allclose(y, whole, rtol=1e-12)


def test_an_unknown_combiner_is_refused():
    with pytest.raises(InvalidInput, match="combiner: must be one of its choices"):
        EnergyDetector("best")
