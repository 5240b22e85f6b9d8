"""The commands, as click runs them."""

import json
import math
import subprocess
import sys

import pytest
import toy_parts
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from unsealed import unsealed

from mytorch.commands.evaluate import evaluate
from mytorch.commands.explain import explain
from mytorch.commands.parity import parity
from mytorch.commands.predict import predict
from mytorch.commands.runs import runs
from mytorch.commands.train import complete_experiment, train
from mytorch.experiments import ExperimentError, RunError
from mytorch.experiments.predict.judge import Judgement
from mytorch.plugins import FileError, MissingRequirementError, SettingsError, UnknownNameError
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
    assert lines[1] == f"Run kept in runs/{folder.name}"
    assert lines[3] == f"Evaluate it again: mytorch evaluate runs/{folder.name}"
    told = [line.split("  ")[0].strip() for line in result.stderr.splitlines()]
    assert told[:7] == ["layer", "0", "1", "2", "in all", "epoch 1/2", "epoch 2/2"]
    assert told[7].startswith("test, evaluated once with the final weights: loss ")
    assert "lr = 0.05" in (folder / "experiment.toml").read_text()

    result = call(evaluate, folder)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["network", "linear", "model", "majority", "class"]
    assert [line.split("  ")[0] for line in lines[1:3]] == ["loss", "error rate"]
    assert "50 rows of test data" in lines
    assert lines[-1] == f"Drew confusion.png, calibration.png in {folder / 'figures'}"
    result = call(evaluate, folder, "--json")
    names = ["loss", "error_rate", "calibration_error", "confusion", "baselines", "rows"]
    assert list(json.loads(result.stdout)) == names
    assert (result.stderr, result.exit_code) == ("", 0)


def test_json_of_numbers_that_are_not_finite(call, tmp_path, monkeypatch):
    call(train, "points", "--set", "epochs=1", "--quiet")
    (folder,) = (tmp_path / "runs").iterdir()
    found = Judgement({"loss": math.nan, "error_rate": 0.5}, 3, "test data", None, None, 0)
    monkeypatch.setattr("mytorch.experiments.runs.run.judge", lambda *_, **__: found)
    assert json.loads(call(evaluate, folder, "--json").stdout, parse_constant=pytest.fail) == {
        "loss": None,
        "error_rate": 0.5,
        "rows": 3,
    }


def test_the_numbers_are_told_before_the_figures_fail(call, tmp_path):
    call(train, "points", "--set", "epochs=1", "--quiet")
    (folder,) = (tmp_path / "runs").iterdir()
    (tmp_path / "file").write_text("")
    result = call(evaluate, folder, "--json", "--figures", "file/below")
    assert isinstance(result.exception, FileError)
    assert "file/below: must be a folder that can be written" in str(result.exception)
    assert json.loads(result.stdout)["rows"] == 50
    assert not hasattr(result.exception, "__notes__")
    (folder / "figures").rename(tmp_path / "elsewhere")
    (folder / "figures").write_text("")
    assert call(evaluate, folder).exception.__notes__ == ["--figures FOLDER draws them in another folder"]


@pytest.fixture
def trained(call, parts, tmp_path):
    call(train, "points", "--set", "epochs=1", "--quiet")
    (tmp_path / "rows.csv").write_text("x,y,class\n1,2,above\n-1,-2,below\n")
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def test_evaluate_a_file(call, trained, tmp_path):
    result = call(evaluate, trained, "--data", "rows.csv", "--figures", "figures")
    assert "2 rows of rows.csv" in result.stdout.splitlines()
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == [f"{trained.name}-{name}-rows.png" for name in ("calibration", "confusion")]
    assert not (trained / "figures/confusion.png").exists()


def test_predict(call, trained, tmp_path):
    result = call(predict, trained, "rows.csv", "--output", "out.csv")
    assert (result.stdout, result.exit_code) == ("Wrote 2 predictions to out.csv\n", 0)
    assert (tmp_path / "out.csv").read_text().startswith("prediction,probability_below,probability_above\n")
    assert "must be a new file, got one that exists" in str(
        call(predict, trained, "rows.csv", "--output", "out.csv").exception
    )
    assert call(predict, trained, "rows.csv", "--output", "out.csv", "--force").exit_code == 0


@pytest.mark.filterwarnings("ignore::mytorch.data.TableWarning")  # the model does not use the kept column
def test_predict_keeps_columns(call, trained, tmp_path):
    (tmp_path / "named.csv").write_text('x,y,"last, first"\n1.50,2,"A, B"\n')
    assert call(predict, trained, "named.csv", "-o", "out.csv", "--keep", '"last, first",x').exit_code == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith('"A, B",1.50,')
    assert call(predict, trained, "named.csv", "-o", "out.csv", "--keep", "all", "--force").exit_code == 0
    assert (tmp_path / "out.csv").read_text().startswith('x,y,"last, first",prediction,')


def test_predict_with_what_is_no_run_or_not_whole(call, trained, tmp_path):
    for path, text in [("gone", "got no folder"), ("runs", "it holds runs: points-")]:
        result = call(predict, path, "rows.csv", "--output", "out.csv")
        assert isinstance(result.exception, RunError)
        assert text in str(result.exception)
    for command in (predict, evaluate):
        (trained / "weights.safetensors").rename(trained / "gone")
        result = call(command, trained, *(("rows.csv", "--output", "out.csv") if command is predict else ()))
        assert isinstance(result.exception, RunError)
        assert "weights.safetensors: this file is missing" in str(result.exception)
        (trained / "gone").rename(trained / "weights.safetensors")
    assert not (tmp_path / "out.csv").exists()


def test_runs(call, trained, tmp_path):
    result = call(runs)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["run", trained.name]
    (listed,) = json.loads(call(runs, "--json").stdout)
    assert (listed["name"], listed["status"], listed["judged_on"]) == (trained.name, "finished", "test")
    (tmp_path / "empty").mkdir()
    assert call(runs, "empty").stdout == "empty holds no runs. Make one with: mytorch train disk\n"
    assert call(runs, "list", "empty", "--json").stdout == "[]\n"
    assert isinstance(call(runs, "gone").exception, RunError)


def test_a_running_run_s_numbers_are_json(call, trained):
    summary = json.loads((unsealed(trained) / "summary.json").read_text())
    (trained / "summary.json").write_text(json.dumps({**summary, "status": "running", "last": None, "test": None}))
    (trained / "history.csv").write_text("epoch,train_loss\n1,nan\n")
    (listed,) = json.loads(call(runs, "--json").stdout, parse_constant=pytest.fail)
    assert listed["figures"] == {"loss": None}


def test_compare(call, trained, tmp_path):
    result = call(runs, "compare", trained, trained)
    assert result.stdout.startswith("The experiments are equal.")
    assert result.stdout.splitlines()[-1] == "Drew compare.png"
    assert (tmp_path / "compare.png").is_file()
    result = call(runs, "compare", trained, trained)
    assert "compare.png: must be a new file" in str(result.exception)
    assert result.stdout == ""
    assert call(runs, "compare", trained, trained, "--force").exit_code == 0
    result = call(runs, "compare", trained, "gone", "--output", "other.png")
    assert isinstance(result.exception, RunError)
    assert not (tmp_path / "other.png").exists()


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
    assert "Wrote report/report.md" in result.stdout
    assert sorted(path.suffix for path in (tmp_path / "report").iterdir()) == [".md", ".png", ".png"]


def test_parity_finds_a_wrong_backward(call):
    result = call(parity, "points", "--set", "epochs=1", "--set", "model.layers.0.type=WrongDense")
    assert result.exit_code == 1
    assert "seed 0: DIFFERENT; " in result.stdout
    assert "mytorch and PyTorch differ by more than rounding." in result.stderr


@pytest.mark.parametrize("command", [train, evaluate, explain, parity, predict, runs])
def test_every_help_has_an_example(call, command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    mytorch {command.name}" in result.stdout


def test_completion_of_runs_names_its_commands(call):
    completion = ShellComplete(runs, {}, "runs", "_RUNS_COMPLETE")
    assert [item.value for item in completion.get_completions([], "")] == ["compare", "list"]


def test_completion_names_the_installed_experiments(parts):
    names = [item.value for item in complete_experiment(None, None, "poi")]
    assert names == ["points", "poi"]


def test_the_help_needs_no_torch():
    names = ("train", "evaluate", "explain", "export", "parity", "predict", "runs")
    modules = ", ".join(f"mytorch.commands.{name}" for name in names)
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
        "training_ended -> SampleFigures",
        "training_ended -> BoundaryFigure",
    ]
    assert all(line.endswith(" ms") for line in result.stderr.splitlines())


def test_the_engine_is_chosen_on_the_command_line(call, tmp_path, monkeypatch):
    def killed(*_given):
        raise RuntimeError("killed")

    monkeypatch.setattr("mytorch.train.compiled.program.compile_package", killed)
    monkeypatch.setenv("MYTORCH_CACHE", str(tmp_path / "cache"))
    with pytest.warns(
        EngineWarning, match=r"cannot be compiled \(RuntimeError: killed\); training continues with the eager engine"
    ):
        result = call(train, "points", "--set", "epochs=2", "--engine", "compiled")
    assert result.exit_code == 0
    assert "compiled engine: compiling " in result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert 'engine = "compiled"' in (folder / "experiment.toml").read_text()
    assert call(train, "points", "--engine", "quick").exit_code == 2
