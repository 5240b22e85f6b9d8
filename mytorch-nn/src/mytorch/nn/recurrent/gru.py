"""Gated recurrent units: the layer and its cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.nn.recurrent._cell import Cell
from mytorch.nn.recurrent._layer import Recurrent
from mytorch.nn.recurrent._unroll import Moment, Pulled, State, Step
from mytorch.nn.recurrent._weights import Weights

aten = torch.ops.aten


class Gated(Step):
    """h = (1 - z) * n + z * h_before, with the gates r, z and n in this order.

    Written with b = h_before @ weight_hh.T + bias_hh, of which b_n stands inside a product:

        r = sigmoid(a_r + b_r);  z = sigmoid(a_z + b_z);  n = tanh(a_n + r * b_n)

    so that the gradient of a_n is d_n and that of b_n is d_n * r.
    """

    gates = 3

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        size = self.weight_hh.shape[1]
        self.sizes = 2 * size, size
        w_rz, self.w_n = self.weight_hh.split(self.sizes)
        self.w_rz, self.b_n = w_rz.t(), None if self.bias_hh is None else self.bias_hh[2 * size :]

    def inputs(self, x: Tensor) -> Tensor:
        """Without the bias_hh of n, which stands inside its product."""
        if self.bias_ih is None or self.bias_hh is None:
            return F.linear(x, self.weight_ih)
        both = self.bias_ih.clone()
        both[: self.sizes[0]] += self.bias_hh[: self.sizes[0]]
        return F.linear(x, self.weight_ih, both)

    def forward(self, a: Tensor, before: State) -> tuple[State, State]:
        (h_before,) = before
        a_rz, a_n = a.split(self.sizes, 1)
        rz = torch.addmm(a_rz, h_before, self.w_rz).sigmoid_()
        r, z = rz.chunk(2, 1)
        b_n = F.linear(h_before, self.w_n, self.b_n)
        n = torch.addcmul(a_n, r, b_n).tanh_()
        return (torch.lerp(n, h_before, z),), (rz, n, b_n)

    def gates_of(self, kept: State) -> dict[str, Tensor]:
        rz, n, _ = kept
        r, z = rz.chunk(2, 1)
        return {"r": r, "z": z, "n": n}

    def slopes(self, h: Tensor, kept: State) -> tuple[State, State]:
        rz, n, b_n = kept
        r, z = rz.chunk(2, 1)
        e = n.new_empty(len(n), 4, n.shape[1])
        e_r, e_z, f_n, e_n = e.unbind(1)
        aten.tanh_backward(e_z.fill_(1).sub_(z), n, grad_input=e_n)  # (1 - z) * (1 - n^2)
        e_z.mul_(f_n.copy_(h).sub_(n))  # (1 - z) * (h - n), and h - n = (h_before - n) * z
        aten.sigmoid_backward(e_r.copy_(e_n).mul_(b_n), r, grad_input=e_r)  # e_n * b_n * r * (1 - r)
        f_n.copy_(e_n).mul_(r)
        return (e[:, :3].flatten(1), e), (z,)

    def backward(self, d_state: State, gradients: State, factors: State) -> State:  # noqa: ARG002 - z is for `before`
        gradients[1].mul_(d_state[0].unsqueeze(1))
        return d_state

    def before(self, d_state: State, gradients: State, factors: State) -> State:
        (d_h,), (z,) = d_state, factors
        return (torch.addmm(d_h * z, gradients[0], self.weight_hh),)

    def finish(self, gradients: State) -> Tensor:
        _, e = gradients
        return torch.cat([e[:, :2], e[:, 3:]], 1).flatten(1)

    def tangent(self, t_a: Tensor, t_b: Tensor, t_before: State, now: Moment, moved: Any) -> tuple[State, State]:
        (rz, n, b_n), (t_a_rz, t_a_n) = now.kept, t_a.split(self.sizes, 1)
        (r, z), (t_b_rz, t_b_n) = rz.chunk(2, 1), t_b.split(self.sizes, 1)
        if moved.b_n is not None:
            t_b_n = t_b_n + moved.b_n
        t_rz = rz * (1 - rz) * (t_a_rz + t_b_rz)
        t_r, t_z = t_rz.chunk(2, 1)
        t_n = (1 - n * n) * (t_a_n + t_r * b_n + r * t_b_n)
        t_h = (1 - z) * t_n + z * t_before[0] + t_z * (now.h_before - n)
        return (t_h,), (t_rz, t_n, t_b_n)

    def backward_tangent(
        self,
        d_state: State,
        t_d_state: State,
        now: Moment,
        t_now: Moment,
        moved: Step,  # noqa: ARG002
    ) -> tuple[Pulled, Pulled]:
        """The products of `slopes`, and what each of their factors changes in them."""
        (d_h,), (t_d_h,), (rz, n, m), (t_rz, t_n, t_m) = d_state, t_d_state, now.kept, t_now.kept
        (r, z), (t_r, t_z) = rz.chunk(2, 1), t_rz.chunk(2, 1)
        new, t_new = now.h_before - n, t_now.h_before - t_n
        by_n, t_by_n = (1 - z) * (1 - n * n), -t_z * (1 - n * n) - 2 * (1 - z) * n * t_n
        by_z, t_by_z = new * z * (1 - z), t_new * z * (1 - z) + new * (1 - 2 * z) * t_z
        by_r = by_n * m * r * (1 - r)
        t_by_r = (t_by_n * m + by_n * t_m) * r * (1 - r) + by_n * m * (1 - 2 * r) * t_r
        by_m, t_by_m = by_n * r, t_by_n * r + by_n * t_r

        def pulled(d: Tensor, *slopes: Tensor) -> Tensor:
            return torch.cat([d * slope for slope in slopes], 1)

        return (
            Pulled(pulled(d_h, by_r, by_z, by_m), pulled(d_h, by_r, by_z, by_n), (d_h * z,)),
            Pulled(
                pulled(t_d_h, by_r, by_z, by_m) + pulled(d_h, t_by_r, t_by_z, t_by_m),
                pulled(t_d_h, by_r, by_z, by_n) + pulled(d_h, t_by_r, t_by_z, t_by_n),
                (t_d_h * z + d_h * t_z,),
            ),
        )


class GRUCell(Cell):
    """One step of a gated recurrent unit: gates decide how much of the state before stays, and how much is new.

    Forward:   r = sigmoid(input @ w_ir.T + b_ir + hx @ w_hr.T + b_hr);  z likewise with w_iz, b_iz, w_hz, b_hz
               n = tanh(input @ w_in.T + b_in + r * m), with m = hx @ w_hn.T + b_hn
               h = (1 - z) * n + z * hx, with hx = 0 if it is not passed
               weight_ih = w_ir, w_iz, w_in, one below the other; weight_hh, bias_ih and bias_hh likewise
    Backward:  e_n = d_h * (1 - z) * (1 - n^2);  e_z = d_h * (hx - n) * z * (1 - z);  e_r = e_n * m * r * (1 - r)
               with e = e_r, e_z, e_n side by side, and f = e_r, e_z, e_n * r:
               d_input = e @ weight_ih;  d_weight_ih = e.T @ input;  d_bias_ih = sum(e) over the batch
               d_hx = d_h * z + f @ weight_hh;  d_weight_hh = f.T @ hx;  d_bias_hh = sum(f) over the batch
    Shapes:    input: (batch, input_size) or (input_size,);  hx, h: (batch, hidden_size) or (hidden_size,);
               weight_ih: (3 * hidden_size, input_size);  weight_hh: (3 * hidden_size, hidden_size);
               bias_ih, bias_hh: (3 * hidden_size,), or None without them
    Raises:    ShapeError for other shapes, or if d_h has not the shape of h;  DtypeError for another dtype than that
               of the weights;  ArgumentError for sizes below 1, or a dtype that is not floating point, or for weights
               that have no room in memory
    Initial:   uniform within 1 / sqrt(hidden_size), as torch.nn.GRUCell draws them
    Source:    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine
               translation"; m is that of torch.nn, which multiplies by r after the product with w_hn

    Example:
        >>> cell, h = GRUCell(3, 4), torch.zeros(2, 4)
        >>> for x in torch.zeros(5, 2, 3):
        ...     h = cell(x, h)
        >>> h.shape
        torch.Size([2, 4])
    """

    kind = Gated

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._build(input_size, hidden_size, bias, device, dtype)


class GRU(Recurrent):
    """Read sequences step by step, in a state of which gates decide how much stays and how much is new.

    Forward:   r_t = sigmoid(input_t @ w_ir.T + b_ir + h_(t-1) @ w_hr.T + b_hr), with h_0 = hx, or 0
               z_t likewise with w_iz, b_iz, w_hz, b_hz;  m_t = h_(t-1) @ w_hn.T + b_hn
               n_t = tanh(input_t @ w_in.T + b_in + r_t * m_t);  h_t = (1 - z_t) * n_t + z_t * h_(t-1)
               y = all h_t;  h_n = the last h_t
               The second direction reads from the last step to the first, and y has both side by side. The next layer
               reads y of the one before; in training, dropout sets numbers of it to 0.
    Backward:  from the last step to the first: d_h_t = d_y_t + d_h_(t+1) * z_(t+1) + f_(t+1) @ weight_hh, at the end
               + d_h_n;  then with e_n = d_h_t * (1 - z_t) * (1 - n_t^2):
               e_t = e_n * m_t * r_t * (1 - r_t), d_h_t * (h_(t-1) - n_t) * z_t * (1 - z_t), e_n, side by side;
               f_t = e_t with e_n * r_t in place of e_n;  d_input_t = e_t @ weight_ih;  d_hx = d_h_0
               d_weight_ih = sum of e_t.T @ input_t;  d_bias_ih = sum of e_t;
               d_weight_hh = sum of f_t.T @ h_(t-1);  d_bias_hh = sum of f_t: sums over steps and batch
    Shapes:    input: (steps, batch, input_size), or (batch, steps, input_size) with batch_first, or
               (steps, input_size);  y: the same with directions * hidden_size;
               hx, h_n: (num_layers * directions, batch, hidden_size), without batch where input has none;
               weight_ih_l0 = w_ir, w_iz, w_in, one below the other: (3 * hidden_size, input_size), of later layers
               (3 * hidden_size, directions * hidden_size);  weight_hh_l0: (3 * hidden_size, hidden_size);
               bias_ih_l0, bias_hh_l0: (3 * hidden_size,)
               A PackedSequence in place of input gives one in place of y, and its gradient is one, too.
    Raises:    ShapeError for other shapes, for no step at all, or if a gradient has not the shape of its output;
               DtypeError for another dtype than that of the weights;  ArgumentError for sizes or num_layers below 1,
               dropout outside 0 to 1, or the saved value of a layer with other sizes, or for weights that have no room
               in memory
    Initial:   uniform within 1 / sqrt(hidden_size), as torch.nn.GRU draws them
    Random:    with dropout between layers, one draw a number from torch's generator; the draws are those of torch.nn
    Source:    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine
               translation"; m is that of torch.nn, which multiplies by r after the product with w_hn

    Example:
        >>> y, h_n = GRU(3, 4, bidirectional=True)(torch.zeros(6, 2, 3))
        >>> y.shape, h_n.shape
        (torch.Size([6, 2, 8]), torch.Size([2, 2, 4]))
    """

    kind = Gated

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._set(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self._build(device, dtype)
