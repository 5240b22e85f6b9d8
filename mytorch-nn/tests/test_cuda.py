"""Every layer and loss on a GPU: what it computes there is what it computes on the processor."""

from functools import partial

import pytest
import torch
from odd_inputs import cases, upstream

from mytorch.core import MytorchError, random_state
from mytorch.nn import MultiheadAttention
from mytorch.plugins import catalogue
from mytorch.testing.structure import is_floating, mapped, tensors

pytestmark = pytest.mark.cuda

KINDS = ("layer", "loss")
PARTS = [part for kind in KINDS for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"]
TIES = ("FractionalMaxPool2d", "FractionalMaxPool3d")
"""Layers of whose example numbers are equal in bfloat16: which of them gets the gradient is the kernel's choice."""

TOLERANCE = {torch.float64: (1e-7, 1e-7), torch.float32: (1e-3, 1e-4), torch.bfloat16: (5e-2, 5e-2)}


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Convolutions and recurrent layers round float32 to 10 bits on a GPU unless this is off."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    with torch.no_grad(), random_state():
        yield


def converted(value, device, dtype):
    return mapped(value, lambda leaf: leaf.to(device, dtype if is_floating(leaf) else None))


def computed(module, inputs, options, d_output=None):
    """Every number of a forward and a backward, by name, and the upstream gradient."""
    torch.manual_seed(1)
    output, saved = module.forward(*inputs, **options)
    if d_output is None:
        d_output = upstream(output)
    gradients = module.backward(d_output, saved)
    found = tensors(output, "output") | tensors(gradients, "gradient")
    found |= module.state_dict()
    found |= {f"gradient of {name}": p.grad for name, p in module.named_param() if p.grad is not None}
    return found, d_output


def require_close(found, expected, dtype):
    rtol, atol = TOLERANCE[dtype]
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype is expected[name].dtype, name
        torch.testing.assert_close(
            value.cpu(), expected[name].cpu(), rtol=rtol, atol=atol, equal_nan=True, msg=partial("{}: {}".format, name)
        )


def built(factory, given, device, dtype, training):
    """A module with weights that do not depend on the device, also those that are drawn at the first input."""
    torch.manual_seed(0)
    module = factory()
    if not all(held.initialized for _, held in module.named_state()):
        inputs, options = converted(given, "cpu", torch.float64)
        module.double().eval().forward(*inputs, **options)
    return module.to(dtype).train(training).to(device)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_computes_what_the_processor_does(part, dtype, training):
    for factory, given in cases(part, 1):
        if training and draws(factory, given):
            require_derivative(factory, given)
            continue
        expected, d_output = computed(built(factory, given, "cpu", dtype, training), *converted(given, "cpu", dtype))
        there = built(factory, given, "cuda", dtype, training)
        found, _ = computed(there, *converted(given, "cuda", dtype), converted(d_output, "cuda", dtype))
        for name, value in found.items():
            assert value.is_cuda or not value.dim(), f"{name} is on {value.device}"
        require_close(found, expected, dtype)


def draws(factory, given):
    """Whether a forward draws random numbers, of which a GPU has others."""
    inputs, options = converted(given, "cpu", torch.float64)
    module = built(factory, given, "cpu", torch.float64, True)
    before = random_state(module)
    module.forward(*inputs, **options)
    return before.drawn()


def require_derivative(factory, given, step=1e-6):
    """The gradients of what draws, against the difference of two forwards along a random direction, drawing alike."""
    inputs, options = converted(given, "cuda", torch.float64)
    module = built(factory, given, "cuda", torch.float64, True)
    found, d_output = computed(module, inputs, options)
    places = {place: leaf for place, leaf in tensors(inputs, "gradient").items() if is_floating(leaf)}
    if len(inputs) == 1:
        places = dict(zip(["gradient"], places.values(), strict=True))
    moved = places | {f"gradient of {name}": p.value for name, p in module.named_param()}
    torch.manual_seed(2)
    along = {name: torch.randn_like(value) for name, value in moved.items() if name in found}
    state = module.state_dict()

    def value_at(distance):
        for name, direction in along.items():
            moved[name] += distance * direction
        torch.manual_seed(1)
        again = built(factory, given, "cuda", torch.float64, True)
        again.load_state_dict(state)
        torch.manual_seed(1)
        pairs = zip(
            tensors(again.forward(*inputs, **options)[0], "").values(), tensors(d_output, "").values(), strict=True
        )
        total = sum((one * d_one).sum() for one, d_one in pairs)
        for name, direction in along.items():
            moved[name] -= distance * direction
        return total

    slope = (value_at(step) - value_at(-step)) / (2 * step)
    expected = sum((found[name] * direction).sum() for name, direction in along.items())
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("part", [part for part in PARTS if part.name not in TIES], ids=lambda part: part.name)
def test_computes_in_bfloat16(part, training):
    """Near to what the processor computes in it, or refused where the processor refuses it."""
    for factory, given in cases(part, 1):
        if training and draws(factory, given):
            continue
        results = []
        for device in ("cpu", "cuda"):
            module = built(factory, given, device, torch.bfloat16, training)
            try:
                results.append(computed(module, *converted(given, device, torch.bfloat16))[0])
            except MytorchError as error:
                results.append(error)
        if isinstance(results[0], MytorchError):
            assert isinstance(results[1], MytorchError), results
        else:
            require_close(results[1], results[0], torch.bfloat16)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("head_dim", [8, 64, 6, 512])
def test_attention_by_torchs_kernels(is_causal, dtype, head_dim):
    """Whatever kernel there is for it, it computes what the products do in float64."""
    torch.manual_seed(0)
    layer = MultiheadAttention(2 * head_dim, 2, batch_first=True)
    x = torch.randn(3, 20, 2 * head_dim)
    results = []
    for device, precision in (("cpu", torch.float64), ("cuda", dtype)):
        layer = layer.to(device, precision)
        layer.zero_grad()
        (y, _), saved = layer.forward(x.to(device, precision), need_weights=False, is_causal=is_causal)
        d_x = layer.backward((y * 0.5, None), saved)
        results.append({"y": y, "d_x": d_x, **{name: p.grad.clone() for name, p in layer.named_param()}})
    for name, value in results[1].items():
        exact = results[0][name]
        error = (value.cpu().double() - exact).norm() / exact.norm().clamp(min=1)
        assert error < (1e-4 if dtype is torch.float32 else 5e-2), name
