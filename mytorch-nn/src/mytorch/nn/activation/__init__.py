"""Activation functions: nonlinear functions of each number, and of the numbers along an axis."""

from mytorch.nn.activation.basic import ReLU, Sigmoid, Tanh
from mytorch.nn.activation.bounded import Hardshrink, Hardsigmoid, LogSigmoid, Softshrink, Softsign, Tanhshrink
from mytorch.nn.activation.rectifiers import Hardtanh, LeakyReLU, PReLU, ReLU6, RReLU, Threshold
from mytorch.nn.activation.smooth import CELU, ELU, GELU, SELU, Hardswish, Mish, SiLU, Softplus
from mytorch.nn.activation.softmax import GLU, LogSoftmax, Softmax, Softmax2d, Softmin

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]
