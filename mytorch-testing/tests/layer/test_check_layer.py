import pytest
import torch

from mytorch.core import (
    ArgumentError,
    Module,
    Parameter,
    ShapeError,
    require_input,
    require_last_axis,
    require_upstream,
)
from mytorch.plugins import UnknownNameError
from mytorch.testing import LAYER_CHECKS, CheckError, check_layer

NOT_GIVEN = {"reference", "optional_inputs", "same_tensor", "lazy_sizes", "lazy_refusals"}
X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Affine(Module):
    """A right layer; each of the others spoils one thing."""

    def __init__(self) -> None:
        self.gain, self.bias = Parameter(torch.rand(3)), Parameter(torch.zeros(3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.gain.value * x + self.bias.value, x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        self.bias.accumulate(d_y.reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class WrongSign(Affine):
    def backward(self, d_y, x):
        return -super().backward(d_y, x)


class MeanForSum(Affine):
    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).mean(0))
        self.bias.accumulate(d_y.mean(0))
        return self.gain.value * d_y


class ForgottenBias(Affine):
    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).sum(0))
        return self.gain.value * d_y


class Overwrites(Affine):
    def backward(self, d_y, x):
        self.zero_grad()
        return super().backward(d_y, x)


class KeepsState(Affine):
    def forward(self, x):
        self.x = x
        return super().forward(x)[0], None

    def backward(self, d_y, saved):
        return super().backward(d_y, self.x)


class WritesInput(Affine):
    def forward(self, x):
        y, _ = super().forward(x)
        kept = x.clone()
        x.mul_(2)
        return y, kept


class WritesUpstream(Affine):
    def backward(self, d_y, x):
        super().backward(d_y, x)
        return d_y.mul_(self.gain.value)


class WritesSaved(Affine):
    def forward(self, x):
        return super().forward(x)[0], x.clone()

    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        x.zero_()
        return d_x


class WritesParameter(Affine):
    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        self.gain.value.add_(1)
        return d_x


class SharesGradient(Module):
    def __init__(self) -> None:
        self.bias = Parameter(torch.zeros(4, 3))

    def forward(self, x):
        return x + self.bias.value, None

    def backward(self, d_y, saved):
        self.bias.accumulate(d_y)
        return d_y


class OtherCall(Affine):
    def __call__(self, x):
        return self.gain.value * x


class NeedsInputGrad(Affine):
    def backward(self, d_y, x):
        return super().backward(d_y, x) if self.input_grad else None


class NoTuple(Affine):
    def forward(self, x):
        return super().forward(x)[0]


class TwoGradients(Affine):
    def backward(self, d_y, x):
        return super().backward(d_y, x), None


class WrongShape(Affine):
    def backward(self, d_y, x):
        return super().backward(d_y, x).sum(0)


WRONG = [
    (WrongSign, "finite_differences", "gradient of x must match finite differences"),
    (WrongSign, "autograd", "gradient of x must match autograd"),
    (MeanForSum, "finite_differences", "gradient of gain must match"),
    (MeanForSum, "autograd", "gradient of gain must match"),
    (ForgottenBias, "finite_differences", "gradient of bias must match"),
    (ForgottenBias, "autograd", "gradient of bias must match autograd through forward, got None (was it forgotten?)"),
    (Overwrites, "accumulation", "gradient of gain must be added"),
    (KeepsState, "two_forwards", "what forward 1 alone gives, with two in flight answered in order (0, 1)"),
    (KeepsState, "nothing_kept", "attribute x must not be set by forward"),
    (WritesInput, "nothing_written", "x must not be written into, but forward did"),
    (WritesUpstream, "nothing_written", "upstream gradient must not be written into, but backward did"),
    (WritesSaved, "nothing_written", "saved must not be written into, but backward did"),
    (WritesParameter, "nothing_written", "parameter gain must not be written into, but backward did"),
    (SharesGradient, "fresh_gradients", "gradient of bias must be a fresh tensor, got one that shares memory"),
    (OtherCall, "call", "output must be the same"),
    (NeedsInputGrad, "without_input_gradient", "gradient of gain must stay the same"),
    (NoTuple, "finite_differences", "forward must return (output, saved), a tuple of two, got Tensor"),
    (
        TwoGradients,
        "finite_differences",
        "must return gradients nested as the inputs are, got one at gradient of x[0]",
    ),
    (WrongShape, "finite_differences", "gradient of x must be (4, 3) torch.float64 as the input is, got (3,)"),
]


@pytest.mark.parametrize(("layer", "check", "text"), WRONG)
def test_a_wrong_layer_fails_the_named_check(layer, check, text):
    with pytest.raises(CheckError) as caught:
        check_layer(layer, X, checks=(check,))
    message = str(caught.value)
    assert message.startswith(f"{layer.__name__}(): {check}: ")
    assert text in message
    assert f"reproduce: check_layer(lambda: {layer.__name__}(), torch.randn((4, 3), dtype=torch.float64), " in message
    assert f"seed=0, modes=('train',), checks=('{check}',))" in message


def test_a_difference_is_given_with_its_place():
    with pytest.raises(CheckError, match=r"largest difference [0-9.e-]+ at \[\d, \d\], got -?[0-9.e-]+ instead of"):
        check_layer(WrongSign, X, checks=("autograd",))


def test_a_right_layer_passes_every_check_in_both_modes():
    report = check_layer(Affine, X)
    names = [check.__name__ for check in LAYER_CHECKS if check.__name__ not in NOT_GIVEN]
    assert report.passed == [f"{mode}/{name}" for mode in ("train", "eval") for name in names]
    assert not report.skipped
    assert str(report).startswith(
        f"Affine(): {2 * len(names)} of {2 * len(names)} checks passed; {len(names)} different ones, at least 24"
    )


def test_only_the_wanted_checks_and_modes_run():
    assert check_layer(Affine, X, modes=("eval",), checks=("call",)).passed == ["eval/call"]


def test_a_generator_of_names_runs_them_and_no_names_are_refused():
    assert check_layer(Affine, X, modes=("eval",), checks=iter(["call"])).passed == ["eval/call"]
    with pytest.raises(ArgumentError, match="check_layer: checks must name at least one check, got none"):
        check_layer(Affine, X, checks=())
    with pytest.raises(ArgumentError, match="check_layer: modes must name at least one mode, got none"):
        check_layer(Affine, X, modes=())


def test_the_global_random_stream_is_left_alone():
    before = torch.get_rng_state()
    check_layer(Affine, X)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_inputs_are_left_alone():
    x = torch.randn(4, 3, dtype=torch.float64)
    copy, version = x.clone(), x._version
    check_layer(Affine, x)
    assert torch.equal(x, copy)
    assert x._version == version


class Detached(Affine):
    def forward(self, x):
        return super().forward(x)[0].detach(), x


def test_a_forward_that_autograd_cannot_follow_is_reported_as_skipped():
    report = check_layer(Detached, X)
    names = [
        f"{mode}/{name}" for mode in ("train", "eval") for name in ("autograd", "single_row", "leading_dimensions")
    ]
    assert report.skipped == dict.fromkeys(names, "autograd cannot follow this forward")
    assert "skipped: train/autograd (autograd cannot follow this forward)" in str(report)


class OfTorch(Affine):
    def __init__(self):
        super().__init__()
        vars(self)["inner"] = torch.nn.Linear(3, 3)


def test_a_module_of_torch_is_refused_by_name():
    with pytest.raises(CheckError, match=r"got ModuleTreeError: OfTorch: attribute 'inner' must be"):
        check_layer(OfTorch, X)


class Gather(Module):
    """Several inputs, one of them nested, one whole numbers, one absent, and two outputs."""

    def forward(self, pair, index, mask):
        a, b = pair
        for name, tensor in {"a": a, "b": b, "index": index}.items():
            require_input(self, tensor, name)
        return (a[index] * b, index), (a, b, index)

    def backward(self, d_output, saved):
        (d_y, _), (a, b, index) = d_output, saved
        require_upstream(self, d_y, b.shape)
        return (torch.zeros_like(a).index_add_(0, index, d_y * b), d_y * a[index]), None, None


class GatherForgets(Gather):
    def backward(self, d_output, saved):
        (_, d_b), _, _ = super().backward(d_output, saved)
        return (None, d_b), None, None


def test_nested_inputs_and_several_outputs():
    inputs = (torch.randn(5, 3), torch.randn(4, 3)), torch.tensor([0, 4, 4, 1]), None
    skipped = check_layer(Gather, *inputs).skipped
    assert not {
        name for name in skipped if name.endswith(("finite_differences", "autograd", "two_forwards", "float32"))
    }
    with pytest.raises(CheckError, match=r"gradient of pair\[0\] must match autograd through forward, got None"):
        check_layer(GatherForgets, *inputs, checks=("autograd",))


class Crashes(Affine):
    def backward(self, d_y, x):
        raise ZeroDivisionError("of no use")


def test_an_error_of_the_layer_itself_tells_what_was_tried_and_the_call_that_shows_it():
    with pytest.raises(CheckError) as caught:
        check_layer(Affine, torch.randn(4, 5))
    assert str(caught.value).startswith(
        "Affine(): finite_differences: forward(x: (4, 5) float64) must not raise, got ShapeError: Affine: last axis"
    )
    assert "reproduce: check_layer(lambda: Affine(), torch.randn((4, 5), dtype=torch.float64), " in str(caught.value)
    assert isinstance(caught.value.__cause__, ShapeError)
    with pytest.raises(CheckError, match=r"backward\(\(4, 3\) float64\) must not raise, got ZeroDivisionError: of no"):
        check_layer(Crashes, X, checks=("call", "two_forwards"))


def test_a_factory_that_builds_no_module():
    with pytest.raises(CheckError, match="check_layer: factory must build a new module at each call, got ZeroDiv"):
        check_layer(lambda: 1 / 0, X)
    with pytest.raises(CheckError, match=r"check_layer: factory must return a mytorch.core.Module, got int"):
        check_layer(lambda: 1, X)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"checks": ("autograt",)}, "check_layer: unknown check 'autograt'. Nearest: autograd, no_autograd."),
        ({"modes": ("trian",)}, "check_layer: unknown mode 'trian'. Nearest: train."),
    ],
)
def test_unknown_names(options, text):
    with pytest.raises(UnknownNameError) as caught:
        check_layer(Affine, X, **options)
    assert str(caught.value) == text


def test_an_empty_batch():
    check_layer(Affine, torch.randn(0, 3))


def test_a_module_in_place_of_a_factory():
    with pytest.raises(ArgumentError) as caught:
        check_layer(Affine(), X)
    assert str(caught.value) == (
        "check_layer: factory must build a new one at each call, got Affine(); write lambda: Affine()"
    )
