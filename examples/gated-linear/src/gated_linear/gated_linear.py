"""The gated linear layer."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import init

from gated_linear.twin import GatedLinearTwin
from mytorch.core import Module, Parameter, require_last_axis, require_upstream


class GatedLinear(Module):
    """A linear map whose every output passes a gate that the input opens or shuts.

    Forward:   a = x @ weight.T + bias;  g = sigmoid(x @ gate_weight.T + gate_bias);  y = a * g
    Backward:  d_a = d_y * g;  d_z = d_y * a * g * (1 - g)
               d_weight = sum of outer(d_a, x);  d_bias = sum of d_a;  the same with d_z for the gate's
               d_x = d_a @ weight + d_z @ gate_weight
    Shapes:    x: (..., in_features);  y: (..., out_features)
    Raises:    ShapeError if the last axis of x is not in_features
    Source:    Dauphin et al. 2016, "Language modeling with gated convolutional networks"
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.empty(out_features, in_features))
        self.gate_weight = Parameter(torch.empty(out_features, in_features))
        self.bias = Parameter(torch.zeros(out_features))
        self.gate_bias = Parameter(torch.zeros(out_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights from torch's generator."""
        init.xavier_uniform_(self.weight.value)
        init.xavier_uniform_(self.gate_weight.value)
        init.zeros_(self.bias.value)
        init.zeros_(self.gate_bias.value)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        require_last_axis(self, x, self.in_features)
        a = F.linear(x, self.weight.value, self.bias.value)
        g = F.linear(x, self.gate_weight.value, self.gate_bias.value).sigmoid()
        return a * g, (x, a, g)

    def backward(self, d_y: Tensor, saved: tuple[Tensor, Tensor, Tensor]) -> Tensor | None:
        x, a, g = saved
        require_upstream(self, d_y, a.shape)
        d_a, d_z = d_y * g, d_y * a * g * (1 - g)
        rows = x.reshape(-1, self.in_features)
        for weight, bias, d in ((self.weight, self.bias, d_a), (self.gate_weight, self.gate_bias, d_z)):
            d_rows = d.reshape(-1, self.out_features)
            weight.accumulate(d_rows.T @ rows)
            bias.accumulate(d_rows.sum(0))
        return d_a @ self.weight.value + d_z @ self.gate_weight.value if self.input_grad else None

    def torch_twin(self) -> GatedLinearTwin:
        """The layer for `mytorch parity` to compare with; its weights are copied from here."""
        return GatedLinearTwin(self.in_features, self.out_features)
