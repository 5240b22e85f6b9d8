"""What `mytorch plugins new` writes, of each kind: a wheel whose own tests, unedited, pass."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
KINDS = ("layer", "loss", "optimizer", "dataset", "metric", "command", "hook")
MYTORCH = [sys.executable, "-c", "from mytorch.cli import main; main()"]


def run(*command, folder, statuses=(0,), **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**inherited, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in statuses, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a distribution of each kind."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        run(*MYTORCH, "plugins", "new", f"acme-{kind}-x", "--kind", kind, folder=folder)
    return folder


@pytest.fixture(scope="module")
def site(written, tmp_path_factory):
    """A folder of the module path into which all of them are installed from their wheels."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    sources = [f"./acme-{kind}-x" for kind in KINDS]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, *sources, folder=written)
    built = sorted(wheels.glob("*.whl"))
    assert len(built) == len(KINDS)
    run(*pip, "install", "--no-deps", "--target", site, *built, folder=written)
    return site


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass_against_the_wheel(written, site, tmp_path, kind):
    source = written / f"acme-{kind}-x"
    shutil.copytree(source / "tests", tmp_path / "tests")
    shutil.copy(source / "pyproject.toml", tmp_path)
    said = run(sys.executable, "-m", "pytest", "-W", "error", folder=tmp_path, PYTHONPATH=str(site))
    assert " passed" in said.splitlines()[-1]
    assert "failed" not in said
    if kind in ("layer", "loss", "optimizer", "dataset"):
        assert "conformance: " in said


@pytest.mark.parametrize("kind", KINDS)
def test_mytorch_lists_it_with_all_that_it_states(site, tmp_path, kind):
    listed = json.loads(run(*MYTORCH, "plugins", "list", kind, "--json", folder=tmp_path, PYTHONPATH=str(site)))
    (part,) = [part for part in listed if part["distribution"] == f"acme-{kind}-x"]
    assert part["core_requirement"] == "<0.2,>=0.1"
    assert Path(part["file"]).is_relative_to(site)


def test_the_doctor_finds_nothing_wrong(site, tmp_path):
    doctor = [*MYTORCH, "plugins", "doctor", "--json"]
    said = json.loads(run(*doctor, folder=tmp_path, statuses=(0, 1), PYTHONPATH=str(site)))
    verdicts = {d["part"]["distribution"]: d["verdict"] for d in said["parts"]}
    assert {verdicts[f"acme-{kind}-x"] for kind in KINDS} <= {"ok", "slow"}  # on a busy machine


@pytest.mark.parametrize("kind", ["layer", "loss", "optimizer", "dataset"])
def test_mytorch_check_passes(site, tmp_path, kind):
    said = run(*MYTORCH, "check", f"acme-{kind}-x", folder=tmp_path, PYTHONPATH=str(site))
    assert said.splitlines()[-1] == "1 passed"


def test_they_work_together_in_one_experiment(site, tmp_path):
    (tmp_path / "together.toml").write_text("""
requires = ["mytorch-nn", "acme-layer-x", "acme-loss-x", "acme-optimizer-x", "acme-dataset-x", "acme-metric-x"]
epochs = 3
batch_size = 20
metrics = ["MeanAbsoluteError"]
[data]
targets = "one-hot"
train = { type = "AcmeDatasetX", samples = 200 }
[model]
type = "Sequential"
layers = [
  { type = "Linear", in_features = 2, out_features = 16 },
  { type = "AcmeLayerX", features = 16 },
  { type = "Linear", in_features = 16, out_features = 2 },
]
[loss]
type = "AcmeLossX"
[optimizer]
type = "AcmeOptimizerX"
lr = 0.003
""")
    said = run(*MYTORCH, "train", "together.toml", folder=tmp_path, PYTHONPATH=str(site))
    assert "acme-hook-x: epoch 3 had the lowest loss, " in said
    (kept,) = (tmp_path / "runs").iterdir()
    best = run(*MYTORCH, "acme-command-x", kept, folder=tmp_path, PYTHONPATH=str(site))
    assert best.startswith("epoch 3: train_loss ")


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_is_clean(written, kind):
    """As ruff, in its own order of imports, and mypy --strict see it."""
    source = written / f"acme-{kind}-x"
    ruff = [sys.executable, "-m", "ruff"]
    run(*ruff, "check", "--isolated", "--select", "E,F,I,UP,B", "--line-length", "119", ".", folder=source)
    run(*ruff, "format", "--isolated", "--check", "--line-length", "119", ".", folder=source)
    run(sys.executable, "-m", "mypy", "--strict", "src", folder=source)
