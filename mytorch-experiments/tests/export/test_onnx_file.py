"""An ONNX file gives what the run predicts, for every shipped experiment; `tox -e extras` has the libraries."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mytorch.commands.export import onnx as command
from mytorch.core import Module, Parameter
from mytorch.experiments import Recorder, RunError, load, train_experiment
from mytorch.experiments.export import ExportError, export_onnx
from mytorch.experiments.export.onnx_file import run_onnx
from mytorch.nn import GRU, LastStep, Linear, MSELoss, Padded, Sequential, Take
from mytorch.optim import SGD
from mytorch.plugins import FileError, MissingRequirementError
from mytorch.train import fit

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True, scope="module")
def registry():
    """Torch reads the source of every operator of ONNX at each export, which takes longest: here, once."""
    from torch.onnx._internal.exporter import _registration

    make, made = _registration.ONNXRegistry.from_torchlib, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            _registration.ONNXRegistry,
            "from_torchlib",
            staticmethod(lambda **options: made[0] if made else made.append(make(**options)) or made[0]),
        )
        yield


def write_images(folder):
    draw = np.random.default_rng(0)
    for row in range(24):
        file = folder / "ab"[row % 2] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (40, 36, 3)).astype(np.uint8)).save(file)


def write_text(file):
    file.write_text("the quick brown fox jumps over the lazy dog. " * 60)


FEW = {"data.train.samples": 60, "data.validation.samples": 20, "data.test.samples": 20}
SHIPPED = {
    "adding-lstm": FEW,
    "autoencoder": FEW,
    "digits-cnn": {},
    "disk": FEW,
    "disk-tuned": FEW,
    "resnet": {"data.train.path": "images"},
    "shapes-unet": FEW,
    "sine-forecast": FEW,
    "text-gpt": {"data.train.path": "text.txt"},
    "text-lstm": {"data.train.path": "text.txt"},
    "vae": FEW,
}


def test_every_shipped_experiment_is_here():
    import mytorch.experiments.shipped

    folder = Path(mytorch.experiments.shipped.__file__).parent
    assert {file.stem for file in folder.glob("*.toml")} == SHIPPED.keys()


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Trains a shipped experiment for one epoch."""
    monkeypatch.chdir(tmp_path)

    def train(name):
        if name == "digits-cnn":
            pytest.importorskip("sklearn")
        write_images(tmp_path / "images")
        write_text(tmp_path / "text.txt")
        return train_experiment(name, {"epochs": 1, **SHIPPED[name]}, output=tmp_path / "runs", quiet=True)

    return train


@pytest.mark.parametrize("name", SHIPPED)
def test_it_gives_what_the_run_predicts_under_the_names_of_the_run(name, shipped, tmp_path):
    run = shipped(name)
    found = export_onnx(run.path, tmp_path / "model.onnx")
    assert found.difference <= 1e-5
    content = (tmp_path / "model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    weights = run.net.state_dict()
    kept = {each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy()) for each in model.graph.initializer}
    needed = {name for name in weights if not name.endswith("num_batches_tracked")}
    assert needed <= kept.keys()
    assert all(torch.equal(kept[name], weights[name]) for name in needed)
    axes = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert axes == found.to_json()["input"]["shape"]
    for count in (1, 4, 9):
        rows = found.rows.example(count, seed=100 + count)
        ours, theirs = run.predict(found.rows.as_read(rows)), run_onnx(content, rows)
        expected = ours.values if ours.probabilities is None else ours.probabilities
        given = torch.from_numpy(theirs["prediction" if ours.probabilities is None else "probabilities"])
        torch.testing.assert_close(given.double(), expected, rtol=1e-5, atol=1e-5)
    (entry,) = model.metadata_props
    said = json.loads(entry.value)
    assert (said["run"], said["classes"]) == (run.path.name, run.data["classes"] and list(run.data["classes"]))
    assert said["preparation"] == (run.data["preparation"] or {})


def test_images_go_in_as_their_pixels_are_in_the_files(shipped, tmp_path):
    run = shipped("resnet")
    export_onnx(run.path, tmp_path / "model.onnx")
    files = sorted((tmp_path / "images").rglob("*.png"))[:5]
    folder = tmp_path / "few/a"
    folder.mkdir(parents=True)
    pixels = []
    for file in files:
        image = Image.open(file).resize((32, 32))
        image.save(folder / file.name)
        pixels.append(np.asarray(image).transpose(2, 0, 1))
    found = run_onnx((tmp_path / "model.onnx").read_bytes(), torch.from_numpy(np.stack(pixels)))
    expected = run.predict(folder.parent)
    order = [int(Path(name).stem) for name in run.rows_of(folder.parent).row_names[1]]
    assert order == [int(file.stem) for file in sorted(folder.glob("*.png"))]
    by_name = {int(file.stem): row for row, file in enumerate(files)}
    rows = [by_name[number] for number in order]
    assert np.allclose(found["probabilities"][rows], expected.probabilities, atol=1e-5)


@pytest.fixture
def table(tmp_path):
    """A table with a column far from 0, a column of text and holes, its run, and rows to predict."""
    draw = np.random.default_rng(1)
    with (tmp_path / "houses.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["year", "area", "kind", "price"])
        for row in range(60):
            area = "" if row % 7 == 3 else round(draw.uniform(20, 200), 1)
            writer.writerow([1.7e9 + draw.integers(0, 1000), area, ["flat", "house"][row % 2], 1000 + row])
    options = {"missing": "mean", "encode": "one-hot"}
    content = {
        "name": "houses",
        "epochs": 1,
        "batch_size": 10,
        "data": {
            "standardize": True,
            "targets": "standardize",
            "train": {"type": "Table", "path": str(tmp_path / "houses.csv"), "target": "price", **options},
            "split": {"test": 0.2},
        },
        "model": {"type": "Sequential", "layers": [{"type": "Linear", "in_features": 4, "out_features": 1}]},
        "loss": {"type": "MSELoss"},
        "optimizer": {"type": "SGD", "lr": 0.01},
    }
    return train_experiment(content, output=tmp_path / "runs", quiet=True)


def test_a_table_goes_in_with_its_holes_and_large_numbers_and_its_target_comes_out_in_units(table, tmp_path):
    found = export_onnx(table.path, tmp_path / "model.onnx")
    said = found.to_json()
    assert said["columns"] == ["year", "area", "kind=flat", "kind=house"]
    assert said["targets"] == ["price"]
    assert said["input"] == {"name": "rows", "dtype": "float64", "shape": ["rows", 4], "axes": ["row", "column"]}
    rows = torch.tensor([[1.7e9 + 3, 50, 1, 0], [1.7e9 + 900, float("nan"), 0, 1]], dtype=torch.float64)
    (tmp_path / "new.csv").write_text("kind,year,area\nflat,1700000003,50\nhouse,1700000900,\n")
    given = run_onnx((tmp_path / "model.onnx").read_bytes(), rows)
    assert np.allclose(given["prediction"], table.predict(tmp_path / "new.csv").values, rtol=1e-5)
    assert given["prediction"].min() > 500


class Doubled(Module):
    """y = x * scale, as a stranger may write it."""

    def __init__(self):
        self.scale = Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, x):
        return x * self.scale.value, x

    def backward(self, d_y, x):
        self.scale.accumulate((d_y * x).sum(0))
        return d_y * self.scale.value


class Spectrum(Doubled):
    """y = scale * det(x x^T + 1), for which ONNX has no operator here."""

    def forward(self, x):
        eigenvalues = torch.linalg.eigvalsh(x.unsqueeze(2) * x.unsqueeze(1))
        return eigenvalues * self.scale.value, x


def run_of(net, data, folder, columns=("a", "b")):
    """A run of a net that was trained from Python."""
    from mytorch.data import TensorDataSet

    data = TensorDataSet(*data, columns) if isinstance(data, tuple) else data
    optimizer, recorder = SGD(net.param(), lr=0.0), Recorder(folder / "runs")
    fit(net, MSELoss(), optimizer, data, epochs=1, batch_size=len(data), callbacks=[recorder], quiet=True)
    (path,) = (folder / "runs").iterdir()
    return load(path, classes={"Doubled": Doubled, "Spectrum": Spectrum})


def test_a_layer_of_ones_own_is_computed_by_its_own_forward(tmp_path):
    run = run_of(Sequential(Doubled(), Linear(2, 1)), (torch.randn(10, 2), torch.randn(10, 1)), tmp_path)
    assert export_onnx(run, tmp_path / "model.onnx").difference < 1e-6
    model = onnx.load(tmp_path / "model.onnx")
    assert {"0.scale", "1.weight", "1.bias"} <= {each.name for each in model.graph.initializer}


def test_a_layer_without_an_operator_is_named_and_nothing_written(tmp_path):
    run = run_of(Sequential(Linear(2, 2), Spectrum()), (torch.randn(10, 2), torch.randn(10, 2)), tmp_path)
    with pytest.raises(ExportError, match=r"export: layer '1' \(Spectrum\) must have operators of ONNX, got aten"):
        export_onnx(run, tmp_path / "model.onnx")
    assert not list(tmp_path.glob("*.onnx*"))


def test_sequences_of_any_length_go_in(tmp_path):
    from mytorch.data.sequences import RaggedDataSet

    data = RaggedDataSet([torch.randn(steps, 2) for steps in (3, 5, 4, 2)], torch.randn(4, 1))
    net = Padded(GRU(2, 4, batch_first=True), Take(0), LastStep(), Linear(4, 1))
    run = run_of(net, data, tmp_path)
    export_onnx(run, tmp_path / "model.onnx", example=data[:2][0])
    content = (tmp_path / "model.onnx").read_bytes()
    for steps in (1, 4, 11):
        rows = torch.randn(3, steps, 2)
        expected = run.predict(rows).values
        assert np.allclose(run_onnx(content, rows)["prediction"], expected, atol=1e-5)


def test_what_is_refused_is_refused_before_anything_is_recorded(tmp_path, shipped, monkeypatch):
    run = shipped("disk")
    (tmp_path / "there.onnx").write_text("mine")
    with pytest.raises(FileError, match=r"there.onnx: must be a new file, got one that exists; choose another name"):
        export_onnx(run.path, tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_text() == "mine"
    with pytest.raises(FileError, match=r"model.pt: name must end in .onnx, got .pt"):
        export_onnx(run.path, tmp_path / "model.pt")
    with pytest.raises(RunError, match="must be the folder of a run"):
        export_onnx(tmp_path, tmp_path / "model.onnx")
    (run.path / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"weights.safetensors"):
        export_onnx(run.path, tmp_path / "model.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    said = CliRunner().invoke(command, [str(run.path), "-o", str(tmp_path / "model.onnx")])
    assert isinstance(said.exception, MissingRequirementError)
    assert str(said.exception) == (
        "export onnx: onnxruntime is not installed. Install: python -m pip install './mytorch-experiments[onnx]'"
    )


def test_a_file_that_computes_something_else_is_not_written(tmp_path, shipped, monkeypatch):
    from mytorch.experiments.export import onnx_file

    run = shipped("disk")
    right = onnx_file.run_onnx
    monkeypatch.setattr(
        onnx_file, "run_onnx", lambda *given: {k: v + np.float32(1e-3) for k, v in right(*given).items()}
    )
    with pytest.raises(ExportError, match=r"the ONNX file must give what the run predicts, to 1e-05, got a diff"):
        export_onnx(run.path, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
