"""The base of experiments: what an author may return, and what is said of what does not fit."""

import re
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen

from isacsim import InvalidInput, Transceiver
from isacsim.link import Link
from isacsim.metrics.components import Quantity
from isacsim.testing import check_measure
from isacsim.testing.examples import example_drop, example_precoder
from isacsim.waveform.base import Experiment

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


@frozen
class Given(Experiment):
    """Returns what it is given."""

    values: tuple = ()
    quantities = (Quantity("one", "1"), Quantity("each", "1", ("user",)))

    def trial(self, link, rng):
        return dict(self.values)


def measured(**values):
    drop = example_drop()
    rngs = [np.random.default_rng(i) for i in range(3)]
    return Given(tuple(values.items())).measure(Link(example_precoder(drop), drop, Transceiver()), rngs)


@pytest.mark.parametrize("one", [3, 3.0, True, np.float64(3), np.array([3])])
@pytest.mark.parametrize("each", [[1, 2], [[1, 2]], np.array([1.0, 2.0])])
def test_a_value_may_be_a_number_or_an_array_with_a_leading_axis_or_without(one, each):
    values = measured(one=one, each=each)
    assert values["one"].tolist() == [float(one if np.ndim(one) == 0 else one[0])] * 3
    assert values["each"].tolist() == [[1.0, 2.0]] * 3
    assert all(v.dtype == float for v in values.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"one": 1.0}, r"Given: must return 'each' from trial, got \['one'\]"),
        (
            {"one": [1, 2], "each": [1, 2]},
            r"must return 'one' with the axes \(\) of one trial, got .*shape \(2,\)",
        ),
        (
            {"one": 1, "each": 2},
            r"must return 'each' with the axes \('user',\) of one trial, got .*shape \(1,\)",
        ),
        ({"one": 1, "each": np.ones((2, 2))}, r"Given: must return 'each' with .* got .*shape \(2, 2\)"),
    ],
)
def test_what_does_not_fit_is_told_by_experiment_and_quantity(values, message):
    with pytest.raises(InvalidInput, match=message):
        measured(**values)


@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not installed")
def test_the_experiment_of_the_plugin_guide_keeps_the_contract():
    section = PAGE.read_text("utf-8").split("### isacsim_experiments")[1].split("\n### ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    namespace = {"__name__": "guide"}
    exec(code, namespace)
    experiment = namespace["PeakToAverage"]
    assert experiment.__doc__
    # The class lives in no module that pickle finds, which the last of the contract's rules asks for.
    with pytest.raises(AssertionError, match="pickle"):
        check_measure(experiment(50))
