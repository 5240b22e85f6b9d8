"""A stage that fails ends all with a clear error, and none hangs; a pipeline is stopped, kept and resumed exactly."""

import re

import pytest
import torch
from launch import ended, start, together
from shared_pipelines import piped, tied
from torch import distributed
from toy_parts import SGD
from trained_again import again

from mytorch.train.checkpoint.resumption import Resumption

pytestmark = [
    pytest.mark.slow,
    pytest.mark.numbers,
    pytest.mark.skipif(
        not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
    ),
]
ALL = "RankError: parallel: every process must take the step, got rank {} that failed: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes keep what they saw of each failure."""
    folder = tmp_path_factory.mktemp("together")
    together("shared_pipeline_failures.py", folder, 60)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("at", ["forward 1", "forward 7", "backward 1", "backward 8"])
def test_a_layer_that_fails_in_one_stage_is_told_in_the_other(found, stage, at):
    own, other = found[stage], found[1 - stage]
    what = f"{at} of stage {stage}"
    assert own[what] == f"ValueError: a broken row [in layer '{1 + stage}' (Spoilt) of Chain]"
    assert other[what] == f"{ALL.format(stage)}ValueError: a broken row"


@pytest.mark.parametrize("stage", [0, 1])
def test_a_value_that_is_not_finite_is_found_in_its_stage(found, stage):
    for rank, of_rank in enumerate(found):
        where = "" if rank == stage else rf" \(rank {stage}\)"
        text = (
            rf"NotFiniteError: .* in epoch 1, batch \d: .* is the output of layer '{1 + stage}' \(Exploding\){where}; "
        )
        assert re.match(text, of_rank[f"not finite in stage {stage}"]), of_rank[f"not finite in stage {stage}"]


@pytest.mark.parametrize(
    ("what", "stage", "text"),
    [
        (
            "a list",
            0,
            "ArgumentError: stages: what a stage gives to the next must be a tensor or a tuple .* got a list;",
        ),
        (
            "another shape",
            0,
            r"ArgumentError: stages: what .* got torch.float64 \(1, 2\) for the same as .* \(2, 2\) bef",
        ),
        ("a gradient of another shape", 1, r"ShapeError: stages: the gradient .* its shape, \(2, 2\), got \(1, 2\)$"),
    ],
)
def test_what_cannot_go_to_the_other_stage_is_told_in_both(found, what, stage, text):
    assert re.match(text, found[stage][what])
    assert re.match(re.escape(ALL.format(stage)) + text, found[1 - stage][what])


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (
            "too many stages",
            "ArgumentError: stages: there must be at most as many as layers, got 2 for Chain, which has 1",
        ),
        (
            "no Sequential",
            "ArgumentError: stages: the model must be a Sequential, whose layers are shared out, got Dense",
        ),
        (
            "three stages",
            "ArgumentError: stages: the number of processes must be a multiple of the stages, 3, got 2; sta",
        ),
        ("other layers", r"RankError: parallel: rank 1 must train .*; stages must be \[3, 3\], got \[4, 2\]"),
        ("other micro-batches", "RankError: parallel: rank 1 must train .*; micro_batches must be 3, got 4"),
        ("noise interrupted", "Interrupted: ended by SIGTERM"),
    ],
)
def test_every_process_says_what_is_wrong(found, what, text):
    for of_rank in found:
        assert re.match(text, of_rank[what])


def test_the_processes_go_on_after_all_that(found):
    expected = piped("plain", epochs=2)
    for of_rank in found:
        for name, value in expected["weights"].items():
            torch.testing.assert_close(of_rank["after all that"]["weights"][name], value, rtol=0, atol=1e-12)


def test_a_callback_that_stops_one_process_stops_all_after_the_next_step(found):
    first, second = (of_rank["stopped"] for of_rank in found)
    assert len(first["history"]) == 2
    assert first["history"] == second["history"]


@pytest.mark.parametrize("what", ["noise", "average", "tied"])
def test_a_run_that_was_interrupted_within_an_epoch_is_resumed_exactly(found, what):
    expected = found[0][what]
    for of_rank in found:
        resumed = of_rank[f"{what} resumed"]
        assert resumed["history"] == expected["history"]
        assert all(torch.equal(value, expected["weights"][name]) for name, value in resumed["weights"].items())


def test_one_process_reads_the_checkpoint_with_the_state_of_all_stages(found, folder):
    path = folder / "checkpoint.safetensors"
    state = Resumption.read(path).state
    net = tied()
    assert sorted(state["optimizer"]["state"]) == list(range(len(net.param())))
    optimizer = SGD(net.to(torch.float64).param(), lr=0.1, momentum=0.9)
    optimizer.load_state_dict(state["optimizer"])
    options = {"momentum": 0.9, "shuffle": True, "epochs": 2, "resume": path, "accept_differences": True}
    resumed, expected = piped("tied", stages=1, micro_batches=None, **options), found[0]["tied"]
    for name, value in expected["weights"].items():
        torch.testing.assert_close(resumed["weights"][name], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("what", ["the same", "none from a checkpoint"])
def test_a_second_training_goes_on_with_the_state_of_the_first(found, what):
    expected = again(None, {}, {})
    for of_rank in found:
        assert not isinstance(of_rank["again"][what], str), of_rank["again"][what]
        for name, value in of_rank["again"][what].items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "what", ["none", "others", "shard", "none after an error", "none after a stage without parameters"]
)
def test_a_second_training_that_needs_the_state_of_other_stages_is_refused_in_every_process(found, what):
    for of_rank in found:
        stages = "[5, 1]" if "parameters" in what else "[1, 4]"
        text = f"stages: SGD must have the state of all its parameters, got that of one stage of {stages}; train on "
        assert of_rank["again"][what].startswith(f"ArgumentError: {text}")


@pytest.mark.parametrize("what", ["killed", "late"])
def test_a_process_that_is_lost_is_named_by_those_that_wait_for_its_neighbours_too(tmp_path, what):
    processes = start("shared_pipeline_failures.py", tmp_path, 4 if what == "late" else 60, what, processes=3)
    try:
        for code, _, errors in ended(processes[:2]):
            assert code == 1
            assert "RankError: parallel: every process must stay until the end, got no sign of rank 2: " in errors
    finally:
        processes[2].kill()
        processes[2].communicate()


def test_a_replica_that_is_lost_is_the_only_one_that_the_others_name(tmp_path):
    *others, lost = ended(start("shared_pipeline_failures.py", tmp_path, 60, "killed", processes=4))
    assert lost[0] == -9
    for code, _, errors in others:
        assert code == 1
        assert "RankError: parallel: every process must stay until the end, got no sign of rank 3: " in errors, errors
