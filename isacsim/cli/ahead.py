"""What the end of a run needs, imported while its workers compute."""

from __future__ import annotations

import importlib
import threading

from isacsim.engine.events import ChunkEnd, Observer, RunEnd, Word

# By which a run becomes a dataset, files and figures: a second of one core, after which nothing else is done.
MODULES = ("xarray", "h5netcdf", "matplotlib.figure", "matplotlib.backends.backend_agg")


class ReadsAhead(Observer):
    """Imports in a thread of the driver, which waits for its workers meanwhile, and has a core while they compile.

    It begins when the first of them has something to say: until then, all of them import.
    """

    def __init__(self) -> None:
        self._thread = threading.Thread(target=_import, daemon=True)  # who interrupts a run does not wait for it

    def word(self, event: Word) -> None:
        """A worker compiles."""
        self._begin()

    def chunk_end(self, event: ChunkEnd) -> None:
        """A worker has done something."""
        self._begin()

    def run_end(self, event: RunEnd) -> None:
        """What is half imported is waited for."""
        if self._thread.ident is not None:
            self._thread.join()

    def _begin(self) -> None:
        if self._thread.ident is None:
            self._thread.start()


def _import() -> None:
    for module in MODULES:
        try:
            importlib.import_module(module)
        except Exception:  # whoever needs it says what is wrong with it
            return
