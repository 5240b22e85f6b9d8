"""From an experiment to the objects that train."""

import tomllib

import pytest
import torch
from toy_parts import Chain, Points, SquaredError

from mytorch.core import ArgumentError, Module, metric_name
from mytorch.experiments import ExperimentError, load_experiment
from mytorch.experiments.file.build import build, default_dtype, threads
from mytorch.experiments.file.load_experiment import to_toml
from mytorch.experiments.file.schedules import plan_schedule
from mytorch.plugins import MissingRequirementError, UnknownNameError, catalogue


def built(content, **overrides):
    return build(load_experiment(content, {key.replace("__", "."): value for key, value in overrides.items()}))


def test_everything_is_built(content):
    everything = built(content, schedule={"type": "toy-parts:StepLR", "step_size": 2})
    setup = everything.setup
    assert isinstance(setup.net, Chain)
    assert isinstance(setup.loss, SquaredError)
    assert setup.optimizer.param_groups[0]["lr"] == 0.1
    assert setup.schedule.optimizer is setup.optimizer
    assert (len(setup.batches), setup.batches.rows, len(everything.parts.test)) == (4, 100, 50)
    assert [type(metric).__name__ for metric in everything.metrics] == ["ErrorRate"]


def test_the_seed_decides_the_weights_and_nothing_before(content):
    first = built(content).setup.net.state_dict()
    torch.rand(7)
    torch.testing.assert_close(built(content).setup.net.state_dict(), first, rtol=0, atol=0)
    assert not torch.equal(built(content, seed=1).setup.net.state_dict()["0.weight"], first["0.weight"])


def test_shuffle_and_drop_last_reach_the_batches(content):
    plain, told = built(content, batch_size=30), built(content, batch_size=30, shuffle=False, drop_last=True)
    assert [len(targets) for _, targets in plain.setup.batches] == [30, 30, 30, 10]
    assert [len(targets) for _, targets in told.setup.batches] == [30, 30, 30]
    data = told.parts.training
    first = torch.cat([inputs for inputs, _ in told.setup.batches])
    torch.testing.assert_close(first, data.batch_at(torch.arange(90))[0], rtol=0, atol=0)
    assert not torch.equal(next(iter(plain.setup.batches))[0], first[:30])


def test_drop_last_must_leave_a_batch(content):
    with pytest.raises(ArgumentError, match=r"drop_last must leave at least one batch, got 100 rows") as info:
        built(content, batch_size=101, drop_last=True)
    assert "at batch_size and drop_last of the experiment" in info.value.__notes__


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_reaches_weights_inputs_and_targets(content, dtype):
    setup = built(content, dtype=str(dtype).removeprefix("torch.")).setup
    inputs, targets = next(iter(setup.batches))
    assert {inputs.dtype, targets.dtype, *(p.value.dtype for p in setup.net.param())} == {dtype}
    assert torch.get_default_dtype() == torch.float32


def fail_inside():
    with default_dtype("float64"), threads(1):
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError


def test_the_default_dtype_and_threads_are_put_back_after_an_error():
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_num_threads() == 2
    with threads(None):
        assert torch.get_num_threads() == 2


def test_requirements_come_before_any_import(content, monkeypatch):
    monkeypatch.setattr(type(catalogue()), "load", lambda *_: pytest.fail("something was imported"))
    content["requires"] = ["mytorch-core", "mytorch-gone>=2", "mytorch-core>=99"]
    with pytest.raises(MissingRequirementError) as info:
        built(content)
    text = str(info.value)
    assert "mytorch-gone>=2 is not installed" in text
    assert "mytorch-core>=99 is required" in text
    assert "Install: python -m pip install " in text


@pytest.mark.parametrize(
    ("key", "value", "name", "at"),
    [
        ("loss.type", "SquareError", "loss: 'SquareError' is not installed. Nearest: SquaredError", "loss.type"),
        ("optimizer.type", "toy-parts:SDG", "Nearest: toy-parts:SGD", "optimizer.type"),
        ("data.train.type", "Point", "Nearest: Points", "data.train.type"),
        ("model.layers.1.type", "Rectfy", "Nearest: Rectify", "model.layers.1.type"),
        ("schedule.type", "Rump", "Nearest: Ramp", "schedule.type"),
        ("metrics.0", "ErorRate", "Nearest: ErrorRate", "metrics.0.type"),
        ("callbacks", ["KeepBest", {"type": "EarlyStoping"}], "Nearest: EarlyStopping", "callbacks.1.type"),
        ("initialization.type", "toy_constent", "Nearest: toy_constant", "initialization.type"),
    ],
)
def test_an_unknown_part_names_the_nearest_and_the_key(content, key, value, name, at):
    with pytest.raises(UnknownNameError) as info:
        build(load_experiment(content, {key: value}))
    assert name in str(info.value)
    assert any(f"at {at}" in note for note in info.value.__notes__)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (
            "model.layers.0.out_feature",
            4,
            r"model.layers.0.out_feature: Dense has no argument .* Nearest: out_features",
        ),
        ("model.layers.2.out_features", 0, r"model.layers.2: Dense: out_features must be at least 1, got 0"),
        ("model.layers.2.out_features", "2", r"model.layers.2.out_features: must be a whole number, got '2'"),
        ("model.layers.1", {"typ": "Rectify"}, r"model.layers.1: must be a layer such as"),
        ("loss.reduce", "sum", r"loss.reduce: SquaredError has no argument 'reduce'. Nearest: reduction"),
        ("optimizer.lr", -1, r"optimizer: SGD: lr must be at least 0, got -1"),
        ("optimizer.params", [], r"optimizer.params: is filled in by the program"),
        ("data.train.seeds", 1, r"data.train.seeds: Points has no argument 'seeds'. Nearest: seed"),
        ("data.train.samples", 0, r"data.train: must have at least one row, got none"),
        ("data.test.samples", "50", r"data.test.samples: must be a whole number, got '50'"),
        (
            "schedule",
            {"type": "Ramp", "steps": 3},
            r"schedule.steps: Ramp has no argument 'steps'. Nearest: total_steps",
        ),
        ("schedule", {"type": "toy-parts:StepLR"}, r"schedule.step_size: must be given for StepLR"),
        (
            "initialization",
            {"type": "toy_constant", "valu": 1.0},
            r"initialization.valu: constant has no .* Nearest: value",
        ),
        (
            "initialization",
            {"type": "toy_constant", "value": 2.0},
            r"initialization: constant: value must be between -1",
        ),
        ("metrics", [{"type": "Accuracy", "top": 5}], r"metrics.0.top: Accuracy has no argument 'top'"),
        ("callbacks", [{"type": "EarlyStopping", "patienc": 5}], r"callbacks.0.patienc: .* Nearest: patience"),
        ("callbacks", [{"type": "EarlyStopping", "patience": 0}], r"callbacks.0: EarlyStopping: patience must be"),
        ("callbacks", [{"type": "KeepBest", "monitor": 5}], r"callbacks.0.monitor: must be text in quotes, got 5"),
    ],
)
def test_a_wrong_argument_names_the_key(content, key, value, text):
    with pytest.raises(ExperimentError, match=text):
        build(load_experiment(content, {key: value}))


def test_initialization_reaches_every_layer(content):
    net = built(content, initialization={"type": "toy_constant", "value": 0.25}).setup.net
    for name, parameter in net.named_param():
        assert (parameter.value == (0.25 if name.endswith("weight") else 0)).all(), name


def test_rules_of_initialization_are_followed_one_after_the_other(content):
    rules = [
        {"layers": "Dense", "weight": "toy_constant", "bias": {"type": "toy_constant", "value": -1.0}},
        {"names": "2", "weight": {"type": "toy_constant", "value": 0.25}},
    ]
    experiment = load_experiment(content, {"initialization": rules})
    assert load_experiment(tomllib.loads(to_toml(experiment))) == experiment
    values = {name: parameter.value.unique().tolist() for name, parameter in build(experiment).setup.net.named_param()}
    assert values == {"0.weight": [0.5], "0.bias": [-1.0], "2.weight": [0.25], "2.bias": [-1.0]}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"layers": "Conv*", "weight": "toy_constant"}, r"initialization.0: initialize: layers must match one with"),
        ({"names": "7", "weight": "toy_constant"}, r"initialization.0: initialize: names must match .* Known: 0, 2."),
        ({"wight": "toy_constant"}, r"initialization.0: initialize: 'wight' must match a parameter of the layers"),
        ({"weight": {"type": "toy_constant", "valu": 1}}, r"initialization.0.weight.valu: .* Nearest: value"),
        ({"weight": {"type": "toy_constant", "value": "1"}}, r"initialization.0.weight.value: must be a number"),
        ({"weight": {"type": "toy_constant", "tensor": 1}}, r"initialization.0.weight.tensor: is filled in by the"),
        ({"weight": {"type": "toy_constant", "value": 2.0}}, r"initialization.0: constant: value must be between -1"),
        (
            {"layers": "Dense"},
            r"initialization.0: must say what draws which parameter, such as .*got nothing",
        ),
        ({"weight": 3}, r"initialization.0.weight: must be .*, got 3"),
        ("toy_constant", r'initialization.0: must be a table such as \{ type = "..." \}, got .toy_constant.'),
    ],
)
def test_a_rule_of_initialization_that_does_not_fit(content, rule, text):
    with pytest.raises(ExperimentError, match=text):
        build(load_experiment(content, {"initialization": [rule]}))


def test_an_unknown_initialiser_of_a_rule(content):
    with pytest.raises(UnknownNameError, match="Nearest: toy_constant") as info:
        build(load_experiment(content, {"initialization": [{"weight": "toy_constent"}]}))
    assert info.value.__notes__ == ["at initialization.0.weight.type of the experiment"]


@pytest.mark.parametrize("given", [{}, {"total_steps": 5}])
def test_the_length_of_the_schedule_is_filled_in(content, given):
    everything = built(content, schedule={"type": "Ramp", **given})
    length = everything.setup.schedule.total_steps
    assert length == given.get("total_steps", 3 * 4)
    planned = plan_schedule(everything.experiment, 4)
    assert planned.arguments == {"total_steps": length}


def test_a_metric_has_the_name_that_the_experiment_gives_it(content):
    metrics = ["ErrorRate", {"type": "ErrorRate", "name": "error rate of rare classes"}]
    assert [metric_name(metric) for metric in built(content, metrics=metrics).metrics] == [
        "error_rate",
        "error rate of rare classes",
    ]


@pytest.mark.parametrize("name", ["", 3, ["a"]])
def test_a_metric_that_is_named_by_what_is_no_text(content, name):
    with pytest.raises(ExperimentError, match=r"metrics\.1\.name: ErrorRate: name must be text such as 'error_rate'"):
        built(content, metrics=["ErrorRate", {"type": "ErrorRate", "name": name}])


def test_no_test_data(content):
    del content["data"]["test"]
    assert built(content).parts[1:] == (None, None)


def test_targets_as_they_are(content):
    data = built(content, data__targets="as-is").setup.batches.data
    assert isinstance(data, Points)


def test_a_data_set_that_is_none(content, parts):
    parts("other-parts", "[mytorch.datasets]\nListed = toy_parts:listed\n")
    with pytest.raises(ExperimentError, match=r"data\.train: must be a mytorch\.core\.DataSet, got a list"):
        built(content, data__train={"type": "Listed"})


def test_a_layer_that_is_no_module(content, parts):
    parts("other-parts", "[mytorch.layers]\nNoLayer = toy_parts:Points\n")
    with pytest.raises(
        Exception,
        match=r"'NoLayer' of other-parts 1.0 must be a class such as a subclass of mytorch.core.M",
    ):
        built(content, model={"type": "NoLayer"})
    assert not issubclass(Points, Module)
