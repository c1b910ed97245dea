"""Tables on a terminal, of which no word is broken or cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDEST = 10_000  # characters, beyond any table


def console() -> Console:
    """Standard output, on which names and units are text, whatever is in them."""
    from rich.console import Console

    return Console(markup=False, emoji=False)


def print_whole(view: Table) -> None:
    """Print a table as wide as it needs: a line that is too long is the terminal's to wrap."""
    out = console()
    needed = out.measure(view, options=out.options.update(max_width=WIDEST, width=WIDEST)).maximum
    out.width = max(out.width, needed)
    out.print(view, crop=False, soft_wrap=True)
