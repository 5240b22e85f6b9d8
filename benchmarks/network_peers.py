"""The step of models.py written with other compilers: torch.compile, and JAX with equinox, as their users would."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from models import LR
from networks import MOMENTUM
from side_by_side import Contestant
from torch import Tensor

State = dict[str, Tensor]


def torch_compiled(net: torch.nn.Module, inputs: Tensor, targets: Tensor) -> Contestant:
    """torch.compile around the whole step, the optimizer's included; PyTorch cuts it in two at the backward."""
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # it warns of every profiler mark that it leaves out
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, foreach=True)

    @torch.compile
    def train() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value: Tensor = loss(net(inputs), targets)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return value.detach()

    return Contestant(train)


def jax_steps(name: str, state: State, inputs: Tensor, targets: Tensor) -> Contestant:
    """jit around the step of an equinox network with the weights of torch's."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
    x, t = jnp.asarray(inputs.numpy()), jnp.asarray(targets.numpy())
    net, scores_of, times = JAX_NETWORKS[name](state)
    values, static = eqx.partition(net, eqx.is_array)

    def loss_of(values: Any) -> Any:
        scores = jax.vmap(lambda row: scores_of(eqx.combine(values, static), row))(x)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), t[..., None], -1)
        return -chosen.mean()

    def train(values: Any, velocities: Any) -> Any:
        value, grads = jax.value_and_grad(loss_of)(values)
        velocities = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocities, grads)
        values = jax.tree.map(lambda p, v, count: p - LR * count * v, values, velocities, times(values))
        return values, velocities, value

    run = jax.jit(train, donate_argnums=(0, 1))
    carried: Any = (values, jax.tree.map(jnp.zeros_like, values))

    def call() -> float:
        nonlocal carried
        *carried, value = run(*carried)
        return value.block_until_ready()  # type: ignore[no-any-return]

    return Contestant(call)


def _with(module: Any, **arrays: Tensor) -> Any:
    """An equinox module whose arrays are these."""
    import equinox as eqx
    import jax.numpy as jnp

    names = list(arrays)
    own = [jnp.asarray(arrays[name].detach().numpy().copy()) for name in names]
    return eqx.tree_at(lambda m: [getattr(m, name) for name in names], module, own)


def _dense(state: State, prefix: str) -> Any:
    """A linear layer of equinox with the weights under a prefix."""
    import equinox as eqx
    import jax

    weight = state[f"{prefix}weight"]
    linear = eqx.nn.Linear(weight.shape[1], weight.shape[0], key=jax.random.key(0))
    return _with(linear, weight=weight, bias=state[f"{prefix}bias"])


def _once(values: Any) -> Any:
    """Each value moves by its own gradient."""
    import jax

    return jax.tree.map(lambda _: 1.0, values)


def lenet(state: State) -> tuple[Any, Callable[[Any, Any], Any], Callable[[Any], Any]]:
    """Two convolutions, each with ReLU and maximum pooling, and three linear layers."""
    import equinox as eqx
    import jax

    key, relu, pool = jax.random.key(0), eqx.nn.Lambda(jax.nn.relu), eqx.nn.MaxPool2d(2, 2)
    layers: list[Any] = []
    for place in (0, 3):
        weight, bias = state[f"{place}.weight"], state[f"{place}.bias"]
        convolution = eqx.nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], key=key)
        layers += [_with(convolution, weight=weight, bias=bias.reshape(-1, 1, 1)), relu, pool]
    layers.append(eqx.nn.Lambda(lambda image: image.reshape(-1)))
    layers += [_dense(state, "7."), relu, _dense(state, "9."), relu, _dense(state, "11.")]
    return eqx.nn.Sequential(layers), lambda net, row: net(row), _once


def lstm(state: State) -> tuple[Any, Callable[[Any, Any], Any], Callable[[Any], Any]]:
    """A cell scanned over the steps; its one bias is the sum of torch's two, so it moves twice as far."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    weight_ih, weight_hh = state["layer.weight_ih_l0"], state["layer.weight_hh_l0"]
    cell = eqx.nn.LSTMCell(weight_ih.shape[1], weight_hh.shape[1], key=jax.random.key(0))
    both = state["layer.bias_ih_l0"] + state["layer.bias_hh_l0"]
    net = {"cell": _with(cell, weight_ih=weight_ih, weight_hh=weight_hh, bias=both), "head": _dense(state, "head.")}

    def scores_of(net: Any, row: Any) -> Any:
        start = jnp.zeros(weight_hh.shape[1])
        (h, _), _ = jax.lax.scan(lambda before, x: (net["cell"](x, before), None), (start, start), row)
        return net["head"](h)

    def times(values: Any) -> Any:
        return eqx.tree_at(lambda tree: tree["cell"].bias, _once(values), 2.0)

    return net, scores_of, times


def gpt(state: State) -> tuple[Any, Callable[[Any, Any], Any], Callable[[Any], Any]]:
    """Embeddings, blocks of attention and of two linear layers, each behind a normalisation, and a head."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    def norm(prefix: str) -> Any:
        weight, bias = state[f"{prefix}weight"], state[f"{prefix}bias"]
        return _with(eqx.nn.LayerNorm(len(weight)), weight=weight, bias=bias)

    def attention(prefix: str) -> Any:
        width = state[f"{prefix}out_proj.weight"].shape[0]
        flags = dict.fromkeys(("use_query_bias", "use_key_bias", "use_value_bias", "use_output_bias"), True)
        layer = eqx.nn.MultiheadAttention(4, width, **flags, key=jax.random.key(0))
        weights, biases = state[f"{prefix}in_proj_weight"].chunk(3), state[f"{prefix}in_proj_bias"].chunk(3)
        parts = dict(zip(("query_proj", "key_proj", "value_proj"), zip(weights, biases, strict=True), strict=True))
        parts["output_proj"] = state[f"{prefix}out_proj.weight"], state[f"{prefix}out_proj.bias"]
        projected = [_with(getattr(layer, name), weight=w, bias=b) for name, (w, b) in parts.items()]
        return eqx.tree_at(lambda m: [getattr(m, name) for name in parts], layer, projected)

    blocks = []
    while f"layers.layers.{len(blocks)}.norm1.weight" in state:
        at = f"layers.layers.{len(blocks)}."
        linears = _dense(state, f"{at}linear1."), _dense(state, f"{at}linear2.")
        blocks.append((norm(f"{at}norm1."), attention(f"{at}self_attn."), norm(f"{at}norm2."), *linears))
    net = {name: jnp.asarray(state[f"{name}.weight"].detach().numpy().copy()) for name in ("token", "place")}
    net |= {"blocks": blocks, "norm": norm("layers.norm."), "head": _dense(state, "head.")}

    def scores_of(net: Any, row: Any) -> Any:
        h, causal = net["token"][row] + net["place"], jnp.tril(jnp.ones((len(row), len(row)), bool))
        for norm1, attend, norm2, wide, narrow in net["blocks"]:
            n = jax.vmap(norm1)(h)
            h = h + attend(n, n, n, mask=causal)
            between = jax.nn.gelu(jax.vmap(wide)(jax.vmap(norm2)(h)), approximate=False)
            h = h + jax.vmap(narrow)(between)
        return jax.vmap(net["head"])(jax.vmap(net["norm"])(h))

    return net, scores_of, _once


JAX_NETWORKS = {
    "LeNet, batch 32": lenet,
    "LSTM, 32 steps, batch 32": lstm,
    "GPT of four layers, 64 steps, batch 8": gpt,
}
