"""Scenarios that are valid by construction, small and of any values, are checked, run to the end and told honestly."""

import math
import os

import numpy as np
import pytest

import isacsim
from isacsim.cli.main import main
from isacsim.engine.load import load_scenario
from isacsim.solvers.solution import Status

FEW, MANY = 6, int(os.environ.get("ISACSIM_SCENARIOS", "500"))
FIRST = int(os.environ.get("ISACSIM_SEED", "0"))  # another range of seeds gives other files
SIDES = ("transmit", "receive", "user")
SATURATING = ("rapp", "saleh", "clipping-dac")
METRICS = ("sum-rate-nats", "rate-nats", "sqinr", "mean-sqinr", "min-sqinr", "radar-sqnr")
METRICS += ("radar-sqnr-combiner", "radiated-power", "response-crb", "energy-efficiency", "beampattern")
CRLBS = ("crlb", "crlb-parameters")
# Each solver with few steps, so that a slow one is one too.
FEW_STEPS = ("riemannian-lbfgs", "riemannian-cg", "sca", "ld-sca", "fp-sgda", "wmmse-sdr", "mm", "bal", "r-bal")
SOLVERS = {
    "sum-rate-crlb": ("riemannian-lbfgs", "riemannian-lbfgs", "riemannian-cg", "sca", "ld-sca", "fp-sgda", "wmmse-sdr"),
    "crb-min": ("primal-dual-newton", "primal-dual-newton", "bal", "r-bal", "ipm", "r-ipm"),
    "sqnr-max": ("newton-mm", "newton-mm", "mm", "sdr"),
    "point-crb-min": ("fisher-sdr",),
}


def toml(value):
    """A value, or a table of one line, as TOML."""
    if isinstance(value, dict):
        keys = {key: f'"{key}"' if "." in key else key for key in value}
        return "{ " + ", ".join(f"{keys[key]} = {toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Draw:
    """Parts of a scenario, drawn at random; extremes of a range as often as its middle."""

    def __init__(self, seed):
        self.rng, self.extreme = np.random.default_rng(seed), False
        self.wild = bool(self.rng.uniform() < 0.5)

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def far(self):
        """Whether a number is to be one of no device; such a file may have rows that fail, as long as they say why."""
        drawn = self.wild and bool(self.rng.uniform() < 0.1)
        self.extreme |= drawn
        return drawn

    def number(self, low, high):
        return float(self.one(low, high, self.rng.uniform(low, high), self.rng.uniform(low, high)))

    def level(self, low, high):
        """A level in dB: that of no device at times, up to the ends of what a number can be."""
        return self.one(-3000.0, -800.0, 800.0, 2900.0) if self.far() else self.number(low, high)

    def array(self):
        flags = {"normalized": self.one(True, False), "conjugate": self.one(True, False)}
        sizes = {"horizontal": self.one(1, 2, 3), "vertical": self.one(1, 2)}
        return self.one({"kind": "upa", **sizes, **flags}, {"kind": "ula", "elements": self.one(1, 2, 4, 6), **flags})

    def chain(self):
        stages = [
            {"kind": "aqnm", "bits": self.one(1, 2, 5, 12, math.inf), "table": self.one("lloyd-max", "uniform")},
            {"kind": "mid-rise", "bits": self.one(2, 3, 8)},
            {"kind": "rapp", "saturation_dbm": self.level(-100, 80), "smoothness": self.number(0.5, 20)},
            {"kind": "saleh", "saturation_dbm": self.level(-100, 80)},
            {"kind": "iq-imbalance", "gain_db": self.number(-60, 60), "phase_deg": self.number(-90, 90)},
            {"kind": "clipping-dac", "bits": self.one(2, 6, 12), "full_scale_dbm": self.level(-100, 80)},
            {"kind": "ideal"},
        ]
        chain = [self.one(*stages) for _ in range(self.one(0, 1, 1, 2))]
        self.extreme |= any(stage["kind"] in SATURATING for stage in chain)  # driven at any level
        return chain

    def believed(self):
        """A chain of one converter, which the solvers of sqnr-max take."""
        return [{"kind": "aqnm", "bits": self.one(1, 3, 8, math.inf)}] if self.one(True, False) else []

    def channel(self):
        rician = {"kind": "rician", "k_factor_db": self.level(-60, 120), "gain_db": self.level(-150, 50)}
        return self.one({"kind": "rayleigh", "gain_db": self.level(-150, 50)}, rician)

    def targets(self):
        count = self.one(1, 1, 2, 3)
        points = {
            "kind": "points",
            "azimuth_deg": [self.one(self.number(-90, 90), self.number(-1e9, 1e9)) for _ in range(count)],
            "zenith_deg": [self.number(0, 180) for _ in range(count)],
            "reflection": [self.reflection() for _ in range(count)],
        }
        return self.one(points, points, {"kind": "extended", "variance_db": self.level(-100, 50)})

    def reflection(self):
        size = self.one(0.0, 1e-200, 1e150) if self.far() else 1.0
        return str(size * complex(self.number(-1, 1), self.number(-1, 1))).strip("()")

    def weight(self):
        return self.one(1e-300, 1e-30, 1e30, 1e300) if self.far() else self.number(1e-6, 10.0)

    def problem(self, points):
        problems = [
            {"kind": "crb-min", "min_sinr_db": self.level(-30, 40)},
            {"kind": "sqnr-max", "min_sqinr_db": self.level(-30, 40)},
        ]
        if points:
            weighed = {"rate_weight": self.one(0.0, self.weight()), "crlb_weight": self.weight()}
            chosen = {"parameters": ["azimuth", "reflection"], "parameter_weights": [self.weight(), self.one(0.0, 1.0)]}
            more = self.one({}, {}, chosen, {"per_antenna": True}, {"sensing_streams": self.one(1, 2, 5)})
            problems += [{"kind": "sum-rate-crlb", **weighed, **more}] * 2
            problems += [{"kind": "point-crb-min", "min_sinr_db": self.level(-30, 40)}]
        return self.one(*problems)

    def design(self, points):
        problem = self.problem(points)
        # The default, which comes first, takes everything.
        name = SOLVERS[problem["kind"]][0] if problem.get("per_antenna") else self.one(*SOLVERS[problem["kind"]])
        design = {
            "problem": problem,
            "solver": {"kind": name, **({"max_steps": 3 if name == "wmmse-sdr" else 20} if name in FEW_STEPS else {})},
        }
        hardware = {"hardware": "believed"} if problem["kind"] == "sqnr-max" and self.one(True, False) else {}
        error = {"channel_error_db": self.level(-60, 20)} if self.rng.uniform() < 0.3 else {}
        return {**design, **hardware, **error, "trace": self.one(True, False)}

    def experiments(self, points):
        found = [
            {"kind": "link", "modulation": self.one("qpsk", "qam16", "gaussian"), "symbols": self.one(2, 40),
             "training": self.one(2, 16), "gain": self.one("empirical", "predicted"),
             "equaliser": self.one("one-tap", "lmmse")},
            {"kind": "sampled-echo", "symbols": 64},
            {"kind": "detection", "decisions": self.one(10, 100), "false_alarm": 0.1, "snapshots": self.one(1, 3),
             "detector": self.one("energy", "likelihood-ratio"), "agc": self.one("h1", "match"),
             "band": self.one("dkw", "wilson")},
        ]  # fmt: skip
        if points:
            found.append({"kind": "estimation", "runs": 2, "method": self.one("maximum-likelihood", "beamforming")})
        return [self.one(*found)] if self.rng.uniform() < 0.4 else []

    def evaluation(self, points, designs, saturates):
        hardware = self.one("met", "ideal", "believed")
        known = (*METRICS, *(CRLBS if points else ()), *(("sqinr-bound",) if hardware != "met" else ()))
        metrics = [metric for metric in known if self.rng.uniform() < 0.3]
        power = "designed" if hardware == "met" and saturates else self.one("radiated", "designed")
        evaluation = {"hardware": hardware, "power": power, "metrics": metrics or [METRICS[0]]}
        if experiments := self.experiments(points):
            evaluation["experiments"] = experiments
        return evaluation | ({"designs": designs[:1]} if self.one(True, False) else {})

    def sweep(self, tables):
        """Up to two axes, each over one place or over several at once."""
        noise = ["users.noise_dbm", "base_station.radar_noise_dbm"]
        axes = {
            "power": {"values": [-20, self.level(0, 60)], "sets": ["base_station.power_dbm"]},
            "noise": {"values": [self.level(-150, -1), 0.0], "sets": noise},
            "users": {"values": [1, 3], "sets": ["users.count"]},
            "error": {"values": [self.level(-60, -10), 3.0], "sets": ["design.one.channel_error_db"]},
        }
        for i, stage in enumerate(tables["hardware.met"]["transmit"]):
            if stage["kind"] == "aqnm":
                sets = {f"hardware.met.transmit.{i}.bits": [1, math.inf], "base_station.snapshots": [8, 9]}
                axes["bits"] = {"values": ["coarse", "fine"], "sets": sets}
        names = self.rng.permutation(list(axes))[: self.one(0, 0, 1, 2)]
        return {str(name): axes[name] for name in names}

    def tables(self):
        """The tables of a scenario, by name."""
        targets = self.targets()
        points = targets["kind"] == "points"
        transmit, receive = self.array(), self.array()
        if points and "ula" in (transmit["kind"], receive["kind"]):
            targets["zenith_deg"] = [90.0] * len(targets["azimuth_deg"])
        station = {
            "transmit_array": transmit, "receive_array": receive, "power_dbm": self.level(-100, 80),
            "radar_noise_dbm": self.level(-150, 50), "snapshots": self.one(6, 8, 1000),
        }  # fmt: skip
        designs = {name: self.design(points) for name in ("one", "two", "three")[: self.one(1, 1, 2, 3)]}
        tables = {
            "base_station": station,
            "users": {"count": self.one(1, 2, 3), "channel": self.channel(), "noise_dbm": self.level(-150, 50)},
            "targets": targets,
            "hardware.met": {side: self.chain() for side in SIDES},
            "hardware.believed": {side: self.believed() for side in SIDES},
            **{f"design.{name}": design for name, design in designs.items()},
        }
        saturates = any(stage["kind"] in SATURATING for stage in tables["hardware.met"]["transmit"])
        for name in ("here", "there")[: self.one(1, 1, 2)]:
            tables[f"evaluate.{name}"] = self.evaluation(points, list(designs), saturates)
        axes = self.sweep(tables)
        if axes and "two" in designs and self.one(True, False):
            axis = self.one(*axes)
            designs["two"]["only"] = {axis: [axes[axis]["values"][0]]}
        return tables | {f"sweep.{name}": axis for name, axis in axes.items()}

    def text(self):
        """The text of a scenario file."""
        seed, trials = self.one(0, 2**64, 2**127, 7), self.one(1, 2, 3)
        head = f'title = "drawn"\nseed = {seed}\ntrials = {trials}\nsinks = []\n'
        lines = [
            f"[{name}]\n" + "".join(f"{toml(k) if '.' in k else k} = {toml(v)}\n" for k, v in table.items())
            for name, table in self.tables().items()
        ]
        return head + "\n".join(lines)


def lost(scenario, dataset):
    """Evaluation and name of what has NaN where a design it judges has an answer."""
    found = []
    for label, evaluation in scenario.evaluate.items():
        judged = list(evaluation.designs or scenario.design)
        good = dataset["status"].sel(design=judged).isin([str(s) for s in Status if s.answered])
        for quantity in (q.name for m in (*evaluation.metrics, *evaluation.experiments) for q in m.quantities):
            values = dataset[quantity].sel(evaluate=label, design=judged)
            if "users" in dataset.dims and "user" in values.dims:  # those who are not there at a point of the sweep
                values = values.isel(user=0)
            bare = np.isnan(values).any([d for d in values.dims if d not in good.dims])
            found += [(label, quantity)] if bool((bare & good).any()) else []
    return found


def run_drawn(seed, folder, capsys):
    draw, file, out = Draw(seed), folder / "study.toml", folder / "run"
    file.write_text(draw.text(), encoding="utf-8")
    checked = main(["check", str(file)])
    assert checked == 0 or (draw.extreme and checked == 2), capsys.readouterr().err
    code = main(["run", str(file), "--workers", "1", "--executor", "serial", "--out", str(out), "--json"])
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "Warning" not in told
    if checked == 2 and code == 2:
        return
    run = isacsim.open_run(out)
    counts, failures = run.counts(), run.failures()
    assert counts.requested == counts.done + counts.partly + counts.failed + counts.skipped
    assert counts.skipped == 0
    assert code == (0 if counts.complete else 1)
    assert counts.complete or draw.extreme, failures
    assert {failure.what.type for failure in failures} <= {"InvalidInput"}, failures
    assert counts.partly + counts.failed or lost(load_scenario(file), run.dataset()) == []


@pytest.mark.parametrize("seed", range(FIRST, FIRST + FEW))
def test_a_drawn_scenario_runs_to_the_end(seed, tmp_path, capsys):
    run_drawn(seed, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST + FEW, FIRST + MANY))
def test_many_drawn_scenarios_run_to_the_end(seed, tmp_path, capsys):
    run_drawn(seed, tmp_path, capsys)
