"""Formulas in the texts of figures, read before a run and not after it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isacsim.engine.scenario import Scenario
from isacsim.errors import InvalidInput

FORMULA = re.compile(r"(?<!\\)\$(.*?)(?<!\\)\$", re.DOTALL)
# Of all formulas that differ, together; each letter takes a ms or less to read. A study of twenty figures has a tenth.
MOST_LETTERS = 2000


def check_texts(scenario: Scenario) -> None:
    """Refuse titles, labels and names that matplotlib could not draw: between dollar signs stands a formula.

    Each formula is read once, and of very many the first ones.

    Raises:
        InvalidInput: It names the place and what is wrong.
    """
    letters, known = 0, set[str]()
    for place, text in _texts(scenario):
        if text.count("$") < 2:  # matplotlib takes a while to import, and a single one is a dollar sign
            continue
        news = [formula for formula in FORMULA.findall(text) if formula not in known]
        known.update(news)
        letters += sum(map(len, news))
        if letters > MOST_LETTERS and len(known) > len(news):
            return
        _read(place, text, news)


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


def _read(place: str, text: str, formulas: list[str]) -> None:
    from matplotlib.cbook import is_math_text
    from matplotlib.mathtext import MathTextParser

    if not is_math_text(text):
        return
    try:
        for formula in formulas:  # the letters around it are drawn as they are
            MathTextParser("path").parse(f"${formula}$")
    except ValueError as error:
        reason = str(error).splitlines()[-1]
        remedy = "Mend it, or write \\$ for a dollar sign."
        raise InvalidInput(place, f"must have formulas that can be drawn ({reason})", text, remedy) from None
