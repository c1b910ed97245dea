"""The commands `isacsim list` and `isacsim show`."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Annotated, Any

import typer

from isacsim.cli.kinds import kind_named, kinds, names
from isacsim.cli.printing import Json, print_json
from isacsim.errors import printable
from isacsim.plugin import KINDS, Registry


def list_(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(KINDS)}.", autocompletion=kinds)] = None,
    as_json: Json = False,
) -> None:
    """List the components that are installed."""
    registry: Registry = context.obj
    kind = kind_named(kind) if kind else None
    rows = [
        {"kind": k, "name": name, "plugin": registry.provider(k, name), "summary": registry.spec(k, name).summary}
        for k in ([kind] if kind else KINDS)
        for name in registry.usable(k)
    ]
    taken = _capabilities(registry) if kind == "solvers" else {}
    if as_json:
        print_json([{**row, "takes": taken.get(str(row["name"]), [])} for row in rows] if taken else rows)
    else:
        width = max((len(str(row["name"])) for row in rows), default=0)
        for row in rows:
            print(f"{row['kind']:<14}{row['name']:<{width}}  {printable(str(row['summary']))}")
            for of in taken.get(str(row["name"]), []):
                sets = "; or ".join(of["constraints"])
                print(f"{'':<{16 + width}}{of['problem']}: hardware {of['hardware']}; constraints {sets}")
                print(f"{'':<{16 + width}}an answer is {printable(of['guarantee'] or 'not said to be anything')}")
    for conflict in conflicts(registry):
        print(conflict, file=sys.stderr)


def _capabilities(registry: Registry) -> dict[str, list[dict[str, Any]]]:
    """What each solver takes, by its name."""
    import attrs

    from isacsim.testing.capabilities import capabilities

    found: dict[str, list[dict[str, Any]]] = {}
    for row in capabilities(registry):
        told = attrs.asdict(row)
        found.setdefault(told.pop("solver"), []).append(told)
    return found


def show(
    context: typer.Context,
    kind: Annotated[
        str, typer.Argument(help="Kind of component, or a table: figure, design, sweep.", autocompletion=kinds)
    ],
    name: Annotated[str | None, typer.Argument(help="Name of the component.", autocompletion=names)] = None,
    as_json: Json = False,
) -> None:
    """Show what a component, or a table of scenario files, is and which keys it takes."""
    from isacsim.cli.describe import describe, describe_section

    if not name and len(having := [k for k in KINDS if kind in context.obj.usable(k)]) == 1:
        kind, name = having[0], kind  # the name alone, where one kind has it
    described = describe(context.obj, kind_named(kind), name) if name else describe_section(context.obj, kind)
    if as_json:
        print_json(described)
        return
    doc = "\n".join(map(printable, str(described["doc"]).splitlines()))
    if "heading" in described:
        print(f"{described['heading']}\n\n{doc}\n")
    else:
        print(f"{kind_named(kind)} {name}  ({described['target']}, plugin {described['plugin']})\n\n{doc}\n")
    if "file" in described:
        print(f"  file: {described['file']}\n  run:  isacsim run {name}")
        return
    if "example" in described:
        print(f"  example: {_toml(described['example'])}\n")
    for field in described["fields"]:
        default = "required" if field["required"] else f"default {_short(field['default'])}"
        print(f"  {field['key']:<26}{field['type']}, {default}")
        if "heading" in described and field["doc"]:
            print(textwrap.fill(field["doc"], 96, initial_indent=" " * 28, subsequent_indent=" " * 28))


def _toml(table: dict[str, Any]) -> str:
    """A table as one line of TOML."""
    values = {key: _toml(value) if isinstance(value, dict) else json.dumps(value) for key, value in table.items()}
    return "{ " + ", ".join(f"{key} = {value}" for key, value in values.items()) + " }"


def _short(default: Any) -> str:
    """A default in a line: of a long list its ends."""
    if isinstance(default, list) and len(default) > 8:
        return f"[{default[0]}, {default[1]}, ..., {default[-1]}], {len(default)} numbers"
    if default is None:
        return "none"
    return default if isinstance(default, str) and default else json.dumps(default).replace("Infinity", "inf")


def conflicts(registry: Registry) -> list[str]:
    """Names and defaults that plugins contend for, a line each."""
    names = [f"offered twice, unusable until one is blocked: {conflict}" for conflict in registry.conflicts]
    return names + [f"name a solver, or block one plugin: {rivals}" for rivals in registry.rivals]
