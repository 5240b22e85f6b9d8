import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.nn import Dropout
from mytorch.testing import check_layer


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_torch_stands_where_its_twin_leaves_it(p):
    x = torch.randn(10, 10)
    ends = []
    for layer in (Dropout(p), torch.nn.Dropout(p)):
        torch.manual_seed(2)
        layer(x)
        ends.append(torch.get_rng_state())
    assert torch.equal(*ends)


@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_the_contract(p):
    check_layer(lambda: Dropout(p), torch.randn(5, 4))


def test_the_contract_with_a_generator():
    def factory():
        return Dropout(0.4, generator=torch.Generator().manual_seed(1))

    check_layer(factory, torch.randn(5, 4), tags=("not_traceable",))  # torch.compile takes no generator


def test_a_generator_gives_the_stream_of_its_seed_and_leaves_torchs_alone():
    x = torch.ones(50, 50)
    before = torch.get_rng_state()
    masks = [Dropout(0.3, generator=torch.Generator().manual_seed(4))(x) for _ in range(2)]
    assert torch.equal(*masks)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    torch.testing.assert_close(masks[0], Dropout(0.3)(x))


def test_evaluation_changes_nothing():
    x = torch.randn(5)
    layer = Dropout().eval()
    assert layer(x) is x


def test_the_mode_of_the_forward_counts():
    layer, d_y = Dropout(), torch.randn(100)
    y, saved = layer.forward(torch.ones(100))
    d_x = layer.eval().backward(d_y, saved)
    torch.testing.assert_close(d_x, y * d_y)


def test_input_grad_false():
    layer = Dropout()
    layer.input_grad = False
    assert layer.backward(torch.ones(3), layer.forward(torch.ones(3))[1]) is None


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_bad_probability(p):
    with pytest.raises(ArgumentError, match=f"Dropout: p must be between 0 and 1, got {p}"):
        Dropout(p)
