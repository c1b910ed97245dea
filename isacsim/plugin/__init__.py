"""Plugins: hooks, the specs they yield, and the registry of what is there."""

from isacsim.plugin.hookspecs import KINDS, hookimpl
from isacsim.plugin.registry import Loadable, Plugin, Registry, build_registry, default_registry
from isacsim.plugin.specs import ScenarioSpec, SolverSpec, Spec
from isacsim.plugin.versions import API_VERSION

__all__ = [
    "API_VERSION",
    "KINDS",
    "Loadable",
    "Plugin",
    "Registry",
    "ScenarioSpec",
    "SolverSpec",
    "Spec",
    "build_registry",
    "default_registry",
    "hookimpl",
]
