"""A run folder, read: what was asked, and every number that is there of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from isacsim.engine.ledger import FORMAT
from isacsim.engine.load import load_scenario
from isacsim.engine.scenario import Scenario
from isacsim.engine.store import Store
from isacsim.engine.unnumbered import Unnumbered, unnumbered
from isacsim.engine.views import Expectation, Figure
from isacsim.engine.work import DesignRecord, Failure
from isacsim.errors import InvalidInput, one_of
from isacsim.notebook import table
from isacsim.plugin import Registry, default_registry

if TYPE_CHECKING:
    from types import TracebackType

    import xarray

    from isacsim.engine.replay import Replay


@frozen
class Counts:
    """Where the trials of a run are: ``requested = done + partly + failed + skipped``.

    A trial is partly done where a design or a measure has failed and others have not.
    """

    requested: int
    done: int
    failed: int
    partly: int = 0

    @property
    def skipped(self) -> int:
        """Trials that were neither done nor failed yet."""
        return self.requested - self.done - self.partly - self.failed

    @property
    def complete(self) -> bool:
        """Whether every trial is done."""
        return self.done == self.requested

    def __str__(self) -> str:
        partly = f" + {self.partly} partly done" if self.partly else ""
        return f"{self.requested} requested = {self.done} done{partly} + {self.failed} failed + {self.skipped} skipped"


@frozen
class TrialFailure:
    """What failed of a trial at a point; unpacks as coordinates, trial and error.

    Attributes:
        coords: Value of each axis of the sweep.
        trial: The trial.
        what: Which part of it, and why.
    """

    coords: dict[str, Any]
    trial: int
    what: Failure

    @property
    def error(self) -> str:
        """The exception: its type and what it says."""
        return self.what.error

    def __iter__(self) -> Iterator[Any]:
        return iter((self.coords, self.trial, self.error))

    def __getitem__(self, place: int) -> Any:
        return tuple(self)[place]

    def __len__(self) -> int:
        return 3


class Run:
    """A run folder: what was asked, and every number that is there of it.

    Args:
        path: The folder.
        complaints: What observers said when they raised.

    Attributes:
        format: Format of the ledger; one of an earlier isacsim can be read and not continued.
    """

    def __init__(self, path: str | Path, complaints: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self.complaints = tuple(complaints)
        self._keeps, self._kept = False, cast("xarray.Dataset | None", None)
        with self._store() as store:
            self.format = store.format
            self.points: list[dict[str, Any]] = store.need("points")
            self.trials: int = store.need("trials")
            self.title: str = store.need("title")
            self.figures = {name: Figure(**table) for name, table in store.need("figures").items()}
            self.expectations = {n: Expectation(**table) for n, table in store.need("expectations").items()}
            self.axes: dict[str, list[Any]] = store.need("axes")
            self.axis_labels: dict[str, str] = store.need("axis_labels")

    def _store(self) -> Store:
        return Store.open(self.path)

    def counts(self) -> Counts:
        """How many trials were requested, are done and failed, over all points."""
        with self._store() as store:
            return counted(store, self.points, self.trials)

    def failures(self) -> list[TrialFailure]:
        """What failed: of every trial that is not whole each design and each measure that is missing, and why."""
        with self._store() as store:
            return [
                TrialFailure(point["coords"], trial, what)
                for point in self.points
                for trial, parts in store.failures(point["id"]).items()
                for what in parts
            ]

    def dataset(self, *, trials: range | None = None, lazy: bool = False, **coords: Any) -> xarray.Dataset:
        """Every number, labelled: sweep axes x evaluate x design x trial, units and provenance.

        A run that does not fit the memory is read in parts, ``run.dataset(bits=[2, 3], trials=range(10_000))``, or
        lazily: what is selected of ``run.dataset(lazy=True)`` is read from the ledger when its values are asked for,
        as of a file that xarray has opened. With dask installed, ``run.dataset(lazy=True).chunk(trial=100_000)`` goes
        through all trials piece by piece.

        Args:
            trials: Which trials, a range of step 1; None is all.
            lazy: Whether numbers are read only when they are asked for.
            coords: A value of an axis of the sweep, or several, by its name; other axes are whole.

        Raises:
            InvalidInput: If there is no such axis or value.
        """
        from isacsim.engine.dataset import build_dataset
        from isacsim.engine.frame import Part

        if lazy:
            from isacsim.engine.ondemand import build_on_demand

            with self._store() as store:
                return build_on_demand(store, Part(coords, trials))
        whole = not coords and trials is None
        if whole and self._kept is not None:
            return self._kept
        with self._store() as store:
            found = build_dataset(store, Part(coords, trials))
        self._kept = found if self._keeps and whole else self._kept
        return found

    def once(self) -> Run:
        """The same run for who asks it many things: its dataset is read once, and what is asked must not change it."""
        kept = copy(self)
        kept._keeps = True
        return kept

    @property
    def designs(self) -> list[str]:
        """Names of the designs."""
        return list(dict.fromkeys(name for point in self.points for name in point["design_ids"]))

    def precoders(self, design: str) -> xarray.DataArray:
        """The precoders of a design at every point and trial, shape (axes..., trial, antenna, stream), in sqrt(W).

        NaN where there is none, and where others have more antennas or streams.

        Raises:
            InvalidInput: If there is no such design.
        """
        from isacsim.engine.dataset import build_precoders

        if design not in self.designs:
            raise InvalidInput("design", "must name a design", design, one_of(self.designs, design))
        with self._store() as store:
            return build_precoders(store, design)

    def unnumbered(self) -> list[Unnumbered]:
        """Where a measure gave NaN although its design has an answer."""
        with self._store() as store:
            return unnumbered(store)

    def check(self) -> None:
        """Read every row of the ledger, and see that each trial that is done has its designs.

        Raises:
            StoreError: If a row or the file is not as it was written; it names the place.
        """
        with self._store() as store:
            store.check()
        self.dataset()

    def design(self, name: str, trial: int, **coords: Any) -> DesignRecord:
        """The stored solution of one design for one trial at one point of the sweep.

        Raises:
            InvalidInput: If there is no such design, point or trial.
        """
        chosen = [p for p in self.points if all(p["coords"].get(k) == v for k, v in coords.items())]
        if not chosen:
            raise InvalidInput("coords", "must be values of the sweep", coords, one_of(self.axes))
        names = dict.fromkeys(known for p in chosen for known in p["design_ids"])
        if name not in names:
            raise InvalidInput("name", "must name a design", name, one_of(names, name))
        chosen = [p for p in chosen if name in p["design_ids"]]
        address, *others = {p["design_ids"][name] for p in chosen}
        if others:
            remedy = f"Give the values of more axes: {', '.join(self.axes)}."
            raise InvalidInput("coords", f"must choose one of {1 + len(others)} solutions", coords, remedy)
        with self._store() as store:
            found = store.designs(address, [trial])
        if not found:
            raise InvalidInput("trial", f"must be a trial that is done, below {self.trials}", trial, "See `counts`.")
        return found[address, trial]

    def replay(
        self,
        point: Mapping[str, Any] | None = None,
        trial: int = 0,
        *,
        scenario: Scenario | str | Path | None = None,
        registry: Registry | None = None,
        debug: Callable[[TracebackType | None], Any] | None = None,
    ) -> Replay:
        """Run one trial at one point again, in this process, and compare it with what is stored.

        Nothing is written. Designs are solved anew.

        Args:
            point: Values of the axes that tell the point; an axis that makes no difference can be left out.
            trial: The trial, done, failed or missing.
            scenario: The scenario or its file; by default it is made again from what the ledger tells.
            registry: Where components are looked up; None is the registry of this process.
            debug: Called with the traceback of the first exception of a component, `pdb.post_mortem` for example;
                what fails is computed once more then.

        Raises:
            InvalidInput: If there is no such point or trial.
            StoreError: If the scenario cannot be made again, or is another.
        """
        from isacsim.engine.replay import replay

        registry = registry or default_registry()
        if isinstance(scenario, (str, Path)):
            scenario = load_scenario(scenario, registry=registry)
        with self._store() as store:
            return replay(store, point or {}, trial, registry, scenario=scenario, debug=debug)

    def _repr_html_(self) -> str:
        rows = [("folder", self.path), ("trials", self.counts()), ("designs", ", ".join(self.designs))]
        rows += [(f"sweep of {name}", ", ".join(map(str, values))) for name, values in self.axes.items()]
        return table(self.title or "Run", [*rows, ("figures", ", ".join(self.figures) or "none")])

    def __repr__(self) -> str:
        earlier = f", of the earlier format {self.format}" if self.format < FORMAT else ""
        return f"Run({str(self.path)!r}: {self.counts()}{earlier})"


def counted(store: Store, points: list[dict[str, Any]], trials: int) -> Counts:
    """Where the trials of points are, of so many each."""
    done, partly, broken = (store.count(table, trials) for table in ("results", "partial", "failures"))
    ids, stops = [point["id"] for point in points], store.stops()
    some = sum(partly.get(i, 0) for i in ids)  # each has failures too, which tell what is missing
    failed = sum(broken.get(i, 0) for i in ids) - some
    requested = sum(min(trials, stops.get(i, trials)) for i in ids)
    return Counts(requested, sum(done.get(i, 0) for i in ids), failed, some)


def require_run(name: str, value: Any) -> None:
    """Refuse what is no run.

    Raises:
        InvalidInput: It names ``name``.
    """
    if not isinstance(value, Run):
        raise InvalidInput(name, "must be a Run", value, f"Write isacsim.open_run({str(value)!r}), for example.")


def open_run(path: str | Path) -> Run:
    """The run of a folder that `run` wrote.

    Raises:
        StoreError: If there is none.
    """
    return Run(path)
