"""The step of networks.py written with other libraries, as their users would. Each call takes ten steps."""

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from networks import LR, MOMENTUM, STEPS, Batch, Plain, Weights, at_start
from side_by_side import Contestant
from torch import Tensor
from torch.nn import functional as F


def torch_compiled(weights: Weights, batch: Batch) -> Contestant:
    """torch.compile around the whole step, the optimizer's included; PyTorch cuts it in two at the backward."""
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # it warns of every profiler mark that it leaves out
    net = Plain(weights)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, foreach=True)
    inputs, targets = batch

    @torch.compile
    def train() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value = F.mse_loss(net(inputs), targets)
        value.backward()
        optimizer.step()
        return value.detach()

    def call() -> Tensor:
        for _ in range(STEPS):
            value = train()
        return value

    return Contestant(call)


def torch_functional(weights: Weights, batch: Batch) -> Contestant:
    """The step as one function of tensors by torch.func, compiled whole: not how most people write it."""
    values, velocities = at_start(weights)
    inputs, targets = batch
    last = len(weights) - 1

    def loss_of(values: list[Tensor]) -> Tensor:
        y = inputs
        for number in range(last + 1):
            y = F.linear(y, values[2 * number], values[2 * number + 1])
            y = F.relu(y) if number != last else y
        return F.mse_loss(y, targets)

    @torch.compile(fullgraph=True)
    def train(values: list[Tensor], velocities: list[Tensor]) -> Tensor:
        grads, value = torch.func.grad_and_value(loss_of)(values)
        torch._foreach_mul_(velocities, MOMENTUM)
        torch._foreach_add_(velocities, grads)
        torch._foreach_add_(values, velocities, alpha=-LR)
        return value  # type: ignore[no-any-return]

    def call() -> Tensor:
        with torch.no_grad():
            for _ in range(STEPS):
                value = train(values, velocities)
        return value

    return Contestant(call)


def jax_one(weights: Weights, batch: Batch) -> Contestant:
    """jit around one step, ten calls."""
    return _jax(weights, batch, 1)


def jax_scan(weights: Weights, batch: Batch) -> Contestant:
    """jit around ten steps in lax.scan."""
    return _jax(weights, batch, STEPS)


def _jax(weights: Weights, batch: Batch, a_call: int) -> Contestant:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import jax
    import jax.numpy as jnp

    # another thread would cost time on a busy machine
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
    step = _jax_step(*(jnp.asarray(tensor.numpy()) for tensor in batch))

    def scan(state: Any) -> Any:
        state, losses = jax.lax.scan(step, state, length=a_call)
        return state, losses[-1]

    run = jax.jit(step if a_call == 1 else scan, donate_argnums=0)
    values = [jnp.asarray(tensor.numpy().copy()) for pair in weights for tensor in pair]
    state: Any = (values, [jnp.zeros_like(value) for value in values])

    def call() -> Any:
        nonlocal state
        for _ in range(STEPS // a_call):
            state, loss = run(state)
        return loss.block_until_ready()

    return Contestant(call)


def _jax_step(x: Any, t: Any) -> Callable[..., Any]:
    """The step on a batch: from values and velocities, and an element that lax.scan hands on, to new ones and loss."""
    import jax
    import jax.numpy as jnp

    def loss_of(values: list[Any]) -> Any:
        y = x
        for number in range(0, len(values), 2):
            y = jnp.maximum(y, 0) if number else y
            y = y @ values[number].T + values[number + 1]
        return ((y - t) ** 2).mean()

    def step(state: Any, _: Any = None) -> Any:
        values, velocities = state
        loss, grads = jax.value_and_grad(loss_of)(values)
        velocities = [MOMENTUM * v + g for v, g in zip(velocities, grads, strict=True)]
        return ([p - LR * v for p, v in zip(values, velocities, strict=True)], velocities), loss

    return step


def thinc_steps(weights: Weights, batch: Batch) -> Contestant:
    """Its layers and backward; its SGD has no momentum, so that is four lines of numpy that finish_update calls."""
    net = _thinc_net(weights)
    inputs, targets = (tensor.numpy() for tensor in batch)
    velocities: dict[Any, Any] = {}

    def sgd(key: Any, value: Any, grad: Any, **_: Any) -> tuple[Any, Any]:
        velocity = velocities.setdefault(key, np.zeros_like(value))
        velocity *= MOMENTUM
        velocity += grad
        value -= LR * velocity
        grad[:] = 0  # the layers add to it
        return value, grad

    def call() -> Any:
        for _ in range(STEPS):
            y, backward = net.begin_update(inputs)
            difference = y - targets
            loss = np.square(difference).mean()
            backward(difference * np.float32(2 / difference.size))
            net.finish_update(sgd)
        return loss

    return Contestant(call)


def _thinc_net(weights: Weights) -> Any:
    from thinc.api import Linear, Relu, chain

    layers = [Relu(len(w), w.shape[1]) for w, _ in weights[:-1]]
    net: Any = chain(*layers, Linear(len(weights[-1][0]), weights[-1][0].shape[1]))
    net.initialize()
    for layer, (weight, bias) in zip(net.layers, weights, strict=True):
        layer.set_param("W", weight.numpy().copy())
        layer.set_param("b", bias.numpy().copy())
    return net


def sklearn_steps(weights: Weights, batch: Batch) -> Contestant:
    """MLPRegressor.partial_fit: its loss is the sum over the outputs of half the mean of their squares.

    With two outputs that has the gradient of our mean; other numbers of outputs scale its learning rate.
    """
    from sklearn.neural_network import MLPRegressor  # type: ignore[import-untyped]

    inputs, targets = (tensor.numpy() for tensor in batch)
    hidden = tuple(len(bias) for _, bias in weights[:-1])
    size = {"hidden_layer_sizes": hidden, "batch_size": len(inputs), "max_iter": 1, "shuffle": False}
    sgd = {"solver": "sgd", "alpha": 0.0, "momentum": MOMENTUM, "nesterovs_momentum": False}
    net = MLPRegressor(learning_rate_init=LR * 2 / targets.shape[1], **size, **sgd)
    net.partial_fit(inputs, targets)  # makes everything, and takes a step that is undone here
    for number, (weight, bias) in enumerate(weights):
        net.coefs_[number][:] = weight.T.numpy()
        net.intercepts_[number][:] = bias.numpy()
    for velocity in net._optimizer.velocities:
        velocity[:] = 0

    def call() -> Any:
        for _ in range(STEPS):
            net.partial_fit(inputs, targets)
        return 2 * net.loss_

    return Contestant(call)


def tinygrad_steps(weights: Weights, batch: Batch) -> Contestant:
    """TinyJit around the step, on its CPU device."""
    os.environ |= {"DEV": "CPU", "NUM_CPU_THREADS": "1"}
    from tinygrad.engine.jit import TinyJit
    from tinygrad.helpers import Context
    from tinygrad.nn.optim import SGD
    from tinygrad.tensor import Tensor as Array

    values = [Array(tensor.numpy().copy()).contiguous().realize() for pair in weights for tensor in pair]
    inputs, targets = (Array(tensor.numpy()).realize() for tensor in batch)
    optimizer = SGD(values, lr=LR, momentum=MOMENTUM)
    last = len(weights) - 1

    @TinyJit
    def step() -> Any:
        optimizer.zero_grad()
        y = inputs
        for number in range(last + 1):
            y = y @ values[2 * number].T + values[2 * number + 1]
            y = y.relu() if number != last else y
        loss = ((y - targets) ** 2).mean().backward()
        return loss.realize(*optimizer.schedule_step())

    def call() -> float:
        with Context(TRAINING=1):  # type: ignore[no-untyped-call]
            for _ in range(STEPS):
                loss = step()
        return float(loss.item())

    return Contestant(call)
