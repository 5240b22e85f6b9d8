"""Numbers drawn from one distribution, whatever the shape."""

from __future__ import annotations

from torch.nn import init

from mytorch.core import ArgumentError, require_range
from mytorch.nn.init._values import Filled, Generator, values_of


def uniform_(tensor: Filled, a: float = 0.0, b: float = 1.0, generator: Generator = None) -> Filled:
    """Draw each number uniformly from [a, b).

    Raises ArgumentError if a or b is no number, or a is above b.
    """
    _require_interval("uniform_", a, b)
    init.uniform_(values_of("uniform_", tensor), a, b, generator=generator)
    return tensor


def normal_(tensor: Filled, mean: float = 0.0, std: float = 1.0, generator: Generator = None) -> Filled:
    """Draw each number from N(mean, std^2).

    Raises ArgumentError if mean or std is no number, or std is below 0.
    """
    require_range("normal_", "mean", mean)
    require_range("normal_", "std", std, 0)
    init.normal_(values_of("normal_", tensor), mean, std, generator=generator)
    return tensor


def trunc_normal_(
    tensor: Filled, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator = None
) -> Filled:
    """Draw each number from N(mean, std^2), again and again until it is within [a, b].

    Raises ArgumentError if an argument is no number, std is not above 0, a is not below b, or the mean is more than
    two deviations outside of [a, b], where the numbers would not have this distribution.
    """
    _require_interval("trunc_normal_", a, b)
    require_range("trunc_normal_", "std", std, 0)
    if not std or a == b:
        raise ArgumentError(f"trunc_normal_: std must be above 0 and a below b, got std={std}, a={a}, b={b}")
    require_range("trunc_normal_", "mean", mean, a - 2 * std, b + 2 * std)
    values = values_of("trunc_normal_", tensor)
    if values.numel():
        init.trunc_normal_(values, mean, std, a, b, generator=generator)
    return tensor


def _require_interval(name: str, a: float, b: float) -> None:
    require_range(name, "a", a)
    require_range(name, "b", b, a)
