"""The compiled engine's training step beside PyTorch's eager one, JAX's, and our own eager one, on one thread.

The network is that of step.py: 2-25-25-25-2 with ReLU, MSE and SGD with momentum on batches of 100. Every contestant
takes ten steps a turn: in ten calls, or in one where it says so. JAX (`pip install jax`) is compiled by jit, one step
a call or ten inside lax.scan, with its arrays donated; where it is not installed it is named as missing. Everybody's
batches lie ready. The loop is mytorch.train.fit with either engine; its fastest epoch counts, since the first compile.
"""

import importlib.util
import os
import tempfile
import time
from typing import Any

import torch
from networks import BATCH, LR, MOMENTUM, REFERENCE, TORCH_SGD, Batch, Weights, draw, make, ours, pytorch
from side_by_side import QUICK, Contestant, Effort, Measured, Report, Target, arguments, in_process, measure, prepare
from torch.nn import functional as F

STEPS, A_CALL = 10, 5
"""Steps a turn, and in one call of ours, which is what the engine takes for this network."""
EAGER, ONE, SEVERAL = "mytorch, eager", "mytorch, compiled", "mytorch, compiled, five a call"
COLUMNS = ["contestant", f"microseconds for {STEPS} steps (quartiles)", f"times {SEVERAL}"]
JAX_ONE, JAX_SEVERAL = "JAX jit", "JAX lax.scan, ten a call"
LOOP_ROWS, LOOP_EPOCHS = 10_000, 12


def turn(contestant: Contestant, steps: int = 1) -> Contestant:
    """A turn of a contestant that takes so many steps a call."""

    def call() -> Any:
        for _ in range(STEPS // steps):
            loss = contestant.call()
        return loss

    return Contestant(call, contestant.inference)


def compiled(weights: Weights, batch: Batch, steps: int) -> Contestant:
    """The program that the compiled engine makes."""
    from mytorch.train.compiled.carry import Carry
    from mytorch.train.compiled.program import make_program
    from mytorch.train.compiled.trace import Recipe, changing_settings

    net, loss, optimizer = make(weights)
    net.input_grad = False
    for parameter in net.param():  # the first velocity is the gradient, as it is from zero
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter.value)
    carry, changing = Carry(net, loss, optimizer), changing_settings(optimizer, None)
    structure = torch.utils._pytree.tree_structure(batch)
    recipe = Recipe(net, loss, optimizer, carry, changing, structure)
    program = make_program(recipe, lambda _most: steps, batch, lambda _line: None)
    flats, settings = carry.gather(), torch.full((steps, len(changing)), LR, dtype=torch.float64)
    leaves = [torch.stack([leaf] * steps) for leaf in batch]

    def call() -> Any:
        nonlocal flats
        flats, losses = program.run(flats, settings, leaves)
        return losses[-1]

    return Contestant(call, inference=True)


def jax_steps(weights: Weights, batch: Batch, steps: int) -> Contestant:
    """The same step written with JAX: its own gradient, a list of arrays, and one compiled function."""
    import jax
    import jax.numpy as jnp

    values = [jnp.asarray(tensor.numpy().copy()) for pair in weights for tensor in pair]
    x, t = (jnp.asarray(tensor.numpy()) for tensor in batch)
    last = len(values) // 2 - 1

    def loss_of(values: list[Any]) -> Any:
        y = x
        for number in range(last + 1):
            y = y @ values[2 * number].T + values[2 * number + 1]
            y = jnp.maximum(y, 0) if number != last else y
        return ((y - t) ** 2).mean()

    def step(state: Any, _: Any = None) -> Any:
        values, velocities = state
        loss, grads = jax.value_and_grad(loss_of)(values)
        velocities = [MOMENTUM * v + g for v, g in zip(velocities, grads, strict=True)]
        return ([p - LR * v for p, v in zip(values, velocities, strict=True)], velocities), loss

    def scan(state: Any) -> Any:
        state, losses = jax.lax.scan(step, state, length=steps)
        return state, losses[-1]

    run = jax.jit(step if steps == 1 else scan, donate_argnums=0)
    state: Any = (values, [jnp.zeros_like(value) for value in values])

    def call() -> Any:
        nonlocal state
        state, loss = run(state)
        return loss.block_until_ready()

    return Contestant(call)


def with_pytorch() -> dict[str, Contestant]:
    weights, batch = draw(REFERENCE, BATCH)
    found = {EAGER: turn(ours(weights, batch)), **compiled_ones(weights, batch)}
    return found | {f"PyTorch, {sgd}": turn(pytorch(weights, batch, sgd, sequential=False)) for sgd in TORCH_SGD}


def with_jax() -> dict[str, Contestant]:
    """In processes of its own, since JAX starts threads."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)  # to another thread, which costs time on a busy machine
    weights, batch = draw(REFERENCE, BATCH)
    found = compiled_ones(weights, batch)
    return found | {JAX_ONE: turn(jax_steps(weights, batch, 1)), JAX_SEVERAL: jax_steps(weights, batch, STEPS)}


def compiled_ones(weights: Weights, batch: Batch) -> dict[str, Contestant]:
    return {ONE: turn(compiled(weights, batch, 1)), SEVERAL: turn(compiled(weights, batch, A_CALL), A_CALL)}


def measure_loop(rounds: int) -> dict[str, list[float]]:
    """Seconds a step of whole runs: the fastest epoch of each, since the first ones compile."""
    from mytorch.data import Disk, TensorDataSet
    from mytorch.train import fit

    prepare()
    disk = Disk(LOOP_ROWS)
    data = TensorDataSet(disk.inputs, F.one_hot(disk.targets).float())
    taken: dict[str, list[float]] = {"eager": [], "compiled": []}
    for _ in range(rounds):
        for engine, seconds in taken.items():
            net, loss, optimizer = make(draw(REFERENCE, BATCH)[0])
            options = {"epochs": LOOP_EPOCHS, "batch_size": BATCH, "quiet": True, "engine": engine}
            training = fit(net, loss, optimizer, data, **options)
            seconds.append(min(record["seconds"] for record in training.history) / len(training.batches))
    return taken


def first_steps(folder: str) -> dict[str, float]:
    """Seconds until the program is there, with an empty cache or a filled one, in a process of its own."""
    os.environ["MYTORCH_CACHE"] = folder
    prepare()
    started = time.perf_counter()
    compiled(*draw(REFERENCE, BATCH), A_CALL).call()
    return {"seconds": time.perf_counter() - started}


def report_pytorch(report: Report, effort: Effort) -> None:
    measured = measure(with_pytorch, effort=effort)
    fastest = measured.fastest([name for name in measured.processes[0] if name.startswith("PyTorch")])
    report.table(f"{STEPS} steps of 2-25-25-25-2, batch 100", COLUMNS, measured.rows(SEVERAL))
    report.target(Target(f"{fastest} / {SEVERAL}", measured.ratio(fastest, SEVERAL), 6.0, at_least=True))


def report_jax(report: Report, effort: Effort) -> None:
    if importlib.util.find_spec("jax") is None:
        report.table("Missing", ["peer", "way out"], [["JAX", "pip install jax"]])
        return
    measured = measure(with_jax, effort=effort)
    report.table("The same beside JAX", COLUMNS, measured.rows(SEVERAL))
    report.target(Target(f"{ONE} / {JAX_ONE}", measured.ratio(ONE, JAX_ONE), 1.25, at_least=False))
    report.target(Target(f"{SEVERAL} / {JAX_SEVERAL}", measured.ratio(SEVERAL, JAX_SEVERAL), 1.0, at_least=False))


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MYTORCH_CACHE"] = folder
        starts = [in_process(first_steps, folder)["seconds"] for _ in range(2)]
        rows = [["empty cache", f"{starts[0]:.1f}"], ["filled cache", f"{starts[1]:.1f}"]]
        report.table("Until the first compiled step is taken", ["cache", "seconds"], rows)
        effort = QUICK if options.quick else Effort()
        report_pytorch(report, effort)
        report_jax(report, effort)
        loop = Measured([in_process(measure_loop, 2 if options.quick else 6) for _ in range(2)])
        each = [
            [name, loop.seconds(name).text(1, 1e6), loop.ratio(name, "compiled").text()] for name in loop.processes[0]
        ]
        report.table("A step inside mytorch.train.fit", ["engine", "microseconds (quartiles)", "times compiled"], each)
    report.end()


if __name__ == "__main__":
    main()
