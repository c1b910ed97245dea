"""Formulas in the texts of figures, read before a run and not after it."""

from __future__ import annotations

from collections.abc import Iterator

from isacsim.engine.scenario import Scenario
from isacsim.errors import InvalidInput


def check_texts(scenario: Scenario) -> None:
    """Refuse titles, labels and names that matplotlib could not draw: between dollar signs stands a formula.

    Raises:
        InvalidInput: It names the place and what is wrong.
    """
    for place, text in _texts(scenario):
        if text.count("$") >= 2:  # matplotlib takes a while to import, and a single one is a dollar sign
            _read(place, text)


def _texts(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Every text of a scenario that is drawn, with its place."""
    yield "title", scenario.title
    for name, axis in scenario.sweep.items():
        yield f"sweep.{name}.label", axis.label_of(name)
        for value in axis.values:
            if isinstance(value, str):
                yield f"sweep.{name}.values", value
    for name, figure in scenario.figure.items():
        yield f"figure.{name}.title", figure.title
    for table in ("design", "evaluate"):
        for name in getattr(scenario, table):
            yield f"{table}.{name}", name


def _read(place: str, text: str) -> None:
    from matplotlib.cbook import is_math_text
    from matplotlib.mathtext import MathTextParser

    if not is_math_text(text):
        return
    try:
        MathTextParser("path").parse(text)
    except ValueError as error:
        reason = str(error).splitlines()[-1]
        remedy = "Mend it, or write \\$ for a dollar sign."
        raise InvalidInput(place, f"must have formulas that can be drawn ({reason})", text, remedy) from None
