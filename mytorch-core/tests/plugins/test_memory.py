"""What is said before memory is taken, and of memory that was refused."""

import pytest

from mytorch.plugins import ArgumentError, lack_of_memory, memory, require_memory
from mytorch.plugins.memory import in_words


def test_more_than_there_is_is_refused() -> None:
    require_memory("Disk", "samples", 1000, "take fewer")
    there = memory()
    assert there is None or there > 10**8
    with pytest.raises(ArgumentError, match=r"^Disk: samples must fit into the memory of this machine, .* GB, got 1,"):
        require_memory("Disk", "samples", 10**18, "take fewer samples")


@pytest.mark.parametrize(
    ("count", "words"), [(5, "5 bytes"), (2500, "2.5 kB"), (3 * 10**9, "3.0 GB"), (10**6, "1.0 MB")]
)
def test_bytes_in_words(count: int, words: str) -> None:
    assert in_words(count) == words


def test_memory_that_was_refused_is_told_apart() -> None:
    refused = RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 800000000 bytes."
    )
    assert "800.0 MB" in (lack_of_memory(refused) or "")
    assert lack_of_memory(MemoryError()) is not None
    assert lack_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")) is not None
    assert lack_of_memory(RuntimeError("Storage size calculation overflowed with sizes=[1099511627776]")) is not None
    assert lack_of_memory(RuntimeError("shapes do not fit")) is None
    assert lack_of_memory(ValueError("out of memory")) is None
