"""A file for PyTorch alone gives what the run predicts where mytorch cannot be imported."""

import runpy
import subprocess
import sys

import pytest
import torch

from mytorch.experiments import train_experiment
from mytorch.experiments.export import ExportError, export_torch
from mytorch.plugins import FileError

FEW = {"data.train.samples": 60, "data.validation.samples": 20, "data.test.samples": 20}
CHILD = """
import sys
sys.modules["mytorch"] = None
import importlib, torch
for name in sys.argv[1:]:
    model = importlib.import_module(name).load()
    rows, expected = torch.load(f"{name}_rows", weights_only=True)
    with torch.no_grad():
        found = model(rows)["probabilities" if expected.shape != model(rows)["prediction"].shape else "prediction"]
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    model.net.train()(model.prepare(rows))
print("all of them")
"""


@pytest.mark.slow
def test_it_is_loaded_where_there_is_no_mytorch(tmp_path):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    text = {"data.train.path": str(tmp_path / "text.txt")}
    shipped = {
        "disk": FEW,
        "disk-tuned": FEW,
        "adding-lstm": FEW,
        "shapes-unet": FEW,
        "sine-forecast": FEW,
        "vae": FEW,
    }
    shipped |= {"autoencoder": FEW, "text-gpt": text, "text-lstm": text}
    modules = [name.replace("-", "_") for name in shipped]
    for module, (name, overrides) in zip(modules, shipped.items(), strict=True):
        run = train_experiment(name, {"epochs": 1, **overrides}, output=tmp_path / "runs", quiet=True)
        found = export_torch(run.path, tmp_path / f"{module}.pt")
        rows = found.rows.example(4, seed=9)
        expected = run.predict(found.rows.as_read(rows))
        values = expected.values if expected.probabilities is None else expected.probabilities
        torch.save((rows, values), tmp_path / f"{module}_rows")
        saved = torch.load(tmp_path / f"{module}.pt", weights_only=True)
        assert all(torch.equal(saved[key], value) for key, value in run.net.state_dict().items())
    command = [sys.executable, "-W", "error", "-c", CHILD, *modules]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "all of them\n", done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="names of folders are plain there")
def test_the_name_of_a_run_is_never_code(tmp_path):
    made = train_experiment("disk", {"epochs": 1, **FEW}, output=tmp_path / "runs", quiet=True).path
    name = 'a"""+str(1%0)+r"""\'\'\'b\\N\n1%0\né'
    export_torch(made.rename(tmp_path / name), tmp_path / "model.pt")
    assert runpy.run_path(str(tmp_path / "model.py"))["RUN"] == name


def test_what_is_refused_leaves_both_files_alone(run, tmp_path):
    (tmp_path / "model.py").write_text("mine")
    with pytest.raises(FileError, match=r"model.py: must be a new file, got one that exists"):
        export_torch(run.path, tmp_path / "model.pt")
    assert (tmp_path / "model.py").read_text() == "mine"
    with pytest.raises(ExportError, match=r"^export: the net \(Chain\) must be one of torch.nn, or of mytorch.nn"):
        export_torch(run.path, tmp_path / "other.pt")
    assert not list(tmp_path.glob("other.*"))
