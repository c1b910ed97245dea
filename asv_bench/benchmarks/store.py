"""The ledger: committing chunks, reading them back as a dataset, and its size."""

import tempfile
import time
from pathlib import Path

import numpy as np

from .engine import quickstart
from .scenes import needed


class _Filled:
    """A run folder with trials that were never computed, of 6 points."""

    param_names = ("trials", "antennas")
    params = ([100, 1000], [16, 256])
    timeout = 300

    def setup(self, trials, antennas):
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        scenario = quickstart()
        plan = needed("isacsim.engine.plan:Plan").of(scenario, needed("isacsim.plugin:default_registry")())
        work, task = needed("isacsim.engine.work:work"), needed("isacsim.engine.plan:Task")
        one = work(task(plan.points, (0,)), {})
        outcome = type(one)(layouts=one.layouts)
        (address, _), record = next(iter(one.designs.items()))
        import attrs

        streams = record.precoder.shape[1]
        grown = attrs.evolve(record, decision={"precoder": np.resize(record.precoder, (antennas, streams))})
        for trial in range(trials):
            outcome.designs[address, trial] = grown
            for (point, _), row in one.rows.items():
                outcome.rows[point, trial] = row
        self.outcome, self.points, self.address = outcome, list(one.layouts), address
        self.store = self.create()
        self.store.commit(outcome)

    def create(self):
        self.count += 1
        folder = Path(self.folder.name) / str(self.count)
        return needed("isacsim.engine.store:Store").create(folder, {})

    def teardown(self, trials, antennas):
        if hasattr(self, "store"):
            self.store.close()
        self.folder.cleanup()


class Ledger(_Filled):
    """Whole transactions of results and precoders."""

    def time_commit(self, trials, antennas):
        with self.create() as store:
            store.commit(self.outcome)

    def time_read_rows(self, trials, antennas):
        for point in self.points:
            self.store.rows(point, trials)

    def time_read_designs(self, trials, antennas):
        self.store.designs(self.address, range(trials))

    def time_look_up_what_is_done(self, trials, antennas):
        for point in self.points:
            self.store.done(point)

    def track_size(self, trials, antennas):
        with self.create() as store:
            store.commit(self.outcome)
        return sum(file.stat().st_size for file in (Path(self.folder.name) / str(self.count)).iterdir()) / trials

    track_size.unit = "bytes a trial, of 6 points and one precoder"


class Reading:
    """The dataset of a run of many trials, of ten quantities each."""

    param_names = ("points", "trials")
    params = ([1, 1000], [10_000, 10])
    timeout = 300

    def setup(self, points, trials):
        if points * trials > 10_000 or points * trials < 1000:
            raise NotImplementedError
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "run"
        entry, record, outcome = (needed(f"isacsim.engine.work:{n}") for n in ("Entry", "DesignRecord", "Outcome"))
        ids = [f"{i:024x}" for i in range(points)]
        layout = tuple(entry("judged", "made", f"quantity{k}", "1", (), (), {}, "") for k in range(10))
        meta = {
            "title": "", "trials": trials, "axes": {"x": list(range(points))}, "axis_labels": {"x": "x"},
            "points": [{"coords": {"x": i}, "id": p, "design_ids": {"made": f"d{p}"}} for i, p in enumerate(ids)],
            "designs": ["made"], "evaluations": ["judged"], "figures": {}, "expectations": {}, "provenance": {},
        }  # fmt: skip
        solved = record(np.array([1.0, 0, 0, 0, 3, 0]), {"precoder": np.ones((4, 2), complex)}, (), 1e-4)
        pairs = [(point, trial) for point in ids for trial in range(trials)]
        whole = outcome(dict.fromkeys(ids, layout), {pair: np.arange(10.0) for pair in pairs})
        whole.designs.update({(f"d{point}", trial): solved for point, trial in pairs})
        with needed("isacsim.engine.store:Store").create(path, meta) as store:
            store.commit(whole)
        self.run = needed("isacsim:open_run")(path)
        self.run.dataset()  # what is imported once

    def teardown(self, points, trials):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def track_time_per_trial(self, points, trials):
        begin = time.process_time()
        self.run.dataset()
        return 1e6 * (time.process_time() - begin) / (points * trials)

    track_time_per_trial.unit = "us of CPU time a trial, aim: 10"

    def time_a_piece_on_demand(self, points, trials):
        self.run.dataset(lazy=True)["quantity3"].isel(trial=slice(0, 10)).load()

    def time_counts(self, points, trials):
        self.run.counts()
