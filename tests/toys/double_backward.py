"""How a module and its backward change along a direction, by torch's double backward, and comparing ours with that."""

from typing import NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import PackedSequence

from mytorch.core import Directions, Loss

WITHIN = {"rtol": 1e-9, "atol": 1e-10}


class Moves(NamedTuple):
    """What is given to both: the inputs, the values of the parameters by name, and along what each moves.

    t_inputs: nested as the inputs, None for what does not move.
    """

    inputs: tuple
    options: dict
    t_inputs: tuple
    values: dict
    t_values: dict


def require_as_torch(ours, theirs, moves, within=WITHIN):
    """Raise AssertionError unless output, gradients and the change of both are torch's.

    theirs: has the same parameters in the same order, and takes the same inputs.
    """
    require_wanted(ours, wanted_of(theirs, moves), moves, within)


def require_wanted(ours, wanted, moves, within=WITHIN):
    """The same, of what `wanted_of` returned."""
    wanted_output, t_wanted, d_output, t_d_output, d_wanted, t_d_wanted = wanted
    torch.manual_seed(1)
    output, saved = ours.forward(*moves.inputs, **moves.options)
    require_close(of_tensors(output), wanted_output, "output", within)
    directions, t_input = directions_of(ours, moves), as_given(ours, moves.t_inputs)
    t_output, t_saved = ours.tangent(t_input, saved, directions)
    require_close(filled(t_output, output), t_wanted, "t_output", within)
    given = as_ours(d_output, output), as_ours(t_d_output, output)
    d_input, t_d_input = ours.backward_tangent(*given, saved, t_saved, directions)
    split = len(d_wanted) - len(moves.values)
    require_close(filled(d_input, t_input), d_wanted[:split], "d_input", within)
    require_close(filled(t_d_input, t_input), t_d_wanted[:split], "t_d_input", within)
    require_changes(ours, t_d_wanted, within)


def require_close(found, wanted, what, within=WITHIN):
    torch.testing.assert_close(found, wanted, **within, msg=lambda text: f"{what}: {text}")


def require_changes(ours, t_d_wanted, within=WITHIN):
    """The last of what is wanted is for the parameters."""
    parameters = dict(ours.named_param())
    changes = t_d_wanted[len(t_d_wanted) - len(parameters) :]
    for (name, parameter), change in zip(parameters.items(), changes, strict=True):
        require_close(torch.zeros_like(change) if parameter.grad is None else parameter.grad, change, name, within)


def directions_of(ours, moves):
    """Along what the parameters of ours move, which have the names of theirs."""
    parameters = dict(ours.named_param())
    assert list(parameters) == list(moves.values)
    return Directions({parameters[name]: direction for name, direction in moves.t_values.items()})


def as_ours(parts, like):
    """The parts in the nesting of an output of ours, None for integers in it."""
    rest = iter(parts)
    return mapped(lambda leaf: next(rest) if is_floating(leaf) else None, like)


def as_given(ours, t_inputs):
    """In the structure of d_input: that of a single input is bare, and a loss has none for its targets."""
    asked = tuple(each for each in t_inputs if each is not None) if isinstance(ours, Loss) else t_inputs
    return asked[0] if len(asked) == 1 else asked


def wanted_of(theirs, moves):
    """Output, upstream gradients and gradients, each with its change, by torch.

    The change of a function along a direction is the derivative, with respect to its upstream gradient, of what its
    backward makes of that: all of it goes back, as torch knows no forward mode of some kernels.
    """
    inputs, t_inputs = flat(moves.inputs), flat(moves.t_inputs)
    moving = [leaf for leaf, t_leaf in zip(inputs, t_inputs, strict=True) if t_leaf is not None]
    leaves = [leaf.contiguous().clone().requires_grad_() for leaf in (*moving, *moves.values.values())]
    directions = of_tensors((moves.t_inputs, tuple(moves.t_values.values())))
    rest = iter(leaves)
    watched = iter([leaf if t_leaf is None else next(rest) for leaf, t_leaf in zip(inputs, t_inputs, strict=True)])
    given = mapped(lambda _: next(watched), moves.inputs)
    values = dict(zip(moves.values, rest, strict=True))
    torch.manual_seed(1)
    with sdpa_kernel(SDPBackend.MATH):  # torch cannot go back twice through the other kernels of attention
        output = of_tensors(torch.func.functional_call(theirs, values, given, moves.options))
    d_output = [torch.randn_like(each).requires_grad_() for each in output]
    t_d_output = [torch.randn_like(each) for each in output]
    d_leaves = gradients(output, leaves, d_output)
    t_output = along(output, leaves, directions)
    t_d_leaves = along(d_leaves, leaves + d_output, directions + t_d_output)
    found = output, t_output, d_output, t_d_output, d_leaves, t_d_leaves
    return tuple([each.detach() for each in part] for part in found)


def gradients(outputs, leaves, d_outputs):
    return torch.autograd.grad(
        outputs, leaves, d_outputs, create_graph=True, allow_unused=True, materialize_grads=True
    )


def along(outputs, leaves, directions):
    """The derivative of the outputs along the directions of the leaves."""
    moved = [each for each in outputs if each.requires_grad]
    upstream = [torch.zeros_like(each).requires_grad_() for each in moved]
    d_leaves = gradients(moved, leaves, upstream) if moved else []
    product = sum(((d * t).sum() for d, t in zip(d_leaves, directions, strict=False)), torch.zeros(()).double())
    found = iter(gradients([product], upstream, [torch.ones_like(product)]) if product.requires_grad else upstream)
    return [next(found) if each.requires_grad else torch.zeros_like(each) for each in outputs]


def of_tensors(value):
    """The floating-point tensors of nested tuples."""
    return list(filter(is_floating, flat(value)))


def filled(found, like):
    """Those in the places of the floating-point tensors of `like`, nested alike; zeros for None."""
    known = [None] * len(flat(like)) if found is None else flat(found)
    pairs = zip(known, flat(like), strict=True)
    return [torch.zeros_like(leaf) if each is None else each for each, leaf in pairs if is_floating(leaf)]


def is_floating(leaf):
    return isinstance(leaf, torch.Tensor) and leaf.is_floating_point()


def mapped(function, value):
    """The same nesting of tuples with each leaf replaced; of packed sequences the data are."""
    if isinstance(value, PackedSequence):
        return PackedSequence(function(value.data), *value[1:])
    return tuple(mapped(function, entry) for entry in value) if isinstance(value, tuple) else function(value)


def flat(value):
    """Every leaf of nested tuples, None among them."""
    if isinstance(value, PackedSequence):
        return [value.data]
    return [leaf for entry in value for leaf in flat(entry)] if isinstance(value, tuple) else [value]
