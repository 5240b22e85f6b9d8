"""Disks that refuse at any moment of a run: it ends with an error that says where, or without one and whole.

What it leaves opens, or is named as what is missing, and goes on to the bit once there is room.
"""

import errno
import os
import shutil
import threading
import warnings
from pathlib import Path

import pytest
import safetensors
from runs_to_end import end_of, same, train

from mytorch.experiments import list_runs, load
from mytorch.experiments.callbacks import boundary_figure, recorder
from mytorch.experiments.figures.attempt import FigureWarning
from mytorch.experiments.runs import history_file
from mytorch.experiments.runs.run_folder import SETTLED, RunFolder
from mytorch.experiments.runs.run_lock import is_alive, lock_run, process_of_now
from mytorch.experiments.runs.runs import DAMAGED
from mytorch.plugins import Callback, FileError
from mytorch.train import RunError, sealed


def no_room(*_args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Refusals:
    """Counts what is asked of a disk, and refuses from one number on, or that one alone.

    A write that is refused has written half.
    """

    def __init__(self, monkeypatch, first, last):
        self.first, self.last, self.asked, self.lock = first, last, 0, threading.Lock()
        for name in ("fsync", "replace", "mkdir"):
            monkeypatch.setattr(os, name, self._asking(getattr(os, name)))
        for name in ("touch", "write_bytes"):
            monkeypatch.setattr(Path, name, self._asking(getattr(Path, name), self._half))
        monkeypatch.setattr(sealed, "save_file", self._saving(sealed.save_file))
        refusals = self

        class Half(history_file.FileIO):
            def write(self, content):
                return super().write(content[: len(content) // 2] if refusals.refuses() else content)

        monkeypatch.setattr(history_file, "FileIO", Half)

    def refuses(self):
        with self.lock:
            self.asked += 1
            return self.first <= self.asked <= self.last

    def _asking(self, call, half=None):
        def asking(*args, **options):
            if self.refuses():
                if half is not None:
                    half(call, *args)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **options)

        return asking

    @staticmethod
    def _half(call, path, content=None, **_options):
        if isinstance(content, bytes):
            call(path, content[: len(content) // 2])

    def _saving(self, call):
        def saving(tensors, path, metadata):
            call(tensors, path, metadata)
            if self.refuses():
                os.truncate(path, path.stat().st_size // 2)
                raise safetensors.SafetensorError("No space left on device (os error 28)")

        return saving


@pytest.fixture
def whole(monkeypatch, tmp_path):
    """The end of a run that nothing was refused; no figures are drawn, which nothing is resumed from."""
    monkeypatch.setattr(recorder, "draw_history", lambda *_: None)
    monkeypatch.setattr(boundary_figure, "draw_decision_boundary", lambda *_, **_named: None)
    return end_of(train(tmp_path / "whole").path)


def attempt(place, first, last):
    """Train while a disk refuses. What was raised, and how often the disk was asked."""
    with pytest.MonkeyPatch.context() as patch:
        refusals = Refusals(patch, first, last)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FigureWarning)  # a run without its figures is whole
                train(place)
        except FileError as error:
            return error, refusals.asked
        return None, refusals.asked


def require_honest(place, error, whole):
    """What a refused run leaves: no part of a file, a status that is true, and a run that goes on."""
    assert not [path for path in place.rglob("*") if path.name.endswith(".part")]
    if not list(place.glob("*/experiment.toml")):
        assert error is not None
        return
    (listed,) = list_runs(place)
    if listed.status == "failed" and listed.epochs and not (listed.path / "checkpoint.safetensors").is_file():
        assert len(load(listed.path).history) == listed.weights_epoch == listed.epochs
        with pytest.raises(RunError, match=r"checkpoint.safetensors: this file is missing, .*; train it anew"):
            train(place, resume=listed.path)
        return
    if (listed.path / "summary.json").is_file():
        assert listed.status != DAMAGED, listed.reason
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that are older than the history
            if listed.epochs or all((listed.path / name).is_file() for name in SETTLED):
                load(listed.path)
        assert (listed.status == "finished") == (error is None)
        if error is not None:
            assert any(str(listed.path) in text for text in (str(error), *getattr(error, "__notes__", ())))
    if listed.status != "finished":
        train(place, resume=listed.path)
    assert same(end_of(listed.path), whole)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_a_full_disk_at_each_operation(whole, tmp_path, lasting):
    error, most = attempt(tmp_path / "counted", 10**9, 10**9)
    assert error is None
    assert most > 40
    failed = 0
    for number in range(1, most + 1):
        place = tmp_path / str(number)
        error, _ = attempt(place, number, 10**9 if lasting else number)
        try:
            require_honest(place, error, whole)
        except BaseException as wrong:
            wrong.add_note(f"operation {number}, after {error!r}")
            raise
        failed += error is not None
    assert failed > most / 2


def test_a_folder_that_is_removed_while_a_run_trains(whole, tmp_path):
    class Removes(Callback):
        def batch_ended(self, run, epoch, batch):
            if (epoch, batch) == (1, 2):
                run.checkpoint.close()
                shutil.rmtree(run.folder)

    refused = r"disk-[-0-9]*/[a-z.]*: must be writable, got No such file or directory"
    removed = "the decision boundary could not be drawn .* got no folder; it was removed"
    with pytest.warns(FigureWarning, match=removed), pytest.raises(FileError, match=refused):
        train(tmp_path / "runs", callbacks=[Removes()])
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_removed_folder_is_not_made_anew_for_figures(tmp_path):
    path = train(tmp_path / "runs").path
    shutil.rmtree(path)
    with pytest.raises(FileError, match=rf"^{path}: must be the folder of a run, got no folder; it was removed$"):
        _ = RunFolder(path).figures
    assert not path.exists()


def test_an_error_is_not_hidden_by_the_next_of_a_full_disk(whole, tmp_path):
    """The first says why the run ended, with a line about the second, and with the way out."""

    class Fails(Callback):
        must_succeed = True

        def batch_ended(self, run, epoch):
            if epoch == 2:
                run.checkpoint.close()
                patch.setattr(os, "fsync", no_room)
                raise ValueError("the first")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError, match="the first") as info:
        train(tmp_path / "runs", callbacks=[Fails()])
    (path,) = (tmp_path / "runs").iterdir()
    full = f"{path}/weights.safetensors: must be writable, got No space left on device"
    assert info.value.__notes__ == [
        f"The end of the run could not be written to {path}: {full}",
        f"Resume with: mytorch resume {path}",
    ]
    train(tmp_path / "runs", resume=path)
    assert same(end_of(path), whole)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOLCK, "must be on a file system that can lock files, got No locks available"),
        (errno.EOPNOTSUPP, "must be on a file system that can lock files, got Operation not supported"),
        (errno.ESTALE, "must be writable, got Stale file handle"),
    ],
)
def test_a_file_system_without_locks(monkeypatch, tmp_path, number, text):
    def refuse(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    with pytest.raises(FileError, match=rf"run.lock: {text}$"):
        lock_run(tmp_path)
    assert is_alive(tmp_path, process_of_now()) is None


def test_a_folder_that_is_read_only(whole, tmp_path, monkeypatch):
    """Root may write anywhere, so that the system's refusal is put in its place."""

    def refuse(*_args, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    path = train(tmp_path / "runs").path
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with monkeypatch.context() as patch:
        for name in ("mkdir", "replace", "open"):
            patch.setattr(os, name, refuse)
        with pytest.raises(FileError, match=r"runs: must be a folder that can be written, got Read-only file system"):
            train(tmp_path / "runs")
        with pytest.raises(FileError, match=r"run.lock: must be writable, got Read-only file system"):
            train(tmp_path / "runs", 3, resume=path)
        assert load(path).summary["status"] == "finished"
        assert [run.status for run in list_runs(tmp_path / "runs")] == ["finished"]
    assert before == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
