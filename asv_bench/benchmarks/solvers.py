"""Every solver that is installed, on the reference instances of `isacsim bench`.

What an algorithm reaches (objective, gap, residual, violation, steps) has no noise, and the
ratio to the published algorithm comes from one run. Times in seconds are in the files of the
problems.
"""

import numpy as np

try:  # the cases are those of the installed version; one from before `isacsim bench` has none
    from isacsim.benchmark.cases import entries
    from isacsim.benchmark.instances import families
    from isacsim.benchmark.quality import shortfall
    from isacsim.benchmark.results import Results
    from isacsim.benchmark.selection import Selection
    from isacsim.benchmark.suite import SHORT, measure
    from isacsim.plugin import default_registry
except ImportError:
    CASES = ["none"]
else:
    REGISTRY = default_registry()
    CASES = [
        f"{family.kind} {size} {entry.label}"
        for family in families(REGISTRY).values()
        for size in family.names(full=False)
        for entry in entries(family, REGISTRY)
    ]


GOOD = ("GLOBAL", "OPTIMAL", "STATIONARY")


def silent(text):
    """Told what is measured, and tells nobody."""


class Quality:
    """Each solver on some realisations of each size of its problem, one by one."""

    param_names = ("case",)
    params = (CASES,)
    timeout = 600

    def setup_cache(self):
        if CASES == ["none"]:
            return {}
        selection = Selection(tuple(families(REGISTRY)))
        alone = [r for r in selection.planned(REGISTRY, silent) if r.case.mode == "alone"]
        results = Results({}, tuple(measure(alone, SHORT, REGISTRY, silent)))
        return {f"{r.case.subject} {r.case.size} {r.case.name}": self.numbers(results, r) for r in results.results}

    @staticmethod
    def numbers(results, result):
        if result.quality is None:
            return None
        best = results.best(result.case.subject, result.case.size)
        return {
            "shortfall": float(np.max(shortfall(result.quality, best, result.sense))),
            "objective": float(np.mean(result.quality.objective)),
            **{name: result.quality.worst(name) for name in ("gap", "residual", "violation")},
            "steps": float(np.mean(result.quality.iterations)),
            "converged": float(
                np.mean([name in ("GLOBAL", "OPTIMAL", "STATIONARY") for name in result.quality.status])
            ),
            "ratio": results.ratio(result),
        }

    def setup(self, found, case):
        if found.get(case) is None:
            raise NotImplementedError("not in this version, or too slow at this size")

    def track_shortfall(self, found, case):
        return found[case]["shortfall"]

    def track_objective(self, found, case):
        return found[case]["objective"]

    def track_gap(self, found, case):
        return found[case]["gap"]

    def track_residual(self, found, case):
        return found[case]["residual"]

    def track_violation(self, found, case):
        return found[case]["violation"]

    def track_steps(self, found, case):
        return found[case]["steps"]

    def track_converged(self, found, case):
        return found[case]["converged"]

    def track_ratio(self, found, case):
        return found[case]["ratio"]

    setup_cache.timeout = 600
    track_shortfall.unit = "worst distance from the best objective, relative"
    track_objective.unit = "mean objective"
    track_gap.unit = "largest relative duality gap"
    track_residual.unit = "largest relative KKT residual"
    track_violation.unit = "largest relative violation"
    track_steps.unit = "mean steps"
    track_converged.unit = "share of members"
    track_ratio.unit = "time of the published algorithm over its own, in one run"
