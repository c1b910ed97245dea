"""The components that are there, by kind and name.

A registry is built from the bundled plugins and the installed ones (entry-point group
``isacsim``). A broken plugin is named and reported, and the rest goes on; a name that two
plugins offer, and a problem for which two offer a default, is an error for whoever asks for it.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import attrs
import pluggy
from attrs import field, frozen

from isacsim.errors import InvalidInput, PluginError, brief, one_of
from isacsim.plugin import hookspecs
from isacsim.plugin.discovery import Found, find
from isacsim.plugin.elsewhere import where_to_find
from isacsim.plugin.hookspecs import KINDS, PROJECT
from isacsim.plugin.isolation import guarded, watched
from isacsim.plugin.kinds import check_kind
from isacsim.plugin.specs import SolverSpec, Spec
from isacsim.plugin.surroundings import undisturbed
from isacsim.plugin.versions import notice_of

BLOCK_VARIABLE = "ISACSIM_BLOCK"
HOW_TO_BLOCK = f"block one with --block or {BLOCK_VARIABLE}"

Offers = dict[str, dict[str, list[tuple[str, Spec]]]]


@frozen
class Plugin:
    """A plugin that was found.

    Attributes:
        name: Name of its entry point, or of its module.
        origin: Distribution and version, ``bundled``, or ``given``.
        problem: Why it is not in use; empty when it is.
        notice: What its author should change before it stops working; empty when nothing.
        changed: What it changed of the process when it was imported, which was put back; empty when nothing.
    """

    name: str
    origin: str
    problem: str = ""
    notice: str = ""
    changed: str = ""


@frozen
class Loadable:
    """The components of a kind that can be used.

    Attributes:
        components: Each by its name.
        faults: Why each of the others cannot, by name.
    """

    components: dict[str, Any]
    faults: dict[str, str]


@frozen(eq=False)
class Registry:
    """Specs by kind and name, with the plugin that offers each.

    Attributes:
        plugins: Every plugin that was found, broken and blocked ones included.
    """

    plugins: tuple[Plugin, ...]
    _offers: Offers = field(alias="offers")
    _loaded: dict[tuple[str, str], Any] = field(init=False, factory=dict)  # what was imported and looked at

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of components."""
        return tuple(self._offers)

    def names(self, kind: str) -> list[str]:
        """Names of the components of a kind, in order."""
        return sorted(self._of(kind))

    def usable(self, kind: str) -> list[str]:
        """Names of the components of a kind that one plugin alone offers, in order."""
        return sorted(name for name, offers in self._of(kind).items() if len(offers) == 1)

    def _unused(self) -> str:
        """A plugin that may have what is looked for, were it in use."""
        broken = (plugin for plugin in self.plugins if plugin.problem not in ("", "blocked"))
        return next((f" The plugin {plugin.name} is not in use: {plugin.problem}" for plugin in broken), "")

    def spec(self, kind: str, name: Any) -> Spec:
        """The spec of a component.

        Raises:
            InvalidInput: If there is none of that name.
            PluginError: If several plugins offer it.
        """
        offers = self._of(kind).get(name, []) if isinstance(name, str) else []
        if not offers:
            remedy = where_to_find(kind, str(name)) + one_of(self._of(kind), str(name))
            raise InvalidInput("kind", f"must name one of the {kind}", name, remedy + self._unused())
        if len(offers) > 1:
            providers = " and ".join(provider for provider, _ in offers)
            raise PluginError(f"{kind} {name!r} is offered by {providers}; {HOW_TO_BLOCK}.")
        return offers[0][1]

    def provider(self, kind: str, name: str) -> str:
        """Name of the plugin that offers a component."""
        self.spec(kind, name)
        return self._of(kind)[name][0][0]

    def load(self, kind: str, name: Any) -> Any:
        """Import a component.

        Raises:
            InvalidInput: If there is none of that name.
            PluginError: If several plugins offer it, if it cannot be imported, or if it is not
                what its kind asks for.
        """
        if not isinstance(name, str) or (kind, name) not in self._loaded:
            spec = self.spec(kind, name)
            component = spec.load()
            guarded(check_kind, kind, spec.name, spec.target, component)
            self._loaded[kind, name] = component
        return self._loaded[kind, name]

    def loadable(self, kind: str) -> Loadable:
        """The components of a kind that can be used, and why the others cannot; imports them all.

        For whoever asks for all of a kind: what is wrong with one must not spoil the others.
        """
        components, faults = {}, {}
        for name in self.names(kind):
            try:
                components[name] = self.load(kind, name)
            except PluginError as error:
                faults[name] = str(error)
        return Loadable(components, faults)

    def make(self, kind: str, name: Any, options: Mapping[str, Any]) -> Any:
        """A component from values of its fields, in SI units.

        Raises:
            InvalidInput: For a name or an option that is not known, or a value that breaks a rule.
            PluginError: As for `load`.
        """
        component = self.load(kind, name)
        ready = not isinstance(component, type)
        known = [] if ready or not attrs.has(component) else [f.alias for f in attrs.fields(component) if f.init]
        for option, value in options.items():
            if option not in known:
                raise InvalidInput(option, f"must be an option of {name}", value, one_of(known, str(option)))
        if ready:
            return component
        with undisturbed():
            return component(**options)

    def offered(self) -> Iterator[tuple[str, Spec]]:
        """Kind and spec of every component whose name one plugin alone offers, in the order of the offers."""
        for kind, by_name in self._offers.items():
            yield from ((kind, offers[0][1]) for offers in by_name.values() if len(offers) == 1)

    def default_solver(self, problem: str) -> str:
        """Name of the default solver of a kind of problem.

        Raises:
            PluginError: If no plugin offers one, or if there are two.
        """
        defaults = self._defaults.get(problem, [])
        if not defaults:
            raise PluginError(f"no installed solver is the default for {problem!r}; name a solver.")
        if len(defaults) > 1:
            raise PluginError(f"{_rivals(problem, defaults)}; name a solver, or {HOW_TO_BLOCK}.")
        name = defaults[0][1]
        self.spec("solvers", name)  # refuses a name in dispute
        return name

    @property
    def conflicts(self) -> list[str]:
        """Kinds and names that more than one plugin offers, as sentences."""
        return [
            f"{kind} {name!r}: {' and '.join(provider for provider, _ in offers)}"
            for kind, by_name in self._offers.items()
            for name, offers in by_name.items()
            if len(offers) > 1
        ]

    @property
    def rivals(self) -> list[str]:
        """Problems that have more than one default solver, as sentences."""
        solvers = [spec for offers in self._offers["solvers"].values() for _, spec in offers]
        problems = dict.fromkeys(p for spec in solvers if isinstance(spec, SolverSpec) for p in spec.default_for)
        return [_rivals(problem, self._defaults[problem]) for problem in problems if len(self._defaults[problem]) > 1]

    @cached_property
    def _defaults(self) -> dict[str, list[tuple[str, str]]]:
        """Plugin and name of every solver that is offered as the default of a problem, by problem."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name, offers in sorted(self._of("solvers").items()):
            for provider, spec in offers:
                for problem in dict.fromkeys(spec.default_for) if isinstance(spec, SolverSpec) else ():
                    found.setdefault(problem, []).append((provider, name))
        return found

    def _of(self, kind: str) -> dict[str, list[tuple[str, Spec]]]:
        if not isinstance(kind, str) or kind not in self._offers:
            raise InvalidInput("kind", "must be a kind of component", kind, one_of(KINDS, str(kind)))
        return self._offers[kind]


def _rivals(problem: str, defaults: Sequence[tuple[str, str]]) -> str:
    named = " and ".join(f"{name!r} of {provider}" for provider, name in defaults)
    return f"problem {problem!r} has {len(defaults)} default solvers, {named}"


@cache
def default_registry() -> Registry:
    """The registry of this process, built on first use."""
    return build_registry()


def build_registry(extra: Sequence[Any] = (), *, installed: bool = True, block: Iterable[str] = ()) -> Registry:
    """A new registry.

    Warns of each plugin that is written for an older version of the plugin API.

    Args:
        extra: Further plugins: modules or objects with hook implementations.
        installed: Whether to look for installed plugins.
        block: Names of plugins, or of the distributions they come from, to leave out, beside
            those in the environment variable ``ISACSIM_BLOCK`` (comma-separated).
    """
    blocked = {*block, *(n.strip() for n in os.environ.get(BLOCK_VARIABLE, "").split(",") if n.strip())}
    offers: Offers = {kind: {} for kind in KINDS}
    plugins = tuple(_collected(found, blocked, offers) for found in find(extra, installed))
    for plugin in plugins:
        if plugin.notice:
            warnings.warn(f"plugin {plugin.name} ({plugin.origin}): {plugin.notice}", DeprecationWarning, stacklevel=2)
    return Registry(plugins, offers)


def _collected(found: Found, blocked: Collection[str], offers: Offers) -> Plugin:
    """Add what one plugin offers; returns it with what is wrong with it, if anything is."""
    if not found.blockers.isdisjoint(blocked):
        return Plugin(found.name, found.origin, "blocked")
    try:
        (notice, mine), changed = watched(_offered, found)
    except PluginError as error:
        return Plugin(found.name, found.origin, str(error))
    for kind, name, spec in mine:
        offers[kind].setdefault(name, []).append((found.name, spec))
    return Plugin(found.name, found.origin, notice=notice, changed=", ".join(changed))


def _offered(found: Found) -> tuple[str, list[tuple[str, str, Spec]]]:
    """What to tell about a plugin's version, and kind, name and spec of all that it offers."""
    plugin = found.load()
    notice = notice_of(plugin, found.versioned)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    _require_hooks(manager, plugin)
    manager.register(plugin, found.name)
    manager.check_pending()
    _require_marks(manager, plugin)
    return notice, [(kind, spec.name, spec) for kind in KINDS for spec in _specs(manager, kind)]


def _require_hooks(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Refuse what is marked as a hook and is none, or takes arguments."""
    hooks = [f"isacsim_{kind}" for kind in KINDS]
    for name in dir(plugin):
        marks = manager.parse_hookimpl_opts(plugin, name)
        if marks is None:
            continue
        if name not in hooks and not marks.get("specname") and not marks.get("optionalhook"):
            raise PluginError(f"{name} is no hook. {one_of(hooks, name)}")
        if name in hooks and inspect.signature(getattr(plugin, name)).parameters:
            raise PluginError(f"{name} must take no arguments. Write def {name}().")


def _require_marks(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Refuse a function with the name of a hook that is none: what it offers would not be there, without a word."""
    for hook in (f"isacsim_{kind}" for kind in KINDS):
        if callable(getattr(plugin, hook, None)) and manager.parse_hookimpl_opts(plugin, hook) is None:
            raise PluginError(f"{hook} is not called: decorate it with @hookimpl.")


def _specs(manager: pluggy.PluginManager, kind: str) -> list[Spec]:
    wanted = SolverSpec if kind == "solvers" else Spec
    remedy = f"Write yield {wanted.__name__}('name', 'package.module:Class', 'what it is')."
    specs: list[Spec] = []
    for offered in getattr(manager.hook, f"isacsim_{kind}")():
        if isinstance(offered, (Spec, str)) or not isinstance(offered, Iterable):
            raise PluginError(f"isacsim_{kind} must yield its specs, got {brief(offered)} by itself. {remedy}")
        specs += offered
    for spec in specs:
        if not isinstance(spec, wanted):
            raise PluginError(f"isacsim_{kind} must yield {wanted.__name__}, got {brief(spec)}. {remedy}")
    return specs
