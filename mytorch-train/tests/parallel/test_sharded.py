"""Processes that divide an optimizer's state, and more, take the steps that one takes with all of it."""

import re

import pytest
import torch
from launch import SEVERAL, require_one, together
from sharded_cases import CASES, HALF, LEVELS, MOMENTUM, TIED, InOnePiece, divided
from shared_cases import take
from toy_parts import SGD, Points, SquaredError, encoded, network
from trained_again import again, last_first, transposed

from mytorch.core import ArgumentError
from mytorch.train import fit

BY = {2: list(CASES), 4: ["momentum", "in one piece", "clipped", "accumulated one by one", "one row a step"]}
"""The cases of so many processes."""


def applied(function):
    for mark in SEVERAL:
        function = mark(function)
    return function


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where several processes have left what they trained, by their number."""
    found = {}
    for processes, cases in BY.items():
        found[processes] = tmp_path_factory.mktemp("together")
        together("sharded_cases.py", found[processes], *cases, processes=processes)
    return found


@pytest.fixture(scope="module")
def trained(folders):
    """What each process has after each case: by their number, rank, level and case."""
    return {
        processes: [torch.load(folder / f"{rank}.pt") for rank in range(processes)]
        for processes, folder in folders.items()
    }


@applied
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("processes", "case"), [(count, case) for count, cases in BY.items() for case in cases])
def test_several_processes_that_divide_are_one(trained, processes, case, level):
    if (level, case) == ("parameters", "left out"):
        pytest.skip("is an error: see below")
    require_one([of_rank[level, case] for of_rank in trained[processes]], divided(case))


@applied
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", ["momentum", "in one piece"])
def test_each_process_keeps_a_part_of_the_state(trained, level, case):
    for processes, of_ranks in trained.items():
        kept = [of_rank[level, case]["kept"] for of_rank in of_ranks]
        whole = divided(case, epochs=1)["kept"]
        assert sum(kept) == whole
        if case == "momentum":
            assert max(kept) == -(-whole // processes)  # to a number, what ZeRO's arithmetic says


@applied
def test_layers_whose_parameters_are_gathered_are_used_in_the_same_order_in_every_step(trained):
    for of_rank in trained[2]:
        said = of_rank["parameters", "left out"]
        assert said.startswith(
            'shard: with "parameters", every step must use the same layers in the same order, got a '
        )


@applied
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", HALF)
def test_half_precision_is_that_of_processes_that_divide_nothing(trained, level, name):
    first, second = (of_rank[level, name] for of_rank in trained[2])
    expected = trained[2][0][None, name]
    for key, value in expected["weights"].items():
        assert torch.equal(first["weights"][key], second["weights"][key])
        torch.testing.assert_close(first["weights"][key], value, rtol=0, atol=HALF[name])
        assert first["weights"][key].dtype is torch.float32


@applied
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("what", "texts"),
    [
        (
            "fails",
            [
                "RankError: parallel: every process must .*, got rank 1 that failed: ValueError: a broken row",
                "ValueError: a broken row",
            ],
        ),
        (
            "not finite",
            [
                rf"NotFiniteError: .* is the output of layer '0' \(Exploding\){where}; .*"
                for where in (r" \(rank 1\)", "")
            ],
        ),
        ("other level", ["RankError: parallel: rank 1 must train .*; shard must be none, got {level}"] * 2),
        ("interrupted", ["Interrupted: ended by SIGTERM"] * 2),
    ],
)
def test_what_ends_one_process_ends_all(trained, level, what, texts):
    for of_rank, text in zip(trained[2], texts, strict=True):
        assert re.fullmatch(text.replace("{level}", level), of_rank[level, "failures"][what], re.DOTALL)


@applied
@pytest.mark.parametrize("level", LEVELS)
def test_a_run_is_resumed_to_the_bit(trained, level):
    for of_rank in trained[2]:
        whole, resumed = (of_rank[level, "failures"][what] for what in ("whole run", "resumed"))
        assert resumed["history"] == whole["history"]
        for name, value in whole["weights"].items():
            assert torch.equal(resumed["weights"][name], value)


@applied
@pytest.mark.parametrize("level", LEVELS)
def test_one_process_goes_on_from_the_checkpoint_of_several(folders, level):
    path = folders[2] / f"{level}-at.safetensors"
    found = take("plain", resume=path, accept_differences=True, **MOMENTUM)
    for name, value in take("plain", **MOMENTUM)["weights"].items():
        torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=1e-12)


@applied
@pytest.mark.parametrize(
    ("what", "options"),
    [
        *((f"{level}, transposed", {"net": transposed}) for level in LEVELS),
        *((f"{level}, then none from a checkpoint", {}) for level in LEVELS),
        ("same owners", {"optimizer": InOnePiece, "groups": last_first}),
    ],
)
def test_a_second_training_goes_on_with_the_state_of_the_first(trained, what, options):
    expected = again(None, {}, {}, **options)
    first, second = (of_rank["again"][what] for of_rank in trained[2])
    assert not isinstance(first, str), first
    for name, value in expected.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=0, atol=1e-12)


@applied
@pytest.mark.parametrize("level", LEVELS)
def test_a_loss_that_computes_with_a_parameter_of_the_net(trained, level):
    expected = again(None, {}, **TIED)
    for of_rank in trained[2]:
        for name, value in of_rank["again"][f"{level}, tied to the loss"].items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-12)


@applied
@pytest.mark.parametrize("what", [*(f"{level}, then none" for level in LEVELS), "other owners", "one parameter"])
def test_a_second_training_that_needs_other_state_is_refused_in_every_process(trained, what):
    for of_rank in trained[2]:
        said = of_rank["again"][what]
        assert re.match("ArgumentError: shard: .* must have the state of whole parameters, or of those of this ", said)


@applied
def test_a_process_that_is_lost_while_parameters_are_made_whole_for_the_last_time(trained):
    found = trained[2][0]["lost"]
    assert re.match("RankError: .* got rank 1 that ended: ValueError: gone", found["said"]), found["said"]
    for name, parameter in network().named_param():
        assert found["weights"][name].shape == parameter.value.shape
        assert found["weights"][name].isnan().any()


def start(optimizer, **options):
    net = network()
    data = encoded(Points(8, seed=1))
    return fit(net, SquaredError(), optimizer(net.param()), data, epochs=1, batch_size=4, quiet=True, **options)


def test_one_process_has_everything_in_any_case():
    torch.manual_seed(0)
    plain = start(SGD).net.state_dict()
    torch.manual_seed(0)
    for name, value in start(SGD, shard="parameters").net.state_dict().items():
        assert torch.equal(value, plain[name])


@pytest.mark.parametrize("level", ["optimiser", 1, True, ""])
def test_a_level_is_one_of_three(level):
    with pytest.raises(ArgumentError, match=r"^shard: must be one of optimizer, gradients, parameters, or left out, "):
        start(InOnePiece, shard=level)
