"""A program of torch.export gives what the run predicts where mytorch cannot be imported, and as a package in C++."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from mytorch.commands.export import program as command
from mytorch.core import Module
from mytorch.experiments import Recorder, RunError, load, train_experiment
from mytorch.experiments.export import ExportError, export_program, program_file
from mytorch.nn import Linear, MSELoss, Sequential
from mytorch.optim import SGD
from mytorch.plugins import FileError
from mytorch.train import fit

HOUSE = Path(__file__).parents[3]
FEW = {"data.train.samples": 60, "data.validation.samples": 20, "data.test.samples": 20}
CHILD = """
import sys
sys.modules["mytorch"] = None
import torch
for name in sys.argv[1:]:
    model = torch.export.load(f"{name}.pt2").module()
    for rows, expected in torch.load(f"{name}.rows", weights_only=True):
        found = model(rows)
        found = found["probabilities" if "probabilities" in found else "prediction"]
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
print("all of them")
"""


@pytest.mark.slow
def test_it_runs_where_there_is_no_mytorch_with_any_number_of_rows(tmp_path):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    text = {"data.train.path": str(tmp_path / "text.txt")}
    shipped = dict.fromkeys(("disk", "disk-tuned", "adding-lstm", "shapes-unet", "sine-forecast", "vae"), FEW)
    shipped |= {"autoencoder": FEW, "text-gpt": text, "text-lstm": text}
    for name, overrides in shipped.items():
        run = train_experiment(name, {"epochs": 1, **overrides}, output=tmp_path / "runs", quiet=True)
        found = export_program(run.path, tmp_path / f"{name}.pt2")
        pairs = []
        for count in (1, 4, 9):
            rows = found.rows.example(count, seed=100 + count)
            ours = run.predict(found.rows.as_read(rows))
            pairs.append((rows, ours.values if ours.probabilities is None else ours.probabilities))
        torch.save(pairs, tmp_path / f"{name}.rows")
        saved = torch.export.load(tmp_path / f"{name}.pt2").state_dict
        assert all(torch.equal(saved[f"net.{key}"], value) for key, value in run.net.state_dict().items())
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *shipped], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "all of them\n", done.stderr


def test_it_says_what_it_is_and_nothing_of_this_machine(run, tmp_path):
    said = CliRunner().invoke(command, [str(run.path), "--output", str(tmp_path / "model.pt2")])
    assert said.exit_code == 0, said.output
    assert said.output.endswith('model.pt2").module()\n')
    extra = {"mytorch": ""}
    model = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    told = json.loads(extra["mytorch"])
    assert (told["run"], told["outputs"]) == (run.path.name, list(model(torch.randn(3, 2))))
    assert str(HOUSE).encode() not in (tmp_path / "model.pt2").read_bytes()


@pytest.mark.slow
def test_a_text_whose_net_knows_one_length_says_which(tmp_path):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    recurrent = {"type": "RNN", "input_size": 16, "hidden_size": 8, "batch_first": True}
    layers = [
        {"type": "Embedding", "num_embeddings": 28, "embedding_dim": 16},
        recurrent,
        {"type": "Take", "index": 0},
    ]
    content = {"epochs": 1, "data.train.path": str(tmp_path / "text.txt"), "data.train.block_size": 8}
    layers += [{"type": "Linear", "in_features": 8, "out_features": 28}, {"type": "Permute", "dims": [0, 2, 1]}]
    content["model.layers"] = layers
    run = train_experiment("text-lstm", content, output=tmp_path / "runs", quiet=True)
    found = export_program(run.path, tmp_path / "model.pt2")
    assert found.to_json()["input"]["shape"] == ["rows", 8]


class Tripled(Module):
    """y = 3 x by an operator that PyTorch has not."""

    def forward(self, x):
        return torch.ops.strangers.triple(x), None

    def backward(self, d_y, saved):
        return d_y * 3


class Asks(Module):
    """y = |x|, if all have one sign."""

    def forward(self, x):
        return (x if x.sum() > 0 else -x), None

    def backward(self, d_y, saved):
        return d_y


def run_with(layer, folder):
    """A run of a net with a layer of one's own behind another."""
    from mytorch.data import TensorDataSet

    net, data = Sequential(Linear(2, 2), layer), TensorDataSet(torch.randn(9, 2), torch.randn(9, 2), ("a", "b"))
    optimizer, recorder = SGD(net.param()), Recorder(folder / "runs")
    fit(net, MSELoss(), optimizer, data, epochs=1, batch_size=9, callbacks=[recorder], quiet=True)
    (path,) = (folder / "runs").iterdir()
    return load(path, classes={type(layer).__name__: type(layer)})


def test_an_operator_that_pytorch_has_not_is_refused_with_the_layer(tmp_path):
    library = torch.library.Library("strangers", "FRAGMENT")
    library.define("triple(Tensor x) -> Tensor")
    library.impl("triple", lambda x: x * 3, "CompositeExplicitAutograd")
    torch.library.register_fake("strangers::triple", torch.empty_like, lib=library)
    run = run_with(Tripled(), tmp_path)
    with pytest.raises(ExportError, match=r"^export: layer '1' \(Tripled\) must compute with PyTorch's own operators"):
        export_program(run, tmp_path / "model.pt2")
    assert not (tmp_path / "model.pt2").exists()


def test_a_layer_that_cannot_be_recorded_is_named_and_torch_prints_nothing(tmp_path, capfd):
    run = run_with(Asks(), tmp_path)
    capfd.readouterr()
    with pytest.raises(ExportError, match=r"^export: layer '1' \(Asks\) must be a graph that torch.export can record"):
        export_program(run, tmp_path / "model.pt2")
    assert capfd.readouterr() == ("", "")


def test_what_is_refused_is_refused_before_anything_is_recorded(run, tmp_path, monkeypatch):
    monkeypatch.setattr(program_file, "record", lambda _found: pytest.fail("must not record"))
    (tmp_path / "there.pt2").write_text("mine")
    with pytest.raises(FileError, match=r"there.pt2: must be a new file, got one that exists; choose another name"):
        export_program(run.path, tmp_path / "there.pt2")
    assert (tmp_path / "there.pt2").read_text() == "mine"
    with pytest.raises(FileError, match=r"model.pt: name must end in .pt2, got .pt"):
        export_program(run.path, tmp_path / "model.pt")
    with pytest.raises(RunError, match="must be the folder of a run"):
        export_program(tmp_path, tmp_path / "model.pt2")
    (run.path / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"weights.safetensors"):
        export_program(run.path, tmp_path / "model.pt2")


def test_a_torch_that_records_less_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.6.0+cpu")
    with pytest.raises(
        ExportError, match=r"^export: torch must be 2.13 or newer to record a model, got 2.6.0\+cpu; in"
    ):
        export_program(run.path, tmp_path / "model.pt2")


def test_without_a_compiler_or_with_other_results_nothing_is_written(run, tmp_path, monkeypatch):
    def no_compiler(*_given, **_settings):
        raise RuntimeError("InvalidCxxCompiler: none")

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", no_compiler)
    with pytest.raises(ExportError, match=r"export: a C\+\+ compiler is needed and none was found; install g\+\+"):
        export_program(run.path, tmp_path / "model.pt2", aot_inductor=True)
    right = torch.export.load

    class Wrong:
        def __init__(self, file):
            self.model = right(file).module()

        def module(self):
            return lambda rows: {name: value + 1e-3 for name, value in self.model(rows).items()}

    monkeypatch.setattr(torch.export, "load", Wrong)
    with pytest.raises(ExportError, match=r"the program must give what the run predicts, to 1e-05, got a difference"):
        export_program(run.path, tmp_path / "model.pt2")
    assert not list(tmp_path.glob("*model*"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="the package and the program in C++ need g++")
def test_a_compiled_package_predicts_in_cpp_as_the_page_shows(tmp_path):
    run = train_experiment("disk-tuned", {"epochs": 1, **FEW}, output=tmp_path / "runs", quiet=True)
    given = [str(run.path), "--aot-inductor", "--output", str(tmp_path / "model.pt2")]
    said = CliRunner().invoke(command, given)
    assert said.exit_code == 0, said.output
    assert said.output.endswith(f'load it in C++: torch::inductor::AOTIModelPackageLoader model("{given[-1]}")\n')
    page = (HOUSE / "docs/export.md").read_text()
    (tmp_path / "predict.cpp").write_text(re.search(r"```cpp\n(// predict.cpp\n.*?)```", page, re.S)[1])
    (compiling,) = re.findall(r"\$ (g\+\+ .*)\n", page)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    subprocess.run(compiling.replace("$TORCH", torch.__path__[0]).split(), cwd=tmp_path, check=True)
    for row in ([0.5, 0.5], [0.9, 0.9], [0.1, 0.6]):
        predict = [tmp_path / "predict", *map(str, row)]
        done = subprocess.run(predict, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        label, p = re.fullmatch(r"(\w+), probability ([\d.e-]+)\n", done.stdout).groups()
        (expected,) = run.predict(torch.tensor([row], dtype=torch.float64)).probabilities
        assert label == run.data["classes"][int(expected.argmax())]
        assert float(p) == pytest.approx(float(expected.max()), abs=1e-5)
    short = subprocess.run([tmp_path / "predict", "0.5"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert short.returncode == 1
    assert "unmatched dim value at 1, expected: 2, but got: 1" in short.stderr
