"""Where the samples of a batch lie in what each layer returns, found by trying."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Loss, Module, add_path, require_pair, tree
from mytorch.train.batches import call, count_rows
from mytorch.train.device import device_of
from mytorch.train.mean_loss import sums
from mytorch.train.observe import Method, intercept
from mytorch.train.quantities.holders import Holders
from mytorch.train.quantities.structure import leaves, mapped, tensors
from mytorch.train.unchanged import unchanged

REDUCTIONS = ("mean", "sum", "batchmean")
"""Of losses that are means or sums over the samples."""

TRIED = (
    "quantities: this was raised when the net was tried on two or three samples of the batch, taken along the first "
    "axis of each tensor; inputs whose entries belong together, as the offsets of an EmbeddingBag, cannot be used"
)
"""What is noted on an error of a net that takes the batch itself."""

Outputs = dict[int, list[Any]]
"""What each module returned, by its id, call after call."""


class Axes:
    """The axis of the samples in the outputs of layers that have trained parameters.

    Two samples, three, and three of which the last is another one go through the net, in the mode that it has, and
    everything is put back. The axis that is longer for three is that of the samples; a layer whose output for the
    first two depends on the third mixes the batch. So nothing need be declared, and a layer of anybody's is known.

    Where all samples of the batch are alike, the last one's floating-point numbers are changed.
    certain: False if they are alike and hold no such numbers, so that a layer that mixes the batch was not seen.
    seen: whether every output of every module was another one for the last sample when that was another.
    holders: the modules of the net and their parameters.

    Raises ArgumentError where a layer mixes the batch, or has parameters and no axis of samples, and for a loss that
    is no mean or sum over the samples.
    """

    def __init__(self, net: Module, loss: Module, inputs: Any, targets: Any, holders: Holders | None = None) -> None:
        self.holders = Holders(net) if holders is None else holders
        require_samples(self.holders, net, loss, inputs, targets)
        self._paths = {id(module): path for path, module in self.holders.modules}
        modules = {id(module): module for _, module in self.holders.modules}
        rows = count_rows(inputs if targets is None else targets)
        three, others = [place % rows for place in range(3)], _with_another(inputs, rows)
        taken = _taken(inputs, three)
        changed = _with_last_changed(taken) if others is None else _taken(inputs, others)
        self.certain = any(not torch.equal(*pair) for pair in zip(tensors(taken), tensors(changed), strict=True))
        of_three = _taken(targets, three)
        with unchanged(net, loss):
            first, d_first = _run(net, loss, taken, of_three)
            fewer, _ = _run(net, loss, _taken(inputs, three[:2]), _taken(targets, three[:2]))
            second, d_second = _run(net, loss, changed, of_three if others is None else _taken(targets, others))
        self.seen = all(map(_differ, first.values(), second.values()))
        self.told = set[int]()  # the ids of modules of which something was said
        self._found: dict[int, list[Any]] = {}
        for key, outputs in first.items():  # in the order in which they ended, so that the first that mixes is told
            calls = zip(outputs, fewer[key], second[key], strict=True)
            self._found[key] = [self._axes(modules[key], *of_call) for of_call in calls]
        if not all(_same(one[:2], two[:2]) for one, two in zip(d_first, d_second, strict=True) if len(one) == 3):
            raise ArgumentError(
                f"quantities: loss must be a mean or sum over the samples where gradients of single samples are asked "
                f"for, got a {type(loss).__name__} in which they depend on each other; leave the quantity out"
            )

    def of(self, module: Module, number: int) -> Any:
        """The axes in a structure like that of the output, for a call of this number, which counts from 0."""
        calls = self._found.get(id(module))
        if not calls:
            raise ArgumentError(
                f"quantities: {self._named(module)} must be used for every batch where gradients of single samples "
                "are asked for, got no use of it when three samples were tried; leave the quantity out"
            )
        return calls[min(number, len(calls) - 1)]

    def is_new(self, module: Module) -> bool:
        """Whether this is asked of the module for the first time, so that something is said of it once."""
        new = id(module) not in self.told
        self.told.add(id(module))
        return new

    def _axes(self, module: Module, output: Any, of_fewer: Any, of_others: Any) -> Any:
        axes = mapped(_longer, output, of_fewer)
        known = [axis for axis in leaves(axes) if axis is not None]
        if not known and self.holders.own[id(module)]:
            raise ArgumentError(
                f"quantities: {self._named(module)} must return one entry for each sample, along an axis of its own, "
                f"where gradients of single samples are asked for, got {_shapes(output)} for three samples and "
                f"{_shapes(of_fewer)} for two; give it the whole batch, or leave the quantity out"
            )
        for axis, one, two in zip(leaves(axes), leaves(output), leaves(of_others), strict=True):
            if axis is not None and not _same(one.narrow(axis, 0, 2), two.narrow(axis, 0, 2)):
                raise ArgumentError(
                    f"quantities: every layer must treat each sample by itself where gradients of single samples are "
                    f"asked for, got {self._named(module)}, which mixes the batch; take a normalisation that does "
                    "not, such as GroupNorm, or leave the quantity out"
                )
        return axes

    def _named(self, module: Module) -> str:
        return f"layer {self._paths[id(module)]!r} ({type(module).__name__})"


class KnownAxes:
    """The axes of the net that was asked for last, found anew where a module came, went or changed its mode.

    They are found anew, too, as long as they are uncertain; of a batch of one sample nothing is mixed.
    """

    def __init__(self) -> None:
        self._last: tuple[Any, Axes] | None = None

    def of(self, net: Module, loss: Module, inputs: Any, targets: Any) -> Axes:
        """Where the samples of such batches lie. Raises ArgumentError, as `Axes` does."""
        holders = Holders(net)
        modules = [*(module for _, module in holders.modules), *loss.modules()]
        key = [(id(module), module.training) for module in modules]
        if self._last is not None and self._last[0] == key:
            known = self._last[1]
            if known.certain or count_rows(inputs if targets is None else targets) == 1:
                known.holders = holders
                return known
        self._last = key, Axes(net, loss, inputs, targets, holders)
        return self._last[1]


def _run(net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Outputs, list[Tensor]]:
    """What each module returns for some samples, and the gradients of the sum of their losses."""
    outputs: Outputs = {}
    seed_all = torch.default_generator.manual_seed if device_of(net).type == "cpu" else torch.manual_seed

    def around(_path: str, module: Module, name: str, method: Method) -> Method:
        def forward(*given: Any, **options: Any) -> Any:
            _seed(module, seed_all)
            pair = method(*given, **options)
            require_pair(module, pair)
            outputs.setdefault(id(module), []).append(pair[0])
            return pair

        return forward if name == "forward" else method

    try:
        with intercept(net.named_modules(), around):
            prediction, _ = call(net.forward, inputs)
    except Exception as error:
        add_path(error, net)
        error.add_note(TRIED)
        raise
    _seed(loss, seed_all)
    _, saved = loss.forward(prediction, targets)
    weight = loss.weight_of(prediction, targets) if isinstance(loss, Loss) and not sums(loss) else 1.0
    return outputs, [d for d in tensors(loss.backward(weight, saved)) if d.dim()]


def _seed(module: Module, seed_all: Callable[[int], object]) -> None:
    """Have a layer draw the same in every run, whatever the others drew.

    seed_all: seeds what layers without a generator of their own draw from. torch's own function of this name, which
        seeds every kind of accelerator, takes longer than a small layer where there is none.
    """
    seed_all(0)
    for _, generator in tree.own(module, torch.Generator):
        generator.manual_seed(0)


def _taken(value: Any, places: list[int]) -> Any:
    """The samples at some places."""
    return mapped(lambda leaf: leaf[places] if isinstance(leaf, Tensor) else leaf, value)


def _with_last_changed(inputs: Any) -> Any:
    """The same with another last sample: its floating-point numbers are smaller by factors drawn one by one."""
    generator = torch.Generator().manual_seed(0)

    def change(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point() or not leaf.dim():
            return leaf
        factors = torch.rand(leaf.shape[1:], generator=generator).to(leaf).mul_(0.5).add_(0.5)
        last = torch.where(leaf[-1] == 0, torch.ones_like(leaf[-1]), leaf[-1]) * factors
        return torch.cat([leaf[:-1], last.unsqueeze(0)])

    return mapped(change, inputs)


def _longer(output: Any, of_fewer: Any) -> int | None:
    """The axis along which an output for three samples is longer by one than that for two."""
    if not isinstance(output, Tensor):
        return None
    sizes = list(enumerate(zip(output.shape, of_fewer.shape, strict=True)))
    longer = [axis for axis, pair in sizes if pair == (3, 2)]
    return longer[0] if len(longer) == 1 else None


def _with_another(inputs: Any, rows: int) -> list[int] | None:
    """Two samples and, in the third place, another one than the third; None if all are alike."""
    held = [each for each in tensors(inputs) if len(each) == rows]
    for place in range(rows):
        if any(not torch.equal(each[place], each[2 % rows]) for each in held):
            return [0, 1 % rows, place]
    return None


def _same(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are equal up to rounding."""
    if not one.is_floating_point():
        return torch.equal(one, two)
    finite = one[one.isfinite()]
    largest = max(float(finite.abs().max()), 1e-30) if finite.numel() else 1.0
    return torch.allclose(one, two, rtol=0, atol=largest * torch.finfo(one.dtype).eps * 100, equal_nan=True)


def _differ(outputs: list[Any], of_others: list[Any]) -> bool:
    """Whether every floating-point tensor differs from that of another batch."""
    pairs = zip(tensors(outputs), tensors(of_others), strict=True)
    return not any(one.is_floating_point() and _same(one, other) for one, other in pairs)


def _shapes(output: Any) -> str:
    return " and ".join(str(tuple(each.shape)) for each in tensors(output)) or type(output).__name__


def require_samples(holders: Holders, net: Module, loss: Module, inputs: Any, targets: Any) -> None:
    """Raise ArgumentError for a batch, a net or a loss of which there are no gradients of single samples."""
    _require_reduction(loss)
    rows = count_rows(inputs if targets is None else targets)
    if not rows or not any(parameter.trainable for parameter in holders.names):
        raise ArgumentError(
            "quantities: a batch must have samples, and the net trained parameters, where gradients of single "
            f"samples are asked for, got {rows} samples and a {type(net).__name__}"
        )
    _require_rows(rows, inputs, targets)


def _require_rows(rows: int, inputs: Any, targets: Any) -> None:
    for each in tensors([inputs, targets]):
        if not each.dim() or len(each) != rows:
            raise ArgumentError(
                f"quantities: every tensor of inputs and targets must have one entry for each of {rows} samples along "
                f"its first axis where gradients of single samples are asked for, got {tuple(each.shape)}; give the "
                "bags of an EmbeddingBag as rows of equal length without offsets, or leave the quantity out"
            )


def _require_reduction(loss: Module) -> None:
    if any(parameter.trainable for parameter in loss.param()):
        raise ArgumentError(
            f"quantities: loss must have no parameters of its own where gradients of single samples are asked for, "
            f"got a {type(loss).__name__} with some; move them into the net, or leave the quantity out"
        )
    reduction = getattr(loss, "reduction", "mean")
    if reduction not in REDUCTIONS:
        raise ArgumentError(
            f"quantities: reduction of the loss must be one of {', '.join(REDUCTIONS)} where gradients of single "
            f"samples are asked for, got {reduction!r}"
        )
