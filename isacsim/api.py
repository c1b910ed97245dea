"""Every name that an author of components needs, in one place.

These names are kept, and docs/public-names.md says what that means; where their code lives is not.
Like those of `isacsim` they are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isacsim.lazy import lazy_names

if TYPE_CHECKING:
    from isacsim.arrays import AntennaArray as AntennaArray
    from isacsim.batch import batch_shape as batch_shape
    from isacsim.batch import batched as batched
    from isacsim.batch import flatten as flatten
    from isacsim.batch import hermitian as hermitian
    from isacsim.batch import put as put
    from isacsim.batch import rows as rows
    from isacsim.batch import squared as squared
    from isacsim.batch import take as take
    from isacsim.channels.models import ChannelModel as ChannelModel
    from isacsim.channels.motion import Motion as Motion
    from isacsim.checks import choice as choice
    from isacsim.checks import instance as instance
    from isacsim.checks import number as number
    from isacsim.checks import whole as whole
    from isacsim.deprecation import deprecated_names as deprecated_names
    from isacsim.drop import Drop as Drop
    from isacsim.elements import ElementPattern as ElementPattern
    from isacsim.engine.calls import OtherCode as OtherCode
    from isacsim.engine.calls import TaskLost as TaskLost
    from isacsim.engine.calls import deliver as deliver
    from isacsim.engine.calls import pack_call as pack_call
    from isacsim.engine.calls import pack_error as pack_error
    from isacsim.engine.events import ChunkEnd as ChunkEnd
    from isacsim.engine.events import Observer as Observer
    from isacsim.engine.events import RunEnd as RunEnd
    from isacsim.engine.events import RunStart as RunStart
    from isacsim.engine.events import TrialFailed as TrialFailed
    from isacsim.engine.executors import ExecutorFactory as ExecutorFactory
    from isacsim.engine.pool import Pool as Pool
    from isacsim.engine.sinks import Sink as Sink
    from isacsim.errors import InvalidInput as InvalidInput
    from isacsim.errors import PluginError as PluginError
    from isacsim.hardware.base import Hardware as Hardware
    from isacsim.hardware.base import Ideal as Ideal
    from isacsim.hardware.base import LinearModel as LinearModel
    from isacsim.hardware.base import Transceiver as Transceiver
    from isacsim.hardware.base import chain_power as chain_power
    from isacsim.hardware.base import diagonal_matrix as diagonal_matrix
    from isacsim.hardware.base import estimate_linear_model as estimate_linear_model
    from isacsim.hardware.chain import Chain as Chain
    from isacsim.hardware.envelopes import Envelopes as Envelopes
    from isacsim.hardware.expansions import Expander as Expander
    from isacsim.hardware.expansions import Ito as Ito
    from isacsim.hardware.expansions import chainwise_vjp as chainwise_vjp
    from isacsim.hardware.expansions import exact_model as exact_model
    from isacsim.hardware.expansions import exact_vjp as exact_vjp
    from isacsim.hardware.fixed_codebooks import FixedCodebooks as FixedCodebooks
    from isacsim.hardware.power import PowerModel as PowerModel
    from isacsim.link import Link as Link
    from isacsim.link import Transmission as Transmission
    from isacsim.link import transmission as transmission
    from isacsim.metrics.components import Metric as Metric
    from isacsim.metrics.components import Quantity as Quantity
    from isacsim.plugin.hookspecs import hookimpl as hookimpl
    from isacsim.plugin.registry import Registry as Registry
    from isacsim.plugin.registry import build_registry as build_registry
    from isacsim.plugin.registry import default_registry as default_registry
    from isacsim.plugin.specs import ScenarioSpec as ScenarioSpec
    from isacsim.plugin.specs import SolverSpec as SolverSpec
    from isacsim.plugin.specs import Spec as Spec
    from isacsim.plugin.versions import API_VERSION as API_VERSION
    from isacsim.problems.base import Problem as Problem
    from isacsim.problems.base import Requirements as Requirements
    from isacsim.problems.base import Variable as Variable
    from isacsim.problems.base import one_or_each_user as one_or_each_user
    from isacsim.problems.base import sinr_and_power_slacks as sinr_and_power_slacks
    from isacsim.problems.base import spread_over_users as spread_over_users
    from isacsim.random import complex_normal as complex_normal
    from isacsim.solvers.base import Request as Request
    from isacsim.solvers.base import Solver as Solver
    from isacsim.solvers.base import not_ideal as not_ideal
    from isacsim.solvers.base import other_kind as other_kind
    from isacsim.solvers.base import refuse_starts as refuse_starts
    from isacsim.solvers.iterate import Stop as Stop
    from isacsim.solvers.iterate import iterate as iterate
    from isacsim.solvers.solution import Solution as Solution
    from isacsim.solvers.solution import Status as Status
    from isacsim.solvers.solution import objects as objects
    from isacsim.solvers.solve import solve as solve
    from isacsim.targets.models import TargetModel as TargetModel
    from isacsim.targets.scene import ParametricScene as ParametricScene
    from isacsim.targets.scene import PointTargets as PointTargets
    from isacsim.targets.scene import ResponseMatrix as ResponseMatrix
    from isacsim.targets.scene import Scene as Scene
    from isacsim.typing import AnyArray as AnyArray
    from isacsim.typing import BoolArray as BoolArray
    from isacsim.typing import ComplexArray as ComplexArray
    from isacsim.typing import FloatArray as FloatArray
    from isacsim.typing import IntArray as IntArray
    from isacsim.waveform.base import Detector as Detector
    from isacsim.waveform.base import Experiment as Experiment
    from isacsim.waveform.cfar import MapDetector as MapDetector
    from isacsim.waveform.echoes import EchoModel as EchoModel
    from isacsim.waveform.modulation import Constellation as Constellation
    from isacsim.waveform.modulation import Modulation as Modulation
    from isacsim.waveform.modulation import Qam as Qam
    from isacsim.waveform.signals import Sources as Sources
    from isacsim.waveform.signals import radiate as radiate
    from isacsim.waveform.signals import receive as receive

# The same once more, for programs; a test compares the two, and both with docs/public-names.md.
_HOMES = {
    "isacsim.arrays": ("AntennaArray",),
    "isacsim.elements": ("ElementPattern",),
    "isacsim.batch": ("batch_shape", "batched", "flatten", "hermitian", "put", "rows", "squared", "take"),
    "isacsim.channels.models": ("ChannelModel",),
    "isacsim.channels.motion": ("Motion",),
    "isacsim.checks": ("choice", "instance", "number", "whole"),
    "isacsim.deprecation": ("deprecated_names",),
    "isacsim.drop": ("Drop",),
    "isacsim.engine.calls": ("OtherCode", "TaskLost", "deliver", "pack_call", "pack_error"),
    "isacsim.engine.events": ("ChunkEnd", "Observer", "RunEnd", "RunStart", "TrialFailed"),
    "isacsim.engine.executors": ("ExecutorFactory",),
    "isacsim.engine.pool": ("Pool",),
    "isacsim.engine.sinks": ("Sink",),
    "isacsim.errors": ("InvalidInput", "PluginError"),
    "isacsim.hardware.base": (
        "Hardware",
        "Ideal",
        "LinearModel",
        "Transceiver",
        "chain_power",
        "diagonal_matrix",
        "estimate_linear_model",
    ),
    "isacsim.hardware.chain": ("Chain",),
    "isacsim.hardware.envelopes": ("Envelopes",),
    "isacsim.hardware.expansions": ("Expander", "Ito", "chainwise_vjp", "exact_model", "exact_vjp"),
    "isacsim.hardware.fixed_codebooks": ("FixedCodebooks",),
    "isacsim.hardware.power": ("PowerModel",),
    "isacsim.link": ("Link", "Transmission", "transmission"),
    "isacsim.metrics.components": ("Metric", "Quantity"),
    "isacsim.plugin.hookspecs": ("hookimpl",),
    "isacsim.plugin.registry": ("Registry", "build_registry", "default_registry"),
    "isacsim.plugin.specs": ("ScenarioSpec", "SolverSpec", "Spec"),
    "isacsim.plugin.versions": ("API_VERSION",),
    "isacsim.problems.base": (
        "Problem",
        "Requirements",
        "Variable",
        "one_or_each_user",
        "sinr_and_power_slacks",
        "spread_over_users",
    ),
    "isacsim.random": ("complex_normal",),
    "isacsim.solvers.base": ("Request", "Solver", "not_ideal", "other_kind", "refuse_starts"),
    "isacsim.solvers.iterate": ("Stop", "iterate"),
    "isacsim.solvers.solution": ("Solution", "Status", "objects"),
    "isacsim.solvers.solve": ("solve",),
    "isacsim.targets.models": ("TargetModel",),
    "isacsim.targets.scene": ("ParametricScene", "PointTargets", "ResponseMatrix", "Scene"),
    "isacsim.typing": ("AnyArray", "BoolArray", "ComplexArray", "FloatArray", "IntArray"),
    "isacsim.waveform.base": ("Detector", "Experiment"),
    "isacsim.waveform.cfar": ("MapDetector",),
    "isacsim.waveform.echoes": ("EchoModel",),
    "isacsim.waveform.modulation": ("Constellation", "Modulation", "Qam"),
    "isacsim.waveform.signals": ("Sources", "radiate", "receive"),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)

if not TYPE_CHECKING:  # a type checker knows the names above, and no others
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
