"""isacsim: hardware-impaired integrated sensing and communication, simulated and designed.

Everything named here is imported on first use, so that ``import isacsim`` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isacsim.lazy import lazy_names

if TYPE_CHECKING:
    from isacsim import metrics
    from isacsim.arrays import PlacedArray, UniformLinearArray, UniformPlanarArray
    from isacsim.drop import Drop, WidebandDrop
    from isacsim.engine.folder import Run, open_run
    from isacsim.engine.load import load_scenario
    from isacsim.engine.precision import Precision
    from isacsim.engine.run import run
    from isacsim.engine.scenario import BaseStation, Design, Evaluation, Scenario, Users
    from isacsim.engine.sweep import Axis
    from isacsim.engine.views import Expectation, Figure
    from isacsim.errors import InvalidInput, IsacsimError, PlausibilityWarning, PluginError, StoreError
    from isacsim.grid import Grid
    from isacsim.hardware.base import Hardware, Ideal, LinearModel, Transceiver
    from isacsim.hardware.chain import Chain
    from isacsim.hardware.quantisers import Aqnm, MidRise
    from isacsim.problems.crb_min import CrbMin
    from isacsim.problems.point_crb_min import PointCrbMin
    from isacsim.problems.sqnr_max import SqnrMax
    from isacsim.problems.sum_rate_crlb import SumRateCrlb
    from isacsim.report.comparison import compare
    from isacsim.report.export import export
    from isacsim.solvers.solution import Solution, Status
    from isacsim.solvers.solve import solve
    from isacsim.targets.background import Background, BackgroundModel, Clutter, SelfInterference
    from isacsim.targets.scene import PointTargets, ResponseMatrix

__version__ = "0.1.0"

_HOMES = {
    "isacsim.arrays": ("PlacedArray", "UniformLinearArray", "UniformPlanarArray"),
    "isacsim.drop": ("Drop", "WidebandDrop"),
    "isacsim.engine.load": ("load_scenario",),
    "isacsim.engine.precision": ("Precision",),
    "isacsim.engine.folder": ("Run", "open_run"),
    "isacsim.engine.run": ("run",),
    "isacsim.engine.scenario": ("BaseStation", "Design", "Evaluation", "Scenario", "Users"),
    "isacsim.engine.sweep": ("Axis",),
    "isacsim.engine.views": ("Expectation", "Figure"),
    "isacsim.errors": ("InvalidInput", "IsacsimError", "PlausibilityWarning", "PluginError", "StoreError"),
    "isacsim.grid": ("Grid",),
    "isacsim.hardware.base": ("Hardware", "Ideal", "LinearModel", "Transceiver"),
    "isacsim.hardware.chain": ("Chain",),
    "isacsim.hardware.quantisers": ("Aqnm", "MidRise"),
    "isacsim.problems.crb_min": ("CrbMin",),
    "isacsim.problems.point_crb_min": ("PointCrbMin",),
    "isacsim.problems.sqnr_max": ("SqnrMax",),
    "isacsim.problems.sum_rate_crlb": ("SumRateCrlb",),
    "isacsim.report.comparison": ("compare",),
    "isacsim.report.export": ("export",),
    "isacsim.solvers.solution": ("Solution", "Status"),
    "isacsim.solvers.solve": ("solve",),
    "isacsim.targets.background": ("Background", "BackgroundModel", "Clutter", "SelfInterference"),
    "isacsim.targets.scene": ("PointTargets", "ResponseMatrix"),
}

__all__ = [
    "Aqnm",
    "Axis",
    "Background",
    "BackgroundModel",
    "BaseStation",
    "Chain",
    "Clutter",
    "CrbMin",
    "Design",
    "Drop",
    "Evaluation",
    "Expectation",
    "Figure",
    "Grid",
    "Hardware",
    "Ideal",
    "InvalidInput",
    "IsacsimError",
    "LinearModel",
    "MidRise",
    "PlacedArray",
    "PlausibilityWarning",
    "PluginError",
    "PointCrbMin",
    "PointTargets",
    "Precision",
    "ResponseMatrix",
    "Run",
    "Scenario",
    "SelfInterference",
    "Solution",
    "SqnrMax",
    "Status",
    "StoreError",
    "SumRateCrlb",
    "Transceiver",
    "UniformLinearArray",
    "UniformPlanarArray",
    "Users",
    "WidebandDrop",
    "compare",
    "export",
    "load_scenario",
    "metrics",
    "open_run",
    "run",
    "solve",
]


if not TYPE_CHECKING:  # a type checker knows the names above, and no others
    __getattr__, __dir__ = lazy_names(__name__, _HOMES, ("api", "metrics", "testing", "units"))
