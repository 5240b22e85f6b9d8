"""The command `mytorch data generate`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from mytorch.commands.data import data
from mytorch.core import ArgumentError, DataSet, MytorchError
from mytorch.data import Disk, generate
from mytorch.plugins import Catalogue, Part, PluginError, UnknownNameError, catalogue


def run(*arguments: str) -> Result:
    return CliRunner().invoke(data, ["generate", *arguments], catch_exceptions=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_writes_the_table_and_the_plot(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run("disk", "--samples", "50", "--seed", "3", "--output", "points.csv", "--plot", "points.png")
    assert result.exit_code == 0, result.output
    assert result.output == "Wrote 50 rows to points.csv\nDrew points.png\n"
    lines = (folder / "points.csv").read_text().splitlines()
    assert lines[0] == "x,y,class"
    read = torch.tensor([float(cell) for cell in lines[1].split(",")[:2]])
    assert torch.equal(read, Disk(50, seed=3).inputs[0])
    assert lines[1].startswith("0.034108195,")  # with the digits that float32 tells apart
    assert len(lines) == 51
    assert (folder / "points.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["disk", "Disk", "DISK", "mytorch-data:disk"])
def test_the_name_in_any_case(folder: Path, name: str) -> None:
    result = run(name, "--samples", "5", "--dtype", "float64")
    assert result.exit_code == 0, result.output
    assert len((folder / "disk.csv").read_text().splitlines()) == 6


def test_files_are_kept_without_force(folder: Path) -> None:
    (folder / "disk.csv").write_text("mine")
    result = run("disk")
    assert isinstance(result.exception, MytorchError)
    assert "disk.csv: must be a new file, got one that exists" in str(result.exception)
    assert run("disk", "--force").exit_code == 0
    (folder / "a.png").write_text("mine")
    result = run("disk", "--output", "new.csv", "--plot", "a.png")
    assert "a.png: must be a new file, got one that exists" in str(result.exception)
    assert not (folder / "new.csv").exists()  # told before anything was written


def test_an_unknown_name_gets_the_nearest() -> None:
    result = run("disc")
    assert isinstance(result.exception, UnknownNameError)
    assert "dataset: 'disc' is not installed. Nearest: Disk, Digits." in str(result.exception)


def test_a_wrong_number_or_dtype_is_named() -> None:
    result = run("disk", "--samples", "0")
    assert result.exit_code == 2
    assert "--samples" in result.output
    assert isinstance(run("disk", "--dtype", "int8").exception, ArgumentError)


@pytest.mark.parametrize("arguments", [[], ["generate"]])
def test_help_has_an_example(arguments: list[str]) -> None:
    result = CliRunner().invoke(data, [*arguments, "--help"])
    assert result.exit_code == 0
    assert "Example:\n    mytorch data generate disk --samples 1000 --seed 0" in result.output


def test_help_and_import_need_no_torch() -> None:
    code = "import sys; from mytorch.commands.data import data; data(['generate', '--help'], standalone_mode=False); "
    code += "print({'torch', 'matplotlib'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.endswith("set()\n")


class Line(DataSet):
    columns = ("x",)

    def __init__(self, samples: int, seed: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def batch_at(self, indices: Any) -> tuple[Tensor, Tensor]:
        x = torch.as_tensor(indices).double()
        return x.unsqueeze(1), 2 * x


class Sheet(DataSet):
    def __init__(self, path: str, seed: int = 0) -> None:
        pass


def nothing(samples: int, seed: int) -> int:
    return 3


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "acme_data", sys.modules[__name__])
    targets = {"Line": "acme_data:Line", "Sheet": "acme_data:Sheet", "Nothing": "acme_data:nothing"}
    targets |= {"Broken": "acme_absent:Broken", "DISK": "acme_data:Line"}
    parts = [Part("dataset", name, "acme", "1.0", target, None) for name, target in targets.items()]
    known = Catalogue([*catalogue().of_kind("dataset"), *parts])
    monkeypatch.setattr(generate, "catalogue", lambda: known)


@pytest.mark.usefixtures("strangers")
def test_a_strangers_data_set_is_generated_too(folder: Path) -> None:
    assert run("line", "--samples", "3").exit_code == 0
    assert (folder / "line.csv").read_text() == "x,target\n0.0,0.0\n1.0,2.0\n2.0,4.0\n"
    assert run("acme:LINE", "--samples", "3", "--output", "b.csv").exit_code == 0


@pytest.mark.usefixtures("strangers")
def test_the_projects_own_comes_first(folder: Path) -> None:
    assert generate.generator("disk") is Disk
    assert generate.generator("DISK") is Line  # the exact name of another is meant


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["sheet"], ArgumentError, "generate: 'sheet' must take samples and seed to be generated, it lacks samples"),
        (["line", "--dtype", "float64"], ArgumentError, "generate: dtype must be left out for this data set"),
        (["nothing"], ArgumentError, "generate: the generator must make a DataSet, got int"),
        (["broken"], PluginError, "dataset 'Broken' of acme 1.0 cannot be imported"),
    ],
)
def test_what_cannot_be_generated_is_named(arguments: list[str], kind: type[Exception], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, kind)
    assert message in str(result.exception)


def test_completes_names() -> None:
    from click.shell_completion import ShellComplete

    found = ShellComplete(data, {}, "data", "_DATA_COMPLETE").get_completions(["generate"], "DI")
    assert "disk" in [item.value for item in found]
