"""Fixtures of several suites: parts of a made-up distribution, and an autograd that must not be used."""

import shutil

import pytest
import torch
from compiled_runs import Interpreted

from mytorch.plugins import catalogue
from mytorch.train.compiled import forward_program, program

ENTRY_POINTS = """
[mytorch.layers]
Chain = toy_parts:Chain
Dense = toy_parts:Dense
toy_Sequential = toy_parts:Sequential
Twinless = toy_parts:Twinless
WrongDense = toy_parts:WrongDense
Rectify = toy_parts:Rectify
Noise = toy_parts:Noise
Shift = toy_parts:Shift
[mytorch.losses]
SquaredError = toy_parts:SquaredError
[mytorch.optimizers]
SGD = toy_parts:SGD
[mytorch.schedules]
StepLR = toy_parts:StepLR
Ramp = toy_parts:Ramp
[mytorch.datasets]
Points = toy_parts:Points
Line = toy_parts:Line
[mytorch.initializers]
toy_constant = toy_parts:constant
[mytorch.experiments]
points = toy_parts:experiment
no-path = toy_parts:no_path
"""

real_compile = program.compile_package


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small gain nothing from more, and a busy machine loses seconds


@pytest.fixture
def parts(tmp_path_factory, monkeypatch):
    """The distribution toy-parts is installed. Returns a function that installs another."""

    def install(name, entry_points, requires="mytorch-core>=0.1"):
        site = tmp_path_factory.mktemp("site")
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {requires}\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(site)
        catalogue.cache_clear()

    install("toy-parts", ENTRY_POINTS)
    yield install
    catalogue.cache_clear()


@pytest.fixture
def no_autograd(monkeypatch):
    """Autograd raises, whoever calls it."""

    def forbidden(*_args, **_kwargs):
        raise AssertionError("autograd was used")

    for owner, name in [(torch.Tensor, "backward"), (torch.autograd, "backward"), (torch.autograd, "grad")]:
        monkeypatch.setattr(owner, name, forbidden)
    monkeypatch.setattr(torch.Tensor, "requires_grad_", forbidden)


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """Where the tests of the compiled engine keep what they compiled, to be taken again by others."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture
def compiles(packages, tmp_path, monkeypatch):
    """An empty cache. Returns the keys compiled so far; what an earlier test compiled is copied and not compiled."""
    keys = []

    def compile_once(graph, examples, path, metadata, **options):
        key = metadata["mytorch_key"]
        keys.append(key)
        if not (packages / key).exists():
            if not shutil.which("g++"):
                pytest.skip("this test needs a C++ compiler")
            real_compile(graph, examples, path, metadata, **options)
            shutil.copy(path, packages / key)
        shutil.copy(packages / key, path)

    monkeypatch.setenv("MYTORCH_CACHE", str(tmp_path / "cache"))
    for module in (program, forward_program):
        monkeypatch.setattr(module, "compile_package", compile_once)
    return keys


@pytest.fixture
def interpreted(monkeypatch):
    """Nothing is compiled. Returns the keys of the steps that would be."""
    graphs = {}

    def remember(graph, _examples, _path, metadata, **_options):
        graphs[metadata["mytorch_key"]] = graph

    def fetch(key, compile_to):
        compile_to(None)
        return Interpreted(graphs[key])

    for module in (program, forward_program):
        monkeypatch.setattr(module, "compile_package", remember)
        monkeypatch.setattr(module, "fetch", fetch)
    return graphs
