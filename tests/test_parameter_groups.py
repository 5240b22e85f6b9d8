"""Groups of parameters by name and by kind of layer."""

import pytest
import torch

from mytorch.core import ArgumentError, Module
from mytorch.nn import BatchNorm1d, LayerNorm, Linear, Residual, Sequential
from mytorch.optim import SGD, AdamW, parameter_groups


def network():
    return Sequential(Linear(2, 4), LayerNorm(4), Residual(Sequential(Linear(4, 4), BatchNorm1d(4))), Linear(4, 1))


def names(groups):
    return [[name for name, _ in group["params"]] for group in groups]


def test_the_first_rule_that_fits_and_the_rest_first():
    groups = parameter_groups(
        network(),
        [
            {"layers": ["LayerNorm", "BatchNorm*"], "weight_decay": 0},
            {"parameters": "*bias", "weight_decay": 0.5},
            {"parameters": "0.*", "lr": 0.01},
        ],
    )
    assert names(groups) == [
        ["2.inner.0.weight", "3.weight"],
        ["1.weight", "1.bias", "2.inner.1.weight", "2.inner.1.bias"],
        ["0.bias", "2.inner.0.bias", "3.bias"],
        ["0.weight"],
    ]
    assert [sorted(group.keys() - {"params"}) for group in groups] == [[], ["weight_decay"], ["weight_decay"], ["lr"]]


def test_layers_mean_those_around_a_parameter_too_and_both_keys_must_fit():
    inside = parameter_groups(network(), [{"layers": "Residual", "lr": 0.01}])
    assert names(inside)[1] == ["2.inner.0.weight", "2.inner.0.bias", "2.inner.1.weight", "2.inner.1.bias"]
    both = parameter_groups(network(), [{"layers": "Linear", "parameters": "*bias", "lr": 0.01}])
    assert names(both)[1] == ["0.bias", "2.inner.0.bias", "3.bias"]
    every = parameter_groups(network(), [{"layers": "Linear", "lr": 1.0}, {"layers": "*Norm*", "lr": 2.0}])
    assert len(every) == 2  # no group without parameters
    assert names(parameter_groups(network(), [])) == [[name for name, _ in network().named_param()]]


class Tied(Module):
    def __init__(self):
        self.embed, self.head = Linear(3, 3), Linear(3, 3)
        self.head.weight = self.embed.weight


@pytest.mark.parametrize("pattern", ["embed.weight", "head.weight"])
def test_a_tied_parameter_has_all_of_its_names(pattern):
    groups = parameter_groups(Tied(), [{"parameters": pattern, "lr": 0.01}])
    assert names(groups) == [["embed.bias", "head.bias"], ["embed.weight"]]


def test_steps_equal_those_of_torch_s_groups():
    torch.manual_seed(0)
    net = Sequential(Linear(2, 3), Linear(3, 1))
    rules = [{"parameters": "*bias", "weight_decay": 0.0}, {"parameters": "0.*", "lr": 0.5}]
    optimizer = AdamW(parameter_groups(net, rules), lr=0.1, weight_decay=0.3)
    twins = {name: torch.nn.Parameter(p.value.clone()) for name, p in net.named_param()}
    theirs = torch.optim.AdamW(
        [
            {"params": [twins["1.weight"]]},
            {"params": [twins["0.bias"], twins["1.bias"]], "weight_decay": 0.0},
            {"params": [twins["0.weight"]], "lr": 0.5},
        ],
        lr=0.1,
        weight_decay=0.3,
    )
    for _ in range(5):
        for name, parameter in net.named_param():
            parameter.grad = torch.randn_like(parameter.value)
            twins[name].grad = parameter.grad.clone()
        optimizer.step()
        theirs.step()
    for name, parameter in net.named_param():
        torch.testing.assert_close(parameter.value, twins[name].detach())
    optimizer.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            {"parameters": "*.bais", "lr": 1.0},
            r"parameters of rule 1 must match a parameter of the net, got '\*.bais'. ",
        ),
        ({"layers": "LayerNrom", "lr": 1.0}, "layers of rule 1 must match the class of a layer with parameters, got "),
        ({"layers": ["LayerNorm", "GroupNorm"], "lr": 1.0}, r"layers of rule 1 must .* 'GroupNorm'\. Known: "),
        ({"layers": "LayerNorm"}, "rule 1 must have a setting such as weight_decay, got {'layers': 'LayerNorm'}"),
        ({"lr": 1.0}, "rule 1 must have parameters, layers or both, got {'lr': 1.0}"),
        ({"parameters": [], "lr": 1.0}, r"parameters of rule 1 must be a pattern or a list of patterns, got \[\]"),
        ({"parameters": 3, "lr": 1.0}, "parameters of rule 1 must be a pattern or a list of patterns, got 3"),
        (
            {"parameters": "0.bias", "lr": 1.0},
            "rule 1 must match parameters that no rule before it matches, got parameters",
        ),
        ("bias", "rule 1 must have parameters, layers or both, got 'bias'"),
    ],
)
def test_rules_that_are_refused(rule, text):
    with pytest.raises(ArgumentError, match=f"^parameter_groups: {text}"):
        parameter_groups(network(), [{"parameters": "*bias", "lr": 0.1}, rule])


def test_an_unknown_setting_is_refused_by_the_optimizer():
    groups = parameter_groups(network(), [{"parameters": "*bias", "weight_decai": 0}])
    with pytest.raises(ArgumentError, match=r"must hold settings of SGD, got 'weight_decai'\. Nearest: weight_decay"):
        SGD(groups, lr=0.1)
