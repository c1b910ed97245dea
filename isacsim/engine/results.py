"""The labelled results, whose names are attributes too. Imports xarray: import it where it is needed."""

from __future__ import annotations

from typing import Any

import xarray


class Results(xarray.Dataset):  # type: ignore[no-untyped-call]  # xarray types no subclass
    """A dataset of which ``results.sum_rate_nats`` is ``results["sum-rate-nats"]``."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """A variable or axis by its name, with underscores in place of hyphens."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if not name.startswith("_"):
                for known in self.variables:
                    if str(known).replace("-", "_") == name:
                        return self[known]
            raise

    def __dir__(self) -> list[str]:
        """What completion offers: the names that can be written as attributes as well."""
        names = (str(known).replace("-", "_") for known in self.variables)
        return [*super().__dir__(), *(name for name in names if name.isidentifier())]
