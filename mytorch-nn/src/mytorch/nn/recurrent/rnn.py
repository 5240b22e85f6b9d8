"""The recurrent layer of Elman, and its cell."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import require_choice
from mytorch.nn.recurrent._cell import Cell
from mytorch.nn.recurrent._layer import Recurrent
from mytorch.nn.recurrent._unroll import Moment, Pulled, State, Step
from mytorch.nn.recurrent._weights import Weights

NONLINEARITIES = ("tanh", "relu")


class Elman(Step):
    """h = tanh(a + h_before @ weight_hh.T), or relu in place of tanh."""

    def __init__(self, weights: Weights, nonlinearity: str) -> None:
        super().__init__(weights)
        self.nonlinearity = nonlinearity

    def forward(self, a: Tensor, before: State) -> tuple[State, State]:
        s = torch.addmm(a, before[0], self.weight_hh.t())
        return (s.tanh() if self.nonlinearity == "tanh" else s.relu(),), ()

    def gates_of(self, kept: State) -> dict[str, Tensor]:  # noqa: ARG002 - it has none
        return {}

    def slopes(self, h: Tensor, kept: State) -> tuple[State, State]:  # noqa: ARG002 - it follows from h
        return (1 - h * h if self.nonlinearity == "tanh" else (h > 0).to(h.dtype),), ()

    def backward(self, d_state: State, gradients: State, factors: State) -> State:  # noqa: ARG002 - there are none
        gradients[0].mul_(d_state[0])
        return d_state

    def before(self, d_state: State, gradients: State, factors: State) -> State:  # noqa: ARG002 - all is in d_gates
        return (gradients[0].mm(self.weight_hh),)

    def tangent(self, t_a: Tensor, t_b: Tensor, t_before: State, now: Moment, moved: Step) -> tuple[State, State]:  # noqa: ARG002
        (slope,), _ = self.slopes(now.h, now.kept)
        return (slope * (t_a + t_b),), ()

    def backward_tangent(
        self,
        d_state: State,
        t_d_state: State,
        now: Moment,
        t_now: Moment,
        moved: Step,  # noqa: ARG002
    ) -> tuple[Pulled, Pulled]:
        (d_h,), (t_d_h,), ((slope,), _) = d_state, t_d_state, self.slopes(now.h, now.kept)
        t_slope = -2 * now.h * t_now.h if self.nonlinearity == "tanh" else torch.zeros_like(slope)
        d_s, t_d_s = d_h * slope, t_d_h * slope + d_h * t_slope
        return Pulled(d_s, d_s, (0,)), Pulled(t_d_s, t_d_s, (0,))


class RNNCell(Cell):
    """One step of a recurrent layer: the new state from the input and the state before.

    Forward:   s = input @ weight_ih.T + bias_ih + hx @ weight_hh.T + bias_hh, with hx = 0 if it is not passed
               h = tanh(s), or relu(s)
    Backward:  d_s = d_h * (1 - h^2), or d_h * (h > 0);  d_input = d_s @ weight_ih;  d_hx = d_s @ weight_hh
               d_weight_ih = d_s.T @ input;  d_weight_hh = d_s.T @ hx;  d_bias_ih = d_bias_hh = sum(d_s) over the batch
    Shapes:    input: (batch, input_size) or (input_size,);  hx, h: (batch, hidden_size) or (hidden_size,);
               weight_ih: (hidden_size, input_size);  weight_hh: (hidden_size, hidden_size);
               bias_ih, bias_hh: (hidden_size,), or None without them
    Raises:    ShapeError for other shapes, or if d_h has not the shape of h;  DtypeError for another dtype than that
               of the weights;  ArgumentError for sizes below 1, another nonlinearity, or a dtype that is not
               floating point, or for weights that have no room in memory
    Initial:   uniform within 1 / sqrt(hidden_size), as torch.nn.RNNCell draws them
    Source:    Elman 1990, "Finding structure in time"

    Example:
        >>> cell, h = RNNCell(3, 4), torch.zeros(2, 4)
        >>> for x in torch.zeros(5, 2, 3):
        ...     h = cell(x, h)
        >>> h.shape
        torch.Size([2, 4])
    """

    kind = Elman

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_choice(self, "nonlinearity", nonlinearity, NONLINEARITIES)
        self.nonlinearity = nonlinearity
        self._build(input_size, hidden_size, bias, device, dtype)

    def _step(self, weights: Weights) -> Step:
        return Elman(weights, self.nonlinearity)


class RNN(Recurrent):
    """Read sequences step by step, in a state that each step makes anew from the input and the state before.

    Forward:   s_t = input_t @ weight_ih.T + bias_ih + h_(t-1) @ weight_hh.T + bias_hh, with h_0 = hx, or 0
               h_t = tanh(s_t), or relu(s_t);  y = all h_t;  h_n = the last h_t
               The second direction reads from the last step to the first, and y has both side by side. The next layer
               reads y of the one before; in training, dropout sets numbers of it to 0.
    Backward:  from the last step to the first: d_h_t = d_y_t + d_s_(t+1) @ weight_hh, at the end + d_h_n
               d_s_t = d_h_t * (1 - h_t^2), or d_h_t * (h_t > 0);  d_input_t = d_s_t @ weight_ih;  d_hx = d_h_0
               d_weight_ih = sum of d_s_t.T @ input_t;  d_weight_hh = sum of d_s_t.T @ h_(t-1);
               d_bias_ih = d_bias_hh = sum of d_s_t: sums over steps and batch
    Shapes:    input: (steps, batch, input_size), or (batch, steps, input_size) with batch_first, or
               (steps, input_size);  y: the same with directions * hidden_size;
               hx, h_n: (num_layers * directions, batch, hidden_size), without batch where input has none;
               weight_ih_l0: (hidden_size, input_size), of later layers (hidden_size, directions * hidden_size);
               weight_hh_l0: (hidden_size, hidden_size);  bias_ih_l0, bias_hh_l0: (hidden_size,)
               A PackedSequence in place of input gives one in place of y, and its gradient is one, too.
    Raises:    ShapeError for other shapes, for no step at all, or if a gradient has not the shape of its output;
               DtypeError for another dtype than that of the weights;  ArgumentError for sizes or num_layers below 1,
               dropout outside 0 to 1, another nonlinearity, or the saved value of a layer with other sizes, or for
               weights that have no room in memory
    Initial:   uniform within 1 / sqrt(hidden_size), as torch.nn.RNN draws them
    Random:    with dropout between layers, one draw a number from torch's generator; the draws are those of torch.nn
    Source:    Elman 1990, "Finding structure in time"; Werbos 1990, "Backpropagation through time: what it does and
               how to do it"

    Example:
        >>> y, h_n = RNN(3, 4)(torch.zeros(6, 2, 3))
        >>> y.shape, h_n.shape
        (torch.Size([6, 2, 4]), torch.Size([1, 2, 4]))
    """

    kind = Elman

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_choice(self, "nonlinearity", nonlinearity, NONLINEARITIES)
        self.nonlinearity = nonlinearity
        self._set(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self._build(device, dtype)

    def _step(self, weights: Weights) -> Step:
        return Elman(weights, self.nonlinearity)
