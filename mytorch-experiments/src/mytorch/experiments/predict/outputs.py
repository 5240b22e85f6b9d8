"""What makes outputs of a batch, for many batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from mytorch.core import Module
from mytorch.train.batches import call
from mytorch.train.device import CPU, device_of, move
from mytorch.train.evaluation import judging, predict
from mytorch.train.make_engine import require_engine

if TYPE_CHECKING:
    from mytorch.train.compiled import CompiledForward


@contextmanager
def outputs_by(net: Module, engine: str, compiled: Callable[[], CompiledForward]) -> Iterator[Callable[[Any], Any]]:
    """Within this context, entered once for all batches, the function given makes a model's outputs of a batch.

    engine: "eager", or "compiled": then by what `compiled` gives, which takes long to make and is asked for once.
    Raises ArgumentError for no engine.
    """
    require_engine(engine, ("eager", "compiled"))
    if engine == "eager":
        place = device_of(net)
        with judging(net):
            yield (
                partial(predict, net) if place == CPU else lambda inputs: move(predict(net, move(inputs, place)), CPU)
            )
    else:  # which knows no other mode than evaluation
        forward = compiled()
        with torch.inference_mode():
            yield partial(call, forward)
