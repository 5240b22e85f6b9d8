"""Numbers whose spread goes by how many inputs and outputs a weight joins: Xavier's and Kaiming's rules.

n_in is the number of inputs that an output sees, the size of axis 1 times that of the window; n_out the number of
outputs that see an input, the size of axis 0 times that of the window.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import init

from mytorch.core import require_choice, require_range
from mytorch.nn.init._values import Filled, Generator, values_of

NONLINEARITIES = (
    *("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("sigmoid", "tanh", "relu", "leaky_relu", "selu"),
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights must be larger where this function follows them, so that values keep their spread.

    1 for linear layers and sigmoid, 5/3 for tanh, sqrt(2) for relu, sqrt(2 / (1 + param^2)) for leaky_relu with the
    slope `param` (0.01 if it is None), 3/4 for selu.
    Raises ArgumentError for another name, or if param is no number.
    """
    return _gain("calculate_gain", nonlinearity, param)


def xavier_uniform_(tensor: Filled, gain: float = 1.0, generator: Generator = None) -> Filled:
    """Draw each number uniformly within gain * sqrt(6 / (n_in + n_out)).

    Raises ShapeError if there are fewer than two axes; ArgumentError if gain is no number.
    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"
    """
    require_range("xavier_uniform_", "gain", gain)
    values = values_of("xavier_uniform_", tensor, at_least=2)
    if values.numel():
        init.xavier_uniform_(values, gain, generator=generator)
    return tensor


def xavier_normal_(tensor: Filled, gain: float = 1.0, generator: Generator = None) -> Filled:
    """Draw each number from N(0, s^2) with s = gain * sqrt(2 / (n_in + n_out)).

    Raises ShapeError if there are fewer than two axes; ArgumentError if gain is no number of at least 0.
    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"
    """
    require_range("xavier_normal_", "gain", gain, 0)
    values = values_of("xavier_normal_", tensor, at_least=2)
    if values.numel():
        init.xavier_normal_(values, gain, generator=generator)
    return tensor


def kaiming_uniform_(
    tensor: Filled,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Filled:
    """Draw each number uniformly within f * sqrt(3 / n), f the gain of the nonlinearity, whose slope may be a.

    mode: "fan_in", n is n_in, keeps the spread of values in the forward pass; "fan_out" that of gradients.
    Raises ShapeError if there are fewer than two axes; ArgumentError for an unknown name, or if a is no number.
    Source: He et al. 2015, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification"
    """
    values, rule, f = _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    if values.numel():
        init.kaiming_uniform_(values, a, rule, f, generator=generator)
    return tensor


def kaiming_normal_(
    tensor: Filled,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Filled:
    """Draw each number from N(0, s^2) with s = f / sqrt(n), f the gain of the nonlinearity, whose slope may be a.

    mode: "fan_in", n is n_in, keeps the spread of values in the forward pass; "fan_out" that of gradients.
    Raises ShapeError if there are fewer than two axes; ArgumentError for an unknown name, or if a is no number.
    Source: He et al. 2015, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification"
    """
    values, rule, f = _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity)
    if values.numel():
        init.kaiming_normal_(values, a, rule, f, generator=generator)
    return tensor


def _gain(name: str, nonlinearity: Any, param: float | None) -> float:
    require_choice(name, "nonlinearity", nonlinearity, NONLINEARITIES)
    if param is not None:
        require_range(name, "param", param)
    return float(init.calculate_gain(nonlinearity, param))


def _kaiming(name: str, tensor: Filled, a: float, mode: Any, nonlinearity: Any) -> tuple[Tensor, Any, Any]:
    """The numbers to fill, and both names, which torch knows."""
    require_range(name, "a", a)
    require_choice(name, "mode", mode, ("fan_in", "fan_out"))
    require_choice(name, "nonlinearity", nonlinearity, NONLINEARITIES)
    return values_of(name, tensor, at_least=2), mode, nonlinearity
