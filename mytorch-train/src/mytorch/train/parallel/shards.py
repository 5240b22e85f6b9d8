"""What each of several processes keeps of an optimizer's state: that of its pieces of the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer, Parameter, persistent
from mytorch.plugins import nearest, shown
from mytorch.train.clip_gradients import joint_norm
from mytorch.train.errors import NotFiniteError
from mytorch.train.parallel.layers import Layers, own_parameters
from mytorch.train.parallel.pieces import Bucket, cut, flat_like, from_owners, grouped, on_processor, shared_out
from mytorch.train.parallel.processes import Processes
from mytorch.train.state_left import layout_of, leave, other_pieces, take_up

LEVELS = ("optimizer", "gradients", "parameters")
"""What is divided: the optimizer's state; gradients, too; parameters, too."""
_Pieces = dict[Parameter, tuple[int, int]]


class Shards:
    """The pieces of the parameters that this process updates, of which alone it keeps the optimizer's state.

    An optimizer that treats every number alike has an equal part of the numbers of every bucket; another one has some
    parameters whole. So the state of all processes together is that of one.

    level: one of LEVELS.
    buckets: all parameters of the optimizer, as they travel.
    freed: the pieces that take the place of whole parameters between their uses, where parameters are divided.
    layers: gathers those that a layer computes with.
    absent: parameters of which this process has no values: none, since it has a piece of each.
    """

    absent: ClassVar[frozenset[Parameter]] = frozenset()

    def __init__(self, processes: Processes, level: str) -> None:
        self.processes, self.level = processes, level
        self.buckets: list[Bucket] = []
        self.pieces: _Pieces = {}
        self.whole = False
        self.freed: dict[Parameter, Tensor] = {}
        self.layers: Layers | None = None
        self._regained = False
        self._shapes: dict[Parameter, torch.Size] = {}
        self._views: dict[Parameter, tuple[Tensor, Tensor]] = {}
        self._collected: dict[int, dict[str, Any]] | None = None

    @contextmanager
    def storing(self, net: Module, loss: Module, optimizer: Optimizer) -> Iterator[None]:
        """Within this context, the optimizer has the state of this process's pieces and, where they are divided, the
        parameters of `net` are these pieces.

        The optimizer has that state afterwards, too, for the next training: the whole may be more than fits. The net
        has whole parameters again. Of what other processes had when one of them was lost, the numbers are NaN.
        """
        self._lay_out(net, loss, optimizer)
        self._cut_state(optimizer)
        try:
            self._free()
            yield
            self.regain()
        except BaseException as error:
            try:
                if isinstance(error, NotFiniteError) or error is self.processes.joint:
                    self.regain()
            finally:
                self._lose()
            raise
        finally:
            self.freed, self.layers, self._regained = {}, None, False
            if self.processes.size > 1:
                leave(optimizer, dict(self.pieces))

    def _lay_out(self, net: Module, loss: Module, optimizer: Optimizer) -> None:
        """Divide the parameters. Those that the loss computes with are whole all the time."""
        outside = dict.fromkeys(p for group in optimizer.param_groups for p in group["params"])
        of_loss = set(loss.param())
        inside = dict.fromkeys(p for p in net.param() if p not in of_loss) if self.level == "parameters" else {}
        self.whole = not can_be_cut(optimizer)
        size = self.processes.size
        owners = shared_out([*inside, *(p for p in outside if p not in inside)], size) if self.whole else None
        units, left = [], dict(inside)
        for module in net.modules() if inside else ():
            own = [p for p in own_parameters(module) if left.pop(p, self) is None]
            units += grouped(own, size, owners)
        others = grouped([p for p in outside if p not in inside][::-1], size, owners)
        self.buckets = units + others
        self.pieces = {p: bucket.piece(p, self.processes.rank) for bucket in self.buckets for p in bucket.parameters}
        self.layers = Layers(self.processes, units, self.cut) if units else None
        self._shapes = {p: shape for b in self.buckets for p, shape in zip(b.parameters, b.shapes, strict=True)}

    def _free(self) -> None:
        """Leave the layers pieces of their parameters."""
        for bucket in [] if self.layers is None else self.layers.buckets:
            for p in bucket.parameters:
                self.freed[p] = p.value = persistent(self.cut(p.value.contiguous(), p))

    @contextmanager
    def in_whole(self) -> Iterator[None]:
        """Within this context, which all processes enter, parameters are whole, as callbacks see them."""
        if self._regained or not self.freed:
            yield
            return
        self.regain()
        yield
        self.let_go()  # not after an error, which ends the training

    def in_first(self) -> AbstractContextManager[None]:
        """Within this context, which all processes enter, the first one has whole parameters; so have the others."""
        return self.in_whole()

    def regain(self) -> None:
        """Give parameters that were divided their whole values; all processes do it together."""
        if self._regained or self.layers is None or not self.freed:
            return
        for bucket in self.layers.buckets:
            flat = flat_like(bucket, bucket.parameters[0].value.dtype)
            for p, view in bucket.views(flat).items():
                self.cut(view, p).copy_(self.freed[p])
            for work in from_owners(self.processes, bucket, flat):
                self.processes.wait(work)
            for p, view in bucket.views(flat).items():
                p.value = persistent(view)
        self._regained = True

    def let_go(self) -> None:
        """Leave the layers pieces again, of the values that they have now."""
        for p, piece in self.freed.items():
            piece.copy_(self.cut(p.value.contiguous(), p))
            p.value = piece
        self._regained = False

    def _lose(self) -> None:
        """Give parameters that are not whole their shapes; other processes had the rest of the numbers."""
        for p, piece in {} if self._regained else self.freed.items():
            whole = torch.zeros(self._shapes[p], dtype=piece.dtype, device=piece.device)
            if whole.is_floating_point() or whole.is_complex():
                whole.fill_(torch.nan)
            self.cut(whole, p).copy_(piece)
            p.value = persistent(whole)

    def require_same(self, parameters: list[Parameter]) -> None:
        """Raise ArgumentError for parameters that the training did not begin with, or of other shapes."""
        for p in parameters:
            expected = self.freed[p].shape if p in self.freed and not self._regained else self._shapes.get(p)
            if p.value.shape != expected:
                raise ArgumentError(
                    f"shard: the optimizer must hold the parameters that the training began with, got {p!r}; leave "
                    "shard out where parameters are added or replaced in between"
                )

    @contextmanager
    def in_place(self, parameters: Iterable[Parameter] | None = None) -> Iterator[None]:
        """Within this context, the value of each of the optimizer's parameters is this process's piece of it.

        parameters: those of them of which this is to be so; all without.
        """
        before: list[tuple[Parameter, Tensor]] = []
        try:
            for p in self.pieces if parameters is None else parameters:
                if p not in self.freed:
                    piece = self._piece_of(p, p.value)  # which may have made the value contiguous
                    before.append((p, p.value))
                    p.value = piece
            yield
        finally:
            for p, value in before:
                p.value = value

    def gather(self) -> None:
        """Give every process the pieces that the others have updated."""
        last = None
        for bucket in self.buckets[0 if self.layers is None else len(self.layers.buckets) :]:
            flat = flat_like(bucket, bucket.parameters[0].value.dtype)
            for p, view in bucket.views(flat).items():
                self.cut(view, p).copy_(self._piece_of(p, p.value))
            sent = bucket, flat, from_owners(self.processes, bucket, flat)
            if last is not None:
                self._take(*last)
            last = sent
        if last is not None:
            self._take(*last)

    def cut(self, tensor: Tensor, parameter: Parameter) -> Tensor:
        """This process's piece of a contiguous tensor of the parameter's shape; it may have no numbers."""
        return cut(tensor, self.pieces[parameter], self.whole)

    def norm(self, grads: list[Tensor]) -> Tensor:
        """The 2-norm of the gradients of all processes' pieces together."""
        device = self.buckets[0].parameters[0].value.device
        widest = torch.float32 if device.type == "mps" else torch.float64
        own = joint_norm(grads).to(widest) if grads else torch.zeros((), dtype=widest, device=device)
        total = own.square()
        self.processes.wait(self.processes.add(total))
        return total.sqrt()

    def collect(self, optimizer: Optimizer) -> None:
        """Bring the state of all pieces to the first process, for `state_of`, until `release`."""
        places = {p: place for place, p in enumerate(self.pieces)}
        own = {
            places[p]: (piece, {name: on_processor(held) for name, held in optimizer.state[p].items()})
            for p, piece in self.pieces.items()
            if optimizer.state.get(p)
        }
        found = self.processes.gather_to_first(own)
        if self.processes.first:
            self._collected = self._joined(optimizer, found)

    def release(self) -> None:
        """Forget what was collected."""
        self._collected = None

    def state_of(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state of whole parameters, as `optimizer.state_dict` gives it in one process.

        Raises ArgumentError unless it was collected.
        """
        if self._collected is None:
            raise ArgumentError(
                "shard: the state of a training must be asked for by all processes at once, as a checkpoint is, got "
                "one process that asks; use fit(checkpoint=...)"
            )
        return {**optimizer.state_dict(), "state": self._collected}

    def _take(self, bucket: Bucket, flat: Tensor, works: list[Any]) -> None:
        for work in works:
            self.processes.wait(work)
        values, views = [p.value for p in bucket.parameters], list(bucket.views(flat).values())
        torch._foreach_copy_(values, views)

    def _piece_of(self, parameter: Parameter, value: Tensor) -> Tensor:
        """The piece of a value, the same tensor until the value is replaced."""
        whole, piece = self._views.get(parameter, (None, None))
        if whole is not value or piece is None:
            if not value.is_contiguous():
                with torch.inference_mode(False), torch.no_grad():
                    parameter.value = value = value.contiguous()
            piece = self.cut(value, parameter)
            self._views[parameter] = value, piece
        return piece

    def _cut_state(self, optimizer: Optimizer) -> None:
        """Leave the optimizer the state of this process's pieces. Raises ArgumentError for that of other pieces."""
        before = layout_of(optimizer)
        take_up(optimizer, self.pieces, self.processes.gather)
        before = before if isinstance(before, Mapping) else {}
        for p, piece in self.pieces.items():
            state = optimizer.state.get(p)
            if not state:
                continue
            for name, held in state.items():
                if optimizer.state_entries.get(name) != "value" or held.shape == p.value.shape:
                    continue
                if before.get(p) != piece or held.numel() != piece[1] - piece[0]:
                    raise ArgumentError(other_pieces(optimizer))
            if piece[0] == piece[1]:
                del optimizer.state[p]
                continue
            for name, held in state.items():
                if optimizer.state_entries.get(name) == "value" and held.shape == p.value.shape:
                    with torch.inference_mode(False), torch.no_grad():
                        state[name] = self.cut(held.contiguous(), p).clone()
        optimizer._fitted.clear()

    def _joined(self, optimizer: Optimizer, found: list[Mapping[int, Any]]) -> dict[int, dict[str, Any]]:
        """The state of each parameter, by its number, of what all processes have of it."""
        numbers = {id(p): n for n, p in enumerate(p for group in optimizer.param_groups for p in group["params"])}
        joined: dict[int, dict[str, Any]] = {}
        for place, p in enumerate(self.pieces):
            parts = [of_rank[place] for of_rank in found if place in of_rank]
            for (first, last), state in parts:
                whole = joined.setdefault(numbers[id(p)], {})
                for name, held in state.items():
                    if self.whole or optimizer.state_entries.get(name) != "value":
                        whole.setdefault(name, held)
                    else:
                        into = whole.setdefault(name, torch.empty(self._shapes[p], dtype=held.dtype))
                        into.view(-1)[first:last] = held
        return dict(sorted(joined.items()))


def can_be_cut(optimizer: Optimizer) -> bool:
    """Whether a part of a parameter's numbers is updated as it is in the whole, with a part of the state."""
    return optimizer.elementwise and set(optimizer.state_entries.values()) <= {"value", "number"}


def require_level(level: Any, optimizer: Optimizer, divided: bool) -> None:
    """Raise ArgumentError for what is no level or, where processes divide something, an optimizer that none suits."""
    if level is not None and (not isinstance(level, str) or level not in LEVELS):
        raise ArgumentError(
            f"shard: must be one of {', '.join(LEVELS)}, or left out, got {shown(level)}. "
            f"{nearest(str(level), LEVELS)}"
        )
    if level is not None and divided:
        try:
            optimizer.require_steps_apart()
        except ArgumentError as error:
            raise ArgumentError(f"shard: {error}; leave shard out, or take another optimizer") from None
