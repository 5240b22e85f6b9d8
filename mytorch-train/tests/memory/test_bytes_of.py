"""Sizes of memory as people write them."""

import pytest

from mytorch.core import ArgumentError
from mytorch.train.memory import bytes_of


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2 GiB", 2 * 1024**3),
        ("500MB", 500_000_000),
        (" 1.5 kib ", 1536),
        ("3 TB", 3 * 10**12),
        ("7 B", 7),
        (12, 12),
        ("0.3 kB", 300),
        pytest.param("9" * 400 + " B", int("9" * 400), id="more than a float holds"),
    ],
)
def test_sizes(text, count):
    assert bytes_of("memory", text) == count


@pytest.mark.parametrize("wrong", ["2 giraffes", "GiB", "-1 GiB", "0 GiB", "1e3 MB", "", 0, -5, True, 2.5, None])
def test_what_is_no_size_is_refused(wrong):
    with pytest.raises(ArgumentError, match=r"memory: must be a size of memory above 0, such as \"2 GiB\", .*, got"):
        bytes_of("memory", wrong)
