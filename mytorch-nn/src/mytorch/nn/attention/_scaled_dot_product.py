"""Attention of queries to keys, whose values they average, head by head: all are (batch, heads, length, head_dim).

    s = q @ k.T / sqrt(head_dim) + mask;  w = softmax(s) over the keys;  o = dropout(w) @ v

`attend` computes o by a kernel that never holds w, `weigh` by these products. A query that may look at no key has
weights 0 and o = 0.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import Module

aten = torch.ops.aten


class Attended(NamedTuple):
    """What `attend_backward` needs; log_sums: the logarithm of the sum of exp(s) over the keys.

    more: what the kernels for a GPU return beside these.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    log_sums: Tensor
    mask: Tensor | None
    is_causal: bool
    more: tuple[Any, ...] = ()


class Weighed(NamedTuple):
    """What `weigh_backward` needs; kept: the weights after dropout."""

    q: Tensor
    k: Tensor
    v: Tensor
    w: Tensor
    kept: Tensor
    by_dropout: Any


Gradients = tuple[Tensor, Tensor, Tensor]


def has_kernel(q: Tensor, k: Tensor, unmasked: bool) -> bool:
    """Whether `attend` can be called: on the CPU or a GPU of NVIDIA's, unless there is nothing to attend with or to.

    A GPU has kernels for attention without a mask other than the causal one, and not for float64.
    """
    if not (q.numel() and k.numel()):
        return False
    if q.device.type != "cuda":
        return q.device.type == "cpu"
    fits = unmasked and q.dtype is not torch.float64 and q.shape[-1] % 8 == 0 and q.shape[-1] <= 256
    return fits and _is_recent(q.device)


@functools.cache
def _is_recent(device: torch.device) -> bool:
    """Whether a GPU is one of NVIDIA's that computes in bfloat16."""
    return torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, is_causal: bool) -> tuple[Tensor, Attended]:
    """o, by the kernel; the last axis of q, k and v must be contiguous: it does not ask for its stride."""
    if q.device.type == "cuda":
        if q.dtype is torch.float32:
            o, log_sums, *more = aten._scaled_dot_product_efficient_attention(q, k, v, None, True, 0.0, is_causal)
        else:
            o, log_sums, *more = aten._scaled_dot_product_flash_attention(q, k, v, 0.0, is_causal)
        return o, Attended(q, k, v, o, log_sums, mask, is_causal, tuple(more))
    o, log_sums = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, is_causal, attn_mask=mask)
    return o, Attended(q, k, v, o, log_sums, mask, is_causal)


def attend_backward(d_o: Tensor, saved: Attended) -> Gradients:
    """d_q, d_k and d_v; the kernel computes w anew. The last axis of d_o must be contiguous."""
    q, k, v, o, log_sums, mask, is_causal, _ = saved
    if q.device.type == "cuda":
        return _attend_backward_on_a_gpu(d_o, saved)
    d_q, d_k, d_v = aten._scaled_dot_product_flash_attention_for_cpu_backward(
        d_o, q, k, v, o, log_sums, 0.0, is_causal, attn_mask=mask
    )
    return d_q, d_k, d_v


def weights_of_first(saved: Attended | Weighed) -> Tensor:
    """w of the first row, (heads, queries, keys), after dropout: computed anew where a kernel did not hold it."""
    if isinstance(saved, Weighed):
        return saved.kept[0]
    q, k, mask = saved.q, saved.k, saved.mask
    if mask is not None:
        mask = mask.expand(*q.shape[:3], k.shape[2])[:1]
    return _weights(q[:1], k[:1], mask, saved.is_causal)[0]


def as_weighed(saved: Attended | Weighed) -> Weighed:
    """What `weigh` saves, computed anew where a kernel did not hold it; then there was no dropout.

    It is in float32 where the kernel had half precision, as the kernel computes inside.
    """
    if isinstance(saved, Weighed):
        return saved
    w = _weights(saved.q, saved.k, saved.mask, saved.is_causal)
    q, k, v = (each.to(w.dtype) for each in saved[:3])
    return Weighed(q / math.sqrt(q.shape[-1]), k, v, w, w, (w.shape, None))


def _weights(q: Tensor, k: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """w without dropout, at least in float32."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    s = q.to(dtype) @ k.to(dtype).mT / math.sqrt(q.shape[-1])
    if mask is not None:
        s = s + mask
    if is_causal:
        s = s.masked_fill(torch.ones_like(s[0, 0], dtype=torch.bool).triu(1), -math.inf)
    w: Tensor = aten._safe_softmax(s, -1)
    return w


def _attend_backward_on_a_gpu(d_o: Tensor, saved: Attended) -> Gradients:
    q, k, v, o, log_sums, _, is_causal, more = saved
    if q.dtype is torch.float32:
        seed, offset = more
        d_q, d_k, d_v, _ = aten._scaled_dot_product_efficient_attention_backward(
            d_o, q, k, v, None, o, log_sums, seed, offset, 0.0, [True, True, True, False], is_causal
        )
        return d_q, d_k, d_v
    begins_q, begins_k, most_q, most_k, seed, offset, *_ = more
    d_q, d_k, d_v = aten._scaled_dot_product_flash_attention_backward(
        d_o, q, k, v, o, log_sums, begins_q, begins_k, most_q, most_k, 0.0, is_causal, seed, offset
    )
    return d_q, d_k, d_v


def weigh(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: Module) -> tuple[Tensor, Weighed]:
    """o, with the weights in what is saved."""
    q, k, v = q.contiguous() / math.sqrt(q.shape[-1]), k.contiguous(), v.contiguous()  # else each product copies them
    s = q @ k.mT
    w = s.softmax(-1) if mask is None else aten._safe_softmax(s.add_(mask), -1)  # no NaN of keys that are all masked
    del s  # as large as w
    kept, by_dropout = dropout.forward(w)
    return kept @ v, Weighed(q, k, v, w, kept, by_dropout)


def weigh_backward(d_o: Tensor, d_weights: Tensor | None, saved: Weighed, dropout: Module) -> Gradients:
    """d_q, d_k and d_v; d_weights: the gradient of the weights after dropout, if they were used."""
    q, k, v, w, kept, by_dropout = saved
    del saved  # so that what is not needed any more is freed
    d_o = d_o.contiguous()
    d_v = kept.mT @ d_o
    d_kept = d_o @ v.mT
    del kept, v, d_o
    if d_weights is not None:
        d_kept.add_(d_weights)
    d_w = dropout.backward(d_kept, by_dropout)
    del d_kept, by_dropout
    d_s = torch._softmax_backward_data(d_w, w, -1, w.dtype)
    del d_w, w
    return (d_s @ k).div_(math.sqrt(q.shape[-1])), d_s.mT @ q, d_v
