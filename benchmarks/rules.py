"""Learning rules beside backpropagation: the time of a step, and what they learn on three small problems.

First, a step by feedback alignment and direct feedback alignment, whose arithmetic is no more than that of
backpropagation, and by sign-symmetric feedback, beside a plain step: perceptrons and LeNet, SGD, one thread. Then the
table of docs/learning-rules.md: the accuracy of each rule on rows that were held back, its training time in that of
backpropagation, and the most that tensors hold during a step, on points in a disk, images of digits, and the next
character of a text, which is the documentation itself.

    python -m pip install scikit-learn
    python benchmarks/rules.py            # the steps, then the table; some minutes
    python benchmarks/rules.py --publish  # and puts the table into docs/learning-rules.md
"""

from __future__ import annotations

import gc
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from memory import MEASURED, peak_within
from publish import put_between
from side_by_side import Contestant, Effort, Report, Target, arguments, measure
from torch import Tensor
from torch.profiler import record_function

from mytorch.core import Module, Rule
from mytorch.data import Digits, Disk, TensorDataSet, split
from mytorch.nn import Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, RMSNorm, Sequential, Sign, Tanh
from mytorch.optim import SGD, Adam
from mytorch.train import evaluate, fit, rules, step
from mytorch.train.metrics.metrics import Accuracy
from mytorch.train.rules.rule_step import RuleStep

PAGE = Path(__file__).parents[1] / "docs/learning-rules.md"
BEGIN, END = "<!-- by benchmarks/rules.py -->", "<!-- end -->"
PLAIN = "backpropagation"
EFFORT, QUICK = Effort(3, 15, 0.04), Effort(1, 2, 0.01)
SEEDS = range(3)
NO_MORE = ("FeedbackAlignment", "DirectFeedbackAlignment")
"""Rules whose arithmetic is no more than that of backpropagation."""
TIMED = (*NO_MORE, "SignSymmetric")


def network(name: str) -> tuple[Module, Tensor, Tensor]:
    """A network, and a batch for it."""
    batch = int(name.rpartition(" ")[2])
    classes = torch.randint(10, (batch,))
    if name.startswith("LeNet"):
        net = Sequential(
            *(Conv2d(1, 6, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(6, 16, 5), ReLU(), MaxPool2d(2)),
            *(Flatten(), Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10)),
        )
        return net, torch.randn(batch, 1, 28, 28), classes
    width = int(name.split()[1].rstrip(","))
    net = Sequential(Linear(64, width), ReLU(), Linear(width, width), ReLU(), Linear(width, 10))
    return net, torch.randn(batch, 64), classes


NETWORKS = ("perceptron 128, batch 32", "perceptron 128, batch 128", "perceptron 512, batch 128", "LeNet, batch 32")


def contestants(name: str) -> dict[str, Contestant]:
    """A plain step, and one by each rule. A learning rate of 0 lets them compute the same loss each time."""
    found = {}
    for rule in (PLAIN, *TIMED):
        torch.manual_seed(0)
        net, x, classes = network(name)
        net.input_grad = False
        take = step if rule == PLAIN else RuleStep(getattr(rules, rule)())
        found[rule] = Contestant(_call(take, net, SGD(net.param(), lr=0.0), x, classes), inference=True)
    return found


def _call(take: Callable[..., Any], net: Module, optimizer: Any, x: Tensor, classes: Tensor) -> Callable[[], Tensor]:
    loss = CrossEntropyLoss()
    return lambda: take(net, loss, optimizer, x, classes)[0]


def report_steps(report: Report, effort: Effort) -> None:
    """How long a step by a rule takes, in plain steps."""
    rows, targets = [], []
    for name in NETWORKS:
        measured = measure(contestants, name, effort=effort)
        ratios = {rule: measured.ratio(rule, PLAIN) for rule in TIMED}
        rows.append([name, measured.seconds(PLAIN).text(2, 1e3), *(ratio.text() for ratio in ratios.values())])
        targets += [Target(f"{name}: {rule} / {PLAIN}", ratios[rule], 1.2, at_least=False) for rule in NO_MORE]
    report.table("A step by a rule, in plain steps", ["network", "plain, milliseconds", *TIMED], rows)
    for target in targets:
        report.target(target)


@dataclass(frozen=True)
class Problem:
    """Rows to train on and to judge by, classes, numbers a row, and how long a training is."""

    data: Any
    features: int
    classes: int
    width: int
    epochs: int


def disk() -> Problem:
    """Points inside or outside a disk, behind two zeros, into which forward-forward writes the label."""
    x, t = Disk(1200)[:]
    return Problem(TensorDataSet(torch.cat([torch.zeros(len(x), 2), (x - x.mean(0)) / x.std(0)], 1), t), 4, 2, 32, 30)


def digits() -> Problem:
    """Images of 8 by 8 pixels."""
    images = Digits()
    x, t = images[:]
    return Problem(TensorDataSet(x.reshape(len(x), -1), t), 64, 10, 64, 12)


def text() -> Problem:
    """The next character of the documentation, in lower case, from the eight before it, each of 27 characters."""
    page = (PAGE.parent / "architecture.md").read_text()
    letters = re.sub(r"[^a-z]+", " ", page.lower())
    indices = torch.tensor([" abcdefghijklmnopqrstuvwxyz".index(letter) for letter in letters[:6008]])
    windows = indices.unfold(0, 9, 1)
    x = torch.nn.functional.one_hot(windows[:, :8], 27).float().flatten(1)
    return Problem(TensorDataSet(x, windows[:, 8]), 8 * 27, 27, 64, 6)


PROBLEMS = {"disk": disk, "digits": digits, "text": text}


@dataclass(frozen=True)
class Way:
    """How a rule is tried: the rule, the units of its network, and the rate of Adam."""

    rule: Callable[[], Rule] | None
    unit: Callable[[], Module] = Tanh
    normalised: bool = False
    lr: float = 0.003


WAYS = {
    PLAIN: Way(None),
    "FeedbackAlignment": Way(rules.FeedbackAlignment),
    "DirectFeedbackAlignment": Way(rules.DirectFeedbackAlignment),
    "SignSymmetric": Way(rules.SignSymmetric),
    "LocalLosses": Way(rules.LocalLosses),
    "ForwardForward": Way(rules.ForwardForward, ReLU, normalised=True),
    "TargetPropagation": Way(rules.TargetPropagation),
    "EquilibriumPropagation": Way(rules.EquilibriumPropagation),
    "PredictiveCoding": Way(rules.PredictiveCoding),
    "SyntheticGradients": Way(rules.SyntheticGradients),
    "StraightThrough": Way(rules.StraightThrough, Sign),
    "SurrogateGradient": Way(rules.SurrogateGradient, Sign),
    "EvolutionStrategies": Way(rules.EvolutionStrategies, lr=0.01),
    "ZerothOrder": Way(lambda: rules.ZerothOrder(samples=4)),
}


def build(way: Way, problem: Problem) -> Sequential:
    """Two hidden layers."""
    layers: list[Module] = []
    for size in (problem.features, problem.width):
        layers += [Linear(size, problem.width), way.unit()]
        layers += [RMSNorm(problem.width, elementwise_affine=False)] if way.normalised else []
    return Sequential(*layers, Linear(problem.width, problem.classes))


def train(way: Way, problem: Problem, seed: int, epochs: int) -> tuple[float, float]:
    """The accuracy in percent on a third of the rows, which are held back, and the seconds of the training."""
    training, held_back = split(problem.data, (0.67, 0.33), seed=seed)
    torch.manual_seed(seed)
    net = build(way, problem)
    rule = None if way.rule is None else way.rule()
    optimizer, options = Adam(net.param(), lr=way.lr), {"batch_size": 32, "quiet": True}
    began = time.process_time()
    fit(net, CrossEntropyLoss(), optimizer, training, epochs=epochs, rule=rule, **options)
    seconds = time.process_time() - began
    return 100 * evaluate(net, None, held_back, [Accuracy()])["accuracy"], seconds


def memory(way: Way, problem: Problem) -> int:
    """The most bytes that tensors hold during a step on 32 rows, the third of a training."""

    def work() -> None:
        torch.manual_seed(0)
        net, loss = build(way, problem), CrossEntropyLoss()
        net.input_grad = False
        take = step if way.rule is None else RuleStep(way.rule())
        optimizer = Adam(net.param(), lr=way.lr)
        x, t = problem.data[:32]
        with torch.inference_mode():
            for _ in range(2):
                take(net, loss, optimizer, x, t)
            with record_function(MEASURED):
                take(net, loss, optimizer, x, t)

    gc.collect()
    return peak_within(work)


def table(quick: bool) -> Iterator[str]:
    """The lines of the table in Markdown."""
    problems = {name: make() for name, make in PROBLEMS.items()}
    yield f"| Rule | {' | '.join(f'{name}: accuracy, time, memory' for name in problems)} |"
    yield "|" + "---|" * (len(problems) + 1)
    plain: dict[str, tuple[float, int]] = {}
    train(WAYS[PLAIN], problems["digits"], 0, 1)  # whose time includes what is done once
    memory(WAYS[PLAIN], problems["digits"])
    for rule, way in WAYS.items():
        cells = []
        for name, problem in problems.items():
            found = [
                train(way, problem, seed, 1 if quick else problem.epochs) for seed in SEEDS[: 1 if quick else None]
            ]
            accuracy, seconds = (statistics.median(each) for each in zip(*found, strict=True))
            held = memory(way, problem)
            base, least = plain.setdefault(name, (seconds, held))
            cells.append(f"{accuracy:.1f} %, {seconds / base:.1f}, {held / least:.2f}")
        yield f"| {rule if way.rule is None else f'`{rule}`'} | {' | '.join(cells)} |"


def main() -> None:
    options = arguments(__doc__, publish=PAGE)
    report = Report(options.json)
    report_steps(report, QUICK if options.quick else EFFORT)
    report.end()
    if options.json:
        return
    torch.set_num_threads(1)
    lines = []
    for line in table(options.quick):
        print(line, flush=True)
        lines.append(line)
    if options.publish:
        put_between(PAGE, f"{BEGIN}\n", END, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
