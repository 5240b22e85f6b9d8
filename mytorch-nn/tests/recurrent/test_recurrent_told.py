"""What recurrent layers show of their calls."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from mytorch.nn import GRU, LSTM, RNN

pytestmark = pytest.mark.numbers


def norms_by_autograd(twin, x, d_y):
    """The norm of the whole gradient of h at each step, from a loop over single steps."""
    state, hidden = None, []
    for x_t in x:
        _, state = twin(x_t[None], state)
        h = state[0] if isinstance(state, tuple) else state
        h.retain_grad()
        hidden.append(h)
    (torch.cat(hidden) * d_y).sum().backward()
    return torch.stack([h.grad.norm() for h in hidden])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # an LSTM in float32 is one kernel
@pytest.mark.parametrize(
    ("cls", "twin"), [(LSTM, torch.nn.LSTM), (GRU, torch.nn.GRU), (RNN, torch.nn.RNN)], ids=["LSTM", "GRU", "RNN"]
)
def test_the_norm_of_the_gradient_at_each_step_is_that_of_autograd(cls, twin, dtype):
    layer, twin, x = cls(2, 4).to(dtype), twin(2, 4).to(dtype), torch.randn(60, 3, 2, dtype=dtype)
    twin.load_state_dict(layer.state_dict())
    d_y = torch.randn(60, 3, 4, dtype=dtype)
    _, saved = layer.forward(x)
    (detail,) = layer.backward_details((d_y, None), saved)
    torch.testing.assert_close(detail.values, norms_by_autograd(twin, x, d_y), rtol=1e-4, atol=1e-6)
    assert detail.text[0].startswith(f"{float(detail.values[-1]):.2g} at step 59, ")
    assert all(parameter.grad is None for parameter in layer.param())
    layer.backward((d_y, None), saved)  # which needs all that was saved


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gates_make_the_memory_and_h(dtype):
    layer, x = LSTM(2, 4, batch_first=True).to(dtype), torch.randn(3, 40, 2, dtype=dtype)
    (y, _), saved = layer.forward(x)
    (detail,) = layer.forward_details({"input": x}, (y, None), saved)
    assert detail.labels == {"value": ("i", "f", "g", "o", "c", "h")}
    i, f, g, o, c, h = detail.values
    before = torch.cat([torch.zeros(1, dtype=dtype), c[:-1]])
    torch.testing.assert_close(c, f * before + i * g)
    torch.testing.assert_close(h, o * c.tanh())
    unit = int(detail.title.split()[1])
    torch.testing.assert_close(h, y[0, :, unit])
    assert [line.split(":")[0] for line in detail.text] == ["step 0", "step 20", "step 39"]


@pytest.mark.parametrize("cls", [LSTM, GRU, RNN])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "dropout": 0.5}])
def test_both_directions_of_packed_sequences(cls, options):
    layer = cls(2, 4, **options)
    x = pack_sequence([torch.randn(steps, 2) for steps in (3, 7, 1)], enforce_sorted=False)
    output, saved = layer.forward(x)
    told = [detail.title for detail in layer.forward_details({"input": x}, output, saved)]
    assert len(told) == (2 if options else 1)
    assert not options or (", layer 1, read backwards" in told[1] and "read" not in told[0])
    d_y = PackedSequence(torch.randn_like(output[0].data), *output[0][1:])
    before = [detail.values.clone() for detail in layer.backward_details((d_y, None), saved)]
    assert all(values.shape == (7,) and (values > 0).all() for values in before)
    layer.backward((d_y, None), saved)


@pytest.mark.parametrize("cls", [LSTM, GRU, RNN])
def test_the_first_of_packed_sequences_is_told_though_another_is_longer(cls):
    layer, short, long = cls(2, 4), torch.randn(3, 2), torch.randn(7, 2)
    x = pack_sequence([short, long], enforce_sorted=False)
    (detail,) = layer.forward_details({"input": x}, *layer.forward(x))
    (alone,) = layer.forward_details({"input": short}, *layer.forward(short))
    assert detail.title == alone.title
    torch.testing.assert_close(detail.values, alone.values)
    assert detail.text == alone.text


def test_a_projection_has_no_row_of_another_size():
    layer, x = LSTM(2, 5, proj_size=3), torch.randn(9, 3, 2)
    output, saved = layer.forward(x)
    (detail,) = layer.forward_details({"input": x}, output, saved)
    assert detail.labels["value"] == ("i", "f", "g", "o", "c")
    (norms,) = layer.backward_details((torch.randn(9, 3, 3), None), saved)
    assert norms.values.shape == (9,)
    assert layer.weight_hr_l0.grad is None


def test_a_batch_without_sequences_tells_nothing():
    layer, x = LSTM(2, 3), torch.zeros(4, 0, 2)
    output, saved = layer.forward(x)
    assert list(layer.forward_details({"input": x}, output, saved)) == []
