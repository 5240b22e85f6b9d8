import numpy as np
import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError, describe, rebuild
from mytorch.nn import Embedding, EmbeddingBag
from mytorch.plugins import is_older
from mytorch.testing import check_layer

ROWS = torch.tensor([[0, 3, 3], [4, 0, 1]])
MODES = ["sum", "mean", "max"]
each_layer = pytest.mark.parametrize("layer", [Embedding, EmbeddingBag], ids=lambda layer: layer.__name__)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_the_division_by_frequency(mode):
    """In bags of one, it is that of Embedding; before 2.14, torch divides row 2 by the three places of row 1."""
    x, d_y = torch.tensor([0, 1, 1, 1, 2]), torch.randn(5, 3)
    layers = EmbeddingBag(4, 3, mode=mode, scale_grad_by_freq=True), Embedding(4, 3, scale_grad_by_freq=True)
    for layer, indices in zip(layers, (x.unsqueeze(1), x), strict=True):
        layer.backward(d_y, layer.forward(indices)[1])
    torch.testing.assert_close(layers[0].weight.grad, layers[1].weight.grad)
    twin = torch.nn.EmbeddingBag(4, 3, mode=mode, scale_grad_by_freq=True)
    twin(x.unsqueeze(1)).backward(d_y)
    assert torch.allclose(twin.weight.grad, layers[1].weight.grad) is not is_older(torch.__version__, "2.14")


def test_bags_without_places():
    layer = EmbeddingBag(4, 3)
    y, saved = layer.forward(torch.zeros(2, 0, dtype=torch.int64))  # which torch refuses
    torch.testing.assert_close(y, torch.zeros(2, 3))
    layer.backward(torch.randn(2, 3), saved)
    assert not layer.weight.grad.any()


PADDED = {
    "Embedding": lambda: Embedding(5, 2, padding_idx=3),
    "sum": lambda: EmbeddingBag(5, 2, mode="sum", padding_idx=3),
    "mean": lambda: EmbeddingBag(5, 2, padding_idx=3),
    "max": lambda: EmbeddingBag(5, 2, mode="max", padding_idx=3),
}


@pytest.mark.parametrize("make", PADDED.values(), ids=PADDED)
def test_the_row_of_padding_has_no_gradient(make):
    tags = () if isinstance(make(), Embedding) else ("fixed_dimensions",)
    check_layer(make, ROWS, constant={"weight": 3}, tags=tags)


def test_the_contract_of_weighted_bags():
    check_layer(
        lambda: EmbeddingBag(5, 2, mode="sum"),
        *(ROWS, None, torch.randn(2, 3)),
        tags=("fixed_dimensions",),
        opt_out={"optional_inputs": "offsets that are None cannot be told from offsets that were left out"},
    )


def test_weights_without_offsets_have_a_gradient_at_their_place():
    layer, weights = EmbeddingBag(5, 2, mode="sum"), torch.randn(2, 3)
    y, saved = layer.forward(ROWS, None, weights)
    d_input, d_offsets, d_weights = layer.backward(torch.randn(y.shape), saved)
    assert (d_input, d_offsets) == (None, None)
    assert d_weights.shape == (2, 3)


def test_weights_of_places_have_no_gradient_where_none_is_wanted():
    layer, weights = EmbeddingBag(5, 2, mode="sum"), torch.randn(2, 3)
    layer.input_grad = False
    y, saved = layer.forward(torch.tensor([[0, 1, 2], [1, 1, 4]]), None, weights)
    assert layer.backward(torch.ones_like(y), saved) == (None, None, None)
    assert layer.weight.grad is not None


@each_layer
def test_a_table_that_is_given(layer):
    table = torch.randn(4, 3)
    fixed, trained = layer.from_pretrained(table), layer.from_pretrained(table, freeze=False, padding_idx=1)
    assert fixed.weight.value.data_ptr() == table.data_ptr()
    assert not fixed.weight.trainable
    assert trained.weight.trainable
    assert trained.padding_idx == 1
    x = torch.tensor([[0, 1]])
    y, saved = fixed.forward(x)
    fixed.backward(torch.randn(y.shape), saved)
    assert fixed.weight.grad is None


@pytest.mark.parametrize("freeze", [True, False])
def test_a_table_that_is_given_is_part_of_the_description(freeze):
    layer = Embedding.from_pretrained(torch.randn(4, 3), freeze, max_norm=1.0)
    copy = rebuild(*describe(layer))
    torch.testing.assert_close(copy.state_dict(), layer.state_dict())
    assert copy.weight.trainable is not freeze


@each_layer
def test_max_norm_shortens_the_rows_in_use_alone(layer):
    model = layer(5, 3, max_norm=0.1)
    before = model.weight.value.clone()
    model.forward(torch.tensor([[0, 3]]))
    norms = model.weight.value.norm(dim=1)
    assert norms[[0, 3]].max() <= 0.1
    torch.testing.assert_close(model.weight.value[[1, 2, 4]], before[[1, 2, 4]], rtol=0, atol=0)


@each_layer
@pytest.mark.parametrize("index", [5, -1, 10**9])
@pytest.mark.parametrize("max_norm", [None, 0.1])
def test_an_index_that_is_no_row(layer, index, max_norm):
    model = layer(5, 3, max_norm=max_norm)
    before = model.weight.value.clone()
    with pytest.raises(ArgumentError, match=rf"{layer.__name__}: \w+ must hold indices between 0 and 4, got {index}"):
        model.forward(torch.tensor([[0, index]]))
    assert torch.equal(model.weight.value, before)


@each_layer
@pytest.mark.parametrize("dtype", [torch.float32, torch.int16, torch.bool, torch.uint8], ids=str)
def test_what_holds_no_indices(layer, dtype):
    with pytest.raises(DtypeError, match=rf"{layer.__name__}: \w+ must hold indices, int64 or int32, got {dtype}"):
        layer(5, 3).forward(torch.zeros(2, 2, dtype=dtype))
    with pytest.raises(ArgumentError, match=rf"{layer.__name__}: \w+ must be a tensor, got a NumPy array"):
        layer(5, 3).forward(np.zeros((2, 2), dtype=np.int64))


@each_layer
def test_the_saved_value_of_another_table(layer):
    y, saved = layer(50, 3).forward(torch.tensor([[40, 2]]))
    with pytest.raises(
        ArgumentError, match=rf"{layer.__name__}: saved must be that of a layer with a table of \(5, 3\)"
    ):
        layer(5, 3).backward(torch.randn(y.shape), saved)


def test_the_saved_value_of_another_mode():
    y, saved = EmbeddingBag(5, 3).forward(ROWS)
    with pytest.raises(
        ArgumentError, match="EmbeddingBag: saved must be that of a layer with mode max, got one with mean"
    ):
        EmbeddingBag(5, 3, mode="max").backward(torch.randn(y.shape), saved)


@each_layer
def test_an_upstream_gradient_of_another_shape_or_dtype(layer):
    model = layer(5, 3)
    y, saved = model.forward(ROWS)
    for wrong in (torch.randn(1), torch.randn(*y.shape[:-1], 2), None):
        with pytest.raises(ShapeError, match=f"{layer.__name__}: d_y must have the shape of the output"):
            model.backward(wrong, saved)
    with pytest.raises(DtypeError, match=f"{layer.__name__}: d_y must have the dtype of the parameters"):
        model.backward(torch.randn(y.shape).double(), saved)


BAD_BAGS = {
    "input must be (bags, count) without offsets or (indices,) with them, got (3,) and no offsets": (ROWS[0],),
    "input must be (bags, count) without offsets or (indices,) with them, got (2, 3) and offsets": (ROWS, ROWS[0]),
    "input must have 1 or 2 axes, got 3 in (1, 2, 3)": (ROWS[None],),
    "offsets must have 1 axes, got 2 in (1, 1)": (ROWS[0], torch.zeros(1, 1, dtype=torch.int64)),
    "offsets must begin with 0, never decrease, and end at most with the number of indices, 3, got [0, 2, 1]": (
        ROWS[0],
        torch.tensor([0, 2, 1]),
    ),
    "offsets must begin with 0, never decrease, and end at most with the number of indices, 3, got [1]": (
        ROWS[0],
        torch.tensor([1]),
    ),
    "offsets must begin with 0, never decrease, and end at most with the number of indices, 3, got [0, 4]": (
        ROWS[0],
        torch.tensor([0, 4]),
    ),
    "per_sample_weights must have the shape of input, (2, 3), got (3,)": (ROWS, None, torch.randn(3)),
    "per_sample_weights must have the dtype of the parameters, torch.float32, got torch.float64": (
        ROWS,
        None,
        torch.randn(2, 3).double(),
    ),
}


@pytest.mark.parametrize(("text", "inputs"), BAD_BAGS.items(), ids=BAD_BAGS)
def test_bags_that_do_not_fit(text, inputs):
    with pytest.raises((ArgumentError, ShapeError, DtypeError)) as caught:
        EmbeddingBag(5, 3, mode="sum").forward(*inputs)
    assert str(caught.value).startswith(f"EmbeddingBag: {text}")


def test_an_end_of_the_last_bag_that_is_not_that_of_the_indices():
    with pytest.raises(ArgumentError, match=r"and end with the number of indices, 3, got \[0, 2\]"):
        EmbeddingBag(5, 3, include_last_offset=True).forward(ROWS[0], torch.tensor([0, 2]))


def test_weights_of_an_average():
    with pytest.raises(ArgumentError, match="EmbeddingBag: mode must be 'sum' for per_sample_weights"):
        EmbeddingBag(5, 3).forward(ROWS, None, torch.randn(2, 3))


BAD_ARGUMENTS = [
    ({"num_embeddings": -1}, "num_embeddings must be a whole number of at least 0, got -1"),
    ({"embedding_dim": 2.0}, "embedding_dim must be a whole number of at least 0, got 2.0"),
    ({"padding_idx": 5}, "padding_idx must be one of 5 rows, got 5"),
    ({"padding_idx": -6}, "padding_idx must be one of 5 rows, got -6"),
    ({"padding_idx": 1.0}, "padding_idx must be a whole number, got 1.0"),
    ({"max_norm": -1.0}, "max_norm must be at least 0, got -1.0"),
    ({"norm_type": "2"}, "norm_type must be a number, got '2'"),
    ({"sparse": True}, "sparse must be False, since the gradients of mytorch are dense, got True; leave it out"),
    ({"_weight": torch.zeros(3, 5)}, "_weight must be (5, 3), got (3, 5)"),
    ({"_weight": torch.zeros(5, 3, dtype=torch.int64)}, "_weight must be floating point, got torch.int64"),
    ({"dtype": torch.int64}, "dtype must be floating point, since weights are trained, got torch.int64"),
]


@each_layer
@pytest.mark.parametrize(("options", "text"), BAD_ARGUMENTS, ids=[text for _, text in BAD_ARGUMENTS])
def test_arguments_that_do_not_fit(layer, options, text):
    with pytest.raises((ArgumentError, ShapeError, DtypeError)) as caught:
        layer(**{"num_embeddings": 5, "embedding_dim": 3, **options})
    assert str(caught.value).startswith(f"{layer.__name__}: {text}")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "median"}, "mode must be one of sum, mean, max, got 'median'"),
        ({"mode": "max", "scale_grad_by_freq": True}, "scale_grad_by_freq must be False with mode 'max', got True"),
    ],
)
def test_modes_that_do_not_fit(options, text):
    with pytest.raises(ArgumentError, match=f"EmbeddingBag: {text}"):
        nn.EmbeddingBag(5, 3, **options)


@each_layer
def test_a_table_of_other_axes(layer):
    with pytest.raises(ShapeError, match=r"embeddings must be \(num_embeddings, embedding_dim\), got \(3,\)"):
        layer.from_pretrained(torch.randn(3))
