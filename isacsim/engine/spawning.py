"""Fresh processes, which run the script of their parent only where they are to compute something that is defined in it.

`multiprocessing` imports the script into each process that it spawns. Where its lines are not guarded by
``if __name__ == "__main__":`` all that it does is done again then, and what it starts is started again.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable
from multiprocessing import spawn
from typing import Any

from attrs import define

from isacsim.errors import InvalidInput

# A fork would copy the threads of a BLAS in unknown states.
SPAWN = multiprocessing.get_context("spawn")
SCRIPT = "init_main"  # what the keys begin with by which a process is told of the script
GUARD = "Guard the lines of the script that run something with `if __name__ == '__main__':`."
_STARTING = threading.Lock()


class Unguarded(InvalidInput):
    """A process that is to import a script only would run what the script runs."""


def started(work: Callable[..., None], *args: Any) -> Any:
    """A process that has begun to ``work``; it ends with this one.

    Raises:
        Unguarded: In a process that is still importing the script of its own parent.
    """
    require_begun()
    here, name = threading.get_ident(), "isacsim-worker"
    with _STARTING:
        tell = spawn.get_preparation_data
        told = tell(name)
        script = {key: told.pop(key) for key in list(told) if key.startswith(SCRIPT)}
        process = SPAWN.Process(target=_begin, args=(script, work, args), name=name, daemon=True)
        # There is no option for it. What other threads start meanwhile is told what it always is.
        spawn.get_preparation_data = lambda name: told if threading.get_ident() == here else tell(name)
        try:
            process.start()
        finally:
            spawn.get_preparation_data = tell
    return process


def require_begun() -> None:
    """Refuse to run anything in a process that is only to import the script that runs it.

    Raises:
        Unguarded: If this is one.
    """
    if _Script.importing or getattr(multiprocessing.current_process(), "_inheriting", False):
        who = multiprocessing.current_process().name
        raise Unguarded("executor", "cannot run what a worker process runs while it imports a script", who, GUARD)


def _begin(script: dict[str, Any], work: Callable[..., None], args: tuple[Any, ...]) -> None:
    sys.modules["__main__"].__dict__["__getattr__"] = _Script(script)
    work(*args)


@define
class _Script:
    """Finds what is looked for in ``__main__``, in the script, which is imported then."""

    told: dict[str, Any]
    importing = False

    def __call__(self, name: str) -> Any:
        if not self.told or _Script.importing or name.startswith("__"):  # which libraries look for everywhere
            raise AttributeError(f"module '__main__' has no attribute {name!r}")
        _Script.importing = True
        try:
            spawn.prepare(self.told)  # which puts another module in the place of this one
        except SystemExit as error:
            raise ImportError(f"the script that defines {name} ends itself. {GUARD}") from error
        finally:
            _Script.importing = False
        return getattr(sys.modules["__main__"], name)
