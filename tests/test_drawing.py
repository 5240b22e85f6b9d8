"""The columns of a network and the pictures of their units."""

import pytest
import torch

from mytorch.nn import (
    LSTM,
    Conv1d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    MaxPool2d,
    MultiheadAttention,
    ReLU,
    Residual,
    Select,
    Sequential,
    Take,
    TransformerEncoderLayer,
)
from mytorch.train.drawing import FLAT, Drawing, levels

pytestmark = pytest.mark.numbers


def labels(drawing):
    return [column["label"] for column in drawing.told()["columns"]]


def test_layers_that_keep_units_apart_stand_with_the_one_that_mixes_them():
    net = Sequential(Linear(2, 5), ReLU(), Dropout(0.5), Residual(Linear(5, 5)), Linear(5, 2))
    drawing = Drawing(net, torch.randn(1, 2))
    assert labels(drawing) == ["Linear + ReLU + Dropout", "Linear", "Residual", "Linear"]
    paths = [[layer["path"] for layer in column["layers"]] for column in drawing.told()["columns"]]
    assert paths == [["0", "1", "2"], ["3.inner"], ["3"], ["4"]]
    drawn = drawing.tensors()
    assert torch.equal(drawn["weight.0"], net[0].weight.value)
    assert torch.equal(drawn["weight.3"], net[4].weight.value)
    assert "weight.2" not in drawn


def test_over_a_plane_a_unit_s_picture_is_its_output_at_each_point():
    net = Sequential(Linear(2, 3), ReLU(), Linear(3, 2)).train()
    points = torch.randn(36, 2)
    drawn = Drawing(net, points, ("x", "y")).tensors()
    hidden = net[1](net[0](points))
    top = hidden.abs().amax(0).clamp(min=1e-12)  # a unit may be dead
    expected = (hidden / top * (FLAT - 1) + FLAT).round().T.reshape(3, 6, 6)
    torch.testing.assert_close(drawn["map.0"].float(), expected, rtol=0, atol=1)
    assert net.training


def test_an_image_has_feature_maps_and_filters():
    net = Sequential(Conv2d(3, 20, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(180, 4))
    drawing = Drawing(net, torch.randn(1, 3, 8, 8))
    assert labels(drawing) == ["Conv2d + ReLU + MaxPool2d", "Flatten", "Linear"]
    assert drawing.told()["columns"][0]["drawn"] == 16
    drawn = drawing.tensors()
    shapes = {name: tuple(tensor.shape) for name, tensor in drawn.items()}
    assert (shapes["map.inputs"], shapes["map.0"], shapes["filter.0"]) == ((3, 8, 8), (16, 3, 3), (16, 3, 3, 3))
    (row,) = net[2](net[1](net[0](drawing._inputs)))
    assert torch.equal(drawn["map.0"], levels(row[:16].flip(1)))  # whose first line is the lowest
    assert torch.equal(drawn["filter.0"], levels(net[0].weight.value[:16].flip(2)))


def test_a_recurrent_layer_is_unrolled():
    net = Sequential(LSTM(2, 6, batch_first=True), Take(index=0), Select(dim=1, index=-1), Linear(6, 1))
    drawing = Drawing(net, torch.randn(1, 70, 2))
    assert labels(drawing) == ["LSTM + Take", "Select", "Linear"]
    assert drawing.told()["columns"][0]["steps"] == {"of": 70, "every": 3}
    steps = net[1](net[0](drawing._inputs))[0]
    drawn = drawing.tensors()["map.0"]
    assert torch.equal(drawn, levels(steps[torch.arange(69, -1, -3).flip(0)].T.unsqueeze(1)))  # up to the last one


def test_attention_shows_which_step_looks_at_which():
    net = Sequential(Embedding(7, 8), TransformerEncoderLayer(8, 2, 16, batch_first=True, is_causal=True))
    drawing = Drawing(net.train(), torch.arange(5)[None])
    (at,) = (at for at, column in enumerate(drawing.told()["columns"]) if column["heads"])
    looks = drawing.tensors()[f"looks.{at}"].flip(1)
    assert looks.shape == (2, 5, 5)
    assert (looks[:, torch.ones(5, 5).triu(1).bool()] == FLAT).all()  # nobody looks ahead
    x = net[0](torch.arange(5)[None])
    net.eval()
    (_, weights), _ = net[1].self_attn.forward(x, is_causal=True, average_attn_weights=False)
    assert torch.equal(looks, levels(weights[0]))


def test_units_of_a_one_dimensional_convolution_are_its_channels():
    drawing = Drawing(Sequential(Conv1d(1, 4, 3), ReLU()), torch.randn(1, 1, 9))
    assert [column["units"] for column in drawing.told()["columns"]] == [4]
    assert drawing.tensors()["map.0"].shape == (4, 1, 7)


def test_what_is_no_picture_is_a_column_without_one():
    drawing = Drawing(Sequential(MultiheadAttention(4, 2), Take(index=0)), torch.randn(3, 4))
    assert drawing.told()["columns"][-1]["kind"] in ("units", "none")
    complex_one = Drawing(Sequential(Flatten()), torch.randn(1, 2, 2, dtype=torch.complex64))
    assert complex_one.told()["columns"][0]["kind"] == "none"
    assert complex_one.tensors() == {}


def test_levels_are_symmetric_around_zero_and_take_what_is_not_finite():
    values = torch.tensor([[-2.0, 0.0, 2.0], [0.0, 0.0, 0.0], [float("nan"), 1.0, -1.0]])
    assert levels(values).tolist() == [[1, 127, 253], [127, 127, 127], [127, 253, 1]]
