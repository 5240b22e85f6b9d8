"""How to train on a table of so many rows."""

import pytest

from mytorch.train.table_recipe import choose_recipe

SIZES = [10, 150, 999, 1000, 4_999, 20_000, 100_000, 1_000_000, 10_000_000]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("rows", SIZES)
def test_every_size_has_a_recipe_that_ends(rows, task):
    recipe = choose_recipe(rows, task)
    steps = recipe.epochs * -(-round(0.8 * rows) // recipe.batch_size)
    assert 100 <= steps <= 80_000
    assert 1 <= recipe.evaluate_every <= recipe.epochs <= 100


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_more_rows_need_less_to_hold_the_weights_and_larger_batches(task):
    recipes = [choose_recipe(rows, task) for rows in SIZES]
    decays, batches = [r.weight_decay for r in recipes], [r.batch_size for r in recipes]
    assert decays == sorted(decays, reverse=True)
    assert batches == sorted(batches)


def test_squared_errors_have_no_bound_so_their_rate_is_lower():
    assert choose_recipe(2000, "regression").lr < choose_recipe(2000, "classification").lr
