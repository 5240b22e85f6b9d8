"""Losses, with targets of each kind that they take."""

import torch
from drawn_cases.case import Case, numbers, strategy
from drawn_losses import ARGUMENTS
from drawn_losses import draw as draw_inputs
from hypothesis import strategies as st

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SHAPES = [(3,), (4, 3), (1, 3), (0, 3), (2, 3, 3)]
AT_LEAST_ONE_ROW = ("MultiMarginLoss", "MultiLabelMarginLoss")
"""Of nothing, torch returns whatever stood in memory."""
ROWS_ONLY = (*AT_LEAST_ONE_ROW, "CosineEmbeddingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss")


def weights(draw, count):
    return draw(st.sampled_from([None, torch.rand(count)]))


@strategy(*ARGUMENTS)
def of_predictions(draw, name):
    arguments = {"reduction": draw(REDUCTIONS)} | {key: draw(values) for key, values in ARGUMENTS[name].items()}
    shape = draw(st.sampled_from(SHAPES))
    if name in ROWS_ONLY and len(shape) > 2:
        shape = (2, 3)
    if name in AT_LEAST_ONE_ROW and shape == (0, 3):
        shape = (1, 3)
    predictions, targets = draw_inputs(name, shape)
    if name == "PoissonNLLLoss" and not arguments["log_input"]:
        predictions = (predictions[0].exp(),)
    inputs = (value.double() if value.is_floating_point() else value for value in (*predictions, *targets))
    return Case(arguments, tuple(inputs), targets=len(targets))


@strategy("MSELoss")
def of_squares(draw, name):
    shape = draw(st.sampled_from([(), *SHAPES]))
    return Case({"reduction": draw(REDUCTIONS)}, (numbers(draw, *shape), numbers(draw, *shape)), targets=1)


@strategy("BCEWithLogitsLoss")
def of_questions(draw, name):
    shape = draw(st.sampled_from([(), *SHAPES]))
    last = shape[-1:]
    arguments = {"reduction": draw(REDUCTIONS), "weight": weights(draw, last), "pos_weight": weights(draw, last)}
    if shape == (4, 3) and draw(st.booleans()):
        arguments["weight"] = torch.rand(4, 1)
    return Case(arguments, (3 * numbers(draw, *shape), torch.rand(shape, dtype=torch.float64)), targets=1)


@strategy("CrossEntropyLoss")
def of_classes(draw, name):
    shape = draw(st.sampled_from([(6, 4), (1, 4), (4,), (3, 4, 5), (2, 4, 3, 2), (0, 4)]))
    arguments = {
        "weight": weights(draw, 4),
        "reduction": draw(REDUCTIONS),
        "label_smoothing": draw(st.sampled_from([0.0, 0.2, 1.0])),
    }
    axis = 1 if len(shape) > 1 else 0
    prediction = 2 * numbers(draw, *shape)
    if draw(st.booleans()):
        return Case(arguments, (prediction, torch.rand(shape).double().softmax(axis)), targets=1)
    target = torch.randint(0, 4, shape[:axis] + shape[axis + 1 :])
    if draw(st.booleans()):
        target = torch.where(torch.rand(target.shape) > 0.5, target, -100)
    else:
        arguments["ignore_index"] = draw(st.integers(0, 3))
    return Case(arguments, (prediction, target), targets=1)


@strategy("LinearCrossEntropyLoss")
def of_features(draw, name):
    outputs = draw(st.sampled_from([(), (2,), (3, 2)]))
    arguments = {
        "in_features": 3,
        "num_classes": 4,
        "out_features": outputs,
        "bias": draw(st.booleans()),
        "reduction": draw(REDUCTIONS),
        "weight": weights(draw, 4),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1])),
    }
    rows = draw(st.sampled_from([(1,), (5,), (0,)] if outputs else [(), (1,), (5,), (0,)]))
    target = torch.randint(0, 4, (*rows, *outputs))
    if draw(st.booleans()):
        target = torch.rand(*rows, 4, *outputs, dtype=torch.float64)
    return Case(arguments, (torch.randn(*rows, 3).double(), target), targets=1)


@strategy("AdaptiveLogSoftmaxWithLoss")
def of_clusters(draw, name):
    cutoffs = sorted(draw(st.lists(st.integers(1, 11), min_size=1, max_size=4, unique=True)))
    div_value = draw(st.sampled_from([1.0, 1.5])) if len(cutoffs) > 2 else draw(st.sampled_from([1.0, 2.0]))
    arguments = {"in_features": 6, "n_classes": 12, "cutoffs": cutoffs, "div_value": div_value}
    rows = draw(st.sampled_from([(), (1,), (5,)]))
    inputs = torch.randn(*rows, 6).double(), torch.randint(0, 12, rows)
    return Case(arguments | {"head_bias": draw(st.booleans())}, inputs)


@strategy("CTCLoss")
def of_alignments(draw, name):
    """Targets in rows or one after the other, without the blank."""
    steps, classes, rows = 7, 5, draw(st.integers(1, 3))
    arguments = {
        "blank": draw(st.integers(0, classes - 1)),
        "reduction": draw(REDUCTIONS),
        "zero_infinity": draw(st.booleans()),
    }
    wanted = draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))
    given = draw(st.lists(st.integers(1, steps), min_size=rows, max_size=rows))
    padded = torch.randint(0, classes - 1, (rows, 4))
    padded += padded >= arguments["blank"]
    joined = torch.cat([row[:length] for row, length in zip(padded, wanted, strict=True)])
    kind = draw(st.sampled_from([torch.tensor, tuple]))
    log_probs = torch.randn(steps, rows, classes, dtype=torch.float64).log_softmax(-1)
    return Case(arguments, (log_probs, draw(st.sampled_from([padded, joined])), kind(given), kind(wanted)), targets=3)
