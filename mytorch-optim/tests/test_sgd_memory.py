"""SGD's kernel walks through memory and checks nothing, so nothing unchecked may reach it.

Each case runs in a process of its own, which a read or write beyond a tensor would end, or leave with a broken heap.
"""

import subprocess
import sys

import pytest
import torch

from mytorch.core import DtypeError, Optimizer, Parameter, ShapeError, StateError
from mytorch.optim import SGD, Adagrad, Adam, AdamW

START = """
import torch
from mytorch.core import Parameter
from mytorch.optim import SGD

def new(*sizes, momentum=0.9):
    parameters = [Parameter(torch.randn(size)) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter.value)
    return parameters, SGD(parameters, lr=0.1, momentum=momentum)

def must_fail(call, text):
    try:
        call()
    except ValueError as error:
        assert text in str(error), str(error)
    else:
        raise AssertionError("went on in silence")

def churn():
    for size in (1, 10, 1000, 100000) * 20:
        torch.randn(size).sum()
"""
# One program a case; it prints `alive` at its end.
CASES = {
    "velocities of a smaller model": """
_, small = new(3, 2)
small.step()
parameters, optimizer = new(200000, 100000)
must_fail(lambda: optimizer.load_state_dict(small.state_dict()), "must have the shape of the value, (200000,)")
optimizer.step()
""",
    "velocities in another order": """
_, other = new(10, 200000)
other.step()
parameters, optimizer = new(200000, 10)
must_fail(lambda: optimizer.load_state_dict(other.state_dict()), "must have the shape of the value")
optimizer.step()
""",
    "velocities of a torch optimizer of another model": """
tensor = torch.randn(7, requires_grad=True)
tensor.grad = torch.randn(7)
twin = torch.optim.SGD([tensor], lr=0.1, momentum=0.9)
twin.step()
parameters, optimizer = new(500000)
must_fail(lambda: optimizer.load_state_dict(twin.state_dict()), "must have the shape of the value, (500000,)")
optimizer.step()
""",
    "a value replaced by a larger one": """
parameters, optimizer = new(10, 10)
optimizer.step()
parameters[1].value, parameters[1].grad = torch.randn(300000), torch.randn(300000)
for _ in range(3):
    must_fail(optimizer.step, "start anew with optimizer.state.pop(parameter)")
optimizer.state.pop(parameters[1])
for _ in range(3):
    optimizer.step()
""",
    "a value made larger in place": """
parameters, optimizer = new(10)
optimizer.step()
parameters[0].value.data = torch.randn(300000)
must_fail(optimizer.step, "start anew with optimizer.state.pop(parameter)")
optimizer.state.pop(parameters[0])
must_fail(optimizer.step, "gradient of parameter 0 must have the shape of the value, (300000,), got (10,)")
parameters[0].grad = torch.randn(300000)
optimizer.step()
""",
    "a velocity made smaller in place": """
parameters, optimizer = new(300000)
optimizer.step()
optimizer.step()
optimizer.state[parameters[0]]["momentum_buffer"].data = torch.zeros(1)
must_fail(optimizer.step, "state 'momentum_buffer' of parameter 0 must have the shape of the value, (300000,), got")
""",
    "a velocity replaced by a smaller one": """
parameters, optimizer = new(300000)
optimizer.step()
optimizer.state[parameters[0]]["momentum_buffer"] = torch.zeros(1)
must_fail(optimizer.step, "state 'momentum_buffer' of parameter 0 must have the shape of the value, (300000,), got")
""",
    "a gradient that is too short": """
for momentum in (0, 0.9):
    parameters, optimizer = new(300000, momentum=momentum)
    optimizer.step()
    parameters[0].grad = torch.randn(1)
    must_fail(optimizer.step, "must have the shape of the value, (300000,), got (1,)")
""",
    "one number behind a velocity or a value, in place": """
for change in (lambda p, o: o.state[p]["momentum_buffer"], lambda p, o: p.value):
    parameters, optimizer = new(300000)
    optimizer.step()
    optimizer.step()
    change(parameters[0], optimizer).data = torch.zeros(1).expand(300000)
    try:
        optimizer.step()
    except RuntimeError as error:
        assert "expand" in str(error) or "single memory location" in str(error), error
    else:
        raise AssertionError("went on in silence")
""",
    "a velocity put there by hand": """
parameters, optimizer = new(300000)
optimizer.step()
for velocity in (torch.zeros(300000, 2)[:, 0], torch.zeros(1).expand(300000)):
    optimizer.state[parameters[0]]["momentum_buffer"] = velocity
    try:
        optimizer.step()
    except RuntimeError as error:
        assert "expand" in str(error) or "single memory location" in str(error), error
""",
}


@pytest.mark.parametrize("case", CASES)
def test_no_process_ends(case: str) -> None:
    program = START + CASES[case] + "churn()\nprint('alive')\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "alive\n"


def start(*shapes: tuple[int, ...]) -> tuple[list[Parameter], SGD]:
    parameters = [Parameter(torch.randn(shape, dtype=torch.float64)) for shape in shapes]
    optimizer = SGD(parameters, lr=0.1, momentum=0.9)
    for _ in range(2):
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter.value)
        optimizer.step()
    return parameters, optimizer


@pytest.mark.parametrize(
    "lay",
    [
        lambda v: v.t().contiguous().t(),
        lambda v: torch.stack([v, v], -1)[..., 0],
        lambda v: torch.empty(v.numel() + 1, dtype=v.dtype)[1:].view(v.shape).copy_(v),
    ],
    ids=["transposed", "every second number", "odd offset"],
)
def test_a_velocity_of_another_layout_gives_the_same(lay) -> None:
    parameters, optimizer = start((3, 4), (5, 2))
    state = optimizer.state_dict()
    twins = [Parameter(parameter.value.clone()) for parameter in parameters]
    other = SGD(twins, lr=0.1, momentum=0.9)
    state["state"] = {n: {"momentum_buffer": lay(held["momentum_buffer"])} for n, held in state["state"].items()}
    other.load_state_dict(state)
    other.state[twins[0]]["momentum_buffer"] = lay(optimizer.state[parameters[0]]["momentum_buffer"])
    for parameter, twin in zip(parameters, twins, strict=True):
        parameter.grad = twin.grad = torch.randn_like(parameter.value)
    for _ in range(2):
        optimizer.step()
        other.step()
        for parameter, twin in zip(parameters, twins, strict=True):
            torch.testing.assert_close(twin.value, parameter.value, rtol=1e-13, atol=1e-13)


def test_what_an_adam_has_is_refused_and_nothing_changes() -> None:
    tensor = torch.randn(3, 4, dtype=torch.float64).requires_grad_()
    tensor.grad = torch.randn_like(tensor)
    adam = torch.optim.Adam([tensor], lr=0.5)
    parameters, optimizer = start((3, 4))
    before = optimizer.state[parameters[0]]["momentum_buffer"].clone()
    for settings in ("betas", "eps"):  # with no step taken, only the settings tell
        with pytest.raises(
            StateError, match=f"^SGD: state must be that of SGD .* group 0 has a setting '{settings}' that SGD"
        ):
            optimizer.load_state_dict(adam.state_dict())
    adam.step()
    with pytest.raises(StateError, match=r"'betas'.* the entries of state_entries, momentum_buffer, got 'exp_avg_sq'"):
        optimizer.load_state_dict(adam.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
    torch.testing.assert_close(optimizer.state[parameters[0]]["momentum_buffer"], before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("grad", "error", "text"),
    [
        (torch.ones(4, 3, dtype=torch.float64), ShapeError, r"the shape of the value, \(3, 4\), got \(4, 3\)$"),
        (torch.ones(12, dtype=torch.float64), ShapeError, r"the shape of the value, \(3, 4\), got \(12,\)$"),
        (
            torch.ones(3, 4),
            DtypeError,
            "torch.float64 and torch.strided, got torch.float32 and torch.strided; convert",
        ),
        (
            torch.ones(3, 4, dtype=torch.float64, device="meta"),
            DtypeError,
            "be on the device of the value, cpu, got meta",
        ),
        (torch.ones(3, 4, dtype=torch.int64), DtypeError, "got torch.int64 and torch.strided"),
        (torch.ones(3, 4, dtype=torch.float64).to_sparse(), DtypeError, "got torch.float64 and torch.sparse_coo"),
    ],
)
def test_a_gradient_unlike_its_value_is_refused_and_its_value_stays(grad, error, text) -> None:
    parameters, optimizer = start((2,), (3, 4))
    before = parameters[1].value.clone()
    parameters[1].grad = grad
    with pytest.raises(error, match=f"^SGD: gradient of parameter 1 must .*{text}"):
        optimizer.step()
    torch.testing.assert_close(parameters[1].value, before, rtol=0, atol=0)


def test_a_value_replaced_by_whole_numbers_is_refused() -> None:
    parameters, optimizer = start((2,))
    parameters[0].trainable = False
    parameters[0].value = parameters[0].grad = torch.ones(2, dtype=torch.int64)
    parameters[0].trainable = True
    with pytest.raises(DtypeError, match=r"SGD: parameter 0 must be floating point to be trained, got torch\.int64"):
        optimizer.step()


@pytest.mark.parametrize("kind", [Adagrad, Adam, AdamW, SGD])
def test_a_gradient_without_numbers_is_refused(kind: type[Optimizer]) -> None:
    parameter = Parameter(torch.randn(3))
    optimizer = kind([parameter], lr=0.1)
    for _ in range(2):
        parameter.grad = torch.randn(3)
        optimizer.step()
    parameter.grad = torch.randn(3, device="meta")
    with pytest.raises(DtypeError, match="gradient of parameter 0 must be on the device of the value, cpu, got meta"):
        optimizer.step()
