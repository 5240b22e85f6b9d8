"""The same layer as PyTorch users write it: autograd finds its backward. `mytorch parity` compares the two."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedLinearTwin(nn.Module):
    """y = (x @ weight.T + bias) * sigmoid(x @ gate_weight.T + gate_bias)"""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.gate_weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.gate_bias = nn.Parameter(torch.empty(out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map and gate."""
        return F.linear(x, self.weight, self.bias) * F.linear(x, self.gate_weight, self.gate_bias).sigmoid()
