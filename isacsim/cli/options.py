"""Options of components on the command line, as the tables that scenario files would have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isacsim.engine.load import setting
from isacsim.errors import InvalidInput


def executor_table(
    name: str | None, options: Sequence[str], trial_timeout: float | None = None, *, given: bool = False
) -> dict[str, Any] | str | None:
    """The executor that ``--executor``, ``--executor-option`` and ``--trial-timeout`` ask for.

    Without a name it is ``processes``, of which even a single one keeps the run apart from what a
    component may do to its process; or None where an executor is ``given`` in the scenario.

    Raises:
        InvalidInput: If an option does not read KEY=VALUE, or no executor is named.
    """
    if options and name is None:
        remedy = "Name the executor that takes it, --executor dask for example."
        raise InvalidInput("--executor-option", "needs --executor", ", ".join(options), remedy)
    table = dict(setting("--executor-option", option, "address=tcp://10.0.0.1:8786") for option in options)
    if trial_timeout is not None:
        table["trial_timeout"] = trial_timeout
    if name is None and (table or not given):
        name = "processes"
    return {"kind": name, **table} if table else name


def observer_tables(names: Sequence[str], options: Sequence[str]) -> list[dict[str, Any]]:
    """The observers that ``--observer`` and ``--observer-option`` ask for, each once.

    Raises:
        InvalidInput: If an option does not read OBSERVER.KEY=VALUE.
    """
    tables: dict[str, dict[str, Any]] = {name: {} for name in names}
    for option in options:
        place, value = setting("--observer-option", option, "log.path=run.log")
        name, dot, key = place.partition(".")
        if not (name and dot and key):
            remedy = "Write --observer-option log.path=run.log."
            raise InvalidInput("--observer-option", "must read OBSERVER.KEY=VALUE", option, remedy)
        tables.setdefault(name, {})[key] = value
    return [{"kind": name, **table} for name, table in tables.items()]
