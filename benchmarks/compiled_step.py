"""The program that the compiled engine makes of a training step, without the loop around it."""

from typing import Any

import torch
from networks import LR, STEPS, Batch, Weights, make
from side_by_side import Contestant

from mytorch.core import Module, Optimizer


def compiled_steps(weights: Weights, batch: Batch, a_call: int) -> Contestant:
    """Ten steps of the reference network, so many a call."""
    return program_of(*make(weights), batch, a_call, STEPS)


def program_of(
    net: Module, loss: Module, optimizer: Optimizer, batch: Batch, a_call: int = 1, steps: int = 1
) -> Contestant:
    """So many steps on one batch, some of them a call; they are compiled unless the engine's cache has them."""
    from mytorch.train.compiled.carry import Carry
    from mytorch.train.compiled.program import make_program
    from mytorch.train.compiled.trace import Recipe, changing_settings

    net.input_grad = False
    for parameter in net.param():  # the first velocity is the gradient, as it is from zero
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter.value)
    carry, changing = Carry(net, loss, optimizer), changing_settings(optimizer, None)
    structure = torch.utils._pytree.tree_structure(batch)
    recipe = Recipe(net, loss, optimizer, carry, changing, structure)
    program = make_program(recipe, lambda _most: a_call, batch, lambda _line: None)
    carried, settings = carry.now(), torch.full((a_call, len(changing)), LR, dtype=torch.float64)
    leaves = [torch.stack([leaf] * a_call) for leaf in batch]

    def call() -> Any:
        for _ in range(steps // a_call):
            losses, _ = program.run(carried, settings, leaves)
        return losses[-1]

    return Contestant(call, inference=True)
