"""Tensors in temporary files have the same numbers, and a disk without room is an error."""

import errno
import gc
import os
import tempfile
from pathlib import Path

import pytest
import torch
from small_disk import limited
from toy_parts import Dense

from mytorch.core import ArgumentError, Buffer, Parameter
from mytorch.plugins import FileError
from mytorch.train import on_disk
from mytorch.train.memory.mapped import LEAST, is_on_disk, require_mapping, to_disk

pytestmark = pytest.mark.numbers
SIDE = 300  # of a square of bytes that is larger than LEAST


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where temporary files lie."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64, torch.int64, torch.uint8, torch.bool]
)
def test_every_bit_is_there_and_may_be_changed(folder, dtype):
    value = (torch.randn(SIDE, SIDE) * 100).to(dtype)
    found = to_disk(value)
    assert is_on_disk(found)
    assert not is_on_disk(value)
    assert (found.dtype, found.stride()) == (value.dtype, value.stride())
    assert torch.equal(found, value)
    found.zero_()
    assert not found.any()
    assert value.any()
    assert list(folder.iterdir()) == []  # the file has no name


@pytest.mark.parametrize(
    "change",
    [
        torch.t,
        lambda value: value[:, ::2],
        lambda value: value[3:],
        lambda value: value.view(1, 100, 30, 30).to(memory_format=torch.channels_last),
        lambda value: value.to(torch.complex128).conj(),
    ],
)
def test_strides_stay(change):
    value = change(torch.randn(SIDE, SIDE, dtype=torch.float64))
    found = to_disk(value)
    assert is_on_disk(found)
    assert found.stride() == value.stride()
    assert torch.equal(found, value)


@pytest.mark.parametrize(
    "value",
    [
        torch.randn(LEAST // 4 - 1),
        torch.randn(0, SIDE),
        torch.randn(1, SIDE).expand(SIDE, SIDE),
        torch.zeros(SIDE, SIDE, device="meta"),
        torch.eye(SIDE).to_sparse(),
    ],
    ids=["small", "empty", "expanded", "meta", "sparse"],
)
def test_what_is_small_or_not_dense_stays(value):
    assert to_disk(value) is value
    assert not is_on_disk(value)


def test_room_is_given_back_with_the_tensor(folder):
    def mapped():
        with Path("/proc/self/maps").open() as file:
            return sum(str(folder) in line for line in file)

    found = to_disk(torch.randn(SIDE, SIDE))
    assert mapped() == 1
    row = found[2]
    del found
    assert mapped() == 1  # a view keeps it
    del row
    gc.collect()
    assert mapped() == 0


def test_a_model_is_built_on_disk_with_the_same_weights():
    torch.manual_seed(3)
    plain, buffer = Dense(SIDE, SIDE), Buffer(torch.randn(SIDE, SIDE))
    torch.manual_seed(3)
    with on_disk():
        net, other = Dense(SIDE, SIDE), Buffer(torch.randn(SIDE, SIDE))
    assert is_on_disk(net.weight.value)
    assert is_on_disk(other.value)
    assert not is_on_disk(net.bias.value)
    assert torch.equal(net.weight.value, plain.weight.value)
    assert torch.equal(other.value, buffer.value)
    assert not is_on_disk(Parameter(torch.randn(SIDE, SIDE)).value)


def test_a_disk_without_room_is_an_error_with_its_folder(folder):
    value = torch.randn(SIDE, SIDE)
    text = (
        rf"^weights: the disk of {folder} must have room for values, optimizer state and copies of them, got File too "
        r"large at a tensor of 351\.6 KiB; set TMPDIR to a folder on another disk$"
    )
    with limited(LEAST), pytest.raises(FileError, match=text):
        to_disk(value)
    assert list(folder.iterdir()) == []
    assert torch.equal(to_disk(value), value)


def test_a_folder_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(FileError, match=r"got No such file or directory at a tensor of 351\.6 KiB; set TMPDIR"):
        to_disk(torch.randn(SIDE, SIDE))


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, None])
def test_without_a_call_that_gives_room_it_is_written(folder, monkeypatch, number):
    def refused(*_):
        raise OSError(number, "not there")

    if number is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refused)
    value = torch.randn(5 * SIDE, SIDE)
    found = to_disk(value)
    assert is_on_disk(found)
    assert torch.equal(found, value)
    with limited(LEAST), pytest.raises(FileError, match="File too large"):
        to_disk(value)
    assert list(folder.iterdir()) == []


def test_a_system_that_cannot_remove_a_file_in_use_is_refused(monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(ArgumentError, match="weights: must be left out on Windows"):
        require_mapping()
