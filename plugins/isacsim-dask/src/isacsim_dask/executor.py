"""The executor `dask`, as scenarios and the command line name it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from attrs import field, frozen

from isacsim.api import ExecutorFactory, InvalidInput, number
from isacsim_dask.crew import Crew
from isacsim_dask.place import Local, Place, Remote


@frozen
class Dask(ExecutorFactory):
    """Workers of a Dask cluster; without an address, of one that is started on this machine.

    Each thread of a dask worker is a process that computes. Workers may come and go: what a lost one had goes
    to others, and a trial that takes four of them with it has failed. Workers whose versions differ from the
    driver's are left out. ``--workers`` counts only where the cluster is started here.

    Args:
        address: Of the scheduler, ``tcp://10.0.0.1:8786``.
        scheduler_file: What ``dask scheduler --scheduler-file`` has written, in place of the address.
        direct: Whether the driver may connect to workers itself; otherwise all goes through the scheduler.
        patience: How long a scheduler may take to answer, or to come back, in s.
        trial_timeout: Longest time of a trial, in s; compiling kernels for the first time counts too.
        memory_gb: Most memory of a process, in GB; by default an equal share of the worker's limit, and at
            least 2 GiB. A trial that needs more fails.
    """

    address: str | None = None
    scheduler_file: str | None = None
    direct: bool = True
    patience: float = field(default=60.0, validator=number(above=0))
    trial_timeout: float | None = field(default=None, validator=number(above=0, optional=True))
    memory_gb: float | None = field(default=None, validator=number(above=0, optional=True))

    def __attrs_post_init__(self) -> None:
        if self.address is not None and self.scheduler_file is not None:
            remedy = "Leave one of them out."
            raise InvalidInput("scheduler_file", "must not stand beside an address", self.scheduler_file, remedy)

    def open(self, workers: int) -> Executor:
        """A crew of all workers of the cluster.

        Raises:
            InvalidInput: If no scheduler answers.
        """
        place: Place = Local(workers)
        if self.address is not None or self.scheduler_file is not None:
            place = Remote(self.address, self.scheduler_file)
        memory = None if self.memory_gb is None else int(self.memory_gb * 1e9)
        return Crew(place, (self.trial_timeout or float("inf"), memory), self.patience, self.direct)

    def width(self, executor: Executor, workers: int) -> int:
        """How many processes of the cluster there are now, and at least one."""
        return max(1, executor.width) if isinstance(executor, Crew) else workers

    def listen(self, executor: Executor, hear: Callable[[str], None]) -> None:
        """Tell what workers compile, and which of them come and go."""
        if isinstance(executor, Crew):
            executor.hear = hear

    def abandon(self, executor: Executor) -> None:
        """Leave the cluster at once."""
        executor.kill() if isinstance(executor, Crew) else super().abandon(executor)
