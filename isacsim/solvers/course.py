"""The driver of compiled iterations: what `isacsim.solvers.iterate` is to those in NumPy.

A kernel takes members further, notes what it is told to in their trace, and says what has become of each. Without
a callback or a time limit nobody looks at the steps, and many are one call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import define, field

from isacsim.solvers.iterate import GOING, Progress, Stop, concluded, interrupted
from isacsim.solvers.solution import Solution, Status
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray


@define(eq=False)
class Course:
    """What calls of a kernel have led to.

    Attributes:
        state: What became of each member, (B,), which the kernel writes.
        step: At which step, (B,).
        began: When, by the clock.
        note: Why those that go on were ended; empty for the limit of steps.
        calls: Trace of each call (B, steps, columns), and the time since the beginning, in s.
    """

    state: FloatArray
    step: FloatArray
    began: float = field(factory=time.perf_counter)
    note: str = ""
    calls: list[tuple[FloatArray, float]] = field(factory=list)

    def run(
        self,
        rules: Stop,
        rows: int,
        columns: int,
        advance: Callable[[int, FloatArray], None],
        look: Callable[[BoolArray], Any],
        labels: IntArray,
    ) -> Course:
        """The course to its end.

        Args:
            rules: When to end.
            rows: Steps of the first call; each has twice those of the one before.
            columns: Those of the trace.
            advance: Takes the members that go on further from a step, as far as there is a trace (B, steps, columns).
            look: The state of some members (B,), for a callback.
            labels: What a callback is told as the member's index, (B,).
        """
        watched, done = rules.callback is not None or rules.time_limit is not None, 0
        while done <= rules.max_steps and not self.note and np.count_nonzero(going := self.state == GOING):
            length = 1 if watched else min(rows << len(self.calls), rules.max_steps + 1 - done)
            trace = np.full((len(going), length, columns), np.nan)
            advance(done, trace)
            self.calls.append((trace, elapsed := time.perf_counter() - self.began))
            if watched:  # a callback sees those that were going
                seen = look(going) if rules.callback is not None else None
                self.note = interrupted(rules, Progress(done, labels[going], seen, elapsed))
            done += length
        return self

    def solution(
        self,
        members: IntArray,
        W: ComplexArray,
        values: Mapping[str, FloatArray],
        traced: Mapping[str, int],
        reached: Status = Status.STATIONARY,
    ) -> Solution:
        """The solution that some ``members`` (M,) are.

        Args:
            members: Their places.
            W: Their precoders, (M, N, L).
            values: Their objective, residual and what else there is of a bound, (M,), by name.
            traced: Columns of the trace by name.
            reached: Status of a member that has converged.
        """
        ends, steps = self.state[members].tolist(), self.step[members].astype(int)
        told = [self.note if end == GOING else "" for end in ends]
        noted, times = self._noted(members, max(steps.tolist()) + 1)
        trace = {name: noted[:, :, place] for name, place in traced.items()}
        trace["time"] = np.where(np.isnan(noted[:, :, 0]), np.nan, times)
        runtime = time.perf_counter() - self.began
        return concluded(ends, steps, told, {"precoder": W}, values, reached, trace=trace, runtime=runtime)

    def _noted(self, members: IntArray, length: int) -> tuple[FloatArray, FloatArray]:
        """The trace of some members (M, length, columns), NaN after a member's end, and times, spread over a call."""
        parts, times, since = [], [], 0.0
        for trace, until in self.calls:
            parts.append(trace[members, :length])
            length -= (rows := parts[-1].shape[1])
            times.append(np.arange(1, rows + 1) * ((until - since) / max(rows, 1)) + since)
            since = until
        if len(parts) == 1:
            return parts[0], times[0]
        return np.concatenate(parts, axis=1), np.concatenate(times)
