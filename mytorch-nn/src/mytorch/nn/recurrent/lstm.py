"""Long short-term memory: the layer and its cell."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, require_whole
from mytorch.nn.recurrent import _lstm_kernel as kernel
from mytorch.nn.recurrent._cell import Cell
from mytorch.nn.recurrent._layer import Recurrent
from mytorch.nn.recurrent._unroll import Moment, Pulled, State, Step, unroll

aten = torch.ops.aten


class LongShortTerm(Step):
    """c = f * c_before + i * g;  h = o * tanh(c), with the gates i, f, g and o in this order.

    Of the gates, i, f and g act on c, and o on h, so that with d_c, which has what h gives to it, their gradients are
    d_c and d_h times a slope each. Where there is a projection, weight_hr stands between o * tanh(c) and h.
    """

    gates = 4
    states = ("h", "c")

    def forward(self, a: Tensor, before: State) -> tuple[State, State]:
        h_before, c_before = before
        i, f, g, o = torch.addmm(a, h_before, self.weight_hh.t()).chunk(4, 1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = torch.addcmul(f * c_before, i, g)
        tanh_c = c.tanh()
        h = o * tanh_c
        if self.weight_hr is not None:
            h = F.linear(h, self.weight_hr)
        return (h, c), (c_before, i, f, g, o, tanh_c)

    def gates_of(self, kept: State) -> dict[str, Tensor]:
        c_before, i, f, g, o, _ = kept
        return {"i": i, "f": f, "g": g, "o": o, "c": f * c_before + i * g}

    def slopes(self, h: Tensor, kept: State) -> tuple[State, State]:
        c_before, i, f, g, o, tanh_c = kept
        e = i.new_empty(len(i), 4, i.shape[1])
        e_i, e_f, e_g, e_o = e.unbind(1)
        aten.sigmoid_backward(g, i, grad_input=e_i)  # g * i * (1 - i)
        aten.sigmoid_backward(c_before, f, grad_input=e_f)
        aten.tanh_backward(i, g, grad_input=e_g)  # i * (1 - g^2)
        aten.sigmoid_backward(tanh_c, o, grad_input=e_o)
        projected = () if self.weight_hr is None else (torch.empty_like(h), o * tanh_c)
        return (e.flatten(1), e[:, :3], e_o, *projected), (aten.tanh_backward(o, tanh_c), f)

    def backward(self, d_state: State, gradients: State, factors: State) -> State:
        (d_h, d_c), (_, e_of_c, e_o, *projected), (c_by_h, _) = d_state, gradients, factors
        if self.weight_hr is not None:
            projected[0].copy_(d_h)
            d_h = d_h.mm(self.weight_hr)
        d_c = torch.addcmul(d_c, d_h, c_by_h)
        e_of_c.mul_(d_c.unsqueeze(1))
        e_o.mul_(d_h)
        return d_h, d_c

    def before(self, d_state: State, gradients: State, factors: State) -> State:
        (_, d_c), (_, f) = d_state, factors
        return gradients[0].mm(self.weight_hh), d_c * f

    def finish(self, gradients: State) -> Tensor:
        if self.weights.weight_hr is not None:
            *_, d_h, before_projection = gradients
            self.add(self.weights.weight_hr, None, d_h, before_projection)
        return gradients[0]

    def tangent(self, t_a: Tensor, t_b: Tensor, t_before: State, now: Moment, moved: Step) -> tuple[State, State]:
        (c_before, i, f, g, o, tanh_c), (_, t_c_before) = now.kept, t_before
        t_i, t_f, t_g, t_o = (t_a + t_b).chunk(4, 1)
        t_i, t_f, t_g, t_o = i * (1 - i) * t_i, f * (1 - f) * t_f, (1 - g * g) * t_g, o * (1 - o) * t_o
        t_c = t_f * c_before + f * t_c_before + t_i * g + i * t_g
        t_tanh_c = (1 - tanh_c * tanh_c) * t_c
        t_h = t_o * tanh_c + o * t_tanh_c
        if self.weight_hr is not None and moved.weight_hr is not None:
            t_h = F.linear(t_h, self.weight_hr) + F.linear(o * tanh_c, moved.weight_hr)
        return (t_h, t_c), (t_c_before, t_i, t_f, t_g, t_o, t_tanh_c)

    def backward_tangent(
        self, d_state: State, t_d_state: State, now: Moment, t_now: Moment, moved: Step
    ) -> tuple[Pulled, Pulled]:
        """The products of `slopes` and `backward`, and what each of their factors changes in them."""
        (d_h, d_c), (t_d_h, t_d_c) = d_state, t_d_state
        c_before, i, f, g, o, tanh_c = now.kept
        t_c_before, t_i, t_f, t_g, t_o, t_tanh_c = t_now.kept
        if self.weights.weight_hr is not None and self.weight_hr is not None and moved.weight_hr is not None:
            self.add(self.weights.weight_hr, None, t_d_h, o * tanh_c)
            self.add(self.weights.weight_hr, None, d_h, t_o * tanh_c + o * t_tanh_c)
            d_h, t_d_h = d_h @ self.weight_hr, t_d_h @ self.weight_hr + d_h @ moved.weight_hr
        by_c, t_by_c = o * (1 - tanh_c * tanh_c), t_o * (1 - tanh_c * tanh_c) - 2 * o * tanh_c * t_tanh_c
        d_c, t_d_c = d_c + d_h * by_c, t_d_c + t_d_h * by_c + d_h * t_by_c
        by_i, t_by_i = g * i * (1 - i), t_g * i * (1 - i) + g * (1 - 2 * i) * t_i
        by_f, t_by_f = c_before * f * (1 - f), t_c_before * f * (1 - f) + c_before * (1 - 2 * f) * t_f
        by_g, t_by_g = i * (1 - g * g), t_i * (1 - g * g) - 2 * i * g * t_g
        by_o, t_by_o = tanh_c * o * (1 - o), t_tanh_c * o * (1 - o) + tanh_c * (1 - 2 * o) * t_o

        def pulled(d_c: Tensor, d_h: Tensor, *slopes: Tensor) -> Tensor:
            return torch.cat([d * slope for d, slope in zip((d_c, d_c, d_c, d_h), slopes, strict=True)], 1)

        e = pulled(d_c, d_h, by_i, by_f, by_g, by_o)
        t_e = pulled(t_d_c, t_d_h, by_i, by_f, by_g, by_o) + pulled(d_c, d_h, t_by_i, t_by_f, t_by_g, t_by_o)
        return Pulled(e, e, (0, d_c * f)), Pulled(t_e, t_e, (0, t_d_c * f + d_c * t_f))


class LSTMCell(Cell):
    """One step of long short-term memory: gates decide what its memory c keeps, what it adds, and what it shows as h.

    Forward:   i = sigmoid(input @ w_ii.T + b_ii + h_0 @ w_hi.T + b_hi);  f and o likewise;  g likewise, with tanh
               c = f * c_0 + i * g;  h = o * tanh(c), with (h_0, c_0) = hx, or 0
               weight_ih = w_ii, w_if, w_ig, w_io, one below the other; weight_hh, bias_ih and bias_hh likewise
    Backward:  d_cell = d_c + d_h * o * (1 - tanh(c)^2), and with e = d_cell * g * i * (1 - i),
               d_cell * c_0 * f * (1 - f), d_cell * i * (1 - g^2), d_h * tanh(c) * o * (1 - o), side by side:
               d_input = e @ weight_ih;  d_h_0 = e @ weight_hh;  d_c_0 = d_cell * f
               d_weight_ih = e.T @ input;  d_weight_hh = e.T @ h_0;  d_bias_ih = d_bias_hh = sum(e) over the batch
    Shapes:    input: (batch, input_size) or (input_size,);  hx: (h_0, c_0);  output: (h, c);
               h_0, c_0, h, c: (batch, hidden_size) or (hidden_size,);
               weight_ih: (4 * hidden_size, input_size);  weight_hh: (4 * hidden_size, hidden_size);
               bias_ih, bias_hh: (4 * hidden_size,), or None without them
    Raises:    ShapeError for other shapes, or if a gradient has not the shape of its output;  DtypeError for another
               dtype than that of the weights;  ArgumentError for sizes below 1, a dtype that is not floating point, or
               hx that is no tuple of two, or for weights that have no room in memory
    Initial:   uniform within 1 / sqrt(hidden_size), as torch.nn.LSTMCell draws them
    Source:    Hochreiter and Schmidhuber 1997, "Long short-term memory"; f: Gers et al. 2000, "Learning to forget:
               continual prediction with LSTM"

    Example:
        >>> cell, state = LSTMCell(3, 4), None
        >>> for x in torch.zeros(5, 2, 3):
        ...     state = cell(x, state)
        >>> h, c = state
        >>> h.shape
        torch.Size([2, 4])
    """

    conformance: ClassVar[dict[str, Any]] = Cell.conformance | {"inputs": [(5, 3), ((5, 4), (5, 4))]}

    kind = LongShortTerm

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._build(input_size, hidden_size, bias, device, dtype)


class LSTM(Recurrent):
    """Read sequences step by step, with a memory c of which gates decide what it keeps, adds and shows as h.

    Forward:   i_t = sigmoid(input_t @ w_ii.T + b_ii + h_(t-1) @ w_hi.T + b_hi);  f_t and o_t likewise;
               g_t likewise, with tanh;  c_t = f_t * c_(t-1) + i_t * g_t;  h_t = o_t * tanh(c_t)
               with (h_0, c_0) = hx, or 0;  with proj_size, h_t = (o_t * tanh(c_t)) @ weight_hr.T
               y = all h_t;  h_n, c_n = the last h_t and c_t
               The second direction reads from the last step to the first, and y has both side by side. The next layer
               reads y of the one before; in training, dropout sets numbers of it to 0.
    Backward:  from the last step to the first: d_h_t = d_y_t + e_(t+1) @ weight_hh, at the end + d_h_n;
               d_c_t = d_c_(t+1) * f_(t+1) + d_h_t * o_t * (1 - tanh(c_t)^2), at the end + d_c_n
               e_t = d_c_t * g_t * i_t * (1 - i_t), d_c_t * c_(t-1) * f_t * (1 - f_t), d_c_t * i_t * (1 - g_t^2),
               d_h_t * tanh(c_t) * o_t * (1 - o_t), side by side;  d_input_t = e_t @ weight_ih
               d_weight_ih = sum of e_t.T @ input_t;  d_weight_hh = sum of e_t.T @ h_(t-1);
               d_bias_ih = d_bias_hh = sum of e_t: sums over steps and batch
               with proj_size, d_weight_hr = sum of d_h_t.T @ (o_t * tanh(c_t)), and d_h_t @ weight_hr stands for d_h_t
    Kernel:    in float32 on the CPU aten.mkldnn_rnn_layer and its backward, where neither a projection, nor sequences
               of different lengths, nor torch.compile forbids it
    Shapes:    input: (steps, batch, input_size), or (batch, steps, input_size) with batch_first, or
               (steps, input_size);  y: the same with directions * (proj_size or hidden_size);  hx: (h_0, c_0);
               output: (y, (h_n, c_n));  h_0, h_n: (num_layers * directions, batch, proj_size or hidden_size);
               c_0, c_n: (num_layers * directions, batch, hidden_size), without batch where input has none;
               weight_ih_l0 = w_ii, w_if, w_ig, w_io, one below the other: (4 * hidden_size, input_size), of later
               layers (4 * hidden_size, directions * (proj_size or hidden_size));
               weight_hh_l0: (4 * hidden_size, proj_size or hidden_size);  bias_ih_l0, bias_hh_l0: (4 * hidden_size,);
               weight_hr_l0: (proj_size, hidden_size)
               A PackedSequence in place of input gives one in place of y, and its gradient is one, too.
    Raises:    ShapeError for other shapes, for no step at all, or if a gradient has not the shape of its output;
               DtypeError for another dtype than that of the weights;  ArgumentError for sizes or num_layers below 1,
               proj_size not below hidden_size, dropout outside 0 to 1, hx that is no tuple of two, or the saved value
               of a layer with other sizes, or for weights that have no room in memory
    Initial:   uniform within 1 / sqrt(hidden_size), as torch.nn.LSTM draws them
    Random:    with dropout between layers, one draw a number from torch's generator; the draws are those of torch.nn
    Source:    Hochreiter and Schmidhuber 1997, "Long short-term memory"; f: Gers et al. 2000, "Learning to forget:
               continual prediction with LSTM"; weight_hr: Sak et al. 2014, "Long short-term memory recurrent neural
               network architectures for large scale acoustic modeling"

    Example:
        >>> y, (h_n, c_n) = LSTM(3, 4, num_layers=2, batch_first=True)(torch.zeros(2, 6, 3))
        >>> y.shape, h_n.shape, c_n.shape
        (torch.Size([2, 6, 4]), torch.Size([2, 2, 4]), torch.Size([2, 2, 4]))
    """

    conformance: ClassVar[dict[str, Any]] = Recurrent.conformance | {"inputs": [(5, 2, 3), ((4, 2, 4), (4, 2, 4))]}

    kind = LongShortTerm
    shared_zeros = False  # the kernel reads them all

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._set(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        require_whole(self, "proj_size", proj_size)
        if proj_size >= hidden_size:
            raise ArgumentError(
                f"LSTM: proj_size must be below hidden_size, {hidden_size}, got {proj_size}; 0 leaves h as it is"
            )
        self.proj_size = proj_size
        self._build(device, dtype)

    def _unroll(self, x: Tensor, sizes: list[int], state: State, place: int) -> tuple[Tensor, State, Any]:
        if not kernel.fits(x, sizes, self.proj_size):
            return super()._unroll(x, sizes, state, place)
        return kernel.forward(x, sizes, state, self._weights(place), self._is_reverse(place))

    def _unfolded(self, flight: Any, sizes: list[int], place: int) -> Any:
        if not isinstance(flight, kernel.KernelFlight):
            return flight
        step, x = self._step(self._weights(place)), flight.x.flatten(0, 1)
        return unroll(step, x, sizes, flight.before, self._is_reverse(place))[2]

    def _unroll_backward(
        self, d_y: Tensor | None, d_state: State, flight: Any, place: int, *wanted: bool
    ) -> tuple[Tensor | None, State]:
        if not isinstance(flight, kernel.KernelFlight):
            return super()._unroll_backward(d_y, d_state, flight, place, *wanted)
        d_x, d_first = kernel.backward(d_y, d_state, flight, self._weights(place), self._is_reverse(place))
        return d_x if wanted[0] else None, d_first
