"""Elementwise optimizers compute the same for joined and cut tensors as for each as it is."""

import copy

import pytest
import torch

import mytorch.optim
from mytorch.core import Optimizer, Parameter
from mytorch.optim import _blocks
from mytorch.optim._blocks import Elementwise

SHAPES = [(3, 2), (2, 5), (), (0, 4), (40,), (1,), (7, 9), (2, 3)]
PARTS = [getattr(mytorch.optim, name) for name in mytorch.optim.__all__]
CLASSES = [part for part in PARTS if isinstance(part, type) and issubclass(part, Elementwise)]
SETTINGS = [
    {},
    {"weight_decay": 0.1, "maximize": True},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"momentum": 0.9, "centered": True},
    {"t0": 2},
]
TAKEN = [
    (cls, kw) for cls in CLASSES for kw in SETTINGS if kw.keys() <= cls([Parameter(torch.ones(1))]).defaults.keys()
]


class Pair:
    """Two optimizers over equal values: one that joins and cuts, and one that takes each tensor as it is."""

    def __init__(self, cls, settings, dtype=torch.float64):
        plain = type(cls.__name__, (cls,), {"fused_state": lambda _self, _group: None})
        self.generator = torch.Generator().manual_seed(0)
        values = [torch.randn(shape, dtype=dtype, generator=self.generator) for shape in SHAPES]
        self.sides = [[Parameter(value.clone()) for value in values] for _ in range(2)]
        self.optimizers = [
            one(params, lr=0.05, **settings) for one, params in zip((cls, plain), self.sides, strict=True)
        ]

    def step(self, missing=()):
        for place, pair in enumerate(zip(*self.sides, strict=True)):
            grad = torch.randn(pair[0].value.shape, dtype=pair[0].value.dtype, generator=self.generator)
            for parameter in pair:
                parameter.grad = None if place in missing else grad.clone()
        for optimizer in self.optimizers:
            optimizer.step()

    def require_same(self, tolerance=1e-12):
        for one, other in zip(*self.sides, strict=True):
            torch.testing.assert_close(one.value, other.value, rtol=tolerance, atol=tolerance)
            held = (self.optimizers[0].state[one], self.optimizers[1].state[other])
            torch.testing.assert_close(*held, rtol=tolerance, atol=tolerance)


@pytest.fixture(params=[(4096, 262144), (10, 20), (0, 5)], ids=str, autouse=True)
def sizes(request, monkeypatch):
    """Tensors of up to so many elements are joined, and of more than so many cut."""
    small, large = request.param
    monkeypatch.setattr(_blocks, "SMALL", small)
    monkeypatch.setattr(_blocks, "LARGE", large)
    return request.param


@pytest.mark.parametrize(("cls", "settings"), TAKEN, ids=str)
def test_blocks_give_the_same_as_each_tensor_by_itself(cls, settings):
    pair = Pair(cls, settings)
    for missing in ((), (), (1,), (1, 4), (), ()):  # afterwards, counts of steps differ
        pair.step(missing)
        pair.require_same()


def test_float32_gives_the_same():
    pair = Pair(mytorch.optim.NAdam, {}, torch.float32)
    for _ in range(5):
        pair.step()
        pair.require_same(1e-6)


def test_numbers_that_differ_are_not_joined():
    pair = Pair(mytorch.optim.NAdam, {})
    for step in range(6):
        for optimizer in pair.optimizers:
            optimizer.param_groups[0]["betas"] = (0.9 - 0.1 * step, 0.99)  # so that mu_product tells who missed a step
        pair.step((step,))
        pair.require_same()


def test_state_is_each_parameters_own():
    pair = Pair(mytorch.optim.RMSprop, {"momentum": 0.9})
    for _ in range(3):
        pair.step()
    optimizer = pair.optimizers[0]
    tensors = [tensor for held in optimizer.state.values() for tensor in held.values()]
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}) == sum(
        tensor.numel() > 0 for tensor in tensors
    )
    before = copy.deepcopy(optimizer.state_dict()["state"])
    kept = optimizer.state_dict()["state"]
    torch.testing.assert_close(kept, before, rtol=0, atol=0)
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in tensors)


def test_a_step_in_inference_mode_and_one_outside_of_it_may_alternate():
    pair = Pair(mytorch.optim.Adadelta, {})
    for _ in range(3):
        with torch.inference_mode():
            pair.step()
        pair.step()
        pair.require_same()


def test_what_is_joined_is_forgotten_where_it_differs_from_step_to_step(sizes, monkeypatch):
    monkeypatch.setattr(_blocks, "JOINTS", 3)
    pair = Pair(mytorch.optim.Adamax, {})
    pair.step()
    for place in range(len(SHAPES)):
        pair.step((place,))
        pair.require_same()
        assert len(pair.optimizers[0]._joints) <= 3
    assert bool(pair.optimizers[0]._joints) == (sizes[0] > 0)


def test_which_optimizers_are_elementwise():
    others = {part.__name__ for part in PARTS if isinstance(part, type) and issubclass(part, Optimizer)}
    with_kernels = {"SGD", "Adam", "AdamW", "Adagrad"}
    of_whole_tensors = {"Adafactor", "KFAC", "LAMB", "LBFGS", "Muon", "Shampoo"}
    assert others - {cls.__name__ for cls in CLASSES} == (with_kernels | of_whole_tensors) & others
