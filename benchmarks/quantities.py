"""The time of quantities of single samples beside Opacus and BackPACK, on one thread, in steps without any.

Three quantities of a batch: the norm of the gradient of every sample, these gradients themselves, and the sum over
the samples of their squares, from which the variance follows. Two networks: a perceptron 64-128-128-10 and LeNet,
batches of 32 and 128, cross-entropy. Each contestant takes a forward and a backward that give the gradient of the
batch, too. Opacus has no sums of squares; its norms are those of its ghost clipping. Then the norms alone, without
the gradient of the batch, as private steps compute them, and as `sample_norms` does, which puts back what it changes;
also of a perceptron 784-512-256-10 and of transformers of two layers: 16 steps of 32 features, and 64 of 64. Then a
step of differentially private SGD, with clipping, noise and update, beside both ways in which Opacus takes it. Then
curvature beside BackPACK: the diagonal of the generalised Gauss-Newton matrix and its Kronecker factors, exact and
from one drawn target a sample. Last, products of the Hessian and of the Gauss-Newton matrix with a vector beside
torch.func, of a transformer, too: it takes jvp of grad for the Hessian, and jvp, jvp of the loss's grad and vjp for
the other. Before anything is timed, all must agree; of what is drawn, the exact ones. The last table is the peak of
torch's allocator, at batches of 128.

Install the contestants: python -m pip install -c constraints.txt opacus backpack-for-pytorch. The products need none.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from memory import peak_of_call
from side_by_side import (
    Contestant,
    Effort,
    Report,
    Spread,
    Target,
    arguments,
    in_process,
    measure,
    prepare,
    require_known,
    require_same_losses,
)
from torch import Tensor
from torch.func import functional_call, grad, jvp, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

import mytorch.nn
from mytorch.core import GradientSeen, Quantity, SampleGradients
from mytorch.optim import SGD
from mytorch.train import Privacy, gradients, step
from mytorch.train.privacy.private_step import PrivateStep
from mytorch.train.quantities import ggn_vector_product, hessian_vector_product, sample_norms
from mytorch.train.quantities.axes import Axes
from mytorch.train.quantities.curvature import show_columns
from mytorch.train.quantities.ggn import Diagonal, Factors
from mytorch.train.quantities.watch import watch_samples, watching

OURS, PLAIN, CALL = "mytorch", "mytorch, no quantity", "sample_norms"
EFFORT, QUICK = Effort(3, 9, 0.04), Effort(1, 2, 0.01)
BATCHES = (32, 128)
QUANTITIES: dict[str, Callable[[SampleGradients], Tensor]] = {
    "norms": lambda samples: samples.squared_norms(),
    "gradients": lambda samples: samples.each(),
    "sums of squares": lambda samples: samples.sum_of_squares(),
}
NETS = ("perceptron", "LeNet")
SIZES: dict[str, tuple[int, ...]] = {"perceptron": (64,), "MLP": (784,), "LeNet": (1, 28, 28)}
SIZES |= {"transformer": (16, 32), "transformer of 64": (64, 64)}
"""By network, the sizes of a sample."""
CURVATURES = {
    "GGN diagonal": ("DiagGGNExact", "diag_ggn_exact", None),
    "GGN diagonal, drawn": ("DiagGGNMC", "diag_ggn_mc", 1),
    "Kronecker factors (KFLR)": ("KFLR", "kflr", None),
    "Kronecker factors (K-FAC), drawn": ("KFAC", "kfac", 1),
}
"""By the name of a curvature: BackPACK's name and attribute, and how many targets are drawn."""


class Kept(Quantity):
    """Keeps one tensor of each parameter."""

    per_sample = True

    def __init__(self, of: Callable[[SampleGradients], Tensor]) -> None:
        self.of, self.found = of, list[Tensor]()

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None
        self.found.append(self.of(seen.samples))


def network(package: Any, name: str) -> Any:
    """The same layers of torch.nn or mytorch.nn."""
    n = package
    if name.startswith("transformer"):
        steps, features = SIZES[name]
        layers = (n.TransformerEncoderLayer(features, 4, 2 * features, 0.0, batch_first=True) for _ in range(2))
        return n.Sequential(*layers, n.Flatten(), n.Linear(steps * features, 10))
    if name in ("perceptron", "MLP"):
        first, second = (128, 128) if name == "perceptron" else (512, 256)
        layers = (n.Linear(*SIZES[name], first), n.ReLU(), n.Linear(first, second), n.ReLU(), n.Linear(second, 10))
        return n.Sequential(*layers)
    return n.Sequential(
        *(n.Conv2d(1, 6, 5, padding=2), n.ReLU(), n.MaxPool2d(2), n.Conv2d(6, 16, 5), n.ReLU(), n.MaxPool2d(2)),
        *(n.Flatten(), n.Linear(400, 120), n.ReLU(), n.Linear(120, 84), n.ReLU(), n.Linear(84, 10)),
    )


def _problem(name: str, batch: int) -> tuple[Any, Tensor, Tensor]:
    """Weights, a batch and its classes, the same for all."""
    torch.manual_seed(0)
    return network(torch.nn, name).state_dict(), torch.randn(batch, *SIZES[name]), torch.randint(10, (batch,))


def contestants(quantity: str, name: str, batch: int) -> dict[str, Contestant]:
    """Who computes the quantity, and a forward and backward without any. A call returns one number: its sum."""
    warnings.filterwarnings("ignore")  # of the contestants, about hooks
    state, x, classes = _problem(name, batch)
    found = {OURS: Contestant(_ours(quantity, name, state, x, classes), inference=True)}
    if quantity == "norms":
        found["Opacus"] = Contestant(_opacus_norms(name, state, x, classes))
    elif quantity == "gradients":
        found["Opacus"] = Contestant(_opacus_gradients(name, state, x, classes))
    found["BackPACK"] = Contestant(_backpack(quantity, name, state, x, classes))
    return found


def with_plain(quantity: str, name: str, batch: int) -> dict[str, Contestant]:
    """The quantity beside a step's forward and backward without it."""
    state, x, classes = _problem(name, batch)
    net, loss = _net(name, state), mytorch.nn.CrossEntropyLoss()

    def plain() -> None:
        net.zero_grad()
        gradients(net, loss, x, classes)

    return {OURS: _timed(_ours(quantity, name, state, x, classes)), PLAIN: _timed(plain)}


def alone_with_step(name: str, batch: int) -> dict[str, Contestant]:
    """The norms without the batch's gradient, as a training and as a call has them, beside a plain step of SGD."""
    state, x, classes = _problem(name, batch)
    net, loss = _net(name, state), mytorch.nn.CrossEntropyLoss()
    optimizer = SGD(net.param(), lr=1e-4, momentum=0.9)
    alone = _norms_alone(name, state, x, classes)
    return {
        OURS: _timed(alone),
        CALL: _timed(lambda: sample_norms(net, loss, x, classes)),
        PLAIN: _timed(lambda: step(net, loss, optimizer, x, classes)),
    }


def _timed(call: Callable[[], Any]) -> Contestant:
    """It gives something of its own, which is not compared."""

    def same() -> Tensor:
        call()
        return torch.zeros(())

    return Contestant(same, inference=True)


def _net(name: str, state: Any) -> Any:
    net = network(mytorch.nn, name)
    net.load_state_dict(state)
    net.input_grad = False
    return net


def _ours(quantity: str, name: str, state: Any, x: Tensor, classes: Tensor) -> Callable[[], Tensor]:
    net, loss = _net(name, state), mytorch.nn.CrossEntropyLoss()
    axes = Axes(net, loss, x, classes)  # which a training finds once

    def call() -> Tensor:
        net.zero_grad()
        kept = Kept(QUANTITIES[quantity])
        with watching(net, loss, [kept], axes, len(x)):
            gradients(net, loss, x, classes)
        return _joined(kept.found)

    return call


def _norms_alone(name: str, state: Any, x: Tensor, classes: Tensor) -> Callable[[], Tensor]:
    net, loss = _net(name, state), mytorch.nn.CrossEntropyLoss()
    axes = Axes(net, loss, x, classes)

    def call() -> Tensor:
        found: list[Tensor] = []
        watch_samples(net, loss, x, classes, axes, lambda _, samples: found.append(samples.squared_norms()))
        return torch.stack(found).sum(0).sqrt()

    return call


def _joined(found: list[Tensor]) -> Tensor:
    return torch.stack([each.flatten()[:8].sum() for each in found]).sum()


def _opacus_gradients(name: str, state: Any, x: Tensor, classes: Tensor) -> Callable[[], Tensor]:
    from opacus import GradSampleModule

    net = GradSampleModule(network(torch.nn, name))
    net._module.load_state_dict(state)

    def call() -> Tensor:
        for parameter in net.parameters():
            parameter.grad = parameter.grad_sample = None
        torch.nn.functional.cross_entropy(net(x), classes).backward()
        return _joined([parameter.grad_sample for parameter in net.parameters()])

    return call


def _opacus_norms(name: str, state: Any, x: Tensor, classes: Tensor) -> Callable[[], Tensor]:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    net = GradSampleModuleFastGradientClipping(network(torch.nn, name), max_grad_norm=1.0, use_ghost_clipping=True)
    net._module.load_state_dict(state)

    def call() -> Tensor:
        for parameter in net.parameters():
            parameter.grad = None
        torch.nn.functional.cross_entropy(net(x), classes).backward()
        return _joined([parameter._norm_sample.square() for parameter in net.parameters()])

    return call


def _backpack(quantity: str, name: str, state: Any, x: Tensor, classes: Tensor) -> Callable[[], Tensor]:
    from backpack import backpack, extend, extensions

    net, loss = extend(network(torch.nn, name)), extend(torch.nn.CrossEntropyLoss())
    net.load_state_dict(state)
    kinds = {"norms": "BatchL2Grad", "gradients": "BatchGrad", "sums of squares": "SumGradSquared"}
    attribute = {"norms": "batch_l2", "gradients": "grad_batch", "sums of squares": "sum_grad_squared"}[quantity]
    factor = len(x) if quantity == "gradients" else len(x) ** 2  # its gradients are shares in that of the batch
    extension = getattr(extensions, kinds[quantity])

    def call() -> Tensor:
        net.zero_grad()
        with backpack(extension()):
            loss(net(x), classes).backward()
        return _joined([getattr(parameter, attribute) for parameter in net.parameters()]) * factor

    return call


def private_steps(name: str, batch: int, noise: float = 1.0) -> dict[str, Contestant]:
    """Who takes a step of private SGD. Without noise a call returns one number of the weights, equal for all."""
    warnings.filterwarnings("ignore")
    state, x, classes = _problem(name, batch)
    net, loss = _net(name, state), mytorch.nn.CrossEntropyLoss()
    optimizer, take = SGD(net.param(), lr=0.1), PrivateStep(Privacy(1.0, noise, 1e-5), batch, 60_000)

    def call() -> Tensor:
        take(net, loss, optimizer, x, classes)
        return torch.zeros(()) if noise else _joined([parameter.value for parameter in net.param()])

    found = {OURS: Contestant(call, inference=True)}
    for mode in ("ghost", "hooks"):
        found[f"Opacus, {mode}"] = Contestant(_opacus_private(mode, name, state, x, classes, noise))
    return found


def _opacus_private(
    mode: str, name: str, state: Any, x: Tensor, classes: Tensor, noise: float
) -> Callable[[], Tensor]:
    from opacus import PrivacyEngine

    module, loss = network(torch.nn, name), torch.nn.CrossEntropyLoss()
    module.load_state_dict(state)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, classes), batch_size=len(x))
    made = PrivacyEngine().make_private(
        module=module,
        optimizer=optimizer,
        criterion=loss,
        data_loader=loader,
        noise_multiplier=noise,
        max_grad_norm=1.0,
        poisson_sampling=False,
        grad_sample_mode=mode,
    )
    net, optimizer = made[:2]
    criterion = made[2] if mode == "ghost" else loss

    def call() -> Tensor:
        optimizer.zero_grad()
        criterion(net(x), classes).backward()
        optimizer.step()
        return torch.zeros(()) if noise else _joined([parameter.detach() for parameter in net.parameters()])

    return call


def require_same_steps(name: str, batch: int) -> None:
    """Raise unless all take the same steps where there is no noise."""
    require_same_losses(private_steps(name, batch, 0.0))


def report_private_steps(report: Report, effort: Effort) -> None:
    rows, targets = [], []
    for name in NETS:
        for batch in BATCHES:
            in_process(require_same_steps, name, batch)
            measured = measure(private_steps, name, batch, effort=effort)
            others = [one for one in measured.processes[0] if one != OURS]
            against = {one: measured.ratio(one, OURS) for one in others}
            rows.append(
                [name, str(batch), measured.seconds(OURS).text(2, 1e3), *(against[one].text() for one in others)]
            )
            for one, figure in against.items():
                targets.append(
                    Target(f"private step, {name}, batch {batch}: {one} / {OURS}", figure, 1.0, at_least=True)
                )
    columns = ["net", "batch", "mytorch, milliseconds", "Opacus, ghost / mytorch", "Opacus, hooks / mytorch"]
    report.table("A step of differentially private SGD", columns, rows)
    for target in targets:
        report.target(target)


def curvatures(curvature: str, name: str, batch: int) -> dict[str, Contestant]:
    """Who computes a curvature. A call returns a number of it, equal for all: that of the biases for factors."""
    warnings.filterwarnings("ignore")
    state, x, classes = _problem(name, batch)
    net, loss = _net(name, state), mytorch.nn.CrossEntropyLoss()
    axes, (extension, attribute, draws) = Axes(net, loss, x, classes), CURVATURES[curvature]

    def call() -> Tensor:
        kept = Factors(batch) if "factors" in curvature else Diagonal()
        show_columns(net, loss, x, classes, axes, draws, kept)
        found = [getattr(each, "outputs", each) for each_name, each in kept.found.items() if "bias" in each_name]
        return torch.zeros(()) if draws else _joined(found)

    theirs = _backpack_curvature(extension, attribute, draws, name, state, x, classes)
    return {OURS: Contestant(call, inference=True), "BackPACK": Contestant(theirs)}


def _backpack_curvature(
    extension: str, attribute: str, draws: int | None, name: str, state: Any, x: Tensor, classes: Tensor
) -> Callable[[], Tensor]:
    from backpack import backpack, extend, extensions

    net, loss = extend(network(torch.nn, name)), extend(torch.nn.CrossEntropyLoss())
    net.load_state_dict(state)
    made = getattr(extensions, extension)

    def call() -> Tensor:
        net.zero_grad()
        with backpack(made(draws) if draws else made()):
            loss(net(x), classes).backward()
        found = [getattr(parameter, attribute) for each, parameter in net.named_parameters() if "bias" in each]
        found = [each[0] if isinstance(each, list) else each for each in reversed(found)]
        return torch.zeros(()) if draws else _joined(found)

    return call


def report_curvatures(report: Report, effort: Effort) -> None:
    rows, targets = [], []
    for curvature in CURVATURES:
        for name in NETS:
            for batch in BATCHES:
                in_process(require_same_curvatures, curvature, name, batch)
                measured = measure(curvatures, curvature, name, batch, effort=effort)
                figure = measured.ratio("BackPACK", OURS)
                rows.append([curvature, name, str(batch), measured.seconds(OURS).text(2, 1e3), figure.text()])
                label = f"{curvature}, {name}, batch {batch}: BackPACK / {OURS}"
                targets.append(Target(label, figure, 1.0, at_least=True))
    report.table("Curvature", ["what", "net", "batch", "mytorch, milliseconds", "BackPACK / mytorch"], rows)
    for target in targets:
        report.target(target)


def require_same_curvatures(curvature: str, name: str, batch: int) -> None:
    """Raise unless all compute the same."""
    require_same_losses(curvatures(curvature, name, batch))


def report_quantity(quantity: str, report: Report, effort: Effort) -> None:
    rows, targets = [], []
    for name in NETS:
        for batch in BATCHES:
            beside_plain = measure(with_plain, quantity, name, batch, effort=effort)
            measured = measure(contestants, quantity, name, batch, effort=effort)
            ratio = beside_plain.ratio(OURS, PLAIN)
            others = [one for one in ("Opacus", "BackPACK") if one in measured.processes[0]]
            against = {one: measured.ratio(one, OURS) for one in others}
            shown = [against[one].text() if one in against else "" for one in ("Opacus", "BackPACK")]
            rows.append([name, str(batch), measured.seconds(OURS).text(2, 1e3), ratio.text(), *shown])
            for one, figure in against.items():
                targets.append(
                    Target(f"{quantity}, {name}, batch {batch}: {one} / {OURS}", figure, 1.0, at_least=True)
                )
            if quantity == "norms":
                targets.append(Target(f"norms, {name}, batch {batch}: in plain steps", ratio, 1.3, at_least=False))
    columns = ["net", "batch", "mytorch, milliseconds", "in plain passes", "Opacus / mytorch", "BackPACK / mytorch"]
    report.table(f"{quantity.capitalize()} of single samples", columns, rows)
    for target in targets:
        report.target(target)


def report_norms_alone(report: Report, effort: Effort) -> None:
    rows, targets = [], []
    for name in SIZES:
        for batch in BATCHES:
            measured = measure(alone_with_step, name, batch, effort=effort)
            ratio = measured.ratio(OURS, PLAIN)
            call = measured.ratio(CALL, PLAIN).text()
            rows.append([name, str(batch), measured.seconds(OURS).text(2, 1e3), ratio.text(), call])
            targets.append(Target(f"norms alone, {name}, batch {batch}: in plain steps", ratio, 1.3, at_least=False))
    columns = ["net", "batch", "mytorch, milliseconds", "in plain steps", "sample_norms, in plain steps"]
    report.table("Norms of single samples without the gradient of the batch", columns, rows)
    for target in targets:
        report.target(target)


def products(product: str, name: str, batch: int) -> dict[str, Contestant]:
    """Who multiplies a matrix by a vector. A call returns one number of the product, equal for all."""
    torch.manual_seed(0)
    theirs = network(torch.nn, name)
    x, classes = torch.randn(batch, *SIZES[name]), torch.randint(10, (batch,))
    values = {key: value.detach() for key, value in theirs.named_parameters()}
    vector = {key: torch.randn_like(value) for key, value in values.items()}
    net, loss = _net(name, theirs.state_dict()), mytorch.nn.CrossEntropyLoss()
    function = hessian_vector_product if product == "Hessian" else ggn_vector_product

    def call() -> Tensor:
        return _joined([*function(net, loss, x, classes, vector).values()])

    def predicted(parameters: dict[str, Tensor]) -> Any:
        return functional_call(theirs, parameters, (x,))

    def of_prediction(prediction: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(prediction, classes)

    def torch_func() -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # the others have no forward mode
            if product == "Hessian":
                _, found = jvp(grad(lambda parameters: of_prediction(predicted(parameters))), (values,), (vector,))
            else:
                prediction, t_prediction = jvp(predicted, (values,), (vector,))
                _, t_d_prediction = jvp(grad(of_prediction), (prediction,), (t_prediction,))
                (found,) = vjp(predicted, values)[1](t_d_prediction)
        return _joined([*found.values()])

    return {OURS: Contestant(call, inference=True), "torch.func": Contestant(torch_func)}


def require_same_products(product: str, name: str, batch: int) -> None:
    """Raise unless all compute the same."""
    require_same_losses(products(product, name, batch))


def report_products(report: Report, effort: Effort) -> None:
    rows, targets = [], []
    for product in ("Hessian", "Gauss-Newton matrix"):
        for name in (*NETS, "transformer"):
            for batch in BATCHES:
                in_process(require_same_products, product, name, batch)
                measured = measure(products, product, name, batch, effort=effort)
                figure = measured.ratio("torch.func", OURS)
                rows.append([product, name, str(batch), measured.seconds(OURS).text(2, 1e3), figure.text()])
                label = f"{product} times a vector, {name}, batch {batch}: torch.func / {OURS}"
                targets.append(Target(label, figure, 1.0, at_least=True))
    columns = ["matrix", "net", "batch", "mytorch, milliseconds", "torch.func / mytorch"]
    report.table("Products with a vector", columns, rows)
    for target in targets:
        report.target(target)


def peaks_here(build: Callable[..., dict[str, Contestant]], args: tuple[Any, ...]) -> dict[str, int]:
    """The peak memory of each contestant."""
    prepare()
    return {one: peak_of_call(lambda one=one: build(*args)[one]) for one in build(*args)}  # type: ignore[misc]


def report_memory(report: Report, _effort: Effort) -> None:
    rows, targets, others = [], [], ("BackPACK", "Opacus", "Opacus, ghost", "Opacus, hooks")
    for name in NETS:
        asked: list[tuple[str, Any, tuple[Any, ...]]] = [
            *((each, contestants, (each, name, BATCHES[-1])) for each in QUANTITIES),
            ("private step", private_steps, (name, BATCHES[-1], 1.0)),
            *((each, curvatures, (each, name, BATCHES[-1])) for each in CURVATURES),
        ]
        for what, build, args in asked:
            found = in_process(peaks_here, build, args)
            shown = [f"{found[one] / found[OURS]:.2f}" if one in found else "" for one in others]
            rows.append([what, name, str(BATCHES[-1]), f"{found[OURS] / 2**20:.2f}", *shown])
            for one in found.keys() - {OURS}:
                figure = Spread.of([found[one] / found[OURS]])
                targets.append(Target(f"peak memory, {what}, {name}: {one} / {OURS}", figure, 1.0, at_least=True))
    columns = ["what", "net", "batch", "mytorch, MiB", *(f"{one} / mytorch" for one in others)]
    report.table("Peak memory, weights and what is found included", columns, rows)
    for target in targets:
        report.target(target)


TABLES: dict[str, Callable[[Report, Effort], None]] = {
    **{each: partial(report_quantity, each) for each in QUANTITIES},
    "alone": report_norms_alone,
    "private": report_private_steps,
    "curvature": report_curvatures,
    "products": report_products,
    "memory": report_memory,
}


def main() -> None:
    options = arguments(__doc__, f"tables, all if none is named: {', '.join(TABLES)}")
    require_known(options.names, TABLES, "Tables")
    report = Report(options.json)
    for name, table in TABLES.items():
        if not options.names or name in options.names:
            table(report, QUICK if options.quick else EFFORT)
    report.end()


if __name__ == "__main__":
    main()
