"""Make docs/which-solver.md again: `python docs/make_which_solver.py`.

What solvers take and promise is asked of them (`isacsim.testing.capabilities`); benchmark-tables.md has their times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from isacsim.plugin import build_registry
from isacsim.testing.capabilities import Capability, capabilities

DOCS = Path(__file__).parent
SIZES = ("16x4", "16x4-point")  # whose times are told: of the first, or of the second where that has none

INTRODUCTION = """\
# Which solver?

Leave it out: the default of a problem is the best that is known here. `isacsim bench --problem NAME` compares times and
quality on your machine, and `isacsim list solvers` asks the solvers of your plugins, too. This page is what the solvers
themselves answer."""

CLOSING = """\
## Where the times come from

They are those of the [benchmark tables](benchmark-tables.md) at 16 antennas and 4 users: of one problem by itself, and
of each in a batch. Ratios count; your machine has other seconds. A solver without is not in those tables: closed forms
take microseconds.

Over all subcarriers of a grid, take the problem `band-sum-rate-crlb`, or for `crb-min` and `sqnr-max` a design's
`split = "joint"`, with a proven gap over ideal chains, and with SQINRs and power kept behind others: proven to be
optimal for `crb-min` behind `aqnm`, and stationary for `sqnr-max` behind converters. Of `sum-rate-crlb` without sensing
(`crlb_weight = 0`) the default is at least as good as `r-wmmse`, the usual baseline, and faster.

## A solver of your own

A baseline ends with the status HEURISTIC, and its notes name each requirement that it misses. A solver of your own in
closed form is as short:

```python
import attrs
import isacsim
from isacsim.api import Solver


@attrs.frozen
class Mine(Solver):
    problems = ("sum-rate-crlb",)

    def solve(self, problem, request):
        return isacsim.Solution.of(problem, 1e-3 * problem.H)  # H is (B, N_t, K)
```

`isacsim new-plugin solver my-solver` writes a distribution around it, and with `--form iterating` one that iterates."""

# What people want, and which rows answer it.
WANTS: tuple[tuple[str, Callable[[Capability], bool]], ...] = (
    ("the optimum, with a proof", lambda row: "global" in row.guarantee),
    ("a stationary point, the best of several starts", lambda row: "best of several" in row.guarantee),
    ("to design for any hardware that has a model", lambda row: row.hardware == "any" and not _baseline(row)),
    ("to design for converters", lambda row: row.hardware == "converters"),
    ("rates alone", lambda row: any("rates alone" in names for names in row.constraints)),
    ("a baseline in closed form", lambda row: _baseline(row)),
)


def _baseline(row: Capability) -> bool:
    return "nothing else" in row.guarantee


def times(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Problem and solver, and the times alone and in a batch, of the page of tables."""
    found: dict[tuple[str, str], list[str]] = {}
    for problem, body in re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        for size, solver, of, time in re.findall(r"^\| (\S+) \| (\S+) \| (\S+) \| ([^|]+?) \|", body, re.MULTILINE):
            here = found.setdefault((problem, solver), ["", "", ""])
            if size in SIZES and here[0] in ("", size):
                here[0] = size
                here[1 + of.startswith("x")] = time
    return {key: (alone, batch) for key, (_, alone, batch) in found.items() if alone or batch}


def page() -> str:
    """The text of docs/which-solver.md."""
    rows = capabilities(build_registry(installed=False))
    known = times((DOCS / "benchmark-tables.md").read_text("utf-8"))
    parts = [INTRODUCTION, "\n".join(_wanted(rows))]
    for problem in dict.fromkeys(row.problem for row in rows):
        parts += [f"## {problem}", "\n".join(_table([row for row in rows if row.problem == problem], known))]
    return "\n\n".join([*parts, CLOSING]) + "\n"


def _wanted(rows: list[Capability]) -> Iterator[str]:
    """For each thing that people want, the solvers of each problem that do it."""
    yield "| you want | of | take |"
    yield "|---|---|---|"
    for want, fits in WANTS:
        names: dict[str, list[str]] = {}
        for row in sorted(filter(fits, rows), key=lambda row: not row.default):
            names.setdefault(row.problem, []).append(f"`{row.solver}`")
        alike: dict[str, list[str]] = {}
        for problem, solvers in names.items():
            alike.setdefault(", ".join(solvers), []).append(f"`{problem}`")
        for i, (solvers, problems) in enumerate(alike.items()):
            yield f"| {'' if i else want} | {', '.join(problems)} | {solvers} |"


def _table(rows: list[Capability], known: dict[tuple[str, str], tuple[str, str]]) -> Iterator[str]:
    """The solvers of a problem, its default first, and in one row the baselines that say the same of themselves."""
    yield "| solver | an answer is | designs for hardware | constraints | alone | in a batch |"
    yield "|---|---|---|---|---|---|"
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in sorted(rows, key=lambda row: (not row.default, _baseline(row), row.solver)):
        told = (
            row.guarantee,
            row.hardware,
            "; or ".join(row.constraints),
            *known.get((row.problem, row.solver), ("", "")),
        )
        name = f"`{row.solver}`" + (" (default)" if row.default else "")
        alike.setdefault(told if _baseline(row) else (*told, name), []).append(name)
    for told, names in alike.items():
        yield f"| {', '.join(names)} | {' | '.join(told[:5])} |"


if __name__ == "__main__":
    (DOCS / "which-solver.md").write_text(page(), encoding="utf-8")
