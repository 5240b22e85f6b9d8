"""A process of a pipeline holds the values of its own stage while it trains, and others go on from its checkpoint."""

import pytest
import torch
from launch import SEVERAL, require_one, together
from shared_pipelines import deep, piped
from stage_values import LAYOUTS, MOMENTUM, Looking, resumed

pytestmark = SEVERAL
STAGES = ({"0.", "2."}, {"4.", "5."})
"""The layers of `deep` that have parameters, by stage."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of two processes had."""
    folder = tmp_path_factory.mktemp("together")
    together("stage_values.py", folder, "held")
    return [torch.load(folder / f"held-{rank}.pt") for rank in range(2)]


def of_stage(rank):
    return {name for name, _ in deep().named_param() if any(name.startswith(layer) for layer in STAGES[rank])}


def shapes():
    return {name: p.value.shape for name, p in deep().named_param()}


def test_only_the_values_of_its_own_stage_have_memory(found):
    for rank, of_rank in enumerate(found):
        held, own = of_rank["held"], of_stage(rank)
        assert held["present"] == own
        assert held["shapes"] == list(shapes().values())
        others = len(shapes()) - len(own)  # each has one number
        assert held["bytes"] == {8 * (sum(shapes()[name].numel() for name in own) + others)}
        assert held["refused"] == {"unsupported operation: more than one element"}


def test_callbacks_see_all_values_after_each_batch_and_epoch(found):
    alone = Looking()
    piped("momentum", epochs=2, callbacks=[alone], stages=1, micro_batches=None)
    for when in ("batches", "epochs"):
        first, second = (of_rank["seen"][when] for of_rank in found)
        assert len(first) == len(second) == len(getattr(alone, when)) > 0
        for one, other, expected in zip(first, second, getattr(alone, when), strict=True):
            for name, value in expected.items():
                assert torch.equal(one[name], other[name])
                torch.testing.assert_close(one[name], value, rtol=0, atol=1e-12)


def test_for_a_checkpoint_the_first_process_alone_gathers_all(found):
    assert set(found[0]["gathered"]) == {0}
    assert set(found[1]["gathered"]) == {len(of_stage(0))}


def test_after_an_error_that_all_processes_raise_each_has_the_weights_of_the_last_step(found):
    first, second = (of_rank["a layer fails"] for of_rank in found)
    assert second["said"].startswith("ValueError: a broken row")
    assert first["said"].startswith("RankError: ")
    for name, value in first["weights"].items():
        assert value.isfinite().all()
        assert torch.equal(value, second["weights"][name])


def test_after_an_error_in_one_process_the_weights_of_other_stages_are_not_a_number(found):
    said = [of_rank["a process fails"]["said"] for of_rank in found]
    assert said[1].startswith("ValueError: a broken row")
    assert said[0].startswith("RankError: parallel: every process must stay until the end, got rank 1 that ended: Val")
    for rank, of_rank in enumerate(found):
        for name, value in of_rank["a process fails"]["weights"].items():
            assert value.shape == shapes()[name]
            assert value.isfinite().all() if name in of_stage(rank) else value.isnan().all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two and four processes leave checkpoints, and go on from those of each other."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for processes in (2, 4):
        together("stage_values.py", folder, "elsewhere", processes=processes)
    together("stage_values.py", folder, "elsewhere", "4-stages", "4-two stages", processes=2)
    together("stage_values.py", folder, "elsewhere", "2-stages", "2-parameters", "4-stages", processes=4)
    return folder


@pytest.fixture(scope="module")
def whole():
    """What one process has that was never interrupted."""
    return piped("plain", **{**MOMENTUM, **LAYOUTS["1-alone"]})


@pytest.mark.parametrize("before", ["2-stages", "4-stages", "4-two stages"])
def test_one_process_goes_on(folder, whole, before):
    require_one([resumed(folder, before, "1-alone")], whole)


@pytest.mark.parametrize(
    ("before", "layout"),
    [
        *((before, layout) for before in ("4-stages", "4-two stages") for layout in ("2-stages", "2-parameters")),
        *((before, layout) for before in ("2-stages", "2-parameters") for layout in ("4-stages", "4-two stages")),
        ("4-stages", "4-two stages"),
    ],
)
def test_other_stages_go_on(folder, whole, before, layout):
    files = [folder / f"resumed-{layout[0]}-{rank}.pt" for rank in range(int(layout[0]))]
    require_one([torch.load(file)[before, layout] for file in files], whole)
