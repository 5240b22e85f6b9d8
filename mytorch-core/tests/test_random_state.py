"""Keeping and restoring all that random numbers are drawn from."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy.random
import pytest
import torch
from torch import Tensor

from mytorch.core import Module, RandomState, StateError, random_state, seed_torch


class Draws(Module):
    """Holds a generator, or none."""

    def __init__(self, generator: Any = None) -> None:
        self.generator = generator


class Pair(Module):
    def __init__(self, one: Module, other: Module) -> None:
        self.one, self.other = one, other


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


SOURCES: dict[str, Callable[[], Any]] = {
    "torch": lambda: torch.randn(5).tolist(),
    "torch, one number": lambda: torch.randn(1).item(),
    "Python": random.random,
    "Python, normal": lambda: random.gauss(0, 1),
    "NumPy": lambda: numpy.random.rand(3).tolist(),
    "NumPy, normal": lambda: numpy.random.standard_normal(),  # keeps the second of two for the next call
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("drawn_before", [0, 1, 2])
def test_the_same_numbers_come_again(source: str, drawn_before: int) -> None:
    draw = SOURCES[source]
    for _ in range(drawn_before):
        draw()
    state = random_state()
    first = [draw(), draw(), draw()]
    for _ in range(2):  # as often as wanted
        state.restore()
        assert [draw(), draw(), draw()] == first


def test_the_state_is_taken_again_of_the_same_generators() -> None:
    inner = seeded(1)
    sources = [*SOURCES.values(), lambda: torch.rand(3, generator=inner).tolist()]
    before = random_state(Pair(Draws(), Draws(inner)))
    first = [draw() for draw in sources]
    later = before.again()
    then = [draw() for draw in sources]
    later.restore()
    assert [draw() for draw in sources] == then
    before.restore()
    assert [draw() for draw in sources] == first


def test_a_layers_own_generator_is_restored_at_any_depth() -> None:
    inner, loss = seeded(1), seeded(2)
    net = Pair(Draws(), Pair(Draws(inner), Draws()))
    torch.rand(3, generator=inner)
    state = random_state(net, Draws(loss))
    first = torch.rand(3, generator=inner), torch.rand(3, generator=loss)
    state.restore()
    torch.testing.assert_close((torch.rand(3, generator=inner), torch.rand(3, generator=loss)), first, rtol=0, atol=0)


OTHERS: dict[str, tuple[Callable[[int], Any], Callable[[Any], Any]]] = {
    "Python": (random.Random, lambda own: (own.gauss(0, 1), own.random())),
    "NumPy": (numpy.random.default_rng, lambda own: own.standard_normal(3).tolist()),
    "NumPy, another": (
        lambda seed: numpy.random.Generator(numpy.random.MT19937(seed)),
        lambda own: own.random(3).tolist(),
    ),
    "NumPy, of old": (numpy.random.RandomState, lambda own: own.standard_normal(3).tolist()),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_layers_own_generator_of_numpy_or_python_is_kept_too(kind: str) -> None:
    seed, draw = OTHERS[kind]
    here, there = seed(1), seed(2)
    draw(here)
    state = random_state(Draws(here), Draws(here))
    assert not state.drawn()
    assert [name for name in state.state_dict() if name.startswith("modules.")] == ["modules.0.generator"]
    first = draw(here)
    assert state.drawn()
    then = state.again()
    later = draw(here)
    then.restore()
    assert draw(here) == later
    state.restore()
    assert draw(here) == first
    RandomState.from_state_dict(stored(state), Draws(there)).restore()
    assert draw(there) == first
    drawn = []
    for number in (1, 2, 1):
        state.branch(number, ["modules.0.generator"])
        drawn.append(draw(here))
    assert drawn[0] == drawn[2] != drawn[1]


@pytest.mark.parametrize(
    ("kind", "owner"), [("Python", "Python's"), ("NumPy", "NumPy's"), ("NumPy, of old", "NumPy's")]
)
def test_what_is_no_state_of_such_a_generator_is_refused(kind: str, owner: str) -> None:
    net = Draws(OTHERS[kind][0](1))
    state = stored(random_state(net)) | {"modules.0.generator": {"bit_generator": "seed"}}
    before = stored(random_state(net))
    with pytest.raises(
        StateError, match=rf"^RandomState: modules\.0\.generator must be a state of {owner} random, got"
    ):
        RandomState.from_state_dict(state, net)
    assert stored(random_state(net))["modules.0.generator"] == before["modules.0.generator"]


def test_a_generator_of_several_layers_is_kept_once_and_torchs_own_is_not_kept_again() -> None:
    shared = seeded(1)
    net = Pair(Pair(Draws(shared), Draws(shared)), Draws(torch.default_generator))
    names = [name for name in random_state(net, Draws(shared)).state_dict() if name.startswith("modules.")]
    assert names == ["modules.0.one.one.generator"]


def test_it_is_restored_at_the_end_of_a_block_and_after_an_error() -> None:
    generator = seeded(3)
    before = torch.get_rng_state(), generator.get_state()

    def draw_and_fail() -> None:
        with random_state(Draws(generator)):
            torch.rand(2)
            torch.rand(2, generator=generator)
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
    torch.testing.assert_close((torch.get_rng_state(), generator.get_state()), before)


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("restored", [True, False])
def test_inference_mode_makes_no_difference(taken: bool, restored: bool) -> None:
    generator = seeded(4)
    with torch.inference_mode(taken):
        state = random_state(Draws(generator))
    first = torch.rand(3), torch.rand(3, generator=generator)
    with torch.inference_mode(restored):
        state.restore()
    torch.testing.assert_close((torch.rand(3), torch.rand(3, generator=generator)), first, rtol=0, atol=0)
    with torch.inference_mode(restored):
        RandomState.from_state_dict(state.state_dict(), Draws(generator)).restore()
    torch.testing.assert_close((torch.rand(3), torch.rand(3, generator=generator)), first, rtol=0, atol=0)


def stored(state: RandomState) -> dict[str, Any]:
    """What a file gives back that keeps tensors as they are and the rest as JSON."""
    entries = state.state_dict()
    tensors = {name: value.clone() for name, value in entries.items() if isinstance(value, Tensor)}
    rest = {name: value for name, value in entries.items() if name not in tensors}
    assert all(value.dtype == torch.uint8 and value.dim() == 1 for value in tensors.values())
    return tensors | json.loads(json.dumps(rest, allow_nan=False))


def test_a_stored_state_goes_into_a_model_that_was_built_anew() -> None:
    random.gauss(0, 1)
    numpy.random.standard_normal()
    here, there = seeded(5), seeded(6)
    state = stored(random_state(Pair(Draws(), Draws(here))))
    assert set(state) >= {"cpu", "python", "numpy", "modules.0.other.generator"}
    first = [draw() for draw in SOURCES.values()], torch.rand(3, generator=here)
    again = RandomState.from_state_dict(state, Pair(Draws(), Draws(there)))
    assert not torch.equal(there.get_state(), state["modules.0.other.generator"])  # until it is restored
    again.restore()
    assert [draw() for draw in SOURCES.values()] == first[0]
    torch.testing.assert_close(torch.rand(3, generator=there), first[1], rtol=0, atol=0)


def test_what_is_not_there_to_be_restored_is_left_out() -> None:
    state = stored(random_state())
    first = torch.rand(3)
    RandomState.from_state_dict(state | {"cuda.7": state["cpu"]}).restore()
    torch.testing.assert_close(torch.rand(3), first, rtol=0, atol=0)


def test_another_bit_generator_of_numpy() -> None:
    before = numpy.random.get_bit_generator()
    numpy.random.set_bit_generator(numpy.random.PCG64(3))
    try:
        state = stored(random_state())
        first = numpy.random.rand(3).tolist()
        RandomState.from_state_dict(state).restore()
        assert numpy.random.rand(3).tolist() == first
    finally:
        numpy.random.set_bit_generator(before)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "cpu",
            torch.zeros(3, dtype=torch.uint8),
            r"cpu must be a state of a torch\.Generator, got a tensor of shape \(3,\)",
        ),
        ("cpu", None, r"cpu must be a state of a torch\.Generator, got a NoneType"),
        ("python", [3, [1, 2], None], r"python must be a state of Python's random, got a list"),
        ("numpy", {"bit_generator": "seed"}, r"numpy must be a state of NumPy's random, got a dict"),
        ("modules.0.generator", torch.zeros(5056), r"modules\.0\.generator must be a state of a torch\.Generator"),
        ("modules.0.gone", torch.zeros(1), r"state must have no modules\.0\.gone, .* build the modules as they were"),
    ],
)
def test_what_is_no_state_is_refused_before_anything_changes(name: str, value: Any, text: str) -> None:
    net = Draws(seeded(7))
    state = stored(random_state(net)) | {name: value}
    torch.rand(1)
    before = torch.get_rng_state()
    with pytest.raises(StateError, match=f"^RandomState: {text}"):
        RandomState.from_state_dict(state, net)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_that_the_state_lacks_is_an_error() -> None:
    state = stored(random_state(Draws()))
    with pytest.raises(StateError, match=r"^RandomState: state must have modules\.0\.generator, "):
        RandomState.from_state_dict(state, Draws(seeded(8)))


def test_a_gpu_is_not_initialised_for_it() -> None:
    program = "import torch, mytorch.core; mytorch.core.random_state().restore(); print(torch.cuda.is_initialized())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_generators_of_gpus() -> None:
    own = torch.Generator("cuda").manual_seed(9)
    torch.zeros(1, device="cuda")
    state = stored(random_state(Draws(own)))
    first = torch.rand(3, device="cuda"), torch.rand(3, device="cuda", generator=own)
    RandomState.from_state_dict(state, Draws(own)).restore()
    again = torch.rand(3, device="cuda"), torch.rand(3, device="cuda", generator=own)
    torch.testing.assert_close(again, first, rtol=0, atol=0)


@pytest.mark.parametrize(
    "draw",
    [
        lambda net: torch.rand(1),
        lambda net: random.random(),
        lambda net: numpy.random.rand(),
        lambda net: torch.rand(1, generator=net.generator),
    ],
)
def test_whether_a_number_was_drawn(draw):
    net = Draws(seeded(3))
    with random_state(net) as state:
        torch.rand(1, generator=seeded(1))
        assert not state.drawn()
        draw(net)
        assert state.drawn()
        state.restore()
        assert not state.drawn()


def test_branches_of_different_numbers_draw_apart_and_those_of_equal_ones_alike():
    state = random_state()
    before, drawn = state.digests(), []
    assert random_state().digests() == before
    for number in (1, 2, 1):
        state.branch(number)
        drawn.append((torch.rand(2).tolist(), random.random()))
    assert drawn[0] == drawn[2]
    assert all(one != other for one, other in zip(drawn[0], drawn[1], strict=True))
    assert all(random_state().digests()[name] != digest for name, digest in before.items())
    state.restore()
    assert random_state().digests() == before
    state.branch(3, ["cpu"])
    assert [name for name, digest in random_state().digests().items() if digest != before[name]] == ["cpu"]
    state.restore()


def test_a_seed_gives_the_numbers_of_torch_and_nothing_is_kept_for_other_devices(monkeypatch) -> None:
    torch.manual_seed(3)
    expected = torch.rand(5)

    def kept(_seed: int) -> None:
        raise AssertionError("kept for a GPU that nothing has started")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", kept)
    with pytest.raises(AssertionError, match="kept for a GPU"):
        torch.manual_seed(3)
    seed_torch(3)
    assert torch.equal(torch.rand(5), expected)
