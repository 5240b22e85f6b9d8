"""Every exercise can be solved, wrong answers are told apart, and bad files of a lecturer are refused by name."""

import re

import pytest
import torch

from mytorch.playground.exercises.exercise import Exercise
from mytorch.playground.exercises.judgement import CHECKS, judge
from mytorch.playground.exercises.load import FILES, load_exercises, shipped_exercises
from mytorch.playground.exercises.verify import require_solvable
from mytorch.plugins import ArgumentError

EXERCISES = shipped_exercises()


@pytest.mark.numbers
@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes_and_every_other_piece_is_told_what_is_wrong(name):
    exercise = EXERCISES[name]
    verdict = judge(exercise, exercise.solution)
    assert verdict.right, verdict.text
    assert verdict.text == f"It passed {len(CHECKS)} checks of the kit, with two sizes."
    for piece in exercise.pieces:
        wrong = judge(exercise, piece.code)
        assert not wrong.right, piece.code
        assert any(word in wrong.text for word in ("must be", "must have", "raised RuntimeError")), wrong.text
        assert len(piece.why) > 20


@pytest.mark.numbers
@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [
        ("linear-bias", "d_y.mean(0)", "it is 5 times too small: a mean where the sum belongs?"),
        ("linear-weight", "d_y.T @ x / len(x)", "it is 5 times too small: a mean where the sum belongs?"),
        ("mse", "d_value * 2 * difference", "it is 15 times too large: a sum where the mean belongs?"),
        ("cross-entropy", "d_value * (probabilities - one_hot)", "it is 5 times too large: a sum where the mean"),
        ("cross-entropy", "d_value * (one_hot - probabilities) / len(target)", "it has the wrong sign"),
        ("residual", "(d_y + d_branch) / 2", "it is 2 times too small"),
        ("attention-key", "d_scores.T @ query", "it is 1.73205 times too large"),
        ("relu", "torch.zeros_like(d_y)", "it is zero throughout"),
        ("relu", "(d_y * (x > 0)).float().double()", "it is as inexact as float32"),
        ("relu", "None", "was it forgotten?"),
        ("relu", "5", "Gradient of x must be a tensor or None, got int"),
        ("relu", "d_y[0]", r"Gradient of x must be \(5, 3\) .*, got \(3,\)"),
        ("relu", "d_x = d_y\nd_x[x <= 0] = 0", "must not be written into"),
        ("linear-input", "d_y @ self.weight.value.T", r"Here d_y is \(5, 2\), self.weight.value is \(2, 3\)"),
        ("linear-weight", "x.T @ d_y", r"must have the shape of the value, \(2, 3\), got \(3, 2\)"),
        ("embedding", "torch.nn.functional.one_hot(index, 6).float().T @ d_y", "Numbers are float64 here"),
        ("embedding", "empty.index_add(0, index, d_y.float())", "Numbers are float64 here"),
        ("relu", "d_x = d_y\nbreak", "this is no Python: 'break' outside loop"),
        ("relu", "(lambda f: f(f))(lambda f: f(f))", "Your line raised RecursionError"),
    ],
)
def test_a_typical_mistake_is_told(name, answer, told):
    verdict = judge(EXERCISES[name], answer)
    assert not verdict.right
    assert re.search(told, verdict.text), verdict.text


@pytest.mark.numbers
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("relu", "d_x = torch.zeros(x.shape)\nd_x[x > 0] = d_y[x > 0]"),
        ("relu", "d_y * torch.heaviside(x, torch.tensor(0.))"),
        ("relu", "d_y * x.sgn().clamp(min=0).detach()"),
        ("linear-bias", "torch.ones(len(x)) @ d_y"),
        ("mse", "difference.mul(2 * d_value).div_(difference.numel())"),
        ("max-pooling", "torch.nn.functional.one_hot(place, 2) * d_y.unsqueeze(-1)"),
        ("embedding", "torch.nn.functional.one_hot(index, len(empty)).T.type(d_y.dtype) @ d_y"),
        ("embedding", "empty.index_put((index,), d_y, accumulate=True)"),
    ],
)
def test_other_ways_to_write_it_are_right(name, answer):
    verdict = judge(EXERCISES[name], answer)
    assert verdict.right, verdict.text
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.numbers
def test_an_underscore_of_the_layer_stays():
    layer = EXERCISES["relu"].layer.replace(
        "return x.clamp(min=0), x", "_ = x.relu()\n        y = _\n        return y, x"
    )
    exercise = Exercise.model_validate(EXERCISES["relu"].model_dump() | {"layer": layer})
    verdict = judge(exercise, exercise.solution)
    assert verdict.right, verdict.text


@pytest.mark.numbers
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("linear-bias", "5 * d_y.mean(0)"),
        ("mse", "d_value * 2 * difference / 15"),
        ("cross-entropy", "d_value * (probabilities - one_hot) / 5"),
        ("dropout", "d_y * mask * 4"),
        ("batch-norm", "self.gain.value / deviation * (d_y - d_shift / 6 - normal * d_gain / 6)"),
        ("attention-key", "d_scores.T @ query / math.sqrt(3)"),
    ],
)
def test_a_size_that_is_typed_in_is_wrong_with_others(name, answer):
    first, second = EXERCISES[name].trials
    told = f"right with {first.build} and the inputs {first.inputs}, and wrong with {second.build} and the inputs"
    assert told in judge(EXERCISES[name], answer).text


@pytest.mark.parametrize(("name", "sizes"), [("convolution", 4), ("recurrent-step", 4), ("embedding", 2)])
def test_sizes_differ_from_axis_to_axis(name, sizes):
    for build, inputs in EXERCISES[name].trials:
        axes = re.findall(r"\d+", build) + (re.findall(r"\d+", inputs) if inputs.startswith("(") else [])
        assert len(set(axes)) == sizes
    assert "each row of `patches` holds the patch" in EXERCISES["convolution"].statement


@pytest.mark.numbers
def test_another_way_to_write_it_is_right_and_prints_a_little():
    lines = "for _ in range(1000):\n    print('x is', x.shape)\nkept = torch.where(x > 0, 1.0, 0.0)\nd_x = kept * d_y"
    verdict = judge(EXERCISES["relu"], lines)
    assert verdict.right
    assert verdict.printed.startswith("x is torch.Size([5, 3])\n")
    assert len(verdict.printed) <= 2000


@pytest.mark.numbers
def test_the_line_that_raises_is_told():
    verdict = judge(EXERCISES["relu"], "a = x > 0\nb = a @ a\nd_x = b")
    assert verdict.line == 2
    assert "a is (5, 3)" in verdict.text


RELU = (FILES / "01-relu.toml").read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title = ", "own.toml: must be a TOML file, got Invalid value"),
        (RELU.replace("title =", "titel ="), "own.toml: title: must be given"),
        (RELU.replace("title =", "titel ="), "own.toml: titel: unknown key. Nearest: title"),
        (
            RELU.replace('solution = "d_y * (x > 0)"', "solution = 5"),
            "own.toml: solution: must be text in quotes, got 5",
        ),
        (RELU.replace("d_x = ____", "d_x = d_y"), "own.toml: layer must have one line `name = ____`"),
        (RELU.replace("def forward", "deff forward"), "own.toml: layer must be Python, got line 4: invalid syntax"),
        (RELU.replace('build = "ReLU()"', 'build = "ReLU("'), "own.toml: build must be Python"),
        (
            RELU.replace("d_y * (x > 0)", "d_z"),
            "own.toml: solution must be what belongs behind `d_x = ____`: there is no",
        ),
        (RELU.replace('code = "d_y"', 'code = "d_y * (x > 0)"'), "own.toml: pieces must differ from each other"),
        (RELU.replace("second_inputs", "# "), "own.toml: second_inputs: must be given"),
        (RELU.replace("(4, 2)", "(5, 3)"), "own.toml: second_inputs must have other sizes than inputs, got (5, 3)"),
        (RELU.partition("[[pieces]]")[0], "own.toml: pieces: must be given"),
        (RELU.partition("hints")[0] + "hints = []\n", "own.toml: hints: must be a list of at least 1 value, got"),
    ],
)
def test_a_bad_file_is_named_with_what_was_expected(tmp_path, text, told):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ArgumentError) as caught:
        load_exercises(tmp_path)
    assert told in str(caught.value)


def test_every_bad_file_of_a_folder_is_told_at_once(tmp_path):
    with pytest.raises(ArgumentError, match="must have a TOML file for each exercise, got none"):
        load_exercises(tmp_path)
    with pytest.raises(ArgumentError, match="must be a folder of TOML files, got nothing"):
        load_exercises(tmp_path / "nowhere")
    (tmp_path / "good.toml").write_text(RELU)
    (tmp_path / "1-good.toml").write_text(RELU)
    (tmp_path / "bad.toml").write_text("a")
    (tmp_path / "worse.toml").write_bytes(b"\xff")
    with pytest.raises(ArgumentError, match=r"bad.toml.*\n.*good.toml: name must be of one file.*\n.*worse.toml"):
        load_exercises(tmp_path)


@pytest.mark.slow
def test_an_exercise_that_cannot_be_solved_or_has_two_solutions_is_refused_by_name(tmp_path):
    (tmp_path / "wrong.toml").write_text(RELU.replace('solution = "d_y * (x > 0)"', 'solution = "d_y / 5 * (x > 0)"'))
    (tmp_path / "two.toml").write_text(RELU.replace('code = "d_y"', 'code = "(x > 0) * d_y"'))
    with pytest.raises(ArgumentError) as caught:
        require_solvable(load_exercises(tmp_path))
    two, wrong = str(caught.value).splitlines()
    assert two == "exercises: two: pieces.0 must be wrong, but the kit passes it: (x > 0) * d_y"
    assert wrong.startswith("exercises: wrong: solution must pass the kit, got: Gradient of x")
    assert wrong.endswith("it is 5 times too small: a mean where the sum belongs?")
