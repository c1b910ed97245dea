"""Contracts of metrics, experiments and detectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from isacsim.batch import flatten, frobenius2, take
from isacsim.drop import Drop
from isacsim.hardware.base import Transceiver
from isacsim.link import link_over
from isacsim.metrics.components import Measure, Quantity
from isacsim.random import complex_normal
from isacsim.testing.examples import LOW_RESOLUTION, example_drop, example_precoder, example_wideband_drop
from isacsim.testing.rules import alone, attempt, outcome, record, require, shaped
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.base import Detector, Experiment
from isacsim.waveform.cfar import MapDetector
from isacsim.waveform.echoes import EchoModel

MEMBERS, DECISIONS, SNAPSHOTS = 2, 50, 8  # of the samples a detector is tried on
# Units that figures and tables make of SI ones.
SCALED = (
    "dB",
    "dBm",
    "dBW",
    "dBi",
    "deg",
    "degree",
    "degrees",
    "°",
    "mW",
    "uW",
    "kW",
    "ms",
    "us",
    "ns",
    "km",
    "kHz",
    "MHz",
    "GHz",
    "%",
)
TAKEN = ("trial", "design", "evaluate")  # axes that a dataset has anyway


def check_measure(measure: Measure, drop: Drop | None = None, precoder: ComplexArray | None = None) -> None:
    """Check a metric or an experiment, through ideal hardware and through converters of 3 bits.

    Args:
        measure: The metric or experiment; give an experiment few samples.
        drop: Realisations with one leading axis B; None is `example_drop`, or `example_wideband_drop` for an
            experiment of an OFDM signal.
        precoder: Precoders on them, shape (B, N_t, K+S), of OFDM (B, F, N_t, K+S), in sqrt(W); None is
            `example_precoder`.

    Raises:
        ContractError: If it breaks a rule.
    """
    require(measure, isinstance(measure, Measure), "be a Metric or an Experiment", type(measure).__name__)
    record(measure, Measure)
    drop = flatten(drop or (example_wideband_drop() if measure.wideband else example_drop()))
    W = example_precoder(drop) if precoder is None else precoder
    _check_quantities(measure)
    _check_undeclared(measure, W, drop)
    for transceiver in (Transceiver(), LOW_RESOLUTION):
        _check_values(measure, W, drop, transceiver)


def _check_values(measure: Measure, W: ComplexArray, drop: Drop, transceiver: Transceiver) -> None:
    """Values of the batch, and of each member alone with its own generator."""
    values = _measured(measure, W, drop, transceiver, range(len(W)))
    _check_labels(measure, drop, values)

    def part(i: int) -> dict[str, FloatArray]:
        at = np.array([i])
        found = _measured(measure, W[at], take(drop, at), transceiver, [i])
        return {name: value[0] for name, value in found.items()}

    alone(measure, "values", len(W), lambda i: {name: value[i] for name, value in values.items()}, part)


def _check_quantities(measure: Measure) -> None:
    rule = "say what it gives, in a class variable `quantity`, or `quantities` of several"
    quantities = attempt(measure, rule, lambda: measure.quantities)
    there = isinstance(quantities, tuple) and quantities and all(isinstance(q, Quantity) for q in quantities)
    require(measure, there, "declare a tuple of Quantity", quantities)
    names = [q.name for q in quantities]
    require(measure, len(set(names)) == len(names), "declare each quantity once", names)
    for q in quantities:
        plain = re.fullmatch(r"[a-z][a-z0-9-]*", q.name)
        require(measure, plain, "name a quantity in lower-case letters, digits and hyphens", q.name)
        require(measure, q.unit, f"give a unit for {q.name!r}, '1' for a ratio", q.unit)
        require(measure, q.unit not in SCALED, f"give {q.name!r} in SI and linear: figures convert", q.unit)
        require(measure, isinstance(q.dims, tuple), f"name the axes of {q.name!r} in a tuple", q.dims)
        free = not set(q.dims) & set(TAKEN) and len(set(q.dims)) == len(q.dims)
        require(measure, free, f"name the axes of {q.name!r} once each, and none {TAKEN}", q.dims)


def _check_undeclared(measure: Measure, W: ComplexArray, drop: Drop) -> None:
    """An experiment returns nothing that it does not declare: that would be lost."""
    if not isinstance(measure, Experiment):
        return
    (link, *_), declared = link_over(W, drop, Transceiver()).members(), [q.name for q in measure.quantities]
    found = attempt(measure, "measure", measure.trial, link, np.random.default_rng(0))
    strays = sorted(set(found) - set(declared)) if isinstance(found, Mapping) else []
    require(measure, not strays, f"declare what it returns as `quantities`, which are {', '.join(declared)}", strays)


def _measured(
    measure: Measure, W: ComplexArray, drop: Drop, transceiver: Transceiver, seeds: Any
) -> dict[str, FloatArray]:
    """Values by quantity, with shapes as declared."""

    def call(rngs: list[np.random.Generator]) -> Any:
        return measure.measure(link_over(W, drop, transceiver), rngs)

    values = outcome(measure, "measure", call, seeds, W=W, drop=drop)
    declared = {q.name: q for q in measure.quantities}
    fits = isinstance(values, dict) and set(values) == set(declared)
    require(measure, fits, f"return the quantities it declares, {list(declared)}", list(values))
    for name, value in values.items():
        axes = ("trial", *declared[name].dims)
        lead = isinstance(value, np.ndarray) and value.ndim == len(axes) and len(value) == len(W)
        require(measure, lead, f"return {name!r} with the axes {axes}, {len(W)} trials", shaped(value))
        require(measure, value.dtype.kind == "f", f"return real numbers for {name!r}", value.dtype)
        # An infinite bound is an answer: what cannot be estimated.
        require(measure, ~np.isnan(value), f"return no NaN of {name!r}", value)
    return values


def _check_labels(measure: Measure, drop: Drop, values: dict[str, FloatArray]) -> None:
    """Axes of one name have one length, which is that of their labels."""
    labels = attempt(measure, "label its axes", measure.labels, drop)
    lengths: dict[str, int] = {name: len(of) for name, of in labels.items()}
    dims = {dim for q in measure.quantities for dim in q.dims}
    require(measure, set(labels) <= dims, f"label no axes but its own, {sorted(dims)}", list(labels))
    for q in measure.quantities:
        for dim, size in zip(q.dims, values[q.name].shape[1:], strict=True):
            known = lengths.setdefault(dim, size)
            require(measure, size == known, f"give the axis {dim!r} of {q.name!r} {known} entries, as elsewhere", size)


def check_detector(detector: Detector) -> None:
    """Check a detector: one statistic a decision, which is larger where there is a target.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(detector, Detector)
    rng = np.random.default_rng(0)
    mean, noise = complex_normal(rng, (MEMBERS, 3, 2)), np.ones((MEMBERS, 3))
    # An echo 10 dB above the noise in each sample: whatever the statistic, its mean shows it.
    mean *= np.sqrt(10 * 3 / frobenius2(mean))[:, None, None]
    symbols = complex_normal(rng, (MEMBERS, 2, DECISIONS * SNAPSHOTS))
    y = complex_normal(rng, (MEMBERS, 3, DECISIONS * SNAPSHOTS))
    echo = EchoModel(mean, noise, mean, 2)
    absent = _statistic(detector, y, symbols, echo)
    present = _statistic(detector, y + mean @ symbols, symbols, echo)
    means = float(absent.mean()), float(present.mean())
    require(detector, means[1] > means[0], "have a larger mean statistic where there is a target", means)

    def part(i: int) -> FloatArray:
        return _statistic(detector, y[i], symbols[i], EchoModel(mean[i], noise[i], mean[i], 2))

    alone(detector, "statistics", MEMBERS, lambda i: absent[i], part)
    _statistic(detector, y, symbols, EchoModel(0 * mean, noise, 0 * mean, 2))
    _statistic(detector, y[..., :0], symbols[..., :0], echo)


def _statistic(detector: Detector, y: ComplexArray, symbols: ComplexArray, echo: EchoModel) -> FloatArray:
    def call(_: list[np.random.Generator]) -> FloatArray:
        return detector.statistic(y, symbols, echo, SNAPSHOTS)

    found = outcome(detector, "give a statistic", call, y=y, symbols=symbols, echo=(echo.mean, echo.noise))
    shape = (*y.shape[:-2], y.shape[-1] // SNAPSHOTS)
    require(detector, np.shape(found) == shape, f"give statistics of shape {shape}", np.shape(found))
    require(detector, np.isrealobj(found) and np.isfinite(found), "give real and finite statistics", found)
    return np.asarray(found)


def check_map_detector(detector: MapDetector) -> None:
    """Check a detector on maps: a decision for each cell, which finds strong targets and wraps at the edges.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(detector, MapDetector)
    noise = np.random.default_rng(0).exponential(size=(MEMBERS, 64, 8))
    # Far apart, so that a threshold of the whole batch is none of a member's.
    noise[:, 20, 3] = 1e6, 1e3

    def found(power: FloatArray) -> Any:
        decided = outcome(detector, "detect", lambda _: detector.detect(power), power=power)
        fits = isinstance(decided, np.ndarray) and decided.shape == power.shape and decided.dtype == bool
        got = f"{shaped(decided)} of {getattr(decided, 'dtype', 'no type')}"
        require(detector, fits, f"give True or False for each cell of {power.shape}", got)
        return decided

    whole = found(noise)
    require(detector, whole[0, 20, 3], "find a target of 60 dB", whole[0, 20, 3])
    turned = found(np.roll(noise, (50, 5), axis=(1, 2)))
    require(detector, np.array_equal(turned, np.roll(whole, (50, 5), axis=(1, 2))), "take both axes for periodic")
    alone(detector, "decisions", MEMBERS, lambda i: whole[i], lambda i: found(noise[i]))
