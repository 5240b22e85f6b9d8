"""The commands, as click runs them."""

import json
import math
import subprocess
import sys

import pytest
import toy_parts
from click.testing import CliRunner

from mytorch.commands.evaluate import evaluate
from mytorch.commands.parity import parity
from mytorch.commands.train import complete_experiment, train
from mytorch.plugins import MissingRequirementError, SettingsError, UnknownNameError
from mytorch.train import ExperimentError, RunError
from mytorch.train.compiled import EngineWarning


@pytest.fixture
def call(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(command, *arguments):
        return CliRunner().invoke(command, list(map(str, arguments)))

    return invoke


def test_train_and_evaluate(call, tmp_path):
    result = call(train, "points", "--set", "epochs=2", "--set", "optimizer.lr=0.05")
    assert result.exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    lines = result.stdout.splitlines()
    assert lines[0].startswith("2 epochs in ")
    assert f"Run kept in runs/{folder.name} (experiment.toml, " in lines[1]
    assert lines[2] == f"Judge it again: mytorch evaluate runs/{folder.name}"
    assert [line.split("  ")[0] for line in result.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert "lr = 0.05" in (folder / "experiment.toml").read_text()

    result = call(evaluate, folder)
    assert [line.rpartition("  ")[0].strip() for line in result.stdout.splitlines()] == ["loss", "error rate"]
    result = call(evaluate, folder, "--json")
    assert list(json.loads(result.stdout)) == ["loss", "error_rate"]


def test_json_of_numbers_that_are_not_finite(call, tmp_path, monkeypatch):
    call(train, "points", "--set", "epochs=1", "--quiet")
    (folder,) = (tmp_path / "runs").iterdir()
    monkeypatch.setattr("mytorch.train.Run.evaluate", lambda _run: {"loss": math.nan, "error_rate": 0.5})
    assert json.loads(call(evaluate, folder, "--json").stdout, parse_constant=pytest.fail) == {
        "loss": None,
        "error_rate": 0.5,
    }


def test_train_quietly_a_file_to_another_folder(call, tmp_path):
    result = call(train, toy_parts.experiment, "--quiet", "--output", "elsewhere")
    assert (result.exit_code, result.output) == (0, "")
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (["poinst"], UnknownNameError, "Nearest: points"),
        (["gone.toml"], ExperimentError, "got no such file: gone.toml"),
        (["points", "--set", "epochs"], SettingsError, "--set: must look like optimizer.lr=0.05, got 'epochs'"),
        (["points", "--set", "optimizer.rate=3"], ExperimentError, "optimizer.rate: SGD has no argument 'rate'"),
        (["points", "--set", 'requires=["gone"]'], MissingRequirementError, "Install: python -m pip install gone"),
    ],
)
@pytest.mark.parametrize("command", [train, parity])
def test_mistakes(call, tmp_path, command, arguments, error, text):
    result = call(command, *arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, error)
    assert text in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_evaluate_what_is_no_run(call, tmp_path):
    for path, text in [("gone", "got no folder"), (".", "got one without summary.json")]:
        result = call(evaluate, path)
        assert isinstance(result.exception, RunError)
        assert text in str(result.exception)


def test_parity(call, tmp_path):
    result = call(parity, "points", "--set", "epochs=1", "--runs", 2, "--report", "report")
    assert result.exit_code == 0, result.output
    assert "seed 0: equal; " in result.stdout
    assert "seed 1: equal; " in result.stdout
    assert "| test error rate | mean | std | median | worst |" in result.stdout
    assert "Report written to report/report.md" in result.stdout
    assert sorted(path.suffix for path in (tmp_path / "report").iterdir()) == [".md", ".png", ".png"]


def test_parity_finds_a_wrong_backward(call):
    result = call(parity, "points", "--set", "epochs=1", "--set", "model.layers.0.type=WrongDense")
    assert result.exit_code == 1
    assert "seed 0: DIFFERENT; " in result.stdout
    assert "mytorch and PyTorch differ by more than rounding." in result.stderr


@pytest.mark.parametrize("command", [train, evaluate, parity])
def test_every_help_has_an_example(call, command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    mytorch {command.name} " in result.stdout


def test_completion_names_the_installed_experiments(parts):
    names = [item.value for item in complete_experiment(None, None, "poi")]
    assert names == ["points", "poi"]


def test_the_help_needs_no_torch():
    modules = ", ".join(f"mytorch.commands.{name}" for name in ("train", "evaluate", "export", "parity"))
    code = f"import sys, {modules}; assert not {{'torch', 'pydantic', 'rich', 'matplotlib'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_traced_hooks_are_told_on_stderr(call):
    result = call(train, "points", "--set", "epochs=2", "--quiet", "--trace-hooks")
    assert result.exit_code == 0
    told = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert told == [
        "training_started -> Recorder",
        "epoch_ended -> Recorder",
        "epoch_ended -> Recorder",
        "training_ended -> Recorder",
    ]
    assert all(line.endswith(" ms") for line in result.stderr.splitlines())


def test_the_engine_is_chosen_on_the_command_line(call, tmp_path, monkeypatch):
    def killed(*_given):
        raise RuntimeError("killed")

    monkeypatch.setattr("mytorch.train.compiled.program.compile_package", killed)
    monkeypatch.setenv("MYTORCH_CACHE", str(tmp_path / "cache"))
    with pytest.warns(EngineWarning, match=r"cannot be compiled \(RuntimeError: killed\); training goes on eagerly"):
        result = call(train, "points", "--set", "epochs=2", "--engine", "compiled")
    assert result.exit_code == 0
    assert "compiled engine: compiling " in result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert 'engine = "compiled"' in (folder / "experiment.toml").read_text()
    assert call(train, "points", "--engine", "quick").exit_code == 2
