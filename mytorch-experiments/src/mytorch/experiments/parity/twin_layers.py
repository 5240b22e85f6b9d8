"""PyTorch twins of the layers that mytorch.nn has and torch.nn has not, each as anybody would write it in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """y = x + inner(x)"""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Add the input to what is made of it."""
        result: Tensor = x + self.inner(x)
        return result


class Checkpoint(nn.Module):
    """y = inner(x): keeping less changes no number"""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Any) -> Any:
        """What it makes of the inputs. torch.utils.checkpoint would count a batch twice in running statistics."""
        return self.inner(*inputs)


class Parallel(nn.ModuleList):
    """y = (branch_1(x), branch_2(x), ...)"""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__(branches)

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs of all branches."""
        return tuple(branch(*inputs) for branch in self)


class Add(Parallel):
    """y = branch_1(x) + branch_2(x) + ..."""

    def forward(self, *inputs: Any) -> Any:
        """The sum of the outputs."""
        first, *others = super().forward(*inputs)
        for output in others:
            first = first + output
        return first


class Concatenate(Parallel):
    """y = branch_1(x), branch_2(x), ... along axis dim"""

    def __init__(self, *branches: nn.Module, dim: int = 1) -> None:
        super().__init__(*branches)
        self.dim = dim

    def forward(self, *inputs: Any) -> Any:
        """The outputs, one after the other."""
        return torch.cat(super().forward(*inputs), self.dim)


class Take(nn.Module):
    """y = x[index]"""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: tuple[Any, ...]) -> Any:
        """One entry of a tuple."""
        return x[self.index]


TWIN_LAYERS: Mapping[str, Callable[..., nn.Module]] = {
    cls.__name__: cls for cls in (Add, Checkpoint, Concatenate, Parallel, Residual, Take)
}
"""By the name of the class in mytorch.nn; constructor arguments have the same names."""
