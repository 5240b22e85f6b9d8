"""A run whose machine loses power at any moment: each state that the disk may be in opens, and goes on to the bit.

A recorder notes every write, rename, removal and fsync of a run. After each of them the disk holds what is certain,
which is what an fsync confirmed of a file or of the names in a folder, and perhaps more: the latest names, or some of
what was written since. These are the states in which a run must be found as it was, or as it is now.
"""

import os
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from runs_to_end import end_of, same, train

from mytorch.experiments import list_runs, load
from mytorch.experiments.callbacks import boundary_figure, recorder
from mytorch.experiments.runs import history_file
from mytorch.experiments.runs.runs import DAMAGED, DIED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file an fsync is of")
CALLS = ("fsync", "replace", "unlink", "truncate")


class Disk:
    """What is certain to be on the disk of a folder, and every state that a loss of power may leave.

    states: for each, the contents of the files by name, with the operation after which it may be found.
    """

    def __init__(self, folder, monkeypatch):
        self.folder, self.lock, self.states = folder, threading.RLock(), {}
        self.certain, self.names, self.held = {}, {}, {}
        for path, number in self._files().items():
            self.certain[number] = path.read_bytes()
            self.names[path] = number
        for name in CALLS:
            monkeypatch.setattr(os, name, self._noted(name, getattr(os, name)))
        disk = self

        class Noted(history_file.FileIO):
            def write(self, content):
                with disk.lock:
                    written = super().write(content)
                    disk.note(f"write {self.name}")
                return written

        monkeypatch.setattr(history_file, "FileIO", Noted)

    def _files(self):
        """The numbers of the files by their names, without a file that another thread renames meanwhile."""
        numbers = {}
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    numbers[path] = self._inode(path)
        return numbers

    def _inode(self, path):
        """The number of a file, which is not used again: the file is held open."""
        number = path.stat().st_ino
        if number not in self.held:
            self.held[number] = path.open("rb")
        return number

    def _noted(self, name, call):
        def noted(first, *args, **options):
            with self.lock:
                result = call(first, *args, **options)
                path = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else Path(first)
                if self.folder in (path, *path.parents):
                    if name == "fsync":
                        self._confirm(path)
                    self.note(f"{name} {path}")
            return result

        return noted

    def _confirm(self, path):
        if path.is_dir():
            kept = {name: number for name, number in self.names.items() if name.parent != path}
            self.names = kept | {name: number for name, number in self._files().items() if name.parent == path}
        else:
            self.certain[self._inode(path)] = path.read_bytes()

    def note(self, operation):
        """Note the states that a loss of power may leave after an operation."""
        now = self._files()
        for names in (now, self.names):
            for share in (0.0, 0.5, 1.0):
                state = {path.relative_to(self.folder): self._content(number, share) for path, number in names.items()}
                self.states.setdefault(tuple(sorted(state.items())), operation)

    def _content(self, number, share):
        """What is certain of a file, and a share of what was written since."""
        file, certain = self.held[number], self.certain.get(number, b"")
        file.seek(0)
        now = file.read()
        start = len(certain) if now.startswith(certain) else 0
        since = now[start : start + int(share * (len(now) - start))]
        return certain + since if start == len(certain) or not since else since

    def close(self):
        for file in self.held.values():
            file.close()


@pytest.fixture
def plain_runs(monkeypatch):
    """Runs that draw no figures, which nothing is resumed from."""
    monkeypatch.setattr(recorder, "draw_history", lambda *_: None)
    monkeypatch.setattr(boundary_figure, "draw_decision_boundary", lambda *_, **_named: None)


def recorded(work, folder):
    """Every state that the disk may be in while work is done in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(folder, patch)
        try:
            work()
        finally:
            disk.close()
    return disk.states


def require_run(state, place, epochs, expected):
    """The run of a state opens, is not taken for another, and goes on to the same end."""
    for name, content in state:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    if not list(place.glob("*/experiment.toml")):
        return "nothing"
    (listed,) = list_runs(place)
    if (listed.path / "summary.json").is_file():
        assert listed.status != DAMAGED, listed.reason
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that are older than the history
            found = load(listed.path)
        assert found.summary["status"] in ("running", "finished")
    if listed.status != "finished" or listed.epochs < epochs:
        train(place, epochs, resume=listed.path)
    assert same(end_of(listed.path), expected)
    return listed.status


def require_states(states, tmp_path, epochs, expected):
    """All of them. Returns how many runs were found finished, killed, and so on."""
    found = {}
    for number, (state, operation) in enumerate(states.items()):
        place = tmp_path / str(number)
        place.mkdir()
        try:
            status = require_run(state, place, epochs, expected)
        except BaseException as error:
            error.add_note(f"after {operation}")
            raise
        found[status] = found.get(status, 0) + 1
    return found


def test_a_new_run(plain_runs, tmp_path):
    expected = end_of(train(tmp_path / "whole").path)
    (place := tmp_path / "runs").mkdir()
    states = recorded(lambda: train(place), place)
    assert len(states) > 30
    found = require_states(states, tmp_path, 2, expected)
    assert found.keys() >= {"nothing", DIED, "finished"}


def test_a_finished_run_that_gets_more_epochs(plain_runs, tmp_path):
    expected = end_of(train(tmp_path / "whole", 3).path)
    path = train(place := tmp_path / "runs", 2).path
    states = recorded(lambda: train(place, 3, resume=path), place)
    found = require_states(states, tmp_path, 3, expected)
    assert found.keys() == {DIED, "finished"}
    assert found["finished"] >= 2, "the run as it was, and as it is now"


def test_a_file_that_is_renamed_before_it_is_written_to_the_disk_would_be_found(plain_runs, tmp_path, monkeypatch):
    """That the recorder sees what it is there for."""
    place = tmp_path / "runs"
    place.mkdir()
    monkeypatch.setattr("mytorch.plugins.files._flush_to_disk", lambda _path: None)
    states = recorded(lambda: train(place), place)
    assert any(name.name == "summary.json" and not content for state in states for name, content in state)
