"""The folder of a run."""

import json
import math
from datetime import datetime as real
from pathlib import Path

import pytest

from mytorch.experiments import RunError
from mytorch.experiments.runs import run_folder as implementation
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.plugins import FileError


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs", "disk")


class Frozen(real):
    @classmethod
    def now(cls):
        return cls(2026, 1, 2, 3, 4, 5)


def test_two_runs_in_the_same_second(tmp_path, monkeypatch):
    monkeypatch.setattr(implementation, "datetime", Frozen)
    made = [RunFolder.create(tmp_path / "deep" / "runs", "disk").path.name for _ in range(3)]
    assert made == ["disk-20260102-030405", "disk-20260102-030405-2", "disk-20260102-030405-3"]


def test_a_name_that_is_no_file_name(tmp_path):
    path = RunFolder.create(tmp_path, "../a b/ä:c").path
    assert path.parent == tmp_path
    assert path.name.startswith("..-a-b-c-")


def test_a_parent_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"file: must be a folder that can be written, got .*exists"):
        RunFolder.create(tmp_path / "file", "disk")
    with pytest.raises(FileError, match="must be a folder that can be written"):
        RunFolder.create(tmp_path / "file" / "below", "disk")


def test_open(folder):
    with pytest.raises(RunError, match=r"must be the folder of a run, such as .*, got no folder"):
        RunFolder.open(folder.path / "none")
    with pytest.raises(RunError, match=r"must be the folder of a run, got one without summary.json$"):
        RunFolder.open(folder.path)
    folder.write_json("summary.json", {})
    assert RunFolder.open(folder.path).path == folder.path
    with pytest.raises(RunError, match=rf"without summary.json; it holds runs: {folder.path.name}"):
        RunFolder.open(folder.path.parent)


@pytest.mark.parametrize("text", ["epoch,lr\n1,zero\n", "epoch,lr\n1,2,3\n", "epoch\n\0\n", "\xff\xfe\n1\n"])
def test_a_damaged_history(folder, text):
    (folder.path / "history.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"history.csv: must be a history that a run wrote, got"):
        folder.history()


class Full:
    """A file on a disk that fills up in the middle of a line."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def tell(self):
        return self.file.tell()

    def write(self, text):
        self.file.write(text[: len(text) // 2])
        raise OSError(28, "No space left on device")


def fill_disk(monkeypatch):
    opened = Path.open

    def full(path, mode="r", **options):
        file = opened(path, mode, **options)
        return Full(file) if set(mode) & set("wa") else file

    monkeypatch.setattr(Path, "open", full)

    def write_text(path, text, encoding):
        with full(path, "w", encoding=encoding) as file:
            file.write(text)

    monkeypatch.setattr(Path, "write_text", write_text)


def test_a_full_disk_leaves_no_half_file(folder, monkeypatch):
    folder.write_json("summary.json", {"status": "running"})
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    fill_disk(monkeypatch)
    for name, act in {
        "summary.json": lambda: folder.write_json("summary.json", {"status": "finished"}),
        "experiment.toml": lambda: folder.write_experiment("name = 'x'"),
    }.items():
        with pytest.raises(FileError, match=rf"{name}: must be writable, got No space left on device"):
            act()
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def test_json_is_strict(folder):
    folder.write_json("summary.json", {"last": {"loss": math.nan, "lr": 0.1}, "list": (math.inf, 1)})
    text = (folder.path / "summary.json").read_text()
    assert json.loads(text, parse_constant=lambda _: pytest.fail("not JSON")) == {
        "last": {"loss": None, "lr": 0.1},
        "list": [None, 1],
    }
    with pytest.raises(FileError, match=r"data.json: contents must be what JSON can hold, got .*object"):
        folder.write_json("data.json", {"preparation": object()})
    assert not (folder.path / "data.json").exists()


def test_damaged_json(folder):
    (folder.path / "summary.json").write_text('{"status": ')
    with pytest.raises(RunError, match=r"summary.json: must be a whole JSON file, got"):
        folder.read_json("summary.json")


def test_figures_that_cannot_be_made(folder):
    (folder.path / "figures").write_text("")
    with pytest.raises(FileError, match="figures: must be a folder that can be written, got File exists"):
        _ = folder.figures


def test_a_link_among_the_figures_is_not_followed(tmp_path):
    folder = RunFolder.create(tmp_path / "runs", "disk")
    (outside := tmp_path / "outside").mkdir()
    (folder.path / "figures").symlink_to(outside, target_is_directory=True)
    with pytest.raises(FileError, match=r"figures: must be of the run's own, got a link to .*outside; remove"):
        _ = folder.figures
    (folder.path / "figures").unlink()
    (folder.figures / "loss.png").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(FileError, match=r"loss.png: must be of the run's own, got a link to .*precious.txt; remove"):
        _ = folder.figures
