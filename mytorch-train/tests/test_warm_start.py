"""Beginning with the weights of another model."""

import pytest
import torch
from safetensors.torch import save_file
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError

from mytorch.core import ArgumentError, StateError
from mytorch.train import RunError, fit, save_model, warm_start


def network(outputs=2):
    return Chain(Dense(3, 4), Rectify(), Dense(4, outputs))


def state(net):
    return {name: held.value.clone() for name, held in net.named_state()}


def test_a_folder_a_file_and_a_state_dict_give_the_same(tmp_path):
    old = network()
    save_model(old, tmp_path)
    save_file(old.state_dict(), tmp_path / "torchs.safetensors")
    for source in (tmp_path, str(tmp_path / "torchs.safetensors"), old.state_dict()):
        net = network()
        start = warm_start(net, source)
        assert all(torch.equal(value, state(net)[name]) for name, value in state(old).items())
        assert start.taken == {name: tuple(value.shape) for name, value in state(old).items()}
        assert (start.new, start.left, start.frozen) == ({}, {}, {})


def test_patterns_say_what_is_taken_left_and_frozen():
    old, net = network(), network(5)
    drawn = state(net)
    start = warm_start(net, {**old.state_dict(), "head.weight": torch.ones(2)}, leave="2.*", freeze=["0.weight"])
    assert list(start.taken) == ["0.weight", "0.bias"]
    assert list(start.new) == ["2.weight", "2.bias"]
    assert sorted(start.left) == ["2.bias", "2.weight", "head.weight"]
    assert start.frozen == {"0.weight": (4, 3)}
    assert torch.equal(state(net)["2.weight"], drawn["2.weight"])
    assert [name for name, one in net.named_param() if not one.trainable] == ["0.weight"]


def test_what_is_frozen_stays_and_the_rest_is_trained():
    net = network()
    warm_start(net, network().state_dict(), freeze="0.*")
    before = state(net)
    rows = [(torch.randn(3), torch.randn(2)) for _ in range(8)]
    fit(net, SquaredError(), SGD(net.param(), lr=0.1), rows, epochs=2, batch_size=4, quiet=True)
    assert [name for name, value in state(net).items() if not torch.equal(value, before[name])] == [
        "2.weight",
        "2.bias",
    ]


def test_another_dtype_is_converted():
    old, net = network().to(torch.float64), network()
    warm_start(net, old.state_dict())
    assert net.param()[0].value.dtype == torch.float32
    assert torch.equal(net.param()[0].value, old.param()[0].value.float())


def test_a_tied_weight_is_taken_under_either_name():
    shared = Dense(3, 3)
    net = Chain(shared, shared)
    start = warm_start(net, {"1.weight": torch.ones(3, 3)}, take="*weight")
    assert torch.equal(shared.weight.value, torch.ones(3, 3))
    assert list(start.taken) == ["1.weight"]
    assert "0.weight" not in start.new


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"0.weight": torch.ones(4, 4)}, r"0.weight must be \(4, 3\), got \(4, 4\); leave them out"),
        ({"0.bias": torch.ones(4, dtype=torch.int64)}, "0.bias must be of torch.float32, got torch.int64"),
        ({"0.bias": [1.0]}, "0.bias must be a tensor, got list"),
        (
            {"0.bias": torch.ones(4, device="meta")},
            "0.bias must be a tensor that holds all of its numbers, got one wit",
        ),
        ({"0.weight": torch.ones(4, 3).to_sparse()}, "0.weight must be a tensor that .*, got one of torch.sparse_coo"),
        ({0: torch.ones(4)}, "names in the source must be text, got 0"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, text):
    net = network()
    before = state(net)
    with pytest.raises(StateError, match=text):
        warm_start(net, {**network().state_dict(), **change})
    assert all(torch.equal(value, before[name]) for name, value in state(net).items())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"take": "9.*"}, ArgumentError, "take must match names of weights, got '9.\\*', which matches none"),
        ({"freeze": ["head.*"]}, ArgumentError, "freeze must match names of weights"),
        ({"freeze": "*"}, ArgumentError, "freeze must leave parameters to train"),
        ({"leave": "*"}, StateError, "the source must have weights that the model takes"),
        ({"take": [3]}, ArgumentError, "take must be patterns of names"),
        ({"take": 5}, ArgumentError, "take must be patterns of names, got 5"),
        ({"leave": None}, ArgumentError, "leave must be patterns of names, got None"),
        ({"freeze": True}, ArgumentError, "freeze must be patterns of names, got True"),
        ({"take": "x" * 100_000}, ArgumentError, r"got 'x{90,200}\.\.\.x+', which"),
    ],
)
def test_patterns_that_fit_nothing_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        warm_start(network(), network().state_dict(), **options)


def test_names_of_another_model_are_refused():
    with pytest.raises(StateError, match=r"got module\.0\.weight, module\.0\.bias"):
        warm_start(network(), {f"module.{name}": value for name, value in network().state_dict().items()})


def test_an_empty_source_is_refused():
    with pytest.raises(
        StateError, match=r"weights that the model takes, got none for 0\.weight, .* and \d more; rename"
    ):
        warm_start(network(), {})


def test_a_source_that_is_not_there_or_no_file_of_weights_is_refused(tmp_path):
    with pytest.raises(RunError, match="must be the folder of a run or a safetensors file, got nothing there"):
        warm_start(network(), tmp_path / "nowhere")
    (tmp_path / "a.safetensors").write_bytes(b"no")
    with pytest.raises(RunError, match="must be a whole safetensors file"):
        warm_start(network(), tmp_path / "a.safetensors")
    with pytest.raises(ArgumentError, match="source must be a path or a state dict, got int"):
        warm_start(network(), 3)
