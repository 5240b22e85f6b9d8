"""What a training does together with other processes. In one process, all of it comes down to that process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mytorch.core import ArgumentError, Buffer, Parameter, RandomState, random_state
from mytorch.train.engine import Eager, Engine
from mytorch.train.parallel.pipeline.stage import Stage
from mytorch.train.parallel.pipeline.step import PipelineStep
from mytorch.train.parallel.pipeline.times import notes_of
from mytorch.train.parallel.processes import Processes, Wishes
from mytorch.train.setup import Setup

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")


_MAY_DIFFER = ("threads", "python")
"""Conditions of a checkpoint in which processes may differ, or that are compared in another way."""


class Together:
    """The other processes of a training, seen from this one.

    processes: None in one process, where nothing is exchanged.
    setup: what is trained, of whose net and loss the processes share numbers, and draw random ones apart.
    """

    def __init__(self, processes: Processes | None, setup: Setup) -> None:
        self.processes, self.net, self.loss = processes, setup.net, setup.loss
        self.optimizer = setup.optimizer
        self.pipeline = setup.step if isinstance(setup.step, PipelineStep) else None

    @property
    def size(self) -> int:
        """How many processes there are."""
        return 1 if self.processes is None else self.processes.size

    @property
    def share(self) -> tuple[int, int]:
        """The number of this process and how many there are."""
        return (0, 1) if self.processes is None else self.processes.share

    @property
    def rows(self) -> tuple[int, int]:
        """The number of this process among those that take other rows of a batch, and how many these are."""
        stage = self.stage
        return self.share if stage is None else (stage.replica, stage.replicas)

    @property
    def stage(self) -> Stage | None:
        """The part of the model that this process trains, where each has some of the layers."""
        return None if self.pipeline is None else self.pipeline.stage_of(self.net, self.loss)

    @property
    def gather(self) -> Callable[[Any], list[Any]] | None:
        """How an evaluation collects what all processes predict; None in one process."""
        return None if self.processes is None else self.processes.gather

    def begin(
        self,
        versions: Callable[[], Mapping[str, str]],
        describe: Callable[[], Mapping[str, Any]],
        held: Iterable[Parameter | Buffer],
    ) -> None:
        """Start alike, with the values that the first process holds, and with random numbers of one's own.

        versions: gives those of the distributions that this process uses.
        describe: gives the conditions of this training, which take a look at all data.
        Raises RankError where those of another process differ; threads may, and the last number of Python's version.
        """
        if self.processes is None:
            return
        self.processes.begin(versions())
        self.processes.require_same({name: value for name, value in describe().items() if name not in _MAY_DIFFER})
        self.processes.broadcast([each.value for each in held])
        self.processes.draw_apart(random_state(self.net, self.loss))

    def share_values(self) -> None:
        """Give every process the running statistics of the first, for its evaluation.

        Of a pipeline, each process gets those of other stages with their values.
        """
        if self.processes is not None and (self.stage is None or self.stage.values.whole):
            self.processes.broadcast([held.value for _, held in self.net.named_buffer()])

    def notes(self) -> dict[str, Any]:
        """What the summary of a run is to say of how its steps were taken: in a pipeline, what was computed when."""
        stage = self.stage
        if self.pipeline is None or stage is None:
            return {}
        times = self.pipeline.processes.gather(self.pipeline.times)
        return {"pipeline": notes_of(stage.counts, stage.replicas, times)}

    def conditions(self) -> dict[str, Any]:
        """What decides rounding, of a checkpoint: how many processes there are, and who does what."""
        stage = self.stage
        if self.pipeline is None or stage is None:
            return {"processes": self.size}
        return {"processes": self.size, "stages": stage.counts, "micro_batches": self.pipeline.micro_batches}

    def settle(self, wishes: Wishes) -> Wishes:
        """Between two epochs: what at least one process asks for."""
        return wishes if self.processes is None else self.processes.settle(wishes)

    def any(self, stop: bool) -> bool:
        """Whether a callback asked to stop, in any process."""
        return self.settle(Wishes(stop)).stop

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, on all of them."""
        return make() if self.processes is None else self.processes.from_first(make)

    def first_found(self, where: str | None) -> str | None:
        """Where a value that is not finite was found, by this process or the first of several that found one."""
        if self.processes is None:
            return where
        found = enumerate(self.processes.gather(where))
        return next((f"{where} (rank {rank})" for rank, where in found if where is not None), None)

    def others_random(self) -> list[dict[str, Any]]:
        """The random states of all processes but the first, for a checkpoint."""
        own = None if self.processes is None else random_state(self.net, self.loss).state_dict()
        return [] if self.processes is None else self.processes.gather(own)[1:]

    @contextmanager
    def collected(self, setup: Setup, keeps: bool) -> Iterator[None]:
        """Within this context, the first process has the weights and state of all, if it keeps them."""
        if setup.shards is None or not self.from_first(lambda: keeps):
            yield
            return
        setup.shards.collect(setup.optimizer)
        try:
            with setup.shards.in_first():
                yield
        finally:
            setup.shards.release()

    def some(self, true: bool) -> bool:
        """Whether it is true in any process."""
        return true if self.processes is None else any(self.processes.gather(true))

    def ends_all(self, error: E) -> E:
        """Note an error that all processes raise now."""
        if self.processes is not None:
            self.processes.joint = error
        return error

    def random_of(self, stored: Sequence[Mapping[str, Any]]) -> RandomState:
        """The random state of this process, of those of a checkpoint; if it was not there, it is that of now."""
        rank, _ = self.share
        if rank < len(stored):
            return RandomState.from_state_dict(stored[rank], self.net, self.loss)
        return random_state(self.net, self.loss)

    def end(self) -> None:
        """Wait until the training has ended in all processes: where it failed in one, it fails in all."""
        if self.processes is not None:
            self.processes.gather(None)

    def leave(self, error: BaseException) -> None:
        """Tell the others why the training ends in this process, and let them end it, too."""
        if self.processes is not None:
            self.processes.leave(error)


def require_shared(engine: Engine, setup: Setup) -> None:
    """Raise ArgumentError for what one process alone can do."""
    if not isinstance(engine, Eager):
        raise ArgumentError(
            "engine: must be eager with several processes, whose gradients are added up within the step, got "
            f'{type(engine).__name__.lower()}; use engine = "eager", or train in one process'
        )
    if not setup.batches.replayable:
        raise ArgumentError(
            "parallel: data must be a data set, of whose batches each process reads its rows, got a DataLoader, whose "
            "order may differ from process to process; pass loader.dataset and a batch_size"
        )
