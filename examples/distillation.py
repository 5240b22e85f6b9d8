"""Knowledge distillation: a small network learns from the probabilities of a large one.

The points of two spirals are told apart. A large network, the teacher, has learned from 2,000 labels. A small one, the
student, has 2,000 points without a label and learns what the teacher says of them: probabilities, which also tell how
sure it is. A network of the same size that learns from 30 labels alone is beside it.

    python examples/distillation.py

Result: error rates on 2,000 test points of 0 % for the teacher, 0.5 % for the student, 9 % without a teacher.
Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network"
"""

import torch
from torch import Tensor

from mytorch.data import Spirals
from mytorch.nn import CrossEntropyLoss, KLDivLoss, Linear, LogSoftmax, ReLU, Sequential
from mytorch.optim import Adam

TEMPERATURE, STEPS, BATCH = 2.0, 2000, 100


def network(hidden: int) -> Sequential:
    """Two hidden layers."""
    return Sequential(Linear(2, hidden), ReLU(), Linear(hidden, hidden), ReLU(), Linear(hidden, 2))


def error_rate(net, data) -> float:
    """The share of wrong answers."""
    return float((net(data.inputs).argmax(1) != data.targets).float().mean())


def train_on_labels(net, data) -> None:
    """The usual loop: the targets are classes."""
    loss, optimizer = CrossEntropyLoss(), Adam(net.param(), lr=3e-3)
    for _ in range(STEPS):
        rows = torch.randint(len(data), (min(BATCH, len(data)),))
        scores, saved = net.forward(data.inputs[rows])
        _, saved_by_loss = loss.forward(scores, data.targets[rows])
        net.backward(loss.backward(1.0, saved_by_loss), saved)
        optimizer.step()
        optimizer.zero_grad()


def train_on_teacher(net, teacher, points: Tensor) -> None:
    """The same with the teacher's probabilities as targets. All scores are divided by the temperature, which makes
    small probabilities larger, so that the student learns them, too.
    """
    soften, loss, optimizer = LogSoftmax(dim=1), KLDivLoss(reduction="batchmean"), Adam(net.param(), lr=3e-3)
    for _ in range(STEPS):
        x = points[torch.randint(len(points), (BATCH,))]
        wanted = (teacher(x) / TEMPERATURE).softmax(1)
        scores, saved = net.forward(x)
        logarithms, saved_by_softmax = soften.forward(scores / TEMPERATURE)
        _, saved_by_loss = loss.forward(logarithms, wanted)
        d_logarithms = loss.backward(TEMPERATURE**2, saved_by_loss)  # or the gradient would be smaller by this factor
        net.backward(soften.backward(d_logarithms, saved_by_softmax) / TEMPERATURE, saved)
        optimizer.step()
        optimizer.zero_grad()


def main(seed: int = 0) -> dict[str, float]:
    """Train the teacher, a student, and a network of the student's size without a teacher. Returns their errors."""
    torch.manual_seed(seed)
    many, few, unlabelled, test = (
        Spirals(count, noise=0.03, seed=place) for place, count in enumerate((2000, 30, 2000, 2000))
    )
    teacher, student, alone = network(64), network(16), network(16)
    with torch.inference_mode():
        train_on_labels(teacher, many)
        train_on_teacher(student, teacher, unlabelled.inputs)  # their labels are not looked at
        train_on_labels(alone, few)
        errors = {
            name: error_rate(net, test)
            for name, net in (("teacher", teacher), ("student", student), ("without a teacher", alone))
        }
    print("error rates: " + ", ".join(f"{name} {error:.1%}" for name, error in errors.items()))
    return errors


if __name__ == "__main__":
    main()
