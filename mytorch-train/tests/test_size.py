"""How a number of bytes is written."""

from mytorch.train.size import size


def test_the_unit_fits():
    assert [size(count) for count in (0, 1023, 1024, 3 * 2**30)] == ["0 bytes", "1023 bytes", "1 KiB", "3 GiB"]
