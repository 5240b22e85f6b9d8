from gated_linear import GatedLinear
from torch.nn import functional as F

from mytorch.testing import declare_layer


def formula(parameters, x):
    gate = F.linear(x, parameters["gate_weight"], parameters["gate_bias"]).sigmoid()
    return F.linear(x, parameters["weight"], parameters["bias"]) * gate


test_rows = declare_layer(lambda: GatedLinear(3, 4), (5, 3), reference=formula)
test_leading_axes = declare_layer(lambda: GatedLinear(3, 4), (2, 5, 3), reference=formula)
test_square = declare_layer(lambda: GatedLinear(3, 3), (5, 3), reference=formula)
