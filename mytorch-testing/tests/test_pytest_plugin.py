"""Declarations in somebody's test file, as pytest runs them."""

import textwrap
import warnings

import pytest
import torch

from mytorch.testing import LAYER_CHECKS, LOSS_CHECKS

LAYER, LOSS = len(LAYER_CHECKS) - 5, len(LOSS_CHECKS) - 2  # without a reference, several inputs and lazy sizes
BOTH = 2 * LAYER  # modes
MINIMUM = 1
pytest_plugins = ["pytester"]

FILE = """
import torch
from mytorch.core import Module, Parameter, require_input, require_last_axis, require_upstream
from mytorch.testing import declare_layer, declare_loss


class Scale(Module):
    def __init__(self, sign=1.0):
        self.sign = sign
        self.gain = Parameter(torch.rand(3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.gain.value * x, x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        return self.sign * self.gain.value * d_y


class Careless(Scale):
    def forward(self, x):
        return self.gain.value * x, x


class Sum(Module):
    def forward(self, prediction, target):
        return (prediction * target).sum(), target

    def backward(self, d_value, target):
        return d_value * target


X = torch.randn(4, 3)
"""


@pytest.fixture(scope="module", autouse=True)
def compiler():
    """torch's, imported before pytester, which forgets what was first imported in it; it can be imported only once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compile(torch.neg, backend="eager")(torch.ones(1))


@pytest.fixture
def run(pytester):
    def go(text, *options, apart=False):
        """apart: in a process of its own, as torch.compile needs, which cannot be imported again as pytester would."""
        pytester.makepyfile(test_mine=FILE + text)
        start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return start("-p", "no:cacheprovider", *options)

    return go


def test_each_check_is_a_test_of_its_own(run):
    result = run("test_scale = declare_layer(Scale, X)", "-v")
    result.assert_outcomes(passed=BOTH + MINIMUM)
    result.stdout.fnmatch_lines(
        [
            "test_mine.py::test_scale::train/finite_differences PASSED*",
            f"conformance: {BOTH} passed, of {BOTH} checks",
        ]
    )


def test_slow_checks_can_be_left_out(run):
    result = run("test_scale = declare_layer(Scale, X)", "-m", "not slow", "--strict-markers", "-rs")
    result.assert_outcomes(passed=BOTH - 4, skipped=1, deselected=4)
    result.stdout.fnmatch_lines(["*not every check of the declaration ran*"])


def test_k_chooses_checks(run):
    run("test_scale = declare_layer(Scale, X)", "-k", "finite and eval").assert_outcomes(
        passed=1, deselected=BOTH - 1 + MINIMUM
    )


def test_a_failure_is_the_checks_text_without_a_traceback(run):
    result = run("test_scale = declare_layer(lambda: Scale(-1.0), X, modes=('train',))", "-k", "autograd")
    result.assert_outcomes(failed=1, passed=1, deselected=LAYER - 2 + MINIMUM)
    text = result.stdout.str()
    assert "Scale(sign=-1.0): autograd: gradient of x must match autograd through forward" in text
    assert "reproduce: check_layer(lambda: Scale(sign=-1.0)" in text
    assert "Traceback" not in text
    assert "def runtest" not in text
    assert "conformance: 1 passed, 1 failed, of 2 checks" in text


def test_opt_outs_are_expected_failures_and_strict(run):
    result = run(
        "test_needed = declare_layer(Careless, X, opt_out={'bad_shapes': 'torch says it'})\n"
        "test_needless = declare_layer(Scale, X, opt_out={'bad_shapes': 'torch says it'})\n",
        "-k",
        "bad_shapes",
        "-rx",
    )
    result.assert_outcomes(xfailed=1, failed=1, deselected=2 * (BOTH + MINIMUM) - 4)
    result.stdout.fnmatch_lines(["*bad_shapes must fail, since it is opted out of*", "*torch says it*"])


def test_a_skip_gives_its_reason(run):
    result = run("test_sum = declare_loss(Sum, X, torch.randn(4, 3))", "-k", "not_trainable", "-rs")
    result.assert_outcomes(skipped=1, deselected=LOSS - 1 + MINIMUM)
    result.stdout.fnmatch_lines(["*it has no parameters*"])


def test_what_a_check_left_out_is_in_its_report(run):
    result = run(
        "class Stating(Scale):\n"
        "    def __init__(self):\n"
        "        self.inner = Scale()\n"
        "    def forward(self, x):\n"
        "        return self.inner.forward(x)\n"
        "    def backward(self, d_y, x):\n"
        "        return self.inner.backward(d_y, x)\n"
        "    def tangent(self, t_x, x, along):\n"
        "        return self.inner.tangent(t_x, x, along)\n"
        "    def backward_tangent(self, d_y, t_d_y, x, t_saved, along):\n"
        "        return self.inner.backward_tangent(d_y, t_d_y, x, t_saved, along)\n"
        "test_stating = declare_layer(Stating, X, modes=('train',))\n",
        "-k",
        "finite",
        "-rP",
    )
    result.assert_outcomes(passed=1, deselected=LAYER - 1 + MINIMUM)
    result.stdout.fnmatch_lines(["*those of 'inner' (Scale) are not stated"])


def test_other_names_are_left_alone(run):
    run("scale = declare_layer(Scale, X)\ndef test_other(): pass").assert_outcomes(passed=1)


def test_a_declaration_of_which_hardly_anything_can_be_checked_fails(run):
    text = """
    class OneHot(Module):
        def forward(self, index):
            require_input(self, index, "index")
            return torch.nn.functional.one_hot(index, 3), None

        def backward(self, d_y, saved):
            return None


    test_one_hot = declare_layer(OneHot, torch.tensor([0, 2]), modes=("train",))
    """
    result = run(textwrap.dedent(text), apart=True)
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*OneHot(): at least 24 different checks must pass, got *"])


def test_the_minimum_says_nothing_when_checks_are_left_out(run):
    result = run("test_scale = declare_layer(Scale, X)", "-k", "call or minimum", "-rs")
    result.assert_outcomes(passed=2, skipped=1, deselected=BOTH - 2)
    result.stdout.fnmatch_lines(["*not every check of the declaration ran*"])


def test_an_opt_out_that_one_mode_needs_is_counted_as_such(run):
    text = """
    class Half(Scale):
        def backward(self, d_y, x):
            return super().backward(d_y, x) * (2.0 if self.training else 1.0)


    test_half = declare_layer(Half, X, opt_out={"autograd": "wrong in training"})
    """
    result = run(textwrap.dedent(text), "-k", "test_half and autograd")
    assert result.parseoutcomes()["xfailed"] == 1
    result.stdout.fnmatch_lines(["conformance: 2 passed, 1 opted out, of 3 checks"])  # no_autograd is the other name


def test_an_opt_out_of_no_check_is_refused_at_once(run):
    result = run("test_scale = declare_layer(Scale, X, opt_out={'autogard': 'x'})")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*check_layer: unknown check 'autogard'. Nearest: autograd*"])
