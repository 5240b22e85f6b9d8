"""What several tests stand on: environments that hold nothing but wheels, and a folder in which a page is run."""

import configparser
import contextlib
import importlib.util
import io
import itertools
import os
import subprocess
import sys
import sysconfig
import tomllib
import types
import venv
from pathlib import Path
from unittest import mock

import pytest

if importlib.util.find_spec("torch"):  # where wheels are built and installed, there is none
    for suite in ("mytorch-nn", "mytorch-train", "mytorch-experiments"):
        sys.path.insert(0, str(Path(__file__).parents[1] / suite / "tests/toys"))
    sys.path.insert(0, str(Path(__file__).parent / "toys"))
    from blank_figures import blank_figures
    from fixtures import interpreted

    __all__ = ["blank_figures", "interpreted"]

HOUSE = Path(__file__).parents[1]
PARTS = ("core", "nn", "optim", "data", "train", "experiments", "sklearn", "playground", "testing", "cli")
PAGES = itertools.count(1)  # torch.compile keeps a module by its name, so that each page needs one of its own
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*command, folder=None, status=0, **environment):
    """Run a command that must end with a status; its output and error output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MYTORCH", "PYTHON"))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**inherited, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def build_wheel(source, folder):
    """Build a distribution's wheel into a folder."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, folder=source)


@pytest.fixture(scope="session")
def run_command():
    return run


class Environment:
    """A virtual environment in which distributions are installed without their dependencies."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False)
        self.python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        paths = {"base": str(folder), "platbase": str(folder)}
        self.packages = Path(sysconfig.get_path("purelib", "venv", paths))

    def install(self, *what):
        """Install with the pip of this process; pip's own options may be among the words."""
        run(*PIP, "--python", self.python, "install", "--quiet", *what)

    def install_wheels(self, folder, *sources):
        """Build the wheels of distributions into a folder, and install them without their dependencies."""
        for source in sources:
            build_wheel(source, folder)
        self.install("--no-deps", *sorted(folder.glob("*.whl")))

    def see(self, other):
        """See what is installed in another environment."""
        (self.packages / "other.pth").write_text(f"{other.packages}\n")

    def run(self, *arguments, **options):
        """Run this environment's Python; its output and error output."""
        return run(self.python, *arguments, **options)

    def mytorch(self, *arguments, **options):
        """Run `mytorch ARGUMENTS`; its output and error output, in which no user must find a traceback."""
        said, errors = self.run("-c", "from mytorch.cli import main; main()", *arguments, **options)
        assert "Traceback" not in said or "--json" in arguments, said  # which the doctor gives to programs
        assert "Traceback" not in errors, errors
        return said, errors


@pytest.fixture(scope="session")
def project_wheels(tmp_path_factory):
    """The wheels of all distributions, built from the checkout."""
    pytest.importorskip("hatchling", reason="the wheels are built with hatchling")
    folder = tmp_path_factory.mktemp("project-wheels")
    for part in PARTS:
        build_wheel(HOUSE / f"mytorch-{part}", folder)
    wheels = sorted(folder.glob("*.whl"))
    assert len(wheels) == len(PARTS)
    return wheels


@pytest.fixture(scope="session")
def real(project_wheels, tmp_path_factory):
    """An environment with the wheels of all distributions and what they need, and what builds editable installs."""
    environment = Environment(tmp_path_factory.mktemp("real") / "venv")
    environment.install("-c", HOUSE / "constraints.txt", *project_wheels, "hatchling", "editables")
    return environment


@pytest.fixture(scope="session")
def beside(real, tmp_path_factory):
    """Makes environments that see the real one."""

    def make():
        environment = Environment(tmp_path_factory.mktemp("beside") / "venv")
        environment.see(real)
        return environment

    return make


def run_here(folder, *arguments, status=0, **environment):
    """What `mytorch ARGUMENTS` prints in a folder, on both streams, when its entry point runs in this process.

    A process of its own takes three seconds, most of them to import torch.
    """
    from mytorch.cli import main
    from mytorch.core import random_state

    said, command = io.StringIO(), ["mytorch", *map(str, arguments)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(random_state())
        stack.enter_context(mock.patch.dict(os.environ, environment))
        stack.enter_context(mock.patch.object(sys, "argv", command))
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        with pytest.raises(SystemExit) as left:
            main()
    found, text = left.value.code, said.getvalue()
    assert found == status, f"{command} left with {found}:\n{text}"
    assert "Traceback" not in text
    return text


@pytest.fixture(scope="session")
def mytorch_here():
    return run_here


class Shop:
    """The folder in which a page is run, and what its lines have made so far."""

    mytorch = staticmethod(run_here)

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.made, self.installed, self.path = set(), set(), []
        self.servers = {}
        self.site = folder / "site"
        self.names = types.ModuleType(f"page_{next(PAGES)}")
        for file in HOUSE.iterdir():
            if file.name == ".ci" or file.name[0] != ".":
                (folder / file.name).symlink_to(file)
        (folder / "runs").unlink(missing_ok=True)

    def install(self, what):
        """Put a distribution on the path with its metadata, as pip would; the project's own are there."""
        name, _, extras = what.removesuffix("]").partition("[")
        folder = self.folder / name
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert not extras or set(extras.split(",")) <= set(project["optional-dependencies"])
        if project["name"].startswith("mytorch-"):
            return
        info = self.site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {line}\n" for line in project["dependencies"])
        (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n{needs}")
        groups = configparser.ConfigParser()
        groups.optionxform = str
        groups.read_dict(project["entry-points"])
        with (info / "entry_points.txt").open("w") as file:
            groups.write(file)
        self.path += [info.parent, folder.resolve() / "src"]


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys):
    import torch  # which the environment that builds wheels has not

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MYTORCH_CACHE", str(tmp_path / "cache"))
    made = Shop(tmp_path, capsys)
    monkeypatch.setitem(sys.modules, made.names.__name__, made.names)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield made
    for process, _ in made.servers.values():
        process.kill()
        process.communicate()
    torch.set_num_threads(before)
