"""What the layers of a transformer consist of: attention and a feed-forward net, each with a way around it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    ShapeError,
    StateError,
    require_dimensions,
    require_last_axis,
    require_like,
    require_range,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._tangents import chain_backward_tangent, chain_tangent
from mytorch.nn.attention import MultiheadAttention
from mytorch.nn.container._branches import added
from mytorch.nn.dropout import Dropout
from mytorch.nn.linear import Linear
from mytorch.nn.normalization import LayerNorm
from mytorch.nn.transformer._activation import described


class Saved(NamedTuple):
    """What the backward of a layer needs: the shape of its output, and what each sublayer saved.

    The lists are emptied from their ends as the backward goes, so that memory falls.
    """

    shape: torch.Size
    sublayers: list[list[Any]]


Both = tuple[Any, Any]
"""A gradient and its change."""


class Sublayers(Module):
    """A layer that adds up its sublayers: x + dropout(inner(norm(x))), or norm(x + dropout(inner(x))).

    The first has norm_first; then the way around is free from end to end. The first sublayer is self-attention, the
    last one the feed-forward net linear2(dropout(activation(linear1(x)))).
    """

    d_model: int
    norm_first: bool
    self_attn: MultiheadAttention
    linear1: Linear
    dropout: Dropout
    linear2: Linear
    norm1: LayerNorm
    dropout1: Dropout
    activation: Module

    def _set_sizes(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, layer_norm_eps: float
    ) -> None:
        """Keep d_model. Raises ArgumentError for sizes that do not fit, and for numbers out of range."""
        require_range(self, "dropout", dropout, 0, 1)
        require_range(self, "layer_norm_eps", layer_norm_eps, 0)
        for name, size in {"d_model": d_model, "nhead": nhead, "dim_feedforward": dim_feedforward}.items():
            require_whole(self, name, size, 1)
        if d_model % nhead:
            raise ArgumentError(f"{type(self).__name__}: nhead must divide d_model, {d_model}, got {nhead}")
        self.d_model = d_model

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | {"activation": described(self.activation)}

    def first_child(self) -> Module:
        return self.norm1 if self.norm_first else self.self_attn

    # The way around

    def _into(self, norm: LayerNorm, x: Tensor) -> tuple[Tensor, Any]:
        """What a sublayer is given."""
        return norm.forward(x) if self.norm_first else (x, None)

    def _out_of(self, norm: LayerNorm, dropout: Dropout, x: Tensor, y: Tensor) -> tuple[Tensor, Any]:
        """The sum of x and what the sublayer made of it."""
        y, by_dropout = dropout.forward(y)
        return self._sum(norm, x, y, by_dropout, turned=False)

    def _out_of_attention(self, norm: LayerNorm, dropout: Dropout, x: Tensor, a: Tensor) -> tuple[Tensor, Any]:
        """The same; dropout draws with the sequence first, in which torch's attention computes, so that both agree."""
        if not (self.self_attn.batch_first and a.dim() == 3 and dropout.training and dropout.p > 0):
            return self._out_of(norm, dropout, x, a)
        a, by_dropout = dropout.forward(a.transpose(0, 1).contiguous())
        return self._sum(norm, x, a.transpose(0, 1), by_dropout, turned=True)

    def _sum(self, norm: LayerNorm, x: Tensor, y: Tensor, by_dropout: Any, turned: bool) -> tuple[Tensor, Any]:
        if self.norm_first:
            return x + y, (by_dropout, None, turned)
        z, by_norm = norm.forward(x + y)
        return z, (by_dropout, by_norm, turned)

    def _back_into(self, norm: LayerNorm, dropout: Dropout, d_z: Any, saved: Any) -> tuple[Tensor, Any]:
        """The gradients of x, as far as it went around the sublayer, and of what the sublayer made."""
        by_dropout, by_norm, turned = saved
        d_sum: Any = d_z if by_norm is None else norm.backward(d_z, by_norm)
        if not turned:
            return d_sum, dropout.backward(d_sum, by_dropout)
        d_a: Any = dropout.backward(d_sum.transpose(0, 1), by_dropout)
        return d_sum, d_a.transpose(0, 1)

    def _back_out_of(self, norm: LayerNorm, d_around: Tensor, d_n: Any, saved: Any) -> Tensor | None:
        """The gradient of x; None where the sublayer was told by `input_grad` that nobody wants it."""
        d_x = d_n if saved is None else norm.backward(d_n, saved)
        return None if d_x is None else d_around + d_x

    # The sublayers that all have

    def _self_attention(self, x: Tensor, **masks: Any) -> tuple[Tensor, Any]:
        n, by_norm = self._into(self.norm1, x)
        (a, _), by_attention = self.self_attn.forward(n, need_weights=False, **masks)
        y, by_sum = self._out_of_attention(self.norm1, self.dropout1, x, a)
        return y, [by_norm, by_attention, by_sum]

    def _backward_of_self_attention(self, d_y: Tensor, saved: Any) -> Tensor | None:
        d_x, d_a = self._back_into(self.norm1, self.dropout1, d_y, saved.pop())
        d_n = self.self_attn.backward((d_a, None), saved.pop())
        return self._back_out_of(self.norm1, d_x, d_n, saved.pop())

    def _feed_forward(self, x: Tensor, norm: LayerNorm, dropout: Dropout) -> tuple[Tensor, Any]:
        n, by_norm = self._into(norm, x)
        h, by_linear1 = self.linear1.forward(n)
        h, by_activation = self.activation.forward(h)
        h, by_dropout = self.dropout.forward(h)
        h, by_linear2 = self.linear2.forward(h)
        y, by_sum = self._out_of(norm, dropout, x, h)
        return y, [by_norm, by_linear1, by_activation, by_dropout, by_linear2, by_sum]

    def _backward_of_feed_forward(self, d_y: Tensor, saved: Any, norm: LayerNorm, dropout: Dropout) -> Any:
        d_h: Any
        d_x, d_h = self._back_into(norm, dropout, d_y, saved.pop())
        d_h = self.linear2.backward(d_h, saved.pop())
        d_h = self.dropout.backward(d_h, saved.pop())
        d_h = self.activation.backward(d_h, saved.pop())
        d_n = self.linear1.backward(d_h, saved.pop())
        return self._back_out_of(norm, d_x, d_n, saved.pop())

    # How they change

    def _tangent_of_sum(
        self, norm: LayerNorm, dropout: Dropout, t_x: Any, t_y: Any, saved: Any, along: Directions
    ) -> tuple[Any, Any]:
        """The change of the sum of x and what the sublayer made of it."""
        by_dropout, by_norm, turned = saved
        t_y, t_by_dropout = dropout.tangent(_turned(t_y, turned), by_dropout, along)
        t_z, t_by_norm = added(t_x, _turned(t_y, turned)), None
        if not self.norm_first:
            t_z, t_by_norm = norm.tangent(t_z, by_norm, along)
        return t_z, (t_by_dropout, t_by_norm)

    def _backward_tangent_of_sum(
        self, norm: LayerNorm, dropout: Dropout, of_z: Both, saved: Any, t_saved: Any, along: Directions
    ) -> tuple[Both, Both]:
        """`_back_into`, and how it changes."""
        (by_dropout, by_norm, turned), (t_by_dropout, t_by_norm) = saved, t_saved
        of_sum = of_z if self.norm_first else norm.backward_tangent(*of_z, by_norm, t_by_norm, along)
        d_y, t_d_y = (_turned(each, turned) for each in of_sum)
        d_y, t_d_y = dropout.backward_tangent(d_y, t_d_y, by_dropout, t_by_dropout, along)
        return of_sum, (_turned(d_y, turned), _turned(t_d_y, turned))

    def _tangent_into(self, norm: LayerNorm, t_x: Any, saved: Any, along: Directions) -> tuple[Any, Any]:
        """The change of what a sublayer is given."""
        return norm.tangent(t_x, saved, along) if self.norm_first else (t_x, None)

    def _backward_tangent_into(
        self, norm: LayerNorm, around: Both, of_n: Both, saved: Any, t_saved: Any, along: Directions
    ) -> Both:
        """`_back_out_of`, and how it changes."""
        d_x, t_d_x = norm.backward_tangent(*of_n, saved, t_saved, along) if self.norm_first else of_n
        return (None, None) if d_x is None else (around[0] + d_x, around[1] + t_d_x)

    def _tangent_of_self_attention(self, t_x: Any, saved: Any, along: Directions) -> tuple[Any, Any]:
        by_norm, by_attention, by_sum = saved
        t_n, t_by_norm = self._tangent_into(self.norm1, t_x, by_norm, along)
        (t_a, _), t_by_attention = self.self_attn.tangent(t_n, by_attention, along)
        t_y, t_by_sum = self._tangent_of_sum(self.norm1, self.dropout1, t_x, t_a, by_sum, along)
        return t_y, (t_by_norm, t_by_attention, t_by_sum)

    def _backward_tangent_of_self_attention(self, of_y: Both, saved: Any, t_saved: Any, along: Directions) -> Both:
        (by_norm, by_attention, by_sum), (t_by_norm, t_by_attention, t_by_sum) = saved, t_saved
        of_x, (d_a, t_d_a) = self._backward_tangent_of_sum(self.norm1, self.dropout1, of_y, by_sum, t_by_sum, along)
        of_n = self.self_attn.backward_tangent((d_a, None), (t_d_a, None), by_attention, t_by_attention, along)
        return self._backward_tangent_into(self.norm1, of_x, of_n, by_norm, t_by_norm, along)

    def _tangent_of_feed_forward(
        self, t_x: Any, saved: Any, norm: LayerNorm, dropout: Dropout, along: Directions
    ) -> tuple[Any, Any]:
        by_norm, *by_net, by_sum = saved
        t_n, t_by_norm = self._tangent_into(norm, t_x, by_norm, along)
        t_h, t_by_net = chain_tangent(self._net, t_n, by_net, along)
        t_y, t_by_sum = self._tangent_of_sum(norm, dropout, t_x, t_h, by_sum, along)
        return t_y, (t_by_norm, t_by_net, t_by_sum)

    def _backward_tangent_of_feed_forward(
        self, of_y: Both, saved: Any, t_saved: Any, norm: LayerNorm, dropout: Dropout, along: Directions
    ) -> Both:
        (by_norm, *by_net, by_sum), (t_by_norm, t_by_net, t_by_sum) = saved, t_saved
        of_x, of_h = self._backward_tangent_of_sum(norm, dropout, of_y, by_sum, t_by_sum, along)
        of_n = chain_backward_tangent(self._net, *of_h, by_net, t_by_net, along)
        return self._backward_tangent_into(norm, of_x, of_n, by_norm, t_by_norm, along)

    @property
    def _net(self) -> list[Module]:
        """The feed-forward net."""
        return [self.linear1, self.activation, self.dropout, self.linear2]

    # What is refused

    def _require_input(self, x: Any, name: str) -> None:
        require_dimensions(self, x, 2, 3, name=name)
        require_last_axis(self, x, self.d_model, name)
        require_like(self, x, self.linear1.weight.value, name)

    def _require_own(self, saved: Any, d_y: Any) -> None:
        """Raise an error unless `saved` is of such a layer, and d_y has the shape of the output."""
        require_saved(self, saved, Saved)
        require_upstream(self, d_y, saved.shape)
        if saved.shape[-1] != self.d_model:
            raise ShapeError(
                f"{type(self).__name__}: saved must be that of a layer with d_model={self.d_model}, got one of "
                f"{saved.shape[-1]}; give each backward the saved value of its own forward"
            )
        if not saved.sublayers:
            raise StateError(
                f"{type(self).__name__}: saved must be that of a forward that no backward has answered, got one that "
                "was used; a saved value is good for one backward: call forward again"
            )


def _turned(a: Any, turned: bool) -> Any:
    """What dropout was given with its first two axes exchanged, or the inverse."""
    return a.transpose(0, 1) if turned and a is not None else a


def of_both(one: Both, other: Both) -> tuple[Both, Both]:
    """The first of two pairs side by side, and the second: gradients and their changes, or the inverse."""
    return (one[0], other[0]), (one[1], other[1])
