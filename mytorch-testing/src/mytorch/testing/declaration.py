"""What a test file says about a part, so that each check becomes a test of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mytorch.core import Module
from mytorch.testing.check import LAYER_CHECKS, LOSS_CHECKS, Check, Report, check_layer, check_loss


@dataclass(frozen=True)
class Declaration:
    """A part and how to check it: `ids` names the checks, `run` runs one of them, or all."""

    check: Callable[..., Report]
    available: tuple[Check, ...]
    modes: tuple[str, ...]
    opt_out: Mapping[str, str]

    @property
    def ids(self) -> list[str]:
        """A name for each check: "mode/check", or the check alone where it is opted out of in all modes."""
        names = [check.__name__ for check in self.available]
        kept = [f"{mode}/{name}" for mode in self.modes for name in names if name not in self.opt_out]
        return kept + [name for name in names if name in self.opt_out]

    def run(self, which: str | None = None) -> Report:
        """Run one check, or every one. Raises CheckError where one fails, or passes that is opted out of."""
        if which is None:
            return self.check(modes=self.modes, opt_out=self.opt_out)
        mode, _, name = which.rpartition("/")
        return self.check(
            modes=(mode,) if mode else self.modes, checks=(name,), opt_out={} if mode else {name: self.opt_out[name]}
        )


def declare_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
) -> Declaration:
    """Declare a layer: `test_scale = declare_layer(lambda: Scale(3), torch.randn(5, 3))` in a test file.

    The arguments are those of check_layer. With pytest, each check is a test, such as
    `test_scale.py::test_scale::train/finite_differences`, which `-k finite` finds.
    """
    check = partial(check_layer, factory, *inputs, seed=seed, tags=tuple(tags))
    return Declaration(check, LAYER_CHECKS, tuple(modes), dict(opt_out or {}))


def declare_loss(
    factory: Callable[[], Module],
    prediction: Any,
    *targets: Any,
    predictions: int = 1,
    seed: int = 0,
    modes: Iterable[str] = ("train",),
    opt_out: Mapping[str, str] | None = None,
) -> Declaration:
    """Declare a loss; the arguments are those of check_loss, the rest is as in declare_layer."""
    check = partial(check_loss, factory, prediction, *targets, predictions=predictions, seed=seed)
    return Declaration(check, LOSS_CHECKS, tuple(modes), dict(opt_out or {}))
