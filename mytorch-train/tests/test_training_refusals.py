"""What a training refuses before its first step."""

import pytest
import torch
from torch.utils.data import DataLoader
from toy_parts import SGD, Chain, Dense, Line, Points, Ramp, SquaredError, encoded, network

from mytorch.core import ArgumentError
from mytorch.train import ErrorRate, fit


def train(net=None, data=None, **options):
    net = net or network()
    data = encoded(Points(20, 0)) if data is None else data
    return fit(
        net, SquaredError(), SGD(net.param(), 0.1), data, **{"epochs": 2, "batch_size": 32, "quiet": True} | options
    )


@pytest.mark.parametrize(
    ("data", "batch_size"), [(Line(0), 32), (DataLoader(Line(3), batch_size=4, drop_last=True), None)]
)
def test_an_empty_data_set_is_refused(data, batch_size):
    with pytest.raises(ArgumentError, match="Training: data must have at least one batch, got none"):
        train(Chain(Dense(1, 1)), data, batch_size=batch_size)


def test_only_a_loader_brings_its_batch_size():
    with pytest.raises(ArgumentError, match="fit: batch_size must be given for anything but a DataLoader, got a Line"):
        train(Chain(Dense(1, 1)), Line(4), batch_size=None)
    with pytest.raises(ArgumentError, match=r"fit: batch_size must be left out for a DataLoader, .*, got 32"):
        train(Chain(Dense(1, 1)), DataLoader(Line(8), batch_size=4))
    for name, value in (("shuffle", False), ("drop_last", True)):
        with pytest.raises(ArgumentError, match=rf"fit: {name} must be left out for a DataLoader, .*, got {value}"):
            train(Chain(Dense(1, 1)), DataLoader(Line(8), batch_size=4), batch_size=None, **{name: value})


@pytest.mark.parametrize("seed", [2**63, 2**64, -1, True, 0.5, None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ArgumentError, match=r"seed must be"):
        train(Chain(Dense(1, 1)), Line(4), seed=seed)


@pytest.mark.parametrize("options", [{"epochs": -1}, {"epochs": 1.5}, {"epochs": "3"}, {"evaluate_every": 0}])
def test_numbers_out_of_range(options):
    with pytest.raises(
        ArgumentError, match="epochs must be a whole number of at least 0 and evaluate_every one of at least 1, got"
    ):
        train(**options)


class Ends(Ramp):
    def require_step(self, number):
        if number > self.total_steps:
            raise ArgumentError(f"Ends: step must be at most {self.total_steps}, got {number}")


def test_a_schedule_that_ends_before_the_run_is_refused_before_the_first_step():
    net, data = network(), encoded(Points(20, 0))
    before = [parameter.value.clone() for parameter in net.param()]
    options = {"epochs": 3, "batch_size": 6, "quiet": True}
    optimizer = SGD(net.param(), 0.1)
    with pytest.raises(ArgumentError, match=r"^Ends: step must be at most 11, got 12$"):
        fit(net, SquaredError(), optimizer, data, schedule=Ends(optimizer, 11), **options)
    torch.testing.assert_close([parameter.value for parameter in net.param()], before, rtol=0, atol=0)
    schedule = Ends(optimizer, 15)
    fit(net, SquaredError(), optimizer, data, schedule=schedule, **options)
    with pytest.raises(ArgumentError, match=r"^Ends: step must be at most 15, got 16$"):
        fit(net, SquaredError(), optimizer, data, schedule=schedule, **options | {"epochs": 1})
    schedule.interval = "epoch"  # which are fewer
    fit(net, SquaredError(), optimizer, data, schedule=schedule, **options)


def test_metrics_of_one_name_are_refused():
    class Loss(ErrorRate):
        pass

    with pytest.raises(ArgumentError, match="Training: metrics must have different names, got error_rate twice"):
        train(metrics=[ErrorRate(), ErrorRate()])
    with pytest.raises(ArgumentError, match="Training: metrics must have different names, got loss twice"):
        train(metrics=[Loss()])


@pytest.mark.parametrize("name", ["quiet", "optimizer_in_backward", "accept_differences"])
def test_a_flag_that_is_none_is_refused(name):
    with pytest.raises(ArgumentError, match=f"fit: {name} must be True or False, got 'no'"):
        train(**{name: "no"})


@pytest.mark.parametrize("device", [None, "cpu"])
def test_what_is_no_model_or_loss_is_refused_with_a_device_too(device):
    net, options = network(), {"epochs": 1, "batch_size": 4, "quiet": True, "device": device}
    with pytest.raises(ArgumentError, match=r"\w+: net must be a Module of mytorch, got None"):
        fit(None, SquaredError(), SGD(net.param(), 0.1), Points(20, 0), **options)
    with pytest.raises(ArgumentError, match=r"\w+: loss must be a Module of mytorch, got builtins\.function"):
        fit(net, lambda y, target: 0.0, SGD(net.param(), 0.1), Points(20, 0), **options)


@pytest.mark.parametrize("name", ["checkpoint", "resume"])
@pytest.mark.parametrize("path", [3, b"file", ["file"]])
def test_a_path_that_is_none_is_refused(name, path):
    with pytest.raises(ArgumentError, match=f"^{name}: must be the path of a file"):
        train(**{name: path})


def test_an_optimizer_of_another_net_is_refused():
    other = network()
    with pytest.raises(ArgumentError, match="Setup: optimizer must hold parameters of the net, got none of Chain's"):
        fit(network(), SquaredError(), SGD(other.param(), 0.1), Points(20, 0), epochs=1, batch_size=4, quiet=True)


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("data", [[], Line(0)])
def test_a_part_without_rows_is_refused(part, data):
    with pytest.raises(ArgumentError, match=f"Training: {part} must have at least one row, got none; leave it out"):
        train(Chain(Dense(1, 1)), Line(4), **{part: data})


def test_a_part_without_a_length_is_refused_before_the_first_step():
    net = Chain(Dense(1, 1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ArgumentError, match="Batches: data must have a length, got int"):
        train(net, Line(4), validation=3)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Half:
    def reset(self):
        pass


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ([Half()], "a metric must be an object with reset, update and compute, got a Half"),
        ([None], "a metric must be an object with reset, update and compute, got None"),
        ([ErrorRate], "a metric must be an object with reset, update and compute, got the class ErrorRate"),
        (ErrorRate(), r"metrics must be a list, got an ErrorRate; write \[\.\.\.\]"),
        (None, "metrics must be a list, got None"),
    ],
)
def test_what_is_no_metric_is_refused_before_the_first_step(metrics, text):
    with pytest.raises(ArgumentError, match=f"Training: {text}"):
        train(metrics=metrics)
