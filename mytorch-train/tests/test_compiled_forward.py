"""The compiled forward pass gives what the model gives in evaluation mode, for any rows, or gives way to it.

Compiling takes seconds, so one forward pass is compiled; other tests run the traced graph by torch's interpreter.
"""

import threading

import pytest
import torch
from toy_parts import Both, Chain, Dense, Noise, Rectify

from mytorch.core import Buffer, Module, Parameter, ShapeError
from mytorch.train.compiled import CompiledForward, EngineWarning

pytestmark = pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")


class Shifted(Module):
    """y = x + offset - mean: with a parameter of one number, a buffer and a constant."""

    def __init__(self):
        self.offset, self.mean = Parameter(torch.ones(1)), Buffer(torch.zeros(4))
        self.factor = torch.tensor([1.0, 2.0, 0.5, 1.0])

    def forward(self, x):
        return self.factor * x + self.offset.value - self.mean.value, None


def network(seed=0):
    torch.manual_seed(seed)
    net = Chain(Dense(3, 4), Shifted(), Rectify(), Noise(), Dense(4, 2))
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
        ("rows", r"Python must not decide by the number of rows, got rows > 40"),
        ("len", r"its first results are not those of the eager model: they differ by"),
        ("text", r"a model's output must consist of tensors, got str"),
    ],
)
def test_what_cannot_be_compiled_is_computed_eagerly(what, reason, interpreted):
    net = Chain(Dense(3, 2), Asks(what)).eval()
    forward, x = CompiledForward(net), torch.randn(5, 3)
    with pytest.warns(EngineWarning, match=rf"^compiled engine: .*{reason}.*; prediction goes on eagerly$") as caught:
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


def test_threads_share_it(interpreted):
    net = network().eval()
    forward, given = CompiledForward(net), [torch.randn(4, 3) for _ in range(8)]
    found = [None] * len(given)

    def work(number):
        found[number] = [forward(given[number]) for _ in range(20)][-1]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(found, [net(x) for x in given])
    assert len(interpreted) == 1
