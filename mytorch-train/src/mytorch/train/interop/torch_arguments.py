"""The constructor's arguments of a module of PyTorch, read from its attributes: PyTorch does not keep them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class NotReadError(Exception):
    """An argument that no attribute tells."""


def _layers(module: nn.Module) -> list[nn.Module]:
    return [child for child in module._modules.values() if child is not None]  # children() leaves out shared ones


def _activation(module: Any) -> Any:
    """A name where there is one, since a description can hold no function."""
    return {F.relu: "relu", F.gelu: "gelu"}.get(module.activation, module.activation)


def _transformer_layer(module: Any) -> dict[str, Any]:
    return {
        "activation": _activation(module),
        "d_model": module.self_attn.embed_dim,
        "nhead": module.self_attn.num_heads,
        "dim_feedforward": module.linear1.out_features,
        "dropout": module.dropout.p,
        "layer_norm_eps": module.norm1.eps,
        "batch_first": module.self_attn.batch_first,
        "bias": module.linear1.bias is not None,
    }


def _transformer(module: Any) -> dict[str, Any]:
    layer = module.encoder.layers[0]
    return _transformer_layer(layer) | {
        "num_encoder_layers": len(module.encoder.layers),
        "num_decoder_layers": len(module.decoder.layers),
        "norm_first": layer.norm_first,
        "custom_encoder": None,
        "custom_decoder": None,
    }


READERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "Sequential": lambda module: {"layers": _layers(module)},
    "Padded": lambda module: {"layers": _layers(module)},
    "ModuleList": lambda module: {"modules": _layers(module)},
    "ModuleDict": lambda module: {"modules": dict(module.items())},
    **{name: lambda module: {"branches": _layers(module)} for name in ("Parallel", "Add", "Concatenate")},
    "TransformerEncoderLayer": _transformer_layer,
    "TransformerDecoderLayer": _transformer_layer,
    "TransformerEncoder": lambda module: {"encoder_layer": module.layers[0]},
    "TransformerDecoder": lambda module: {"decoder_layer": module.layers[0]},
    "Transformer": _transformer,
    "MultiheadAttention": lambda module: {
        "bias": module.in_proj_bias is not None,
        "add_bias_kv": module.bias_k is not None,
        "kdim": None if module._qkv_same_embed_dim else module.kdim,
        "vdim": None if module._qkv_same_embed_dim else module.vdim,
    },
    "TripletMarginWithDistanceLoss": lambda module: {
        "distance_function": None
        if repr(module.distance_function) == "PairwiseDistance()"
        else module.distance_function
    },
    "PairwiseDistance": lambda module: {"p": module.norm},
    "LinearCrossEntropyLoss": lambda module: {
        "in_features": module.linear.in_features,
        "bias": module.linear.bias is not None,
    },
    "AdaptiveLogSoftmaxWithLoss": lambda module: {"cutoffs": module.cutoffs[:-1]},
}
"""By the name of the class, the arguments whose attributes have another name or form."""


def arguments_of(ours: type, base: type[nn.Module], module: nn.Module) -> dict[str, Any]:
    """The arguments by which a class of ours is built as a module of torch was.

    base: the module's class, or the one that it derives from, whose constructor has torch's arguments.
    Raises NotReadError for an argument of both constructors that no attribute tells.
    """
    try:
        told = READERS.get(ours.__name__, lambda _: {})(module)
    except (AttributeError, IndexError) as error:  # somebody put another module in the place of one
        raise NotReadError(str(error)) from error
    known = inspect.signature(base).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    arguments = {}
    for name in inspect.signature(ours).parameters:
        if name in told:
            arguments[name] = told[name]
        elif name not in ("device", "dtype") and not name.startswith("_") and (takes_any or name in known):
            arguments[name] = _attribute(module, name)
    return arguments


def _attribute(module: nn.Module, name: str) -> Any:
    if not hasattr(module, name):
        raise NotReadError(f"{type(module).__name__} has no attribute {name!r}")
    value = getattr(module, name)
    if name in ("bias", "head_bias") and (value is None or isinstance(value, Tensor)):
        return value is not None or not getattr(module, "affine", True)
    return value
