"""The compiled engine in half precision: it trains as the eager one, leaves out the same updates and scales alike."""

import pytest
import torch
from compiled_runs import was_compiled
from toy_parts import SGD, Chain, Dense, Noise, Ramp, Rectify, SquaredError, Table

from mytorch.train import NotFiniteError, fit
from mytorch.train.compiled import program
from mytorch.train.half_precision import PRECISIONS, loss_scale

pytestmark = pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")


class Steep(SquaredError):
    """Its scaled gradients leave float16 from a scale of some thousands on."""

    def backward(self, d_value, saved):
        return super().backward(d_value * 300, saved)


def rows(count=42):
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(count, 3, generator=generator)
    return Table(x, x[:, :2] * x[:, 1:])


def train(engine, precision, loss=None, data=None, **options):
    torch.manual_seed(5)
    net = Chain(Dense(3, 6), Rectify(), Noise(), Dense(6, 2))
    optimizer = SGD(net.param(), 1e-4, momentum=0.9)
    given = {"epochs": 6, "batch_size": 10, "schedule": Ramp(optimizer, 60), "quiet": True, "clip_grad_norm": 5.0}
    given |= {"precision": precision, "engine": engine, **options}
    return fit(net, loss or Steep(), optimizer, data or rows(), **given)


def require_same(run, eager, exactly=False):
    bounds = {"rtol": 0, "atol": 0} if exactly else {"rtol": 2e-2, "atol": 1e-4}
    torch.testing.assert_close(run.net.state_dict(), eager.net.state_dict(), **bounds)
    assert run.setup.precision.state_dict() == eager.setup.precision.state_dict()
    for mine, other in zip(run.history, eager.history, strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=1e-2)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_equals_eager_with_updates_that_are_left_out(precision, interpreted, monkeypatch):
    monkeypatch.setattr(loss_scale, "INTERVAL", 3)  # so that the scale goes up and down all the time
    run, eager = (train(engine, precision) for engine in ("compiled", "eager"))
    require_same(run, eager)
    assert was_compiled(run)
    assert max(made.steps for made in run.engine.programs.values()) > 1
    assert {parameter.value.dtype for parameter in run.net.param()} == {torch.float32}
    if precision == "float16-mixed":
        state = run.setup.precision.state_dict()
        assert state["skipped"] > 6
        assert state["skipped"] < 30  # and others were taken


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_machine_code_equals_eager(precision, compiles, monkeypatch):
    monkeypatch.setattr(program, "UNROLLED", 2)  # which compiles in a quarter of the time of ten
    run, eager = (train(engine, precision, loss=SquaredError()) for engine in ("compiled", "eager"))
    require_same(run, eager)
    assert was_compiled(run)
    assert len(compiles) == 1


class Late(SquaredError):
    """Gradients that no scale makes finite, of targets above 1e3; the loss is finite."""

    def forward(self, prediction, target):
        value, saved = super().forward(prediction, target.clamp(-1, 1))
        return value, (saved, target.abs().max())

    def backward(self, d_value, saved):
        return super().backward(d_value * saved[1].clamp(min=1) ** 6, saved[0])


class Grows(Table):
    """Targets that are far too large from the eleventh batch on."""

    calls = 0

    def batch_at(self, indices):
        self.calls += 1
        inputs, targets = super().batch_at(indices)
        return inputs, targets * (1e6 if self.calls > 10 else 0.1)


@pytest.mark.parametrize("engine", ["compiled", "eager"])
def test_gradients_that_no_scale_makes_finite_end_the_training(engine, interpreted):
    text = "^float16-mixed: gradients must be finite with a scaled loss, got values that are not at a scale of 6.1"
    data = Grows(rows().inputs, rows().targets)
    with pytest.raises(NotFiniteError, match=text):
        train(engine, "float16-mixed", Late(), data, epochs=20, schedule=None)
    assert len(interpreted) == (engine == "compiled")
