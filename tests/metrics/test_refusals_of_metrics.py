"""Every public metric refuses what is no quantity, with the rules that problems have."""

import inspect

import numpy as np
import pytest

import isacsim
from isacsim import InvalidInput, PointTargets, SumRateCrlb, Transceiver, UniformLinearArray, metrics

ARRAY = UniformLinearArray(4)
SCENE = PointTargets(ARRAY, UniformLinearArray(5), [0.3], np.pi / 2, [1.0])
W = np.eye(4)
GOOD = {
    "H": np.ones((4, 2)),
    "W": W,
    "G": SCENE.response(),
    "targets": SCENE,
    "background": isacsim.Background(np.ones((1, 5, 4))),
    "noise_power": 0.1,
    "radar_noise_power": 0.1,
    "power": 1.0,
    "snapshots": 30,
    "transceiver": Transceiver(),
    "transmit": isacsim.Ideal(),
    "per_antenna": False,
    "mode": "signal",
    "array": ARRAY,
    "azimuth": [0.1],
    "zenith": np.pi / 2,
    "users": 2,
    "sum_rate_bits": 3.0,
    "radar_sqnr": 2.0,
    "consumption": 1.0,
}
POWERS = [-30.0, 0.0, np.nan, np.inf, [0.1, -0.1], [0.1, np.nan], "-30", None, 1j]
MATRICES = ["text", None, np.ones(4), [[1.0, 2.0], [3.0]]]
NONSENSE = {
    "H": [*MATRICES, np.full((4, 2), np.nan), np.full((4, 2), np.inf)],
    "G": [*MATRICES, np.full((5, 4), np.nan), np.full((5, 4), np.inf)],
    "W": MATRICES,  # NaN stands for a member without an answer
    "targets": [isacsim.ResponseMatrix(np.ones((5, 4))), None, np.ones((5, 4))],
    "background": ["none", np.ones((5, 4)), isacsim.Background(np.ones((1, 4, 4)))],
    "noise_power": POWERS,
    "radar_noise_power": POWERS,
    "power": POWERS,
    "snapshots": [0, -1, 30.5, np.nan, np.inf, "30", None, True, [30, 30]],
    "transceiver": [isacsim.Ideal(), None, "ideal"],
    "transmit": [Transceiver(), None, "ideal"],
    "per_antenna": [None, "yes", 1],
    "mode": ["xx", None],
    "azimuth": [np.nan, "0", None],
    "zenith": [np.nan, "0", None],
    "users": [-1, 2.5, np.nan, "2", None],
    "sum_rate_bits": [-1.0, "3", None],
    "radar_sqnr": [-1.0, "3", None],
    "consumption": [-1.0, 0.0, np.nan, "3", None],
}
ALLOWED = {("sqinr_bound", "power", np.inf)}  # what no power exceeds


def public():
    """Each function of `isacsim.metrics`, with the arguments it takes."""
    return [(name, list(inspect.signature(getattr(metrics, name)).parameters)) for name in metrics.__all__]


def cases():
    for name, arguments in public():
        for argument in arguments:
            for i, value in enumerate(NONSENSE.get(argument, ())):
                if not any(same[:2] == (name, argument) and value is same[2] for same in ALLOWED):
                    yield pytest.param(name, argument, value, id=f"{name}-{argument}-{i}")


@pytest.mark.parametrize("name", [name for name, _ in public()])
def test_the_arguments_of_this_table_are_good(name):
    arguments = inspect.signature(getattr(metrics, name)).parameters
    assert set(arguments) <= set(GOOD)
    assert set(arguments) - {"array"} <= set(NONSENSE)
    assert np.all(np.isfinite(getattr(metrics, name)(**{a: GOOD[a] for a in arguments})) | (name == "sqinr_ceiling"))


@pytest.mark.parametrize(("name", "argument", "value"), list(cases()))
def test_nonsense_is_refused_by_name(name, argument, value):
    function = getattr(metrics, name)
    arguments = {a: GOOD[a] for a in inspect.signature(function).parameters}
    with pytest.raises(InvalidInput, match=f"^{argument}: must "):
        function(**{**arguments, argument: value})


@pytest.mark.parametrize("snapshots", NONSENSE["snapshots"])
def test_problems_and_metrics_have_one_rule_for_the_number_of_samples(snapshots):
    def problem():
        return SumRateCrlb(GOOD["H"], SCENE, 1.0, [0.1], 0.1, snapshots, 1.0, 1.0)

    refusals = []
    for ask in (problem, lambda: metrics.crlb(SCENE, W, 0.1, snapshots)):
        with pytest.raises(InvalidInput, match="^snapshots: must ") as refusal:
            ask()
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]


def test_a_whole_number_written_with_a_point_is_one():
    assert np.all(metrics.crlb(SCENE, W, 0.1, 30.0) == metrics.crlb(SCENE, W, 0.1, 30))


def test_a_member_without_a_precoder_has_no_value_and_stops_no_other():
    batch = np.stack([W, np.full_like(W, np.nan)])
    for value in (
        metrics.sum_rate(GOOD["H"], batch, 0.1),
        metrics.radar_sqnr(GOOD["G"], batch, 0.1),
        metrics.radiated_power(batch),
    ):
        assert np.isfinite(value[0])
        assert np.isnan(value[1])
