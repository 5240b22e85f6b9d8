"""Seeded splits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, View, require_seed
from mytorch.data.batches import batches
from mytorch.plugins import MytorchWarning, shown

NAMES = {3: ("the training part", "the validation part", "the test part")}
SHOWN = 10
"""Rare classes that a warning names."""
FEWEST = 5
"""With fewer rows of a class in a part, what is learned or told of it there is chance."""
WAY_OUT = "split: results for so few rows depend on chance; add rows of the class, or join it with another class"


class SplitWarning(MytorchWarning):
    """A class has no row, or fewer than five, in some part of the data."""


def split(
    data: DataSet, shares: Sequence[float] | Sequence[int], seed: int = 0, *, stratify: bool = True
) -> tuple[View, ...]:
    """Divide the rows of a data set at random into parts that share none; the seed decides which.

        training, validation, test = split(data, (0.7, 0.15, 0.15), seed=0)

    shares: each part's share of the rows, adding up to 1, or its number of rows, adding up to all of them. Sizes are
        rounded so that no row is lost.
    stratify: where targets are classes (whole numbers, one a row), each part gets its share of every class as far as
        whole rows allow, and the first part a row of each class. The classes are looked up in `data.targets`; for a
        data set with `classes` that does not hold its targets in memory, in the rows, which are all read once.
    Rows in an order, windows of a time series and blocks of a text, are divided by place instead: the first part is
    the earliest, and no step is in the targets of two parts, for which the last `overlap` rows of every other part are
    left out; see DataSet.
    Raises ArgumentError if shares do not add up, or a part would be empty.
    Warns with SplitWarning of classes without a row, or with fewer than five, in a part.
    """
    if not isinstance(shares, Iterable):
        raise ArgumentError(f"split: shares must be several numbers, such as (0.7, 0.15, 0.15), got {shown(shares)}")
    sizes = _sizes(list(shares), len(data))
    names = NAMES.get(len(sizes)) or [f"part {number}" for number in range(1, len(sizes) + 1)]
    return divide(data, sizes, seed, stratify, names)


def divide(
    data: DataSet, sizes: list[int], seed: int, stratify: bool, names: Sequence[str] | None = None
) -> tuple[View, ...]:
    """Parts of so many rows each, as `split` makes them; `names` is what a warning of rare classes calls them."""
    require_seed("split", seed)
    if min(sizes) < 1:
        raise ArgumentError(f"split: every part must get at least one row, got {sizes} of {len(data)} rows")
    if data.overlap is not None:
        return _by_place(data, sizes, data.overlap)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    classes = class_indices(data) if stratify else None
    if classes is None:
        return tuple(View(data, part) for part in order.split(sizes))
    part_of = torch.empty(len(data), dtype=torch.int64)
    part_of[_evenly(classes[order])] = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    parts = [order[part_of == number] for number in range(len(sizes))]
    if names is not None:
        _warn_of_rare({name: classes[part] for name, part in zip(names, parts, strict=True)}, data.classes)
    return tuple(View(data, part) for part in parts)


def _by_place(data: DataSet, sizes: list[int], overlap: int) -> tuple[View, ...]:
    """Parts one after the other. The last rows of a part, whose targets would reach into the next, are left out."""
    ends = list(accumulate(sizes))
    parts = []
    for begin, end in zip([0, *ends], ends, strict=False):
        last = end if end == len(data) else end - overlap
        if last <= begin:
            raise ArgumentError(
                f"split: every part must have more rows than the {overlap} that share targets with the next part, got "
                f"{end - begin}"
            )
        parts.append(View(data, range(begin, last)))
    return tuple(parts)


def class_indices(data: DataSet) -> Tensor | None:
    """The class of each row, whole numbers of shape (rows,); None if targets are something else, or are not known."""
    targets: Any = data.targets
    if targets is None and data.classes is not None:
        found = [targets for _, targets in batches(data)]
        targets = torch.cat(found) if all(isinstance(entry, Tensor) and entry.dim() == 1 for entry in found) else None
    if not isinstance(targets, Tensor) or targets.dim() != 1:
        return None
    return None if targets.is_floating_point() or targets.is_complex() else targets.cpu().long()


def _sizes(shares: list[Any], rows: int) -> list[int]:
    """The number of rows of each part."""
    if shares and all(type(share) is int for share in shares):
        if sum(shares) != rows:
            raise ArgumentError(
                f"split: numbers of rows must add up to all {rows}, got {shares}, which add up to {sum(shares)}"
            )
        return shares
    _require_fractions(shares)
    ends = [round(rows * math.fsum(shares[: count + 1])) for count in range(len(shares))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _require_fractions(shares: list[Any]) -> None:
    wrong = [share for share in shares if isinstance(share, bool) or not isinstance(share, (int, float))]
    if not shares or wrong or any(not 0 < share <= 1 for share in shares):
        raise ArgumentError(
            f"split: shares must be numbers above 0 that add up to 1, or whole numbers of rows, got {shares}"
        )
    if not math.isclose(math.fsum(shares), 1.0, rel_tol=1e-9):
        raise ArgumentError(f"split: shares must add up to 1, got {shares}, which add up to {math.fsum(shares):g}")


def _evenly(classes: Tensor) -> Tensor:
    """The rows in an order of which every stretch holds each class in its share, and the start a row of each.

    The j-th of n rows of a class stands at the place (j + 1/2) / n, the first of them at 0.
    """
    _, codes, counts = classes.unique(return_inverse=True, return_counts=True)
    by_class = codes.argsort(stable=True)
    rank = torch.empty_like(codes)
    rank[by_class] = torch.arange(len(codes)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    place = (rank + 0.5).double() / counts[codes]
    place[rank == 0] = 0.0
    order: Tensor = place.argsort(stable=True)
    return order


def warn_of_rare(parts: Mapping[str, DataSet]) -> None:
    """Warn with a line for each class that has no row, or fewer than five, in a part whose targets lie in memory."""
    held = {name: part for name, part in parts.items() if isinstance(part.targets, Tensor)}
    found = {name: class_indices(part) for name, part in held.items()}
    classes = {name: values for name, values in found.items() if values is not None}
    _warn_of_rare(classes, next((part.classes for part in held.values()), None))


def _warn_of_rare(parts: Mapping[str, Tensor], names: Sequence[str] | None) -> None:
    """The same for the class of each row of the parts."""
    lines = []
    for value in torch.cat([*parts.values(), torch.empty(0, dtype=torch.int64)]).unique().tolist():
        counts = {part: int((classes == value).sum()) for part, classes in parts.items()}
        few = [f"{_rows(count)} in {part}" for part, count in counts.items() if count < FEWEST]
        if few:
            name = names[value] if names is not None and 0 <= value < len(names) else value
            lines.append(f"split: class {name!r} has {', '.join(few)}; it has {sum(counts.values())} in all")
    if lines:
        more = [f"split: and {len(lines) - SHOWN} more classes"] if len(lines) > SHOWN else []
        warnings.warn("\n".join([*lines[:SHOWN], *more, WAY_OUT]), SplitWarning, stacklevel=4)


def _rows(count: int) -> str:
    return f"only {count} row{'s' * (count > 1)}" if count else "no row"
