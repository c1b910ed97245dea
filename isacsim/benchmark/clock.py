"""Time of a call on a shared machine, and the kernel that it is divided by.

The clock on the wall also counts the time in which other processes had the core, and the
processor's own clock leaves out a sleep. A thread that never gave up the core of its own
accord waited for nobody but those others, so that its processor time is what it took; one that
does so in every round is measured by the wall. What is left is that the machine itself runs
slower at times, by a third and more: times are compared after division by that of a kernel, a
mix of what solvers do, which is run before and behind each block of calls.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.random import complex_normal
from isacsim.threads import one_blas_thread
from isacsim.typing import ComplexArray, FloatArray

WAITS = 20.0  # a second of processor time: what even a thread that computes only has now and then
SHORTEST = 0.02  # time that a call and its repetitions should take together, in s


@frozen
class Reading:
    """What one call took, in the mean of its repetitions.

    Attributes:
        wall: Time on the wall, in s.
        cpu: Processor time of the process, in s.
        waits: How often the thread gave up the core of its own accord; infinite where the
            system does not say.
    """

    wall: float = field(converter=float)
    cpu: float = field(converter=float)
    waits: float = field(converter=float)


@frozen(eq=False)
class Round:
    """One block of calls, and the time of the kernel around it.

    Attributes:
        kernel: Processor time of the kernel, in s: the mean of before and behind.
        readings: One for each call.
    """

    kernel: float = field(converter=float)
    readings: tuple[Reading, ...]


def own_times(rounds: Sequence[Round]) -> FloatArray:
    """Time of each call in each of R rounds without that of other processes, (R, calls), in s.

    It is the processor's, but for a call that gives up the core in every round: what it waits
    for then belongs to it. A thread that only computes does so now and then, to load a page
    for example.
    """
    wall, cpu, waits = (
        np.array([[getattr(reading, name) for reading in one.readings] for one in rounds])
        for name in ("wall", "cpu", "waits")
    )
    rate = (waits / np.maximum(cpu, np.finfo(float).tiny)).min(axis=0)
    return np.where(rate > WAITS, wall, cpu)


def waits() -> float:
    """How often this thread has given up the core of its own accord; infinite where the system does not say."""
    try:
        import resource

        return float(resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw)
    except (ImportError, AttributeError):  # Windows has no such module, macOS no such count of a thread
        return math.inf


@frozen
class Clock:
    """Where times come from.

    Attributes:
        wall: Reads the time on the wall, in s.
        cpu: Reads the processor time of this process, in s.
        waits: Reads how often this thread has given up the core of its own accord.
    """

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time
    waits: Callable[[], float] = waits


CLOCK = Clock()


def timed(call: Callable[[], Any], repeat: int = 1) -> tuple[Reading, Any]:
    """What a call took in the mean of ``repeat`` ones, and what the last returned."""
    result, clock = None, CLOCK
    given_up, cpu, wall = clock.waits(), clock.cpu(), clock.wall()
    for _ in range(repeat):
        result = call()
    wall, cpu, count = clock.wall() - wall, clock.cpu() - cpu, clock.waits()
    given_up = count - given_up if math.isfinite(count) else count
    return Reading(wall / repeat, cpu / repeat, given_up / repeat), result


def repetitions(call: Callable[[], Any]) -> int:
    """How often a call must be made for its time to be well above the clock's resolution and jitter."""
    reading, _ = timed(call)
    return max(1, round(SHORTEST / max(reading.cpu, 1e-7)))


def run_block(calls: Sequence[Callable[[], Any]], repeat: int = 1) -> tuple[Round, list[Any]]:
    """One round of calls, each repeated, with the kernel around it and the garbage collector at rest."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        with one_blas_thread():
            before = _kernel_time()
            pairs = [timed(call, repeat) for call in calls]
            behind = _kernel_time()
    finally:
        if collecting:
            gc.enable()
    readings, results = zip(*pairs, strict=True)
    return Round((before + behind) / 2, tuple(readings)), list(results)


@cache
def _operands() -> tuple[ComplexArray, ComplexArray, FloatArray]:
    rng = np.random.default_rng(0)
    A = complex_normal(rng, (10, 10))
    B = complex_normal(rng, (20, 16, 16))
    return A @ A.conj().T, B @ B.conj().swapaxes(-1, -2), rng.standard_normal(2**15)


def _kernel_time() -> float:
    """The least processor time of three runs of the kernel, in s."""
    return min(timed(kernel)[0].cpu for _ in range(3))


def kernel() -> None:
    """Some 3 ms of what solvers do: small products, solves and spectra, one and stacked, and plain Python."""
    A, B, x = _operands()
    ridge, total = np.eye(10), 0.0
    for i in range(60):
        C = A + i * ridge
        total += float(np.linalg.solve(C, A).real[0, 0]) + float(np.linalg.eigvalsh(C)[0])
        total += sum(value * value for value in (C @ A).real[0].tolist())
        total += float((C * A.conj()).sum(axis=-1).real.max())
    for _ in range(2):
        np.linalg.eigh(B)
        np.linalg.inv(B @ B)
        np.sort(np.exp(-np.abs(x)))
