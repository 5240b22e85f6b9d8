"""What the optimizers accept, and refuse in words; SGD's own are in test_sgd_settings.py."""

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, Parameter, StateError
from mytorch.optim import (
    ASGD,
    LAMB,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    Shampoo,
    SparseAdam,
)

ALL = [LAMB, Adafactor, SparseAdam, ASGD, Adadelta, Adagrad, Adam, AdamW, Adamax, Lion, NAdam, RAdam, RMSprop, Rprop]
ALL.append(Shampoo)
WITH_BETAS = [LAMB, SparseAdam, Adam, AdamW, Adamax, Lion, NAdam, RAdam]


def parameter():
    return Parameter(torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": -0.1}, "lr must be at least 0, got -0.1"),
        ({"lr": float("nan")}, "lr must be at least 0, got nan"),
        ({"lr": float("inf")}, "lr must be finite, got inf"),
        ({"lr": torch.tensor(float("inf"))}, "lr must be finite, got inf"),
        ({"lr": torch.ones(2)}, r"lr must be one number, got a tensor of \(2,\)"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"lr": True}, "lr must be a number, got True"),
        ({"lr": 10**400}, r"lr must be a finite number, got 10+\.\.\.0+"),
        ({"lr": 10**5000}, "lr must be a finite number, got a whole number of 16610 bits"),
        (
            {"lr": torch.ones((), device="meta")},
            r"lr must be a finite number, got tensor\(\.\.\., device='meta', size=\(\)\)",
        ),
        ({"maximize": 1}, "maximize must be True or False, got 1"),
    ],
)
def test_what_all_have(cls, settings, text):
    with pytest.raises(ArgumentError, match=f"^{cls.__name__}: {text}$"):
        cls([parameter()], **settings)


@pytest.mark.parametrize("cls", [cls for cls in ALL if cls not in (Rprop, SparseAdam)])
def test_weight_decay_below_0(cls):
    with pytest.raises(ArgumentError, match=rf"^{cls.__name__}: weight_decay must be at least 0, got -1\.0$"):
        cls([parameter()], weight_decay=-1.0)


@pytest.mark.parametrize("cls", WITH_BETAS)
@pytest.mark.parametrize(
    ("betas", "text"),
    [
        ((0.9, 1.0), r"betas\[1\] must be at least 0 and below 1, got 1.0"),
        ((-0.1, 0.9), r"betas\[0\] must be at least 0 and below 1, got -0.1"),
        ((float("nan"), 0.9), r"betas\[0\] must be finite, got nan"),
        ((0.9,), r"betas must be two numbers, got \(0.9,\)"),
        (0.9, "betas must be two numbers, got 0.9"),
        (("a", 0.9), r"betas\[0\] must be a number, got 'a'"),
        ((torch.tensor(0.9), 0.9), r"betas\[0\] must be a number, got a tensor"),
    ],
)
def test_betas(cls, betas, text):
    with pytest.raises(ArgumentError, match=f"^{cls.__name__}: {text}$"):
        cls([parameter()], betas=betas)


@pytest.mark.parametrize(
    ("cls", "settings", "text"),
    [
        (ASGD, {"lambd": float("nan")}, "lambd must be finite, got nan"),
        (ASGD, {"alpha": float("inf")}, "alpha must be finite, got inf"),
        (ASGD, {"t0": "late"}, "t0 must be a number, got 'late'"),
        (Adadelta, {"rho": 1.5}, "rho must be between 0 and 1, got 1.5"),
        (Adadelta, {"rho": -0.5}, "rho must be at least 0, got -0.5"),
        (Adadelta, {"eps": -1.0}, "eps must be at least 0, got -1.0"),
        (Adafactor, {"beta2_decay": 0.5}, "beta2_decay must be at most 0, got 0.5"),
        (Adafactor, {"d": 0.5}, "d must be at least 1, got 0.5"),
        (Adafactor, {"eps": 1e-3}, "eps must be two numbers, got 0.001"),
        (Adafactor, {"eps": (None, -1.0)}, r"eps must be two numbers of at least 0, got \(None, -1.0\)"),
        (Adafactor, {"eps": (None, None)}, r"eps\[1\] must be a number, got None"),
        (Adagrad, {"lr_decay": -1.0}, "lr_decay must be at least 0, got -1.0"),
        (Adagrad, {"initial_accumulator_value": -1.0}, "initial_accumulator_value must be at least 0, got -1.0"),
        (Adam, {"eps": -1.0}, "eps must be at least 0, got -1.0"),
        (Adam, {"amsgrad": None}, "amsgrad must be True or False, got None"),
        (NAdam, {"momentum_decay": -1.0}, "momentum_decay must be at least 0, got -1.0"),
        (NAdam, {"decoupled_weight_decay": 0}, "decoupled_weight_decay must be True or False, got 0"),
        (RMSprop, {"alpha": -1.0}, "alpha must be at least 0, got -1.0"),
        (RMSprop, {"momentum": -1.0}, "momentum must be at least 0, got -1.0"),
        (RMSprop, {"centered": "yes"}, "centered must be True or False, got 'yes'"),
        (Rprop, {"etas": (1.0, 1.2)}, r"etas must be one between 0 and 1 and one above 1, got \(1.0, 1.2\)"),
        (Rprop, {"etas": (0.5, 0.9)}, r"etas must be one between 0 and 1 and one above 1, got \(0.5, 0.9\)"),
        (Rprop, {"step_sizes": (1.0, 0.5)}, r"step_sizes must be at least 0 and increase, got \(1.0, 0.5\)"),
        (Rprop, {"step_sizes": 3}, "step_sizes must be two numbers, got 3"),
    ],
)
def test_what_some_have(cls, settings, text):
    with pytest.raises(ArgumentError, match=f"^{cls.__name__}: {text}$"):
        cls([parameter()], **settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": -1.0}, "lr must be at least 0, got -1.0"),
        ({"momentum": -1.0}, "momentum must be at least 0, got -1.0"),
        ({"nesterov": 1}, "nesterov must be True or False, got 1"),
        ({"ns_steps": 0}, "ns_steps must be an integer of at least 1, got 0"),
        ({"ns_steps": 100}, "ns_steps must be below 100, got 100"),
        ({"ns_coefficients": (1.0, 2.0)}, r"ns_coefficients must be three numbers, got \(1.0, 2.0\)"),
        ({"ns_coefficients": (1.0, 2.0, "c")}, r"ns_coefficients\[2\] must be a number, got 'c'"),
        ({"adjust_lr_fn": "mine"}, "adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got 'mine'"),
    ],
)
def test_muon(settings, text):
    with pytest.raises(ArgumentError, match=f"^Muon: {text}$"):
        Muon([Parameter(torch.ones(2, 2))], **settings)


def test_muon_takes_matrices_alone():
    with pytest.raises(ArgumentError, match=r"^Muon: params must be matrices, got one of shape \(2,\); give biases"):
        Muon([parameter()])


@pytest.mark.parametrize(
    ("entry", "held", "text"),
    [
        ("row_var", torch.ones(3, 4), r"a number for each of the value's rows, \(3, 1\), got a tensor of \(3, 4\)"),
        ("col_var", torch.ones(1, 3), r"a number for each of the value's columns, \(1, 4\), got a tensor of \(1, 3\)"),
    ],
)
def test_factors_of_another_shape_are_refused(entry, held, text):
    optimizer = Adafactor([p := Parameter(torch.ones(3, 4))])
    p.grad = torch.ones(3, 4)
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0][entry] = held
    with pytest.raises(StateError, match=f"state '{entry}' must have {text}"):
        optimizer.load_state_dict(state)
    vector = Adafactor([Parameter(torch.ones(3))])
    with pytest.raises(StateError, match=r"must belong to a value with two axes or more, got one of \(3,\)"):
        vector.load_state_dict(optimizer.state_dict())


def test_adamw_takes_no_state_of_the_other_decay():
    tensor = torch.ones(2, dtype=torch.float64)
    optimizer = AdamW([parameter()])
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True
    optimizer.load_state_dict(torch.optim.AdamW([tensor], lr=0.5).state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.5
    with pytest.raises(StateError, match="AdamW: decoupled_weight_decay must be True, got False; use Adam for"):
        optimizer.load_state_dict(torch.optim.Adam([tensor]).state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("cls", ALL)
def test_state_of_another_optimizer_is_refused(cls):
    other = RMSprop if cls is not RMSprop else Adam
    donor, own = other([p := parameter()]), cls([parameter()])
    p.grad = torch.ones_like(p.value)
    donor.step()
    with pytest.raises(
        StateError, match=f"^{cls.__name__}: state must be that of {cls.__name__} for these parameters; "
    ):
        own.load_state_dict(donor.state_dict())


@pytest.mark.parametrize("cls", ALL)
def test_an_entry_that_a_saved_state_lacks_begins_anew(cls):
    held = parameter()
    optimizer = cls([held])
    held.grad = torch.ones_like(held.value)
    optimizer.step()
    entries = optimizer.state_dict()["state"][0]
    for absent in entries:
        state = optimizer.state_dict()
        state["state"] = {0: {**entries, absent: None}}
        other = cls([held])
        other.load_state_dict(state)
        other.step()
        assert held.value.isfinite().all()
        assert absent in other.state_dict()["state"][0]


@pytest.mark.parametrize(
    ("donor", "cls", "text"),
    [
        (Lion, Adam, "group 0 must have the setting 'eps'"),  # which would begin a new exp_avg_sq at the old count
        (Lion, LAMB, "group 0 must have the setting 'eps'"),
        (Adam, NAdam, "group 0 must have the setting 'momentum_decay'"),
        (SparseAdam, AdamW, "group 0 must have the setting 'weight_decay'"),
    ],
)
def test_state_of_a_relative_with_the_same_entries_is_refused(donor, cls, text):
    other = donor([p := parameter()])
    p.grad = torch.ones_like(p.value)
    other.step()
    with pytest.raises(StateError, match=f"^{cls.__name__}: state must be that of .*{text}"):
        cls([parameter()]).load_state_dict(other.state_dict())


KEEP_THE_SAME = [Adam, AdamW, RAdam, LAMB, SparseAdam]


@pytest.mark.parametrize("cls", KEEP_THE_SAME)
@pytest.mark.parametrize("donor", KEEP_THE_SAME)
def test_what_another_keeps_is_taken_without_its_name_and_settings_alone(donor, cls):
    if donor is cls:
        return
    other, own = donor([p := parameter()], lr=0.5), cls([parameter()], lr=0.25)
    p.grad = torch.full_like(p.value, 3)
    other.step()
    state = other.state_dict()
    with pytest.raises(
        StateError, match=f"its type must be '{cls.__name__}', got '{donor.__name__}'; where both keep"
    ):
        own.load_state_dict(state)
    assert not own.state
    own.load_state_dict({"state": state["state"], "param_groups": own.state_dict()["param_groups"]})
    assert own.param_groups[0]["lr"] == 0.25
    held = own.state[own.param_groups[0]["params"][0]]
    torch.testing.assert_close(held["exp_avg"], other.state[p]["exp_avg"], rtol=0, atol=0)
    if hasattr(torch.optim, donor.__name__):
        twin = getattr(torch.optim, donor.__name__)([torch.ones(2, dtype=torch.float64)])
        twin.load_state_dict(state)  # which does not read the name
        assert twin.state_dict().keys() == {"state", "param_groups"}


@pytest.mark.parametrize("cls", [SGD, *ALL])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_gradient_that_is_no_tensor_is_refused(cls, steps):
    held = parameter()
    optimizer = cls([held])
    for _ in range(steps):
        held.grad = torch.ones_like(held.value)
        optimizer.step()
    for wrong, kind in ((np.ones(2), "ndarray"), ([1.0, 1.0], "list")):
        held.grad = wrong
        with pytest.raises(DtypeError, match=f"^{cls.__name__}: gradient .* must be a tensor, got {kind}$"):
            optimizer.step()
