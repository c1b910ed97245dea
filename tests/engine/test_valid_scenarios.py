"""Scenarios that are valid by construction, small and of any values, are checked, run to the end and told honestly."""

import math
import os

import numpy as np
import pytest

import isacsim
from isacsim.cli.main import main
from isacsim.solvers.solution import Status

FEW, MANY = 6, int(os.environ.get("ISACSIM_SCENARIOS", "500"))
FIRST = int(os.environ.get("ISACSIM_SEED", "0"))  # another range of seeds gives other files
ANSWERED = {str(status) for status in Status if status.answered}


def toml(value):
    """A value, or a table of one line, as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Draw:
    """Parts of a scenario, drawn at random; extremes of a range as often as its middle."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def number(self, low, high):
        return float(self.one(low, high, self.rng.uniform(low, high), self.rng.uniform(low, high)))

    def array(self):
        flags = {"normalized": self.one(True, False), "conjugate": self.one(True, False)}
        sizes = {"horizontal": self.one(1, 2, 3), "vertical": self.one(1, 2)}
        return self.one({"kind": "upa", **sizes, **flags}, {"kind": "ula", "elements": self.one(1, 2, 4, 6), **flags})

    def chain(self):
        stages = [
            {"kind": "aqnm", "bits": self.one(1, 2, 5, 12, math.inf), "table": self.one("lloyd-max", "uniform")},
            {"kind": "mid-rise", "bits": self.one(1, 3, 8)},
            {"kind": "ideal"},
        ]
        return [self.one(*stages) for _ in range(self.one(0, 1, 1, 2))]

    def channel(self):
        rician = {"kind": "rician", "k_factor_db": self.number(-60, 120), "gain_db": self.number(-150, 50)}
        return self.one({"kind": "rayleigh", "gain_db": self.number(-150, 50)}, rician)

    def targets(self):
        count = self.one(1, 1, 2, 3)
        points = {
            "kind": "points",
            "azimuth_deg": [self.number(-90, 90) for _ in range(count)],
            "zenith_deg": [self.number(1, 179) for _ in range(count)],
            "reflection": [str(complex(self.number(-1, 1), self.number(-1, 1))).strip("()") for _ in range(count)],
        }
        return self.one(points, points, {"kind": "extended", "variance_db": self.number(-100, 50)})

    def problem(self, points):
        problems = [
            {"kind": "crb-min", "min_sinr_db": self.number(-30, 40)},
            {"kind": "sqnr-max", "min_sqinr_db": self.number(-30, 40)},
        ]
        if points:
            weights = {"rate_weight": self.number(0.0, 10.0), "crlb_weight": self.number(1e-6, 10.0)}
            problems += [{"kind": "sum-rate-crlb", **weights}, {"kind": "point-crb-min", "min_sinr_db": 0.0}]
        return self.one(*problems)

    def text(self):
        """The text of a scenario file."""
        targets = self.targets()
        if targets["kind"] == "points":
            transmit, receive = ({**self.array()} for _ in range(2))
            if "ula" in (transmit["kind"], receive["kind"]):
                targets["zenith_deg"] = [90.0] * len(targets["azimuth_deg"])
        else:
            transmit, receive = self.array(), self.array()
        metrics = ["sum-rate-nats", "rate-nats", "sqinr", "radar-sqnr", "radiated-power"]
        metrics += ["crlb"] if targets["kind"] == "points" else []
        station = {
            "transmit_array": transmit, "receive_array": receive, "power_dbm": self.number(-100, 80),
            "radar_noise_dbm": self.number(-150, 50), "snapshots": self.one(1, 8, 1000),
        }  # fmt: skip
        tables = {
            "base_station": station,
            "users": {"count": self.one(1, 2, 3), "channel": self.channel(), "noise_dbm": self.number(-150, 50)},
            "targets": targets,
            "hardware.met": {side: self.chain() for side in ("transmit", "receive", "user")},
            "design.one": {"problem": self.problem(targets["kind"] == "points")},
            "evaluate.met": {
                "hardware": self.one("met", "ideal"), "power": self.one("radiated", "designed"),
                "metrics": [metric for metric in metrics if self.one(True, False)] or metrics[:1],
            },
        }  # fmt: skip
        head = f'title = "drawn"\nseed = {self.one(0, 2**64, 7)}\ntrials = {self.one(1, 2)}\nsinks = []\n'
        lines = [
            f"[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items()) for name, table in tables.items()
        ]
        return head + "\n".join(lines)


def lost(dataset):
    """Names of quantities that have NaN where the design has an answer."""
    good = np.isin(dataset["status"].values, list(ANSWERED))
    found = []
    for name, values in dataset.data_vars.items():
        if name != "status" and values.dtype.kind == "f" and "evaluate" in values.dims and "design" in values.dims:
            rest = [d for d in values.dims if d not in ("design", "trial")]
            bare = np.isnan(values).any(rest).transpose("design", "trial").values
            found += [name] if np.any(bare & good.reshape(bare.shape)) else []
    return found


def run_drawn(seed, folder, capsys):
    (folder / "study.toml").write_text(Draw(seed).text(), encoding="utf-8")
    assert main(["check", str(folder / "study.toml")]) == 0
    code = main(["run", str(folder / "study.toml"), "--workers", "1", "--out", str(folder / "run"), "--json"])
    counts = isacsim.open_run(folder / "run").counts()
    assert (code, counts.failed, counts.skipped) == (0, 0, 0), isacsim.open_run(folder / "run").failures()
    assert lost(isacsim.open_run(folder / "run").dataset()) == []
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(FIRST, FIRST + FEW))
def test_a_drawn_scenario_runs_to_the_end(seed, tmp_path, capsys):
    run_drawn(seed, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST + FEW, FIRST + MANY))
def test_many_drawn_scenarios_run_to_the_end(seed, tmp_path, capsys):
    run_drawn(seed, tmp_path, capsys)
