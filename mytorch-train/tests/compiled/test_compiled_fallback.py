"""The compiled engine goes on eagerly where a step cannot be compiled, and says why in one line."""

from typing import ClassVar

import pytest
import torch
from compiled_runs import train, warned
from toy_parts import SGD

from mytorch.core import ArgumentError, Buffer, Module
from mytorch.plugins import hookimpl
from mytorch.train.compiled import program, trace

pytestmark = pytest.mark.usefixtures("compiles")
real_compile = program.compile_package


class Decides(Module):
    """y = x, and Python looks at the values."""

    def __init__(self):
        self.offset = Buffer(torch.zeros(()))

    def forward(self, x):
        return (x if x.sum() > 0 else x * 1), None

    def backward(self, d_y, saved):
        return d_y


class Counting(SGD):
    """Counts its steps in Python."""

    state_entries: ClassVar = {**SGD.state_entries, "step": "number"}

    def update(self, values, grads, states, group):
        for state in states:
            state["step"] = state.get("step", 0) + 1
        super().update(values, grads, states, group)


def test_a_step_that_cannot_be_traced_goes_on_eagerly():
    run = warned("Python decides by the value of a tensor, in layer '2' (Decides) of Chain", middle=Decides())
    assert not run.engine.programs
    warned("Counting: state 'step' must be a tensor from the first step on, got 2 after 1", optimizer=Counting)


class Decaying(SGD):
    """Lowers its own learning rate."""

    def update(self, values, grads, states, group):
        super().update(values, grads, states, group)
        group["lr"] *= 0.9


class Listener:
    @hookimpl
    def batch_ended(self):
        pass


@pytest.mark.parametrize("callbacks", [(), (Listener(),)])
def test_an_optimizer_that_writes_its_settings_is_trained_with_eagerly(callbacks, interpreted):
    said = "Decaying: setting 'lr' must be left as it is by a step, got a different value; a schedule may change it"
    warned(said, optimizer=Decaying, scheduled=False, callbacks=callbacks)


def test_without_a_compiler_training_goes_on_eagerly(monkeypatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none():
        raise InvalidCxxCompiler

    monkeypatch.setattr(program, "compile_package", real_compile)
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    warned("a C++ compiler is needed and none was found; install g++ or clang, or name one in CXX", batch_size=9)


def test_an_older_torch_trains_eagerly(monkeypatch):
    monkeypatch.setattr(trace, "COMPILING", "9.0")
    warned(f"torch must be 9.0 or newer to compile, got {torch.__version__}; upgrade torch); training continues")


def test_a_killed_compiler_leaves_the_run_eager(monkeypatch):
    def killed(*_args):
        raise RuntimeError("Command g++ died with SIGKILL\nand a long log")

    monkeypatch.setattr(program, "compile_package", killed)
    warned(
        "the training step cannot be compiled (RuntimeError: Command g++ died with SIGKILL); training continues with "
        "the eager engine"
    )


def test_a_compiled_step_that_fails_leaves_the_run_eager(interpreted, monkeypatch):
    def broken(*_given):
        raise RuntimeError("run_func_ failed")

    monkeypatch.setattr(program.Program, "run", broken)
    warned("the training step cannot be compiled (RuntimeError: run_func_ failed)")


def test_results_that_are_not_those_of_eager_steps_are_refused(interpreted, monkeypatch):
    honest = program.Program.run

    def wrong(self, *given):
        taken = honest(self, *given)
        given[0][0].mul_(1 + 1e-6)
        return taken

    monkeypatch.setattr(program.Program, "run", wrong)
    warned("its first results are not those of eager steps: they differ by")


def test_an_unknown_engine_is_refused():
    with pytest.raises(
        ArgumentError, match=r"engine: must be one of eager, compiled, auto, got 'compile'. Nearest: compiled"
    ):
        train("compile")
