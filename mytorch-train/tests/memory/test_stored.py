"""Tensors come back from each store as it promises."""

import errno
import io

import pytest
import torch

from mytorch.plugins import FileError
from mytorch.train.memory import stored
from mytorch.train.memory.stored import BLOCK, Bfloat16, Disk, Int8

pytestmark = pytest.mark.numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bfloat16_keeps_eight_bits(dtype):
    x = torch.randn(2000, dtype=dtype) * 10 ** torch.linspace(-20, 20, 2000, dtype=dtype)
    found = Bfloat16().put(x)()
    assert found.dtype == dtype
    assert torch.equal(found, x.bfloat16().to(dtype))
    assert float(((found - x) / x).abs().max()) <= 2**-8


@pytest.mark.parametrize("count", [1, BLOCK, BLOCK + 1, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_int8_by_its_definition(count, dtype):
    x = torch.randn(count, dtype=dtype)
    x[::7] = 0
    x[::5] *= 1e-4
    found = Int8().put(x)()
    assert found.dtype == dtype
    for begin in range(0, count, BLOCK):
        block, its = x[begin : begin + BLOCK], found[begin : begin + BLOCK]
        scale = block.abs().max() / 127
        for value, got in zip(block.tolist(), its.tolist(), strict=True):
            whole = round(value / float(scale)) if scale else 0
            if whole == 0 and value:
                whole = 1 if value > 0 else -1
            assert got == pytest.approx(whole * float(scale), abs=1e-6 * float(block.abs().max()))
    assert torch.equal(found.sign(), x.sign())


def test_int8_of_zeros_and_of_what_is_not_finite():
    assert torch.equal(Int8().put(torch.zeros(10))(), torch.zeros(10))
    for wrong in (torch.nan, torch.inf, -torch.inf):
        x = torch.randn(2 * BLOCK)
        x[3] = wrong  # which is no reason to lose the numbers beside it
        torch.testing.assert_close(Int8().put(x)(), x, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
def test_disk_gives_back_every_bit(dtype):
    store = Disk()
    values = [(torch.randn(size) * 100).to(dtype) for size in (5, 2000, 1)]
    gets = [store.put(value) for value in values]
    for get, value in reversed(list(zip(gets, values, strict=True))):
        assert get().dtype == dtype
        assert torch.equal(get(), value)
    end = store._end
    store.restart()
    for value in values:
        store.put(value)
    assert store._end == end  # the same room again
    store.close()
    store.close()
    assert torch.equal(store.put(values[1])(), values[1])  # it can be used once more
    store.close()


class Slow(io.BytesIO):
    """A file that takes and gives a few bytes at a time, and is full at last."""

    def write(self, numbers):
        if self.tell() >= 2048:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(bytes(numbers[:100]) if self.tell() < 2000 else bytes(numbers[: 2048 - self.tell()]))

    def readinto(self, room):
        return super().readinto(room[:100])


def test_a_full_disk_is_told(monkeypatch):
    monkeypatch.setattr(stored.tempfile, "TemporaryFile", lambda **_options: Slow())
    store, x = Disk(), torch.randn(512)
    get = store.put(x)
    assert torch.equal(get(), x)
    text = r"saved: the disk of .* must have room .*, got No space left on device after 2 KiB; set TMPDIR"
    with pytest.raises(FileError, match=text):
        store.put(torch.ones(3))
    store.close()
