import torch

from mytorch.data import Disk
from mytorch.experiments.figures.plane import Plane
from mytorch.nn import Dropout, Linear, ReLU, Sequential
from mytorch.playground.boundary import GRID, boundary


def test_each_point_has_the_class_that_is_predicted_there():
    net = Sequential(Linear(2, 3), ReLU(), Dropout(0.5), Linear(3, 2)).train()
    plane = Plane.of(Disk(50))
    drawn = boundary(net, plane)
    assert net.training
    classes = net.eval()(plane.inputs(GRID)).argmax(1).reshape(GRID, GRID)
    assert torch.equal(drawn["class"].long(), classes)
    assert drawn["margin"].max() == 255
