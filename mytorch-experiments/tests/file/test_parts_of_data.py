"""The training, validation and test part of an experiment's data."""

import pytest
import torch

from mytorch.core import ArgumentError, View
from mytorch.experiments import load_experiment
from mytorch.experiments.file.build import build_data


def parts_of(content, **data):
    content["data"] = {"train": {"type": "Points", "samples": 200}, **data}
    return build_data(load_experiment(content))


def points_of(part):
    inputs, _ = part[:]
    return {tuple(point) for point in inputs.tolist()}


def test_rows_are_held_back_for_both(content):
    parts = parts_of(content, split={"validation": 0.1, "test": 0.2, "seed": 3})
    assert [len(part) for part in parts] == [140, 20, 40]
    assert all(isinstance(part, View) for part in parts)
    assert len(set.union(*map(points_of, parts))) == 200


def test_every_part_gets_its_share_of_every_class(content):
    whole = parts_of(content).training.targets.double().mean()
    for part in parts_of(content, split={"validation": 0.1, "test": 0.2}):
        assert abs(part.targets.double().mean() - whole) * len(part) <= 1
    without = parts_of(content, split={"validation": 0.1, "test": 0.2, "stratify": False})
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert without.validation.indices.tolist() == order[140:160].tolist()


def test_a_part_that_is_not_asked_for_is_absent(content):
    assert parts_of(content)[1:] == (None, None)
    assert parts_of(content, split={"test": 0.5}).validation is None
    assert parts_of(content, split={"validation": 0.5}).test is None


def test_data_sets_of_their_own(content):
    own = {"type": "Points", "samples": 30, "seed": 1}
    parts = parts_of(content, validation=own, test={**own, "samples": 10})
    assert [len(part) for part in parts] == [200, 30, 10]
    mixed = parts_of(content, validation=own, split={"test": 0.25})
    assert [len(part) for part in mixed] == [150, 30, 50]


def test_every_part_is_standardised_by_the_training_part(content):
    parts = parts_of(content, split={"validation": 0.1, "test": 0.2}, standardize=True)
    assert parts.training.preparation == parts.validation.preparation == parts.test.preparation
    torch.testing.assert_close(parts.training[:][0].mean(0), torch.zeros(2), rtol=0, atol=1e-6)
    assert parts.validation[:][0].mean(0).abs().max() > 1e-3


def test_the_targets_of_every_part_are_encoded(content):
    for part in parts_of(content, split={"validation": 0.1, "test": 0.2}, targets="one-hot"):
        assert part[:][1].shape == (len(part), 2)
        assert torch.equal(part.targets, part[:][1])


def test_shares_that_leave_nothing_name_the_key(content):
    with pytest.raises(ArgumentError, match="hold_out: rows must be left to train on") as caught:
        parts_of(content, split={"validation": 0.5, "test": 0.5})
    assert caught.value.__notes__ == ["at data.split of the experiment"]
