"""The command `isacsim warm-up`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from isacsim.plugin import Registry


def warm_up(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Compile ahead what solvers and hardware compile at their first call, for images and clusters."""
    from isacsim.benchmark import warming

    registry: Registry = context.obj
    rows: list[dict[str, Any]] = []
    for done in warming.warm_up(registry):
        for name, seconds in done.compiled.items():
            rows.append({"function": name, "for": f"{done.subject} {done.name}", "seconds": round(seconds, 2)})
            if not as_json:
                print(f"{name:<20}{seconds:6.1f} s  {rows[-1]['for']}", flush=True)
    if as_json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print(f"compiled: {len(rows)} functions in {sum(row['seconds'] for row in rows):.0f} s; they are kept on disk")
    else:
        print("nothing to compile: all is there")
