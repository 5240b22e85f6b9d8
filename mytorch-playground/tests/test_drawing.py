import torch

from mytorch.data import Disk
from mytorch.experiments.figures.plane import Plane
from mytorch.nn import Dropout, Linear, ReLU, Residual, Sequential
from mytorch.playground.drawing import FLAT, GRID, MAP, columns_of, levels, maps, weights


def test_layers_that_keep_units_apart_stand_with_the_one_that_mixes_them():
    net = Sequential(Linear(2, 5), ReLU(), Dropout(0.5), Residual(Linear(5, 5)), Linear(5, 2))
    columns = columns_of(net)
    assert [column.label for column in columns] == ["Linear + ReLU + Dropout", "Residual", "Linear"]
    assert [path for column in columns for path, _ in column.layers] == ["0", "1", "2", "3", "4"]
    assert columns[0].weight is net[0].weight
    assert columns[2].weight is net[4].weight


def test_a_unit_s_picture_is_its_output_over_the_plane():
    net = Sequential(Linear(2, 3), ReLU(), Linear(3, 2))
    plane = Plane.of(Disk(50))
    net.train()
    drawn = maps(net, columns_of(net), plane)
    hidden = net[1](net[0](plane.inputs(MAP)))
    top = hidden.abs().amax(0).clamp(min=1e-12)  # a unit may be dead
    expected = (hidden / top * (FLAT - 1) + FLAT).round().T.reshape(3, MAP, MAP)
    torch.testing.assert_close(drawn["map.0"].float(), expected, rtol=0, atol=1)
    classes = net(plane.inputs(GRID)).argmax(1).reshape(GRID, GRID)
    assert torch.equal(drawn["class"].long(), classes)
    assert drawn["margin"].max() == 255
    assert net.training
    assert torch.equal(weights(columns_of(net))["weight.1"], net[2].weight.value)


def test_levels_are_symmetric_around_zero_and_take_what_is_not_finite():
    values = torch.tensor([[-2.0, 0.0, 2.0], [0.0, 0.0, 0.0], [float("nan"), 1.0, -1.0]])
    assert levels(values).tolist() == [[1, 127, 253], [127, 127, 127], [127, 253, 1]]
