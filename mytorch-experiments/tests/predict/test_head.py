"""What a model's outputs mean."""

import pytest
import torch

from mytorch.core import ArgumentError, ShapeError
from mytorch.data.preparation.moments import Moments
from mytorch.experiments.predict.head import Head, head_for

NAMES = ("low", "high", "odd")


def read(kind, outputs, classes=NAMES, **more):
    return Head(kind, classes, **more).read(torch.tensor(outputs))


def test_softmax():
    outputs = torch.randn(7, 3)
    predictions = Head("softmax", NAMES).read(outputs)
    torch.testing.assert_close(predictions.probabilities, outputs.double().softmax(1))
    assert predictions.labels == tuple(NAMES[index] for index in outputs.argmax(1))
    assert (len(predictions), predictions.values, predictions.classes) == (7, None, NAMES)


def test_log_softmax():
    outputs = torch.randn(7, 3).double().log_softmax(1)
    predictions = Head("log-softmax", NAMES).read(outputs)
    torch.testing.assert_close(predictions.probabilities, outputs.exp())
    assert predictions.labels == tuple(NAMES[index] for index in outputs.argmax(1))


NUMBERS = {"table": {"target": {"name": "price", "kind": "number"}}}
CLASSES = {"table": {"target": {"name": "colour", "kind": "classes", "classes": ["red", "blue"]}}}


@pytest.mark.parametrize(
    ("outputs", "encoding", "classes", "preparation", "kind"),
    [
        ("softmax", "as-is", ["a", "b"], None, "softmax"),
        ("softmax", "as-is", None, None, "softmax"),
        ("log-softmax", "as-is", None, CLASSES, "log-softmax"),
        ("sigmoid", "binary", ["a", "b"], None, "sigmoid"),
        ("numbers", "as-is", None, None, "numbers"),
        ("numbers", "standardize", None, NUMBERS, "numbers"),
        ("numbers", "one-hot", ["a", "b"], None, "one-hot"),
        ("numbers", "binary", None, None, "one-hot"),
        ("numbers", "as-is", ["a", "b"], None, "one-hot"),
        ("scores", "as-is", ["a", "b"], CLASSES, "scores"),
        ("scores", "as-is", None, None, "scores"),
        ("scores", "one-hot", None, None, "scores"),
        ("scores", "standardize", None, None, "numbers"),
        ("scores", "as-is", None, NUMBERS, "numbers"),
        ("scores", "as-is", None, {"table": "damaged"}, "scores"),
    ],
)
def test_the_loss_and_the_targets_say_how_outputs_are_read(outputs, encoding, classes, preparation, kind):
    head = head_for(outputs, encoding, classes, preparation)
    assert head.kind == kind
    assert head.classes == (None if classes is None else ("a", "b"))


def test_a_word_that_is_none():
    with pytest.raises(ArgumentError, match=r"predict: the loss's outputs must be one of softmax, .*, got 'logits'"):
        head_for("logits", "as-is", None, None)


def test_one_column_is_the_second_class():
    predictions = read("sigmoid", [[-2.0], [0.5]], ("no", "yes"))
    assert predictions.labels == ("no", "yes")
    torch.testing.assert_close(predictions.probabilities[:, 1], torch.tensor([-2.0, 0.5]).double().sigmoid())
    predictions = read("one-hot", [-0.25, 0.25, 0.75, 3.0], ("no", "yes"))
    assert predictions.labels == ("no", "no", "yes", "yes")
    assert predictions.probabilities.tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    predictions = read("scores", [-0.25, 0.25, 3.0, 0.0], ("no", "yes"))
    assert predictions.labels == ("no", "yes", "yes", "no")
    assert predictions.probabilities.tolist() == [[1, 0], [0, 1], [0, 1], [0.5, 0.5]]


@pytest.mark.parametrize("kind", ["scores", "one-hot"])
def test_scores_are_made_to_add_up(kind):
    predictions = read(kind, [[-0.5, 0.25, 0.75], [1.5, 0.5, 0.0], [-3.0, -1.0, -2.0]])
    assert predictions.labels == ("odd", "low", "high")
    assert predictions.probabilities[:2].tolist() == [[0, 0.25, 0.75], [0.75, 0.25, 0]]
    torch.testing.assert_close(predictions.probabilities[2], torch.full((3,), 1 / 3, dtype=torch.float64))


def test_sigmoids_of_several_columns_are_made_to_add_up():
    predictions = read("sigmoid", [[0.0, 0.0, -100.0]])
    torch.testing.assert_close(predictions.probabilities, torch.tensor([[0.5, 0.5, 0.0]]).double())
    with pytest.raises(ShapeError, match=r"must be one column or one for each named class, got 3 columns without"):
        read("sigmoid", [[0.0, 0.0, -1.0]], None)


@pytest.mark.parametrize("kind", ["softmax", "log-softmax", "sigmoid", "scores", "one-hot"])
@pytest.mark.parametrize("places", [(4,), (2, 5), (0,), (1, 1, 3)])
def test_each_place_of_a_row_has_its_class(kind, places):
    outputs = torch.randn(3, len(NAMES), *places)
    predictions = Head(kind, NAMES).read(outputs)
    assert predictions.shape == tuple(outputs.shape)
    assert predictions.indices.shape == (3, *places)
    assert predictions.labels is None
    assert len(predictions) == 3
    for place in torch.ones(places).nonzero().tolist():
        of_place = Head(kind, NAMES).read(outputs[(slice(None), slice(None), *place)])
        assert torch.equal(predictions.indices[(slice(None), *place)], of_place.indices)
        torch.testing.assert_close(
            predictions.probabilities[(slice(None), slice(None), *place)], of_place.probabilities
        )


def test_numbers_of_any_shape_keep_it():
    outputs = torch.randn(2, 3, 4, 5)
    moments = Moments(torch.tensor([1.0, -2.0, 3.0]).double(), torch.tensor([2.0, 4.0, 0.5]).double())
    assert torch.equal(Head("numbers").read(outputs).values, outputs.double())
    by_channel = Head("numbers", moments=moments).read(outputs).values
    torch.testing.assert_close(by_channel[:, 1], outputs[:, 1].double() * 4 - 2)


def test_classes_without_names_are_numbered():
    assert read("softmax", [[0.0, 1.0], [3.0, 1.0]], None).labels == ("1", "0")


def test_numbers_in_their_units():
    moments = Moments(torch.tensor([10.0, 0.5]).double(), torch.tensor([2.0, 4.0]).double())
    assert read("numbers", [[1.0, -2.0]], None, moments=moments).values.tolist() == [[12.0, -7.5]]
    plain = read("numbers", [1.5, -2.0], None)
    assert (plain.values.tolist(), plain.labels, plain.probabilities) == ([[1.5], [-2.0]], None, None)
    assert (len(plain), plain.values.dtype) == (2, torch.float64)
    with pytest.raises(ShapeError, match=r"^predict: values must have 2 columns, as in training, got \(1, 1\)$"):
        read("numbers", [[1.0]], None, moments=moments)


def test_what_is_predicted_belongs_to_the_user():
    with torch.inference_mode():
        outputs = torch.randn(2, 3, dtype=torch.float64)
    for kind in ("softmax", "log-softmax", "scores", "one-hot", "sigmoid", "numbers"):
        predictions = Head(kind, NAMES).read(outputs)
        for tensor in (predictions.probabilities, predictions.values):
            assert tensor is None or not tensor.is_inference()


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (torch.zeros(2, 2), r"must have a column for each class of low, high, odd, got 2"),
        (torch.zeros(2, 2, 4), r"must have a column for each class of low, high, odd, got 2"),
        (torch.zeros(2, 3).long(), r"must be one tensor of floating-point .*, got torch.int64 of \(2, 3\); use"),
        (torch.tensor(1.0), r"must be one tensor of floating-point numbers, .*, got torch.float32 of \(\); use"),
        ((), r"must be one tensor of floating-point numbers, .*, got a tuple; use run.net"),
    ],
)
def test_outputs_that_cannot_be_read(outputs, text):
    with pytest.raises(ShapeError, match=rf"^predict: the model's output {text}"):
        Head("softmax", NAMES).read(outputs)
