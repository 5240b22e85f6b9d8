"""The examples in docstrings are true, and every layer and loss has one."""

import doctest
import inspect

import pytest
import torch

from mytorch import core, nn

PUBLIC = [getattr(nn, name) for name in nn.__all__]
CLASSES = [value for value in PUBLIC if inspect.isclass(value)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_example_of_a_class(cls):
    names = {"torch": torch} | {name: getattr(module, name) for module in (core, nn) for name in module.__all__}
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(cls), names, cls.__name__, None, 0)
    assert examples.examples, f"{cls.__name__} has no Example in its docstring"
    told = []
    torch.manual_seed(0)
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(examples, out=told.append)
    assert not told, "".join(told)
