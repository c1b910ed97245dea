"""`isacsim check` finds what a rehearsal of one trial would find."""

import pytest

from isacsim.cli.main import main
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm

SCENE = """
title = "amplified"
trials = 3
[base_station]
transmit_array = { kind = "ula", elements = 6 }
receive_array = { kind = "ula", elements = 6 }
power_dbm = 10
radar_noise_dbm = 0
snapshots = 30
[users]
count = 2
channel = { kind = "rayleigh" }
noise_dbm = 0
[targets]
kind = "TARGET"
TARGET_KEYS
[hardware.lossy]
transmit = [{ kind = "aqnm", bits = 3 }, AMPLIFIER]
[design.d]
problem = { kind = "sqnr-max", min_sqinr_db = 1 }
solver = { kind = "SOLVER" }
hardware = "BELIEVED"
[evaluate.real]
hardware = "lossy"
power = "POWER"
metrics = [METRICS]
experiments = [EXPERIMENTS]
"""
VALID = {
    "TARGET_KEYS": "azimuth_deg = 20",
    "TARGET": "point",
    "AMPLIFIER": '{ kind = "soft-limiter", saturation_dbm = 10 }',
    "BELIEVED": "ideal",
    "SOLVER": "newton-mm",
    "POWER": "designed",
    "METRICS": '"sum-rate-nats"',
    "EXPERIMENTS": "",
}
EXTENDED = {"TARGET_KEYS": "variance_db = -10", "TARGET": "extended"}


def scenario(folder, **changes):
    text = SCENE
    for mark, value in {**VALID, **changes}.items():
        text = text.replace(mark, value)
    path = folder / "scenario.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"BELIEVED": "lossy", "SOLVER": "mm", "AMPLIFIER": '{ kind = "rapp", saturation_dbm = 10 }'},
            "design.d.solver: must take the problem sqnr-max; mm designs for data converters, and transmit.1 "
            "(Rapp) does not add noise",
        ),
        ({**EXTENDED, "METRICS": '"crlb"'}, "targets: must have unknown parameters, as point targets do"),
        ({**EXTENDED, "EXPERIMENTS": '{ kind = "estimation" }'}, "targets: must be point targets to be located"),
        (
            {"EXPERIMENTS": '{ kind = "sampled-echo", symbols = 9 }'},
            "evaluate.real.experiments.0.symbols: must be at least",
        ),
        (
            {"POWER": "radiated", "AMPLIFIER": '{ kind = "soft-limiter", saturation_dbm = -30 }'},
            "evaluate.real.power: must be reachable, in W: the transmit chains saturate",
        ),
    ],
)
def test_what_fails_in_every_trial_is_not_valid(tmp_path, capsys, monkeypatch, changes, told):
    pytest.importorskip("isacsim_rf")
    pytest.importorskip("isacsim_example")
    # A check is for those who wait for it: nothing is solved.
    monkeypatch.setattr(NewtonMm, "solve", lambda *_: pytest.fail("a check has solved"))
    assert main(["check", scenario(tmp_path)]) == 0
    assert main(["check", scenario(tmp_path, **changes)]) == 2
    assert told in capsys.readouterr().err


def test_a_check_says_at_which_point_of_a_sweep_something_is_wrong(tmp_path, capsys):
    pytest.importorskip("isacsim_example")
    path = scenario(tmp_path, POWER="radiated")
    with open(path, "a", encoding="utf-8") as file:
        file.write('[sweep.level]\nvalues = [10, -30]\nsets = "hardware.lossy.transmit.1.saturation_dbm"\n')
    assert main(["check", path]) == 2
    assert capsys.readouterr().err.endswith("This is at level = -30.\n")


def test_no_solver_for_the_hardware_is_said_with_its_name(tmp_path, capsys):
    pytest.importorskip("isacsim_example")
    assert main(["check", scenario(tmp_path, BELIEVED="lossy")]) == 2
    told = capsys.readouterr().err
    assert "No solver of sqnr-max takes hardware.lossy." in told
    assert "Believe in ideal hardware and judge through the real one." in told
