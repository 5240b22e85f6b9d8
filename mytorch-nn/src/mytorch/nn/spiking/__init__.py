"""Units that jump at a threshold, with a true derivative of zero almost everywhere: binary units, spiking neurons."""

from mytorch.nn.spiking.binary import Heaviside, Sign
from mytorch.nn.spiking.lif import LIF

__all__ = ["LIF", "Heaviside", "Sign"]
