"""The comparison with PyTorch, on layers that bring their own twins."""

import math

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Rectify, Sequential, StepLR, Twinless

import mytorch.optim
from mytorch.core import Metric, Module
from mytorch.experiments import load_experiment
from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.build import build
from mytorch.experiments.file.schedules import PlannedSchedule
from mytorch.experiments.parity import compare, twin_of, write_report
from mytorch.experiments.parity.contestant import Ours, judge
from mytorch.experiments.parity.lockstep import gap, largest_gap, relative_difference, twin
from mytorch.experiments.parity.report import table, verdict
from mytorch.experiments.parity.twin import twin_optimizer, twin_schedule
from mytorch.train import step


@pytest.fixture
def experiment(content):
    content["optimizer"]["momentum"] = 0.9
    return load_experiment(content, {"epochs": 2})


def changed(experiment, **changes):
    return load_experiment({**experiment.model_dump(exclude_none=True, by_alias=True), **changes})


def test_half_precision_is_refused(experiment):
    with pytest.raises(ParityError, match=r"^parity: precision must be left out, .*, got bfloat16-mixed$"):
        compare(changed(experiment, precision="bfloat16-mixed"))


def test_twins_have_the_weights_and_the_mode():
    net = Sequential(Dense(2, 3), Sequential(Rectify(), Dense(3, 2, bias=False))).to(torch.float64).eval()
    twin = twin_of(net)
    assert [type(module).__name__ for module in twin.modules()] == [
        "Sequential",
        "Linear",
        "Sequential",
        "ReLU",
        "Linear",
    ]
    torch.testing.assert_close(twin.state_dict(), net.state_dict(), rtol=0, atol=0)
    assert not twin.training
    x = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(twin(x), net(x))
    twin[0].weight.data.zero_()
    assert net.layers[0].weight.value.any()


def test_tied_parameters_and_frozen_ones():
    net = Sequential(Dense(2, 2), Rectify(), Dense(2, 2))
    net.layers[2].weight = net.layers[0].weight
    net.layers[2].bias.trainable = False
    twin = twin_of(net)
    assert twin[2].weight is twin[0].weight
    assert not twin[2].bias.requires_grad
    assert twin[0].bias.requires_grad


def test_a_layer_used_twice_has_one_twin():
    layer = Dense(2, 2)
    twin = twin_of(Sequential(layer, Rectify(), layer))
    assert twin[0] is twin[2]


def test_a_missing_twin_names_the_path():
    net = Sequential(Dense(2, 3), Sequential(Rectify(), Twinless(3, 2)))
    with pytest.raises(
        ParityError, match=r"parity: layer 'layers.1.layers.1' \(Twinless\): must have a torch.nn class of"
    ):
        twin_of(net)
    with pytest.raises(ParityError, match=r"parity: Twinless: must have"):
        twin_of(Twinless(3, 2))


class Odd(Dense):
    def __init__(self, twin):
        super().__init__(2, 2)
        self.torch_twin = lambda: twin  # a module of PyTorch may be no attribute


@pytest.mark.parametrize(
    ("twin", "text"),
    [
        (3, r"torch_twin\(\) must return a torch.nn.Module, got 3"),
        (torch.nn.ReLU(), r"the twin must have a parameter 'weight', got None"),
        (torch.nn.Linear(2, 2, bias=False), r"the twin must have a parameter 'bias', got None"),
        (torch.nn.Linear(3, 2), r"its twin must have the same state dict, got .*size mismatch"),
        (torch.nn.BatchNorm1d(2), r"its twin must have the same state dict, got .*running_mean"),
    ],
)
def test_a_twin_that_does_not_fit(twin, text):
    with pytest.raises(ParityError, match=text.replace(".*", r"[\s\S]*")):
        twin_of(Odd(twin))


def test_a_twin_without_the_children():
    class Whole(Chain):
        def torch_twin(self):
            return torch.nn.ReLU()

    with pytest.raises(ParityError, match=r"the twin must have a submodule '0', got ReLU\(\)"):
        twin_of(Whole(Dense(2, 2)))


def test_twins_of_optimizer_and_schedule():
    net = Sequential(Dense(2, 2), Dense(2, 2))
    groups = [{"params": net.layers[0].param(), "lr": 0.5}, {"params": net.layers[1].param()}]
    optimizer = SGD(groups, 0.1, 0.9)
    schedule = StepLR(optimizer, 1, gamma=0.1)
    schedule.step()
    twin = twin_of(net)
    theirs = twin_optimizer(optimizer, schedule, net, twin)
    assert [group["lr"] for group in theirs.param_groups] == [0.5, 0.1]
    assert [group["momentum"] for group in theirs.param_groups] == [0.9, 0.9]
    assert theirs.param_groups[1]["params"][0] is twin[1].weight
    following = twin_schedule(PlannedSchedule("schedule", StepLR, {"step_size": 1, "gamma": 0.1}, None), theirs)
    assert isinstance(following, torch.optim.lr_scheduler.StepLR)
    plateau = type("ReduceLROnPlateau", (StepLR,), {})  # torch's names no metric
    planned = PlannedSchedule("schedule", plateau, {"factor": 0.25, "monitor": "train_loss"}, None)
    assert twin_schedule(planned, theirs).factor == 0.25
    assert twin_schedule(None, theirs) is None


def test_metrics_are_told_how_predictions_are_read(experiment, monkeypatch):
    class Told(Metric):
        def reset(self):
            self.seen = []

        def update(self, _prediction, _target):
            self.seen.append(self.outputs)

        def compute(self):
            return float(set(self.seen) == {"log-softmax"})

    built = build(experiment)
    monkeypatch.setattr(type(built.setup.loss), "outputs", "log-softmax")
    for contestant in (Ours(built.setup), twin(built)):
        record = judge(contestant, built.setup, built.parts, [Told()])
        assert {value for name, value in record.items() if name.endswith("told")} == {1.0}


def test_what_torch_does_not_have():
    class Own(SGD):
        pass

    class OwnLR(StepLR):
        pass

    net = Dense(2, 2)
    with pytest.raises(ParityError, match=r"optimizer must be one that torch.optim has, got Own"):
        twin_optimizer(Own(net.param()), None, net, twin_of(net))
    optimizer = SGD(net.param())
    with pytest.raises(ParityError, match=r"schedule must be one that torch.optim has, got OwnLR"):
        twin_schedule(PlannedSchedule("schedule", OwnLR, {}, None), twin_optimizer(optimizer, None, net, twin_of(net)))


def test_equal_layers_pass(experiment):
    seen = []
    comparison = compare(experiment, 2, seen.append)
    assert comparison.passed
    assert seen == comparison.seeds
    assert [result.seed for result in seen] == [0, 1]
    for result in seen:
        assert result.epoch_gap <= 1e-10
        assert result.steps.gap <= 1e-5
        assert len(result.ours) == len(result.torchs) == len(result.control) == 2
        assert list(result.ours[0]) == ["epoch", "train_loss", "train_error_rate", "test_loss", "test_error_rate"]
        assert verdict(result).startswith(f"seed {result.seed}: equal; float64 epochs within ")
    assert comparison.judged == "test_error_rate"


@pytest.mark.parametrize("schedule", [{"type": "toy-parts:StepLR", "step_size": 1, "gamma": 0.5}])
def test_a_schedule_is_followed(experiment, schedule):
    assert compare(changed(experiment, schedule=schedule)).passed


def test_the_reduction_sum(experiment):
    loss = {"type": "SquaredError", "reduction": "sum"}
    assert compare(changed(experiment, loss=loss, optimizer={"type": "toy-parts:SGD", "lr": 1e-3})).passed


@pytest.mark.parametrize("where", [0, 2])
def test_a_wrong_backward_is_found(experiment, where):
    model = experiment.model.model_dump(exclude_none=True, by_alias=True)
    model["layers"][where]["type"] = "WrongDense"
    comparison = compare(changed(experiment, model=model))
    assert not comparison.passed
    assert comparison.seeds[0].epoch_gap > 1e-10
    assert comparison.seeds[0].steps.gap > 1e-5
    assert verdict(comparison.seeds[0]).startswith("seed 0: DIFFERENT; ")


def test_losses_that_are_not_finite(experiment):
    with pytest.raises(ParityError, match=r"losses must stay finite to be compared, got mytorch .*choose a lower"):
        compare(changed(experiment, optimizer={"type": "toy-parts:SGD", "lr": 1e30}))


def test_nan_is_a_difference():
    assert gap(1.0, 3.0) == 2.0
    assert gap(math.nan, math.nan) == gap(math.inf, math.inf) == 0.0
    assert gap(1.0, math.nan) == gap(math.inf, -math.inf) == gap(math.nan, math.inf) == math.inf
    one, other = [{"epoch": 1, "a": 1.0, "b": 1.0}], [{"epoch": 1, "a": 1.0, "b": math.nan}]
    assert largest_gap(one, other) == math.inf
    assert largest_gap(one, other, ["a"]) == 0.0
    assert relative_difference(torch.tensor([1.0, math.nan]), torch.ones(2)) == math.inf
    assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0.0
    assert relative_difference(torch.tensor([1.5]), torch.tensor([1.0])) == 0.5
    assert relative_difference(torch.tensor([1 + 1j]), torch.tensor([1 + 0j])) == 1.0


def test_the_report(experiment, tmp_path):
    comparison = compare(experiment, 2)
    page = write_report(comparison, tmp_path / "deep" / "report")
    text = page.read_text()
    names = {path.name for path in page.parent.iterdir()}
    assert names == {"report.md", "figure-2-error-rate.png", "figure-3-loss.png"}  # these points draw no picture
    for name in names - {"report.md"}:
        assert f"]({name})" in text
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")
    assert table(comparison) in text
    assert "Which side of a line. 2 epochs;" in text
    assert "Seeds 0 to 1." in text
    assert write_report(comparison, page.parent) == page


def test_data_that_draws_itself(experiment, tmp_path):
    comparison = compare(experiment)

    def plot(path):
        path.write_bytes(b"\x89PNG")
        return path

    comparison.built.setup.batches.data.data.plot = plot
    assert "![Figure 1. The training data.](figure-1-data.png)" in write_report(comparison, tmp_path).read_text()


def test_data_with_a_tensor_called_data(experiment, tmp_path):
    comparison = compare(changed(experiment, description=""))
    comparison.built.setup.batches.data.data.data = torch.zeros(3)
    assert "\n\n2 epochs; both start" in write_report(comparison, tmp_path).read_text()


def test_a_report_that_cannot_be_written(experiment, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file: must be a folder that can be written"):
        write_report(compare(experiment), tmp_path / "file")


def test_without_test_and_metrics(experiment):
    content = experiment.model_dump(exclude_none=True, by_alias=True) | {"metrics": []}
    del content["data"]["test"]
    comparison = compare(load_experiment(content))
    assert comparison.judged == "train_loss"
    assert table(comparison).startswith("| train loss | mean | std | median | worst |")


def test_the_validation_part_is_compared_too(experiment):
    content = experiment.model_dump(exclude_none=True, by_alias=True)
    content["data"] = {"train": {"type": "Points", "samples": 90}, "targets": "one-hot", "split": {"validation": 0.3}}
    comparison = compare(load_experiment(content))
    assert {"validation_loss", "validation_error_rate"} <= set(comparison.seeds[0].ours[-1])
    assert comparison.judged == "validation_error_rate"
    assert comparison.passed


def test_modules_of_ours_are_no_modules_of_torch():
    assert not issubclass(Module, torch.nn.Module)


def test_a_step_without_a_twin_cannot_be_compared(experiment):
    built = build(experiment, step=lambda *given: step(*given))
    with pytest.raises(ParityError, match=r"^parity: step must be one of mytorch\.train's, since PyTorch has no twin"):
        Ours(built.setup)


@pytest.mark.parametrize("name", [name for name in mytorch.optim.__all__ if hasattr(torch.optim, name)])
def test_every_optimizer_that_torch_has_gets_a_twin_with_its_settings(name):
    net = Sequential(Dense(2, 3, bias=False), Rectify(), Dense(3, 2, bias=False))
    ours = getattr(mytorch.optim, name)(net.param(), lr=0.017)
    (group,) = twin_optimizer(ours, None, net, twin_of(net)).param_groups
    shared = ours.param_groups[0].keys() & group.keys() - {"params"}
    assert "lr" in shared
    assert {key: group[key] for key in shared} == {key: ours.param_groups[0][key] for key in shared}
