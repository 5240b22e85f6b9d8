"""Attention with several heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import init

from mytorch.core import (
    ArgumentError,
    Detail,
    Directions,
    EachSample,
    Module,
    OuterProducts,
    Parameter,
    SampleGradients,
    ShapeError,
    Stacked,
    StateError,
    empty,
    kind_of,
    require_device,
    require_dimensions,
    require_flags,
    require_floating_dtype,
    require_last_axis,
    require_like,
    require_range,
    require_room,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn.attention._masks import Sizes, merged_mask
from mytorch.nn.attention._scaled_dot_product import (
    Attended,
    Gradients,
    Weighed,
    attend,
    attend_backward,
    has_kernel,
    weigh,
    weigh_backward,
    weights_of_first,
)
from mytorch.nn.attention._tangents import Moved, attention_backward_tangent, attention_tangent
from mytorch.nn.attention._told import most_looked_at
from mytorch.nn.dropout import Dropout
from mytorch.nn.linear import Linear

GROUPS = {1: (0, 3), 2: (0, 1, 3), 3: (0, 1, 2, 3)}
"""Where the projections q, k and v (0, 1, 2) of each input begin, by how many inputs were passed."""


class Source(NamedTuple):
    """A tensor, with a batch axis, and which of the projections q, k and v (0, 1 and 2) one product makes of it."""

    x: Tensor
    start: int
    stop: int


class Found(NamedTuple):
    """What `sample_gradients` computed, which the backward of the same d_output need not compute again.

    d_learned: the gradients of bias_k and bias_v, of each sample: (batch, heads, head_dim)
    d_projected: by source, the gradients of what is projected from it
    """

    d_output: Any
    d_learned: list[Tensor]
    d_projected: list[Tensor]


class Saved(NamedTuple):
    """What a backward needs; steps: the sources, what attention saved, and out_proj, taken from the end as it goes."""

    layout: tuple[int | bool, ...]
    passed: int
    output_shape: torch.Size
    weights_shape: torch.Size | None
    steps: list[Any]
    found: list[Found]


class Moving(NamedTuple):
    """What `backward_tangent` needs; t_inputs: of q, k and v, the change of what each is made of."""

    t_inputs: list[Tensor | None]
    moved: Moved
    t_by_out_proj: Any


class MultiheadAttention(Module):
    """Let each query average values, weighed by how much it agrees with their keys, in several heads side by side.

    Forward:   q = query @ W_q.T + b_q;  k = key @ W_k.T + b_k;  v = value @ W_v.T + b_v, each cut into heads
               s = q @ k.T / sqrt(head_dim) + masks;  w = dropout(softmax(s) over the keys);  o = w @ v
               attn_output = (heads of o side by side) @ W_out.T + b_out;  attn_weights = w, or its average over heads
    Backward:  d_o = d_attn_output @ W_out, cut into heads;  d_v = w.T @ d_o;  d_w = d_o @ v.T + d_attn_weights
               d_s = softmax(s) * (d_p - sum of d_p * softmax(s)), where d_p is d_w behind the dropout
               d_q = d_s @ k / sqrt(head_dim);  d_k = d_s.T @ q / sqrt(head_dim)
               d_query = d_q @ W_q, d_W_q = sum of outer(d_q, query), d_b_q = sum of d_q; so for key and value
    Kernel:    aten._scaled_dot_product_flash_attention_for_cpu and its backward, on the CPU where neither weights nor
               dropout are wanted: they hold no matrix of weights
    Shapes:    query, attn_output: (queries, batch, embed_dim);  key: (keys, batch, kdim);  value: (keys, batch, vdim);
               with batch_first the batch comes first; all without a batch axis, too;
               attn_weights: (batch, queries, keys), (batch, heads, queries, keys) if they are not averaged, None if
               need_weights is False;  attn_mask: (queries, keys) or (batch * heads, queries, keys);
               key_padding_mask: (batch, keys);  in_proj_weight: W_q, W_k, W_v one below the other
    Masks:     Boolean, True where not allowed, or numbers to add to s;  is_causal hides the keys after the
               query's own position, whatever attn_mask is.  A query whose keys are all hidden has weights 0 and o = 0
    Inputs:    key and value may be left out: they are query and key then, and their gradients are part of its
    Raises:    ShapeError for inputs, masks or upstream gradients of other shapes;  DtypeError for another dtype than
               that of the parameters, or masks of whole numbers;  ArgumentError for arguments that do not fit, or for
               weights that have no room in memory
    Initial:   matrices uniform within sqrt(6 / (n_in + n_out)), biases 0, bias_k and bias_v normal with the variance
               2 / (n_in + n_out), out_proj.weight as in Linear: as torch.nn.MultiheadAttention draws them
    Source:    Vaswani et al. 2017, "Attention is all you need"

    With add_bias_kv, there is one key and value more, both learned; with add_zero_attn one more that are 0.

    Example:
        >>> attention = MultiheadAttention(4, num_heads=2, batch_first=True)
        >>> (y, weights), saved = attention.forward(torch.randn(5, 3, 4), is_causal=True)
        >>> y.shape, weights[0, 0]
        (torch.Size([5, 3, 4]), tensor([1., 0., 0.]))
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"embed_dim": 4, "num_heads": 2},
        "inputs": [(3, 2, 4), (3, 2, 4), (3, 2, 4)],
        "tags": ("sequence_first", "fixed_dimensions"),
    }

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias, add_bias_kv=add_bias_kv, add_zero_attn=add_zero_attn, batch_first=batch_first)
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        sizes = {"embed_dim": embed_dim, "num_heads": num_heads, "kdim": self.kdim, "vdim": self.vdim}
        for name, size in sizes.items():
            require_whole(self, name, size, 1)
        if embed_dim % num_heads:
            raise ArgumentError(f"MultiheadAttention: num_heads must divide embed_dim, {embed_dim}, got {num_heads}")
        require_range(self, "dropout", dropout, 0, 1)
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first

        def made(name: str, *shape: int) -> Parameter:
            return Parameter(empty(self, name, shape, device, dtype))

        together = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = made("in_proj_weight", 3 * embed_dim, embed_dim) if together else None
        self.q_proj_weight = None if together else made("q_proj_weight", embed_dim, embed_dim)
        self.k_proj_weight = None if together else made("k_proj_weight", embed_dim, self.kdim)
        self.v_proj_weight = None if together else made("v_proj_weight", embed_dim, self.vdim)
        self.in_proj_bias = made("in_proj_bias", 3 * embed_dim) if bias else None
        self.bias_k = made("bias_k", 1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = made("bias_v", 1, 1, embed_dim) if add_bias_kv else None
        self.dropout = Dropout(dropout)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new projections and extra keys, but not out_proj.weight, and set the biases to 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight.value, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias.value)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra.value, generator=generator)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[tuple[Tensor, Tensor | None], Saved]:
        sources, passed = self._sources(query, key, value)
        require_flags(self, need_weights=need_weights, average_attn_weights=average_attn_weights, is_causal=is_causal)
        q, k, v = self._projected(sources)
        unmasked = attn_mask is None and key_padding_mask is None and self._extra == 0
        kernel = not need_weights and not self._drops and has_kernel(q, k, unmasked)
        mask = merged_mask(
            self,
            Sizes(q.shape[0], q.shape[1], q.shape[2], k.shape[2]),
            q,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal and not (kernel and unmasked),  # the kernel looks at half of the keys if it knows
            batched=query.dim() == 3,
            visible=self._extra,
        )
        k, v = (
            self._with_extra(heads, None if learned is None else learned.value)
            for heads, learned in ((k, self.bias_k), (v, self.bias_v))
        )
        if not kernel:
            shape = (*q.shape[:3], k.shape[2])
            require_room(self, "attn_weights", shape, q, "take shorter sequences, or pass need_weights=False")
        o, attention = attend(q, k, v, mask, is_causal and unmasked) if kernel else weigh(q, k, v, mask, self.dropout)
        attn_output, by_out_proj = self.out_proj.forward(self._side_by_side(o).reshape(query.shape))
        attn_weights = None
        if need_weights and isinstance(attention, Weighed):
            attn_weights = attention.kept.mean(1) if average_attn_weights else attention.kept
            attn_weights = attn_weights if query.dim() == 3 else attn_weights.squeeze(0)
        shapes = attn_output.shape, None if attn_weights is None else attn_weights.shape
        return (attn_output, attn_weights), Saved(self._layout, passed, *shapes, [sources, attention, by_out_proj], [])

    def backward(
        self, d_output: tuple[Tensor | None, Tensor | None], saved: Saved
    ) -> Tensor | tuple[Tensor, ...] | None:
        self._require_own(saved)
        d_attn_output, d_weights = self._upstream(d_output, saved)
        d_o = self._backward_of_out_proj(d_attn_output, saved)
        del d_attn_output
        d_projected: Iterable[Tensor]
        if saved.found and saved.found[-1].d_output is d_output:
            _, d_learned, d_projected = saved.found.pop()
            saved.steps.pop()
            self._accumulate_learned(d_learned)
        else:
            if isinstance(saved.steps[-1], Attended):
                found = attend_backward(d_o, saved.steps.pop())
            else:
                found = weigh_backward(d_o, d_weights, saved.steps.pop(), self.dropout)
            gradients = [*self._without_extra(*found)]
            del found
            d_projected = self._of_projections(gradients, saved.steps[0])
        del d_o
        d_inputs = self._backward_of_projections(d_projected, saved)
        if not self.input_grad:
            return None
        if len(saved.output_shape) == 2:
            d_inputs = [d_x.squeeze(self._batch_axis) for d_x in d_inputs]
        return tuple(d_inputs) if len(d_inputs) > 1 else d_inputs[0]

    def tangent(self, t_input: Any, saved: Saved, along: Directions) -> tuple[tuple[Tensor, Tensor | None], Moving]:
        sources, attention, by_out_proj = saved.steps
        t_inputs = self._moved_sources(t_input, saved)
        t_q, t_k, t_v = self._moved_projections(t_inputs, sources, along)
        t_k, t_v = self._with_extra(t_k, along[self.bias_k]), self._with_extra(t_v, along[self.bias_v])
        t_o, moved = attention_tangent(t_q, t_k, t_v, attention, self.dropout, along)
        t_rows = self._side_by_side(t_o).reshape(saved.output_shape)
        t_attn_output, t_by_out_proj = self.out_proj.tangent(t_rows, by_out_proj, along)
        t_attn_weights = None
        if saved.weights_shape is not None:
            averaged = len(saved.weights_shape) == len(saved.output_shape)
            t_attn_weights = (moved.t_kept.mean(1) if averaged else moved.t_kept).reshape(saved.weights_shape)
        return (t_attn_output, t_attn_weights), Moving(t_inputs, moved, t_by_out_proj)

    def backward_tangent(
        self, d_output: Any, t_d_output: Any, saved: Saved, t_saved: Moving, along: Directions
    ) -> tuple[Any, Any]:
        by_out_proj = saved.steps[2]
        t_inputs, moved, t_by_out_proj = t_saved
        d_attn_output, d_weights = self._upstream(d_output, saved)
        t_d_attn_output, t_d_weights = self._upstream(t_d_output, saved)
        of_rows = self.out_proj.backward_tangent(d_attn_output, t_d_attn_output, by_out_proj, t_by_out_proj, along)
        d_o, t_d_o = (self._in_heads(d_rows, saved) for d_rows in of_rows)
        of_weights = None if d_weights is None or t_d_weights is None else (d_weights, t_d_weights)
        gradients, changes = attention_backward_tangent((d_o, t_d_o), of_weights, moved, self.dropout, along)
        return self._backward_tangent_of_projections(
            self._of_inputs(*gradients), self._without_extra(*changes), saved, t_inputs, along
        )

    def sample_gradients(self, d_output: Any, saved: Saved, axis: int) -> dict[str, SampleGradients]:  # noqa: ARG002
        d_attn_output, d_weights = self._upstream(d_output, saved)
        sources, attention, _ = saved.steps
        d_o = self._in_heads(d_attn_output @ self.out_proj.weight.value, saved)
        if isinstance(attention, Attended):
            gradients = [*attend_backward(d_o, attention)]
        else:
            gradients = [*weigh_backward(d_o, d_weights, attention, self.dropout)]
        d_learned = self._of_learned(*gradients[1:])
        gradients[:] = self._of_inputs(*gradients)
        d_projected = list(self._of_projections(gradients, sources))
        saved.found[:] = [Found(d_output, d_learned, d_projected)]
        stated: dict[str, SampleGradients] = {}
        for name, d_heads in zip(("bias_k", "bias_v"), d_learned, strict=False):
            stated[name] = EachSample(d_heads.reshape(-1, 1, 1, self.embed_dim))
        return stated | self._samples_of_projections(d_projected, sources)

    def _samples_of_projections(self, d_projected: list[Tensor], sources: list[Source]) -> dict[str, SampleGradients]:
        """The gradients of single samples of the projections of q, k and v."""
        products, d_biases = [], []
        for (x, _, _), d_y in zip(sources, d_projected, strict=True):
            rows, d_rows = (x, d_y) if self.batch_first else (x.transpose(0, 1), d_y.transpose(0, 1))
            products.append(OuterProducts(d_rows, rows, (d_rows.shape[2], rows.shape[2])))
            d_biases.append(d_rows.sum(1))
        stated: dict[str, SampleGradients] = {}
        if self.in_proj_weight is None:
            stated |= zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), products, strict=True)
        else:
            stacked = Stacked(tuple(products), tuple(self.in_proj_weight.value.shape))
            stated["in_proj_weight"] = stacked if len(products) > 1 else products[0]
        if self.in_proj_bias is not None:
            stated["in_proj_bias"] = EachSample(torch.cat(d_biases, 1) if len(d_biases) > 1 else d_biases[0])
        return stated

    def forward_details(
        self,
        inputs: Mapping[str, Any],  # noqa: ARG002 - what was attended to is saved
        output: Any,  # noqa: ARG002
        saved: Saved,
    ) -> Iterable[Detail]:
        attention = saved.steps[1]
        if attention.q.numel() and attention.k.numel():
            weights = weights_of_first(attention).float()
            title, axes = "attention weights of the first sequence", ("head", "query step", "key step")
            yield Detail(title, weights, axes, text=most_looked_at(weights))

    # The projections

    def _sources(self, query: Tensor, key: Tensor | None, value: Tensor | None) -> tuple[list[Source], int]:
        """What is to be projected, a tensor that comes several times in one product; how many inputs were passed."""
        if key is None and value is not None:
            raise ArgumentError("MultiheadAttention: key must be given with value, got None")
        passed = 1 + (key is not None) + (value is not None)
        key = query if key is None else key
        value = key if value is None else value
        self._require_inputs(query, key, value)
        sources = [Source(query, 0, 1)]
        for number, x in ((1, key), (2, value)):
            last = sources[-1]
            if x is last.x and self.in_proj_weight is not None:
                sources[-1] = Source(x, last.start, number + 1)
            else:
                sources.append(Source(x, number, number + 1))
        if query.dim() == 2:
            sources = [source._replace(x=source.x.unsqueeze(self._batch_axis)) for source in sources]
        return sources, passed

    def _projected(self, sources: list[Source]) -> list[Tensor]:
        """q, k and v, cut into heads."""
        heads: list[Tensor] = []
        for x, start, stop in sources:
            y = F.linear(x, self._weight(start, stop), self._bias(start, stop))
            parts = y.reshape(*x.shape[:2], stop - start, self.num_heads, self.head_dim)
            heads += [self._cut(part) for part in parts.unbind(2)]
        return heads

    def _of_projections(self, gradients: list[Tensor], sources: list[Source]) -> Iterator[Tensor]:
        """By source, the gradients of what is projected from it, side by side; takes them from the list as it goes."""
        for x, start, stop in sources:  # no name keeps what is yielded, or what it is made of
            yield torch.stack([self._side_by_side(gradients.pop(0)) for _ in range(start, stop)], 2).reshape(
                *x.shape[:2], (stop - start) * self.embed_dim
            )

    def _backward_of_projections(self, d_projected: Iterable[Tensor], saved: Saved) -> list[Tensor]:
        """Accumulate the gradients of the projections; return that of each input, with a batch axis."""
        size = self.embed_dim
        d_weights: list[Tensor | None] = []
        d_biases: list[Tensor | None] = []
        d_inputs: list[Tensor] = []
        of_bias = self.in_proj_bias is not None and self.in_proj_bias.trainable
        groups = list(pairwise(GROUPS[saved.passed]))
        for (x, start, stop), d_y in zip(saved.steps.pop(), d_projected, strict=True):
            rows = x.shape[0] * x.shape[1]
            d_y = d_y.reshape(rows, (stop - start) * size)
            weight = self._separate[start] if self.in_proj_weight is None else self.in_proj_weight
            d_weights.append(d_y.T.mm(x.reshape(rows, x.shape[2])) if weight.trainable else None)
            d_biases.append(d_y.sum(0) if of_bias else None)
            for number, group in enumerate(groups if self.input_grad else ()):
                low, high = max(group[0], start), min(group[1], stop)
                if low >= high:
                    continue
                d_x = d_y[:, (low - start) * size : (high - start) * size].mm(self._weight(low, high)).view(x.shape)
                if number == len(d_inputs):
                    d_inputs.append(d_x)
                else:
                    d_inputs[number] = d_inputs[number] + d_x
        self._accumulate(d_weights, d_biases)
        return d_inputs

    def _accumulate(self, d_weights: Sequence[Tensor | None], d_biases: Sequence[Tensor | None]) -> None:
        """Add the gradients of the projections, one below the other; None where they are not trained."""
        for parameter, gradients in ((self.in_proj_weight, d_weights), (self.in_proj_bias, d_biases)):
            parts = [each for each in gradients if each is not None]
            if parameter is not None and parts:
                parameter.accumulate(torch.cat(parts) if len(parts) > 1 else parts[0])
        separate = self._separate
        for weight, d_weight in zip(separate, d_weights if separate else (), strict=True):
            if d_weight is not None:
                weight.accumulate(d_weight)

    def _weight(self, start: int, stop: int) -> Tensor:
        """The matrices of some of the projections, one below the other."""
        if self.in_proj_weight is None:
            return self._separate[start].value
        return self.in_proj_weight.value[start * self.embed_dim : stop * self.embed_dim]

    def _bias(self, start: int, stop: int) -> Tensor | None:
        if self.in_proj_bias is None:
            return None
        return self.in_proj_bias.value[start * self.embed_dim : stop * self.embed_dim]

    @property
    def _separate(self) -> list[Parameter]:
        """The matrices of q, k and v, where they are not held in one."""
        weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        return [weight for weight in weights if weight is not None]

    # How the projections change: each of q, k and v by itself

    def _moved_sources(self, t_input: Any, saved: Saved) -> list[Tensor | None]:
        """Of q, k and v, the change of what each is made of, with a batch axis."""
        given = (t_input,) * saved.passed if t_input is None or saved.passed == 1 else t_input
        if len(saved.output_shape) == 2:
            given = [None if t_x is None else t_x.unsqueeze(self._batch_axis) for t_x in given]
        groups = pairwise(GROUPS[saved.passed])
        return [t_x for t_x, (start, stop) in zip(given, groups, strict=True) for _ in range(start, stop)]

    def _moved_projections(
        self, t_inputs: list[Tensor | None], sources: list[Source], along: Directions
    ) -> list[Tensor]:
        """The changes of q, k and v, cut into heads."""
        t_weights, t_biases = self._moved_parameters(along)
        heads = []
        for number, (x, t_x) in enumerate(zip(_of_each(sources), t_inputs, strict=True)):
            t_y = F.linear(x, t_weights[number], t_biases[number])
            if t_x is not None:
                t_y = t_y + F.linear(t_x, self._weight(number, number + 1))
            heads.append(self._cut(t_y.reshape(*x.shape[:2], self.num_heads, self.head_dim)))
        return heads

    def _backward_tangent_of_projections(
        self, gradients: Gradients, changes: Gradients, saved: Saved, t_inputs: list[Tensor | None], along: Directions
    ) -> tuple[Any, Any]:
        """The gradients of the inputs, and their changes; adds the changes of those of the projections."""
        t_weights, _ = self._moved_parameters(along)
        t_d_weights, t_d_biases, of_each = [], [], []
        for number, (x, t_x) in enumerate(zip(_of_each(saved.steps[0]), t_inputs, strict=True)):
            d_y, t_d_y = (self._side_by_side(each[number]).flatten(2) for each in (gradients, changes))
            t_d_weight = d_y.new_zeros(t_weights[number].shape) if t_x is None else _product(d_y, t_x)
            t_d_weights.append(t_d_weight + _product(t_d_y, x))
            t_d_biases.append(t_d_y.sum((0, 1)))
            weight = self._weight(number, number + 1)
            of_each.append((d_y @ weight, t_d_y @ weight + d_y @ t_weights[number]))
        self._accumulate(t_d_weights, t_d_biases)
        if not self.input_grad:
            return None, None
        return self._summed([d_x for d_x, _ in of_each], saved), self._summed([t_d_x for _, t_d_x in of_each], saved)

    def _moved_parameters(self, along: Directions) -> tuple[Sequence[Tensor], Sequence[Tensor | None]]:
        """The directions of the matrices and of the biases of q, k and v."""
        together, biases = along[self.in_proj_weight], along[self.in_proj_bias]
        t_weights = [along[each] for each in self._separate] if together is None else together.split(self.embed_dim)
        return t_weights, [None] * 3 if biases is None else biases.split(self.embed_dim)

    def _summed(self, d_sources: list[Tensor], saved: Saved) -> Any:
        """The gradients of the inputs, from those of what q, k and v are each made of."""
        d_inputs = [
            sum(d_sources[start + 1 : stop], d_sources[start]) for start, stop in pairwise(GROUPS[saved.passed])
        ]
        if len(saved.output_shape) == 2:
            d_inputs = [d_x.squeeze(self._batch_axis) for d_x in d_inputs]
        return tuple(d_inputs) if len(d_inputs) > 1 else d_inputs[0]

    # The heads

    def _backward_of_out_proj(self, d_attn_output: Tensor, saved: Saved) -> Tensor:
        """d_o, cut into heads."""
        return self._in_heads(self.out_proj.backward(d_attn_output, saved.steps.pop()), saved)

    def _in_heads(self, d_rows: Any, saved: Saved) -> Tensor:
        if len(saved.output_shape) == 2:
            d_rows = d_rows.unsqueeze(self._batch_axis)
        return self._cut(d_rows.reshape(*d_rows.shape[:2], self.num_heads, self.head_dim))

    @property
    def _batch_axis(self) -> int:
        return 0 if self.batch_first else 1

    def _cut(self, x: Tensor) -> Tensor:
        """(batch, heads, length, head_dim) of (length, batch, heads, head_dim), or of what begins with the batch."""
        return x.transpose(1, 2) if self.batch_first else x.permute(1, 2, 0, 3)

    def _side_by_side(self, heads: Tensor) -> Tensor:
        """The inverse of `_cut`."""
        return heads.transpose(1, 2) if self.batch_first else heads.permute(2, 0, 1, 3)

    # Keys and values that are not of the input

    @property
    def _extra(self) -> int:
        """How many there are."""
        return (self.bias_k is not None) + bool(self.add_zero_attn)

    def _with_extra(self, k: Tensor, learned: Tensor | None) -> Tensor:
        """Keys or values with the learned one and the zero behind them."""
        if self._extra == 0:
            return k
        shape = k.shape[0], self.num_heads, 1, self.head_dim
        parts = [k]
        if learned is not None:
            parts.append(learned.reshape(1, *shape[1:]).expand(shape))
        if self.add_zero_attn:
            parts.append(k.new_zeros(shape))
        return torch.cat(parts, 2)

    @property
    def _learned(self) -> list[Parameter]:
        return [learned for learned in (self.bias_k, self.bias_v) if learned is not None]

    def _without_extra(self, d_q: Tensor, d_k: Tensor, d_v: Tensor) -> Gradients:
        """The gradients of those of the input; those of the learned ones are accumulated."""
        self._accumulate_learned(self._of_learned(d_k, d_v))
        return self._of_inputs(d_q, d_k, d_v)

    def _of_inputs(self, d_q: Tensor, d_k: Tensor, d_v: Tensor) -> Gradients:
        """The gradients of the keys and values that are made of the input."""
        if self._extra == 0:
            return d_q, d_k, d_v
        keys = d_k.shape[2] - self._extra
        return d_q, d_k[:, :, :keys], d_v[:, :, :keys]

    def _of_learned(self, d_k: Tensor, d_v: Tensor) -> list[Tensor]:
        """The gradients of the learned key and value, if there are any, of each sample: (batch, heads, head_dim)."""
        keys = d_k.shape[2] - self._extra
        return [] if self.bias_k is None else [d_k[:, :, keys], d_v[:, :, keys]]

    def _accumulate_learned(self, d_learned: list[Tensor]) -> None:
        for learned, d_heads in zip(self._learned, d_learned, strict=True):
            if learned.trainable:
                learned.accumulate(d_heads.sum(0).reshape(1, 1, self.embed_dim))

    # What is refused

    @property
    def _drops(self) -> bool:
        return self.dropout.training and self.dropout.p > 0

    @property
    def _layout(self) -> tuple[int | bool, ...]:
        """What tells whether a saved value can be of this layer."""
        sizes = self.embed_dim, self.num_heads, self.kdim, self.vdim
        return (*sizes, self.bias_k is not None, bool(self.add_zero_attn), bool(self.batch_first))

    def _require_own(self, saved: Any) -> None:
        """Raise ArgumentError unless `saved` is of a layer with the same arguments."""
        require_saved(self, saved, Saved)
        if saved.layout != self._layout:
            names = "embed_dim, num_heads, kdim, vdim, add_bias_kv, add_zero_attn, batch_first"
            raise ArgumentError(
                f"MultiheadAttention: saved must be that of a layer with the same {names}, {self._layout}, got "
                f"{saved.layout}; give each backward the saved value of its own forward"
            )
        if len(saved.steps) != 3:
            raise StateError(
                "MultiheadAttention: saved must be that of a forward that no backward has answered, got one that was "
                "used; a saved value is good for one backward: call forward again"
            )

    def _require_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        weight = self.out_proj.weight.value
        sizes = {"query": (query, self.embed_dim), "key": (key, self.kdim), "value": (value, self.vdim)}
        for name, (x, features) in sizes.items():
            require_dimensions(self, x, 2, 3, name=name)
            require_last_axis(self, x, features, name)
            require_like(self, x, weight, name)
        if query.dim() != key.dim() or (query.dim() == 3 and self._batch_of(query) != self._batch_of(key)):
            raise ShapeError(
                f"MultiheadAttention: key must have the batch of query, {tuple(query.shape)} with the batch as axis "
                f"{self._batch_axis}, got {tuple(key.shape)}"
            )
        if value.shape[:-1] != key.shape[:-1]:
            raise ShapeError(
                f"MultiheadAttention: value must have the length and batch of key, {tuple(key.shape)}, got "
                f"{tuple(value.shape)}"
            )

    def _batch_of(self, x: Tensor) -> int:
        return x.shape[self._batch_axis]

    def _upstream(self, d_output: Any, saved: Saved) -> tuple[Tensor, Tensor | None]:
        """The gradients of attn_output, and of the weights of each head, or something that broadcasts to it."""
        if not isinstance(d_output, tuple) or len(d_output) != 2:
            raise ShapeError(
                "MultiheadAttention: d_output must be a tuple of two, the gradients of attn_output and attn_weights, "
                f"got {kind_of(d_output)}; write (d_attn_output, None) where the weights were not used"
            )
        weight = self.out_proj.weight.value
        d_attn_output, d_attn_weights = d_output
        if d_attn_output is None:
            d_attn_output = weight.new_zeros(saved.output_shape)
        require_upstream(self, d_attn_output, saved.output_shape, "d_attn_output")
        require_like(self, d_attn_output, weight, "d_attn_output")
        if d_attn_weights is None:
            return d_attn_output, None
        if saved.weights_shape is None:
            raise ArgumentError("MultiheadAttention: d_attn_weights must be None without need_weights, got a gradient")
        require_upstream(self, d_attn_weights, saved.weights_shape, "d_attn_weights")
        require_like(self, d_attn_weights, weight, "d_attn_weights")
        batched = d_attn_weights if len(saved.output_shape) == 3 else d_attn_weights.unsqueeze(0)
        return d_attn_output, batched if batched.dim() == 4 else batched.unsqueeze(1) / self.num_heads


def _of_each(sources: list[Source]) -> list[Tensor]:
    """What q, k and v are each made of."""
    return [x for x, start, stop in sources for _ in range(start, stop)]


def _product(d_y: Tensor, x: Tensor) -> Tensor:
    """The gradient of a matrix: the sum of outer(d_y, x) over two axes."""
    return d_y.flatten(0, 1).T @ x.flatten(0, 1)
