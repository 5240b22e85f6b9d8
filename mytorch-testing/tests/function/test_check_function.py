"""The kit of functions of PyTorch: what is right passes, and each mistake is found by the check that is for it."""

import pytest
import torch
from torch.autograd import Function

from mytorch.core import ArgumentError
from mytorch.plugins import UnknownNameError
from mytorch.testing import CheckError, check_function


class Scaled(Function):
    """y = (x @ w) * scale."""

    @staticmethod
    def forward(ctx, x, w, scale):
        ctx.save_for_backward(x, w)
        ctx.scale = scale
        return x @ w * scale

    @staticmethod
    def backward(ctx, d_y):
        x, w = ctx.saved_tensors
        d = d_y * ctx.scale
        return d @ w.T if ctx.needs_input_grad[0] else None, x.T @ d, None


class WithSetUp(Function):
    """The same in two methods, as torch.func wants it, with two outputs."""

    @staticmethod
    def forward(x, y):
        return x * y, x + y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_product, d_sum):
        x, y = ctx.saved_tensors
        return d_product * y + d_sum, d_product * x + d_sum


def test_right_functions_pass():
    report = check_function(Scaled, (5, 3), (3, 2), arguments=(2.0,))
    assert {"finite_differences", "full_jacobian", "autograd", "non_contiguous"} <= set(report.passed)
    assert "autograd" in check_function(WithSetUp, (4, 3), (4, 3)).passed
    x, w = torch.randn(5, 3).double(), torch.randn(3, 2).double()
    y = Scaled.apply(x.requires_grad_(), w, 2.0)  # and torch takes what the kit took
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], 2 * w.sum(1).expand(5, 3))


def test_a_forward_that_autograd_cannot_follow_has_a_reference():
    class Detached(Scaled):
        @staticmethod
        def forward(ctx, x, w, scale):
            return Scaled.forward(ctx, x.detach(), w.detach(), scale).detach()

    report = check_function(Detached, (5, 3), (3, 2), arguments=(2.0,), reference=lambda x, w, scale: x @ w * scale)
    assert "reference" in report.passed
    with pytest.raises(CheckError, match="Detached: reference: "):
        check_function(
            Detached, (5, 3), (3, 2), arguments=(2.0,), reference=lambda x, w, _: x @ w, checks=("reference",)
        )


def wrong(backward):
    return type("Wrong", (Scaled,), {"backward": staticmethod(backward)})


def halved(ctx, d_y):
    d_x, d_w, _ = Scaled.backward(ctx, d_y)
    return d_x / 2, d_w, None


def writing(ctx, d_y):
    d_y *= ctx.scale
    x, w = ctx.saved_tensors
    return d_y @ w.T, x.T @ d_y, None


def short(ctx, d_y):
    return Scaled.backward(ctx, d_y)[:2]


def flat(ctx, d_y):
    x, w = ctx.saved_tensors
    read = d_y.as_strided(d_y.shape, (d_y.shape[1], 1)) * ctx.scale  # as a kernel that asks for no strides
    return read @ w.T, x.T @ read, None


def wide(ctx, d_y):
    d_x, d_w, _ = Scaled.backward(ctx, d_y)
    return d_x.double(), d_w, None


MISTAKES = [
    (halved, r"Wrong: finite_differences: .* 2 times too small"),
    (writing, r"Wrong: nothing_written: "),
    (short, r"must return a gradient for each of 2 tensors and None for each of 1 arguments, got 2 values"),
    (flat, r"Wrong: (non_contiguous|expanded_upstream|two_forwards)"),
    (wide, r"Wrong: float32: "),
]


@pytest.mark.parametrize(("backward", "message"), MISTAKES, ids=[mistake.__name__ for mistake, _ in MISTAKES])
def test_each_mistake_is_found(backward, message):
    with pytest.raises(CheckError, match=message):
        check_function(wrong(backward), (5, 3), (3, 2), arguments=(2.0,))


def test_an_error_has_a_call_that_shows_it_again():
    found = r"reproduce: check_function\(Wrong, \(5, 3\), \(3, 2\), arguments=\(2\.0,\), seed=0, checks=\('finite_diff"
    with pytest.raises(CheckError, match=found):
        check_function(wrong(halved), (5, 3), (3, 2), arguments=(2.0,))
    known = dict.fromkeys(("float32", "float32_non_contiguous"), "it is known")
    assert check_function(wrong(wide), (5, 3), (3, 2), arguments=(2.0,), opt_out=known).opted_out == known


class Top(Function):
    """The largest number of each row and its place, which has no gradient."""

    @staticmethod
    def forward(ctx, x):
        values, places = x.max(1)
        as_number = places.to(x.dtype)
        ctx.mark_non_differentiable(as_number)
        ctx.save_for_backward(places)
        ctx.shape = x.shape
        return values, as_number

    @staticmethod
    def backward(ctx, d_values, _d_places):
        (places,) = ctx.saved_tensors
        return d_values.new_zeros(ctx.shape).scatter_(1, places[:, None], d_values[:, None])


def test_an_output_that_is_marked_has_no_gradient():
    assert {"finite_differences", "autograd"} <= set(check_function(Top, (5, 3)).passed)


def test_what_autograd_would_not_save_is_refused():
    class Counted(Scaled):
        @staticmethod
        def forward(ctx, x, w, scale):
            ctx.save_for_backward(x, w, scale)
            return x @ w * scale

    with pytest.raises(CheckError, match=r"save_for_backward must be given tensors and None, got a float; set it"):
        check_function(Counted, (5, 3), (3, 2), arguments=(2.0,))


class Alike:
    apply = forward = backward = staticmethod(lambda *given: given)


def test_what_is_no_function_is_refused():
    for given in (torch.relu, torch.nn.ReLU, 2.0, Alike):
        with pytest.raises(ArgumentError, match=r"function must be a class derived from torch\.autograd\.Function"):
            check_function(given, (5, 3))
    with pytest.raises(UnknownNameError, match="unknown check 'traceable'"):
        check_function(Scaled, (5, 3), (3, 2), arguments=(2.0,), checks=("traceable",))
