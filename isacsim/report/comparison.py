"""Two runs beside each other: paired differences, since trials are common random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import frozen
from rich.table import Table

from isacsim.engine.folder import Run, require_run
from isacsim.engine.statistics import mean
from isacsim.errors import InvalidInput, one_of
from isacsim.report.places import text_of
from isacsim.units import shown

if TYPE_CHECKING:
    import xarray


@frozen
class Difference:
    """How far a mean of the other run is from that of the first, over the trials that both have.

    Attributes:
        at: Where in the sweep, and which evaluation.
        design: The design of the first run.
        other_design: The design of the other run.
        quantity: Name of the quantity.
        unit: Its unit.
        first: Mean of the first run.
        second: Mean of the other run.
        difference: ``second - first``.
        low: Lower end of the 95 % interval of the difference, by Student's law of the differences of the
            trials; NaN with fewer than two.
        high: Upper end.
        trials: Trials that entered.
    """

    at: dict[str, Any]
    design: str
    other_design: str
    quantity: str
    unit: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    trials: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return bool(self.low > 0 or self.high < 0)


def compare(
    run: Run, other: Run, *, design: str | None = None, other_design: str | None = None
) -> tuple[Difference, ...]:
    """Paired differences of two runs at every point, evaluation, design and scalar quantity that both have.

    Trial i of both has the same realisation where seed, arrays, channels and targets are the same, so
    that the interval is narrow. It is valid where they are not, too.

    Args:
        run: The first run.
        other: The run that is compared with it.
        design: A design of the first run; None is all.
        other_design: The design of the other run beside ``design``; None is the one of the same name.

    Raises:
        InvalidInput: If they are no runs, or have nothing in common.
    """
    require_run("run", run)
    require_run("other", other)
    one, two = run.dataset(), other.dataset()
    for name, dataset, chosen in (("design", one, design), ("other_design", two, other_design)):
        known = dataset["design"].values.tolist()
        if chosen is not None and chosen not in known:
            raise InvalidInput(name, "must name a design of its run", chosen, one_of(known, chosen))
    if other_design is not None and design is None:
        raise InvalidInput("design", "must be there beside other_design", "", "Name the design of the first run.")
    pairs = [(design, other_design or design)] if design else [(d, d) for d in one["design"].values.tolist()]
    found = tuple(_differences(one, two, pairs))
    if not found:
        rule, remedy = "must share points, designs and quantities with the first run", "Compare runs of one study."
        raise InvalidInput("other", rule, str(other.path), remedy)
    return found


def _differences(one: xarray.Dataset, two: xarray.Dataset, pairs: Sequence[tuple[Any, Any]]) -> Iterator[Difference]:
    lead = [d for d in one.attrs["index_dims"].split() if d not in ("design", "trial")]
    if [d for d in two.attrs["index_dims"].split() if d not in ("design", "trial")] != lead:
        return
    shared = {dim: [v for v in one[dim].values.tolist() if v in two[dim].values] for dim in lead}
    names = [n for n, v in one.items() if tuple(v.dims) == (*lead, "design", "trial") and n in two]
    trials = np.arange(min(one.sizes["trial"], two.sizes["trial"]))
    for values, (own, others), name in product(product(*shared.values()), pairs, names):
        if others not in two["design"].values:
            continue
        at = dict(zip(lead, values, strict=True))
        a = one[name].sel({**at, "design": own, "trial": trials}).values
        b = two[name].sel({**at, "design": others, "trial": trials}).values
        kept = np.isfinite(a) & np.isfinite(b)
        if kept.any():
            apart = mean((b - a)[kept])
            yield Difference(
                at, str(own), str(others), str(name), one[name].attrs["units"], float(a[kept].mean()),
                float(b[kept].mean()), float(apart.value), float(apart.low), float(apart.high), int(kept.sum()),
            )  # fmt: skip


def rows(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """The differences for scripts."""
    return [{**attrs.asdict(d), "significant": d.significant} for d in found]


def table(found: Sequence[dict[str, Any]]) -> Table:
    """The rows as a table, as wide as it needs; a star marks an interval that leaves out zero.

    What is the same in all rows is told once, below it.
    """
    heads = (*found[0]["at"], "design", "quantity", "RUN", "OTHER", "difference", "trials")
    columns = list(zip(*(_cells(row) for row in found), strict=True))
    told = {i for i, head in enumerate(heads) if head not in ("RUN", "OTHER", "difference")}
    alike = {i for i in told if len(found) > 1 and len({*columns[i]}) == 1}
    view = Table(
        title="means of RUN and OTHER, and OTHER - RUN ± half the 95 % interval; * leaves out zero",
        caption="\n".join(f"{heads[i]}: {columns[i][0]}" for i in sorted(alike)) or None, caption_justify="left",
    )  # fmt: skip
    for i, head in enumerate(heads):
        if i not in alike:
            view.add_column(head, no_wrap=True, justify="right" if i > heads.index("quantity") else "left")
    for line in zip(*(column for i, column in enumerate(columns) if i not in alike), strict=True):
        view.add_row(*line)
    return view


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    name = row["design"] if row["design"] == row["other_design"] else f"{row['design']} → {row['other_design']}"
    unit, factor = shown(row["unit"])
    first, second, off, low, high = (factor * row[n] for n in ("first", "second", "difference", "low", "high"))
    quantity = row["quantity"] + (f" ({unit})" if unit != "1" else "")
    half = "" if np.isnan(low) else f" ± {(high - low) / 2:.2g}"
    told = f"{off:+.3g}{half}{' *' if row['significant'] else ''}"
    return (
        *map(text_of, row["at"].values()),
        name,
        quantity,
        f"{first:.4g}",
        f"{second:.4g}",
        told,
        str(row["trials"]),
    )
