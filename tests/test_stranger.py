"""Somebody else's distribution, built as a wheel and installed beside the project's in a fresh environment."""

import json
import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
STRANGER = HOUSE / "examples" / "gated-linear"


@pytest.fixture(scope="module")
def stranger(beside, tmp_path_factory):
    """An environment with the seven wheels and the stranger's."""
    environment = beside()
    environment.install_wheels(tmp_path_factory.mktemp("stranger"), STRANGER)
    return environment


def test_the_layer_is_listed_with_its_distribution(stranger):
    parts = json.loads(stranger.mytorch("plugins", "list", "layer", "--json")[0])
    (part,) = [part for part in parts if part["name"] == "GatedLinear"]
    assert part["distribution"] == "gated-linear"
    assert part["version"] == "1.0.0"


def test_an_experiment_trains_it_by_name_and_the_run_loads_again(stranger, tmp_path):
    stranger.mytorch("train", STRANGER / "gated-disk.toml", "--quiet", folder=tmp_path)
    (kept,) = (tmp_path / "runs").iterdir()
    model = json.loads((kept / "model.json").read_text())["model"]
    assert [layer["type"] for layer in model["layers"]] == [
        "gated-linear:GatedLinear",
        "gated-linear:GatedLinear",
        "mytorch-nn:Linear",
    ]
    assert json.loads(stranger.mytorch("evaluate", kept, "--json")[0])["error_rate"] < 0.1


def test_its_backward_equals_autograd_s(stranger, tmp_path):
    arguments = "parity", STRANGER / "gated-disk.toml", "--set", "epochs=3"
    assert re.search(r"^seed 0: equal;", stranger.mytorch(*arguments, folder=tmp_path)[0], re.MULTILINE)


def test_the_kit_passes_it(stranger, tmp_path):
    said, _ = stranger.mytorch("check", "gated-linear", folder=tmp_path)
    assert re.search(r"inputs: normal \(5, 3\): (\d+) of \1 checks passed", said)


def test_its_own_tests_pass(stranger, tmp_path):
    said, _ = stranger.run("-m", "pytest", "-p", "no:cacheprovider", STRANGER / "tests", folder=tmp_path)
    assert " passed" in said.splitlines()[-1]
