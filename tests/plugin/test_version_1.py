"""A plugin as its author wrote it for version 1 of the plugin API, through a whole run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

OLD = Path(__file__).parents[1] / "data" / "plugin-version-1"  # the example as it was, and a metric and a solver

# In a process of its own, since the packages have the names of installed ones.
PROGRAM = """
import json, sys, warnings
sys.path.insert(0, sys.argv[1])
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import isacsim
    from isacsim.plugin import build_registry
    import isacsim_example, isacsim_old_parts
    from isacsim_example import plugin
    assert isacsim_example.__file__.startswith(sys.argv[1])
    registry = build_registry([plugin, isacsim_old_parts], installed=False)
    limiter = '{kind = "soft-limiter", saturation_dbm = 3}'
    changes = [
        "sinks=[]", "design.sca.solver={kind = 'old-beams'}", "design.sca.hardware='converters'",
        'evaluate.converters.metrics=["sum-rate-nats", "old-rate"]', "figure={}",
        'hardware.converters.transmit=[{kind = "aqnm", bits = 3}, ' + limiter + "]",
        "sweep.bits.values=[2]",
    ]
    scenario = isacsim.load_scenario(sys.argv[3], set=changes, registry=registry)
    data = isacsim.run(scenario, sys.argv[2], trials=2, registry=registry).dataset()
names = ("sum-rate-nats", "old-rate")
found = {name: data[name].values.ravel().tolist() for name in names}
found["told"] = [str(w.message) for w in told if w.category is DeprecationWarning]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory, studies):
    out = tmp_path_factory.mktemp("version-1") / "run"
    command = [sys.executable, "-c", PROGRAM, str(OLD), str(out), str(studies.FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_its_stage_its_metric_and_its_solver_go_through_a_run(found):
    assert len(found["old-rate"]) == 2
    assert found["old-rate"] == found["sum-rate-nats"]
    assert min(found["old-rate"]) > 0


@pytest.mark.parametrize(
    ("of", "remedy"),
    [
        ("plugin isacsim_example.plugin (given): ", "say `isacsim_api = 2` in its module"),
        ("plugin isacsim_old_parts (given): ", "say `isacsim_api = 2` in its module"),
        (
            "OldRate.value(W, drop, transceiver) ",
            "use one that takes a link, and reads link.W, link.drop and link.transceiver",
        ),
        ("Beams.hardware_aware: ", "override `takes`"),
    ],
)
def test_one_sentence_each_says_what_to_change(found, of, remedy):
    (told,) = (sentence for sentence in found["told"] if sentence.startswith(of))
    assert remedy in told
