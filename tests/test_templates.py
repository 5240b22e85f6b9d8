"""What `mytorch plugins new` writes, of each kind: a wheel whose own tests, unedited, pass."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mytorch.cli.plugins.new import USED_BY_TEMPLATES, new

HOUSE = Path(__file__).parents[1]
KINDS = ("layer", "loss", "optimizer", "dataset", "metric", "callback", "rule", "command", "hook")
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


def write(name, kind, folder):
    done = CliRunner().invoke(new, [name, "--kind", kind, "--folder", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a distribution of each kind."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        write(f"acme-{kind}-x", kind, folder)
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
    if kind in ("layer", "loss", "optimizer", "dataset", "rule"):
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


@pytest.mark.parametrize("kind", ["layer", "loss", "optimizer", "dataset", "rule"])
def test_mytorch_check_passes(site, tmp_path, kind):
    said = run(*MYTORCH, "check", f"acme-{kind}-x", folder=tmp_path, PYTHONPATH=str(site))
    assert said.splitlines()[-1] == "1 passed"


def test_they_work_together_in_one_experiment(site, tmp_path):
    (tmp_path / "together.toml").write_text("""
requires = ["mytorch-nn", "acme-layer-x", "acme-loss-x", "acme-optimizer-x", "acme-dataset-x", "acme-metric-x",
  "acme-rule-x"]
epochs = 3
batch_size = 20
metrics = ["MeanAbsoluteError"]
callbacks = [{ type = "AcmeCallbackX", loss = 1e-9 }]
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
[rule]
type = "AcmeRuleX"
""")
    said = run(*MYTORCH, "train", "together.toml", folder=tmp_path, PYTHONPATH=str(site))
    assert "acme-hook-x: epoch 3 had the lowest loss, " in said
    (kept,) = (tmp_path / "runs").iterdir()
    best = run(*MYTORCH, "acme-command-x", kept, folder=tmp_path, PYTHONPATH=str(site))
    assert best.startswith("epoch 3: train_loss ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["acme-{kind}-x", "xy", "another-company-{kind}-9"])
def test_ruff_finds_nothing(tmp_path, kind, name):
    """Whatever the length of the names; the line length is that of its own pyproject.toml."""
    name = name.format(kind=kind)
    write(name, kind, tmp_path)
    ruff = [sys.executable, "-m", "ruff"]
    run(*ruff, "check", "--select", "E,F,W,I,UP,B,A,C4,SIM,RET,PTH,PIE,RUF", name, folder=tmp_path)
    run(*ruff, "format", "--check", name, folder=tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_mypy_finds_nothing(written, kind):
    cache = written / "mypy"  # one for all, since torch alone takes half a minute
    run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, "src", folder=written / f"acme-{kind}-x")


@pytest.mark.parametrize("kind", ["layer", "loss", "optimizer", "dataset", "metric", "callback", "rule"])
def test_no_class_can_hide_what_its_file_uses(written, kind):
    source = written / f"acme-{kind}-x"
    trees = [ast.parse(file.read_text()) for file in source.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    names |= {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    used = {name for name in names if name[0].isupper()} - {f"Acme{kind.capitalize()}X"}
    assert used
    assert used <= USED_BY_TEMPLATES


@pytest.mark.parametrize("kind", KINDS)
def test_its_readme_says_what_to_run(written, kind):
    name = f"acme-{kind}-x"
    part = name if kind in ("command", "hook") else f"Acme{kind.capitalize()}X"
    commands = ["python -m pip install -e '.[test]'", "python -m pytest", f"mytorch plugins show {part}"]
    text = (written / name / "README.md").read_text()
    assert "\n".join(["```bash", *commands, "```"]) in text
    article = "An" if kind == "optimizer" else "A"
    assert text.startswith(f"# {name}\n{article} {kind} for mytorch, ")
