"""`mytorch check` on the parts of a distribution that is made of tests/toys/acme.py."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mytorch.commands.check import check
from mytorch.core import states_tangents
from mytorch.plugins import Catalogue, Part, UnknownNameError
from mytorch.testing import LAYER_CHECKS, check_layer
from mytorch.testing.installed.declarations import Gain

ALL = 2 * (len(LAYER_CHECKS) - 5)  # without a reference, a second input and lazy sizes
KINDS = {
    "layer": [
        "Scale",
        "Centre",
        "Lookup",
        "Padded",
        "Masked",
        "ForgetsTheMask",
        "Nested",
        "Stating",
        "Holder",
        "NeedsText",
        "Crashes",
    ],
    "loss": ["Hinge"],
    "optimizer": ["Descent", "Matrices", "Searches"],
    "schedule": ["Line"],
    "dataset": ["Ramp"],
    "metric": ["Score"],
    "callback": ["Halve", "Forgets", "Foreign"],
    "rule": ["Backpropagates", "Transports"],
}


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "toys"))
    parts = [
        Part(kind, name, "acme", "1.2", f"acme:{name}", ">=0.1,<0.2")
        for kind, names in KINDS.items()
        for name in names
    ]
    monkeypatch.setattr("mytorch.commands.check.catalogue", lambda: Catalogue(parts))

    def go(*arguments):
        result = CliRunner().invoke(check, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return go


def test_a_layer_is_built_and_fed_by_guessing(run):
    status, said = run("Scale")
    assert status == 0
    assert said.splitlines() == [
        "passed        layer        acme:Scale 1.2",
        f"    inputs: normal (5, 3): {ALL} of {ALL} checks passed",
        "1 passed",
    ]


def test_arguments_shapes_and_seed_can_be_told(run):
    status, said = run("acme:Scale", "--set", "size=4", "--input", "2x5x4", "--seed", "3")
    assert status == 0
    assert f"inputs: normal (2, 5, 4): {ALL} of {ALL} checks passed" in said


def test_a_mask_is_told_by_its_name(run):
    mask = "--option", "mask=[1.0, 0.0, 1.0, 0.5, 1.0]"
    status, said = run("Masked", *mask)
    assert status == 0, said
    assert f"inputs: normal (5, 3); options: mask: {ALL - 24} of {ALL} checks passed" in said
    assert run("ForgetsTheMask")[0] == 0  # without a mask its backward is right
    status, said = run("ForgetsTheMask", *mask)
    assert status == 1
    assert "options={'mask': torch.rand((5,), dtype=torch.float64)}" in said


def test_entries_without_a_gradient_are_told_by_the_name_of_the_parameter(run):
    status, said = run("Padded", "--constant", "table=0")
    assert status == 0, said
    assert "gradient of table must match finite differences" in run("Padded")[1]
    assert "check_layer: unknown parameter 'tabel'. Nearest: table" in run("Padded", "--constant", "tabel=0")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Masked", "--option", "mask"), "must look like NAME=VALUE, got 'mask'"),
        (("Masked", "--option", "mask=[[1, 2], [3]]"), "lists must be those of a tensor"),
        (("Masked", "--option", "masc=[1, 2]"), "check: forward of Masked has no argument 'masc'. Nearest: mask"),
        (
            ("Descent", "--option", "mask=[1]"),
            "options must be left out for anything but a layer or loss, got mask for",
        ),
        (
            ("Hinge", "--constant", "mask=1"),
            "constant must be left out for anything but a layer, got mask for the loss",
        ),
    ],
)
def test_options_that_do_not_fit(run, arguments, said):
    status, told = run(*arguments)
    assert status
    assert said in " ".join(told.split())


def test_every_failure_is_told_with_its_reproduction(run):
    status, said = run("Scale", "--set", "sign=-1.0")
    assert status == 1
    assert "failed        layer        acme:Scale 1.2" in said
    for name in ("finite_differences", "full_jacobian", "autograd"):
        assert f"Scale(size=3, sign=-1.0): {name}: gradient of x" in said
    assert "reproduce: check_layer(lambda: Scale(size=3, sign=-1.0), (5, 3), seed=0, modes=('eval',)" in said
    assert "10 failed" in said
    assert said.endswith("1 failed\n")


def test_what_a_layer_is_given_to_hold_states_its_tangents():
    report = check_layer(Gain, (5, 3))
    assert states_tangents(Gain())
    assert not report.remarks


def test_what_a_check_left_out_is_told_once(run):
    status, said = run("Stating")
    assert status == 0
    remark = "tangent and backward_tangent are not compared, since those of 'inner' (Scale) are not stated"
    assert said.splitlines()[1:] == [
        f"    inputs: normal (5, 3): {ALL} of {ALL} checks passed",
        f"    inputs: normal (5, 3): {remark}",
        "1 passed",
    ]


def test_an_error_of_the_part_s_own_is_a_failure_without_a_traceback(run):
    status, said = run("Crashes")
    assert status == 1
    assert "autograd: backward((5, 3) float64) must not raise, got ZeroDivisionError: of no use" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Centre", "inputs: normal (5, 3); tags: mixes_batch: "),
        ("Lookup", "inputs: whole (2, 2): "),
        ("Nested", f"inputs: normal (5, 3): {ALL} of {ALL} checks passed"),
        ("Hinge", "inputs: normal (5, 3), positive (5, 3): "),
        ("Descent", "no reference: 26 of 27 checks passed, 1 skipped (it does not state elementwise = True)"),
        ("Line", "20 steps, no reference: 12 of 12 checks passed"),
        ("Searches", "no reference: 21 of 27 checks passed, 3 skipped (tag mixes_parameters), 1 skipped ("),
        ("Matrices", "no reference: 26 of 27 checks passed, 1 skipped (it does not state elementwise = True)"),
        ("Halve", "8 epochs of 3 steps: 6 of 8 checks passed, 2 skipped (it has no state_dict)"),
        ("Ramp", "9 rows: 14 of 18 checks passed, 1 skipped (it names no columns)"),
    ],
)
def test_other_parts_pass(run, name, words):
    status, said = run(name)
    assert status == 0, said
    assert words in said


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Holder", "no forward of its own"),
        ("Score", "no checks for this kind"),
        ("Foreign", "weather is not installed. Install: python -m pip install weather"),
    ],
)
def test_what_cannot_be_checked_is_no_failure(run, name, reason):
    status, said = run(name)
    assert status == 0
    assert reason in said
    assert said.endswith("1 not checked\n")


def test_what_cannot_be_guessed_is_asked_for(run):
    status, said = run("NeedsText")
    assert status == 1
    assert (
        "argument 'mode' of NeedsText must be given, since what fits str cannot be guessed: --set mode=VALUE" in said
    )
    assert "got ValueError: mode must be a or b, got c; give its arguments" in run("NeedsText", "--set", "mode=c")[1]
    assert run("NeedsText", "--set", "mode=a")[0] == 0


def test_a_callback_whose_state_does_not_decide_fails(run):
    status, said = run("Forgets", "--seed", "2")
    assert status == 1
    assert "state_decides: the weights must be the same where the run is resumed at epoch 1, batch 1 as" in said
    assert "reproduce: check_callback(lambda: Forgets(...), seed=2, checks=('state_decides',))" in said


def test_a_rule_is_tried_in_a_small_training(run):
    status, said = run("Backpropagates")
    assert status == 0
    assert said.startswith(
        "passed        rule         acme:Backpropagates 1.2\n"
        "    30 steps of SGD with lr=0.1: 8 of 13 checks passed, 1 skipped (it says that it transposes weights), "
    )
    status, said = run("Transports", "--seed", "2")
    assert status == 1
    assert "no_weight_transport: the update of 0.weight must not depend on weights of layer '2'" in said
    assert "reproduce: check_rule(lambda: Transports(...), seed=2, checks=('no_weight_transport',))" in said


def test_inputs_that_are_refused_are_told(run):
    status, said = run("Scale", "--input", "5x4")
    assert status == 1
    assert "got ShapeError: Scale: last axis of x must be 3, got 4" in said
    assert "--input 5x3" in said


def test_a_distribution_is_checked_whole(run):
    status, said = run("acme")
    assert status == 1
    assert said.count("acme:") == sum(map(len, KINDS.values()))
    assert said.splitlines()[-1].startswith("15 passed, 3 not checked, 5 failed")


def test_mistakes(run):
    with pytest.raises(UnknownNameError, match=r"check: 'Scael' is not installed\. Nearest: Scale"):
        run("Scael")
    status, said = run("Scale", "--input", "5,3")
    assert status == 2
    assert "must be sizes such as 5x3, got '5,3'" in said
