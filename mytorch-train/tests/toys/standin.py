"""An accelerator that there is not: tensors whose device is called "standin", computed on the processor.

It stands where a GPU would: an operation of a tensor on it and one on the processor is an error, and each number that
is read from it is counted, since a real device would be waited for. Importing this module registers it with torch.
"""

import torch
from torch.utils import _pytree as pytree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("standin")
READS = ("item", "_local_scalar_dense", "is_nonzero", "equal", "allclose")
MOVES = ("to", "_to_copy", "copy_", "_copy_from")
reads: list[str] = []
"""The operations that waited for the device."""


class Held(torch.Tensor):
    """A tensor on the device; `raw` is the one on the processor that holds its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw):
        held = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            layout=raw.layout,
            device="standin:0",
        )
        held.raw = raw
        return held

    def __repr__(self):
        return f"Held({self.raw})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _run(func, args, kwargs):
    name = func._schema.name.removeprefix("aten::")
    leaves, spec = pytree.tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    held = [tensor for tensor in tensors if isinstance(tensor, Held)]
    copies = name in MOVES
    if held and not copies and any(tensor.dim() for tensor in tensors if not isinstance(tensor, Held)):
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found standin and cpu")
    raw_args, raw_kwargs = pytree.tree_unflatten(
        [leaf.raw if isinstance(leaf, Held) else leaf for leaf in leaves], spec
    )
    goes = torch.device(kwargs["device"]).type == "standin" if kwargs.get("device") is not None else bool(held)
    if "device" in raw_kwargs:
        raw_kwargs = {**raw_kwargs, "device": "cpu"}
    result = func(*raw_args, **raw_kwargs)
    comes = copies and held and not (goes if name in ("to", "_to_copy") else isinstance(tensors[0], Held))
    if name in READS or comes:
        reads.append(name)
    if name.endswith("_") or func._schema.is_mutable:
        first = args[0]
        return first if func._schema.returns else None
    return pytree.tree_map(lambda leaf: Held(leaf) if isinstance(leaf, torch.Tensor) and goes else leaf, result)


def _empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return Held(torch.empty(size, dtype=dtype or torch.get_default_dtype()))


def _empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return Held(torch.empty_strided(size, stride, dtype=dtype or torch.get_default_dtype()))


def _copy_from(source, target, non_blocking=False):
    if not isinstance(target, Held):
        reads.append("_copy_from")
    raw = [tensor.raw if isinstance(tensor, Held) else tensor for tensor in (source, target)]
    raw[1].copy_(raw[0])
    return target


LIBRARY = torch.library.Library("aten", "IMPL")
LIBRARY.impl("empty.memory_format", _empty, "PrivateUse1")
LIBRARY.impl("empty_strided", _empty_strided, "PrivateUse1")
LIBRARY.impl("_copy_from", _copy_from, "PrivateUse1")
