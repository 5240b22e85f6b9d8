"""Inputs of odd dtypes, strides and sizes: computed as torch.nn does, or refused by name, never a dead process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from drawn_arguments import NAMES

from mytorch.core import DtypeError, ShapeError
from mytorch.nn import CTCLoss, EmbeddingBag, GaussianNLLLoss, PixelShuffle, PixelUnshuffle, ReLU, RReLU
from mytorch.plugins import catalogue

TOYS = Path(__file__).parent / "toys"
PARTS = [
    part.name for kind in ("layer", "loss") for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"
]
SEEDS = (0, 1)


def faults_of(*program):
    """For each part, what is wrong with what came of the tries of a program of toys/."""
    process = subprocess.run([sys.executable, *program], cwd=TOYS, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    return {line["part"]: line["faults"] for line in lines}, process


def require_none(part, tried):
    faults, process = tried
    assert part in faults, f"the process ended before or with it: {process.returncode} {process.stderr[-500:]}"
    assert not faults[part]


@pytest.fixture(scope="module", params=SEEDS)
def odd_inputs(request):
    return faults_of("odd_inputs.py", str(request.param))


@pytest.fixture(scope="module")
def odd_arguments():
    return faults_of("odd_arguments.py")


@pytest.fixture(scope="module")
def moved_weights():
    return faults_of("moved_weights.py")


@pytest.mark.parametrize("part", PARTS)
def test_weights_on_another_device_than_the_rest_of_a_step(part, moved_weights):
    require_none(part, moved_weights)


@pytest.mark.parametrize("part", PARTS)
def test_odd_inputs(part, odd_inputs):
    require_none(part, odd_inputs)


@pytest.mark.parametrize("part", NAMES)
def test_odd_inputs_of_parts_with_drawn_arguments(part, odd_arguments):
    require_none(part, odd_arguments)


@pytest.mark.parametrize("training", [True, False])
def test_rrelu_in_float16(training):
    layer, x = RReLU(0.25, 0.5).train(training), torch.randn(50, 7).half()
    y, slope = layer.forward(x)
    assert y.dtype is slope.dtype is torch.float16
    torch.testing.assert_close(y, torch.where(x > 0, x, x * slope), rtol=1e-3, atol=1e-3)
    drawn = slope[x < 0]
    assert bool((drawn >= 0.25).all() and (drawn <= 0.5).all())
    assert len(drawn.unique()) > 10 if training else set(drawn.tolist()) == {0.375}
    d_y = torch.randn(50, 7).half()
    torch.testing.assert_close(layer.backward(d_y, slope), d_y * slope)


@pytest.mark.parametrize("make", [PixelShuffle, PixelUnshuffle])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16], ids=str)
def test_a_shuffle_of_a_dtype_that_torch_only_stores(make, dtype):
    layer, x = make(2), torch.ones(1, 4, 2, 2)
    text = f"^{make.__name__}: x must have a dtype that torch shuffles, got {dtype}; convert with "
    with pytest.raises(DtypeError, match=text):
        layer.forward(x.to(dtype))


def test_relu_of_a_dtype_that_torch_only_stores():
    text = "^ReLU: x must have a dtype in which torch compares numbers, got torch.uint16; convert with "
    with pytest.raises(DtypeError, match=text):
        ReLU().forward(torch.ones(3).to(torch.uint16))


def test_an_upstream_gradient_of_eight_bits():
    layer = PixelShuffle(2)
    _, shape = layer.forward(torch.ones(1, 4, 2, 2))
    with pytest.raises(
        DtypeError, match=r"^PixelShuffle: d_y must be floating point, of at least 16 bits, got torch.f"
    ):
        layer.backward(torch.ones(1, 1, 4, 4).to(torch.float8_e5m2), shape)


def test_targets_of_ctc_in_small_whole_numbers():
    log_probs = torch.randn(6, 2, 4).log_softmax(-1)
    targets, lengths = torch.tensor([[1, 2], [3, 1]]), ((6, 6), (2, 2))
    expected = CTCLoss()(log_probs, targets, *lengths)
    for dtype in (torch.uint8, torch.uint16, torch.int32):
        assert CTCLoss()(log_probs, targets.to(dtype), *lengths) == expected


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
def test_offsets_of_another_dtype_than_the_indices(dtype):
    layer, indices, starts = EmbeddingBag(9, 3), torch.randint(9, (7,)), torch.tensor([0, 2, 2, 5])
    other = torch.int64 if dtype is torch.int32 else torch.int32
    y, saved = layer.forward(indices.to(dtype), starts.to(other))
    torch.testing.assert_close(y, torch.nn.functional.embedding_bag(indices, layer.weight.value, starts))
    d_y = torch.randn(y.shape)
    layer.backward(d_y, saved)
    d_weight, layer.weight.grad = layer.weight.grad, None
    layer.backward(d_y, layer.forward(indices, starts)[1])
    torch.testing.assert_close(d_weight, layer.weight.grad)


def test_indices_without_a_bag():
    with pytest.raises(
        ShapeError, match=r"^EmbeddingBag: offsets must begin a bag for 2 indices, got no offsets at al"
    ):
        EmbeddingBag(5, 3).forward(torch.tensor([1, 2]), torch.tensor([], dtype=torch.int64))


def test_a_variance_of_another_dtype():
    rows = torch.rand(4, 3)
    text = "^GaussianNLLLoss: var must have the dtype of the prediction, torch.float32, got torch.float16; convert it"
    with pytest.raises(DtypeError, match=text):
        GaussianNLLLoss().forward(rows, rows.half(), rows)
