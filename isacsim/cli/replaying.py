"""The command `isacsim replay`."""

from __future__ import annotations

import faulthandler
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from isacsim.cli.opening import opened
from isacsim.errors import printable
from isacsim.strictjson import finite

if TYPE_CHECKING:
    from types import TracebackType

    from isacsim.engine.replay import Replay


MOST_NUMBERS = 8  # of a quantity that are printed one by one


def replay(
    context: typer.Context,
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    trial: Annotated[int, typer.Option(help="The trial, done, failed or missing.")],
    point: Annotated[
        list[str] | None, typer.Option(metavar="AXIS=VALUE", help="Value of an axis of the sweep, once for each.")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(help="The scenario file, where it cannot be made again from the ledger.")
    ] = None,
    pdb: Annotated[bool, typer.Option("--pdb", help="Stop in the debugger where an exception was raised.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Run one trial of a run again, in the foreground, and compare it with what is stored."""
    from isacsim.engine.load import setting

    run, coords = opened(run_folder), dict(setting("--point", text, "bits=3") for text in point or ())
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)  # what kills a worker would kill this process without a word
    found = run.replay(coords, trial, scenario=scenario, registry=context.obj, debug=_debug if pdb else None)
    _tell(found, as_json)
    if found.failures or found.differences:
        raise typer.Exit(1)


def _debug(trace: TracebackType | None) -> None:
    """Stop in the debugger where an exception was raised."""
    import pdb

    pdb.post_mortem(trace)


def _tell(found: Replay, as_json: bool) -> None:
    if as_json:
        print(json.dumps(finite(_plain(found)), indent=2))
        return
    print(f"point:   {_place(found.coords)}; trial {found.trial}")
    for name, record in found.solutions.items():
        print(f"solved:  design {name}: {record.status}{_notes(record.notes)}")
    for entry, values in found.values:
        unit = f" {entry.unit}" if entry.unit != "1" else ""
        print(f"         {entry.name} of {entry.design} in evaluate.{entry.evaluation}: {_short(values)}{unit}")
    for failure in found.failures:
        for line in failure.traceback.splitlines():
            print(f"         {printable(line)}", file=sys.stderr)
        print(f"failed:  {failure.part or 'all of it'}: {failure.error}")
        print(f"         seed key {list(failure.seed_key)}, inputs {failure.inputs or 'unknown'}")
    for line in found.code:
        print(f"code:    {line}")
    print(f"stored:  {found.verdict}")


def _place(coords: dict[str, Any]) -> str:
    """As `--point` takes it."""
    return ", ".join(f"{axis}={value}" for axis, value in coords.items()) or "the only one"


def _notes(notes: Sequence[str]) -> str:
    return f" ({printable('; '.join(notes))})" if notes else ""


def _short(values: Any) -> str:
    few = values.size <= MOST_NUMBERS
    return str(values.tolist()) if few else f"{values.size} numbers from {values.min()} to {values.max()}"


def _plain(found: Replay) -> dict[str, Any]:
    values = [
        {"evaluation": e.evaluation, "design": e.design, "quantity": e.name, "unit": e.unit, "values": v.tolist()}
        for e, v in found.values
    ]
    return {
        "at": found.coords, "trial": found.trial, "values": values,
        "statuses": {name: str(record.status) for name, record in found.solutions.items()},
        "failures": [attrs.asdict(failure) for failure in found.failures],
        "stored": found.stored, "same": found.same, "differences": list(found.differences), "code": list(found.code),
    }  # fmt: skip
