"""Each optimizer on four small problems, at its defaults and with the rate that the range test suggests.

The problems: the experiment disk-tuned without its schedule; two tables that come with scikit-learn, breast_cancer and
diabetes, with one hidden layer; and a convolutional network for the images of digits, scikit-learn's too. Shown is the
median over some seeds of the error on rows that were held back, and what an optimizer keeps for each weight.

    python -m pip install scikit-learn
    python benchmarks/optimizer_choice.py            # prints the table; a few minutes
    python benchmarks/optimizer_choice.py --publish  # and puts it into docs/optimizers.md
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from publish import put_between

import mytorch.optim
from mytorch.core import Module, Optimizer, Parameter
from mytorch.data import TensorDataSet, split
from mytorch.experiments import load_experiment
from mytorch.experiments.file.build import build
from mytorch.nn import BatchNorm2d, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, MSELoss, ReLU, Sequential
from mytorch.optim import KFAC, LBFGS, AdamW, Muon
from mytorch.train import NotFiniteError, evaluate, fit, gradients, lr_range_test
from mytorch.train.metrics.metrics import ErrorRate

PAGE = Path(__file__).parents[1] / "docs/optimizers.md"
BEGIN, END = "<!-- by benchmarks/optimizer_choice.py -->", "<!-- end -->"
SEEDS = range(3)
LBFGS_PASSES = 20
"""A step of LBFGS evaluates about as often."""


@dataclass(frozen=True)
class Problem:
    """What is trained for a seed: net, loss, rows to train and to judge by, epochs, rows a batch, how it is judged."""

    net: Module
    loss: Module
    training: Any
    held_back: Any
    epochs: int
    batch_size: int

    def judge(self) -> float:
        """The error rate in percent; of numbers the share of the variance that is left, in percent."""
        if isinstance(self.loss, MSELoss):
            return 100 * evaluate(self.net, self.loss, self.held_back)["loss"]
        return 100 * evaluate(self.net, None, self.held_back, [ErrorRate()])["error_rate"]


def disk_tuned(seed: int) -> Problem:
    """The installed experiment."""
    experiment = load_experiment("disk-tuned", {"seed": seed})
    built = build(experiment.model_copy(update={"schedule": None}))
    return Problem(
        built.setup.net,
        built.setup.loss,
        built.parts.training,
        built.parts.test,
        experiment.epochs,
        experiment.batch_size,
    )


def breast_cancer(seed: int) -> Problem:
    """Two classes of 569 rows, 30 columns."""
    from sklearn.datasets import load_breast_cancer

    training, held_back = standardised(*load_breast_cancer(return_X_y=True), seed)
    return Problem(mlp(30, 2, seed), CrossEntropyLoss(), training, held_back, 50, 20)


def diabetes(seed: int) -> Problem:
    """Numbers of 442 rows, 10 columns; the target has a deviation of 1."""
    from sklearn.datasets import load_diabetes

    x, t = load_diabetes(return_X_y=True)
    training, held_back = standardised(x, ((t - t.mean()) / t.std())[:, None], seed)
    return Problem(mlp(10, 1, seed), MSELoss(), training, held_back, 50, 20)


def digits(seed: int) -> Problem:
    """Ten classes of 1797 images of 8 by 8."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    data = TensorDataSet(torch.tensor(images).float().reshape(-1, 1, 8, 8) / 16, torch.tensor(classes))
    training, held_back = split(data, (0.7, 0.3), seed=seed)
    torch.manual_seed(seed)
    net = Sequential(
        *(Conv2d(1, 8, 3, padding=1), BatchNorm2d(8), ReLU(), MaxPool2d(2)),
        *(Conv2d(8, 16, 3, padding=1), ReLU(), Flatten(), Linear(256, 10)),
    )
    return Problem(net, CrossEntropyLoss(), training, held_back, 10, 50)


PROBLEMS = {
    "disk-tuned": disk_tuned,
    "breast_cancer": breast_cancer,
    "diabetes": diabetes,
    "digits, convolutions": digits,
}


def standardised(x: Any, t: Any, seed: int) -> tuple[Any, Any]:
    """Rows to train and to judge by, with columns of mean 0 and deviation 1."""
    x, t = torch.as_tensor(x).float(), torch.as_tensor(t)
    data = TensorDataSet((x - x.mean(0)) / x.std(0), t if t.dtype is torch.int64 else t.float())
    training, held_back = split(data, (0.7, 0.3), seed=seed)
    return training, held_back


def mlp(columns: int, outputs: int, seed: int) -> Module:
    """One hidden layer."""
    torch.manual_seed(seed)
    return Sequential(Linear(columns, 32), ReLU(), Linear(32, outputs))


def with_closure(net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any) -> Any:
    """A step of LBFGS."""

    def closure() -> Any:
        optimizer.zero_grad()
        return gradients(net, loss, inputs, targets)[0]

    value = optimizer.step(closure)
    optimizer.zero_grad()
    return value


def beside_adamw(net: Module) -> Callable[..., Any]:
    """A step in which Muon updates the matrices and AdamW everything else."""
    others = AdamW([parameter for parameter in net.param() if parameter.value.dim() != 2])

    def step(net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any) -> Any:
        result = gradients(net, loss, inputs, targets)
        for each in (optimizer, others):
            each.step()
            each.zero_grad()
        return result

    return step


def run(cls: Any, make: Callable[[int], Problem], seed: int, *, find: bool) -> float:
    """The error of one training; infinite if it diverges."""
    options: dict[str, Any] = {}
    if find:
        problem, optimizer, step = prepare(cls, make, seed)
        rate = lr_range_test(
            problem.net, problem.loss, optimizer, problem.training, batch_size=rows(cls, problem), seed=seed, step=step
        ).suggestion
        options = {} if rate is None else {"lr": rate}
    problem, optimizer, step = prepare(cls, make, seed, **options)
    epochs = max(1, problem.epochs // LBFGS_PASSES) if cls is LBFGS else problem.epochs
    given = problem.net, problem.loss, optimizer, problem.training
    try:
        fit(*given, epochs=epochs, batch_size=rows(cls, problem), seed=seed, step=step, quiet=True)
    except NotFiniteError:
        return float("inf")
    return problem.judge()


def prepare(cls: Any, make: Callable[[int], Problem], seed: int, **options: Any) -> tuple[Problem, Optimizer, Any]:
    """A problem with its optimizer and, where it needs one, a step."""
    problem = make(seed)
    params = problem.net.param()
    if cls is Muon:
        matrices = [parameter for parameter in params if parameter.value.dim() == 2]
        return problem, Muon(matrices, **options), beside_adamw(problem.net)
    if cls is LBFGS:
        return problem, LBFGS(params, line_search_fn="strong_wolfe", **options), with_closure
    return problem, cls(params, **options), None


def rows(cls: Any, problem: Problem) -> int:
    """Rows a step: all for LBFGS."""
    return len(problem.training) if cls is LBFGS else problem.batch_size


def state_of(cls: Any) -> str:
    """How many numbers an optimizer keeps for each weight of a matrix of 256 by 256."""
    weight = Parameter(torch.randn(256, 256))
    optimizer = cls([weight])
    for _ in range(3):

        def closure() -> Any:
            weight.grad = weight.value.clone()
            return weight.value.square().sum() / 2

        closure()
        optimizer.step(closure if cls is LBFGS else None)
    held = torch.utils._pytree.tree_leaves([dict(state) for state in optimizer.state.values()])
    count = sum(entry.numel() for entry in held if isinstance(entry, torch.Tensor)) / weight.value.numel()
    return "2, and 2 for each of up to 100 steps" if cls is LBFGS else f"{count:.2g}" if count > 0.005 else "0"


def shown(error: float) -> str:
    return f"{error:.1f}" if error < 1000 else "diverges"


def optimizers() -> list[type[Optimizer]]:
    """All but KFAC, which takes no BatchNorm, in the order of their names."""
    parts = [getattr(mytorch.optim, name) for name in sorted(mytorch.optim.__all__)]
    found = [part for part in parts if isinstance(part, type) and issubclass(part, Optimizer)]
    return [part for part in found if part is not KFAC]


def table(seeds: range) -> list[str]:
    """The lines of the table."""
    lines = [f"| Optimizer | {' | '.join(PROBLEMS)} | numbers kept a weight |", "|---" * (len(PROBLEMS) + 2) + "|"]
    for cls in optimizers():
        cells = []
        for make in PROBLEMS.values():
            errors = [[run(cls, make, seed, find=find) for seed in seeds] for find in (False, True)]
            cells.append(" / ".join(shown(statistics.median(each)) for each in errors))
        lines.append(f"| `{cls.__name__}` | {' | '.join(cells)} | {state_of(cls)} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table, and publish it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed: shows that it works")
    parser.add_argument("--publish", action="store_true", help="put the table into docs/optimizers.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = table(SEEDS[:1] if options.quick else SEEDS)
    print("\n".join(lines))
    if options.publish:
        put_between(PAGE, f"{BEGIN}\n", END, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
