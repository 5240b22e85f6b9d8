"""The installed command, as users run it, in a folder of its own; in this process where that is not the point."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("mytorch"))
PNG = b"\x89PNG\r\n\x1a\n"


def mytorch(folder, *arguments, status=0):
    """What `mytorch ARGUMENTS` prints in a folder, stdout and stderr, after its exit status is checked."""
    done = subprocess.run([COMMAND, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def refused(mytorch_here):
    """What a refusal says; nothing may be left behind."""

    def run(folder, *arguments):
        before = sorted(folder.rglob("*"))
        text = mytorch_here(folder, *arguments, status=1)
        assert sorted(folder.rglob("*")) == before
        return text

    return run


@pytest.fixture
def blank_figures():
    """Figures are drawn: users look at them."""


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    text = mytorch(folder, "train", "disk")
    (run,) = (folder / "runs").iterdir()
    return run, text


def test_train_disk_shows_progress_and_where_the_run_lies(trained):
    run, text = trained
    assert len(re.findall(r"^epoch +\d+/25  train loss ", text, re.MULTILINE)) == 25
    assert f"Run kept in {Path('runs') / run.name}" in text
    assert f"mytorch evaluate {Path('runs') / run.name}" in text


def test_a_run_keeps_everything_and_no_pickle(trained):
    run, _ = trained
    kept = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert kept - {"checkpoint.safetensors"} == {  # which a run of less than a second may end without
        "data.json",
        "experiment.toml",
        "figures/decision_boundary.png",
        "figures/error_rate.png",
        "figures/loss.png",
        "history.csv",
        "model.json",
        "run.lock",
        "summary.json",
        "weights.safetensors",
    }
    assert all((run / "figures" / name).read_bytes().startswith(PNG) for name in ("loss.png", "error_rate.png"))
    assert json.loads((run / "data.json").read_text())["classes"] == ["outside", "inside"]
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"


def test_the_report_s_experiment_learns_the_disk(trained):
    run, _ = trained
    with (run / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [int(record["epoch"]) for record in history] == list(range(1, 26))
    assert float(history[0]["validation_error_rate"]) > 0.2
    assert json.loads((run / "summary.json").read_text())["test"]["error_rate"] < 0.1


def test_evaluate_gives_the_numbers_that_the_run_ended_with(trained, mytorch_here):
    run, _ = trained
    told = json.loads((run / "summary.json").read_text())["test"]
    results = json.loads(mytorch(run, "evaluate", run, "--json"))
    assert results["loss"] == pytest.approx(told["loss"], rel=1e-5)
    assert results["error_rate"] == pytest.approx(told["error_rate"], abs=1e-12)
    assert re.search(r"^error rate +0\.0", mytorch_here(run, "evaluate", run), re.MULTILINE)


def test_the_kept_experiment_repeats_the_run_to_the_letter(trained, tmp_path):
    run, _ = trained
    mytorch(tmp_path, "train", run / "experiment.toml", "--quiet")
    (again,) = (tmp_path / "runs").iterdir()
    assert (again / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()
    assert tomllib.loads((again / "experiment.toml").read_text()) == tomllib.loads(
        (run / "experiment.toml").read_text()
    )


def test_overrides_reach_the_run_and_every_run_has_its_own_folder(tmp_path, mytorch_here):
    for _ in range(2):
        silent = mytorch_here(tmp_path, "train", "disk", "--set", "optimizer.lr=0.05", "--set", "epochs=1", "--quiet")
        assert silent == ""
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert tomllib.loads((run / "experiment.toml").read_text())["optimizer"]["lr"] == 0.05


def test_standardised_splits_with_schedule_and_cross_entropy(tmp_path, mytorch_here):
    (tmp_path / "split.toml").write_text("""
        requires = ["mytorch-nn", "mytorch-optim", "mytorch-data"]
        epochs = 3
        batch_size = 32
        metrics = ["Accuracy"]
        dtype = "float64"
        [data]
        standardize = true
        train = { type = "Disk", samples = 500 }
        split = { test = 0.2, seed = 3 }
        [model]
        type = "Sequential"
        layers = [
          { type = "Linear", in_features = 2, out_features = 16 },
          { type = "BatchNorm1d", num_features = 16 },
          { type = "Residual", inner = { type = "Sequential", layers = [
            { type = "Tanh" },
            { type = "Dropout", p = 0.1 },
            { type = "Linear", in_features = 16, out_features = 16 },
          ] } },
          { type = "Linear", in_features = 16, out_features = 2 },
        ]
        [loss]
        type = "CrossEntropyLoss"
        [optimizer]
        type = "SGD"
        lr = 0.01
        momentum = 0.9
        [schedule]
        type = "OneCycleLR"
        max_lr = 0.2
    """)
    mytorch_here(tmp_path, "train", "split.toml", "--quiet")
    (run,) = (tmp_path / "runs").iterdir()
    mean = json.loads((run / "data.json").read_text())["preparation"]["standardize"]["mean"]
    assert len(mean) == 2
    assert all(0.4 < value < 0.6 for value in mean)
    assert json.loads(mytorch_here(run, "evaluate", run, "--json"))["accuracy"] > 0.5
    said = mytorch_here(tmp_path, "parity", "split.toml")
    assert "seed 0: equal" in said


def test_generate_writes_a_table_and_a_picture(tmp_path, refused):
    arguments = ["data", "generate", "disk", "--samples", 1000, "--seed", 0, "--output", "disk.csv"]
    mytorch(tmp_path, *arguments, "--plot", "disk.png")
    with (tmp_path / "disk.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    assert {row["class"] for row in rows} == {"inside", "outside"}
    assert (tmp_path / "disk.png").read_bytes().startswith(PNG)
    assert "disk.csv" in refused(tmp_path, *arguments)


def test_parity_draws_the_report(tmp_path, mytorch_here):
    said = mytorch_here(tmp_path, "parity", "disk", "--runs", 2, "--set", "epochs=4", "--report", "page")
    assert len(re.findall(r"^seed \d: equal;", said, re.MULTILINE)) == 2
    page = (tmp_path / "page" / "report.md").read_text()
    shown = re.findall(r"!\[.*\]\((.*)\)", page)
    assert shown == ["figure-1-data.png", "figure-2-error-rate.png", "figure-3-loss.png"]
    assert all((tmp_path / "page" / name).read_bytes().startswith(PNG) for name in shown)
    assert re.search(r"^\| mytorch \| \d+\.\d+", page, re.MULTILINE)
    assert re.search(r"^\| PyTorch \| \d+\.\d+", page, re.MULTILINE)


def test_ctrl_c_keeps_what_was_trained_and_says_where(tmp_path, mytorch_here):
    command = [COMMAND, "train", "disk", "--set", "epochs=100000", "--set", "data.train.samples=100"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("runs/*/history.csv")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(run.pid, signal.SIGINT)
        said = run.communicate(timeout=60)[0]
    (folder,) = (tmp_path / "runs").iterdir()
    assert run.returncode == 130, said
    assert "Traceback" not in said
    assert f"What was trained so far lies in {Path('runs') / folder.name}" in said
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert "error rate" in mytorch_here(tmp_path, "evaluate", folder)


def test_a_loss_that_stops_being_finite_is_traced_to_its_layer(tmp_path, mytorch_here):
    said = mytorch(tmp_path, "train", "disk", "--set", "optimizer.lr=1e4", status=1)
    assert re.search(r"epoch \d+, batch \d+: the first value that is not finite is .*layer '\d' \(Linear\)", said)
    (run,) = (tmp_path / "runs").iterdir()
    assert f"lies in {Path('runs') / run.name}" in said
    assert json.loads((run / "summary.json").read_text())["status"] == "failed"
    assert "nan" not in mytorch_here(tmp_path, "evaluate", run)


def test_wrong_shapes_name_the_layer_and_both_sizes(tmp_path):
    said = mytorch(tmp_path, "train", "disk", "--set", "model.layers.2.in_features=24", status=1)
    assert "Linear: last axis of x must be 24, got 25" in said
    assert "in layer '2' (Linear) of Sequential" in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.layers.0.type=Linaer", "'Linaer' is not installed. Nearest: Linear"),
        ("model.layers.0.in_feature=2", "has no argument 'in_feature'. Nearest: in_features"),
        ("optimizer.momentun=0.9", "optimizer.momentun: SGD has no argument 'momentun'. Nearest: momentum"),
        ("optimizer.lr=-1", "optimizer: SGD: lr must be at least 0, got -1"),
        ("optimizer.lr=fast", "optimizer.lr: must be"),
        ("epochs=0", "epochs: must be at least 1, got 0"),
        ("epoch=3", "epoch: unknown key. Nearest: epochs"),
        ("data.train.type=Disc", "'Disc' is not installed. Nearest: Disk"),
        ("loss.type=MSE", "Nearest: MSELoss"),
        ("initialization.type=xavier", "Nearest: xavier_normal"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(tmp_path, refused, setting, said):
    assert said in refused(tmp_path, "train", "disk", "--set", setting)


def test_requirements_that_are_not_installed_come_with_the_command(tmp_path):
    said = mytorch(tmp_path, "train", "disk", "--set", 'requires=["mytorch-nn", "mytorch-vision>=1"]', status=1)
    assert "mytorch-vision>=1 is not installed. Install: python -m pip install mytorch-vision" in said
    assert not list(tmp_path.iterdir())


def test_names_and_files_that_do_not_exist(tmp_path, refused):
    assert "Nearest: disk" in refused(tmp_path, "train", "dsk")
    assert "got no such file: none.toml" in refused(tmp_path, "train", "none.toml")
    assert "got no folder" in refused(tmp_path, "evaluate", "nowhere")
    (tmp_path / "broken.toml").write_text("epochs = = 3")
    assert "broken.toml: must be TOML" in refused(tmp_path, "train", "broken.toml")


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of the run, to be damaged."""
    for path in trained[0].rglob("*"):
        target = tmp_path / "run" / path.relative_to(trained[0])
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path / "run"


def test_damaged_runs_are_named(copied, refused):
    weights = copied / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert "weights.safetensors: must have the content that was written, got different content" in refused(
        copied, "evaluate", "."
    )
    weights.unlink()
    assert "weights.safetensors: this file is missing" in refused(copied, "evaluate", ".")


def test_weights_that_do_not_fit_are_listed(copied, refused):
    model = json.loads((copied / "model.json").read_text())
    model["model"]["layers"][0]["out_features"] = 26
    (copied / "model.json").write_text(json.dumps(model))
    said = refused(copied, "evaluate", ".")
    assert "0.weight must have shape (26, 2), got (25, 2)" in said


def test_debug_shows_the_traceback(tmp_path):
    done = subprocess.run(
        [COMMAND, "--debug", "train", "dsk"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
