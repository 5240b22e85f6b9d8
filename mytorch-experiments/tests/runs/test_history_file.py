"""The history of a run while it is written."""

import math
import resource
from io import FileIO

import pytest

from mytorch.experiments.runs.history_file import HistoryFile
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.plugins import FileError

COLUMNS = ["epoch", "lr", "train_loss", "test_loss"]


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs", "disk")


@pytest.fixture
def file(folder):
    file = HistoryFile(folder.path / "history.csv", COLUMNS)
    yield file
    file.close()


def test_each_line_is_there_at_once(folder, file):
    records = [
        {"epoch": 1, "lr": 0.1, "train_loss": 1 / 3},
        {"epoch": 2, "lr": 1e-9, "train_loss": 2.0, "test_loss": 0},
    ]
    assert folder.history() == []
    assert not file.path.exists()
    for number, record in enumerate(records, 1):
        file.add({**record, "extra": 1})
        assert folder.history() == records[:number]
    assert file.path.read_text().splitlines()[:2] == ["epoch,lr,train_loss,test_loss", f"1,0.1,{1 / 3!r},"]


def test_it_goes_on_after_it_was_closed(folder, file):
    file.add({"epoch": 1, "lr": 0.5})
    file.close()
    file.close()
    file.add({"epoch": 2, "lr": 0.25})
    assert folder.history() == [{"epoch": 1, "lr": 0.5}, {"epoch": 2, "lr": 0.25}]


@pytest.mark.parametrize("left", [b"", b"epoch,lr,train_loss,test_loss\n1,0.5,,\n"])
def test_a_file_that_is_replaced_or_deleted_in_between(folder, file, left):
    file.add({"epoch": 1, "lr": 0.5})
    file.path.unlink()
    if left:
        file.path.write_bytes(left)
    file.add({"epoch": 2, "lr": 0.25})
    assert folder.history() == [{"epoch": 1, "lr": 0.5}] * bool(left) + [{"epoch": 2, "lr": 0.25}]


def test_numbers_that_are_not_finite_come_back(folder, file):
    file.add({"epoch": 1, "lr": math.nan, "train_loss": math.inf, "test_loss": -math.inf})
    (record,) = folder.history()
    assert math.isnan(record["lr"])
    assert (record["train_loss"], record["test_loss"]) == (math.inf, -math.inf)


def test_a_disk_that_is_full_in_the_middle_of_a_line(folder, file):
    file.add({"epoch": 1, "lr": 0.5})
    before = file.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 3, limits[1]))
    try:
        with pytest.raises(FileError, match=r"history.csv: must be writable, got No space left on device"):
            file.add({"epoch": 2, "lr": 0.25})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.path.read_bytes() == before
    file.add({"epoch": 2, "lr": 0.25})
    assert folder.history() == [{"epoch": 1, "lr": 0.5}, {"epoch": 2, "lr": 0.25}]


def test_a_folder_that_is_gone(tmp_path):
    file = HistoryFile(tmp_path / "gone" / "history.csv", COLUMNS)
    with pytest.raises(FileError, match=r"gone/history.csv: must be writable, got .*No such file"):
        file.add({"epoch": 1})


def test_a_file_that_does_not_close(file):
    class Refusing(FileIO):
        def close(self):
            super().close()
            raise OSError(122, "Disk quota exceeded")

    file._file = Refusing(file.path, "ab")
    with pytest.raises(FileError, match=r"history.csv: must be writable, got Disk quota exceeded"):
        file.close()
    file.close()
