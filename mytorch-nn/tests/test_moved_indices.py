"""Classes, indices and lengths that went to an accelerator are checked there, too, as the meta device shows."""

import pytest
import torch

from mytorch.core import ArgumentError, keep_origin
from mytorch.nn import (
    BCELoss,
    CrossEntropyLoss,
    Embedding,
    EmbeddingBag,
    HingeEmbeddingLoss,
    LastStep,
    LinearCrossEntropyLoss,
    MultiLabelMarginLoss,
    MultiMarginLoss,
    NLLLoss,
)

SCORES = torch.randn(3, 5, device="meta")


def moved(*numbers, dtype=None):
    origin = torch.tensor(numbers, dtype=dtype)
    return keep_origin(origin.to("meta"), origin)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: CrossEntropyLoss().forward(SCORES, moved(0, 1, 9)),
            "target must be a class between 0 and 4, .* 9",
        ),
        (lambda: CrossEntropyLoss().forward(SCORES, moved(0, 1, -7)), "target must be a class .* got -7"),
        (lambda: CrossEntropyLoss(ignore_index=-9).forward(SCORES, moved(-9, -7, 0)), "target must .* got -7"),
        (lambda: NLLLoss(ignore_index=9).forward(SCORES, moved(9, 8, 0)), "target must be a class .* got 8"),
        (lambda: LinearCrossEntropyLoss(5, 4).to("meta").forward(SCORES, moved(0, 1, 4)), "target must be .* got 4"),
        (lambda: MultiMarginLoss().forward(SCORES, moved(0, 1, 5)), "target must be a class .* got 5"),
        (lambda: HingeEmbeddingLoss().forward(SCORES[:, 0], moved(1.0, -1.0, 2.0)), "target must be 1 or -1, got 2"),
        (lambda: Embedding(4, 2).to("meta").forward(moved(0, 4)), "x must hold indices between 0 and 3, got 4"),
        (lambda: EmbeddingBag(4, 2).to("meta").forward(moved(0, 4), moved(0)), "input must hold indices .* got 4"),
        (lambda: LastStep().forward(SCORES[None], lengths=moved(4)), "lengths must be from 1 to the 3 steps"),
    ],
)
def test_a_wrong_number_is_told_by_name(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()


@pytest.mark.parametrize("target", [moved(0, 1, 4), moved(-100, 1, 4), torch.tensor([0, 1, 9]).to("meta")])
def test_right_ones_pass_and_so_do_those_that_nobody_can_read(target):
    value, saved = CrossEntropyLoss().forward(SCORES, target)
    assert CrossEntropyLoss().backward(1.0, saved).shape == SCORES.shape
    assert value.device.type == "meta"


def test_labels_are_looked_at_where_the_kernel_would_not():
    loss, wrong = MultiLabelMarginLoss(), torch.tensor([[0, 9, -1]])
    assert loss.forward(torch.randn(1, 3, device="meta"), wrong.to("meta"))[0].device.type == "meta"
    with pytest.raises(ArgumentError, match="target must be classes between 0 and 2"):
        loss.forward(torch.randn(1, 3), wrong)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2.0, 1.0])])
def test_the_formula_of_bce_is_that_of_the_kernel(reduction, weight):
    loss = BCELoss(weight, reduction)
    p, t = torch.rand(4, 3), torch.rand(4, 3)
    p[0, 0], t[0, 0], p[1, 1], t[1, 1] = 0.0, 1.0, 1.0, 1.0
    torch.testing.assert_close(loss._computed(p, t, weight), loss.forward(p, t)[0])
    assert loss._computed(p + 1, t, weight).isnan().any()
