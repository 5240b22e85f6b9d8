"""Networks of this project's layers in half precision: their gradients are those of float32, within its rounding."""

import pytest
import torch

from mytorch.nn import (
    GELU,
    LSTM,
    BatchNorm1d,
    BatchNorm2d,
    Checkpoint,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    InstanceNorm1d,
    LayerNorm,
    Linear,
    MaxPool2d,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    SinusoidalPositionalEncoding,
    Take,
    Tanh,
    TransformerEncoderLayer,
)
from mytorch.optim import AdamW
from mytorch.train import gradients
from mytorch.train.half_precision import PRECISIONS, make_precision
from mytorch.train.half_precision.loss_scale import LossScale

CLASSES = torch.randint(0, 3, (8,), generator=torch.Generator().manual_seed(5))
NETWORKS = {
    "normalised": lambda: (Sequential(Linear(4, 6), BatchNorm1d(6), ReLU(), Linear(6, 2)), torch.randn(16, 4), None),
    "convolutions": lambda: (
        Sequential(Conv2d(2, 4, 3), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), Linear(16, 3)),
        torch.randn(8, 2, 6, 6),
        CLASSES,
    ),
    "transformer": lambda: (
        Sequential(
            *(Embedding(20, 8), SinusoidalPositionalEncoding(8)),
            *(TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), Linear(8, 2)),
        ),
        torch.randint(0, 20, (4, 6)),
        None,
    ),
    "recurrent": lambda: (Sequential(LSTM(3, 5), Take(0), Linear(5, 2)), torch.randn(6, 4, 3), None),
    "running statistics of instances": lambda: (
        Sequential(InstanceNorm1d(4, affine=True, track_running_stats=True), Flatten(), Linear(20, 2)),
        torch.randn(8, 4, 5),
        None,
    ),
    "dropout": lambda: (Sequential(Linear(4, 50), Dropout(0.5), GELU(), Linear(50, 2)), torch.randn(8, 4), None),
    "residual": lambda: (
        Sequential(Residual(Sequential(LayerNorm(8), Linear(8, 8), Tanh())), GroupNorm(2, 8), Linear(8, 2)),
        torch.randn(8, 8),
        None,
    ),
    "computed again": lambda: (
        Sequential(Checkpoint(Sequential(Linear(4, 5), GELU())), Linear(5, 2)),
        torch.randn(8, 4),
        None,
    ),
}


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_are_near_those_of_float32(network, name):
    torch.manual_seed(2)
    net, x, t = NETWORKS[network]()
    t = torch.randn_like(net(x)) if t is None else t
    loss = MSELoss() if t.is_floating_point() else CrossEntropyLoss()
    precision = make_precision(name)
    if precision.loss_scale is not None:
        precision.loss_scale = LossScale(2.0**8)
    torch.manual_seed(3)
    with torch.inference_mode():
        value, _ = gradients(net, loss, x, t)
    found = [[value, *(parameter.grad for parameter in net.param())]]
    net.zero_grad()
    torch.manual_seed(3)
    with torch.inference_mode(), precision.storing(net):
        value, _ = precision.gradients(net, loss, x, t)
        precision.update(AdamW(net.param()), lambda: None)
        stored = {parameter.value.dtype for parameter in net.param()}
        assert (torch.bfloat16 in stored) == (name == "bfloat16")
        assert all(parameter.grad.dtype is parameter.value.dtype for parameter in net.param())
    found.append([value, *(parameter.grad.float() for parameter in net.param())])
    bound = 0.01 if name == "float16-mixed" else 0.05
    largest = max(expected.abs().max() for expected in found[0][1:])
    for expected, actual in zip(*found, strict=True):
        assert actual.dtype is torch.float32
        assert (actual - expected).norm() <= bound * expected.norm() + bound * largest  # a bias may have none
