"""Sequences that ask for memory."""

from __future__ import annotations

import math

import torch

from mytorch.core.checks import FLOAT_MAX, require_range, require_whole
from mytorch.data.dtype import floating_dtype
from mytorch.data.generated._generated import Generated, normal, uniform
from mytorch.data.series.windows import KEY as WINDOWS
from mytorch.data.series.windows import outputs_of

BYTES = 60
"""Of memory that an entry of a sequence takes while it is drawn."""
LONGEST = 1_000_000
"""Entries of a sequence."""


class AddingProblem(Generated):
    """The adding problem: the sum of two numbers of a long sequence, which marks show.

    Inputs:   step t holds (value, mark), value uniform in [0, 1), independent; mark is 1 at one place of the first
              half and one of the second, both uniform, and 0 elsewhere
    Target:   the sum of the two marked values
    Shapes:   inputs: (samples, length, 2) of dtype;  targets: (samples, 1) of dtype
    Raises:   ArgumentError unless samples is a count, length from 2 to 1000000, seed a whole number and dtype floating
              point
    Source:   Hochreiter and Schmidhuber 1997, "Long short-term memory", experiment 4, in the form of Le, Jaitly and
              Hinton 2015, "A simple way to initialize recurrent networks of rectified linear units"

    Who always says 1 has a mean squared error of 1/6 = 0.167.

    Example:
        >>> from mytorch.data import AddingProblem
        >>> data = AddingProblem(100, length=30, dtype="float64")
        >>> values, marks = data.inputs.unbind(2)
        >>> bool(((values * marks).sum(1, keepdim=True) - data.targets).abs().max() < 1e-12)
        True
    """

    def __init__(
        self, samples: int = 1000, length: int = 50, seed: int = 0, dtype: torch.dtype | str = "float32"
    ) -> None:
        require_whole(self, "length", length, 2, LONGEST)
        generator = self._generator(samples, seed, BYTES * length)
        values = uniform(0, 1, samples, length, generator=generator)
        half = length // 2
        first = torch.randint(half, (samples, 1), generator=generator)
        second = torch.randint(half, length, (samples, 1), generator=generator)
        places = torch.cat((first, second), 1)
        marks = torch.zeros_like(values).scatter_(1, places, 1.0)
        kind = floating_dtype("AddingProblem", dtype)
        self.inputs = torch.stack((values, marks), 2).to(kind)
        self.targets = values.gather(1, places).sum(1, keepdim=True).to(kind)


class Copying(Generated):
    """The copying problem: repeat some symbols after a long delay.

    Inputs:   `length` symbols, uniform in 1 to `symbols`; `delay` - 1 blanks, 0; the sign to repeat, symbols + 1; and
              `length` blanks
    Targets:  length + delay blanks, and then the `length` symbols
    Shapes:   inputs, targets: (samples, 2 length + delay), int64;  CrossEntropyLoss wants scores of the shape
              (samples, symbols + 1, 2 length + delay)
    Raises:   ArgumentError unless samples is a count, symbols from 1 to 1000, length and delay from 1 to 1000000, seed
              a whole number
    Source:   Hochreiter and Schmidhuber 1997, "Long short-term memory", in the form of Arjovsky, Shah and Bengio 2016,
              "Unitary evolution recurrent neural networks"

    Who remembers nothing has a mean loss of length * log(symbols) / (2 length + delay) at best.

    Example:
        >>> from mytorch.data import Copying
        >>> inputs, targets = Copying(5, symbols=4, length=3, delay=2)[0]
        >>> bool((targets[-3:] == inputs[:3]).all()), inputs[3:].tolist(), targets[:5].tolist()
        (True, [0, 5, 0, 0, 0], [0, 0, 0, 0, 0])
    """

    def __init__(
        self, samples: int = 1000, symbols: int = 8, length: int = 10, delay: int = 20, seed: int = 0
    ) -> None:
        require_whole(self, "symbols", symbols, 1, 1000)
        require_whole(self, "length", length, 1, LONGEST)
        require_whole(self, "delay", delay, 1, LONGEST)
        generator = self._generator(samples, seed, BYTES * (2 * length + delay))
        kept = torch.randint(1, symbols + 1, (samples, length), generator=generator)
        self.inputs = torch.zeros(samples, 2 * length + delay, dtype=torch.int64)
        self.targets = torch.zeros_like(self.inputs)
        self.inputs[:, :length], self.inputs[:, length + delay - 1] = kept, symbols + 1
        self.targets[:, length + delay :] = kept
        self.classes = ("blank", *map(str, range(1, symbols + 1)))


class SineMixtures(Generated):
    """Series that are sums of sines, each with amplitudes, frequencies and phases of its own, to be forecast.

    Series:   s_t = sum over k of a_k sin(2 pi f_k t + p_k) + noise * e_t,  t = 0, 1, ..., history + horizon - 1,
              with a_k uniform in [0.5, 1), f_k in [0.02, 0.1) periods a step, p_k in [0, 2 pi), e_t standard normal
    Inputs:   the first `history` steps;  Target: the `horizon` steps after them
    Shapes:   inputs: (samples, history, 1) of dtype;  targets: (samples, horizon) of dtype
    A run forecasts a column "value" of a table. Its preparation is that of mytorch.data.Windows.
    Raises:   ArgumentError unless samples is a count, history, horizon and components from 1 to 1000000, noise
              finite and at least 0, seed a whole number and dtype floating point

    Example:
        >>> from mytorch.data import SineMixtures
        >>> data = SineMixtures(100, history=40, horizon=5, noise=0.0)
        >>> data.inputs.shape, data.targets.shape, data.inputs.abs().max().item() < data.components
        (torch.Size([100, 40, 1]), torch.Size([100, 5]), True)
    """

    def __init__(
        self,
        samples: int = 1000,
        history: int = 50,
        horizon: int = 1,
        components: int = 2,
        noise: float = 0.05,
        seed: int = 0,
        dtype: torch.dtype | str = "float32",
    ) -> None:
        for name, value in (("history", history), ("horizon", horizon), ("components", components)):
            require_whole(self, name, value, 1, LONGEST)
        generator = self._generator(samples, seed, BYTES * (history + horizon + components))
        require_range(self, "noise", noise, 0.0, FLOAT_MAX)
        self.components = components
        time = torch.arange(history + horizon, dtype=torch.float64)
        series = normal(noise, samples, history + horizon, generator=generator)
        for _ in range(components):
            amplitude = uniform(0.5, 1, samples, 1, generator=generator)
            frequency = uniform(0.02, 0.1, samples, 1, generator=generator)
            phase = uniform(0, 2 * math.pi, samples, 1, generator=generator)
            series += amplitude * torch.sin(2 * math.pi * frequency * time + phase)
        series = series.to(floating_dtype("SineMixtures", dtype))
        self.inputs, self.targets = series[:, :history, None].contiguous(), series[:, history:].contiguous()
        kept = {"columns": ["value"], "targets": ["value"], "outputs": outputs_of(["value"], horizon)}
        steps = {"history": history, "horizon": horizon}
        self.preparation = {WINDOWS: {"dataset": "mytorch-data:Windows", **kept, **steps}}
