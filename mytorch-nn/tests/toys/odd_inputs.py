"""Gives each part of mytorch-nn inputs of odd dtypes, strides and sizes, and prints as JSON what came of it.

What a part takes must be computed as torch.nn does where torch takes it, too; what it does not take must be refused by
its name. It runs in a process of its own, since a kernel that reads beyond its memory may end it.
"""

import json
import sys
import warnings

import torch
from layouts import any_axis, expanded, sliced, transposed

from mytorch.core import Module, MytorchError, random_state
from mytorch.plugins import catalogue
from mytorch.testing.inputs import drawn
from mytorch.testing.installed.declarations import Gain, Told, declarations
from mytorch.testing.structure import changed, is_floating, mapped, tensors

HALF = (torch.float16, torch.bfloat16)
EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)
DTYPES = (*HALF, *EIGHT_BITS, torch.float64, torch.complex64, torch.uint8, torch.uint16, torch.int32, torch.int64)
DTYPES = (*DTYPES, torch.bool)
RANDOM = {"AlphaDropout", "CrossMapLRN2d", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"}
RANDOM |= {"FractionalMaxPool2d", "FractionalMaxPool3d", "RReLU"}
"""Parts that draw, so that two of them differ; and one whose docstring says how torch's differs from its formula."""

UNSET = ("MultiLabelMarginLoss", "MultiMarginLoss")
"""Losses for which torch gives whatever stood in memory, of nothing."""

HIDE = ("MultiheadAttention",)
"""Layers for which torch gives NaN where a query may look at no key, and we give 0."""

OURS_ALONE = ("generator", "batch_chunk_size", "is_causal")
"""Arguments that torch's classes have not."""


FED = {
    "CTCLoss": Told(
        inputs=((6, 2, 4), torch.tensor([[1, 2], [3, 1]]), torch.tensor([6, 5]), torch.tensor([2, 1])),
    ),
    "EmbeddingBag": Told({"mode": "sum"}, (torch.tensor([0, 3, 3, 4, 1]), torch.tensor([0, 2]), (5,))),
    "GRU": Told(inputs=((5, 2, 3), (4, 2, 4))),
    "LSTM": Told(inputs=((5, 2, 3), ((4, 2, 4), (4, 2, 4)))),
    "MultiheadAttention": Told(
        inputs=((3, 2, 4),) * 3,
        options={
            "attn_mask": torch.eye(3, dtype=torch.bool),
            "key_padding_mask": torch.tensor([[False, False, True], [False, False, False]]),
        },
    ),
    "NLLLoss": Told({"weight": torch.tensor([0.5, 1.0, 2.0])}, ((5, 3), torch.tensor([0, 1, 2, 2, 1]))),
    "PairwiseDistance": Told({"p": float("inf")}, ((5, 3), (5, 3))),
    "TripletMarginWithDistanceLoss": Told({"swap": True}, ((5, 3),) * 3),
}
"""Inputs that a part can do without, and arguments of another path, beside those that the kit gives it."""


def emptied(leaf):
    return leaf.narrow(any_axis(leaf), 0, 0)


ODD = {str(dtype): lambda leaf, dtype=dtype: leaf.to(dtype) for dtype in DTYPES}
ODD |= {function.__name__: function for function in (transposed, expanded, sliced, emptied)}


def odd_inputs(inputs):
    """What is odd, the dtype of the part, and the inputs: one of the tensors is odd, then all of them are."""
    for place, leaf in tensors(inputs, "").items():
        for name, form in ODD.items():
            if leaf.dim() or name.startswith("torch"):
                yield f"{place} {name}", torch.float32, changed(inputs, place, form(leaf))
    for name in ("transposed", "sliced"):
        yield f"all {name}", torch.float32, mapped(inputs, on_axes(ODD[name]))
    for axis in range(3):
        yield f"all empty along axis {axis}", torch.float32, mapped(inputs, on_axes(empty(axis)))
        yield f"all without axis {axis}", torch.float32, mapped(inputs, on_axes(without(axis)))
    for dtype in HALF:
        given = mapped(inputs, lambda leaf, dtype=dtype: leaf.to(dtype) if is_floating(leaf) else leaf)
        yield f"all {dtype}", dtype, given


def empty(axis):
    return lambda leaf: leaf.narrow(axis, 0, 0) if axis < leaf.dim() else leaf


def without(axis):
    """Such as that of the batch."""
    return lambda leaf: leaf.select(axis, 0) if axis < leaf.dim() else leaf


def on_axes(form):
    """The form of tensors that have axes."""
    return lambda leaf: form(leaf) if isinstance(leaf, torch.Tensor) and leaf.dim() else leaf


def upstream(output):
    """A random gradient of each output, expanded along an axis."""
    generator = torch.Generator().manual_seed(2)

    def one(leaf):
        if not is_floating(leaf):
            return None
        d_leaf = torch.rand(leaf.shape, generator=generator).to(leaf)
        return expanded(d_leaf) if leaf.dim() else d_leaf

    return mapped(output, one)


def ran(layer, inputs, options):
    """Outputs and gradients of our layer."""
    torch.manual_seed(1)
    output, saved = layer.forward(*inputs, **options)
    d_output = upstream(output)
    gradients = layer.backward(d_output, saved)
    return output, d_output, gradients if len(inputs) > 1 else (gradients,)


def ran_by_torch(twin, inputs, options, d_output):
    """The same of torch's, or None where it takes no such inputs."""
    watched = mapped(inputs, lambda leaf: leaf.detach().requires_grad_() if is_floating(leaf) else leaf)
    given = (watched[0], watched[2], watched[1]) if type(twin).__name__ == "GaussianNLLLoss" else watched
    try:
        torch.manual_seed(1)
        with torch.enable_grad():
            output = twin(*given, **options)
            outputs, d_outputs = (list(tensors(each, "").values()) for each in (output, d_output))
            torch.autograd.backward([leaf for leaf in outputs if is_floating(leaf)], d_outputs)
    except Exception:
        return None
    return outputs, [leaf.grad for leaf in tensors(watched, "").values() if is_floating(leaf)]


def differences(found, expected, inputs, dtype):
    """Raise AssertionError unless outputs and the gradients that both give are the same."""
    (output, _, gradients), (outputs, d_inputs) = found, expected
    half = dtype in HALF or any(leaf.dtype in HALF for leaf in tensors((inputs, output), "").values())
    tolerance = {"rtol": 5e-2, "atol": 5e-2} if half else {"rtol": 1e-3, "atol": 1e-4}

    def compare(value, its, what):
        value, its = (each.float() if each.dtype in EIGHT_BITS else each for each in (value, its))
        text = lambda text: f"{what}: {text}"  # noqa: E731
        torch.testing.assert_close(value, its, equal_nan=True, check_dtype=False, msg=text, **tolerance)

    for value, its in zip(tensors(output, "").values(), outputs, strict=True):
        compare(value, its.detach(), "output")
    of_floating = {place: leaf for place, leaf in tensors(inputs, "").items() if is_floating(leaf)}
    given = tensors(gradients, "")
    for (place, leaf), d_input in zip(of_floating.items(), d_inputs, strict=True):
        if place in given and d_input is not None:
            assert given[place].dtype is leaf.dtype, f"d{place}: {given[place].dtype} for {leaf.dtype}"
            compare(given[place], d_input, f"d{place}")


def fault(name, factory, inputs, options, dtype):
    """What is wrong with what a part does with odd inputs, or None."""
    torch.manual_seed(0)
    layer = factory().to(dtype)
    try:
        found = ran(layer, inputs, options)
    except MytorchError as error:
        named = name.removeprefix("Lazy") in str(error) or any(True for _ in layer.children())
        return None if named else f"names no {name}: {error}"
    except Exception as error:
        if "Float8" in str(error) and any(isinstance(child, Gain) for child in layer.modules()):
            return None  # of the layer that the kit gives to those that hold one
        return f"{type(error).__name__}: {error}"
    twin = twin_of(name, layer)
    expected = twin and ran_by_torch(twin.to(dtype), inputs, options, found[1])
    if not expected or name in RANDOM or (name in UNSET and not inputs[0].numel()):
        return None
    if name in HIDE and any(leaf.isnan().any() for leaf in expected[0]):
        return None
    try:
        differences(found, expected, inputs, dtype)
    except AssertionError as error:
        return f"differs from torch: {error}"
    return None


def twin_of(name, layer):
    """torch's module with the weights of ours; None for what holds modules that it is given, or torch has not."""
    arguments = {key: value for key, value in layer.arguments().items() if key not in OURS_ALONE}
    given = any(isinstance(value, Module | list) for value in arguments.values())
    if not hasattr(torch.nn, name) or given or name.startswith("Lazy"):
        return None
    twin = getattr(torch.nn, name)(**arguments)
    twin.load_state_dict(layer.state_dict())
    return twin


def cases(part, seed):
    """How a part is built, its inputs, and the keyword arguments of its forward."""
    for told in (Told(), *([FED[part.name]] if part.name in FED else ())):
        for _, declaration in declarations(part, told):
            factory, *inputs = declaration.check.args
            options = declaration.check.keywords.get("options") or {}
            yield factory, mapped((drawn(tuple(inputs), seed), dict(options)), single)


def single(leaf):
    return leaf.float() if is_floating(leaf) else leaf


def main():
    warnings.simplefilter("ignore")
    seed = int(sys.argv[1])
    for kind in ("layer", "loss"):
        for part in catalogue().of_kind(kind):
            if part.distribution != "mytorch-nn":
                continue
            found = {}
            torch.manual_seed(seed)
            for factory, given in cases(part, seed):
                for what, dtype, (inputs, options) in odd_inputs(given):
                    with torch.no_grad(), random_state():
                        wrong = fault(part.name, factory, inputs, options, dtype)
                    if wrong:
                        found[what] = wrong[:300]
            print(json.dumps({"part": part.name, "faults": found}), flush=True)


if __name__ == "__main__":
    main()
