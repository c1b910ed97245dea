"""What commands print for scripts."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from isacsim.strictjson import finite

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    # JSON knows no infinity: what is not finite becomes null or text, as a script can read.
    print(json.dumps(finite(value), indent=2))
