"""What every layer refuses: upstream gradients of another shape, saved values of another layer, what is no tensor."""

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError, ContractError, DtypeError, Module, MytorchError, ShapeError, StateError
from mytorch.nn import (
    AdaptiveLogSoftmaxWithLoss,
    AvgPool2d,
    BatchNorm1d,
    CTCLoss,
    Dropout,
    Embedding,
    EmbeddingBag,
    Flatten,
    Identity,
    LazyLinear,
    Linear,
    LinearCrossEntropyLoss,
    LPPool1d,
    MaxPool1d,
    MaxUnpool1d,
    ModuleList,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from mytorch.plugins import catalogue
from mytorch.testing.inputs import drawn
from mytorch.testing.installed.declarations import Told, declarations
from mytorch.testing.structure import changed, is_floating, mapped, tensors

LAYERS = {
    "ReLU": ReLU,
    "Tanh": Tanh,
    "Sigmoid": Sigmoid,
    "Identity": Identity,
    "Flatten": lambda: Flatten(0),
    "Dropout": lambda: Dropout(0.4),
    "Dropout in evaluation": lambda: Dropout(0.4).eval(),
    "Dropout of everything": lambda: Dropout(1.0),
    "Linear": lambda: Linear(3, 4),
    "BatchNorm1d": lambda: BatchNorm1d(3),
    "BatchNorm1d in evaluation": lambda: BatchNorm1d(3).eval(),
    "BatchNorm1d without weights": lambda: BatchNorm1d(3, affine=False, track_running_stats=False),
    "Residual": lambda: Residual(Tanh()),
    "Sequential": lambda: Sequential(Linear(3, 3), Tanh()),
    "Sequential without layers": Sequential,
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
ROWS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def wrong_upstreams(shape):
    """Too few rows, one that would be broadcast, a transposed one, one axis more, too few and too many numbers."""
    rows, *others = shape
    if rows == 0:
        return [torch.randn(2, 3), torch.randn(())]
    shapes = [(rows - 1, *others), (1, *others), tuple(reversed(shape)), (1, *shape), (1,), (), (rows + 1, *others)]
    return [torch.randn(wrong) for wrong in shapes if wrong != tuple(shape)]


@each_layer
@pytest.mark.parametrize("rows", [5, 0])
@pytest.mark.parametrize("input_grad", [True, False])
def test_an_upstream_gradient_of_another_shape(make, rows, input_grad):
    layer = make()
    layer.input_grad = input_grad
    y, saved = layer.forward(ROWS[:rows])
    for d_y in [*wrong_upstreams(y.shape), None, y.numpy(), [1.0], 1.0]:
        with pytest.raises(ShapeError, match=r"^\w+: d_y must have the shape of the output, \("):
            layer.backward(d_y, list(saved) if isinstance(saved, list) else saved)
    assert all(parameter.grad is None for parameter in layer.param())
    layer.backward(torch.randn(y.shape), saved)


@each_layer
@pytest.mark.parametrize("saved", [None, 3, (), (1, 2), (torch.randn(5, 3),) * 3, "text"], ids=str)
def test_a_saved_value_of_another_layer(make, saved):
    layer = make()
    y, _ = layer.forward(ROWS)
    with pytest.raises((ArgumentError, StateError), match=r"^\w+: saved must "):
        layer.backward(torch.randn(y.shape), saved)


@each_layer
@pytest.mark.parametrize("x", [ROWS.numpy(), ROWS.tolist(), 1.0, None], ids=["NumPy", "list", "float", "None"])
def test_what_is_no_tensor(make, x):
    text = r"^\w+: x must be a tensor, got .*; convert with torch\.as_tensor\(x\)"
    for use in (make().forward, make()):
        with pytest.raises(ArgumentError, match=text):
            use(x)


@pytest.mark.parametrize("make", [lambda: Linear(3, 4), lambda: BatchNorm1d(3), lambda: BatchNorm1d(3).eval()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64], ids=str)
def test_another_dtype_than_that_of_the_weights(make, dtype):
    layer = make()
    x = torch.ones(5, 3)
    with pytest.raises(DtypeError, match=rf"\w+: x must have the dtype of the parameters, torch.float32, got {dtype}"):
        layer.forward(x.to(dtype))
    y, saved = layer.forward(x)
    rule = (
        "have the dtype of the \\w+, torch.float32" if dtype.is_floating_point else "be floating point, as the .* is"
    )
    with pytest.raises(DtypeError, match=rf"\w+: d_y must {rule}, got {dtype}"):
        layer.backward(torch.ones(y.shape).to(dtype), saved)
    assert all(parameter.grad is None for parameter in layer.param())


def test_dropout_of_whole_numbers_and_a_norm_without_weights():
    with pytest.raises(DtypeError, match=r"Dropout: x must be floating point, got torch\.int64"):
        Dropout(0.4).forward(torch.ones(3, dtype=torch.int64))
    with pytest.raises(DtypeError, match=r"BatchNorm1d: x must be floating point, got torch\.int64"):
        BatchNorm1d(3, affine=False, track_running_stats=False).forward(torch.ones(5, 3, dtype=torch.int64))


PARTS = {
    kind: [part for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"]
    for kind in ("layer", "loss")
}
LAYER_PARTS = [part for part in PARTS["layer"] if part.name not in ("ModuleDict", "ModuleList")]  # those cannot run


def fed(part, seed=0):
    """A part, its inputs, drawn by the seed, and the keyword arguments of its forward."""
    _, declaration = next(iter(declarations(part, Told())))
    factory, *inputs = declaration.check.args
    inputs = mapped(drawn(tuple(inputs), seed), lambda leaf: leaf.float() if is_floating(leaf) else leaf)
    return factory().float(), inputs, declaration.check.keywords.get("options") or {}


EXOTIC = {
    "bool": lambda leaf: leaf.to(torch.bool),
    "complex": lambda leaf: leaf.to(torch.complex64),
    "int64": lambda leaf: leaf.to(torch.int64),
    "sparse": lambda leaf: leaf.to_sparse(),
    "sparse rows": lambda leaf: leaf.to_sparse_csr() if leaf.dim() == 2 else None,
    "quantized": lambda leaf: torch.quantize_per_tensor(leaf.float(), 0.1, 0, torch.qint8),
}
"""The same tensor in another form, or None where there is none."""
EVERY_PART = pytest.mark.parametrize("part", [*LAYER_PARTS, *PARTS["loss"]], ids=lambda part: part.name)
STORED_OTHERWISE = ("sparse", "sparse rows", "quantized")
TAKE_SPARSE = ("Linear", "LazyLinear")


def each_exotic(inputs, form):
    """The inputs with one of the tensors in another form, for each of them that has it."""
    for place, leaf in tensors(inputs, "").items():
        wrong = EXOTIC[form](leaf)
        if wrong is not None and (wrong.dtype, wrong.layout) != (leaf.dtype, leaf.layout):
            yield changed(inputs, place, wrong)


@EVERY_PART
@pytest.mark.parametrize("form", EXOTIC)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor")
def test_an_input_in_a_form_that_kernels_do_not_know(part, form):
    layer, inputs, options = fed(part)
    name = part.name.removeprefix("Lazy")
    for wrong in each_exotic(inputs, form):
        refusal = None
        try:
            layer.forward(*wrong, **options)
        except MytorchError as error:
            refusal = str(error)
        if refusal is None:
            assert form not in STORED_OTHERWISE or (form != "quantized" and part.name in TAKE_SPARSE)
        else:
            assert name in refusal or any(True for _ in layer.children())


@pytest.mark.parametrize("part", LAYER_PARTS, ids=lambda part: part.name)
def test_an_upstream_gradient_that_is_sparse(part):
    layer, inputs, options = fed(part)
    output, saved = layer.forward(*inputs, **options)
    d_output = mapped(output, lambda leaf: torch.ones_like(leaf).to_sparse() if is_floating(leaf) else None)
    if part.name in TAKE_SPARSE:
        layer.backward(d_output, saved)
        return
    with pytest.raises(DtypeError, match=r"must be a dense tensor of plain numbers, got torch\.sparse_coo; convert "):
        layer.backward(d_output, saved)


@pytest.mark.parametrize("make", [lambda: Linear(3, 4), lambda: LazyLinear(4)], ids=["Linear", "LazyLinear"])
@pytest.mark.parametrize("form", ["sparse", "sparse rows"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_linear_takes_sparse_rows(make, form):
    layer = make()
    y, saved = layer.forward(EXOTIC[form](ROWS))
    d_y = torch.randn(y.shape)
    layer.backward(d_y, saved)
    torch.testing.assert_close(y, ROWS @ layer.weight.value.T + layer.bias.value)
    torch.testing.assert_close(layer.weight.grad, d_y.T @ ROWS)


@pytest.mark.parametrize("part", LAYER_PARTS, ids=lambda part: part.name)
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64], ids=str)
def test_an_upstream_gradient_that_is_not_floating_point(part, dtype):
    layer, inputs, options = fed(part)
    output, saved = layer.forward(*inputs, **options)
    d_output = mapped(output, lambda leaf: torch.ones_like(leaf).to(dtype) if is_floating(leaf) else None)
    with pytest.raises(DtypeError, match=rf"must .*floating point, as the output is, got {dtype}"):
        layer.backward(d_output, saved)


@pytest.mark.parametrize("part", [*LAYER_PARTS, *PARTS["loss"]], ids=lambda part: part.name)
def test_inputs_on_another_device(part):
    layer, inputs, options = fed(part)
    if type(layer).__module__.startswith("mytorch.nn.container") or part.name in ("Padded", "CTCLoss"):
        return  # containers leave it to their layers; torch's CTC takes targets from the CPU on every device
    layer.forward(*inputs, **options)  # which gives lazy ones their weights
    places = list(tensors(inputs, ""))
    if len(places) == 1 and not list(layer.named_state()):
        return
    for place in places:
        held = iter(places)
        moved = mapped(inputs, lambda leaf, held=held, place=place: leaf.to("meta") if next(held) == place else leaf)
        with pytest.raises(MytorchError, match="must be on the device of "):
            layer.forward(*moved, **options)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("part", LAYER_PARTS, ids=lambda part: part.name)
def test_an_upstream_gradient_on_another_device(part, seed):
    layer, inputs, options = fed(part, seed)
    output, saved = layer.forward(*inputs, **options)
    floating = [place for place, leaf in tensors(output, "").items() if is_floating(leaf)]
    for place in floating:
        output, saved = layer.forward(*inputs, **options)
        d_output = mapped(output, lambda leaf: torch.randn(leaf.shape) if is_floating(leaf) else None)
        moved = changed(d_output, place, tensors(d_output, "")[place].to("meta"))
        refusal = None
        try:
            layer.backward(moved, saved)
        except MytorchError as error:
            refusal = str(error)
        if refusal is not None:
            assert re.match(r"^\w+: d_?\w* must be on the device of the \w+, cpu, got meta; move it with ", refusal)
            continue
        # What looks at no number of the forward moves the gradient it is given, wherever that is.
        assert all(parameter.grad is None or not parameter.grad.is_meta for parameter in layer.param())


@pytest.mark.parametrize("part", PARTS["loss"], ids=lambda part: part.name)
def test_an_upstream_gradient_of_a_loss_on_another_device(part):
    loss, inputs, options = fed(part)
    for reduction in ("mean", "sum", "none"):
        loss.reduction = reduction
        value, saved = loss.forward(*inputs, **options)
        d_value = torch.randn(value.shape)
        text = f"^{part.name}: d_value must be on the device of the prediction, cpu, got meta; move it with "
        with pytest.raises(ArgumentError, match=text):
            loss.backward(d_value.to("meta"), saved)
        loss.backward(d_value, loss.forward(*inputs, **options)[1])


SHORT = """
import torch
from mytorch.core import ShapeError
from mytorch.nn import BatchNorm1d
layer = BatchNorm1d(2000)
{mode}
_, saved = layer.forward(torch.randn({rows}, 2000))
try:
    layer.backward(torch.ones({shape}), saved)
except ShapeError as error:
    print(error)
"""


@pytest.mark.parametrize("mode", ["", "layer.eval()"])
@pytest.mark.parametrize(("rows", "shape"), [(20000, (1,)), (20000, ()), (2, (1, 2000)), (0, (1,))], ids=str)
def test_a_kernel_never_sees_too_short_an_upstream_gradient(mode, rows, shape):
    # in a process of its own: the kernel reads beyond the end, which may end the process
    code = SHORT.format(mode=mode, rows=rows, shape=shape)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (
        0,
        f"BatchNorm1d: d_y must have the shape of the output, ({rows}, 2000), got {shape}\n",
    )


@each_layer
def test_an_upstream_gradient_that_is_not_contiguous(make):
    layer = make().to(torch.float64)
    x = ROWS.double()
    torch.manual_seed(1)
    y, saved = layer.forward(x)
    d_y = torch.randn(*y.shape, 2, dtype=torch.float64)[..., 0]
    torch.manual_seed(1)
    _, again = layer.forward(x)
    found = layer.backward(d_y, saved)
    grads = [parameter.grad for parameter in layer.param()]
    layer.zero_grad()
    torch.testing.assert_close(layer.backward(d_y.contiguous(), again), found, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close([p.grad for p in layer.param()], grads, rtol=1e-12, atol=1e-12)


BAD_ARGUMENTS = {
    "Linear: in_features must be a whole number of at least 0, got 2.5": lambda: Linear(2.5, 2),
    "Linear: in_features must be a whole number of at least 0, got True": lambda: Linear(True, 2),
    "Linear: out_features must be a whole number of at least 0, got '2'": lambda: Linear(2, "2"),
    "Linear: dtype must be floating point, since weights are trained, got torch.int64": lambda: Linear(
        2, 2, dtype=torch.int64
    ),
    "BatchNorm1d: num_features must be a whole number of at least 0, got 3.0": lambda: BatchNorm1d(3.0),
    "BatchNorm1d: eps must be a number, got '1'": lambda: BatchNorm1d(3, eps="1"),
    "BatchNorm1d: momentum must be a number, got True": lambda: BatchNorm1d(3, momentum=True),
    "BatchNorm1d: dtype must be floating point, since weights are trained, got torch.int32": lambda: BatchNorm1d(
        3, dtype=torch.int32
    ),
    "Dropout: p must be a number, got None": lambda: Dropout(None),
    "Dropout: p must be a number, got True": lambda: Dropout(True),
    "Dropout: generator must be a torch.Generator or None, got 3": lambda: Dropout(generator=3),
    "Flatten: start_dim must be a whole number, got 1.5": lambda: Flatten(1.5),
    "AdaptiveLogSoftmaxWithLoss: cutoffs must be a list of whole numbers, got None": (
        lambda: AdaptiveLogSoftmaxWithLoss(4, 8, None)
    ),
    "AvgPool2d: ceil_mode must be True or False, got 'false'": lambda: AvgPool2d(2, ceil_mode="false"),
    "AvgPool2d: count_include_pad must be True or False, got 1": lambda: AvgPool2d(2, count_include_pad=1),
    "LPPool1d: ceil_mode must be True or False, got None": lambda: LPPool1d(2, 2, ceil_mode=None),
    "MaxPool1d: return_indices must be True or False, got 'no'": lambda: MaxPool1d(2, return_indices="no"),
    "Embedding: scale_grad_by_freq must be True or False, got 2": lambda: Embedding(3, 2, scale_grad_by_freq=2),
    "EmbeddingBag: include_last_offset must be True or False, got 0": lambda: EmbeddingBag(
        3, 2, include_last_offset=0
    ),
    "CTCLoss: zero_infinity must be True or False, got 'x'": lambda: CTCLoss(zero_infinity="x"),
    "Dropout: p must be a number, got tensor([1., 1.])": lambda: Dropout(torch.ones(2)),
    "LinearCrossEntropyLoss: out_features must be a tuple of whole numbers, got 5": (
        lambda: LinearCrossEntropyLoss(4, 3, out_features=5)
    ),
    "ModuleList: modules must be a list of Modules, got an int": lambda: ModuleList(3),
    "MaxUnpool1d: output_size must be a tuple of whole numbers, got 5": lambda: MaxUnpool1d(2)(
        torch.ones(1, 2), torch.tensor([[0, 3]]), output_size=5
    ),
    "MaxUnpool1d: output_size must be a tuple of whole numbers, got '4'": lambda: MaxUnpool1d(2)(
        torch.ones(1, 2), torch.tensor([[0, 3]]), output_size="4"
    ),
    "Flatten: end_dim must be a whole number, got True": lambda: Flatten(0, True),
}


@pytest.mark.parametrize(("text", "make"), BAD_ARGUMENTS.items(), ids=BAD_ARGUMENTS)
def test_arguments(text, make):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value).startswith(text)


PLACED = [part for kind in PARTS for part in PARTS[kind] if "device" in inspect.signature(part.load()).parameters]


@pytest.mark.parametrize("device", ["cdua", "", 1.5, [0]], ids=repr)
@pytest.mark.parametrize("part", PLACED, ids=lambda part: part.name)
def test_a_device_that_torch_does_not_know(part, device):
    text = r"ArgumentError: \w+: device must be one that torch knows, such as cpu or cuda:0, got "
    with pytest.raises(ArgumentError, match=text + re.escape(repr(device))):
        list(declarations(part, Told({"device": device})))


@pytest.mark.parametrize("part", [*PARTS["layer"], *PARTS["loss"]], ids=lambda part: part.name)
def test_flags_are_true_or_false(part):
    parameters = inspect.signature(part.load()).parameters.values()
    flags = [each.name for each in parameters if each.annotation in ("bool", "bool | None")]
    for name in flags:
        with pytest.raises(ArgumentError, match=f"{part.name}: {name} must be True or False, got 'no'"):
            list(declarations(part, Told({name: "no"})))


def flags_of_forward(part):
    parameters = inspect.signature(part.load().forward).parameters.values()
    return [each.name for each in parameters if each.annotation == "bool"]


@pytest.mark.parametrize("part", [*filter(flags_of_forward, LAYER_PARTS)], ids=lambda part: part.name)
@pytest.mark.parametrize("wrong", ["no", [0], torch.zeros(3, 3, dtype=torch.bool)], ids=["text", "list", "mask"])
def test_flags_of_a_forward_are_true_or_false(part, wrong):
    """A mask at the place of is_causal among them."""
    layer, inputs, options = fed(part)
    for name in flags_of_forward(part):
        with pytest.raises(ArgumentError, match=rf"^{part.name}\w*: {name} must be True or False, got "):
            layer.forward(*inputs, **options | {name: wrong})


@pytest.mark.parametrize("part", [*PARTS["layer"], *PARTS["loss"]], ids=lambda part: part.name)
def test_an_unknown_argument_is_told_by_the_name_of_the_class(part):
    owner = rf"({part.name}|Module)\."  # a layer without arguments has no constructor of its own
    with pytest.raises(TypeError, match=owner + r"__init__\(\) got an unexpected keyword argument 'unheard_of'"):
        part.load()(unheard_of=1)


class NoPair(Module):
    """Two rows, which would be taken for output and saved value."""

    def forward(self, x):
        return x[:2]


@pytest.mark.parametrize("make", [Sequential, Residual], ids=["Sequential", "Residual"])
def test_a_child_whose_forward_returns_no_pair(make):
    text = r"^NoPair: forward must return a pair \(output, saved\), got a Tensor; write"
    for use in (make(NoPair()).forward, make(NoPair())):
        with pytest.raises(ContractError, match=text):
            use(ROWS)


def test_numpy_numbers_stay_out_of_the_parameters():
    with pytest.raises(ArgumentError, match="Linear: in_features must be a whole number"):
        Linear(np.float64(3), 2)
