"""The engine: what planning, drawing, judging and a trial cost beside the solver."""

import tempfile
import time
from pathlib import Path

from .scenes import needed

METRICS = 'evaluate.converters.metrics=["sum-rate-nats", "crlb"]'
BARE = ("sinks=[]", "figure={}")


def quickstart(*sets):
    """The quickstart scenario without figures and files, with changes."""
    scenario_file = needed("isacsim.engine.files:scenario_file")
    return needed("isacsim:load_scenario")(scenario_file("quickstart.toml"), set=(*BARE, *sets))


def bits(points):
    """A sweep over so many noise powers: points that share no design."""
    return (f"sweep.bits.values={[float(i) for i in range(points)]}", 'sweep.bits.sets="users.noise_dbm"')


class Planning:
    """Reading and planning a scenario of many points."""

    param_names = ("points",)
    params = ([6, 100, 1000],)

    def setup(self, points):
        self.registry = needed("isacsim.plugin:default_registry")()
        self.plan = needed("isacsim.engine.plan:Plan")
        self.scenario = quickstart(*bits(points))

    def time_load(self, points):
        quickstart(*bits(points))

    def time_plan(self, points):
        self.plan.of(self.scenario, self.registry)


class Chunk:
    """One task of the worker: draw, design and judge so many trials at 6 resolutions."""

    param_names = ("trials",)
    params = ([1, 10, 100],)

    def setup(self, trials):
        registry = needed("isacsim.plugin:default_registry")()
        plan = needed("isacsim.engine.plan:Plan").of(quickstart(), registry)
        self.work = needed("isacsim.engine.work:work")
        self.task = needed("isacsim.engine.plan:Task")(plan.points, tuple(range(trials)))
        self.known = self.work(self.task, {}).designs

    def time_draw(self, trials):
        self.task.points[0].scenario.drop(self.task.trials)

    def time_judge(self, trials):
        self.work(self.task, self.known)

    def peakmem_judge(self, trials):
        self.work(self.task, self.known)


class Run:
    """What a run costs a trial where the solver takes two steps: drawing, judging, storing, reading."""

    param_names = ("trials",)
    params = ([10, 1000],)
    timeout = 300

    def track_time_per_trial(self, trials):
        run = needed("isacsim:run")
        serial = needed("isacsim.engine.executors:Serial")
        scenario = quickstart(f"trials={trials}", "design.sca.solver.max_steps=2", METRICS)
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            run(scenario, Path(folder) / "run", executor=serial()).dataset()
            return 1e3 * (time.process_time() - begin) / trials

    track_time_per_trial.unit = "ms of CPU time a trial, of 6 points"
