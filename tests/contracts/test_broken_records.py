"""Whatever its kind, a component that is no frozen record of plain values is told so, in one sentence."""

from typing import Any

import attrs
import numpy as np
import pytest

from isacsim.arrays import AntennaArray
from isacsim.channels.models import ChannelModel, Rician
from isacsim.engine.sinks import Sink
from isacsim.hardware.base import Hardware
from isacsim.hardware.power import PowerModel
from isacsim.metrics.components import Measure
from isacsim.problems.base import Requirements
from isacsim.solvers.base import Solver
from isacsim.targets.models import TargetModel
from isacsim.testing import (
    ContractError,
    check_array,
    check_channel,
    check_detector,
    check_hardware,
    check_measure,
    check_modulation,
    check_power_model,
    check_requirements,
    check_sink,
    check_solver,
    check_targets,
    example_problem,
)
from isacsim.waveform.base import Detector
from isacsim.waveform.modulation import Modulation

CHECKS = {
    AntennaArray: check_array,
    ChannelModel: check_channel,
    Detector: check_detector,
    Hardware: check_hardware,
    Measure: check_measure,
    Modulation: check_modulation,
    PowerModel: check_power_model,
    Requirements: check_requirements,
    Sink: check_sink,
    Solver: lambda solver: check_solver(solver, example_problem("sum-rate-crlb")),
    TargetModel: check_targets,
}


def plain(base, **defaults):
    """A class of a kind that fulfils its interface and does nothing."""
    methods = dict.fromkeys(base.__abstractmethods__, lambda *arguments: None)
    annotations = dict.fromkeys(defaults, Any)
    return type("Mine", (base,), {**methods, **defaults, "__annotations__": annotations})


def undecorated(base):
    """A plain class that adds a field to a frozen record."""
    return type("Mine", (attrs.frozen(plain(base, level=1.0)),), {"__annotations__": {"gain": float}, "gain": 2.0})


def lost(component):
    raise FileNotFoundError("channels.npz")


RECORD = r"be a frozen attrs record \(decorate its class with @attrs.frozen\), got "
FIXED = r"hold nothing that can be changed in place \(take tuples, and arrays by `isacsim.api.batched`\), got "
FAULTS = {
    "plain": (plain, f"{RECORD}a plain class"),
    "attributes": (lambda base: plain(base, level=1.0), f"{RECORD}a plain class"),
    "unfrozen": (lambda base: attrs.define(plain(base, level=1.0)), f"{RECORD}one whose fields can be set"),
    "no field": (lambda base: attrs.define(plain(base), slots=False), f"{RECORD}one whose fields can be set"),
    "list": (lambda base: attrs.frozen(plain(base, taps=[1.0])), f"{FIXED}a list in 'taps'"),
    "in a tuple": (lambda base: attrs.frozen(plain(base, taps=({"a": 1},))), f"{FIXED}a dict in 'taps'"),
    "array": (
        lambda base: attrs.frozen(plain(base, taps=np.ones(2))),
        f"{FIXED}an array that can be written to in 'taps'",
    ),
    "undecorated": (
        undecorated,
        r"have what it annotates for fields \(decorate its own class with @attrs.frozen\), got gain",
    ),
    "function": (
        lambda base: attrs.frozen(plain(base, map=np.abs)),
        "hold plain values, records or arrays in 'map', which have a content address, got TypeError: .*",
    ),
    "lost file": (
        lambda base: attrs.frozen(plain(base), slots=False),
        r"have a content address, got FileNotFoundError: channels.npz \(contracts/test_broken_records.py:\d+\)",
    ),
}


@pytest.mark.parametrize("base", CHECKS, ids=lambda base: base.__name__)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_frozen_record_is_refused_by_every_check(base, fault):
    make, rule = FAULTS[fault]
    cls = make(base)
    if fault == "lost file":
        cls.fingerprint = property(lost)
    with pytest.raises(ContractError, match=f"^Mine.* must {rule}.$") as caught:
        CHECKS[base](cls())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("base", CHECKS, ids=lambda base: base.__name__)
def test_what_is_of_another_kind_is_refused_by_every_check(base):
    with pytest.raises(ContractError, match="^int must be an? [A-Z].*, got int.$"):
        CHECKS[base](3)


def test_a_channel_without_directions_is_equal_to_its_copy():
    assert Rician(k_factor=2.0) == Rician(k_factor=2.0)
    assert Rician(k_factor=2.0) != Rician(k_factor=2.0, azimuth=[0.1])
    assert Rician(k_factor=2.0, azimuth=[0.1]) == Rician(k_factor=2.0, azimuth=[0.1])
