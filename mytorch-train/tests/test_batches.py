"""Batches: which rows, in which order, from which kinds of data sets."""

import doctest

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset, random_split
from toy_parts import Line, Rows, Table

from mytorch.core import ArgumentError, DataSet, View, readable
from mytorch.train import Batches
from mytorch.train import batches as implementation
from mytorch.train.batches import call


def rows_of(batches):
    return [inputs.flatten().tolist() for inputs, _ in batches]


class RowsTogether:
    """What torch's DataLoader takes: rows, several in one call."""

    def __init__(self, data: DataSet) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, indices: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        assert all(type(index) is int for index in indices)
        return [self.data[index] for index in indices]


def test_rows_come_in_order_and_the_last_batch_is_smaller():
    batches = Batches(Line(5), 2)
    assert len(batches) == 3
    assert batches.rows == 5
    taken = list(batches)
    assert [len(inputs) for inputs, _ in taken] == [2, 2, 1]
    torch.testing.assert_close(torch.cat([inputs for inputs, _ in taken]), Line(5).inputs)
    assert all(torch.equal(targets, 2 * inputs) for inputs, targets in taken)


def test_shuffled_epochs_differ_and_hold_every_row_once():
    batches = Batches(Line(20), 6, shuffle=True)
    epochs = [torch.cat([inputs for inputs, _ in batches]).flatten() for _ in range(3)]
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])
    for epoch in epochs:
        torch.testing.assert_close(epoch.sort().values, Line(20).inputs.flatten())


def test_the_seed_decides_the_order_whatever_torch_draws():
    def two_epochs(seed):
        batches = Batches(Line(20), 6, shuffle=True, seed=seed)
        first = rows_of(batches)
        torch.rand(3)
        return first + rows_of(batches)

    assert two_epochs(1) == two_epochs(1)
    assert two_epochs(1) != two_epochs(2)


def test_torchs_generator_is_left_alone():
    state = torch.get_rng_state()
    list(Batches(Line(20), 6, shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("rows", [1, 7, 64, 65])
@pytest.mark.parametrize("inputs_of", [lambda n: torch.randn(n, 3), lambda n: (torch.randn(n, 3), torch.randn(n))])
def test_gathered_batches_equal_those_taken_one_by_one(rows, inputs_of, monkeypatch):
    data = Table(inputs_of(rows), torch.randn(rows, 2))
    gathered = list(Batches(data, 4, shuffle=True, seed=3))
    monkeypatch.setattr(implementation, "GATHER_BYTES", 0)
    alone = list(Batches(data, 4, shuffle=True, seed=3))
    assert len(gathered) == len(alone)
    torch.testing.assert_close(gathered, alone, rtol=0, atol=0)


def test_small_batches_are_gathered_and_large_ones_are_not():
    class Counting(Line):
        calls: tuple[int, ...] = ()

        def batch_at(self, indices):
            self.calls += (len(indices),)
            return super().batch_at(indices)

    data = Counting(1000)
    list(Batches(data, 10))
    assert data.calls == (10, 990)
    data.calls, data.inputs = (), torch.zeros(6, 300_000)
    list(Batches(data, 2))
    assert data.calls == (2, 2, 2)


@pytest.mark.parametrize(
    "wrap",
    [
        Rows,
        lambda data: TensorDataset(*data[:]),
        lambda data: Subset(data, range(len(data))),
        lambda data: Subset(Rows(data), range(len(data))),
        lambda data: [data[index] for index in range(len(data))],
        lambda data: DataLoader(Rows(data), batch_size=4),
        lambda data: DataLoader(data, batch_size=4),
        lambda data: View(data, range(len(data))),
        lambda data: Subset(View(data, range(len(data))), range(len(data))),
        RowsTogether,
    ],
    ids=[
        *("rows", "TensorDataset", "Subset", "Subset of rows", "list", "DataLoader of rows", "DataLoader"),
        *("View", "Subset of a View", "rows together"),
    ],
)
def test_every_kind_of_data_set_gives_the_same_batches(wrap):
    data = Line(10)
    wrapped = Batches(wrap(data), 4)
    assert len(wrapped) == 3
    assert wrapped.rows == 10
    torch.testing.assert_close([tuple(batch) for batch in wrapped], [tuple(batch) for batch in Batches(data, 4)])


def test_torchs_random_split():
    data = Line(10)
    part, _ = random_split(data, [6, 4])
    taken = list(Batches(part, 4))
    assert [len(inputs) for inputs, _ in taken] == [4, 2]
    torch.testing.assert_close(torch.cat([inputs for inputs, _ in taken]), data[part.indices][0])


def test_a_subset_of_a_data_set_is_gathered_by_one_operation():
    class Counting(Line):
        calls = 0

        def batch_at(self, indices):
            self.calls += 1
            return super().batch_at(indices)

    data = Counting(1000)
    list(Batches(Subset(Subset(data, range(900)), range(800)), 10))
    assert data.calls == 2


def test_several_inputs_come_as_a_tuple():
    data = Table((torch.arange(5), torch.arange(5) * 10), torch.arange(5))
    for inputs, targets in Batches(Rows(data), 2):
        assert len(inputs) == 2
        assert torch.equal(inputs[1], targets * 10)


@pytest.mark.parametrize("several", [False, True])
def test_rows_without_targets_are_gathered_too(several):
    class Untold(Line):
        calls = 0

        def batch_at(self, indices):
            self.calls += 1
            inputs, _ = super().batch_at(indices)
            return ((inputs, inputs * 2) if several else inputs), None

    data = Untold(20)
    taken = list(Batches(data, 3))
    assert [targets for _, targets in taken] == [None] * 7
    first = [inputs[0] if several else inputs for inputs, _ in taken]
    assert [len(inputs) for inputs in first] == [3] * 6 + [2]
    torch.testing.assert_close(torch.cat(first), Line(20).inputs)
    assert data.calls == 2
    assert not several or all(torch.equal(twice, once * 2) for (once, twice), _ in taken)


def test_inputs_that_are_no_tensors_are_passed_on():
    class Absent(Line):
        def batch_at(self, indices):
            inputs, targets = super().batch_at(indices)
            return (inputs, None), targets

    assert [inputs[1] for inputs, _ in Batches(Absent(5), 2)] == [None, None, None]


@pytest.mark.parametrize("targets_by_name", [False, True])
def test_inputs_and_targets_by_name_are_cut_and_gathered(targets_by_name):
    class ByName(Line):
        calls = 0

        def batch_at(self, indices):
            self.calls += 1
            inputs, targets = super().batch_at(indices)
            return {"x": inputs, "pair": (inputs, inputs > 0)}, {"y": targets} if targets_by_name else targets

    data = ByName(20)
    taken = list(Batches(data, 3))
    assert data.calls == 2
    assert [len(inputs["pair"][1]) for inputs, _ in taken] == [3] * 6 + [2]
    targets = [targets["y"] if targets_by_name else targets for _, targets in taken]
    torch.testing.assert_close(torch.cat([inputs["x"] for inputs, _ in taken]), Line(20).inputs)
    torch.testing.assert_close(torch.cat(targets), Line(20)[:][1])
    rows = list(Batches(Rows(data), 3))
    torch.testing.assert_close(rows[1][0]["x"], taken[1][0]["x"])


def test_a_batch_is_passed_by_name_one_by_one_or_whole():
    def told(*inputs, **named):
        return inputs, named

    x, mask = torch.zeros(2), torch.ones(2)
    assert call(told, x) == ((x,), {})
    assert call(told, (x, mask)) == call(told, [x, mask]) == ((x, mask), {})
    assert call(told, {"x": x, "mask": mask}) == ((), {"x": x, "mask": mask})


def test_the_last_batch_is_dropped_where_it_is_smaller():
    for rows, kept in ((10, [4, 4]), (8, [4, 4]), (4, [4])):
        batches = Batches(Line(rows), 4, drop_last=True)
        assert [len(inputs) for inputs, _ in batches] == kept
        assert (len(batches), batches.rows) == (len(kept), sum(kept))


def test_other_rows_are_dropped_in_every_epoch():
    batches = Batches(Line(10), 4, shuffle=True, drop_last=True)
    epochs = [tuple(torch.cat([inputs for inputs, _ in batches]).flatten().tolist()) for _ in range(5)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({frozenset(epoch) for epoch in epochs}) > 1


def test_an_order_goes_on_where_its_generator_stands():
    batches = Batches(Line(20), 6, shuffle=True, drop_last=True)
    rows_of(batches)
    state = batches.generator.get_state()
    following = rows_of(batches)
    other = Batches(Line(20), 6, shuffle=True, drop_last=True, seed=5)
    other.generator.set_state(state)
    assert rows_of(other) == following


def test_dropping_the_last_batch_must_leave_one():
    with pytest.raises(ArgumentError, match=r"Batches: drop_last must leave at least one batch, got 3 rows for"):
        Batches(Line(3), 4, drop_last=True)
    assert list(Batches(Line(0), 4, drop_last=True)) == []


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, True, 1.0, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ArgumentError, match=r"Batches: seed must be a whole number from 0 to 2\*\*63 - 1, got "):
        Batches(Line(), 2, seed=seed)


def test_the_example_holds():
    assert doctest.testmod(implementation).attempted > 2
    assert not doctest.testmod(implementation).failed


def test_an_empty_data_set_has_no_batches():
    assert len(Batches(Line(0), 4)) == 0
    assert list(Batches(Line(0), 4, shuffle=True)) == []


def test_switches_are_switches_and_batches_are_no_data():
    for name in ("shuffle", "drop_last"):
        with pytest.raises(ArgumentError, match=rf"^Batches: {name} must be True or False, got 'no'"):
            Batches([(1.0, 0)], 1, **{name: "no"})
    with pytest.raises(ArgumentError, match=r"^Batches: data must be a data set, got Batches"):
        Batches(Batches([(1.0, 0)], 1), 1)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "4"])
def test_the_batch_size_is_a_whole_number(size):
    with pytest.raises(ArgumentError, match=r"batch_size must be a whole number of at least 1, got "):
        Batches(Line(), size)


class Stream(IterableDataset):
    def __iter__(self):
        yield from range(3)


@pytest.mark.parametrize("data", [iter([]), Stream(), DataLoader(Stream())], ids=["iterator", "stream", "loader"])
def test_data_without_a_length_is_refused(data):
    with pytest.raises(ArgumentError, match=r"Batches: data must have a length, got "):
        Batches(data, 4)


class Triples(DataSet):
    def __len__(self):
        return 4

    def batch_at(self, indices):
        return indices, indices, indices


@pytest.mark.parametrize("data", [Triples(), torch.zeros(4, 2), DataLoader(TensorDataset(torch.zeros(4)))])
def test_a_batch_must_be_a_pair(data):
    with pytest.raises(ArgumentError, match=r": a batch must be a pair \(inputs, targets\), got "):
        list(Batches(data, 2))


def test_only_a_data_loader_cannot_be_replayed():
    assert Batches(Line(), 2).replayable
    assert not Batches(DataLoader(Line()), 2).replayable


@pytest.mark.parametrize("kind", [tuple, list])
def test_columns_are_not_taken_for_rows(kind):
    inputs, targets = torch.randn(4, 2), torch.randn(4, 1)
    text = (
        rf"Batches: data must be a data set, or a list of rows .*, got a {kind.__name__} of Tensor; write .*TensorDat"
    )
    with pytest.raises(ArgumentError, match=text):
        Batches(kind((inputs, targets)), 2)
    rows = Batches(kind(zip(inputs, targets, strict=True)), 2)
    assert [len(target) for _, target in rows] == [2, 2]


@pytest.mark.parametrize("size", [3, 10**6])
@pytest.mark.parametrize("named", [False, True])
def test_what_goes_to_an_accelerator_can_still_be_read(size, named):
    """Batches that are gathered together, and one of all rows; the meta device stands for a GPU."""
    x, classes = torch.arange(14.0).reshape(7, 2), torch.arange(7)
    rows = [({"x": a} if named else a, b) for a, b in zip(x, classes, strict=True)]
    batches = Batches(rows, size)
    expected = list(batches)
    batches.device = torch.device("meta")
    for (inputs, targets), (its_inputs, its_targets) in zip(batches, expected, strict=True):
        one, other = (inputs["x"], its_inputs["x"]) if named else (inputs, its_inputs)
        assert (one.device.type, targets.device.type) == ("meta", "meta")
        assert torch.equal(readable(one), other)
        assert torch.equal(readable(targets), its_targets)
