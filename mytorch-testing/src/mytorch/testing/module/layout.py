"""Whether a module takes tensors however they lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mytorch.testing.errors import Skip
from mytorch.testing.module.parameters import in_dtype, require_near
from mytorch.testing.module.trial import Case, Trial, require_equal
from mytorch.testing.structure import floating, mapped, tensors


def non_contiguous(case: Case) -> None:
    """Inputs, upstream gradients and parameters that are not contiguous give the same outputs and gradients.

    Parameters alone, too: a kernel may look at the strides of x and trust those of its weights.
    """
    for words, laid_out in _layouts(case).items():
        _require_same(case, laid_out, laid_out, f"be the same for tensors that are {words}")
    _require_same(case, _strided, lambda leaf: leaf, "be the same for parameters that are strided")


def _require_same(case: Case, of_parameters: Callable[[Any], Any], of_values: Callable[[Any], Any], rule: str) -> None:
    """Raise CheckError unless gradients stay what they are for parameters and values that are laid out otherwise."""
    trial = Trial(case)
    expected = trial.gradients(case.inputs)
    for parameter in trial.module.param():
        parameter.value = of_parameters(parameter.value)
    inputs, options = mapped(case.inputs, of_values), mapped(dict(case.options), of_values)
    trial.module.zero_grad()
    output, saved = trial.forward(inputs, options)
    require_equal(trial.answer(mapped(trial.upstream(output), of_values), saved), expected, rule)


def expanded_upstream(case: Case) -> None:
    """An upstream gradient that repeats one number in memory, like that of a sum, gives the same as its copy."""
    trial = Trial(case)
    output, saved = trial.forward(case.inputs)
    if not any(leaf.numel() > 1 for leaf in tensors(trial.upstream(output), "").values()):
        raise Skip("its output is one number")
    expected = trial.answer(mapped(trial.upstream(output), _repeated), saved)
    trial.module.zero_grad()
    _, saved = trial.forward(case.inputs)
    actual = trial.answer(mapped(trial.upstream(output), lambda leaf: _expanded(_repeated(leaf))), saved)
    require_equal(actual, expected, "be the same for an upstream gradient that was expanded from one number")


def float32_non_contiguous(case: Case) -> None:
    """In float32, tensors that are not contiguous give the float64 result: some kernels are for float32 only."""
    wide = Trial(case)
    output, saved = wide.forward(case.inputs)
    expected = floating(output, "output") | wide.answer(wide.upstream(output), saved)
    for words, laid_out in _layouts(case).items():
        found = in_dtype(case, torch.float32, laid_out)
        require_near(found, expected, f"be close to that of float64 for tensors that are {words}")


def _layouts(case: Case) -> dict[str, Callable[[Any], Any]]:
    """Ways to lay tensors out that change one of the inputs at least."""
    ways: dict[str, Callable[[Any], Any]] = {"strided": _strided}
    if not Trial(case).is_random():  # torch draws in the order of memory
        ways["transposed"] = _transposed
    kept = {
        words: laid_out
        for words, laid_out in ways.items()
        if any(not leaf.is_contiguous() for leaf in tensors(mapped(case.inputs, laid_out), "").values())
    }
    if not kept:
        raise Skip("its inputs cannot be laid out otherwise")
    return kept


def _strided(leaf: Any) -> Any:
    """The same numbers with others between them."""
    if not isinstance(leaf, Tensor) or not leaf.dim():
        return leaf
    return torch.stack([leaf, leaf.roll(1)], -1)[..., 0]


def _transposed(leaf: Any) -> Any:
    """The same numbers, with the first axis the quickest in memory and the last the slowest."""
    if not isinstance(leaf, Tensor) or leaf.dim() < 2:
        return leaf
    return leaf.transpose(0, -1).contiguous().transpose(0, -1)


def _repeated(leaf: Any) -> Any:
    """The same number everywhere, each in its own place."""
    return torch.full_like(leaf, 0.75) if isinstance(leaf, Tensor) else leaf


def _expanded(leaf: Any) -> Any:
    """All entries are one number in memory; a kernel that ignores strides finds others behind it, not the end."""
    if not isinstance(leaf, Tensor) or not leaf.numel():
        return leaf
    memory = torch.arange(leaf.numel(), dtype=leaf.dtype) + leaf.flatten()[0]
    return memory[0].expand(leaf.shape)
