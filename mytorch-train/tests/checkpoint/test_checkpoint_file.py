"""A checkpoint on disk: what it holds comes back, and what is damaged is told."""

import math
import threading

import pytest
import torch
from safetensors.torch import save_file

from mytorch.core import ArgumentError, StateError
from mytorch.plugins import FileError
from mytorch.train import RunError, read_checkpoint, sealed
from mytorch.train.checkpoint.checkpoint_file import Packed
from mytorch.train.checkpoint.keeper import Keeper
from mytorch.train.checkpoint.packed import pack, unpack
from mytorch.train.sealed import read_sealed, write_sealed

STATE = {
    "tensors": [
        torch.arange(6.0).reshape(2, 3).T,
        torch.tensor(3),
        torch.zeros(0, 2),
        torch.ones(2, dtype=torch.bool),
    ],
    "complex": torch.tensor([1 + 2j, 3.5j]),
    "half": torch.tensor([1.5, -0.0], dtype=torch.bfloat16),
    "betas": (0.9, 0.999),
    "numbers": [1, 1e-300, 0.1 + 0.2, math.inf, -math.inf, True, None, 2**70],
    "state": {0: {"step": torch.tensor(2.0)}, 3: {}},
    "names": {"a.b": torch.tensor(1.0), "a": {"b": torch.tensor(2.0)}, "$tensor": "mine", "": "\u2713 \u0000"},
}


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


def test_every_kind_of_value_comes_back(tmp_path):
    Packed.of(STATE).write(tmp_path / "state.safetensors")
    assert_same(read_checkpoint(tmp_path / "state.safetensors"), STATE)


def test_a_packed_state_is_a_copy():
    value = torch.zeros(2)
    tensors, text = pack({"value": value, "again": value})
    value += 1
    assert_same(unpack(tensors, text), {"value": torch.zeros(2), "again": torch.zeros(2)})


def test_what_cannot_be_kept_is_named():
    with pytest.raises(
        StateError, match=r"state: callbacks\.0\.rule must be a tensor, number, .*, got a builtin_function"
    ):
        pack({"callbacks": [{"rule": abs}]})
    with pytest.raises(StateError, match="a key must be a string or a whole number, got a tuple"):
        pack({(1, 2): 3})


def test_every_byte_is_looked_at(tmp_path):
    path = tmp_path / "state.safetensors"
    Packed.of({"value": torch.arange(4.0), "name": "x"}).write(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(RunError, match=r"state\.safetensors: "):
            read_checkpoint(path)
    for size in (0, 4, 8, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(RunError, match=r"state\.safetensors: "):
            read_checkpoint(path)


def test_what_is_no_checkpoint_is_told(tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(RunError, match="this file is missing"):
        read_checkpoint(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(RunError, match="must be a checkpoint that mytorch wrote, got another safetensors file"):
        read_checkpoint(path)
    assert read_sealed(path)[0]["weight"].shape == (2,)
    write_sealed(path, {}, {"mytorch_checkpoint": "7", "state": "{}"})
    with pytest.raises(RunError, match="must be a checkpoint of format 1, got format 7; resume it with the version"):
        read_checkpoint(path)
    write_sealed(path, {}, {"mytorch_checkpoint": "1", "state": '{"net": {"$tensor": "none"}}'})
    with pytest.raises(RunError, match="must be a whole checkpoint, got one that cannot be read"):
        read_checkpoint(path)
    (tmp_path / "text").write_text("hello" * 10)
    with pytest.raises(RunError, match="must be a whole safetensors file"):
        read_checkpoint(tmp_path / "text")


def test_a_checkpoint_that_was_cut_off_is_told(tmp_path):
    path = tmp_path / "state.safetensors"
    Packed.of({"net": torch.randn(20)}).write(path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for size in (0, 5, 8, header // 2, header - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(
            RunError, match=r"state.safetensors: must be a whole safetensors file, got one that is cut"
        ):
            read_checkpoint(path)
    for size in (header, header + 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(RunError, match="must have the content that was written, got different content"):
            read_checkpoint(path)


def test_a_thread_writes_what_was_there_and_its_failure_is_told_later(tmp_path, monkeypatch):
    keeper, value = Keeper(tmp_path / "kept.safetensors"), torch.zeros(3)
    keeper.keep(lambda: {"value": value})
    value += 1
    keeper.close()
    assert torch.equal(read_checkpoint(keeper.path)["value"], torch.zeros(3))

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sealed, "save_file", full)
    keeper.keep(lambda: {"value": value})
    with pytest.raises(FileError, match=r"kept.safetensors: must be writable, got No space left on device"):
        keeper.keep(lambda: {"value": value}, wait=True)
    assert torch.equal(read_checkpoint(keeper.path)["value"], torch.zeros(3))
    assert [path.name for path in tmp_path.iterdir()] == ["kept.safetensors"]


def test_without_a_thread_it_is_written_at_once(tmp_path, monkeypatch):
    """A system that is short of memory or of processes gives none."""

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    keeper = Keeper(tmp_path / "kept", 10)
    value = torch.randn(4)
    keeper.keep(lambda: {"net": value})
    assert torch.equal(read_checkpoint(tmp_path / "kept")["net"], value)
    keeper.close()


def test_a_slow_disk_keeps_nobody_waiting(tmp_path, monkeypatch):
    keeper, go, write = Keeper(tmp_path / "kept.safetensors", every=0), threading.Event(), Packed.write

    def slowly(packed, path):
        go.wait(30)
        write(packed, path)

    monkeypatch.setattr(Packed, "write", slowly)
    assert keeper.due()
    keeper.keep(lambda: {"number": 0})
    assert not keeper.due()  # though no time lies between two
    go.set()
    keeper.close()
    assert keeper.due()
    assert read_checkpoint(keeper.path) == {"number": 0}
    keeper.keep(lambda: {"number": 3}, wait=True)
    assert read_checkpoint(keeper.path) == {"number": 3}


@pytest.mark.parametrize("every", [-1, True, "20", math.nan])
def test_a_time_that_is_none(tmp_path, every):
    with pytest.raises(ArgumentError, match="checkpoint_every: must be a number of seconds of at least 0"):
        Keeper(tmp_path / "kept.safetensors", every)
