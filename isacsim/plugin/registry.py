"""The components that are there, by kind and name.

A registry is built from the bundled plugins and the installed ones (entry-point group
``isacsim``). A broken plugin is named and reported, and the rest goes on; a name that two
plugins offer is an error for whoever asks for it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from attrs import field, frozen

from isacsim.bundled import PLUGINS
from isacsim.errors import InvalidInput, PluginError, one_of
from isacsim.plugin import hookspecs
from isacsim.plugin.hookspecs import KINDS, PROJECT
from isacsim.plugin.specs import SolverSpec, Spec

BLOCK_VARIABLE = "ISACSIM_BLOCK"


@frozen
class Plugin:
    """A plugin that was found.

    Attributes:
        name: Name of its entry point, or of its module.
        origin: Distribution and version, ``bundled``, or ``given``.
        problem: Why it is not in use; empty when it is.
    """

    name: str
    origin: str
    problem: str = ""


@frozen(eq=False)
class Registry:
    """Specs by kind and name, with the plugin that offers each.

    Attributes:
        plugins: Every plugin that was found, broken and blocked ones included.
    """

    plugins: tuple[Plugin, ...]
    _offers: dict[str, dict[str, list[tuple[str, Spec]]]] = field(alias="offers")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of components."""
        return tuple(self._offers)

    def names(self, kind: str) -> list[str]:
        """Names of the components of a kind, in order."""
        return sorted(self._of(kind))

    def spec(self, kind: str, name: Any) -> Spec:
        """The spec of a component.

        Raises:
            InvalidInput: If there is none of that name.
            PluginError: If several plugins offer it.
        """
        offers = self._of(kind).get(name, []) if isinstance(name, str) else []
        if not offers:
            raise InvalidInput("kind", f"must name one of the {kind}", name, one_of(self._of(kind), str(name)))
        if len(offers) > 1:
            providers = " and ".join(provider for provider, _ in offers)
            raise PluginError(f"{kind} {name!r} is offered by {providers}; block one with --block or {BLOCK_VARIABLE}.")
        return offers[0][1]

    def provider(self, kind: str, name: str) -> str:
        """Name of the plugin that offers a component."""
        self.spec(kind, name)
        return self._of(kind)[name][0][0]

    def load(self, kind: str, name: Any) -> Any:
        """Import a component; see `spec` and `Spec.load` for the errors."""
        return self.spec(kind, name).load()

    def offered(self) -> Iterator[tuple[str, Spec]]:
        """Kind and spec of every component whose name one plugin alone offers, in the order of the offers."""
        for kind, by_name in self._offers.items():
            yield from ((kind, offers[0][1]) for offers in by_name.values() if len(offers) == 1)

    def default_solver(self, problem: str) -> str:
        """Name of the default solver of a kind of problem.

        Raises:
            PluginError: If no plugin offers one.
        """
        for name in self.names("solvers"):
            spec = self.spec("solvers", name)
            if isinstance(spec, SolverSpec) and problem in spec.default_for:
                return name
        raise PluginError(f"no installed solver is the default for {problem!r}; name a solver.")

    @property
    def conflicts(self) -> list[str]:
        """Kinds and names that more than one plugin offers, as sentences."""
        return [
            f"{kind} {name!r}: {' and '.join(provider for provider, _ in offers)}"
            for kind, by_name in self._offers.items()
            for name, offers in by_name.items()
            if len(offers) > 1
        ]

    def _of(self, kind: str) -> dict[str, list[tuple[str, Spec]]]:
        if kind not in self._offers:
            raise InvalidInput("kind", "must be a kind of component", kind, one_of(KINDS, str(kind)))
        return self._offers[kind]


@cache
def default_registry() -> Registry:
    """The registry of this process, built on first use."""
    return build_registry()


def build_registry(extra: Sequence[Any] = (), *, installed: bool = True, block: Iterable[str] = ()) -> Registry:
    """A new registry.

    Args:
        extra: Further plugins: modules or objects with hook implementations.
        installed: Whether to look for installed plugins.
        block: Names of plugins to leave out, beside those in the environment variable
            ``ISACSIM_BLOCK`` (comma-separated).
    """
    blocked = {*block, *(n.strip() for n in os.environ.get(BLOCK_VARIABLE, "").split(",") if n.strip())}
    found: list[tuple[str, str, Callable[[], Any]]] = []
    found += [(module, "bundled", partial(importlib.import_module, module)) for module in PLUGINS]
    if installed:
        found += [(point.name, _origin(point), point.load) for point in entry_points(group=PROJECT)]
    for plugin in extra:
        name = getattr(plugin, "__name__", None) or type(plugin).__name__
        found.append((name, "given", partial(_given, plugin)))
    plugins, offers = [], {kind: {} for kind in KINDS}  # type: ignore[var-annotated]
    for name, origin, load in found:
        problem = "blocked" if name in blocked else _collect(name, load, offers)
        plugins.append(Plugin(name, origin, problem))
    return Registry(tuple(plugins), offers)


def _given(plugin: Any) -> Any:
    return plugin


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _collect(name: str, load: Any, offers: dict[str, dict[str, list[tuple[str, Spec]]]]) -> str:
    """Add what one plugin offers; returns what is wrong with it, or nothing."""
    try:
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(load(), name)
        manager.check_pending()
        mine = {kind: _specs(manager, kind) for kind in KINDS}
    except Exception as error:  # whatever a plugin does, the others must go on
        return f"{type(error).__name__}: {error}"
    for kind, specs in mine.items():
        for spec in specs:
            offers[kind].setdefault(spec.name, []).append((name, spec))
    return ""


def _specs(manager: pluggy.PluginManager, kind: str) -> list[Spec]:
    wanted = SolverSpec if kind == "solvers" else Spec
    specs = [spec for offered in getattr(manager.hook, f"isacsim_{kind}")() for spec in offered]
    for spec in specs:
        if not isinstance(spec, wanted):
            raise PluginError(f"isacsim_{kind} must yield {wanted.__name__}, got {spec!r}.")
    return specs
