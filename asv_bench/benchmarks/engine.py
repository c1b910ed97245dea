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
        scenario = quickstart(f"trials={trials}", "design.joint.solver.max_steps=2", METRICS)
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            run(scenario, Path(folder) / "run", executor=serial()).dataset()
            return 1e3 * (time.process_time() - begin) / trials

    track_time_per_trial.unit = "ms of CPU time a trial, of 6 points"


# Two antennas by two, two users, a precoder in closed form and one metric: as little as a trial can be.
TRIVIAL = (
    "sweep={}",
    'design.joint.solver={kind="mrt"}',
    'evaluate.converters.metrics=["sum-rate-nats"]',
    'evaluate.converters.power="designed"',
    "hardware.converters={}",
    "users.count=2",
    'base_station.transmit_array={kind="upa", horizontal=2, vertical=2}',
    'base_station.receive_array={kind="upa", horizontal=2, vertical=2}',
)


def clocked(scenario, **options):
    """Wall time of a run, and of each chunk when it ended, how many trials it had and the time in its worker, in s."""
    observer = needed("isacsim.engine.events:Observer")
    ends = []

    class Clock(observer):
        def chunk_end(self, event):
            ends.append((time.perf_counter(), event.done, event.seconds))

    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        needed("isacsim:run")(scenario, Path(folder) / "run", observers=[Clock()], **options)
        return time.perf_counter() - begin, ends


class Overhead:
    """What the engine takes beside the worker's own code, where a trial is as little as it can be."""

    timeout = 300
    few, many = 2000, 12_000

    def setup(self):
        self.serial = needed("isacsim.engine.executors:Serial")()
        self.aside(20)  # what is compiled and imported once

    def aside(self, trials, chunk=None):
        """Time of a run outside of its tasks, in s, and its number of tasks."""
        scenario = quickstart(f"trials={trials}", *TRIVIAL)
        whole, ends = clocked(scenario, executor=self.serial, chunk=chunk)
        return whole - sum(seconds for *_, seconds in ends), len(ends)

    def track_engine_per_trial(self):
        # Planning and opening are the same for both.
        return 1e6 * (self.aside(self.many)[0] - self.aside(self.few)[0]) / (self.many - self.few)

    track_engine_per_trial.unit = "us a trial, aim: 60"

    def track_share_of_half_second_chunks(self):
        (small, few), (large, many) = self.aside(self.few, chunk=20), self.aside(self.many, chunk=20)
        return 100 * (large - small) / (many - few) / 0.5

    track_share_of_half_second_chunks.unit = "% of 0.5 s, for chunks of 20 trials, aim: 2"


class TwoWorkers:
    """How many times as fast two worker processes are as one, on work that is arithmetic; both in one run."""

    timeout = 600

    def track_speed_up(self):
        scenario = quickstart("trials=2000", "sweep.bits.values=[3]", "design.joint.solver.max_steps=60")
        return self.rate(scenario, 2) / self.rate(scenario, 1)

    def rate(self, scenario, workers):
        """Trials a second, from when the last worker has ended its first chunk, after it has started and compiled."""
        _, ends = clocked(scenario, workers=workers, executor="processes", chunk=50)
        start = ends[2 * workers - 1][0]
        return sum(done for at, done, _ in ends if at > start) / (ends[-1][0] - start)

    track_speed_up.unit = "times, on two cores that are free; aim: 1.8"


class Precision:
    """A run that stops where it is as precise as asked, over one of as many trials that asks for nothing."""

    timeout = 300

    def track_cost_of_looking(self):
        asked = needed("isacsim.engine.precision:Precision")("sum-rate-nats", relative=1e-6)
        evolve, serial = needed("attrs:evolve"), needed("isacsim.engine.executors:Serial")()
        plain = quickstart("trials=1500", *TRIVIAL)
        looking = evolve(plain, precision={"rate": asked})
        clocked(plain, executor=serial)  # what is compiled and imported once
        return clocked(looking, executor=serial)[0] / clocked(plain, executor=serial)[0]

    track_cost_of_looking.unit = "times the run without"
