"""The contract of metrics."""

import doctest
import importlib

import pytest
import torch

from mytorch.core import ArgumentError, Metric, metric_name


class ErrorRate(Metric):
    pass


class Renamed(ErrorRate):
    name = "mistakes"


class Inheriting(Renamed):
    pass


class F1:
    """Has what a metric needs and is no Metric."""

    def reset(self): ...
    def update(self, prediction, target): ...
    def compute(self): ...


def test_what_a_subclass_must_write() -> None:
    assert Metric.higher_is_better
    for call in (Metric().reset, Metric().compute, lambda: Metric().update(torch.zeros(1), torch.zeros(1))):
        with pytest.raises(NotImplementedError, match=r"Metric: .* must be defined"):
            call()


def test_the_name_is_the_class_in_snake_case_unless_it_is_given() -> None:
    assert (ErrorRate.name, ErrorRate().name, Inheriting().name) == ("error_rate", "error_rate", "mistakes")
    first, second = ErrorRate(), ErrorRate()
    second.name = "error_rate_of_rare_classes"
    assert (metric_name(first), metric_name(second)) == ("error_rate", "error_rate_of_rare_classes")


def test_an_object_that_is_no_metric_of_ours_is_called_by_its_class() -> None:
    stranger = F1()
    assert metric_name(stranger) == "f1"
    stranger.name = "macro_f1"  # type: ignore[attr-defined]
    assert metric_name(stranger) == "macro_f1"


@pytest.mark.parametrize("name", ["", " ", 3, torch.zeros(1), "a\nb", "../error_rate", "a\\b", "a\0"])
def test_a_name_must_be_text(name) -> None:
    metric = ErrorRate()
    metric.name = name
    with pytest.raises(ArgumentError, match="ErrorRate: name must be text such as 'error_rate', on one line"):
        metric_name(metric)


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(importlib.import_module("mytorch.core.metric")).failed == 0
