"""Plugins: hooks, the specs they yield, and the registry of what is there."""

from isacsim.plugin.hookspecs import KINDS, hookimpl
from isacsim.plugin.registry import Plugin, Registry, build_registry, default_registry
from isacsim.plugin.specs import ScenarioSpec, SolverSpec, Spec

__all__ = [
    "KINDS",
    "Plugin",
    "Registry",
    "ScenarioSpec",
    "SolverSpec",
    "Spec",
    "build_registry",
    "default_registry",
    "hookimpl",
]
