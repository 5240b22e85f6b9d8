"""The cache of compiled steps: what names an entry, and entries and folders that cannot be used."""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from compiled_runs import train, warned, was_compiled
from torch.fx.experimental.proxy_tensor import make_fx

from mytorch.train.compiled import EngineWarning
from mytorch.train.compiled.cache import fetch, keep, open_package, tidy
from mytorch.train.compiled.key import key_of

pytestmark = pytest.mark.usefixtures("compiles")


@pytest.fixture
def kept(tmp_path, compiles):
    """The entry of a finished run."""
    train("compiled")
    (entry,) = (tmp_path / "cache" / "steps").iterdir()
    assert entry.name == f"{compiles[0]}.pt2"
    return entry


def damage(entry, how):
    content = entry.read_bytes()
    if how == "cut short":
        entry.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        entry.write_bytes(b"")
    elif how == "a bit":
        middle = len(content) // 2
        entry.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize("how", ["cut short", "empty", "a bit"])
def test_a_damaged_entry_is_compiled_again(kept, how, compiles):
    damage(kept, how)
    assert was_compiled(warned("cannot be used"))
    assert len(compiles) == 2
    assert was_compiled(train("compiled"))
    assert len(compiles) == 2


def test_an_entry_of_another_step_is_not_used(kept, compiles):
    with pytest.raises(ValueError, match=f"it must be the step {'0' * 40}, got {compiles[0]}"):
        open_package(kept, "0" * 40)


def test_whatever_decides_the_machine_code_decides_the_name(monkeypatch):
    x, constant = torch.ones(2, 3), torch.ones(3)
    graph = make_fx(lambda x: x * 2 + constant, tracing_mode="fake", _allow_non_fake_inputs=True)

    def keys():
        other = make_fx(lambda x: x * 3 + constant, tracing_mode="fake", _allow_non_fake_inputs=True)
        return [key_of(graph(x), 1), key_of(graph(x), 2), key_of(graph(x.double()), 1), key_of(other(x), 1)]

    before = keys()
    assert before == keys()
    constant[1] = 2
    monkeypatch.setattr("torch.__version__", "2.99")
    assert len({*before, *keys()}) == 8


def test_a_cache_folder_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MYTORCH_CACHE", str(tmp_path / "file" / "cache"))
    assert was_compiled(warned("the cache folder cannot be written"))


def test_a_full_cache_folder_is_done_without(monkeypatch, tmp_path):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mytorch.train.compiled.cache.copyfile", full)
        assert was_compiled(warned("No space left on device"))
    assert list((tmp_path / "cache" / "steps").iterdir()) == []


def test_two_that_keep_the_same_step_at_once(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(8)]
    sources = [tmp_path / f"{content[0]}" for content in contents]
    for source, content in zip(sources, contents, strict=True):
        source.write_bytes(content)
    kept = tmp_path / "folder" / "key.pt2"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, sources, [kept] * 8))
    assert kept.read_bytes() in contents
    assert list(kept.parent.iterdir()) == [kept]


def refuse(_path):
    raise RuntimeError("it would be compiled")


def test_an_entry_of_another_version_under_the_name_is_compiled_again(kept):
    other = kept.with_name(f"{'0' * 40}.pt2")
    kept.rename(other)
    with (
        pytest.warns(EngineWarning, match=r"cannot be used \(ValueError: it must be the step 0+, got .*again"),
        pytest.raises(RuntimeError, match="it would be compiled"),
    ):
        fetch("0" * 40, refuse)


def test_the_entries_of_a_folder_that_is_read_only_are_used(kept, compiles, monkeypatch):
    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    for owner, name in [(os, "utime"), (tempfile, "mkstemp")]:
        monkeypatch.setattr(owner, name, denied)
    assert was_compiled(train("compiled"))
    assert len(compiles) == 1


def test_the_folder_keeps_to_a_size_and_lets_go_of_what_was_used_longest_ago(tmp_path, monkeypatch):
    monkeypatch.setattr("mytorch.train.compiled.cache.LIMIT", 250)
    now = time.time()
    for age, name in enumerate(["new.pt2", "used.pt2", "old.pt2", "oldest.pt2", "mine.txt"]):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (now - age, now - age))
    for age, name in [(10, "begun.pt2.a.part"), (4000, "killed.pt2.b.part")]:
        (tmp_path / name).write_bytes(b"x" * 1000)
        os.utime(tmp_path / name, (now - age, now - age))
    tidy(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"new.pt2", "used.pt2", "mine.txt", "begun.pt2.a.part"}
    monkeypatch.setattr("mytorch.train.compiled.cache.LIMIT", 50)
    tidy(tmp_path)
    assert [path.name for path in tmp_path.glob("*.pt2")] == ["new.pt2"]


def test_temporary_folders_of_processes_that_were_killed_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    now = time.time()
    for age, name in [(10, "mytorch-step-now"), (4000, "mytorch-step-killed"), (9999, "mytorch-other")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "step.so").write_text("")
        os.utime(tmp_path / name, (now - age, now - age))
    with pytest.raises(RuntimeError, match="it would be compiled"):
        fetch("0" * 40, refuse)
    assert {path.name for path in tmp_path.glob("mytorch-*")} == {"mytorch-step-now", "mytorch-other"}


def test_an_entry_that_is_used_counts_as_new(kept):
    os.utime(kept, (0, 0))
    train("compiled")
    assert kept.stat().st_mtime > time.time() - 600
