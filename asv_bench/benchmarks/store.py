"""The ledger: committing chunks, reading them back as a dataset, and its size."""

import tempfile
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
