"""Batches of a data set, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, Module, RandomState, fetch, random_state, require_seed
from mytorch.core.batch import Batch, as_pair, count_bytes
from mytorch.plugins import shown
from mytorch.train.device import keep_origins, move

GATHER_BYTES = 2**20
"""Small batches are gathered by one indexing operation up to this size, since each costs as much as a layer."""


class Batches:
    """Yields an epoch of (inputs, targets) at each iteration; the last batch may be smaller.

    data: a mytorch.core.DataSet, which returns a whole batch at once; anything with `len` that returns one row for
        `data[index]`, such as a torch Dataset or a list; or a DataLoader, which is used as it is.
    batch_size: rows per batch.
    shuffle: draw a new order for each epoch from `generator`, which is seeded with `seed` and used for nothing else:
        each epoch continues where the one before ended.
    drop_last: leave out the rows that would make a smaller batch at the end.
    accumulate: how many batches make one step. Above 1 they come together, as a list of inputs and one of targets,
        which `step_accumulated` takes; the last lists of an epoch may be shorter, and the length counts steps.
    poisson: each batch has every row with probability batch_size / rows, independently of the others, in place of an
        order: batch_size rows on average, and sometimes none. Differential privacy asks for it.
    share: (number, count): every batch is shared out among so many processes, and this is the one of that number, from
        0. It gives its own rows of each, in their order; of a batch with fewer rows than processes maybe none. Length,
        `rows` and `first` are those of the whole. A training sets it.
    device: where complete batches are moved; None leaves them where the data set has them. A `Setup` sets it to the
        net's device.
    Raises ArgumentError for a batch size or seed that is none, and if `drop_last` leaves no batch.

    Example:
        >>> from mytorch.train import Batches
        >>> rows = [(0.5, 0), (1.5, 1), (2.5, 1)]
        >>> [targets.tolist() for _, targets in Batches(rows, 2)]
        [[0, 1], [1]]
        >>> [targets.tolist() for _, targets in Batches(rows, 2, drop_last=True)]
        [[0, 1]]
        >>> [[len(one) for one in targets] for _, targets in Batches(rows, 1, accumulate=2)]
        [[1, 1], [1]]
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        accumulate: int = 1,
        poisson: bool = False,
    ) -> None:
        if type(batch_size) is not int or batch_size < 1:
            raise ArgumentError(f"Batches: batch_size must be a whole number of at least 1, got {shown(batch_size)}")
        if type(accumulate) is not int or accumulate < 1:
            raise ArgumentError(f"Batches: accumulate must be a whole number of at least 1, got {shown(accumulate)}")
        require_seed("Batches", seed)
        for name, value in (("shuffle", shuffle), ("drop_last", drop_last), ("poisson", poisson)):
            if type(value) is not bool:
                raise ArgumentError(f"Batches: {name} must be True or False, got {shown(value)}")
        if isinstance(data, Batches):
            raise ArgumentError("Batches: data must be a data set, got Batches; pass what they are made of")
        try:
            len(data)
        except TypeError:  # a DataLoader has `len` in any case; it fails over a stream
            raise ArgumentError(f"Batches: data must have a length, got {type(data).__name__}") from None
        if isinstance(data, (tuple, list)) and data and hasattr(data[0], "shape"):
            raise ArgumentError(
                f"Batches: data must be a data set, or a list of rows (input, target), got a {type(data).__name__} of "
                f"{type(data[0]).__name__}; write mytorch.data.TensorDataSet(inputs, targets)"
            )
        self.data, self.batch_size, self.shuffle, self.drop_last = data, batch_size, shuffle, drop_last
        self.accumulate, self.poisson = accumulate, poisson
        if drop_last and not isinstance(data, DataLoader) and 0 < len(data) < batch_size:
            raise ArgumentError(
                f"Batches: drop_last must leave at least one batch, got {len(data)} rows for a batch_size of "
                f"{batch_size}; take a batch_size of at most {len(data)}, or drop_last=False"
            )
        if poisson and (isinstance(data, DataLoader) or drop_last or accumulate > 1):
            option = "a DataLoader" if isinstance(data, DataLoader) else "drop_last" if drop_last else "accumulate"
            raise ArgumentError(
                f"Batches: poisson must be left out with {option}, got True; leave one of the two out: rows are then "
                "drawn one by one"
            )
        self.generator = torch.Generator().manual_seed(seed)
        self.device: torch.device | None = None
        self.share = (0, 1)
        self.first = 0
        self._epoch_random: RandomState | None = None
        self._together: int | None = None

    @property
    def replayable(self) -> bool:
        """Whether setting the generator's state back brings the same batches again."""
        return not isinstance(self.data, DataLoader)

    @property
    def generators(self) -> dict[str, torch.Generator]:
        """What decides the order of an epoch, beside torch's own generator for some DataLoaders."""
        found = {"batches": self.generator}
        if isinstance(self.data, DataLoader):
            batch_sampler = getattr(self.data.batch_sampler, "sampler", None)
            owners = {"loader": self.data, "sampler": self.data.sampler, "batch_sampler": batch_sampler}
            held = {name: getattr(owner, "generator", None) for name, owner in owners.items()}
            found |= {name: one for name, one in held.items() if isinstance(one, torch.Generator)}
        return found

    def order(self) -> dict[str, Tensor]:
        """The states of the generators."""
        return {name: generator.get_state() for name, generator in self.generators.items()}

    def set_order(self, order: Mapping[str, Tensor]) -> None:
        """Set the states of the generators back, those that there are."""
        for name, generator in self.generators.items():
            if name in order:
                generator.set_state(order[name])

    def begin_at(self, step: int, epoch_random: RandomState | None = None) -> None:
        """Let the iterations to come leave out so many steps at the beginning, which were taken before.

        epoch_random: the random state at the start of the epoch. A DataLoader can leave nothing out: it draws its
            order and its rows once more from there, and then the random state is put back.
        """
        self.first, self._epoch_random = step, epoch_random

    @property
    def rows(self) -> int:
        """The number of rows an epoch visits."""
        if isinstance(self.data, DataLoader):
            data: Any = self.data.dataset
            return len(data)
        return len(self.data) - (len(self.data) % self.batch_size if self.drop_last else 0)

    @property
    def whole(self) -> int:
        """The number of steps an epoch with as many rows as any; all, where the rows are a DataLoader's."""
        return self.rows // (self.batch_size * self.accumulate) if self.replayable else len(self)

    def __len__(self) -> int:
        count = len(self.data) if isinstance(self.data, DataLoader) else -(-self.rows // self.batch_size)
        return -(-count // self.accumulate)

    def __iter__(self) -> Iterator[Batch]:
        return self._single() if self.accumulate == 1 else self._several()

    def _several(self) -> Iterator[Batch]:
        single = self._single()
        while together := list(islice(single, self.accumulate)):
            yield self.joined(together)

    def peek(self, number: int) -> Batch:
        """What the next epoch gives as its step of this number, counted from 1; its order and randomness stay."""
        order = self.generator.get_state()
        with random_state():
            found = next(islice(self, number - 1, None))
        self.generator.set_state(order)
        return found

    def joined(self, batches: Sequence[Batch]) -> Batch:
        """What these batches are for one step: lists, or the batch itself where one makes a step."""
        return _listed(batches) if self.accumulate > 1 else batches[0]

    def _single(self) -> Iterator[Batch]:
        if isinstance(self.data, DataLoader):
            yield from (self._moved(as_pair(self.data.dataset, batch)) for batch in self._loaded())
            return
        if self.poisson:
            yield from self._drawn()
            return
        count, rows = len(self.data), self.rows
        order = (torch.randperm(count, generator=self.generator) if self.shuffle else torch.arange(count))[:rows]
        at = self.first * self.accumulate * self.batch_size
        while at < rows:
            together = self._together or 1
            indices = order[at : at + together * self.batch_size]
            if self.share[1] > 1:
                yield from self._shared(indices)
            else:
                yield from self._cut(self._fetched(indices), together)
            at += together * self.batch_size

    def _drawn(self) -> Iterator[Batch]:
        """The batches of rows that are drawn one by one."""
        count = len(self.data)
        for number in range(len(self)):
            chosen = torch.rand(count, generator=self.generator, dtype=torch.float64) < self.batch_size / count
            if number < self.first:
                continue
            indices = chosen.nonzero().squeeze(1)
            gathered = fetch(self.data, indices if len(indices) else torch.arange(1))  # to make none of one row
            yield self._moved(gathered if len(indices) else cut_out(gathered, 0, 0))

    def _shared(self, indices: Tensor) -> Iterator[Batch]:
        """The rows of this process, of each of the batches at `indices`."""
        number, count = self.share
        own = [batch.tensor_split(count)[number] for batch in indices.split(self.batch_size)]
        mine = torch.cat(own)
        gathered = self._fetched(mine if len(mine) else indices[:1])  # to make none of one row
        moved = self._moved(gathered)
        at = 0
        for size in map(len, own):
            batch = cut_out(moved, at, size)
            if moved is not gathered:
                keep_origins(batch, cut_out(gathered, at, size))
            yield batch
            at += size

    def _fetched(self, indices: Tensor) -> Batch:
        """The rows of a batch, or of several. The first tells how many may be gathered together from then on.

        Not by a data set that draws random numbers for its rows: they would be drawn ahead of the step at hand; nor by
        one whose batches are padded to their longest row.
        """
        if self._together is not None:
            return fetch(self.data, indices)
        before = random_state() if len(indices) < self.rows else None
        inputs, targets = batch = fetch(self.data, indices)
        share = count_bytes(inputs if targets is None else batch) / len(indices)
        draws = before is not None and before.drawn()
        self._together = (
            1
            if draws or getattr(self.data, "ragged", False)
            else int(max(1, GATHER_BYTES // (share * self.batch_size + 1)))
        )
        return batch

    def _cut(self, gathered: Batch, together: int) -> Iterator[Batch]:
        """The batches that were gathered together, where the model is."""
        moved = self._moved(gathered)
        if together == 1:
            yield moved
        elif moved is gathered:
            yield from split_batch(gathered, self.batch_size)
        else:
            pair = split_batch(moved, self.batch_size), split_batch(gathered, self.batch_size)
            for batch, origin in zip(*pair, strict=True):
                keep_origins(batch, origin)
                yield batch

    def _moved(self, batch: Batch) -> Batch:
        return batch if self.device is None else move(batch, self.device)

    def _loaded(self) -> Iterator[Any]:
        """The batches of the DataLoader."""
        if not self.first:
            yield from self.data
            return
        with random_state():
            if self._epoch_random is not None:
                self._epoch_random.restore()
            loaded = iter(self.data)
            for _ in range(self.first * self.accumulate):
                next(loaded, None)
        yield from loaded


def _listed(batches: Sequence[Batch]) -> Batch:
    return [inputs for inputs, _ in batches], [targets for _, targets in batches]


def split_batch(batch: Batch, size: int) -> Iterator[Batch]:
    """Cut a large batch into small ones, without copying."""
    inputs, targets = batch
    if isinstance(inputs, Tensor) and isinstance(targets, Tensor):
        if inputs.shape[0] <= size:
            yield batch
        else:
            yield from zip(_split(inputs, size), _split(targets, size), strict=True)
        return
    for at in range(0, count_rows(inputs if targets is None else targets), size):
        yield _rows(inputs, at, size), _rows(targets, at, size)


def _split(rows: Tensor, size: int) -> Sequence[Tensor]:
    """What torch.split gives of more rows than `size`, in two thirds of its time: it is written in Python."""
    whole, left = divmod(rows.shape[0], size)
    return torch.split_with_sizes(rows, [size] * whole + [left] * (left > 0))


def cut_out(batch: Batch, at: int, size: int) -> Batch:
    """So many rows of a batch, from row `at` on, without copying."""
    inputs, targets = batch
    return _rows(inputs, at, size), _rows(targets, at, size)


def _rows(value: Any, at: int, size: int) -> Any:
    if isinstance(value, Tensor):
        return value[at : at + size]
    if isinstance(value, Mapping):
        return {name: _rows(entry, at, size) for name, entry in value.items()}
    return None if value is None else tuple(_rows(entry, at, size) for entry in value)


def count_rows(targets: Any) -> int:
    """The number of rows in a batch: of the first tensor in it."""
    first = targets
    while not isinstance(first, Tensor):
        first = next(iter(first.values())) if isinstance(first, Mapping) else first[0]
    return int(first.shape[0])  # len() of a tensor takes three times as long


def call(function: Callable[..., Any], inputs: Any) -> Any:
    """What a model's `forward`, or the model, makes of a batch's inputs.

    A mapping is passed by name, a tuple or list one by one, anything else as it is.
    Raises ArgumentError for inputs that the model's forward does not take, by their number or names.
    """
    args: Any = inputs if isinstance(inputs, (tuple, list)) else () if isinstance(inputs, Mapping) else (inputs,)
    named: Any = inputs if isinstance(inputs, Mapping) else {}
    try:
        return function(*args, **named)
    except TypeError as error:
        require_taken(function, args, named, error)
        raise


def require_taken(
    function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any], error: TypeError
) -> None:
    """Raise ArgumentError if a model's forward, which failed, does not take so many inputs, or of these names."""
    forward = function.forward if isinstance(function, Module) else function
    if problem := misfit(forward, *args, **named):
        owner = type(getattr(forward, "__self__", forward)).__name__
        given = f"a dict of {', '.join(map(str, named))}" if named else f"{len(args)} without a name"
        raise ArgumentError(
            f"{owner}: forward must take the inputs of a batch, got {given}: {problem}; its arguments are "
            f"{signature(forward)}"
        ) from error


def misfit(function: Callable[..., Any], *args: Any, **named: Any) -> str | None:
    """Why a function cannot be called with these, by its signature; None if it can, or has none."""
    try:
        known = signature(function)
    except (TypeError, ValueError):
        return None
    try:
        known.bind(*args, **named)
    except TypeError as error:
        return str(error)
    return None
