"""Whole studies from a scenario file to a dataset, as `isacsim run` does them."""

import tempfile
from pathlib import Path

from .engine import BARE
from .scenes import needed

# Name, and what makes it small enough for a benchmark.
STUDIES = {
    "quickstart": ("trials=50",),
    "crb-min/fig1-users": ("trials=2", "sweep.users.values=[4, 6, 8]"),
    "sum-rate-crlb/fig4-sensing-as-run": ("trials=2",),
}


class Study:
    """A run with one worker, and reading its results again."""

    param_names = ("study",)
    params = (list(STUDIES),)
    timeout = 300

    def setup(self, study):
        file = needed("isacsim.engine.files:scenario_file")(f"{study}.toml")
        if not Path(file).exists():
            raise NotImplementedError(f"this version has no {study}")
        self.scenario = needed("isacsim:load_scenario")(file, set=(*BARE, *STUDIES[study]))
        self.run = needed("isacsim:run")
        self.executor = needed("isacsim.engine.executors:Serial")()
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        self.finished = self.once()

    def once(self):
        self.count += 1
        return self.run(self.scenario, Path(self.folder.name) / str(self.count), executor=self.executor)

    def teardown(self, study):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def time_run(self, study):
        self.once()

    def peakmem_run(self, study):
        self.once()

    def time_dataset(self, study):
        self.finished.dataset()
