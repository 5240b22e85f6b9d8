"""Perplexity, against its formula in float64, and what it refuses."""

import doctest
import importlib
import math

import pytest
import torch
from torch.nn import functional as F

from mytorch.core import ArgumentError, ShapeError
from mytorch.train import Perplexity


def drawn(*places, tokens=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(places[0], tokens, *places[1:], generator=generator)
    return scores, torch.randint(tokens, places, generator=generator)


def judged(prediction, target, outputs="softmax", size=4, **options):
    metric = Perplexity(**options)
    metric.outputs = outputs
    metric.update(prediction, target)
    metric.reset()
    for rows in torch.arange(len(target)).split(size):
        metric.update(prediction[rows], target[rows])
    return metric.compute()


@pytest.mark.parametrize("places", [(9, 6), (9,), (5, 2, 3)])
@pytest.mark.parametrize("ignored", [-100, 3])
def test_it_is_that_of_all_tokens_together_whatever_the_batches(places, ignored):
    scores, target = drawn(*places)
    target.flatten()[:4] = ignored
    mean = F.cross_entropy(scores.double(), target, ignore_index=ignored)
    for size in (1, 4, 100):
        assert judged(scores, target, size=size, ignore_index=ignored) == pytest.approx(mean.exp().item(), rel=1e-6)
    logs = scores.double().log_softmax(1)
    assert judged(logs, target, "log-softmax", ignore_index=ignored) == pytest.approx(mean.exp().item(), rel=1e-12)


def test_half_precision_is_widened_before_it_is_summed():
    scores, target = drawn(8, 40)
    mean = F.cross_entropy(scores.bfloat16().double(), target)
    assert judged(scores.bfloat16(), target) == pytest.approx(mean.exp().item(), rel=1e-5)


def test_where_it_has_no_number():
    scores, target = drawn(3, 5)
    assert math.isnan(Perplexity().compute())
    assert math.isnan(judged(scores, torch.full_like(target, -100)))
    assert judged(torch.tensor([[2000.0, 0.0]]), torch.tensor([1])) == math.inf
    assert Perplexity.higher_is_better is False


def test_what_it_refuses():
    scores, target = drawn(3, 5)
    with pytest.raises(ArgumentError, match=r'Perplexity: the loss must give probabilities of classes, .*, got "numb'):
        judged(scores, target, "numbers")
    text = r"targets must be one index for each prediction of \(batch, classes, ...\), whole numbers of \(3, 5\), got "
    with pytest.raises(ShapeError, match=text + r"torch.int64 of \(3, 4\)"):
        judged(scores, target[:, :4])
    with pytest.raises(ShapeError, match=text + r"torch.float32 of \(3, 5\)"):
        judged(scores, target.float())
    with pytest.raises(ArgumentError, match=r"Perplexity: ignore_index must be a whole number, got 1\.5"):
        Perplexity(ignore_index=1.5)


def test_the_example_holds():
    result = doctest.testmod(importlib.import_module("mytorch.train.metrics.perplexity"))
    assert result.attempted > 4
    assert not result.failed
