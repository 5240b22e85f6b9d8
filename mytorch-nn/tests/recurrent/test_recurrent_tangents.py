"""How recurrent layers change where torch has no double backward, or where a kernel stands for the loop."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from mytorch.core import Directions
from mytorch.nn import GRU, LSTM, RNN

pytestmark = pytest.mark.numbers
LAYERS = pytest.mark.parametrize("cls", [RNN, GRU, LSTM])


def directions_of(layer):
    return {parameter: torch.randn_like(parameter.value) for parameter in layer.param()}


def changes(layer, x, t_x, d, t_d, moved):
    """t_output, d_input and t_d_input, and the changes of the parameters' gradients."""
    layer.zero_grad()
    along = Directions(moved)
    output, saved = layer.forward(x)
    t_output, t_saved = layer.tangent(t_x, saved, along)
    d_x, t_d_x = layer.backward_tangent(d(output), t_d(output), saved, t_saved, along)
    return t_output, d_x, t_d_x, [parameter.grad for parameter in layer.param()]


@LAYERS
def test_packed_sequences_change_as_each_does_alone(cls):
    torch.manual_seed(0)
    layer = cls(3, 4, num_layers=2, bidirectional=True).double()
    moved, lengths = directions_of(layer), [3, 5, 1, 4]
    x, t_x, d_y, t_d_y = ([torch.randn(n, columns).double() for n in lengths] for columns in (3, 3, 8, 8))

    def packed(parts):
        return pack_sequence(parts, enforce_sorted=False)

    found = changes(
        layer, packed(x), packed(t_x), lambda _: (packed(d_y), None), lambda _: (packed(t_d_y), None), moved
    )
    added = None
    for number, length in enumerate(lengths):
        alone = changes(
            layer,
            x[number],
            t_x[number],
            lambda _, n=number: (d_y[n], None),
            lambda _, n=number: (t_d_y[n], None),
            moved,
        )
        (t_y, _), (t_y_alone, _) = found[0], alone[0]
        for together, one in ((t_y, t_y_alone), (found[1], alone[1]), (found[2], alone[2])):
            assert isinstance(together, PackedSequence)
            whole, _ = torch.nn.utils.rnn.pad_packed_sequence(together)
            torch.testing.assert_close(whole[:length, number], one, rtol=0, atol=1e-12)
        added = alone[3] if added is None else [a + b for a, b in zip(added, alone[3], strict=True)]
    torch.testing.assert_close(found[3], added, rtol=0, atol=1e-11)


def test_after_the_kernel_of_float32_it_is_what_the_loop_gives():
    torch.manual_seed(1)
    layer = LSTM(3, 4, num_layers=2, bidirectional=True)
    moved = directions_of(layer)
    x, t_x, d_y, t_d_y = (torch.randn(6, 2, columns) for columns in (3, 3, 8, 8))
    single = changes(layer, x, t_x, lambda _: (d_y, None), lambda _: (t_d_y, None), moved)
    moved = {parameter: direction.double() for parameter, direction in moved.items()}
    layer.double()
    double = changes(
        layer,
        x.double(),
        t_x.double(),
        lambda _: (d_y.double(), None),
        lambda _: (t_d_y.double(), None),
        moved,
    )
    torch.testing.assert_close(single, double, rtol=1e-4, atol=1e-5, check_dtype=False)


@LAYERS
def test_the_saved_value_is_read_only(cls):
    """A backward afterwards gives the same as without."""
    torch.manual_seed(2)
    layer, x, d_y = cls(3, 4, num_layers=2, dropout=0.3).double(), torch.randn(5, 2, 3).double(), torch.randn(5, 2, 4)
    moved, d_y, found = directions_of(layer), d_y.double(), []
    for ask in (False, True):
        torch.manual_seed(3)
        layer.zero_grad()
        _, saved = layer.forward(x)
        if ask:
            along = Directions(moved)
            _, t_saved = layer.tangent(x, saved, along)
            layer.backward_tangent((d_y, None), (d_y, None), saved, t_saved, along)
            layer.zero_grad()
        found.append((layer.backward((d_y, None), saved), [parameter.grad for parameter in layer.param()]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@LAYERS
def test_with_dropout_between_the_layers_it_is_what_differences_give(cls):
    """Of one mask, which is drawn from the same seed."""
    torch.manual_seed(4)
    layer = cls(3, 4, num_layers=3, dropout=0.4, bidirectional=True).double()
    moved, h = directions_of(layer), 1e-5
    x, t_x, d_y, t_d_y = (torch.randn(5, 2, columns).double() for columns in (3, 3, 8, 8))
    values = {parameter: parameter.value for parameter in moved}

    def at(step):
        for parameter, direction in moved.items():
            parameter.value = values[parameter] + step * direction
        layer.zero_grad()
        torch.manual_seed(5)
        (y, _), saved = layer.forward(x + step * t_x)
        d_x = layer.backward((d_y + step * t_d_y, None), saved)
        return y, d_x, [parameter.grad for parameter in moved]

    def slope(after, before):
        return (after - before) / (2 * h)

    after, before = at(h), at(-h)
    for parameter, value in values.items():
        parameter.value = value
    torch.manual_seed(5)
    (t_y, _), _, t_d_x, t_d = changes(layer, x, t_x, lambda _: (d_y, None), lambda _: (t_d_y, None), moved)
    wanted = slope(after[0], before[0]), slope(after[1], before[1]), list(map(slope, after[2], before[2]))
    torch.testing.assert_close((t_y, t_d_x, t_d), wanted, rtol=1e-6, atol=1e-7)
