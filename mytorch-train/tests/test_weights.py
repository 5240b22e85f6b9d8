"""A model on disk."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_parts import Chain, Dense, Noise, Rectify, Shift, SquaredError, network

from mytorch.core import (
    DescriptionError,
    LazyModule,
    Module,
    Parameter,
    StateError,
    UninitializedError,
    UninitializedParameter,
    describe,
)
from mytorch.plugins import FileError, UnknownNameError
from mytorch.train import RunError, load_model, save_model, sealed


class Tied(Module):
    """Two layers with one weight."""

    def __init__(self, size):
        self.one, self.two = Dense(size, size), Dense(size, size)
        self.two.weight = self.one.weight

    def forward(self, x):
        y, saved = self.one.forward(x)
        z, other = self.two.forward(y)
        return z, (saved, other)

    def backward(self, d_z, saved):
        return self.one.backward(self.two.backward(d_z, saved[1]), saved[0])


class Local(Dense):
    """A class that no entry point offers."""


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_model_comes_back_as_it_was(tmp_path, dtype, installed, request):
    if installed:
        request.getfixturevalue("parts")
    net = Chain(Dense(2, 4, bias=False), Chain(Rectify(), Noise()), Dense(4, 2)).to(dtype)
    save_model(net, tmp_path)
    assert files(tmp_path) == ["model.json", "weights.safetensors"]
    loaded = load_model(tmp_path)
    assert repr(loaded) == repr(net)
    torch.testing.assert_close(loaded.state_dict(), net.state_dict(), rtol=0, atol=0)
    named = json.loads((tmp_path / "model.json").read_text())["model"]["layers"][0]["type"]
    assert named == ("toy-parts:Dense" if installed else "toy_parts:Dense")


def test_a_folder_may_be_given_as_text(tmp_path):
    net = network()
    save_model(net, str(tmp_path))
    torch.testing.assert_close(load_model(str(tmp_path)).state_dict(), net.state_dict(), rtol=0, atol=0)
    gone = str(tmp_path / "gone")
    with pytest.raises(FileError, match=r"gone.*weights\.safetensors"):
        save_model(net, gone)
    with pytest.raises(RunError, match=r"gone.model\.json: this file is missing"):
        load_model(gone)


def test_mixed_dtypes(tmp_path):
    net = Chain(Dense(2, 4), Dense(4, 2).to(torch.float64))
    save_model(net, tmp_path)
    assert [p.value.dtype for p in load_model(tmp_path).param()] == [torch.float32] * 2 + [torch.float64] * 2


def test_weights_that_are_views_are_stored_by_themselves(tmp_path):
    net = network()
    net.layers[0].weight.value = torch.randn(2, 100)[:, :4].T
    save_model(net, tmp_path)
    assert (tmp_path / "weights.safetensors").stat().st_size < 1000
    torch.testing.assert_close(load_model(tmp_path).state_dict(), net.state_dict(), rtol=0, atol=0)


def test_tensors_among_the_arguments(tmp_path):
    net = Chain(Shift(torch.tensor([1.5, -2.0])))
    save_model(net, tmp_path)
    x = torch.randn(3, 2)
    assert torch.equal(load_model(tmp_path)(x), net(x))


def test_a_tied_parameter_is_stored_once_and_comes_back_tied(tmp_path):
    net = Tied(2).to(torch.float64)
    save_model(net, tmp_path)
    assert sorted(load_file(tmp_path / "weights.safetensors")) == ["one.bias", "one.weight", "two.bias"]
    loaded = load_model(tmp_path)
    assert loaded.two.weight is loaded.one.weight
    torch.testing.assert_close(loaded.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_a_module_used_twice(tmp_path):
    layer = Dense(2, 2)
    save_model(Chain(layer, Rectify(), layer), tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.layers[0] is loaded.layers[2]


def test_saving_again_replaces(tmp_path):
    net = network()
    save_model(net, tmp_path)
    net.layers[0].weight.value.fill_(7)
    save_model(net, tmp_path)
    assert float(load_model(tmp_path).layers[0].weight.value.mean()) == 7
    assert files(tmp_path) == ["model.json", "weights.safetensors"]


def rename_class(folder, name):
    path = folder / "model.json"
    path.write_text(path.read_text().replace(f"{Local.__module__}:Local", name))


def test_classes_of_ones_own(tmp_path):
    save_model(Local(2, 3), tmp_path)
    rename_class(tmp_path, "gone:Local")
    assert type(load_model(tmp_path, {"gone:Local": Local})) is Local
    with pytest.raises(UnknownNameError, match="layer: 'gone:Local' is not installed"):
        load_model(tmp_path)


def test_an_argument_that_json_cannot_hold_fails_at_save(tmp_path):
    class Odd(Rectify):
        def __init__(self, rule):
            pass

    with pytest.raises(DescriptionError, match=r"model.layers.0.rule: an argument must be something JSON can hold"):
        save_model(Chain(Odd(abs)), tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other", "folder"])
def test_a_missing_or_damaged_file(tmp_path, name, damage):
    save_model(network(), tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "other": b"\x80\x02}q\x00."}[damage])
    with pytest.raises(RunError, match=rf"{name}: (this file is missing|must be a whole)"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "a description must be an object with format and model, got []"),
        ("{}", "format must be 1, got None"),
        ('{"format": 2, "model": {}}', "format must be 1, got 2"),
        ('{"format": 1}', "model: must be a module, with the name of its class as type, got None"),
        ('{"format": 1, "model": {}}', "model: must be a module, with the name of its class as type, got {}"),
        ('{"format": 1, "model": {"type": "toy_parts:Dense"}}', "model: Dense cannot be built from"),
        ('{"format": 1, "model": {"type": "toy_parts:Dense", "in_features": -1, "out_features": 2}}', "RuntimeError"),
        (
            '{"format": 1, "model": {"type": "toy_parts:Dense", "in_features": 2, "out_features": 2}, "tied": [[]]}',
            "tied.0: must be a list of names of one parameter, got []",
        ),
        ('{"format": 1, "model": {"type": "toy_parts:SGD"}}', None),
        (
            '{"format": 1, "model": {"type": "toy_parts:Shift", "shift": {"type": "tensor", "key": "x"}}}',
            "'x' is missing",
        ),
    ],
)
def test_a_description_that_describes_nothing(tmp_path, content, reason):
    save_model(network(), tmp_path)
    (tmp_path / "model.json").write_text(content)
    if reason is None:
        with pytest.raises(UnknownNameError):
            load_model(tmp_path)
        return
    with pytest.raises(RunError, match=r"model.json: must describe a model that can be built here, got") as info:
        load_model(tmp_path)
    assert reason in str(info.value)


def test_a_description_that_is_too_deep(tmp_path):
    save_model(network(), tmp_path)
    (tmp_path / "model.json").write_text("[" * 100_000)
    with pytest.raises(
        RunError, match=r"model.json: must have lists and objects that are less deep within .*, got more"
    ):
        load_model(tmp_path)


def test_weights_that_do_not_fit(tmp_path):
    save_model(network(), tmp_path)
    tensors = load_file(tmp_path / "weights.safetensors")
    save_file({**tensors, "0.weight": torch.zeros(5, 2)}, tmp_path / "weights.safetensors")
    with pytest.raises(StateError, match=r"0.weight must have shape \(4, 2\), got \(5, 2\)"):
        load_model(tmp_path)
    del tensors["2.bias"]
    save_file({**tensors, "3.bias": torch.zeros(5)}, tmp_path / "weights.safetensors")
    with pytest.raises(StateError, match=r"missing: 2.bias; unexpected: 3.bias"):
        load_model(tmp_path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_the_old_file_whole(tmp_path, monkeypatch, error):
    net = network()
    save_model(net, tmp_path)
    old = net.layers[0].weight.value.clone()
    net.layers[0].weight.value += 1

    def fails(tensors, path, metadata):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(sealed, "save_file", fails)
    with pytest.raises(FileError if isinstance(error, OSError) else KeyboardInterrupt) as info:
        save_model(net, tmp_path)
    if isinstance(error, OSError):
        assert "weights.safetensors: must be writable, got No space left on device" in str(info.value)
    assert files(tmp_path) == ["model.json", "weights.safetensors"]
    assert torch.equal(load_model(tmp_path).layers[0].weight.value, old)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"weights.safetensors: must be writable, got"):
        save_model(network(), tmp_path / "none")


def test_parameters_among_the_arguments(tmp_path):
    class Shared(Dense):
        def __init__(self, weight: Parameter):
            super().__init__(2, 2, bias=False)
            self.weight = weight

    first = Dense(2, 2)
    save_model(Chain(first, Shared(first.weight)), tmp_path)
    loaded = load_model(tmp_path, {f"{Shared.__module__}:{Shared.__qualname__}": Shared})
    assert loaded.layers[1].weight is loaded.layers[0].weight


def test_no_pickle(tmp_path, monkeypatch):
    import pickle

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, None)
    save_model(Chain(network(), SquaredError()), tmp_path)
    load_model(tmp_path)


def test_integers_for_a_weight_are_damage(tmp_path):
    save_model(network(), tmp_path)
    file = tmp_path / "weights.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"0.weight": tensors["0.weight"].long()}, file)
    with pytest.raises(RunError, match=r"weights.safetensors: 0.weight must be floating point, got torch.int64"):
        load_model(tmp_path)


class LazyDense(LazyModule):
    """A Dense that takes in_features from its first input."""

    becomes = Dense

    def __init__(self, out_features):
        self.weight, self.bias = UninitializedParameter(), UninitializedParameter()

    def sizes_of_state(self, state):
        return {"in_features": state["weight"].shape[1]} if "weight" in state else None


def test_weights_tell_a_lazy_layer_of_the_description_its_sizes(tmp_path):
    net = Chain(Dense(3, 2), Rectify()).double()
    save_model(net, tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(describe(Chain(LazyDense(2), Rectify()))[0]))
    loaded = load_model(tmp_path)
    assert type(loaded.layers[0]) is Dense
    torch.testing.assert_close(loaded.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_a_lazy_layer_without_weights_cannot_be_saved(tmp_path):
    with pytest.raises(UninitializedError, match="run one batch through the model"):
        save_model(Chain(LazyDense(2)), tmp_path)


def test_a_small_file_that_declares_a_large_model_takes_no_memory(tmp_path):
    save_model(network(), tmp_path)
    description = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(description.replace('_features": 4', '_features": 3000000000'))
    with pytest.raises(StateError, match=r"weights.safetensors: .*0.weight must have shape \(3000000000, 2\), got"):
        load_model(tmp_path)


def test_an_unknown_class_is_told_with_its_file(tmp_path):
    save_model(network(), tmp_path)
    description = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(description.replace("toy_parts:Dense", "toy_parts:Dance"))
    with pytest.raises(UnknownNameError) as error:
        load_model(tmp_path)
    assert f"in {tmp_path / 'model.json'}" in error.value.__notes__
