"""Every optimizer on a GPU: no step waits for it, and its state goes to the processor and back."""

import pytest
import torch

import mytorch.optim
from mytorch.core import Optimizer, Parameter

pytestmark = pytest.mark.cuda

NAMES = sorted(
    name
    for name in mytorch.optim.__all__
    if isinstance(each := getattr(mytorch.optim, name), type) and issubclass(each, Optimizer) and name != "LBFGS"
)
"""All but the one that decides by the loss how far it goes."""
SHAPES = [(5, 3), (2, 4), (1, 1), (300, 40)]


def parameters(device, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [Parameter(torch.randn(shape, generator=generator, dtype=dtype).to(device)) for shape in SHAPES]


def step(optimizer, seed):
    generator = torch.Generator().manual_seed(seed)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            value = parameter.value
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            parameter.grad = drawn.to(value)
    optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_no_step_waits_for_the_gpu(name, dtype):
    optimizer = getattr(mytorch.optim, name)(parameters("cuda", dtype), lr=0.01)
    for seed in range(2):
        step(optimizer, seed)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Muon"])  # which computes in bfloat16
def test_state_goes_to_the_processor_and_back(name):
    """Steps here, then there, then here again are those of steps here alone."""
    kind = getattr(mytorch.optim, name)
    settings = {"lr": 0.01}
    whole = kind(parameters("cpu", torch.float64), **settings)
    current = kind(parameters("cpu", torch.float64), **settings)
    for seed, device in enumerate(["cpu", "cpu", "cuda", "cuda", "cpu"]):
        step(whole, seed)
        held, state = [p.value.to(device) for p in current.param_groups[0]["params"]], current.state_dict()
        current = kind([Parameter(value.clone()) for value in held], **settings)
        current.load_state_dict(state)
        step(current, seed)
        for one, other in zip(whole.param_groups[0]["params"], current.param_groups[0]["params"], strict=True):
            assert other.value.device.type == device
            torch.testing.assert_close(one.value, other.value.cpu(), rtol=1e-7, atol=1e-9)


def test_lbfgs():
    found = {}
    for device in ("cpu", "cuda"):
        held = parameters(device, torch.float64)
        optimizer = mytorch.optim.LBFGS(held, lr=0.1, line_search_fn="strong_wolfe")

        def closure(held=held, optimizer=optimizer):
            optimizer.zero_grad()
            for parameter in held:
                parameter.accumulate(2 * parameter.value)
            return sum((parameter.value**2).sum() for parameter in held)

        for _ in range(3):
            optimizer.step(closure)
        found[device] = [parameter.value.cpu() for parameter in held]
    torch.testing.assert_close(found["cuda"], found["cpu"], rtol=1e-7, atol=1e-9)
