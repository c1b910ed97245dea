"""Names of kinds on the command line: in the singular as well."""

from __future__ import annotations

import typer

from isacsim.plugin import KINDS, default_registry


def kind_named(word: str) -> str:
    """The kind that a word means, ``power-model`` for example; the word itself where it means none."""
    stem = word.replace("-", "_")
    return next((kind for kind in (stem, f"{stem}s") if kind in KINDS), word)


def singular(kind: str) -> str:
    """A component of a kind in words, ``power model`` for example."""
    return kind.removesuffix("s").replace("_", " ")


def kinds(incomplete: str) -> list[str]:
    """Completions of a kind."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Completions of a name of the kind before it, each with its summary."""
    kind = kind_named(str(context.params.get("kind", "")))
    registry = default_registry()
    found = registry.names(kind) if kind in KINDS else ()
    return [(name, registry.spec(kind, name).summary) for name in found if name.startswith(incomplete)]


def scenarios(incomplete: str) -> list[str]:
    """Completions of a scenario: its name; files are the shell's."""
    return [name for name in default_registry().names("scenarios") if name.startswith(incomplete)]
