"""Numbers of a run that are read from its ledger when they are asked for, as xarray reads files.

Imports xarray: import it where it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from xarray.backends import BackendArray
from xarray.core.indexing import (
    ExplicitIndexer,
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

from isacsim.engine.dataset import STATUS, labelled, own_axes, read
from isacsim.engine.frame import Frame, Part
from isacsim.engine.store import Store
from isacsim.solvers.solution import Status
from isacsim.typing import AnyArray

if TYPE_CHECKING:
    import xarray


@frozen(eq=False)
class OnDemand(BackendArray):
    """A variable of the dataset of a run.

    Attributes:
        path: The run folder.
        name: Name of the variable.
        dims: Its axes.
        axes: Values of each axis of the sweep.
        shape: Its shape.
        dtype: Its type.
    """

    path: Path
    name: str
    dims: tuple[str, ...]
    axes: dict[str, list[Any]]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, key: ExplicitIndexer) -> Any:
        """The numbers at some places."""
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> AnyArray:
        """The numbers at places along each axis, ``key`` having a number, a slice or an array of numbers for each."""
        places = {d: np.arange(n)[at] for d, n, at in zip(self.dims, self.shape, key, strict=True)}
        shape = [length for at in places.values() for length in at.shape]
        if 0 in shape:
            return np.zeros(shape, self.dtype)
        # Only the points and the piece of trials around them are read.
        some = {name: np.unique(places[name]) for name in self.axes}
        coords = {name: [self.axes[name][i] for i in chosen] for name, chosen in some.items()}
        trials = places.get("trial")
        span = None if trials is None else range(int(trials.min()), int(trials.max()) + 1)
        with Store.open(self.path) as store:
            frame = Frame.of(store, Part(coords, span, frozenset([self.name])), span)
            _, values, _ = read(store, frame, own_axes(store))[self.name]
        within = {**places, **{name: np.searchsorted(some[name], places[name]) for name in some}}
        if span is not None:
            within["trial"] = places["trial"] - span.start
        found = values[np.ix_(*map(np.atleast_1d, within.values()))].reshape(shape)
        return found.astype(self.dtype, copy=False)


def build_on_demand(store: Store, part: Part) -> xarray.Dataset:
    """The dataset of a run, or of a part of it, whose numbers are read when they are asked for."""
    whole, own = Frame.of(store, Part()), own_axes(store)
    heads = read(store, Frame.of(store, Part(), range(0)), own)
    longest = np.array([*map(str, Status)]).dtype
    variables = {}
    for name, (dims, none, attributes) in heads.items():
        shape = tuple(whole.trials if dim == "trial" else n for dim, n in zip(dims, none.shape, strict=True))
        dtype = longest if name == STATUS else none.dtype
        array = OnDemand(store.folder, name, dims, whole.axes, shape, dtype)
        variables[name] = dims, LazilyIndexedArray(array), attributes
    dataset = labelled(store, whole, own, variables)
    chosen = part.axes(whole.axes)
    places = {name: [whole.axes[name].index(v) for v in chosen[name]] for name in part.coords}
    return dataset.isel({**places, "trial": slice(part.span(whole.trials).start, part.span(whole.trials).stop)})
