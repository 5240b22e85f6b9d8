"""The columns of a history."""

import pytest

from mytorch.experiments.runs.columns import quantity_of


@pytest.mark.parametrize(
    ("column", "quantity"),
    [
        ("train_loss", "loss"),
        ("validation_error_rate", "error_rate"),
        ("test_loss", "loss"),
        ("train_test_loss", "test_loss"),
        ("train_", None),
        ("epoch", None),
        ("lr", None),
        ("testing_loss", None),
    ],
)
def test_the_quantity_of_a_column(column, quantity):
    assert quantity_of(column) == quantity
