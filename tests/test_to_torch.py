"""Modules of ours in PyTorch: beside their twins of torch.nn, under torch's tools, and what is refused."""

import copy
import doctest
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from mytorch.core import ArgumentError, AutogradError, Buffer, Module, Parameter, ShapeError, UninitializedError
from mytorch.experiments.parity import twin_of
from mytorch.nn import (
    GELU,
    LIF,
    LSTM,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    Heaviside,
    Identity,
    LastStep,
    LayerNorm,
    LazyLinear,
    Linear,
    MaxPool2d,
    MeanStep,
    ModuleList,
    MultiheadAttention,
    ReLU,
    Residual,
    Sequential,
    Sign,
    SinusoidalPositionalEncoding,
    Take,
    Tanh,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from mytorch.optim import SGD
from mytorch.train import fit, step
from mytorch.train.interop import ToTorch, to_torch, torch_module

pytestmark = pytest.mark.numbers


def resnet():
    def block():
        return Sequential(
            Residual(Sequential(Conv2d(4, 4, 3, padding=1, bias=False), BatchNorm2d(4), ReLU())),
            ReLU(),
        )

    return Sequential(Conv2d(2, 4, 3), BatchNorm2d(4), block(), MaxPool2d(2), block(), Flatten(), Linear(36, 3))


def gpt():
    layer = TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True, is_causal=True)
    encoder = TransformerEncoder(layer, 2, norm=LayerNorm(8))
    net = Sequential(
        Embedding(11, 8), SinusoidalPositionalEncoding(8, batch_first=True), encoder, Linear(8, 11, bias=False)
    )
    net[3].weight = net[0].weight
    return net


def lstm():
    return Sequential(LSTM(3, 5, num_layers=2, batch_first=True), Take(0), LastStep(), GELU(), Linear(5, 3))


def spiking():
    return Sequential(Linear(3, 6), Sign(), Linear(6, 5), Heaviside(), LIF(0.8, 0.5), Linear(5, 4), MeanStep())


MODELS = {
    "resnet": (resnet, lambda: torch.randn(4, 2, 8, 8)),
    "gpt": (gpt, lambda: torch.randint(11, (3, 6))),
    "lstm": (lstm, lambda: torch.randn(3, 5, 3)),
    "spiking": (spiking, lambda: torch.randn(3, 5, 3)),
}


@pytest.fixture(params=MODELS)
def pair(request):
    """One of ours as a torch.nn.Module, its twin of torch.nn, and an input."""
    torch.manual_seed(0)
    build, draw = MODELS[request.param]
    net = build().double()
    x = draw()
    return to_torch(net), twin_of(net), x.double() if x.is_floating_point() else x


def small():
    torch.manual_seed(0)
    return Sequential(Linear(4, 5), BatchNorm1d(5), Tanh(), Linear(5, 3)).double()


def rows(count=6):
    return torch.randn(count, 4, dtype=torch.float64, requires_grad=True)


def test_outputs_and_gradients_are_those_of_the_twin(pair):
    ours, twin, x = pair
    y = ours(x)
    d_y = torch.randn_like(y)
    y.backward(d_y)
    twin(x).backward(d_y)
    torch.testing.assert_close(y, twin(x), rtol=1e-10, atol=1e-10)
    gradients = {name: parameter.grad for name, parameter in twin.named_parameters()}
    assert len(gradients) > 5
    torch.testing.assert_close(
        {name: parameter.grad for name, parameter in ours.named_parameters()}, gradients, rtol=1e-10, atol=1e-10
    )


def test_a_training_by_torch_optim_is_that_of_the_twin(pair):
    ours, twin, x = pair
    losses = []
    for module in (ours, twin):
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        losses.append([])
        for _ in range(10):
            optimizer.zero_grad()
            loss = module(x).square().mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            losses[-1].append(loss.item())
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(dict(ours.state_dict()), dict(twin.state_dict()), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours.ours.state_dict(), dict(twin.state_dict()), rtol=1e-10, atol=1e-10)
    assert losses[0][-1] < losses[0][0]


def test_a_training_by_torch_optim_is_that_of_our_own_loop():
    net, loss = small(), CrossEntropyLoss()
    module, twin = to_torch(net), copy.deepcopy(net)
    criterion = to_torch(loss)
    ours = SGD(twin.param(), lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        x, target = rows().detach(), torch.randint(3, (6,))
        step(twin, loss, ours, x, target)
        theirs.zero_grad()
        criterion(module(x), target).backward()
        theirs.step()
    torch.testing.assert_close(net.state_dict(), twin.state_dict(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [small(), Identity(), Dropout(0.5).eval(), Flatten(), Sequential()], ids=repr)
def test_gradcheck(layer):
    module = to_torch(layer)
    assert torch.autograd.gradcheck(module, rows(3))


def test_gradcheck_of_parameters():
    module = to_torch(small())
    names, values = zip(*module.named_parameters(), strict=True)

    def function(*given):
        return torch.func.functional_call(module, dict(zip(names, given, strict=True)), rows_)

    rows_ = rows(3).detach()
    assert torch.autograd.gradcheck(function, tuple(value.detach().clone().requires_grad_() for value in values))


def test_several_inputs_and_nested_outputs():
    torch.manual_seed(0)
    layer = LSTM(3, 5, batch_first=True).double()
    twin = twin_of(layer)
    x, h, c = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 4, 3), (1, 2, 5), (1, 2, 5))
    )

    def gradients(module):
        y, (h_n, c_n) = module(x, (h, c))
        return torch.autograd.grad(y.sum() + c_n.square().sum(), (x, h, c, *module.parameters())), h_n

    torch.testing.assert_close(gradients(to_torch(layer)), gradients(twin), rtol=1e-10, atol=1e-10)
    _, (h_n, _) = to_torch(layer)(input=x, hx=(h, c))  # by name
    torch.testing.assert_close(torch.autograd.grad(h_n.sum(), h), torch.autograd.grad(twin(x, (h, c))[1][0].sum(), h))


def test_packed_sequences():
    torch.manual_seed(0)
    layer = LSTM(3, 5).double()
    twin = twin_of(layer)
    sequences = [torch.randn(length, 3, dtype=torch.float64, requires_grad=True) for length in (2, 5, 3)]

    def gradients(module):
        y, _ = module(pack_sequence(sequences, enforce_sorted=False))
        return torch.autograd.grad(y.data.square().sum(), (*sequences, *module.parameters()))

    torch.testing.assert_close(gradients(to_torch(layer)), gradients(twin), rtol=1e-10, atol=1e-10)


def test_masks_by_name():
    torch.manual_seed(0)
    layer = MultiheadAttention(8, 2, batch_first=True).double()
    twin = twin_of(layer)
    query, key = (torch.randn(2, 4, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    mask = torch.tensor([[False, False, True, True], [False, False, False, False]])

    def gradients(module):
        y, weights = module(query, key, key, key_padding_mask=mask)
        assert weights is not None
        assert module(query, key, key, need_weights=False)[1] is None
        return torch.autograd.grad(y.square().sum() + weights.square().sum(), (query, key, *module.parameters()))

    torch.testing.assert_close(gradients(to_torch(layer)), gradients(twin), rtol=1e-10, atol=1e-10)
    with pytest.raises(AutogradError, match=r"^to_torch: attn_mask of MultiheadAttention must not require grad"):
        to_torch(layer)(query, key, key, attn_mask=torch.zeros(4, 4, dtype=torch.float64, requires_grad=True))


def test_indices_have_no_gradient():
    x = torch.randn(1, 1, 4, 4, requires_grad=True)
    y, indices = to_torch(MaxPool2d(2, return_indices=True))(x)
    assert not indices.requires_grad
    y.sum().backward()
    assert x.grad.sum() == 4


def test_several_forwards_in_flight_in_any_order():
    module, x, z = to_torch(small()).eval(), rows(), rows(3)
    expected = [torch.autograd.grad(module(each).sum(), each)[0] for each in (x, z)]
    first, second = module(x).sum(), module(z).sum()
    assert torch.equal(torch.autograd.grad(first, x)[0], expected[0])
    assert torch.equal(torch.autograd.grad(second, z)[0], expected[1])
    twice = module(x).sum() + module(x).sum()
    assert torch.equal(torch.autograd.grad(twice, x)[0], 2 * expected[0])


def test_threads_share_a_module():
    module, x = to_torch(small()).eval(), rows(200)
    parameters = list(module.parameters())
    expected = torch.autograd.grad(module(x).square().sum(), parameters)

    def once(_):
        return torch.autograd.grad(module(x).square().sum(), parameters)

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(once, range(100)):
            assert all(map(torch.equal, found, expected))


def test_a_graph_that_is_retained_gives_the_same_again_and_no_other():
    module = to_torch(small())
    y = module(rows()).sum()
    parameters = list(module.parameters())
    first = torch.autograd.grad(y, parameters, retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(y, parameters)))
    with pytest.raises(RuntimeError, match=r"backward through the graph a second time"):
        torch.autograd.grad(y, parameters)


def test_gradients_of_gradients_are_refused():
    x = rows()
    with pytest.raises(
        AutogradError, match=r"^to_torch: gradients of Sequential must not be differentiated once more"
    ):
        torch.autograd.grad(to_torch(small())(x).sum(), x, create_graph=True)


def test_weights_that_change_before_the_backward_are_noticed():
    module = to_torch(small())
    y = module(rows())
    torch.optim.SGD(module.parameters(), lr=0.1)
    with torch.no_grad():
        module.get_parameter("3.weight").add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation"):
        y.sum().backward()


def test_outputs_that_were_saved_and_change_are_noticed():
    x = rows()
    y = to_torch(Tanh())(x)
    torch.relu_(y)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation"):
        y.sum().backward()


def test_what_a_backward_leaves_of_the_module():
    net = small()
    net.input_grad = False  # as `fit` leaves it
    net[0].weight.grad = kept = torch.ones_like(net[0].weight.value)
    module, x = to_torch(net), rows()
    module(x).sum().backward()
    assert x.grad is not None
    assert net[0].weight.grad is kept
    assert net[3].weight.grad is None
    assert not net.input_grad
    assert not net[0].input_grad


def test_frozen_parameters():
    net = small()
    net[0].weight.trainable = False
    module = to_torch(net)
    assert not module.get_parameter("0.weight").requires_grad
    module.get_submodule("3").requires_grad_(False)
    module(rows()).sum().backward()
    graded = [name for name, parameter in module.named_parameters() if parameter.grad is not None]
    assert graded == ["0.bias", "1.weight", "1.bias"]
    assert net[3].weight.trainable


def test_modes_of_the_whole_and_of_parts():
    net = small()
    module = to_torch(net)
    module.eval()
    module(rows())
    assert not net[1].training
    assert net[1].num_batches_tracked.value == 0
    module.train()
    module.get_submodule("1").eval()
    module(rows())
    assert (net[0].training, net[1].training) == (True, False)
    module.train()
    module(rows())
    assert net[1].num_batches_tracked.value == module.state_dict()["1.num_batches_tracked"] == 1


def same_memory(module):
    ours, theirs = module.ours.state_dict(), module.state_dict()
    assert ours.keys() == theirs.keys()
    return all(ours[name].data_ptr() == theirs[name].data_ptr() for name in ours)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "torch.save": lambda module: torch.load(saved(module), weights_only=False),
    "dtype": lambda module: copy.deepcopy(module).float().double(),
    "assign": lambda module: assigned(copy.deepcopy(module), module.state_dict()),
}


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return file


def assigned(module, state):
    module.load_state_dict({name: value.clone() for name, value in state.items()}, assign=True)
    return module


@pytest.mark.parametrize("name", COPIES)
def test_copies_stay_in_the_memory_of_their_own_module(name):
    module, x = to_torch(gpt().double()), torch.randint(11, (2, 4))
    other = COPIES[name](module)
    assert same_memory(module)
    assert same_memory(other)
    assert other.ours is not module.ours
    torch.testing.assert_close(other(x), module(x))
    with torch.no_grad():
        other.get_parameter("0.weight").zero_()
    assert not other.ours[0].weight.value.any()
    assert module.ours[0].weight.value.any()
    assert "3.weight" not in dict(other.named_parameters())


def test_values_that_hold_for_one_call():
    module, x = to_torch(small()), rows().detach()
    before = module(x)
    zeros = {name: torch.zeros_like(value).requires_grad_() for name, value in module.named_parameters()}
    y = torch.func.functional_call(module, zeros, (x,))
    y.sum().backward()
    assert not y.any()
    assert zeros["3.bias"].grad.tolist() == [6.0] * 3
    assert module.get_parameter("3.bias").grad is None
    assert same_memory(module)
    torch.testing.assert_close(module(x), before)


def test_a_parametrization():
    torch.manual_seed(0)
    module, twin = to_torch(small()), twin_of(small())
    for each in (module, twin):
        torch.nn.utils.parametrizations.weight_norm(each.get_submodule("0"))
        each(torch.ones(6, 4, dtype=torch.float64) * torch.arange(6).unsqueeze(1)).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in twin.named_parameters()}
    assert "0.parametrizations.weight.original0" in gradients
    found = {name: parameter.grad for name, parameter in module.named_parameters()}
    torch.testing.assert_close(found, gradients, rtol=1e-10, atol=1e-10)


def test_autocast_is_for_the_others():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), to_torch(Sequential(Linear(4, 3), Tanh())))
    with torch.autocast("cpu", torch.bfloat16):
        y = model(torch.randn(5, 4))
    assert y.dtype == torch.float32
    y.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's, at any such break
def test_compiled_graphs_break_at_it():
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4), to_torch(Sequential(Linear(4, 3), Tanh())), torch.nn.Linear(3, 1)
    )
    x = torch.randn(5, 4)
    compiled = torch.compile(model, backend="eager")
    compiled(x).sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model(x).sum().backward()
    torch.testing.assert_close(gradients, [parameter.grad for parameter in model.parameters()])
    torch._dynamo.reset()
    with pytest.raises(Exception, match=r"ToTorch\.forward"):
        torch.compile(model, backend="eager", fullgraph=True)(x)


def test_distributed_data_parallel(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/together", rank=0, world_size=1)
    try:
        module, alone, x = to_torch(small()), to_torch(small()), rows()
        parallel = torch.nn.parallel.DistributedDataParallel(module)
        for _ in range(2):  # a second forward says which parameters had no gradient in the first
            for each in (parallel, alone):
                each(x).square().mean().backward()
    finally:
        torch.distributed.destroy_process_group()
    gradients = [[parameter.grad for parameter in each.parameters()] for each in (module, alone)]
    torch.testing.assert_close(*gradients)
    assert next(iter(parallel.state_dict())) == "module.0.weight"


def test_recomputed_by_torch_checkpoint():
    module, x = to_torch(small()), rows()
    expected = torch.autograd.grad(module(x).square().sum(), x)[0]
    y = torch.utils.checkpoint.checkpoint(module, x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(y.square().sum(), x)[0], expected)


def test_without_gradients_nothing_is_recorded():
    module, x = to_torch(small()), rows()
    with torch.no_grad():
        assert module(x).grad_fn is None
    with torch.inference_mode():
        assert module(x.detach()).is_inference()
    assert not module.requires_grad_(False)(x.detach()).requires_grad


def test_hooks_go_on_the_whole():
    module = to_torch(small())
    called = []
    module.register_forward_hook(lambda *_: called.append("forward"))
    module.get_parameter("0.weight").register_hook(lambda gradient: called.append(tuple(gradient.shape)))
    module(rows()).sum().backward()
    assert called == ["forward", (5, 4)]
    with pytest.raises(ArgumentError, match=r"^to_torch: register_forward_hook must be called on the whole.*Linear"):
        module.get_submodule("0").register_forward_hook(print)
    with pytest.raises(ArgumentError, match=r"^to_torch: Linear must be computed within the whole"):
        module.get_submodule("0")(rows())


class Scaled(Module):
    """Two inputs, a list of modules, a buffer that is replaced, and a name that torch.nn.Module has, too."""

    def __init__(self):
        self.layers = [Linear(4, 3), Tanh()]
        self.named = {"last": Linear(3, 3)}
        self.calls = Buffer(torch.tensor(0))
        self.gain = Parameter(torch.tensor(2.0))

    def forward(self, x, z):
        self.calls.value = self.calls.value + 1
        y, first = self.layers[0].forward(x)
        y, second = self.named["last"].forward(y)
        return {"sum": self.gain.value * y + z, "both": (y, y)}, [first, second, {"y": y}]

    def backward(self, d_output, saved):
        d_sum, (d_y, d_again) = d_output["sum"], d_output["both"]
        self.gain.accumulate((d_sum * saved[2]["y"]).sum())
        d = self.gain.value * d_sum
        for other in (d_y, d_again):
            d = d if other is None else d + other
        d = self.named["last"].backward(d, saved.pop(1))
        return self.layers[0].backward(d, saved.pop(0)), d_sum


def test_a_module_of_an_author():
    module = to_torch(Scaled())
    assert list(module.state_dict()) == [
        *("gain", "calls", "layers.0.weight", "layers.0.bias", "named.last.weight", "named.last.bias")
    ]
    x, z = torch.randn(5, 4, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    y = module(x, z)
    assert y["both"][0] is not y["both"][1]
    for _ in range(2):
        (y["sum"].sum() + 3 * y["both"][0].sum() + 4 * y["both"][1].sum()).backward(retain_graph=True)
    assert module.calls == module.ours.calls.value == 1
    torch.testing.assert_close(z.grad, torch.full((5, 3), 2.0))
    expected = (
        2 * (2 + 3 + 4) * (module.get_parameter("named.last.weight").sum(0) @ module.get_parameter("layers.0.weight"))
    )
    torch.testing.assert_close(x.grad, expected.detach().expand(5, 4))


def test_shared_modules_are_shared():
    layer = Linear(4, 4)
    module = to_torch(Sequential(layer, Tanh(), layer))
    assert module.get_submodule("0") is module.get_submodule("2")
    assert len(list(module.parameters())) == 2
    assert len(module.state_dict()) == 4


def test_errors_name_the_layer():
    with pytest.raises(ShapeError, match=r"^Linear: last axis of x must be 4") as caught:
        to_torch(small())(torch.randn(3, 5, dtype=torch.float64, requires_grad=True))
    assert "in layer '0' (Linear) of Sequential" in caught.value.__notes__


def test_refusals():
    with pytest.raises(ArgumentError, match=r"^to_torch: module must be a Module of mytorch, got torch\.nn\.modules"):
        to_torch(torch.nn.Linear(2, 2))
    with pytest.raises(UninitializedError, match=r"^Sequential: every parameter and buffer must have its shape"):
        to_torch(Sequential(LazyLinear(3)))
    target = torch.zeros(6, 3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(AutogradError, match=r"^to_torch: target of CrossEntropyLoss must not require grad"):
        to_torch(CrossEntropyLoss())(target, target)
    with pytest.raises(ArgumentError, match=r"^to_torch: the module must stay one, got a replica"):
        to_torch(small())._replicate_for_data_parallel()


def test_it_prints_as_ours_and_is_trained_by_both():
    net = small()
    module = to_torch(net)
    assert isinstance(module, ToTorch)
    assert repr(module).splitlines()[:2] == ["Sequential(", "  (0): Linear(in_features=4, out_features=5)"]
    before = module.get_parameter("0.weight").clone()
    data = [(torch.randn(4, dtype=torch.float64), torch.tensor(1)) for _ in range(8)]
    fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), torch.utils.data.DataLoader(data, 4), epochs=1, quiet=True)
    assert not torch.equal(module.get_parameter("0.weight"), before)
    assert same_memory(module)


def test_a_container_without_a_forward_of_its_own():
    assert list(to_torch(ModuleList([Linear(2, 3)])).state_dict()) == ["0.weight", "0.bias"]


def test_the_examples_of_the_docstrings():
    found = doctest.testmod(torch_module)
    assert (found.attempted > 8, found.failed) == (True, 0)
