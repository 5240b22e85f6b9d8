"""Small runs by either engine, and what must be equal about them."""

import warnings

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, Ramp, Rectify, SquaredError, Table

from mytorch.train import fit
from mytorch.train.compiled import EngineWarning


class Interpreted:
    """Stands for a loaded package: runs the graph operation by operation."""

    def __init__(self, graph):
        self.graph = graph
        self.constants = {node.target for node in graph.graph.nodes if node.op == "get_attr"}

    def run(self, tensors):
        with torch.inference_mode():  # in which any tensor may be changed in place
            found = self.graph(*tensors)
        with torch.inference_mode(False):
            return [value.clone() for value in found]

    def load_constants(self, values, _inactive, _all, in_place):
        assert in_place
        for name, value in values.items():
            if name not in self.constants:
                raise RuntimeError(f"Constant not found: {name}")
            setattr(self.graph, name, value)


def table(rows=46, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 3, generator=generator, dtype=dtype)
    return Table(x, x[:, :2] * x[:, 1:])


def train(
    engine,
    *,
    data=None,
    epochs=4,
    lr=0.05,
    middle=None,
    optimizer=SGD,
    scheduled=True,
    callbacks=(),
    batch_size=10,
    **more,
):
    """A run of 4 full batches and a smaller one; with random numbers, a buffer and a schedule by batch."""
    torch.manual_seed(5)
    net = Chain(Dense(3, 4), Rectify(), middle or Noise(), Dense(4, 2)).to(torch.float64)
    made = optimizer(net.param(), lr=lr, momentum=0.9)
    schedule = Ramp(made, total_steps=5 * epochs) if scheduled else None
    options = {
        "epochs": epochs,
        "batch_size": batch_size,
        "schedule": schedule,
        "callbacks": callbacks,
        "quiet": True,
        **more,
    }
    data = data or table()
    return fit(net, SquaredError(), made, data, validation=table(20), engine=engine, **options)


def require_equal(run, eager):
    assert len(run.history) == len(eager.history)
    for mine, other in zip(run.history, eager.history, strict=True):
        for name in ("epoch", "lr", "train_loss", "validation_loss"):
            assert mine[name] == pytest.approx(other[name], rel=0, abs=1e-10), name
    require_equal_state(run, eager)


def require_equal_state(run, eager):
    state = eager.net.state_dict()
    for name, value in run.net.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-10, atol=1e-10, msg=name)
    for mine, other in zip(run.optimizer.state.values(), eager.optimizer.state.values(), strict=True):
        torch.testing.assert_close(mine["momentum_buffer"], other["momentum_buffer"], rtol=1e-10, atol=1e-10)


def was_compiled(run):
    return not run.engine.refused and any(made.checked for made in run.engine.programs.values())


def warned(text, **options):
    """A compiled run that must warn once, with this text, and equal the eager one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train("compiled", **options)
    said = [str(warning.message) for warning in caught if warning.category is EngineWarning]
    assert len(said) == 1
    assert text in said[0]
    assert "\n" not in said[0]
    require_equal(run, train("eager", **options))
    return run
