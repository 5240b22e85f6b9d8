"""A model whose inputs come as a dict, by name: it trains, is judged and is searched for what is not finite."""

import pytest
import torch
from toy_parts import SGD, SquaredError

from mytorch.core import DataSet, Module, Parameter, rows_at
from mytorch.train import NotFiniteError, evaluate, fit
from mytorch.train.compiled import CompiledForward
from mytorch.train.evaluation import predict
from mytorch.train.gradients import gradients


class Masked(Module):
    """y = sum(weight * x) over the columns that the mask lets through; all of them without a mask."""

    def __init__(self, columns: int = 3) -> None:
        self.weight = Parameter(torch.linspace(-1, 1, columns))

    def forward(self, x, mask=None):
        seen = x if mask is None else x * mask
        return (seen * self.weight.value).sum(1, keepdim=True), (seen, mask)

    def backward(self, d_y, saved):
        seen, mask = saved
        self.weight.accumulate((d_y * seen).sum(0))
        return d_y * self.weight.value if mask is None else d_y * self.weight.value * mask


class Rows(DataSet):
    def __init__(self, rows=24, masked=True):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(rows, 3, generator=generator)
        self.mask = (torch.rand(rows, 3, generator=generator) < 0.5).float()
        self.y = (self.x * (self.mask if masked else 1) * torch.tensor([1.0, -2.0, 0.5])).sum(1, keepdim=True)
        self.masked = masked

    def __len__(self):
        return len(self.x)

    def batch_at(self, indices):
        named = {"x": rows_at(self.x, indices)}
        if self.masked:
            named["mask"] = rows_at(self.mask, indices)
        return named, rows_at(self.y, indices)


def test_gradients_and_predictions_are_those_of_the_arguments():
    inputs, targets = Rows()[:5]
    ours, by_hand = Masked(), Masked()
    gradients(ours, SquaredError(), inputs, targets)
    prediction, saved = by_hand.forward(inputs["x"], mask=inputs["mask"])
    _, saved_by_loss = SquaredError().forward(prediction, targets)
    by_hand.backward(SquaredError().backward(1.0, saved_by_loss), saved)
    torch.testing.assert_close(ours.weight.grad, by_hand.weight.grad, rtol=0, atol=0)
    torch.testing.assert_close(predict(ours, inputs), prediction, rtol=0, atol=0)


@pytest.mark.parametrize(("masked", "engine"), [(True, "eager"), (False, "eager"), (True, "compiled")])
def test_it_trains_and_is_judged(masked, engine):
    net, data = Masked(), Rows(masked=masked)
    training = fit(
        net,
        SquaredError(),
        SGD(net.param(), 0.1),
        data,
        epochs=40,
        batch_size=8,
        validation=data,
        quiet=True,
        engine=engine,
    )
    assert training.history[-1]["validation_loss"] < 0.01 * training.history[0]["validation_loss"]
    judged = evaluate(net, SquaredError(), data, batch_size=5)["loss"]
    assert judged == pytest.approx(training.history[-1]["validation_loss"])


def test_rows_of_it_are_collated_for_a_data_loader_too():
    net, data = Masked(), Rows()
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    training = fit(net, SquaredError(), SGD(net.param(), 0.1), loader, epochs=30, quiet=True)
    assert training.history[-1]["train_loss"] < 0.05 * training.history[0]["train_loss"]


def test_the_search_for_what_is_not_finite_looks_into_the_inputs():
    net, data = Masked(), Rows()
    data.x[9, 1] = float("nan")
    with pytest.raises(NotFiniteError, match="the first value that is not finite is the inputs of the batch"):
        fit(net, SquaredError(), SGD(net.param(), 0.1), data, epochs=1, batch_size=8, quiet=True)


def test_a_compiled_forward_pass_computes_it_layer_by_layer():
    net, (inputs, _) = Masked(), Rows()[:5]
    torch.testing.assert_close(CompiledForward(net)(**inputs), net(**inputs), rtol=0, atol=0)
