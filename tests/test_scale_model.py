"""The model of many processes is that of the page, and what is measured of two is reckoned as its text says."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """The scripts import each other by their bare names."""
    monkeypatch.setattr(sys, "path", [BENCHMARKS, *sys.path])


def test_the_page_has_the_tables_of_the_script():
    import scale_model

    page = scale_model.PAGE.read_text(encoding="utf-8")
    assert page.partition(scale_model.BEGIN)[2].partition(scale_model.END)[0] == scale_model.text()


def test_the_steps_of_each_form_are_those_of_its_formula():
    from scale_model import BUCKET, FORMS, Machine, Model, efficiency

    machine = Machine("made", 100.0, 0.25, 2.0 * BUCKET, trees=False)
    model = Model("made", BUCKET, 2, 1, 100)  # 4 buckets; forward and backward of 2 and 4 operations a number and row
    machine = replace(machine, operations=2.0 * BUCKET * 100 / 8)  # so that the forward takes 8 s, the backward 16 s
    gather = 3 * (0.25 + 1 / 4 / 2)  # of a bucket, by 4 processes
    expected = {
        "data parallel without overlap": 24 + 4 * 2 * gather,
        "data parallel": 24 + 2 * gather,
        "ZeRO-1, ZeRO-2": 24 + gather + 4 * gather,
        "ZeRO-3": 24 + 2 * 3 * (0.25 + 2 / 4 / 2),
    }
    assert {form: FORMS[form](machine, model, 4) for form in expected} == pytest.approx(expected)
    slow = replace(machine, bandwidth=BUCKET / 8)  # a bucket takes 13.5 s, a quarter of the backward 4
    assert FORMS["data parallel"](slow, model, 4) == pytest.approx(8 + 4 + 4 * 13.5)
    assert efficiency("data parallel", slow, model, 4) == pytest.approx(24 / 66)


def test_buckets_are_those_of_the_library():
    from scale_model import LARGE, SMALL, buckets, divided_buckets

    from mytorch.core import Parameter
    from mytorch.train.parallel.pieces import grouped
    from mytorch.train.parallel.reducer import Reducer

    for model in (SMALL, LARGE):
        matrix = model.width**2
        weights = [Parameter(torch.empty(matrix, device="meta")) for _ in range(round(model.parameters / matrix))]
        reducer = Reducer(None)
        reducer.lay_out(weights)
        for (count, size), found in (
            (buckets(model), [bucket.parameters for bucket in reducer.buckets]),
            (divided_buckets(model), [bucket.parameters for bucket in grouped(weights, 2, None)]),
        ):
            assert len(found) == count
            assert size == pytest.approx(4 * matrix * len(weights) / count, rel=0.01)


def test_a_tree_is_taken_where_it_is_faster():
    from scale_model import Machine, add_up

    rings = Machine("made", 1.0, 1.0, 1.0, trees=False)
    trees = replace(rings, trees=True)
    assert add_up(rings, 16, 16.0) == 2 * 15 * 2
    assert add_up(trees, 16, 16.0) == 2 * (4 + 16)
    assert add_up(trees, 2, 1000.0) == add_up(rings, 2, 1000.0)


def test_a_pipeline_without_messages_loses_its_bubble_alone():
    from scale_model import Machine, Model, efficiency

    machine, model = Machine("made", 1.0, 0.0, float("inf"), trees=False), Model("made", 100, 8, 1, 16)
    for stages in (2, 4, 8):
        assert 1 - efficiency("pipeline", machine, model, stages) == pytest.approx((stages - 1) / (5 * stages - 1))
    assert efficiency("pipeline", machine, model, 9) == 0


def test_zero_divides_what_its_arithmetic_says():
    from parallel_memory import NUMBERS, expected
    from scale_model import HELD

    for level, form in (
        (None, "data parallel"),
        ("optimizer", "ZeRO-1"),
        ("gradients", "ZeRO-2"),
        ("parameters", "ZeRO-3"),
        ("pipeline", "pipeline"),
    ):
        assert sum(expected(level, 4).values()) / NUMBERS == pytest.approx(HELD[form](4))


def test_overhead_is_what_the_slower_process_takes_more_than_alone():
    from parallel import DDP, OURS, OURS_ALONE, THEIRS_ALONE, Costs, Took

    def process(*clocks):
        names = (OURS_ALONE, OURS, THEIRS_ALONE, DDP)
        return {name: [Took(clock, 2 * clock)] * 5 for name, clock in zip(names, clocks, strict=True)}

    costs = Costs([[process(1.0, 4.0, 2.0, 5.0), process(2.0, 3.0, 1.0, 8.0)]])
    assert costs.step(DDP).median == 8000
    assert costs.overhead(OURS, "clock") == [2.0] * 5
    assert costs.overhead(DDP, "work") == [12.0] * 5
    assert costs.ratio(OURS, DDP, "clock").median == pytest.approx(1 / 3)
