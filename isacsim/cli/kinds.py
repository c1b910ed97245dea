"""Names of kinds on the command line: in the singular as well."""

from __future__ import annotations

from isacsim.plugin import KINDS


def kind_named(word: str) -> str:
    """The kind that a word means, ``power-model`` for example; the word itself where it means none."""
    stem = word.replace("-", "_")
    return next((kind for kind in (stem, f"{stem}s") if kind in KINDS), word)
