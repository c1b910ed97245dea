"""Arguments that break a rule: each gets one clear error with field, rule, value and remedy."""

import re

import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, Chain, InvalidInput, MidRise, Transceiver, UniformLinearArray, UniformPlanarArray
from isacsim.targets.background import BackgroundModel, Clutter, SelfInterference

NAN = float("nan")


def with_entry(shape, value, dtype=complex):
    array = np.ones(shape, dtype)
    array.flat[1] = value
    return array


# Arguments of SumRateCrlb for two users, six antennas and two targets: changes, what the
# error names, and whether a value belongs into it.
PROBLEMS = {
    "channel with NaN": ({"H": with_entry((6, 2), NAN)}, "H: must be finite, got"),
    "channel with infinity": ({"H": with_entry((6, 2), complex(0, np.inf))}, "H: must be finite, got"),
    "masked channel": ({"H": np.ma.masked_equal(with_entry((6, 2), 7), 7)}, "H: must have no masked entries, got '1"),
    "channel without users' axis": ({"H": np.ones(6)}, r"H: must have at least 2 axes, got \(6,\)"),
    "channel of other antennas": ({"H": np.ones((5, 2))}, r"H: must have the 6 transmit .*, got \(5, 2\)"),
    "channel with rows for columns": ({"H": np.ones((2, 6))}, r"H: must have the 6 transmit .*, got \(2, 6\)"),
    "channel without antennas": ({"H": np.ones((0, 2))}, r"H: must have at least one antenna, got \(0, 2\)"),
    "channel of text": ({"H": [["a", "b"]] * 6}, "H: must be complex numbers, got"),
    "ragged channel": ({"H": [[1, 2]] * 5 + [[1]]}, "H: must be complex numbers, got"),
    "no channel": ({"H": None}, "H: must be complex numbers, got None"),
    "batches that differ": ({"H": np.ones((3, 6, 2)), "power": np.ones(4)}, "must have leading axes that broadcast"),
    "negative power": ({"power": -1.0}, r"power: must be greater than 0, got array\(-1.\)"),
    "zero power": ({"power": 0.0}, r"power: must be greater than 0, got array\(0.\)"),
    "power with NaN": ({"power": NAN}, r"power: must be finite, got array\(nan\)"),
    "infinite power": ({"power": np.inf}, r"power: must be finite, got array\(inf\)"),
    "complex power": ({"power": 1 + 1j}, r"power: must be real numbers, got \(1\+1j\)"),
    "power as text": ({"power": "10 dBm"}, "power: must be real numbers, got '10 dBm'"),
    "one negative power of many": ({"power": [1.0, -2.0]}, r"power: must be greater than 0, got array\(\[ 1., -2.\]\)"),
    "negative noise": ({"noise_power": -1e-3}, r"noise_power: must be greater than 0, got array\(-0.001\)"),
    "noise of other users": ({"noise_power": [1.0, 1.0, 1.0]}, r"noise_power: must broadcast to .*, got \(3,\)"),
    "noise with NaN": ({"noise_power": [1.0, NAN]}, r"noise_power: must be finite, got array\(\[ 1., nan\]\)"),
    "zero radar noise": ({"radar_noise_power": 0}, r"radar_noise_power: must be greater than 0, got array\(0.\)"),
    "complex radar noise": ({"radar_noise_power": 1j}, "radar_noise_power: must be real numbers, got 1j"),
    "no snapshots": ({"snapshots": 0}, "snapshots: must be a finite number greater than 0, got 0"),
    "snapshots with NaN": ({"snapshots": NAN}, "snapshots: must be a finite number greater than 0, got nan"),
    "snapshots as text": ({"snapshots": "30"}, "snapshots: must be a finite number greater than 0, got '30'"),
    "negative rate weight": ({"rate_weight": -0.1}, "rate_weight: must be a finite number of at least 0, got -0.1"),
    "infinite CRLB weight": ({"crlb_weight": np.inf}, "crlb_weight: must be a finite number of at least 0, got inf"),
    "complex weight": ({"crlb_weight": 1j}, "crlb_weight: must be a finite number of at least 0, got 1j"),
    "weight true": ({"rate_weight": True}, "rate_weight: must be a finite number of at least 0, got True"),
    "no weight": ({"rate_weight": 0, "crlb_weight": 0}, "rate_weight, crlb_weight: must not both be 0, got '0 and 0'"),
    "half a stream": ({"sensing_streams": 0.5}, "sensing_streams: must be a whole number of at least 0, got 0.5"),
    "negative streams": ({"sensing_streams": -1}, "sensing_streams: must be a whole number of at least 0, got -1"),
    "neither users nor streams": (
        {"H": np.ones((6, 0)), "sensing_streams": 0}, "sensing_streams: must be at least 1 without users, got 0",
    ),
    "nobody to serve": ({"H": np.ones((6, 0)), "crlb_weight": 0.0}, r"H: must have users .*, got \(6, 0\)"),
    "unknown parameter": ({"parameters": ("azimut",)}, "parameters: must be .*, got 'azimut'. Did you mean 'azimuth'"),
    "parameter twice": ({"parameters": ("azimuth", "azimuth")}, "parameters: must name each kind once, got"),
    "no parameters": ({"parameters": ()}, r"parameters: must name each kind once, got \(\)"),
    "weights without parameters": ({"parameter_weights": (1.0,)}, r"parameter_weights: must have one .*, got \(1.0,\)"),
    "weights of other parameters": (
        {"parameters": ("azimuth",), "parameter_weights": (1.0, 2.0)}, r"parameter_weights: must have .*, got \(1.0",
    ),
    "negative parameter weight": (
        {"parameters": ("azimuth",), "parameter_weights": (-1.0,)}, r"parameter_weights: must be .*, got \(-1.0,\)",
    ),
    "parameter weights all zero": (
        {"parameters": ("azimuth",), "parameter_weights": (0.0,)}, r"parameter_weights: must not .*, got \(0.0,\)",
    ),
    "zenith of linear arrays": (
        {"linear": True, "parameters": ("zenith",)}, r"parameters: must not name the zenith .*, got \('zenith',\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(PROBLEMS))
def test_a_problem_that_breaks_a_rule_is_refused(kit, what):
    changes, message = PROBLEMS[what]
    with pytest.raises(InvalidInput, match=message) as caught:
        kit.make_problem(**changes)
    assert_four_parts(caught.value)


def assert_four_parts(error):
    field, rule, value, remedy = error.args
    assert field
    assert rule.startswith("must")
    assert value
    assert remedy.endswith((".", "?")), remedy
    assert "\n" not in str(error)


MANY, LEAKAGE = UniformLinearArray(10**7), BackgroundModel(SelfInterference(1.0))
CONSTRUCTIONS = {
    "bits zero": (lambda: Aqnm(0), "bits: must be whole numbers from 1 to 16, or inf, got 0"),
    "bits negative": (lambda: Aqnm([3, -1]), r"bits: must be whole numbers .*, got \[3, -1\]"),
    "bits broken": (lambda: Aqnm(2.5), "bits: must be whole numbers .*, got 2.5"),
    "bits NaN": (lambda: MidRise(NAN), "bits: must be whole numbers .*, got nan"),
    "bits minus infinity": (lambda: MidRise(-np.inf), "bits: must be whole numbers .*, got -inf"),
    "bits too many": (lambda: Aqnm(17), "bits: must be whole numbers from 1 to 16, or inf, got 17"),
    "bits as text": (lambda: Aqnm("3"), "bits: must be numbers, got '3'"),
    "bits none": (lambda: Aqnm(None), "bits: must be numbers, got None"),
    "bits complex": (lambda: Aqnm(np.array([3 + 1j])), "bits: must be numbers, got array"),
    "bits true": (lambda: Aqnm(True), "bits: must be numbers, got True"),
    "bits empty": (lambda: Aqnm([]), r"bits: must be whole numbers .*, got \[\]"),
    "bits in a matrix": (lambda: MidRise([[1, 2]]), r"bits: must be whole numbers .*, got \[\[1, 2\]\]"),
    "bits ragged": (lambda: MidRise([[1], [1, 2]]), "bits: must be numbers, got"),
    "step zero": (lambda: MidRise(3, step=0.0), "step: must be .*, got 0.0"),
    "step NaN": (lambda: MidRise(3, step=NAN), "step: must be .*, got nan"),
    "step as text": (lambda: MidRise(3, step="fine"), "step: must be .*, got 'fine'"),
    "chain of a tuple": (
        lambda: Chain((Aqnm(2), Aqnm(3))),
        r"stages\[0\]: must be hardware, got \(Aqnm.*Pass one stage an argument, Chain\(Aqnm\(bits=3\), Ideal\(\)\)",
    ),
    "chain of something else": (lambda: Chain(Aqnm(2), 3), r"stages\[1\]: must be hardware, got 3"),
    "transceiver of something else": (lambda: Transceiver(receive="aqnm"), "receive: must be hardware, got 'aqnm'"),
    "array without elements": (lambda: UniformLinearArray(0), "elements: must be a whole number of at least 1, got 0"),
    "array of half elements": (lambda: UniformPlanarArray(2.5, 2), "horizontal: must be a whole number .*, got 2.5"),
    "covariance of something else": (lambda: MidRise(4).linear_model({"a": 1}), "R: must be complex numbers, got {'a'"),
    "cotangent at something else": (lambda: MidRise(4).linear_model_vjp(1.0, 1.0, 1.0), "R: must have at least 2 axes"),
    "grid beyond any memory": (lambda: isacsim.Grid(10**400, 1e3), "subcarriers: must fit in memory: a body"),
    "burst beyond any memory": (lambda: isacsim.Grid(8, 1e3, 10**400), "symbols: must fit in memory"),
    "background beyond any memory": (lambda: LEAKAGE.draw(MANY, MANY, []), "background: must fit in memory"),
    "scatterers beyond any memory": (
        lambda: Clutter(1.0, 10**400).draw(UniformLinearArray(2), MANY, None), "scatterers: must fit in memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(CONSTRUCTIONS))
def test_hardware_and_arrays_that_break_a_rule_are_refused(what):
    make, message = CONSTRUCTIONS[what]
    with pytest.raises(InvalidInput, match=message) as caught:
        make()
    assert_four_parts(caught.value)


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="table"):
        Aqnm(3, table="lloyd")


SOLVES = {
    "solver unknown": ({"solver": "sc"}, "must name one of the solvers, got 'sc'. Did you mean 'sca'"),
    "solver of another type": ({"solver": 3}, "solver: must be a name or a solver, got 3"),
    "option unknown": ({"toleranse": 1e-3}, "toleranse: must be an option of sca, got 0.001. Did you mean 'tolerance'"),
    "tolerance zero": ({"tolerance": 0.0}, "tolerance: must be a finite number greater than 0, got 0.0"),
    "tolerance as text": ({"tolerance": "low"}, "tolerance: must be a finite number .*, got 'low'"),
    "steps zero": ({"max_steps": 0}, "max_steps: must be a whole number of at least 1, got 0"),
    "steps broken": ({"max_steps": 2.5}, "max_steps: must be a whole number of at least 1, got 2.5"),
    "start unknown": ({"starts": ["mrt", "zf"]}, "starts: must be names of starts, got 'zf'.*Valid: fang25, mrt"),
    "no start": ({"starts": []}, r"starts: must .*, got \[\]"),
    "start of another type": ({"starts": 5}, "starts: must .*, got 5"),
    "random without generators": ({"starts": "random"}, "rng: must be given for a random start, got None"),
    "generators too few": ({"rng": [np.random.default_rng(0)] * 2}, "rng: must be one Generator, or one for each"),
    "generator of another type": ({"rng": 42}, "rng: must be one Generator, or one for each of the 3 members, got 42"),
    "initial of other shape": ({"initial": np.ones((6, 3))}, r"initial: must broadcast to \(3, 6, 2\), got \(6, 3\)"),
    "initial zero": ({"initial": np.zeros((6, 2))}, "initial: must not be zero, got"),
    "initial NaN": ({"initial": with_entry((6, 2), NAN)}, "initial: must be finite, got"),
    "initial a vector": ({"initial": np.ones(6)}, "initial: must have at least 2 axes, got"),
    "time limit negative": ({"time_limit": -1.0}, "time_limit: must be a finite number greater than 0, got -1.0"),
    "callback no function": ({"callback": 3}, "callback: must be a function, got 3"),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(SOLVES))
def test_a_solve_that_breaks_a_rule_is_refused(kit, what):
    options, message = SOLVES[what]
    with pytest.raises(InvalidInput, match=message) as caught:
        isacsim.solve(kit.make_problem(batch=(3,)), **{"solver": "sca", **options})
    assert_four_parts(caught.value)


def test_only_problems_are_solved():
    with pytest.raises(InvalidInput, match="problem: must be a design problem, got 'quick'.*Build a SumRateCrlb"):
        isacsim.solve("quick")


def test_the_tables_are_as_long_as_asked():
    assert len(PROBLEMS) + len(CONSTRUCTIONS) + len(SOLVES) >= 40
    assert all(re.compile(message) for _, message in PROBLEMS.values())


W, G = np.ones((6, 3)), np.ones((5, 6))
METRICS = {
    "channels of other antennas": (
        lambda: isacsim.metrics.sum_rate(np.ones((4, 2)), W, 1.0),
        r"W: .* 4 .* H, got .*6, 3",
    ),
    "users without a stream": (
        lambda: isacsim.metrics.sqinr(np.ones((6, 4)), W, 1.0),
        "W: .* a column for each of 4 users",
    ),
    "channels of one axis": (lambda: isacsim.metrics.rate_bits(np.ones(6), W, 1.0), "H: must have at least 2 axes"),
    "noise of other users": (
        lambda: isacsim.metrics.sinr(np.ones((6, 3)), W, [1.0, 2.0]),
        r"noise_power: must be one number, or one for each of 3 users, got 'shape \(2,\)'",
    ),
    "a converter for a transceiver": (
        lambda: isacsim.metrics.sqinr(np.ones((6, 3)), W, 1.0, Aqnm(3)),
        r"transceiver: must be a Transceiver, got Aqnm.* Give Transceiver\(",
    ),
    "response of other antennas": (
        lambda: isacsim.metrics.radar_sqnr(G, W[:5], 1.0),
        r"W: .* 6 .*sensing array, got .*5, 3",
    ),
    "response seen through a converter": (
        lambda: isacsim.metrics.response_crb(G, np.eye(6), 1.0, 9, Aqnm(3)),
        "transceiver: must be a Transceiver",
    ),
}


@pytest.mark.parametrize("what", sorted(METRICS))
def test_metrics_refuse_what_does_not_fit_together(what):
    make, message = METRICS[what]
    with pytest.raises(InvalidInput, match=message):
        make()


def test_names_of_solvers_and_scenarios_of_another_type_are_refused(kit):
    with pytest.raises(InvalidInput, match="solver: must name one of the solvers, got 'scaa'. Did you mean 'sca'"):
        isacsim.solve(kit.make_problem(), "scaa")
    with pytest.raises(InvalidInput, match="scenario: must be the path of a file, got 3"):
        isacsim.load_scenario(3)
