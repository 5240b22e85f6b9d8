"""Pictures of tensors, and what layers tell of their calls."""

import base64
import json
import struct
import zlib
from dataclasses import asdict

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, SquaredError, Table

from mytorch.core import Detail, Module
from mytorch.train import Batches, Setup, explain, explain_setup
from mytorch.train.explain.picture import picture_of
from mytorch.train.explain.png import GAP, LEVELS, NONE
from mytorch.train.explain.shown import shown_of

pytestmark = pytest.mark.numbers
LAST, MIDDLE = LEVELS - 1, LEVELS // 2


def entries(picture):
    """The entries of the palette, as a list of rows, read from the PNG."""
    data = base64.b64decode(picture.uri.removeprefix("data:image/png;base64,"))
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert (width, height, depth, kind) == (picture.width, picture.height, 8, 3)
    start = data.index(b"IDAT") + 4
    length = struct.unpack(">I", data[start - 8 : start - 4])[0]
    rows = zlib.decompress(data[start : start + length])
    lines = [rows[line * (width + 1) : (line + 1) * (width + 1)] for line in range(height)]
    assert all(line[0] == 0 for line in lines)
    return [list(line[1:]) for line in lines]


def test_a_matrix_has_a_pixel_for_each_number():
    found = picture_of("w", torch.tensor([[0.0, 2.0, 1.0], [0.0, 0.0, 2.0]]), parameter=True)
    assert (found.what, found.low, found.high) == ("w", 0, 2)
    assert entries(found) == [[0, LAST, MIDDLE], [0, 0, LAST]]
    signed = picture_of("w", torch.tensor([[0.0, -2.0], [1.0, torch.nan]]), parameter=True)
    assert (signed.low, signed.high) == (-2, 1)
    assert entries(signed) == [[MIDDLE, 0], [round(0.75 * LAST), NONE]]


def test_maps_and_filters_stand_side_by_side():
    maps = torch.zeros(2, 3, 2, 2)
    maps[0, 1] = 1
    found = picture_of("y", maps, parameter=False)
    assert found.what == "y[0]"
    assert entries(found) == [[0, 0, GAP, LAST, LAST, GAP, 0, 0]] * 2
    filters = picture_of("w", maps, parameter=True)
    assert (filters.what, filters.width, filters.height) == ("w[:, :]", 3 * 3 - 1, 2 * 3 - 1)
    assert entries(filters)[2] == [GAP] * 8


@pytest.mark.parametrize(
    ("shape", "parameter", "what", "size"),
    [
        ((3, 20, 5, 5), False, "y[0, :16]", (8 * 6 - 1, 2 * 6 - 1)),
        ((3, 1, 100, 60), False, "y[0], averaged to 48 by 48", (48, 48)),
        ((20, 1, 3, 3), True, "y[:16, 0]", (8 * 4 - 1, 2 * 4 - 1)),
        ((20, 9, 3, 3), True, "y[:8, :8]", (8 * 4 - 1, 8 * 4 - 1)),
        ((4, 200, 3), False, "y[0, :128, :]", (3, 128)),
        ((200, 200), False, "y[:128, :128]", (128, 128)),
        ((2, 30), True, "y", (30, 2)),
    ],
)
def test_what_is_too_large_is_cut_or_averaged_and_says_so(shape, parameter, what, size):
    found = picture_of("y", torch.randn(shape), parameter)
    assert (found.what, (found.width, found.height)) == (what, size)


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(20),
        torch.ones(1, 30),
        torch.ones(30, 1),
        torch.ones(4, 5, 1, 1),
        torch.ones(3, 4).long(),
        torch.ones(0, 4),
        torch.ones(1, 1, 1, 4, 4),
    ],
)
def test_what_is_no_picture(value):
    assert picture_of("y", value, parameter=False) is None


def test_each_tensor_is_drawn_once():
    net = Chain(Dense(4, 5), Dense(5, 6))
    found = explain(net, SquaredError(), torch.randn(7, 4), torch.randn(7, 6))
    whole, first, second = found.of("forward")
    assert all(tensor.picture is not None for tensor in (*first.inputs, *first.parameters[:1], *first.outputs))
    assert [tensor.picture for tensor in (*whole.inputs, *second.inputs)] == [None, None]
    drawn = {
        tensor.name
        for step in found.of("backward")
        for tensor in (*step.gradients, *step.outputs)
        if tensor.picture is not None
    }
    assert drawn == {"d_prediction", "d_weight", "d_x"}
    assert found._repr_html_().count("<img ") == sum(
        tensor.picture is not None
        for step in found.steps
        if not step.passes_on or step.phase == "update"
        for tensor in (*step.inputs, *step.parameters, *step.gradients, *step.outputs)
    )
    json.dumps(asdict(found), allow_nan=False)


class Telling(Noise):
    """Tells its noise, and draws more of it while it does."""

    def forward_details(self, inputs, output, saved):
        assert list(inputs) == ["x"]
        yield Detail("noise <b>", torch.rand(2, 3), ("part", "step"), {"part": ("<i>", "b")}, ("a <line>",))
        yield Detail("sizes", torch.tensor([1.0, torch.nan, 2.0]), ("step",))

    def backward_details(self, d_output, saved):
        torch.rand(5)
        raise RuntimeError("no [bold] more")


def test_what_a_layer_tells_is_shown_and_changes_nothing():
    x, t = torch.randn(4, 3), torch.randn(4, 3)
    torch.manual_seed(0)
    plain = explain(Chain(Noise(), Dense(3, 3), Noise()), SquaredError(), x, t)
    torch.manual_seed(0)
    found = explain(Chain(Telling(), Dense(3, 3), Telling()), SquaredError(), x, t, tokens=["<o>", "n", "e"])
    assert found.loss == plain.loss
    noise, sizes = found.of("forward")[1].details
    (picture,) = noise.pictures
    assert (noise.title, noise.text) == ("noise <b>", ("a <line>",))
    assert (picture.axes, picture.rows, picture.columns) == (("part", "step"), ("<i>", "b"), ("<o>", "n", "e"))
    assert sizes.bars == (("<o>", 1.0), ("n", None), ("e", 2.0))
    (failed,) = found.of("backward")[-1].details
    assert failed.text == ("could not be made: RuntimeError: no [bold] more",)
    assert "a <line>" in str(found)
    assert "no [bold] more" in str(found)
    page = found._repr_html_()
    assert "<i>" not in page
    assert "&lt;o&gt;" in page
    json.dumps(asdict(found), allow_nan=False)


def test_tokens_are_named_where_their_number_fits():
    def shown(*shape):
        names = ("head", "query step", "key step")[-len(shape) :]
        (found,) = shown_of([Detail("weights", torch.rand(shape), names)], [*"abcde"])
        return found

    assert [(each.what, each.rows) for each in shown(2, 4, 4).pictures] == [("head 0", ()), ("head 1", ())]
    assert {each.columns for each in shown(2, 4, 5).pictures} == {tuple("abcde")}
    (large,) = shown_of([Detail("w", torch.rand(60, 60), ("query step", "key step"))], ["t"] * 60)[0].pictures
    assert large.what == "w, the first 32 of 60 query steps, the first 32 of 60 key steps"
    assert (large.width, large.height, len(large.rows)) == (32, 32, 32)


class Tokens(Module):
    """Passes on, and tells of steps."""

    def forward(self, x):
        return x.float(), None

    def backward(self, d_y, saved):
        return None

    def forward_details(self, inputs, output, saved):
        yield Detail("steps", output[0], ("step",))


def test_the_tokens_of_a_setup_are_those_of_its_data():
    data = Table(torch.tensor([[2, 0, 7]] * 4), torch.randn(4, 3))
    data.tokens = ("zero", "one", "two")
    net = Chain(Tokens(), Dense(3, 3))
    setup = Setup(net, SquaredError(), SGD(net.param(), 0.1), Batches(data, 2))
    step = explain_setup(setup).of("forward")[1]
    assert [name for name, _ in step.details[0].bars] == ["two", "zero", "7"]


def test_of_many_bars_some_are_drawn():
    (found,) = shown_of([Detail("norms", torch.arange(1000.0), ("step",))])
    assert found.title == "norms, one of 4"
    assert [number for _, number in found.bars] == list(range(0, 1000, 4))
