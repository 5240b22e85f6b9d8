"""A thread knows whether what it computes is recorded for a compiler, and nothing of other threads."""

from threading import Thread

import pytest
import torch

from mytorch.core.compiling import compiling_here, is_compiling, is_exporting

pytestmark = pytest.mark.numbers


def in_another_thread(function):
    found = []
    thread = Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_it_is_so_of_one_thread_and_until_the_outermost_context_ends():
    assert not is_compiling()
    with compiling_here():
        assert not in_another_thread(is_compiling)
        with compiling_here():
            assert is_compiling()
        assert is_compiling()
        assert not is_exporting()
    assert not is_compiling()


def test_an_error_ends_it():
    with pytest.raises(ValueError, match="mine"), compiling_here():
        raise ValueError("mine")
    assert not is_compiling()


def test_an_export_is_one_of_its_own_thread():
    class Asks(torch.nn.Module):
        def forward(self, x):
            seen.extend([is_compiling(), is_exporting(), in_another_thread(is_compiling)])
            return x + 1

    seen = []
    torch.export.export(Asks(), (torch.ones(2),), strict=False)
    assert seen == [True, True, False]
    assert not is_compiling()


def test_torch_compile_takes_it_for_true():
    def compute(x):
        return x + 1 if is_compiling() else x

    compiled = torch.compile(compute, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.zeros(2)), torch.ones(2))
