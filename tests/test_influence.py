"""Influence of training rows: against the formed matrix of parameters, and against training without the row."""

import doctest
import importlib

import pytest
import torch

from mytorch.core import ArgumentError, Module, View
from mytorch.data import Disk, TensorDataSet
from mytorch.nn import (
    BatchNorm1d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    MSELoss,
    ReLU,
    Sequential,
    Tanh,
)
from mytorch.optim import Adam
from mytorch.train import ErrorRate, NotFiniteError, evaluate, fit
from mytorch.train.quantities import error_norms, influence, sample_gradients, sample_norms, sample_products

pytestmark = pytest.mark.numbers
D = torch.float64
ROWS, PENALTY = 150, 0.02


def tied():
    embedding, linear = Embedding(7, 4), Linear(4, 7)
    linear.weight = embedding.weight
    return Sequential(embedding, Tanh(), linear)


def numbers(*shape):
    return lambda rows: torch.randn(rows, *shape, dtype=D)


NETS = {
    "perceptron": (lambda: Sequential(Linear(3, 6), Tanh(), Dropout(0.5), Linear(6, 2)), numbers(3)),
    "convolution": (lambda: Sequential(Conv2d(2, 3, 2), ReLU(), Flatten(), Linear(12, 2)), numbers(2, 3, 3)),
    "batch norm": (lambda: Sequential(Linear(3, 4), BatchNorm1d(4), Linear(4, 2)), numbers(3)),
    "tied": (tied, lambda rows: torch.randint(7, (rows, 5))),
}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("case", NETS)
def test_it_is_that_of_the_formed_matrix(case, whole):
    torch.manual_seed(4)
    build, draw = NETS[case]
    net, loss = build().double(), MSELoss()
    x, new = draw(7), draw(2)
    t, t_new = (torch.randn(net.eval()(each).shape, dtype=D) for each in (x, new))
    net.train()
    rows = (x, t) if whole else TensorDataSet(x, t)
    plain = influence(net, loss, rows, (new, t_new), batch_size=3)
    curved = influence(net, loss, rows, (new, t_new), damping=0.3, batch_size=3)
    assert all(module.training for module in net.modules())
    net.eval()
    g, g_new = (flat(sample_gradients(net, loss, *batch)) for batch in ((x, t), (new, t_new)))
    torch.testing.assert_close(plain, g @ g_new.T, rtol=0, atol=1e-9)
    fisher = g.T @ g / 7 + 0.3 * torch.eye(g.shape[1], dtype=D)
    torch.testing.assert_close(curved, g @ torch.linalg.solve(fisher, g_new.T) / 7, rtol=0, atol=1e-9)


def flat(each):
    return torch.cat([one.flatten(1) for one in each.values()], 1)


def fitted(x, classes, w):
    """The minimum of the mean cross entropy over ROWS rows, of which some may be left out, and the penalty."""
    size, one_hot = w.numel(), torch.nn.functional.one_hot(classes, 2).to(D)
    for _ in range(50):
        p = (x @ w.T).softmax(1)
        gradient = (p - one_hot).T @ x / ROWS + PENALTY * w
        if gradient.norm() < 1e-12:
            return w
        curvature = torch.einsum("nij,nk,nl->ikjl", torch.diag_embed(p) - p[:, :, None] * p[:, None], x, x) / ROWS
        penalised = curvature.reshape(size, size) + PENALTY * torch.eye(size, dtype=D)
        w = w - torch.linalg.solve(penalised, gradient.flatten()).reshape(w.shape)  # Newton's method
    raise AssertionError(gradient.norm())


def spearman(one, other):
    ranks = torch.stack([one.argsort().argsort(), other.argsort().argsort()]).to(D)
    return float(torch.corrcoef(ranks)[0, 1])


def losses(new, w, classes):
    return torch.nn.functional.cross_entropy(new @ w.T, classes, reduction="none")


def test_it_ranks_rows_as_training_without_each_of_them_does():
    torch.manual_seed(0)
    x, new = torch.randn(ROWS, 4, dtype=D), torch.randn(10, 4, dtype=D)
    true = torch.tensor([1.0, -1.0, 0.5, 0.0], dtype=D)
    classes, of_new = ((each @ true + torch.randn(len(each), dtype=D) > 0).long() for each in (x, new))
    net, loss = Linear(4, 2, bias=False).double(), CrossEntropyLoss()
    net.weight.value = w = fitted(x, classes, torch.zeros(2, 4, dtype=D))
    without = [fitted(x[kept], classes[kept], w) for kept in ~torch.eye(ROWS, dtype=torch.bool)]
    rise = torch.stack([losses(new, each, of_new) - losses(new, w, of_new) for each in without])
    curved = influence(net, loss, (x, classes), (new, of_new), damping=PENALTY)
    plain = influence(net, loss, (x, classes), (new, of_new))
    of_curved, of_plain = ([spearman(each[:, t], rise[:, t]) for t in range(10)] for each in (curved, plain))
    assert min(of_curved) > 0.93  # 0.948 to 0.992, 0.976 on average
    assert sum(of_curved) / 10 > 0.97
    assert min(of_plain) > 0.85  # 0.869 to 0.965, 0.929 on average
    slopes = (curved * rise).sum(0) / curved.square().sum(0)
    assert 0.7 < slopes.min() <= slopes.max() < 1.1  # the estimate has the units of a loss, too


class Centre(Module):
    """y = x - mean of x over the batch, in every mode"""

    def forward(self, x):
        return x - x.mean(0), None

    def backward(self, d_y, _):
        return d_y - d_y.mean(0)


GIVEN = torch.randn(5, 3), torch.randn(5, 2)
GIVEN64 = tuple(each.double() for each in GIVEN)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"damping": 0.0}, "influence: damping must be a number above 0 or None, got 0.0"),
        ({"damping": float("nan")}, "influence: damping must be a number above 0 or None, got nan"),
        ({"damping": True}, "influence: damping must be a number above 0 or None, got True"),
        ({"batch_size": 0}, "influence: batch_size must be a whole number of at least 1, got 0"),
        ({"rows": iter([])}, r"influence: rows must be a data set or a batch \(inputs, targets\), got"),
        ({"rows": (torch.randn(0, 3), torch.randn(0, 2))}, "influence: rows must be at least one, got none"),
        ({"net": Sequential(Linear(3, 2), Centre())}, r"got layer '1' \(Centre\), which mixes the batch"),
    ],
)
def test_what_cannot_be_computed_is_refused(options, text):
    given = {"net": Linear(3, 2), "rows": GIVEN, **options}
    with pytest.raises(ArgumentError, match=text):
        influence(given.pop("net"), MSELoss(), given.pop("rows"), GIVEN, **given)


@pytest.mark.parametrize("damping", [None, 0.1])
def test_a_weighted_sum_does_not_depend_on_the_batches(damping):
    torch.manual_seed(0)
    net = Linear(2, 2).to(torch.float64)
    loss = CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]).double(), reduction="sum")
    rows = torch.randn(20, 2).double(), torch.randint(2, (20,))
    new = rows[0][:3] + 1, rows[1][:3]
    found = influence(net, loss, rows, new, damping=damping)
    parts = influence(net, loss, rows, new, damping=damping, batch_size=7)
    torch.testing.assert_close(parts, found, rtol=0, atol=1e-9)
    if damping is None:
        alone = sample_products(net, CrossEntropyLoss(), rows, new)
        weights = loss.weight.value
        wanted = weights[rows[1]].unsqueeze(1) * alone * weights[new[1]]
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 3, 12])
@pytest.mark.parametrize("damping", [None, 0.1])
def test_a_weighted_mean_is_that_of_all_rows_whatever_shares_a_batch(damping, batch_size):
    torch.manual_seed(0)
    net, class_weights = Linear(2, 3).double(), torch.tensor([1.0, 3.0, 0.25], dtype=D)
    x, t = torch.randn(12, 2, dtype=D), torch.tensor([0, 1, 2, 1, 0, 2, -100, 1, -100, -100, 2, 0])
    new, of_new = torch.randn(4, 2, dtype=D), torch.tensor([1, 0, -100, 2])
    loss = CrossEntropyLoss(weight=class_weights)
    found = influence(net, loss, (x, t), (new, of_new), damping=damping, batch_size=batch_size)

    def gradients(rows, classes, divide):
        w, b = (held.value.clone().requires_grad_() for held in (net.weight, net.bias))
        for row, label in zip(rows, classes, strict=True):
            summed = torch.nn.functional.cross_entropy(
                (row @ w.T + b)[None], label[None], class_weights, reduction="sum"
            )
            yield torch.cat([each.flatten() for each in torch.autograd.grad(summed / divide(label), (w, b))])

    counts = t != -100
    g = torch.stack(list(gradients(x, t, lambda _: class_weights[t[counts]].sum() / 12)))
    own = lambda label: class_weights[label] if label != -100 else 1.0  # noqa: E731
    g_new = torch.stack(list(gradients(new, of_new, own)))
    wanted = g @ g_new.T
    if damping is not None:
        fisher = g.T @ g / 12 + damping * torch.eye(9, dtype=D)
        wanted = g @ torch.linalg.solve(fisher, g_new.T) / 12
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_what_rounding_hides_is_refused():
    torch.manual_seed(0)
    x, t = torch.randn(1, 3).expand(40, 3) * 1e3, torch.randn(40, 2) * 1e3
    with pytest.raises(ArgumentError, match=r"damping must be larger than the rounding .*, got 1e-12; take a"):
        influence(Linear(3, 2), MSELoss(), (x, t), GIVEN, damping=1e-12)
    assert influence(Linear(3, 2).double(), MSELoss(), (x.double(), t.double()), GIVEN64, damping=1.0).isfinite().all()


@pytest.mark.parametrize("damping", [None, 0.1])
def test_gradients_that_are_not_finite_are_refused(damping):
    x, t = GIVEN[0], GIVEN[1].clone()
    t[2] = float("nan")
    with pytest.raises(NotFiniteError, match="influence: gradients of rows and predictions must be finite"):
        influence(Linear(3, 2), MSELoss(), (x, t), GIVEN, damping=damping)


class StepsFirst(Module):
    """Turns (samples, steps, features) into (steps, samples, features), for a loss that takes them so."""

    def forward(self, x):
        return x.transpose(0, 1), None

    def backward(self, d_y, _):
        return d_y.transpose(0, 1)


class StepsFirstError(MSELoss):
    """A squared error whose targets have the samples first."""

    def forward(self, prediction, target):
        return super().forward(prediction, target.transpose(0, 1))


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), CrossEntropyLoss(reduction="sum")])
def test_errors_are_those_of_probabilities(loss):
    torch.manual_seed(1)
    net, x, classes = Linear(3, 4).double(), torch.randn(6, 3, dtype=D), torch.tensor([0, 3, 1, 1, 2, 0])
    wanted = (net(x).softmax(1) - torch.nn.functional.one_hot(classes, 4)).norm(dim=1)
    torch.testing.assert_close(error_norms(net, loss, x, classes), wanted, rtol=0, atol=1e-12)


def test_errors_of_samples_along_another_axis():
    torch.manual_seed(1)
    net = Sequential(Linear(3, 2), StepsFirst()).double()
    x, t = torch.randn(4, 5, 3, dtype=D), torch.randn(4, 5, 2, dtype=D)
    wanted = (2 * (net(x).transpose(0, 1) - t) / 10).flatten(1).norm(dim=1)
    torch.testing.assert_close(error_norms(net, StepsFirstError(), x, t), wanted, rtol=0, atol=1e-12)


def disk_net(data, seed):
    torch.manual_seed(seed)
    net = Sequential(Linear(2, 32), ReLU(), Linear(32, 32), ReLU(), Linear(32, 2))
    epochs = round(40_000 / len(data))  # as many steps, whatever the rows
    optimizer = Adam(net.param(), lr=0.005)
    fit(net, CrossEntropyLoss(), optimizer, data, epochs=epochs, batch_size=50, seed=seed, quiet=True)
    return net.eval()


def test_half_of_an_easy_set_teaches_more_by_norm_than_at_random():
    data, test = Disk(1000), Disk(5000, seed=1)
    scores = torch.stack([sample_norms(disk_net(data, seed), CrossEntropyLoss(), *data[:]) for seed in (11, 12)])
    by_norm = View(data, scores.mean(0).argsort(descending=True)[:500])
    errors = {"by norm": [], "at random": []}
    for seed in range(4):
        at_random = View(data, torch.randperm(1000, generator=torch.Generator().manual_seed(seed))[:500])
        for name, part in (("by norm", by_norm), ("at random", at_random)):
            errors[name].append(evaluate(disk_net(part, seed), None, test, [ErrorRate()])["error_rate"])
    assert sum(errors["by norm"]) < 0.9 * sum(errors["at random"])  # 0.017 and 0.026 on average


def test_the_examples():
    for name in ("influence_of_rows", "products", "errors_of_samples"):
        tested = doctest.testmod(importlib.import_module(f"mytorch.train.quantities.{name}"))
        assert (tested.attempted > 2, tested.failed) == (True, 0)
