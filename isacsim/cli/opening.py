"""Opening runs on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isacsim.engine.folder import Run


def opened(folder: Path) -> Run:
    """The run of a folder, after its format is told if that is an earlier one."""
    from isacsim.engine.folder import open_run
    from isacsim.engine.ledger import FORMAT

    run = open_run(folder).once()
    if run.format < FORMAT:
        print(f"{run.path}: a run of format {run.format}, which can be read but not continued", file=sys.stderr)
    return run
