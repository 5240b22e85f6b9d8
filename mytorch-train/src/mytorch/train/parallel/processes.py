"""The processes that train one model together."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Event, Thread
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed

from mytorch.core import RandomState
from mytorch.plugins import lack_of_memory, one_line
from mytorch.train.differences import differences
from mytorch.train.errors import Interrupted, RankError
from mytorch.train.parallel.answered import GRACE, answered
from mytorch.train.parallel.connect import connect
from mytorch.train.parallel.launched import Place
from mytorch.train.parallel.meeting import prefixed

SHOWN = 5
"""So many differences between two processes are told."""
BEAT = 1.0
"""So often, in seconds, a process gives a sign that it is there, whatever it waits for."""
T = TypeVar("T")


class Wishes(NamedTuple):
    """What a process asks of all between two steps.

    stop: a callback ended the training.
    keep: it is time for a checkpoint.
    signum: the signal that asks the training to end; 0 if none does.
    """

    stop: bool = False
    keep: bool = False
    signum: int = 0

    @classmethod
    def joint(cls, wishes: Sequence[Wishes]) -> Wishes:
        """What at least one of them asks."""
        stop, keep, signals = zip(*wishes, strict=True)
        return cls(any(stop), any(keep), max(signals))


class Processes:
    """The processes of one training, as `join` gives them; `fit(parallel=...)` and experiments take it.

    Every process calls every method, and in the same order; where one has ended instead, the others raise RankError.

    rank, size: the number of this one, from 0, and how many there are; the first, which has rank 0, writes files.
    share: both, for Batches.
    known, joint: the last error of which the others know, and the last one that all raised at the same place.

    Example:
        >>> from mytorch.train.parallel import join
        >>> with join() as processes:
        ...     first = processes is None or processes.first  # this process prints and writes
    """

    def __init__(self, place: Place, store: Any, lasting: Any, timeout: timedelta) -> None:
        self.place, self._store, self._lasting, self._timeout = place, store, lasting, timeout
        self._groups: dict[tuple[int, ...], distributed.ProcessGroup] = {}
        self.rank, self.size = place.rank, place.size
        self.asked = self.agreed = Wishes()
        self.known: BaseException | None = None
        self._failures = self._trainings = self._works = 0
        self._left = False
        self.joint: BaseException | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def share(self) -> tuple[int, int]:
        """The number of this process and how many there are."""
        return self.rank, self.size

    def device(self, device: torch.device) -> torch.device:
        """Where this process has a model: each on a GPU of its own, where "cuda" alone was asked for."""
        return (
            torch.device("cuda", self.place.local_rank) if device.type == "cuda" and device.index is None else device
        )

    def gather(self, value: Any) -> list[Any]:
        """What each process passes, in the order of their ranks; tensors should lie on the processor."""
        found: list[Any] = [None] * self.size
        with self._naming():
            distributed.all_gather_object(found, value)
        return found

    def gather_to_first(self, value: Any) -> list[Any]:
        """What each process passes, in the order of their ranks, on the first process; nothing on the others."""
        found: list[Any] | None = [None] * self.size if self.first else None
        with self._naming():
            distributed.gather_object(value, found)
        return found or []

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes; the others do not call `make`. Where it raises, they raise RankError."""
        box: list[Any] = [None, None]
        failure = None
        if self.first:
            try:
                box[0] = make()
            except Exception as error:
                failure, box[1] = error, f"{type(error).__name__}: {error}"
        with self._naming():
            distributed.broadcast_object_list(box)
        if failure is not None:
            raise failure
        if box[1] is not None:
            raise _ended(0, box[1])
        made: T = box[0]
        return made

    def remember(self, name: str, text: str) -> None:
        """Leave a text for these processes, if torchrun starts them again."""
        self._ask(lambda: self._lasting.set(name, text))

    def recall(self, name: str) -> str | None:
        """What was left before torchrun started these processes again; None if nothing was."""
        return self._ask(lambda: self._lasting.get(name).decode() if self._lasting.check([name]) else None)

    def broadcast(self, tensors: Sequence[Tensor], rank: int = 0) -> None:
        """Give every process the numbers that the one of this rank has."""
        with self._naming():
            for tensor in tensors:
                whole = tensor.contiguous()
                distributed.broadcast(whole, rank)
                if whole is not tensor:
                    tensor.copy_(whole)

    def group(self, ranks: Sequence[int]) -> distributed.ProcessGroup:
        """Some of the processes, for `add`; every process asks for the same ones in the same order."""
        found = self._groups.get(tuple(ranks))
        if found is None:
            with self._naming():
                make = partial(distributed.new_group, list(ranks), timeout=self._timeout)
                found = answered(make, self._timeout.total_seconds() + GRACE)
            self._groups[tuple(ranks)] = found
        return found

    def add(self, tensor: Tensor, group: distributed.ProcessGroup | None = None) -> distributed.Work:
        """Begin to add up a tensor over all processes, or a group, in place; `wait` for it before it is read."""
        with self._naming():
            work: distributed.Work = distributed.all_reduce(tensor, group=group, async_op=True)
            return work

    def add_to(self, tensor: Tensor, rank: int) -> distributed.Work:
        """Begin to add up a tensor over all processes, in place, for one of them; it is noise on the others."""
        with self._naming():
            work: distributed.Work = distributed.reduce(tensor, rank, async_op=True)
            return work

    def send_from(self, tensor: Tensor, rank: int) -> distributed.Work:
        """Begin to give every process the numbers that one of them has."""
        with self._naming():
            work: distributed.Work = distributed.broadcast(tensor, rank, async_op=True)
            return work

    def send(self, tensor: Tensor, rank: int) -> distributed.Work:
        """Begin to send a tensor to one process, which must not be changed until that has ended."""
        with self._naming(rank):
            return distributed.isend(tensor, rank)  # type: ignore[return-value]  # None outside of the group alone

    def receive(self, tensor: Tensor, rank: int) -> distributed.Work:
        """Begin to receive a tensor from one process."""
        with self._naming(rank):
            return distributed.irecv(tensor, rank)  # type: ignore[return-value]

    def tell(self, rank: int, value: Any) -> None:
        """Send a plain object to one process, which takes it by `told`."""
        with self._naming(rank):
            distributed.send_object_list([value], rank)

    def told(self, rank: int) -> Any:
        """The object that one process sends."""
        box: list[Any] = [None]
        with self._naming(rank):
            distributed.recv_object_list(box, rank)
        return box[0]

    def wait(self, work: distributed.Work, rank: int | None = None) -> None:
        """Until what was begun is there.

        rank: of the process with which it is exchanged, if it is one.
        """
        with self._naming(rank):
            work.wait()

    def agree(self, wishes: Wishes) -> Wishes:
        """After a step: pass wishes to the next one, which tells the others. Returns what this one agreed on."""
        self.asked = wishes
        agreed, self.agreed = self.agreed, Wishes()
        return agreed

    def settle(self, wishes: Wishes) -> Wishes:
        """Between two epochs: what at least one process asks, now or after its last step."""
        asked, self.asked = self.asked, Wishes()
        return Wishes.joint([Wishes.joint(each) for each in self.gather([wishes, asked])])

    def begin(self, versions: Mapping[str, str]) -> None:
        """Begin a training. Raises RankError, on every process, where one has another version than the first."""
        self.asked = self.agreed = Wishes()
        self.require_same(versions, where_both=True)
        self._trainings += 1  # what ended an earlier one is not what ends this one

    def require_same(self, described: Mapping[str, Any], where_both: bool = False) -> None:
        """Raise RankError, on every process, where what one describes differs from what the first does.

        where_both: what one of the two does not have is no difference.
        """
        first, *others = told = self.gather(dict(described))
        for rank, found in enumerate(told):
            if not isinstance(found, Mapping):
                self.joint = RankError(
                    f"parallel: every process must begin the training, got rank {rank} that has left; see the error "
                    "that it raised before"
                )
                raise self.joint
        ranks_of: dict[tuple[str, ...], list[int]] = {}
        for rank, found in enumerate(others, 1):
            both = {name: found[name] for name in first if name in found}
            stored = {name: first[name] for name in both} if where_both else first
            if wrong := differences(stored, both if where_both else found):
                ranks_of.setdefault(tuple(wrong), []).append(rank)
        if ranks_of:
            self.joint = RankError(f"parallel: {_unlike(ranks_of)}")
            raise self.joint

    def draw_apart(self, random: RandomState) -> None:
        """Let each process draw numbers of its own: a generator in the state of one before it is seeded anew."""
        *_, own = told = self.gather(random.digests())[: self.rank + 1]
        random.branch(self.rank, [name for name in own if any(own[name] == each.get(name) for each in told[:-1])])

    def fail(self, error: BaseException) -> None:
        """Tell the others why this process ends, for their errors, unless they know: then they end in the same way."""
        if isinstance(error, (RankError, Interrupted)) or error is self.known:
            return
        try:
            said = {"rank": self.rank, "text": f"{type(error).__name__}: {one_line(error)}"}
            answered(lambda: self._store.compare_set(self._of_training("failed"), "", json.dumps(said)), GRACE)
        except (RuntimeError, TimeoutError):
            pass  # the store is gone, with the first process, or cannot be reached

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within this context, each process works without the others for as long as it takes, then waits for all.

        Raises RankError where another one has ended, or gives no sign for the timeout.
        """
        self._works += 1
        yield
        with self._naming():
            names = [f"work/{self._works}/done/{rank}" for rank in range(self.size)]
            self._await_all(names, self._timeout.total_seconds())

    @contextmanager
    def present(self) -> Iterator[None]:
        """Within this context, this process gives signs, by which others tell one that waits from one that is gone."""
        ended = Event()
        signs = Thread(target=self._give_signs, args=(ended,), daemon=True, name="mytorch signs")
        signs.start()
        try:
            yield
        finally:
            ended.set()
            signs.join(BEAT)  # or it waits for a store that does not answer

    def require_all(self) -> None:
        """Raise RankError where one of the processes has said that it ended."""
        self._ask(self._require_none_failed)

    def _ask(self, ask: Callable[[], T]) -> T:
        """What the store answers. Raises RankError where it does not, or not within the timeout."""
        with self._naming():
            return answered(ask, self._timeout.total_seconds())

    def _give_signs(self, ended: Event) -> None:
        try:
            while not ended.wait(BEAT):
                self._store.add(_sign(self.rank), 1)
        except RuntimeError:
            pass  # the store is gone, which the process itself will find

    def _await_all(self, names: Sequence[str], patience: float, at_most: float = math.inf) -> None:
        """Wait until each process has noted its name.

        patience: so many seconds one may give no sign.  at_most: so many seconds all of them have.
        """
        answered(lambda: self._store.set(names[self.rank], ""), patience)
        heard: dict[int, tuple[int, float]] = {}
        until = time.monotonic() + at_most
        while signs := answered(lambda: self._signs(names), patience):
            if (now := time.monotonic()) > until:
                raise _lost([*signs], f"they must come to the next exchange within {at_most:g} s")
            for rank, count in signs.items():
                if rank not in heard or heard[rank][0] != count:
                    heard[rank] = count, now
                elif now - heard[rank][1] > patience:
                    raise _lost([rank], f"it has given none for {patience:g} s")
            time.sleep(0.1)

    def _signs(self, names: Sequence[str]) -> dict[int, int]:
        """How many signs each rank has given whose work has not ended. Raises RankError where one has failed."""
        self._require_none_failed()
        working = [rank for rank, name in enumerate(names) if not self._store.check([name])]
        return self._counts(working)

    def _counts(self, ranks: Iterable[int]) -> dict[int, int]:
        """How many signs each of these has given."""
        return {rank: self._store.add(_sign(rank), 0) for rank in ranks}

    def _require_none_failed(self) -> None:
        if self._store.check([failed := self._of_training("failed")]):
            said = json.loads(self._store.get(failed))
            raise _ended(said["rank"], said["text"])

    def leave(self, error: BaseException) -> None:
        """End a training in which this process fails: the others, who may wait for it, lose it and leave, too.

        So none of them takes what belongs to another training for what it waits for. The next exchange, of a program
        that has caught the error, connects all of them anew. Where all raise an error at the same place, none leaves.
        """
        if error is self.joint:
            return
        self.fail(error)
        self._failures, self._trainings = self._failures + 1, 0
        if not self._left:
            self._left = True
            self._groups.clear()
            distributed.destroy_process_group()

    def _connect_anew(self) -> None:
        """Wait until all processes have left a training that failed, and let them exchange tensors again."""
        gc.collect()  # of a training that failed, what was exchanged keeps connections open, for which others wait
        with _Naming(self, None):
            names = [self._of_training(f"again/{rank}") for rank in range(self.size)]
            self._await_all(names, min(self._timeout.total_seconds(), 4 * GRACE), self._timeout.total_seconds())
            connect(self.place, prefixed(self._of_training("group"), self._store), self._timeout)
        self._left = False

    def _of_training(self, name: str) -> str:
        """A name in the store, of the training at hand: a program may catch what ends one, and begin another."""
        return f"{self._failures}/{self._trainings}/{name}"

    def _naming(self, rank: int | None = None) -> _Naming:
        """Within this context, an exchange that fails raises RankError, with the rank that was missing.

        rank: of the process with which it is exchanged, if it is one.
        """
        if self._left:
            self._connect_anew()
        return _Naming(self, rank)

    def lost(self, error: RuntimeError | TimeoutError, rank: int | None = None) -> RankError:
        """What to raise where the others could not be reached, or one of them, whose rank this is."""
        told = str(error).splitlines()[0]
        try:
            said, missing = answered(self._asked_around, 2 * GRACE)
        except (RuntimeError, TimeoutError):
            return RankError(
                f"parallel: every process must stay until the end, got no store any more{self._had}: {told}"
            )
        if said is not None:
            return _ended(said["rank"], said["text"])
        if rank in missing:
            missing = [rank]
        if not missing:
            return RankError(f"parallel: processes must exchange numbers, got an error on all of them: {told}")
        return _lost(missing, told)

    @property
    def _had(self) -> str:
        return "" if self.place.agent else ", which the process of rank 0 had"

    def _asked_around(self) -> tuple[dict[str, Any] | None, list[int]]:
        """What a process that ended has said, and the ranks of those that are missing.

        These are the ones that have not met an error, too. A process may not have met it yet, since it waits for
        another one; so of those that have not, the ones that give no sign any more are missing, if there are such.
        """
        names = [self._of_training(f"here/{rank}") for rank in range(self.size)]
        self._store.set(names[self.rank], "")
        missing, began = list(range(self.size)), time.monotonic()
        before = self._counts(missing)
        while missing and time.monotonic() < began + GRACE:
            if self._store.check([failed := self._of_training("failed")]):
                return json.loads(self._store.get(failed)), missing
            missing = [rank for rank, name in enumerate(names) if not self._store.check([name])]
            time.sleep(0.1)
        silent = [rank for rank, count in self._counts(missing).items() if count == before[rank]]
        return None, silent if silent and GRACE > 3 * BEAT else missing


def _sign(rank: int) -> str:
    return f"sign/{rank}"


def _lost(ranks: Sequence[int], told: str) -> RankError:
    return RankError(f"parallel: every process must stay until the end, got no sign of {_named(ranks)}: {told}")


def _named(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


def _unlike(ranks_of: Mapping[tuple[str, ...], Sequence[int]]) -> str:
    """In what ranks differ from the first: those that differ in the same are named together."""
    texts = []
    for wrong, ranks in [*ranks_of.items()][:SHOWN]:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        text = f"{_named(ranks)} must train the same as rank 0; {'; '.join(wrong[:SHOWN])}{more}"
        texts.append(text)
    if len(ranks_of) > SHOWN:
        texts.append(f"and {sum(map(len, [*ranks_of.values()][SHOWN:]))} more ranks differ")
    return "; ".join(texts)


def _ended(rank: int, text: str) -> RankError:
    return RankError(
        f"parallel: every process must stay until the end, got rank {rank} that ended: {text}", rank, text
    )


class _Naming:
    """A context that raises RankError for an exchange that fails.

    It is entered several times in a step; one written as a generator takes three times as long.
    """

    def __init__(self, processes: Processes, rank: int | None) -> None:
        self.processes, self.rank = processes, rank

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, (RuntimeError, TimeoutError)) or isinstance(error, RankError):
            return
        if lack_of_memory(error) is None:  # which is this process's own
            raise self.processes.lost(error, self.rank) from error
