"""What may be typed into a hidden line, and what is told of the rest."""

import math
import warnings
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mytorch.playground.exercises.answer import LONGEST, OPERATIONS, AnswerError, find_place, read_answer

LAYER = """
class Scale(Module):
    def __init__(self, size):
        self.gain = Parameter(torch.ones(size))

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).sum(0))
        d_x = ____
        return d_x
"""
PLACE = find_place(LAYER)


@pytest.mark.parametrize(
    "text",
    [
        "d_y * self.gain.value",
        "d_x = d_y * self.gain.value",
        "gain = self.gain.value\nd_x = torch.einsum('ij,j->ij', d_y, gain)",
        "  d_y * self.gain.value  # with a comment",
        "torch.stack([row * self.gain.value for row in d_y])",
        "d_x = torch.zeros_like(d_y)\nfor i, _ in enumerate(d_y):\n    d_x[i] = d_y[i] * self.gain.value",
        "(lambda a: a * self.gain.value)(d_y)",
    ],
)
def test_arithmetic_with_tensors_is_taken(text):
    assert read_answer(text, PLACE).statements


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "write what belongs behind `d_x =`"),
        ("d_y * (x", "this is no Python: .* never closed"),
        ("y", "there is no 'y' here. There are d_x, d_y, self, x"),
        ("d_yy", "there is no 'd_yy' here. Did you mean d_y"),
        ("____", "____ stands for what you are asked to write"),
        ("z = d_y", "the lines must assign d_x"),
        ("import os\nd_x = d_y", "an import is not allowed"),
        ("def f(): pass\nd_x = d_y", "def is not allowed"),
        ("with x:\n    d_x = d_y", "with is not allowed"),
        ("return d_y", "return is not allowed"),
        ("open('x', 'w')", "there is no 'open' here"),
        ("eval('1')", "there is no 'eval' here"),
        ("getattr(d_y, 'data')", "there is no 'getattr' here"),
        ("__import__('os')", "there is no '__import__' here"),
        ("d_y.__class__", "'__class__' is not among the operations"),
        ("d_y.__init__.__globals__", "is not among the operations"),
        ("d_y.numpy().tofile('x')", "'tofile' is not among the operations"),
        ("torch.nn.functional.dropout(d_y)", "'dropout' is not among the operations"),
        ("torch.nn.functional.one_hot = 3\nd_x = d_y", "'one_hot' is not among the operations"),
        ("torch.nn.functional", "'functional' is not among the operations"),
        ("torch.save(d_y, 'x')", "'save' is not among the operations"),
        ("torch.load('x')", "'load' is not among the operations"),
        ("torch.autograd.grad(d_y, x)", "is not among the operations"),
        ("torch.multiply(d_y, x).appli", "'appli' is not among the operations"),
        ("'{0.__class__}'.format(d_y)", "'format' is not among the operations"),
        ("torch.sum = 3\nd_x = d_y", "must leave attributes as they are, got an assignment to 'sum'"),
        ("(" * 500 + "d_y" + ")" * 500, "this is no Python"),
        ("d_y + " * 2_000 + "d_y", f"at most {LONGEST:,} characters, got 12,003"),
        ("d_y\0", "this is no Python"),
    ],
)
def test_anything_else_is_told(text, told):
    with pytest.raises(AnswerError, match=told):
        read_answer(text, PLACE)


def test_the_line_at_fault_is_told():
    with pytest.raises(AnswerError) as caught:
        read_answer("a = d_y\nb = a * 2\nd_x = b.data", PLACE)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "wrong",
    [
        LAYER.replace("____", "d_y"),
        LAYER.replace("return d_x", "d_x = ____"),
        LAYER.replace("def backward", "def other"),
        LAYER.replace("d_x = ____", "return ____"),
    ],
)
def test_a_layer_has_one_blank_in_its_backward(wrong):
    with pytest.raises(ValueError, match="must have one line `name = ____`, in a method called backward"):
        find_place(wrong)


WORDS = [
    "d_x",
    "d_y",
    "=",
    "*",
    "(",
    ")",
    "[",
    "]",
    ":",
    "\n",
    " ",
    ".",
    "lambda",
    "for",
    "in",
    "if",
    "0",
    "'",
    "_",
    "sum",
]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=20).map("".join)))
def test_whatever_is_typed_is_read_or_refused(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the parser, about what is typed
        with suppress(AnswerError):
            assert read_answer(text, PLACE).statements


def test_every_operation_is_one_and_none_reaches_files_or_autograd():
    owners = (torch, torch.Tensor, math, list, torch.ones(2, 2).max(0))
    assert [name for name in sorted(OPERATIONS) if not any(hasattr(owner, name) for owner in owners)] == []
    ways_out = {
        "load",
        "save",
        "numpy",
        "apply_",
        "map_",
        "storage",
        "untyped_storage",
        "from_file",
        "hub",
        "ops",
        "jit",
    }
    ways_out |= {"compile", "autograd", "func", "backward", "grad", "requires_grad_", "register_hook", "data", "set_"}
    ways_out |= {"format", "format_map", "gi_frame", "as_subclass", "nn", "utils", "os", "sys", "cuda", "package"}
    assert not OPERATIONS & ways_out
