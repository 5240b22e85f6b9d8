"""How attention changes along a direction, and how its backward does, out of what its softmax and its dropout state.

Every value is multiplied out, the weights among them, also where a kernel that does not hold them computed forward.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from mytorch.core import Directions, Module
from mytorch.nn.activation import Softmax
from mytorch.nn.attention._scaled_dot_product import Attended, Gradients, Weighed, as_weighed

softmax: Module = Softmax(-1)


class Moved(NamedTuple):
    """What attention saved, as `weigh` does, and the change of each: q is divided by sqrt(head_dim) already."""

    saved: Weighed
    t_q: Tensor
    t_k: Tensor
    t_v: Tensor
    t_w: Tensor
    t_kept: Tensor


def attention_tangent(
    t_q: Tensor, t_k: Tensor, t_v: Tensor, saved: Attended | Weighed, dropout: Module, along: Directions
) -> tuple[Tensor, Moved]:
    """t_o, and what `attention_backward_tangent` needs."""
    weighed = as_weighed(saved)
    q, k, v, w, kept, by_dropout = weighed
    given, (t_q, t_k, t_v) = t_q.dtype, (each.to(q.dtype) for each in (t_q, t_k, t_v))
    t_q = t_q / math.sqrt(q.shape[-1])
    t_w, _ = softmax.tangent(t_q @ k.mT + q @ t_k.mT, w, along)
    t_kept, _ = dropout.tangent(t_w, by_dropout, along)
    return (t_kept @ v + kept @ t_v).to(given), Moved(weighed, t_q, t_k, t_v, t_w, t_kept)


def attention_backward_tangent(
    d_o: tuple[Tensor, Tensor],
    d_weights: tuple[Tensor, Tensor] | None,
    moved: Moved,
    dropout: Module,
    along: Directions,
) -> tuple[Gradients, Gradients]:
    """d_q, d_k and d_v, and their changes.

    d_o: the gradient of o, and its change;  d_weights: the same of the weights after dropout, if they were used
    """
    (q, k, v, w, kept, by_dropout), t_q, t_k, t_v, t_w, t_kept = moved
    given, (d, t_d) = d_o[0].dtype, (each.to(q.dtype) for each in d_o)
    d_v, t_d_v = kept.mT @ d, t_kept.mT @ d + kept.mT @ t_d
    d_kept, t_d_kept = d @ v.mT, t_d @ v.mT + d @ t_v.mT
    if d_weights is not None:
        d_kept, t_d_kept = d_kept + d_weights[0], t_d_kept + d_weights[1]
    d_w, t_d_w = dropout.backward_tangent(d_kept, t_d_kept, by_dropout, t_w, along)
    d_s, t_d_s = softmax.backward_tangent(d_w, t_d_w, w, t_w, along)
    scale = 1 / math.sqrt(q.shape[-1])
    d_q, t_d_q = scale * (d_s @ k), scale * (t_d_s @ k + d_s @ t_k)
    d_k, t_d_k = d_s.mT @ q, t_d_s.mT @ q + d_s.mT @ t_q
    d_q, d_k, d_v, t_d_q, t_d_k, t_d_v = (each.to(given) for each in (d_q, d_k, d_v, t_d_q, t_d_k, t_d_v))
    return (d_q, d_k, d_v), (t_d_q, t_d_k, t_d_v)
