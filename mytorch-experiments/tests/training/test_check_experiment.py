"""What is wrong with an experiment, without training it."""

import pytest
import torch
import toy_parts
from click.testing import CliRunner

from mytorch.commands.experiment import experiment
from mytorch.core import ArgumentError
from mytorch.experiments import ExperimentError, train_experiment
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import MissingRequirementError, UnknownNameError


def problems(content, **overrides):
    with pytest.raises(ExperimentError) as info:
        check_experiment(content, {key.replace("__", "."): value for key, value in overrides.items()})
    return str(info.value).splitlines()


def test_a_line_says_what_would_be_trained(content):
    assert check_experiment(content, {"epochs": 7}) == (
        "points: 100 rows and 50 for the test, 2 columns, classes below, above, 22 parameters, 7 epochs of 4 steps"
    )


def test_every_part_is_told_and_tried(content):
    content["data"] = {"train": {"type": "Points", "samples": 200}, "split": {"validation": 0.1, "test": 0.2}}
    content["data"]["targets"] = "one-hot"
    assert check_experiment(content).startswith(
        "points: 140 rows and 20 for validation and 40 for the test, 2 columns"
    )
    content["data"]["split"].pop("validation")
    content["data"]["validation"] = {"type": "Line", "rows": 5}
    assert "data.targets: one-hot needs class indices" in problems(content)[0]


def test_a_last_batch_of_one_row_that_a_layer_cannot_train_on(content):
    content["data"]["train"]["samples"] = 49
    content["model"]["layers"].insert(1, {"type": "mytorch-nn:BatchNorm1d", "num_features": 4})
    told = problems(content, batch_size=16)
    assert "BatchNorm1d: x must have more than one value per channel in training mode, got (1, 4); " in told[0]
    assert "drop_last" in told[0]
    assert "  in the last batch of an epoch, of 1 row; drop_last = true leaves it out" in told
    assert check_experiment(content, {"batch_size": 16, "drop_last": True}).endswith("3 epochs of 3 steps")
    assert check_experiment(content, {"batch_size": 15}).endswith("3 epochs of 4 steps")


@pytest.mark.parametrize(
    ("callbacks", "text"),
    [
        (["mytorch-train:EMA", "mytorch-train:SWA"], "EMA: must be the only average of weights in a run"),
        ([{"type": "mytorch-train:SWA", "start": 30}], "SWA: start must leave an epoch to average, got 30"),
    ],
)
def test_what_a_callback_refuses_when_a_training_starts(content, callbacks, text):
    assert problems(content | {"callbacks": callbacks})[0].startswith(text)


def test_an_animation_of_what_is_no_plane(content):
    content |= {"data": {"train": {"type": "Line", "rows": 9}}, "metrics": [], "animate": True}
    content["model"] = {"type": "Dense", "in_features": 1, "out_features": 1}
    assert problems(content)[0].startswith("animate: must be left out unless data have two columns and classes")


def test_a_target_far_down_that_the_loss_refuses(content, monkeypatch):
    content |= {"loss": {"type": "mytorch-nn:CrossEntropyLoss"}, "metrics": []}
    content["data"]["targets"] = "as-is"
    content["data"]["test"]["samples"] = 70
    check_experiment(content)
    monkeypatch.setattr(toy_parts.Points, "__init__", spoilt(toy_parts.Points.__init__, targets=5))
    told = problems(content)
    assert told[0].startswith("CrossEntropyLoss: ")
    assert told[1:] == ["  in rows 1 to 70 of the test data"]


def test_an_input_far_down_that_is_not_finite(content, monkeypatch):
    content["data"]["test"]["samples"] = 70
    monkeypatch.setattr(toy_parts.Points, "__init__", spoilt(toy_parts.Points.__init__, inputs=torch.nan))
    assert problems(content) == [
        "data: every input must be finite, got one that is not in row 61",
        "  in rows 1 to 70 of the test data",
    ]


def spoilt(init, **values):
    """A constructor of data sets whose row 60, of 70, has another value."""

    def changed(self, *arguments, **options):
        init(self, *arguments, **options)
        for name, value in values.items():
            if len(self) == 70:
                getattr(self, name)[60] = value

    return changed


def test_numbers_without_a_test(content):
    content["data"] = {"train": {"type": "Line", "rows": 1}}
    content["model"] = {"type": "Dense", "in_features": 1, "out_features": 1}
    content["metrics"] = ["MeanAbsoluteError"]
    assert check_experiment(content) == "points: 1 row, numbers, 2 parameters, 3 epochs of 1 step"


def test_nothing_is_kept(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    content["threads"] = 2
    check_experiment(content)
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, torch.float32)


def test_all_that_is_wrong_with_the_keys_is_said_at_once(content):
    content |= {"epochs": 0, "bath_size": 3, "loss": "SquaredError"}
    assert [line.split(": ")[1] for line in problems(content)] == ["epochs", "loss", "bath_size"]


def test_all_parts_that_cannot_be_built_are_said_at_once(content):
    told = problems(
        content,
        data__train__samples="many",
        model__layers__0__out=3,
        loss__type="SquareError",
        optimizer__rate=1,
        schedule={"type": "Ramp", "steps": 3},
        metrics=["ErorRate"],
        callbacks=["EarlyStoping"],
    )
    assert [line.split(":")[0] for line in told if not line.startswith(" ")] == [
        "data.train.samples",
        "model.layers.0.out",
        "loss",
        "optimizer.rate",
        "schedule.steps",
        "metric",
        "callback",
    ]
    assert "  at metrics.0.type of the experiment" in told


def test_a_schedule_is_checked_without_an_optimizer_to_build_it_with(content):
    told = problems(content, schedule={"type": "Ramp"}, optimizer__rate=1)
    assert len(told) == 1


@pytest.mark.parametrize("held", [False, True])
def test_a_schedule_that_ends_before_the_run(content, held):
    cycle = {"type": "mytorch-optim:OneCycleLR", "max_lr": 0.1, "total_steps": 11, "cycle_momentum": False}
    schedule = {"type": "mytorch-optim:ChainedScheduler", "schedulers": [cycle]} if held else cycle
    content["schedule"] = schedule
    text = "OneCycleLR: step must be at most total_steps = 11, got 12; build it for as many steps as the run takes, "
    assert problems(content) == [text + "batches times epochs"]
    with pytest.raises(ArgumentError, match=text):
        train_experiment(content, quiet=True)
    cycle["total_steps"] = 12
    assert check_experiment(content).endswith("3 epochs of 4 steps")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"model.layers.0.in_features": 3}, "Dense: last axis of x must be 3, got 2"),
        ({"data.targets": "as-is"}, "SquaredError: target must have the shape of the prediction"),
        ({"loss.reduction": "none"}, "SquaredError: the value to judge by must be one number"),
        ({"metrics": ["ErrorRate", "ErrorRate"]}, "metrics must have different names, got error_rate twice"),
        ({"callbacks": [{"type": "EarlyStopping", "monitor": "test_los"}]}, "monitor must be one of train_loss"),
        (
            {"model.layers.1": {"type": "Shift", "shift": 1}},
            "layers.1.shift: must be a list of numbers such as [1.0, 50.0], got 1",
        ),
        ({"data.targets": "standardize"}, '"standardize" needs numbers, got torch.int64'),
        ({"optimizer.lr": -1}, "optimizer: SGD: lr must be"),
    ],
)
def test_what_shows_when_a_batch_is_tried(content, overrides, text):
    with pytest.raises(ExperimentError) as info:
        check_experiment(content, overrides)
    assert text in str(info.value)


def test_the_layer_that_does_not_fit_is_named(content):
    assert problems(content, model__layers__2__in_features=5)[1] == "  in layer '2' (Dense) of Chain"


def test_a_first_loss_that_is_not_finite(content):
    content["initialization"] = {"type": "toy_constant"}
    content["data"] = {"train": {"type": "Points", "samples": 5}, "targets": "one-hot"}
    content["model"]["layers"][1:1] = [{"type": "Dense", "in_features": 4, "out_features": 4}] * 90
    content["initialization"]["value"] = 1.0
    assert problems(content)[0].startswith("loss: must be finite at the first step, got inf; data.standardize = true")


def test_what_a_stranger_raises_is_told(content, monkeypatch):
    def fail(self, x):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(toy_parts.Rectify, "forward", fail)
    assert problems(content)[:2] == ["unexpected ZeroDivisionError: oh", "  in layer '1' (Rectify) of Chain"]


def test_requirements_come_first(content):
    content["requires"] = ["gone"]
    with pytest.raises(MissingRequirementError, match="gone is not installed"):
        check_experiment(content)


@pytest.fixture
def call(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(experiment, list(map(str, arguments)))

    return invoke


def test_the_command_check(call):
    result = call("check", "points", "--set", "epochs=2")
    assert (result.exit_code, result.stdout[:8]) == (0, "points: ")
    lines = [line.split() for line in result.stdout.splitlines()[1:]]
    assert lines[0] == ["layer", "class", "output", "parameters"]
    assert lines[1] == ["0", "Dense", "(32,", "4)", "12"]
    assert lines[-1] == ["in", "all", "22"]
    result = call("check", "points", "--set", "loss.type=SquareError")
    assert result.exit_code == 1
    assert "Nearest: SquaredError" in str(result.exception)


def test_the_command_show(call, tmp_path):
    text = toy_parts.experiment.read_text()
    assert call("show", "points").stdout == text
    (tmp_path / "mine.toml").write_text("# überall\nthis = is shown as it is")
    assert call("show", "mine.toml").stdout == "# überall\nthis = is shown as it is"
    result = call("show", "pionts")
    assert isinstance(result.exception, UnknownNameError)
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    assert "must be a readable text file in UTF-8" in str(call("show", "mine.toml").exception)


@pytest.mark.parametrize("name", ["new", "check", "show"])
def test_every_help_has_an_example(call, name):
    assert f"Example:\n    mytorch experiment {name} " in call(name, "--help").stdout


def test_an_optimizer_that_needs_a_closure_is_refused_before_the_folder_is_made(content, tmp_path):
    content["optimizer"] = {"type": "mytorch-optim:LBFGS"}
    text = r"^step: must be a function of your own for LBFGS, .* take another optimizer, or train in Python with fit"
    with pytest.raises(ExperimentError, match=text):
        check_experiment(content)
    with pytest.raises(ArgumentError, match=text):
        train_experiment(content, output=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()
