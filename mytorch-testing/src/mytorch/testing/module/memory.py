"""Whether a call without a backward keeps anything alive."""

from __future__ import annotations

import gc
from typing import Any

from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from mytorch.testing.errors import CheckError
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import tensors


class _Made(TorchDispatchMode):
    """Knows the memory of every tensor that an operation makes, and holds none of it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: list[tuple[StorageWeakRef, tuple[int, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tensors(result, "").values():
            self.made.append((StorageWeakRef(tensor.untyped_storage()), tuple(tensor.shape)))
        return result


def nothing_alive(case: Case) -> None:
    """After module(x), the output and the buffers are in memory, and nothing that only backward would need."""
    trial = Trial(case)
    trial.rewind()
    with _Made() as watch:
        output = trial.module(*case.inputs, **case.options)
    state = {**trial.module.state_dict(), **{name: p.value for name, p in trial.module.named_param()}}
    wanted = [*tensors((output, case.inputs, case.options), "").values(), *state.values()]
    allowed = {StorageWeakRef(tensor.untyped_storage()).cdata for tensor in wanted}
    if any(_alive(reference, allowed) for reference, _ in watch.made):
        gc.collect()
    left = [shape for reference, shape in watch.made if _alive(reference, allowed)]
    if left:
        raise CheckError(f"module(x) must keep nothing but its output alive, got a tensor of {left[0]} that still is")


def _alive(reference: StorageWeakRef, allowed: set[int]) -> bool:
    return reference.cdata not in allowed and not reference.expired()
