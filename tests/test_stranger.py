"""Somebody else's distribution, built as a wheel and installed beside the project's in a fresh environment."""

import json
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
STRANGER = HOUSE / "examples" / "gated-linear"
PARTS = ("core", "nn", "optim", "data", "train", "testing", "cli")


def run(*command, folder=None):
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder of the programs of an environment that holds nothing but wheels."""
    folder = tmp_path_factory.mktemp("stranger")
    sources = [HOUSE / f"mytorch-{part}" for part in PARTS]
    pip = [sys.executable, "-m", "pip"]
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder / "wheels", *sources, STRANGER)
    venv.create(folder / "fresh", with_pip=True)
    programs = folder / "fresh" / ("Scripts" if sys.platform == "win32" else "bin")
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert len(wheels) == len(PARTS) + 1
    run(programs / "python", "-m", "pip", "install", "--quiet", "-c", HOUSE / "constraints.txt", *wheels)
    return programs


def test_the_layer_is_listed_with_its_distribution(programs):
    parts = json.loads(run(programs / "mytorch", "plugins", "list", "layer", "--json"))
    (part,) = [part for part in parts if part["name"] == "GatedLinear"]
    assert part["distribution"] == "gated-linear"
    assert part["version"] == "1.0.0"


def test_an_experiment_trains_it_by_name_and_the_run_loads_again(programs, tmp_path):
    run(programs / "mytorch", "train", STRANGER / "gated-disk.toml", "--quiet", folder=tmp_path)
    (kept,) = (tmp_path / "runs").iterdir()
    model = json.loads((kept / "model.json").read_text())["model"]
    assert [layer["type"] for layer in model["layers"]] == [
        "gated-linear:GatedLinear",
        "gated-linear:GatedLinear",
        "mytorch-nn:Linear",
    ]
    assert json.loads(run(programs / "mytorch", "evaluate", kept, "--json"))["error_rate"] < 0.1


def test_its_backward_equals_autograd_s(programs, tmp_path):
    said = run(programs / "mytorch", "parity", STRANGER / "gated-disk.toml", "--set", "epochs=3", folder=tmp_path)
    assert re.search(r"^seed 0: equal;", said, re.MULTILINE)
