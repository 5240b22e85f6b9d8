"""The compiled forward pass gives what the model gives in evaluation mode, for any rows, or gives way to it.

Compiling takes seconds, so one forward pass is compiled; other tests run the traced graph by torch's interpreter.
"""

import copy
import logging
import pickle

import pytest
import torch
from toy_parts import Both, Chain, Dense, Noise, Rectify

from mytorch.core import Buffer, Module, Parameter, ShapeError
from mytorch.train.compiled import CompiledForward, EngineWarning

pytestmark = pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")


class Shifted(Module):
    """y = factor x exp(growth) + offset - mean: with parameters of one number, a buffer and a constant."""

    def __init__(self):
        self.growth, self.offset, self.mean = (
            Parameter(torch.randn(())),
            Parameter(torch.ones(1)),
            Buffer(torch.zeros(4)),
        )
        self.factor = torch.tensor([1.0, 2.0, 0.5, 1.0])

    def forward(self, x):
        return self.factor * x * self.growth.value.exp() + self.offset.value - self.mean.value, None


def network(seed=0):
    torch.manual_seed(seed)
    net = Chain(Dense(3, 4), Shifted(), Rectify(), Noise(), Dense(4, 1), Dense(1, 1), Dense(1, 2))
    net.layers[1].mean.value.copy_(torch.randn(4))
    return net


def require_equal(forward, net, rows, dtype=torch.float32):
    x = torch.randn(rows, 3, dtype=dtype)
    net.eval()
    torch.testing.assert_close(forward(x), net(x), rtol=1e-5, atol=1e-6)


def test_any_rows_and_weights_that_change_by_one_compilation(compiles):
    net = network()
    forward = CompiledForward(net)
    for rows in (5, 0, 1, 2, 61, 300, 1, 0, 5):
        require_equal(forward, net, rows)
    (program,) = forward.programs.values()
    assert program.checked == {0, 1, 2}
    net.load_state_dict(network(1).state_dict())
    require_equal(forward, net, 7)
    for _, held in net.named_state():
        if held.value.is_floating_point():
            held.value = held.value * 1.5
    for _ in range(2):
        require_equal(forward, net, 1)
    torch.testing.assert_close(forward(torch.ones(3, 9).T), net(torch.ones(9, 3)))
    assert forward.programs == {(torch.float32, (3,)): program}
    other = network(2)
    require_equal(CompiledForward(other), other, 3)  # another model of the same form needs no compiler
    assert len(compiles) == 1


def test_the_model_keeps_its_mode_and_is_read_in_evaluation_mode(interpreted):
    net = network().train()
    forward, x = CompiledForward(net), torch.randn(4, 3)
    seen = net.state_dict()["3.seen"].clone()
    found = [forward(x) for _ in range(3)]
    assert all(module.training for module in net.modules())
    assert net.state_dict()["3.seen"] == seen
    for output in found:
        torch.testing.assert_close(output, net.eval()(x))


def test_another_dtype_is_another_program_and_the_old_one_is_let_go(interpreted):
    net = network()
    forward = CompiledForward(net)
    require_equal(forward, net, 3)
    net.to(torch.float64)
    net.layers[1].factor = net.layers[1].factor.double()
    for _ in range(2):
        require_equal(forward, net, 3, torch.float64)
    assert list(forward.programs) == [(torch.float64, (3,))]
    assert len(interpreted) == 2


def test_inputs_that_do_not_fit_are_the_models_to_refuse(interpreted):
    net = network()
    forward = CompiledForward(net)
    for _ in range(2):
        with pytest.raises(ShapeError) as info:
            forward(torch.randn(2, 5))
        assert info.value.__notes__ == ["in layer '0' (Dense) of Chain"]
        require_equal(forward, net, 2)
    assert not forward.refused


def test_several_inputs(interpreted):
    net = Both(Dense(2, 1), Dense(3, 1)).eval()
    forward = CompiledForward(net)
    for rows in (4, 1, 9, 9):
        given = torch.randn(rows, 2), torch.randn(rows, 3)
        torch.testing.assert_close(forward(*given), net(*given))
    assert len(forward.programs) == 1


def test_at_most_four_kinds_are_compiled(interpreted):
    net = Rectify()
    forward = CompiledForward(net)
    for columns in (2, 3, 4, 5, 6, 2, 6):
        x = torch.randn(3, columns)
        torch.testing.assert_close(forward(x), net(x))
    assert len(forward.programs) == len(interpreted) == 4


class Asks(Module):
    """Python decides by what it is told to."""

    def __init__(self, what):
        self.what = what

    def forward(self, x):
        if self.what == "value":
            return (x if x.sum() > 0 else -x), None
        if self.what == "rows":
            return (x if x.shape[0] > 40 else -x), None
        if self.what == "len":
            return x / len(x), None
        return [x, self.what], None


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("value", r"forward pass cannot be traced: Python decides by the value of a tensor, in layer '1' \(Asks\)"),
        ("rows", r"Python code must not depend on the number of rows, got rows > 40"),
        ("len", r"its first results are not those of the eager model: they differ by"),
        ("text", r"a model's output must consist of tensors, got str"),
    ],
)
def test_what_cannot_be_compiled_is_computed_eagerly(what, reason, interpreted):
    net = Chain(Dense(3, 2), Asks(what)).eval()
    forward, x = CompiledForward(net), torch.randn(5, 3)
    said = rf"^compiled engine: .*{reason}.*; prediction goes on eagerly for float32 \(rows, 3\)$"
    with pytest.warns(EngineWarning, match=said) as caught:
        outputs = forward(x)
    assert len(caught) == 1
    for output in (outputs, forward(x), forward(x)):  # of which no other one warns
        torch.testing.assert_close(output[0], net(x)[0])


def test_a_weight_that_became_part_of_the_code_is_noticed(interpreted, monkeypatch):
    monkeypatch.setattr("compiled_runs.Interpreted.load_constants", lambda *_given: None)
    net = network().eval()
    with pytest.warns(EngineWarning, match=r"its first results are not those of the eager model"):
        CompiledForward(net)(torch.randn(5, 3))


def test_outputs_that_are_not_finite_are_compared_later(interpreted):
    net = network().eval()
    forward = CompiledForward(net)
    x = torch.full((3, 3), torch.inf)
    torch.testing.assert_close(forward(x), net(x), equal_nan=True)
    (program,) = forward.programs.values()
    assert not program.checked
    require_equal(forward, net, 3)
    assert program.checked == {2}
    torch.testing.assert_close(forward(x), net(x), equal_nan=True)


class Bilinear(Module):
    """y = x weight, and torch says what does not fit."""

    def __init__(self):
        self.weight = Parameter(torch.randn(3, 2))

    def forward(self, x):
        return x @ self.weight.value, None


def test_one_odd_kind_is_computed_eagerly_and_the_others_stay(interpreted, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("torch._subclasses.fake_tensor"), "handlers", [caplog.handler])
    net = Bilinear().eval()
    forward, x = CompiledForward(net), torch.randn(5, 3)
    forward(x)
    with pytest.warns(EngineWarning, match=r"goes on eagerly for float32 \(rows\)$") as caught:
        outputs = [forward(x[0]) for _ in range(3)]
    assert len(caught) == 1
    torch.testing.assert_close(outputs, [net(x[0])] * 3)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    program, none = forward.programs.values()
    assert none is None
    monkeypatch.setattr(net, "forward", None)  # so that only machine code gives an output
    assert forward(x).shape == (5, 2)
    assert program.checked == {2}


def test_without_a_compiler_one_warning_serves_all_kinds(interpreted, monkeypatch):
    monkeypatch.setenv("CXX", "")
    monkeypatch.setattr("mytorch.train.compiled.forward_program.fetch", lambda *_given: 1 / 0)
    forward = CompiledForward(Rectify().eval())
    with pytest.warns(EngineWarning, match=r"a C\+\+ compiler is needed .*; prediction goes on eagerly$") as caught:
        assert [forward(torch.ones(3, columns)).shape[1] for columns in (2, 3, 2, 4)] == [2, 3, 2, 4]
    assert len(caught) == 1


def test_a_fifth_kind_leaves_the_programs_alone_until_they_are_of_no_use(interpreted, monkeypatch):
    net = network().eval()
    forward = CompiledForward(net)
    shapes = [(3,), (2, 3), (3, 3), (4, 3)]
    for shape in shapes:
        forward(torch.randn(5, *shape))
    with monkeypatch.context() as patch:
        patch.setattr("compiled_runs.Interpreted.load_constants", lambda *_given: 1 / 0)
        forward(torch.randn(5, 6, 3))
    assert [shape for _, shape in forward.programs] == shapes
    net.to(torch.float64)
    net.layers[1].factor = net.layers[1].factor.double()
    forward(torch.randn(5, 6, 3, dtype=torch.float64))
    assert list(forward.programs) == [(torch.float64, (6, 3))]


def test_every_output_may_be_changed_in_place(interpreted):
    net = Both(Dense(2, 1), Dense(3, 1)).eval()
    forward = CompiledForward(net)
    given = torch.randn(4, 2), torch.randn(4, 3)
    for _ in range(3):
        expected = net(*given)
        torch.testing.assert_close(forward(*given).add_(1), expected + 1)
    with torch.inference_mode():
        assert forward(torch.randn(1, 2), torch.randn(1, 3)).is_inference()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda forward: pickle.loads(pickle.dumps(forward))])
def test_a_copy_is_of_the_copied_net(interpreted, copied):
    net = network().eval()
    forward = CompiledForward(net)
    require_equal(forward, net, 3)
    other = copied(forward)
    assert other.net is not net
    net.param()[0].value.mul_(-2)
    for rows in (3, 3):
        require_equal(other, other.net, rows)
        require_equal(forward, net, rows)
