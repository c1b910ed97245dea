"""`isacsim replay`: one trial again, in the foreground, beside what is stored of it."""

import json

import pytest

import isacsim

TOUCHY = 'evaluate.converters.metrics=["sum-rate-nats", {kind="touchy", trial=3}]'


@pytest.fixture
def failed(study, registry, tmp_path, monkeypatch):
    """The folder of a run of which trial 3 is partly done."""
    monkeypatch.setattr("isacsim.cli.main.build_registry", lambda **_: registry)
    scenario = study(TOUCHY, "sweep.bits.values=[2, 3]", "figure={}", "expect={}", registry=registry)
    return isacsim.run(scenario, tmp_path / "run", chunk=4, registry=registry).path


def test_the_command_prints_what_came_and_what_is_stored(failed, call, monkeypatch):
    code, out, _ = call("replay", failed, "--trial", 1, "--point", "bits=2")
    assert code == 0
    assert out.splitlines()[0] == "point:   bits=2; trial 1"
    assert out.splitlines()[-1] == "stored:  done; the same bytes"
    code, out, err = call("replay", failed, "--trial", 3, "--point", "bits=2")
    assert code == 1
    assert "failed:  design sca in evaluate.converters (touchy): ArithmeticError: this trial is touchy" in out
    assert 'raise KeyboardInterrupt if self.how == "interrupt" else ArithmeticError' in err
    code, out, _ = call("replay", failed, "--trial", 3, "--point", "bits=2", "--json")
    told = json.loads(out)
    assert (code, told["same"], told["failures"][0]["type"]) == (1, True, "ArithmeticError")
    stopped = []
    monkeypatch.setattr("pdb.post_mortem", stopped.append)
    assert call("replay", failed, "--trial", 3, "--point", "bits=2", "--pdb")[0] == 1
    assert len(stopped) == 1
