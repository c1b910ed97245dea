"""The code that a run is computed with: who computes for a driver has the same, or is refused."""

from __future__ import annotations

import importlib
import os
import pickle
import socket
from functools import cache, reduce
from typing import Any

from attrs import frozen

from isacsim.engine.calls import OtherCode, this_process
from isacsim.engine.identity import Names, classes
from isacsim.engine.plan import Task
from isacsim.engine.provenance import described_code, differences, versions
from isacsim.engine.sealed import Sealed
from isacsim.engine.work import Known, measured
from isacsim.plugin import Registry, build_registry
from isacsim.plugin.isolation import guarded


@frozen
class Code:
    """What a driver computes with.

    Attributes:
        environment: Versions, and what each kind of record in use is, by its name in addresses.
        places: Where the class of each of them is, ``"module:Class"``.
        blocked: Plugins that the driver leaves out.
        home: Host and process of the driver.
    """

    environment: dict[str, Any]
    places: dict[str, str]
    blocked: tuple[str, ...]
    home: tuple[str, int]

    @classmethod
    def of(cls, registry: Registry, used: Any) -> Code:
        """The code of this process, as far as it can change a number: of each record in ``used``."""
        names, found = Names(registry), dict.fromkeys(classes(used))
        records = {" ".join(names(each)): each for each in found}
        told = {name: described_code(each, names, registry) for name, each in records.items()}
        blocked = tuple(plugin.name for plugin in registry.plugins if plugin.problem == "blocked")
        places = {name: f"{each.__module__}:{each.__qualname__}" for name, each in records.items()}
        return cls({**versions(), "records": told}, places, blocked, _here())

    def here(self) -> dict[str, Any]:
        """The environment of this process, for the same records.

        Raises:
            PluginError: If a class cannot be imported.
        """
        registry = build_registry(block=self.blocked)
        names, told = Names(registry), {}
        for name, place in self.places.items():
            cls = guarded(_imported, place)
            own = described_code(cls, names, registry)
            # A plugin that a script gives has no name in another process, and its defaults are told by such names.
            told[name] = own if " ".join(names(cls)) == name else {"version": own["version"]}
        return {**versions(), "records": told}


@frozen
class Job:
    """What an executor is given to call: `measured`, by whoever has the driver's code.

    Attributes:
        code: A pickled `Code`.
        environment: Its number, as the ledger counts it.
    """

    code: bytes
    environment: int

    @classmethod
    def of(cls, code: Code, environment: int) -> Job:
        """The job of a driver."""
        return cls(pickle.dumps(code), environment)

    def __call__(self, task: Task, known: Known) -> Sealed:
        """Compute a task, and make what comes of it ready for the ledger.

        Raises:
            OtherCode: If this process has other code than the driver.
        """
        if lacking := _lacking(self.code):
            raise OtherCode(lacking)
        return Sealed.of(measured(task, known), self.environment)


@cache
def _lacking(packed: bytes) -> str:
    """What this process has that a driver has not; empty where they agree. Looked up once a process."""
    code: Code = pickle.loads(packed)
    if code.home == _here():
        return ""
    try:
        told = "; ".join(differences(code.environment, code.here()))
    except Exception as error:  # whatever a component raises when it is imported
        told = str(error)
    return told and f"{this_process()}: {told}"


def _here() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return reduce(getattr, name.split("."), importlib.import_module(module))
