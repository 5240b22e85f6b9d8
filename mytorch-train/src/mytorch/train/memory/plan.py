"""Which layers are computed again in the backward pass, so that what is saved stays within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mytorch.train.memory.measure import Measured
from mytorch.train.size import size

WORK = 2_000_000
"""So many ways are looked at, roughly: those that come to a layer are followed up to this number divided by the square
of the number of layers, at least 20. The plan is the cheapest of all where there are no more."""


@dataclass(frozen=True)
class Plan:
    """The layers that are computed again, as runs of consecutive layers: of each run, only the input is saved.

    runs: from which layer to before which one, in order.  layers: how many there are.
    peak: the most bytes that are saved at any time; peak_without: the same if nothing is computed again.
    seconds: of the forwards that are taken twice; seconds_of_all: of one forward of all layers.
    """

    runs: tuple[tuple[int, int], ...]
    layers: int
    peak: int
    peak_without: int
    seconds: float
    seconds_of_all: float

    def __str__(self) -> str:
        if not self.runs:
            return f"nothing is computed twice; layers save at most {size(self.peak)} for the backward pass"
        parts = [str(begin + 1) if end == begin + 1 else f"{begin + 1} to {end}" for begin, end in self.runs]
        share = self.seconds / self.seconds_of_all if self.seconds_of_all else 0.0
        return (
            f"of {self.layers} layers, {', '.join(parts)} are computed again in the backward pass; layers save at "
            f"most {size(self.peak)} in place of {size(self.peak_without)}, and forward passes take {share:.0%} longer"
        )


def choose_plan(measured: Measured, budget: int) -> Plan | None:
    """The plan that takes the least time of those whose peak is at most `budget`; None if there is none.

    By dynamic programming over the layers: of the partial plans that reach a layer with the same shared blocks, it
    follows only those for which no other one takes both less memory and less time.
    """
    if peak_of(measured, ()) <= budget:
        return _plan(measured, ())
    ends = _ways(measured, budget, partial(_front, max(20, WORK // len(measured.layers) ** 2)))
    return _plan(measured, min(ends, key=lambda way: (way.seconds, way.count)).all_runs()) if ends else None


def least_bytes(measured: Measured) -> int:
    """The smallest budget for which there is a plan."""
    least, enough = -1, peak_of(measured, ())
    while enough - least > 1:
        middle = (least + enough) // 2
        if _ways(measured, middle, lambda ways: [min(ways, key=lambda way: way.stored)]):
            enough = middle
        else:
            least = middle
    return enough


def peak_of(measured: Measured, runs: Sequence[tuple[int, int]]) -> int:
    """The most bytes that are saved at any time, if these runs of layers are computed again.

    It is reached at the end of the forward pass, or when the backward pass has computed a run again: then what the
    layers before it have saved is there, its input, and what its own layers save.
    """
    stored, copies, peak, at = measured.always, 0, 0, 0
    for begin, end in (*runs, (len(measured.layers), len(measured.layers))):
        stored = stored.union(*(layer.saved for layer in measured.layers[at:begin]))
        if begin < end:
            stored |= measured.layers[begin].inputs
            copies += sum(layer.buffers for layer in measured.layers[begin:end])
            again = stored.union(*(layer.saved for layer in measured.layers[begin:end]))
            peak = max(peak, measured.bytes(again) + copies)
        at = end
    return max(peak, measured.bytes(stored) + copies)


@dataclass(frozen=True)
class _Way:
    """A way to come to a layer: what is stored by then, in bytes, and the time of what is to be computed again."""

    stored: int = 0
    seconds: float = 0.0
    count: int = 0
    run: tuple[int, int] | None = None
    before: _Way | None = None

    def all_runs(self) -> tuple[tuple[int, int], ...]:
        """The runs that are computed again, in order."""
        found, way = [], self
        while way.before is not None:
            if way.run is not None:
                found.append(way.run)
            way = way.before
        return tuple(reversed(found))


def _ways(measured: Measured, budget: int, keep: Callable[[list[_Way]], list[_Way]]) -> list[_Way]:
    """The ways through all layers that stay within a budget.

    Ways are told apart by the stored blocks that later layers save as well, which these then have for nothing.
    """
    layers = measured.layers
    later = [frozenset[int]()]
    for layer in reversed(layers):
        later.append(later[-1] | layer.saved | layer.inputs)
    later.reverse()
    start = {measured.always & later[0]: [_Way(measured.bytes(measured.always))]}
    at: list[dict[frozenset[int], list[_Way]]] = [start, *({} for _ in layers)]
    for begin, layer in enumerate(layers):
        for shared, found in at[begin].items():
            ways = keep(found)
            stored = measured.bytes(layer.saved - shared)
            new = [_Way(way.stored + stored, way.seconds, way.count, None, way) for way in ways]
            _add(at[begin + 1], (shared | layer.saved) & later[begin + 1], [w for w in new if w.stored <= budget])
            for end, stored, peak, seconds in _runs(measured, begin, shared):
                new = [
                    _Way(way.stored + stored, way.seconds + seconds, way.count + end - begin, (begin, end), way)
                    for way in ways
                    if way.stored + peak <= budget
                ]
                if not new:
                    break  # a longer run needs more
                _add(at[end], (shared | layer.inputs) & later[end], new)
        at[begin] = {}
    return [way for ways in at[-1].values() for way in ways]


def _add(table: dict[frozenset[int], list[_Way]], shared: frozenset[int], ways: list[_Way]) -> None:
    if ways:
        table.setdefault(shared, []).extend(ways)


def _runs(measured: Measured, begin: int, shared: frozenset[int]) -> Iterator[tuple[int, int, int, float]]:
    """Of each run from a layer on: its end, the bytes that it stores and has at its peak, and its time."""
    first = measured.layers[begin]
    kept = measured.bytes(first.inputs - shared)
    seen, again, seconds = shared | first.inputs, 0, 0.0
    for end, layer in enumerate(measured.layers[begin:], begin + 1):
        if layer.fixed or (end > begin + 1 and not layer.linked):
            return
        kept += layer.buffers
        again += measured.bytes(layer.saved - seen)
        seen |= layer.saved
        seconds += layer.seconds
        yield end, kept, kept + again, seconds


def _front(most: int, ways: list[_Way]) -> list[_Way]:
    """Those than which no other has stored less in less time; of too many, some that are spread over all of them."""
    found: list[_Way] = []
    for way in sorted(ways, key=lambda way: (way.stored, way.seconds, way.count)):
        if not found or (way.seconds, way.count) < (found[-1].seconds, found[-1].count):
            found.append(way)
    if len(found) <= most:
        return found
    step = (len(found) - 1) / (most - 1)
    return [found[round(number * step)] for number in range(most)]


def _plan(measured: Measured, runs: tuple[tuple[int, int], ...]) -> Plan:
    return Plan(
        runs,
        len(measured.layers),
        peak_of(measured, runs),
        peak_of(measured, ()),
        sum(layer.seconds for begin, end in runs for layer in measured.layers[begin:end]),
        sum(layer.seconds for layer in measured.layers),
    )
