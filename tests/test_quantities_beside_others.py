"""Quantities of single samples, curvature and private steps are those of BackPACK and Opacus, where they have them."""

import pytest
import torch

from mytorch.nn import CrossEntropyLoss
from mytorch.optim import SGD
from mytorch.train import Privacy
from mytorch.train.privacy.private_step import PrivateStep
from mytorch.train.quantities import (
    ggn_diagonal,
    kronecker_factors,
    sample_gradients,
    sample_norms,
    sample_second_moment,
    sample_variance,
)

backpack = pytest.importorskip("backpack", reason="backpack-for-pytorch is not installed; see tox -e extras")
opacus = pytest.importorskip("opacus", reason="opacus is not installed; see tox -e extras")
pytest.importorskip("dp_accounting", reason="it comes with mytorch-train[privacy]; see tox -e extras")
pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings("ignore")]  # of both, about hooks
EXACT = 1e-9
CLASSES = 3

OF_BOTH = {
    "perceptron": (
        lambda n: [n.Linear(6, 5), n.Sigmoid(), n.Linear(5, 4, bias=False), n.ReLU(), n.Linear(4, CLASSES)],
        (7, 6),
    ),
    "images": (
        lambda n: [n.Conv2d(2, 3, 2), n.ReLU(), n.MaxPool2d(2), n.Conv2d(3, 4, 2, padding=1), n.Sigmoid(),
                   n.Flatten(), n.Linear(36, CLASSES)],
        (5, 2, 5, 5),
    ),
}  # fmt: skip
OF_GRADIENTS = {
    **OF_BOTH,
    "signals": (
        lambda n: [n.Conv1d(2, 4, 3, stride=2, dilation=2), n.Tanh(), n.Flatten(), n.Linear(12, CLASSES)],
        (4, 2, 9),
    ),
    "volumes": (
        lambda n: [n.Conv3d(2, 2, 2, padding=1), n.Tanh(), n.Flatten(), n.Linear(72, CLASSES)],
        (3, 2, 2, 2, 3),
    ),
}
OF_OPACUS = {
    **OF_GRADIENTS,
    "groups of channels": (
        lambda n: [n.Conv2d(4, 6, 3, groups=2), n.GroupNorm(3, 6), n.Tanh(), n.InstanceNorm2d(6, affine=True),
                   n.Flatten(), n.Linear(24, CLASSES)],
        (4, 4, 4, 4),
    ),
    "layer norm": (lambda n: [n.Linear(6, 5), n.LayerNorm(5), n.Tanh(), n.Linear(5, CLASSES)], (6, 6)),
    "root mean squares": (lambda n: [n.Linear(6, 5), n.RMSNorm(5), n.Tanh(), n.Linear(5, CLASSES)], (6, 6)),
    "words": (lambda n: [n.Embedding(9, 4), n.Flatten(), n.Linear(12, CLASSES)], (5, 3)),
}  # fmt: skip
OF_BACKPACK = {
    **OF_GRADIENTS,
    "transposed": (
        lambda n: [n.ConvTranspose2d(2, 3, 2, stride=2), n.Tanh(), n.Flatten(), n.Linear(48, CLASSES)],
        (4, 2, 2, 2),
    ),
}


def both(case):
    """The same net of PyTorch and of mytorch in float64, and a batch."""
    import mytorch.nn

    torch.manual_seed(3)
    build, shape = case
    theirs = torch.nn.Sequential(*build(torch.nn)).double()
    net = mytorch.nn.Sequential(*build(mytorch.nn)).double()
    net.load_state_dict(theirs.state_dict())
    words = isinstance(theirs[0], torch.nn.Embedding)
    x = torch.randint(9, shape) if words else torch.randn(shape).double()
    return net, theirs, x, torch.randint(CLASSES, shape[:1])


def by_backpack(theirs, x, t, *extensions):
    """Which it writes to attributes of the parameters; the loss must be a mean."""
    theirs, loss = backpack.extend(theirs), backpack.extend(torch.nn.CrossEntropyLoss())
    with backpack.backpack(*(getattr(backpack.extensions, extension)() for extension in extensions)):
        loss(theirs(x), t).backward()
    return dict(theirs.named_parameters())


def require_close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=0, atol=EXACT)


@pytest.mark.parametrize("case", OF_BACKPACK)
def test_gradients_of_samples_are_those_of_backpack(case):
    """Which takes the shares of samples in the gradient of a mean, and divides a variance by their number."""
    net, theirs, x, t = both(OF_BACKPACK[case])
    kinds = ("BatchGrad", "BatchL2Grad", "SumGradSquared", "Variance")
    wanted, rows, loss = by_backpack(theirs, x, t, *kinds), len(x), CrossEntropyLoss()
    each, moments = sample_gradients(net, loss, x, t), sample_second_moment(net, loss, x, t)
    norms, variances = sample_norms(net, loss, x, t, by_parameter=True), sample_variance(net, loss, x, t)
    for name, parameter in wanted.items():
        require_close(each[name], rows * parameter.grad_batch)
        require_close(norms[name], rows * parameter.batch_l2.sqrt())
        require_close(moments[name], rows * parameter.sum_grad_squared)
        require_close(variances[name], parameter.variance * rows**3 / (rows - 1))


@pytest.mark.parametrize("case", OF_OPACUS)
def test_gradients_of_samples_are_those_of_opacus(case):
    net, theirs, x, t = both(OF_OPACUS[case])
    wrapped = opacus.GradSampleModule(theirs)
    torch.nn.functional.cross_entropy(wrapped(x), t).backward()
    found = sample_gradients(net, CrossEntropyLoss(), x, t)
    for name, parameter in theirs.named_parameters():
        require_close(found[name], parameter.grad_sample)


@pytest.mark.parametrize("case", OF_OPACUS)
def test_ghost_norms_are_those_of_opacus(case):
    net, theirs, x, t = both(OF_OPACUS[case])
    kind = opacus.grad_sample.GradSampleModuleFastGradientClipping
    wrapped = kind(theirs, max_grad_norm=1.0, use_ghost_clipping=True)
    torch.nn.functional.cross_entropy(wrapped(x), t).backward()
    found = sample_norms(net, CrossEntropyLoss(), x, t, by_parameter=True)
    for name, parameter in theirs.named_parameters():
        require_close(found[name], parameter._norm_sample)


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
@pytest.mark.parametrize("case", ["perceptron", "images", "layer norm", "words"])
def test_a_private_step_without_noise_is_that_of_opacus(case, mode):
    net, theirs, x, t = both(OF_OPACUS[case])
    norms = sample_norms(net, CrossEntropyLoss(), x, t)
    bound = float(norms.median())
    assert norms.min() < bound < norms.max()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, t), batch_size=len(x))
    module, optimizer, *others = opacus.PrivacyEngine().make_private(
        module=theirs,
        optimizer=torch.optim.SGD(theirs.parameters(), lr=0.5),
        criterion=(loss := torch.nn.CrossEntropyLoss()),
        data_loader=data,
        noise_multiplier=0.0,
        max_grad_norm=bound,
        poisson_sampling=False,
        grad_sample_mode=mode,
    )
    loss = others[0] if mode == "ghost" else loss
    before = {name: parameter.value.clone() for name, parameter in net.named_param()}
    loss(module(x), t).backward()
    optimizer.step()
    take = PrivateStep(Privacy(bound, 0.0, 1e-5), len(x), 1000)
    take(net, CrossEntropyLoss(), SGD(net.param(), lr=0.5), x, t)
    for name, parameter in net.named_param():
        assert not torch.equal(parameter.value, before[name])
        wanted = dict(theirs.named_parameters())[name].detach()
        # Opacus scales by bound / (norm + 1e-6)
        torch.testing.assert_close(parameter.value, wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("share", "noise", "steps"), [(0.01, 1.0, 1000), (0.004, 1.1, 5000), (1.0, 8.0, 20)])
def test_epsilon_is_that_of_opacus_by_the_same_divergences(share, noise, steps):
    """Its accountant by numbers, of privacy loss distributions, is tighter; a bound by divergences is above it."""
    by_divergences = opacus.accountants.RDPAccountant()
    by_divergences.history = [(noise, share, steps)]
    tighter = opacus.accountants.PRVAccountant()
    tighter.history = [(noise, share, steps)]
    found = Privacy(1.0, noise, 1e-5).epsilon({share: steps})
    assert found == pytest.approx(by_divergences.get_epsilon(1e-5), rel=0.005)
    assert tighter.get_epsilon(1e-5) < found


@pytest.mark.parametrize("case", OF_BOTH)
def test_the_diagonal_is_that_of_backpack(case):
    net, theirs, x, t = both(OF_BOTH[case])
    found = ggn_diagonal(net, CrossEntropyLoss(), x, t)
    for name, parameter in by_backpack(theirs, x, t, "DiagGGNExact").items():
        require_close(found[name], parameter.diag_ggn_exact)


@pytest.mark.parametrize("case", OF_BOTH)
def test_the_factors_are_those_of_backpack(case):
    """Which takes, for the weight of a convolution, the factor of its bias."""
    net, theirs, x, t = both(OF_BOTH[case])
    found = kronecker_factors(net, CrossEntropyLoss(), x, t, None)
    for name, parameter in by_backpack(theirs, x, t, "KFLR").items():
        outputs, *inputs = parameter.kflr
        same = name.replace("weight", "bias") if parameter.dim() == 4 else name
        require_close(found[same].outputs, outputs)
        if inputs:
            require_close(found[name].inputs, inputs[0])
