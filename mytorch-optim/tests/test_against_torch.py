"""Every optimizer against torch's of the same name, step for step over drawn settings, groups and gradients."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mytorch.optim
from mytorch.core import ArgumentError, Optimizer, Parameter

SHAPES = [(5, 3), (4,), (), (2, 1, 3)]
MATRICES = [(5, 3), (2, 4), (1, 1), (3, 3)]
STEPS = 50
SIZES = {"ordinary": 1.0, "zero": 0.0, "huge": 1e6, "tiny": 1e-12}
TOLERANCE = {torch.float64: (1e-9, 1e-9), torch.float32: (1.3e-6, 1e-5)}
ON_A_GPU = (1e-5, 1e-5)
"""There torch keeps numbers of its state in float32, such as the mu_product of NAdam, and rounds elsewhere."""
QUICK = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

flag = st.booleans()
lr = st.sampled_from([0.0, 1e-4, 0.01, 0.3, 1.0])
betas = st.sampled_from([(0.9, 0.999), (0.0, 0.5), (0.5, 0.9), (0.95, 0.0)])
eps = st.sampled_from([1e-8, 1e-3])
decay = st.sampled_from([0, 0.01, 0.5])
adam = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": decay, "maximize": flag}
SETTINGS = {
    "ASGD": {
        "lr": lr,
        "lambd": st.sampled_from([1e-4, 0.1]),
        "alpha": st.sampled_from([0.75, 0.0, 1.5]),
        "t0": st.sampled_from([1e6, 0, 5.0]),
        "weight_decay": decay,
        "maximize": flag,
    },
    "Adadelta": {
        "lr": lr,
        "rho": st.sampled_from([0.9, 0.0, 1.0]),
        "eps": eps,
        "weight_decay": decay,
        "maximize": flag,
    },
    "Adafactor": {
        "lr": lr,
        "beta2_decay": st.sampled_from([-0.8, 0, -2.0]),
        "eps": st.sampled_from([(None, 1e-3), (1e-4, 0.5)]),
        "d": st.sampled_from([1.0, 2.5]),
        "weight_decay": decay,
        "maximize": flag,
    },
    "Adagrad": {
        "lr": lr,
        "lr_decay": st.sampled_from([0, 0.1]),
        "weight_decay": decay,
        "initial_accumulator_value": st.sampled_from([0, 0.5]),
        "eps": eps,
        "maximize": flag,
    },
    "Adam": {**adam, "amsgrad": flag, "decoupled_weight_decay": flag},
    "AdamW": {**adam, "amsgrad": flag},
    "Adamax": adam,
    "Muon": {
        "lr": lr,
        "weight_decay": decay,
        "momentum": st.sampled_from([0.95, 0, 0.5]),
        "nesterov": flag,
        "ns_coefficients": st.sampled_from([(3.4445, -4.775, 2.0315), (2.0, -1.5, 0.5)]),
        "eps": st.sampled_from([1e-7, 1.0]),
        "ns_steps": st.sampled_from([1, 5]),
        "adjust_lr_fn": st.sampled_from([None, "original", "match_rms_adamw"]),
    },
    "NAdam": {**adam, "momentum_decay": st.sampled_from([4e-3, 0, 1.0]), "decoupled_weight_decay": flag},
    "RAdam": {**adam, "decoupled_weight_decay": flag},
    "RMSprop": {
        "lr": lr,
        "alpha": st.sampled_from([0.99, 0.5, 0.0]),
        "eps": eps,
        "weight_decay": decay,
        "momentum": st.sampled_from([0, 0.9]),
        "centered": flag,
        "maximize": flag,
    },
    "Rprop": {
        "lr": st.sampled_from([1e-4, 0.01, 1.0]),
        "etas": st.sampled_from([(0.5, 1.2), (0.1, 3.0)]),
        "step_sizes": st.sampled_from([(1e-6, 50), (0.0, 0.02)]),
        "maximize": flag,
    },
    "SGD": {
        "lr": lr,
        "momentum": st.sampled_from([0, 0.9]),
        "dampening": st.sampled_from([0, 0.3]),
        "weight_decay": decay,
        "nesterov": flag,
        "maximize": flag,
    },
}
SETTINGS["SparseAdam"] = {"lr": st.sampled_from([1e-4, 0.01, 1.0]), "betas": betas, "eps": eps, "maximize": flag}
NAMES = sorted(SETTINGS)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
plan = st.lists(st.tuples(st.sampled_from(sorted(SIZES)), st.sampled_from([None, None, 0, 2])), min_size=5, max_size=9)


def drawn(name, dtype=torch.float64):
    """Settings that go together.

    SGD's nesterov wants momentum, and no dampening; RMSprop's variance of one gradient, with alpha = 0, is 0 up to a
    rounding of either sign, whose root is a number in one of the two and NaN in the other. In float32, beta2 = 0
    divides by single gradients, of which small ones make both differ from float64 by as much as from each other.
    """

    def fitted(own):
        if own.get("nesterov") and "dampening" in own:
            return own | {"momentum": 0.9, "dampening": 0}
        if dtype == torch.float32 and own.get("betas", (0, 1))[1] == 0:
            return own | {"betas": (0.95, 0.5)}
        return own | {"alpha": 0.5} if own.get("centered") and own["alpha"] == 0 else own

    return st.fixed_dictionaries(SETTINGS[name]).map(fitted)


class Pair:
    """An optimizer and its torch twin over equal values, which are given equal gradients."""

    def __init__(self, name, dtype, own, of_group, seed, strided=False, device="cpu"):
        self.generator = torch.Generator().manual_seed(seed)
        shapes = MATRICES if name == "Muon" else SHAPES
        values = [torch.randn(shape, dtype=dtype, generator=self.generator).to(device) for shape in shapes]
        if strided and not (name == "SparseAdam" and device == "cuda"):  # which torch does not know
            values[0] = values[0].T.contiguous().T
        self.twins = [value.clone() for value in values]
        self.largest = [1.0] * len(values)  # rounding is that of the largest number that a value has had
        self.parameters = [Parameter(value) for value in values]
        self.name, self.own, self.of_group = name, own, of_group
        self.ours, self.theirs = self.build()

    def build(self):
        """A new optimizer and a new twin, with two groups: the second has settings of its own."""
        built = []
        for module, params in ((mytorch.optim, self.parameters), (torch.optim, self.twins)):
            groups = [{"params": params[:2]}, {"params": params[2:], **self.of_group}]
            one_by_one = module is torch.optim and self.name not in ("Muon", "SparseAdam")
            how = {"foreach": False} if one_by_one else {}  # on a GPU, lists are updated with other roundings
            built.append(getattr(module, self.name)(groups, **self.own, **how))
        return built

    def step(self, kind, missing):
        for number, (parameter, twin) in enumerate(zip(self.parameters, self.twins, strict=True)):
            grad = torch.randn(twin.shape, dtype=twin.dtype, generator=self.generator) * SIZES[kind]
            if self.name == "SparseAdam":
                grad *= torch.rand(grad.shape, generator=self.generator) < 0.5
            grad = grad.to(twin.device)
            parameter.grad, twin.grad = (None, None) if number == missing else (grad, grad.clone())
            if self.name == "SparseAdam" and twin.grad is not None:
                twin.grad = twin.grad.to_sparse()
        self.ours.step()
        self.theirs.step()

    def require_same(self, tolerance=None):
        for number, (parameter, twin) in enumerate(zip(self.parameters, self.twins, strict=True)):
            rtol, atol = tolerance or (ON_A_GPU if twin.is_cuda else TOLERANCE[twin.dtype])
            self.largest[number] = max(self.largest[number], twin.abs().max().item())
            torch.testing.assert_close(
                parameter.value, twin, rtol=rtol, atol=atol * self.largest[number], equal_nan=True
            )

    def require_same_state(self, rtol=1e-9):
        for parameter, twin in zip(self.parameters, self.twins, strict=True):
            held, other = self.ours.state.get(parameter, {}), self.theirs.state[twin]
            held = {name: torch.as_tensor(value).cpu() for name, value in held.items()}
            other = {name: torch.as_tensor(value).cpu() for name, value in other.items() if value is not None}
            rtol = ON_A_GPU[0] if twin.is_cuda else rtol
            torch.testing.assert_close(held, other, rtol=rtol, atol=rtol, check_dtype=False, equal_nan=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_torch_over_drawn_settings_and_gradients(name, dtype, device):
    @QUICK
    @given(drawn(name, dtype), st.fixed_dictionaries({"lr": SETTINGS[name]["lr"]}), plan, st.integers(0, 1000), flag)
    def follow(own, of_group, kinds, seed, strided):
        pair = Pair(name, dtype, own, of_group, seed, strided, device)
        for step in range(STEPS):
            pair.step(*kinds[step % len(kinds)])
            pair.require_same()

    follow()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_state_goes_to_torch_and_back_half_way(name, device):
    @QUICK
    @given(drawn(name), st.integers(0, 1000), st.sampled_from([1, 2, 5, 20]))
    def exchange(own, seed, steps):
        pair = Pair(name, torch.float64, own, {}, seed, device=device)
        for _ in range(steps):
            pair.step("ordinary", None)
        pair.require_same_state()
        given_to_theirs, given_to_ours = pair.ours.state_dict(), pair.theirs.state_dict()
        pair.own = {}  # settings come with the state
        pair.ours, pair.theirs = pair.build()
        pair.ours.load_state_dict(given_to_ours)
        pair.theirs.load_state_dict(given_to_theirs)
        for _ in range(steps):
            pair.step("ordinary", None)
            pair.require_same()
        pair.require_same_state()

    exchange()


@pytest.mark.parametrize("name", NAMES)
def test_state_takes_no_more_memory_than_torchs(name):
    pair = Pair(name, torch.float32, {"lr": 0.01}, {}, 0)
    for _ in range(3):
        pair.step("ordinary", None)
    for parameter, twin in zip(pair.parameters, pair.twins, strict=True):
        ours, theirs = pair.ours.state[parameter], pair.theirs.state[twin]
        assert sum(map(size_of, ours.values())) <= sum(size_of(held) for held in theirs.values() if held is not None)


def size_of(held):
    """Bytes; a number of Python's counts as a tensor of one number, as which SparseAdam keeps it here."""
    return held.untyped_storage().nbytes() if isinstance(held, torch.Tensor) else 4


REAL = {"Adafactor", "Muon", "SparseAdam"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REAL])
def test_complex_values(name):
    pair = Pair(name, torch.complex128, {}, {}, 0)
    for _ in range(5):
        pair.step("ordinary", 1)
        for parameter, twin in zip(pair.parameters, pair.twins, strict=True):
            torch.testing.assert_close(parameter.value, twin, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(REAL))
def test_complex_values_are_refused(name):
    complex_value = Parameter(torch.ones(2, 2, dtype=torch.complex64))
    with pytest.raises(ArgumentError, match=f"^{name}: params must be real, got torch.complex64$"):
        getattr(mytorch.optim, name)([complex_value])


@pytest.mark.parametrize("shape", [(), (1,)], ids=["no axes", "one axis"])
@pytest.mark.parametrize("name", NAMES)
def test_lr_may_be_a_tensor(name, shape):
    for strided in (False, True):
        pair = Pair(name, torch.float64, {"lr": torch.full(shape, 0.05, dtype=torch.float64)}, {}, 0, strided)
        pair.own = {"lr": 0.05}
        _, pair.theirs = pair.build()
        for _ in range(4):
            pair.step("ordinary", None)
            pair.require_same()
        for group in pair.theirs.param_groups:
            group["lr"] = 0.01
        for group in pair.ours.param_groups:
            group["lr"].fill_(0.01)
        pair.step("ordinary", None)
        pair.require_same()


def test_every_optimizer_that_torch_has_too_is_here():
    parts = {name for name in mytorch.optim.__all__ if isinstance(getattr(mytorch.optim, name), type)}
    optimizers = {name for name in parts if issubclass(getattr(mytorch.optim, name), Optimizer)}
    assert {name for name in optimizers if hasattr(torch.optim, name)} == {*SETTINGS, "LBFGS"}  # test_lbfgs.py
