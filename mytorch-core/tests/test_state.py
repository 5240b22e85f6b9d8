"""state_dict and load_state_dict."""

import pytest
import torch

from mytorch.core import Buffer, Module, Parameter, StateError


class Dense(Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        self.weight = Parameter(torch.randn(out_features, in_features))
        self.bias = Parameter(torch.randn(out_features))
        self.steps = Buffer(torch.tensor(0))


class Pair(Module):
    def __init__(self, first: Module, second: Module) -> None:
        self.first, self.second = first, second


NAMES = ["first.weight", "first.bias", "first.steps", "second.weight", "second.bias", "second.steps"]


def test_lists_parameters_and_buffers_in_torchs_order() -> None:
    assert list(Pair(Dense(2, 3), Dense(3, 1)).state_dict()) == NAMES


def test_lists_what_is_tied_under_every_name() -> None:
    shared = Dense(2, 2)
    state = Pair(shared, shared).state_dict()
    assert list(state) == NAMES
    assert state["first.weight"] is state["second.weight"]


def test_shares_memory_with_the_module() -> None:
    net = Dense(2, 3)
    net.state_dict()["weight"].zero_()
    assert net.weight.value.abs().sum() == 0


def test_loads_in_place_and_converts_the_dtype() -> None:
    source, net = Pair(Dense(2, 3), Dense(3, 1)), Pair(Dense(2, 3), Dense(3, 1))
    places = [held.value.data_ptr() for _, held in net.named_state()]
    net.load_state_dict({name: value.double() for name, value in source.state_dict().items()})
    assert [held.value.data_ptr() for _, held in net.named_state()] == places
    for name, value in net.state_dict().items():
        assert value.dtype is source.state_dict()[name].dtype
        torch.testing.assert_close(value, source.state_dict()[name], rtol=0, atol=0)


def test_exchanges_with_torch_both_ways() -> None:
    class Linear(Module):
        def __init__(self) -> None:
            self.weight, self.bias = Parameter(torch.randn(3, 2)), Parameter(torch.randn(3))

    ours, theirs = Linear(), torch.nn.Linear(2, 3)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(theirs.weight.detach(), ours.weight.value)
    fresh = Linear()
    fresh.load_state_dict(torch.nn.Linear(2, 3).state_dict() | {"bias": theirs.bias})
    torch.testing.assert_close(fresh.bias.value, ours.bias.value)
    assert not fresh.bias.value.requires_grad


def test_all_differences_come_in_one_error_before_anything_is_copied() -> None:
    net = Pair(Dense(2, 3), Dense(3, 1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = {name: torch.zeros_like(value) for name, value in before.items()}
    del state["second.bias"]
    state |= {"first.weight": torch.zeros(9, 2), "second.weight": torch.zeros(7), "third.x": torch.zeros(1)}
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Pair: state must fit the module; first.weight must have shape (3, 2), got (9, 2); "
        "second.weight must have shape (1, 3), got (7,); missing: second.bias; unexpected: third.x"
    )
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_not_strict_takes_what_fits_and_still_refuses_shapes() -> None:
    net = Dense(2, 3)
    net.load_state_dict({"bias": torch.ones(3), "other": torch.ones(1)}, strict=False)
    torch.testing.assert_close(net.bias.value, torch.ones(3))
    with pytest.raises(StateError, match=r"bias must have shape \(3,\), got \(4,\)"):
        net.load_state_dict({"bias": torch.ones(4)}, strict=False)


def test_loads_under_inference_mode_what_was_saved_under_it() -> None:
    net = Dense(2, 3)
    with torch.inference_mode():
        net.load_state_dict({name: value + 1 for name, value in net.state_dict().items()})
    assert not net.weight.value.is_inference()
    assert net.steps.value.item() == 1


def test_what_is_no_tensor_and_what_is_complex_are_refused_by_name() -> None:
    net = Dense(2, 3)
    before = net.weight.value.clone()
    state = net.state_dict() | {"weight": torch.ones(3, 2, dtype=torch.complex64), "bias": [1.0, 2.0, 3.0]}
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Dense: state must fit the module; weight must be real, got torch.complex64; bias must be a tensor, got a list"
    )
    torch.testing.assert_close(net.weight.value, before, rtol=0, atol=0)


def test_returns_what_was_missing_and_what_was_not_expected() -> None:
    net = Dense(2, 3)
    found = net.load_state_dict({"bias": torch.ones(3), "other": torch.ones(1)}, strict=False)
    assert found.missing_keys == ["weight", "steps"]
    assert found.unexpected_keys == ["other"]
    assert net.load_state_dict(net.state_dict()) == ([], [])


@pytest.mark.parametrize("present", ["first", "second"])
def test_a_tied_tensor_may_come_under_any_of_its_names(present: str) -> None:
    shared = Dense(2, 2)
    net = Pair(shared, shared)
    state = {name: torch.ones_like(value) for name, value in net.state_dict().items() if name.startswith(present)}
    assert net.load_state_dict(state) == ([], [])
    assert shared.weight.value.eq(1).all()
    del state[f"{present}.bias"]
    with pytest.raises(StateError, match=r"missing: first\.bias, second\.bias$"):
        net.load_state_dict(state)


def test_names_that_a_wrapper_wrote_are_told_with_the_way_out() -> None:
    net = Dense(2, 3)
    state = {f"module.{name}": value + 1 for name, value in net.state_dict().items()}
    with pytest.raises(
        StateError, match=r"as DataParallel writes them: load \{name\.removeprefix\('module\.'\): value"
    ):
        net.load_state_dict(state)
    net.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state | {"module.other": torch.ones(1)})
    assert "DataParallel" not in str(caught.value)


BAD_VALUES = {
    "must be a tensor, got None": None,
    "must be a tensor, got a float": 1.0,
    "must be dense, got torch.sparse_coo; convert with .to_dense()": torch.ones(3).to_sparse(),
    "must hold numbers, got a tensor on the meta device": torch.ones(3, device="meta"),
    "must have shape (3,), got (1,)": torch.ones(1),
}


@pytest.mark.parametrize(("text", "value"), BAD_VALUES.items(), ids=BAD_VALUES)
@pytest.mark.parametrize("strict", [True, False])
def test_values_that_are_none(text: str, value: object, strict: bool) -> None:
    net = Dense(2, 3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(StateError) as caught:
        net.load_state_dict({**before, "weight": torch.zeros(3, 2), "bias": value}, strict=strict)
    assert str(caught.value) == f"Dense: state must fit the module; bias {text}"
    for name, kept in net.state_dict().items():
        torch.testing.assert_close(kept, before[name], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_quantized_values_are_refused() -> None:
    net = Dense(2, 3)
    bias = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    with pytest.raises(StateError, match=r"bias must not be quantized, got torch.qint8; convert with .dequantize\(\)"):
        net.load_state_dict({**net.state_dict(), "bias": bias})


def test_a_module_on_the_meta_device_takes_no_numbers() -> None:
    net = Dense(2, 3).to("meta")
    with pytest.raises(StateError, match="weight must be on a device that keeps numbers, got a module on the meta"):
        net.load_state_dict(Dense(2, 3).state_dict())


@pytest.mark.parametrize(("state", "kind"), [(None, "None"), ([1], "a list"), ("net.pt", "a str")])
def test_a_state_is_a_mapping(state: object, kind: str) -> None:
    with pytest.raises(StateError, match=f"Dense: state must be a mapping from names to tensors, got {kind}; pass"):
        Dense(2, 3).load_state_dict(state)  # type: ignore[arg-type]


def test_a_name_that_is_no_text_is_unexpected() -> None:
    net = Dense(2, 3)
    with pytest.raises(StateError, match=r"unexpected: 3$"):
        net.load_state_dict({**net.state_dict(), 3: torch.ones(1)})
