"""Writing files whole or not at all, and the refusal to write over one that is there."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mytorch.plugins import FileError, MytorchError, refuse_overwrite, whole_file, write_file


@pytest.fixture
def mask() -> Iterator[int]:
    old = os.umask(0o027)
    yield 0o640
    os.umask(old)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def begin(path: Path, error: BaseException) -> None:
    """Write half of a file, and fail."""
    with whole_file(path) as beside:
        beside.write_text("half")
        raise error


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_file(tmp_path / "a.txt", "ä\nb\r\n")
    write_file(tmp_path / "a.bin", b"\x00\xff")
    assert (tmp_path / "a.txt").read_bytes() == "ä\nb\r\n".encode()
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff"
    write_file(tmp_path / "a.txt", "shorter")
    assert (tmp_path / "a.txt").read_text() == "shorter"
    assert {file.name for file in tmp_path.iterdir()} == {"a.txt", "a.bin"}


@pytest.mark.parametrize("error", [ValueError("lost"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_an_error_or_ctrl_c_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    for before in (None, "mine"):
        if before is not None:
            path.write_text(before)
        with pytest.raises(type(error)):
            begin(path, error)
        assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["a.txt"])
    assert path.read_text() == "mine"


def test_the_systems_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("mine")
    with pytest.raises(FileError) as info:
        begin(path, OSError(28, "No space left on device", "another name"))
    assert str(info.value) == f"{path}: must be writable, got No space left on device"
    assert isinstance(info.value, OSError)
    assert isinstance(info.value, MytorchError)
    assert isinstance(info.value.__cause__, OSError)
    assert path.read_text() == "mine"


def test_an_error_of_the_project_inside_the_block_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"^rows: must be readable, got none$"), whole_file(tmp_path / "a"):
        raise FileError("rows: must be readable, got none")


def test_the_mode_is_that_of_any_new_file(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "x")
    assert mode_of(path) == mask
    with whole_file(path) as beside:  # as libraries do that make a file of their own and move it
        private = beside.with_name("private")
        private.touch(mode=0o600)
        private.replace(beside)
    assert mode_of(path) == mask


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "a.txt", tmp_path / "link.txt"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(real)
    write_file(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert [file.name for file in real.parent.iterdir()] == ["a.txt"]


def test_the_content_is_on_the_disk_before_it_is_moved_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    replace, fsync = Path.replace, os.fsync

    def recording(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"{os.fstat(handle).st_size} bytes")
        fsync(handle)

    def moving(path: Path, target: Path) -> Path:
        done.append("moved")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", recording)
    monkeypatch.setattr(Path, "replace", moving)
    write_file(tmp_path / "a.txt", "12345")
    assert done == ["5 bytes", "moved", "folder"]


def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuses(path: Any, flags: int, *more: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", refuses)
    write_file(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text() == "x"


def test_a_process_that_is_killed_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = f"""
import sys, time
from pathlib import Path
from mytorch.plugins import whole_file
with whole_file(Path({str(path)!r})) as beside:
    beside.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"


def test_two_that_write_at_once_leave_the_whole_of_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as first:
        first.write_text("first")
        with whole_file(path) as second:
            second.write_text("second")
            assert first != second
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_a_name_as_long_as_the_system_takes(tmp_path: Path) -> None:
    write_file(tmp_path / ("a" * 251 + ".txt"), "x")
    assert [len(file.name) for file in tmp_path.iterdir()] == [255]


def test_what_is_no_ordinary_file_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="must be a file, got a folder; name a file in it"):
        write_file(tmp_path, "x")
    os.mkfifo(tmp_path / "pipe")
    for refused in (lambda path: write_file(path, "x"), lambda path: refuse_overwrite(path, force=True)):
        with pytest.raises(FileError, match=r"pipe: must be an ordinary file, got something else, such as a device"):
            refused(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.txt"
    with pytest.raises(FileError, match=rf"^{path}: must be writable, got No such file or directory$"):
        write_file(path, "x")
    with pytest.raises(FileError, match=rf"^{path}: its folder must exist; create it with: mkdir -p {path.parent}$"):
        refuse_overwrite(path)


def test_a_file_that_exists_is_replaced_only_if_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    refuse_overwrite(path)
    path.write_text("mine")
    with pytest.raises(
        FileError,
        match=r"a\.txt: must be a new file, got one that exists; choose another name, or replace it with force=True "
        r"\(--force\)$",
    ):
        refuse_overwrite(path)
    refuse_overwrite(path, force=True)
    with pytest.raises(FileError, match="must be a file, got a folder"):
        refuse_overwrite(tmp_path, force=True)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(("name", "got"), [("a.txt", ".txt"), ("a", "no ending")])
def test_the_ending_of_the_name(tmp_path: Path, name: str, got: str) -> None:
    refuse_overwrite(tmp_path / "a.PNG", suffixes=(".png", ".svg"))
    with pytest.raises(FileError, match=rf"{name}: name must end in \.png or \.svg, got {got}$"):
        refuse_overwrite(tmp_path / name, suffixes=(".png", ".svg"))


def test_a_folder_that_must_not_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refuses)  # the superuser, as whom a test may run, may look everywhere
    for refused in (lambda path: write_file(path, "x"), refuse_overwrite):
        with pytest.raises(FileError, match=r"closed/a: must be writable, got Permission denied"):
            refused(tmp_path / "closed" / "a")
