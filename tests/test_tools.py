"""uv and pipx install the command from wheels, by the commands of docs/releases.md, and `all` brings everything.

No index is asked: what the command itself needs lies beside the wheels, and every other package has an empty wheel of
the lowest version that is declared, so that names, bounds and extras are resolved and nothing large is fetched.
"""

import re
import shlex
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
PARTS = ("core", "nn", "optim", "data", "train", "experiments", "sklearn", "playground", "testing", "cli")
NEEDED = ("click", "packaging", "platformdirs", "pluggy", "tomlkit")
"""What `mytorch --help` imports."""


def commands():
    """The lines of the page's block for a shell."""
    (block,) = re.findall(r"(?ms)^```sh\n(.*?)^```", (HOUSE / "docs/releases.md").read_text())
    return block.splitlines()


def lowest_versions():
    for part in PARTS:
        project = tomllib.loads((HOUSE / f"mytorch-{part}/pyproject.toml").read_text())["project"]
        for lines in (project["dependencies"], *project.get("optional-dependencies", {}).values()):
            for line in lines:
                name, _, version = line.partition(">=")
                if not name.startswith("mytorch-"):
                    yield name, version


def write_empty_wheel(folder, name, version):
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


@pytest.fixture(scope="module")
def shelf(project_wheels, run_command, tmp_path_factory):
    """A folder with `wheels` in it."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "wheels").mkdir()
    for wheel in project_wheels:
        shutil.copy(wheel, folder / "wheels")
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder / "wheels"]
    run_command(*download, "-c", HOUSE / "constraints.txt", *NEEDED)
    for name, version in lowest_versions():
        if name not in NEEDED:
            write_empty_wheel(folder / "wheels", name, version)
    return folder


def test_the_page_builds_the_wheel_of_every_distribution():
    first, *_ = commands()
    assert first == " ".join(["python -m pip wheel --no-deps --wheel-dir wheels", *(f"./mytorch-{p}" for p in PARTS)])


@pytest.mark.parametrize("tool", ["uv", "pipx"])
def test_the_command_is_installed_with_everything(tool, shelf, run_command):
    pytest.importorskip("uv")  # with which pipx installs as well
    pytest.importorskip(tool)
    (line,) = (line for line in commands() if line.startswith(f"{tool} "))
    home = shelf / tool
    folders = {"UV_TOOL_DIR": "tools", "UV_TOOL_BIN_DIR": "bin", "PIPX_HOME": "home", "PIPX_BIN_DIR": "bin"}
    variables = {name: str(home / folder) for name, folder in folders.items()}
    without_index = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_CACHE_DIR": str(shelf / "cache")}
    _, *arguments = shlex.split(line)
    run_command(shutil.which(tool), *arguments, folder=shelf, **variables, **without_index)
    command = next((home / "bin").glob("mytorch*"))
    said, _ = run_command(command, "--version")
    assert {f"mytorch-{part}" for part in PARTS} <= {*said.split()}
    listed, _ = run_command(command, "--help")
    assert {"train", "data", "check", "plugins"} <= {*listed.split()}
    (installed,) = home.glob("*/**/site-packages")
    found = {path.name.partition("-")[0].replace("_", "-") for path in installed.glob("*.dist-info")}
    assert {name for name, _ in lowest_versions()} - found == {"dp-accounting", "mlflow", "ray[train]", "wandb"}
