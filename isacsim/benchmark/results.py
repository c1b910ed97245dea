"""What a benchmark found, and the JSON file that holds it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import evolve, frozen

from isacsim.benchmark.cases import Case
from isacsim.benchmark.clock import Reading, Round, own_times
from isacsim.benchmark.instances import SEED
from isacsim.benchmark.quality import Quality, best
from isacsim.engine.provenance import provenance
from isacsim.errors import InvalidInput
from isacsim.plugin import Registry
from isacsim.strictjson import finite
from isacsim.typing import FloatArray

FORMAT = "isacsim benchmark 1"
MACHINE = ("machine", "processor")  # entries of `made` that must agree for times to be compared


@frozen(eq=False)
class Result:
    """What was found of one case.

    Attributes:
        case: The case.
        rounds: Its times.
        quality: How good its answers are; None of hardware and of what failed.
        published: What the published algorithm of the problem is called.
        sense: That of the problem.
        error: Why it failed, or was left out; empty if it was not.
        failed: Whether it failed, rather than being left out for its cost.
    """

    case: Case
    rounds: tuple[Round, ...] = ()
    quality: Quality | None = None
    published: str = ""
    sense: int = 1
    error: str = ""
    failed: bool = False

    def seconds(self, members: int | None = None) -> float:
        """Time of a realisation in s, the median of the rounds; NaN without any.

        Args:
            members: Of a case of single calls, how many of its first members count; None is all.
        """
        if not self.rounds:
            return float("nan")
        median = np.median(own_times(self.rounds), axis=0)
        return float(np.mean(median[:members]) if self.case.mode == "alone" else median[0] / self.case.members)

    @property
    def relative(self) -> FloatArray:
        """Time of each round over that of the kernel, (R,)."""
        return own_times(self.rounds).sum(axis=1) / np.array([one.kernel for one in self.rounds])


@frozen(eq=False)
class Results:
    """All results of a run.

    Attributes:
        made: Versions, machine, seed and time.
        results: A result for each case.
    """

    made: Mapping[str, Any]
    results: tuple[Result, ...]

    def best(self, subject: str, size: str) -> FloatArray:
        """The best objective of each member of an instance that any solver found, (M,)."""
        here = [r for r in self.results if (r.case.subject, r.case.size) == (subject, size) and r.quality]
        return best([r.quality for r in here if r.quality], here[0].sense) if here else np.empty(0)

    def published(self, subject: str, size: str) -> Result | None:
        """The published algorithm on an instance, one realisation after another; without a name, the slowest."""
        here = [
            r
            for r in self.results
            if (r.case.subject, r.case.size, r.case.mode) == (subject, size, "alone") and r.rounds
        ]
        named = [r for r in here if r.case.name == r.published]
        if named or any(r.published for r in here):
            return named[0] if named else None
        return max(here, key=lambda r: r.seconds(1), default=None)

    def ratio(self, result: Result) -> float:
        """How many times longer the published algorithm takes for a realisation; NaN if it was not run here."""
        published = self.published(result.case.subject, result.case.size)
        if published is None or not result.rounds:
            return float("nan")
        if result.case.mode == "alone":  # on the realisations that both solved
            members = min(result.case.members, published.case.members)
            return published.seconds(members) / result.seconds(members)
        return published.seconds() / result.seconds()

    def find(self, case: Case) -> Result | None:
        """The result of a case."""
        return next((r for r in self.results if r.case == case), None)

    def replaced(self, results: list[Result]) -> Results:
        """The same with further results, which take the place of those of the same case."""
        fresh = {r.case: r for r in results}
        return evolve(self, results=tuple(fresh.get(r.case, r) for r in self.results))


def made(registry: Registry) -> dict[str, Any]:
    """What the results come from."""
    return {**provenance(registry), "processor": _processor(), "seed": SEED}


def _processor() -> str:
    """Name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor()


def write(results: Results, file: Path) -> None:
    """Write the JSON file.

    Raises:
        InvalidInput: If it exists, or cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(dumps(results))
    except FileExistsError:
        raise InvalidInput("--out", "must not exist", str(file), "Choose another file.") from None
    except OSError as error:
        raise InvalidInput("--out", f"must be writable ({error.strerror})", str(file), "Choose another file.") from None


def dumps(results: Results) -> str:
    """The JSON text, a line for each result."""
    lines = ",\n".join(json.dumps(finite(attrs.asdict(r)), allow_nan=False) for r in results.results)
    head = json.dumps({"format": FORMAT, "made": dict(results.made)}, indent=1)
    return head[:-2] + ',\n "results": [\n' + lines + "\n]}\n"


def read(file: Path, field: str = "--against") -> Results:
    """The results in a file.

    Raises:
        InvalidInput: If it is not one that `write` made.
    """
    remedy = "Make one with `isacsim bench --out FILE`."
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(field, f"must be a file that can be read ({error.strerror})", str(file), remedy) from None
    except (ValueError, RecursionError):  # of JSON or of UTF-8; of thousands of brackets
        raise InvalidInput(field, "must be a file of results in JSON", str(file), remedy) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidInput(field, f"must be a file of the format {FORMAT!r}", str(file), remedy)
    try:
        return Results(dict(data["made"]), tuple(_result(entry) for entry in data["results"]))
    except (KeyError, TypeError, ValueError) as error:
        broken = f"must be a file that is whole ({type(error).__name__}: {error})"
        raise InvalidInput(field, broken, str(file), remedy) from None


def _result(data: dict[str, Any]) -> Result:
    rounds = tuple(Round(r["kernel"], tuple(Reading(**reading) for reading in r["readings"])) for r in data["rounds"])
    quality = data["quality"] and Quality(**{**data["quality"], "status": tuple(data["quality"]["status"])})
    return Result(**{**data, "case": Case(**data["case"]), "rounds": rounds, "quality": quality})
