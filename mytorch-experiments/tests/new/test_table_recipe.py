"""How to train on a table of so many rows."""

import pytest

from mytorch.experiments.new.table_recipe import choose_recipe

SIZES = [10, 150, 999, 1000, 4_999, 20_000, 100_000, 1_000_000, 10_000_000]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("rows", SIZES)
def test_every_size_has_a_recipe_that_ends(rows, task):
    recipe = choose_recipe(rows, 10, task)
    steps = recipe.epochs * -(-round((0.85 if recipe.folds else 0.7) * rows) // recipe.batch_size)
    assert 100 <= steps <= 80_000
    assert 1 <= recipe.evaluate_every <= recipe.epochs <= 100


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_more_rows_need_less_to_hold_the_weights_and_larger_batches(task):
    recipes = [choose_recipe(rows, 10, task) for rows in SIZES]
    decays, batches = [r.weight_decay for r in recipes], [r.batch_size for r in recipes]
    assert decays == sorted(decays, reverse=True)
    assert batches == sorted(batches)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_best_epoch_is_chosen_where_the_validation_part_is_large_enough(task):
    assert [choose_recipe(rows, 10, task).keep_best for rows in SIZES] == [rows >= 1000 for rows in SIZES]


def test_squared_errors_and_many_inputs_need_a_lower_rate():
    assert choose_recipe(200, 10, "regression").lr < choose_recipe(200, 10, "classification").lr
    rates = [choose_recipe(200, inputs, "regression").lr for inputs in (1, 100, 500, 1000, 10_000)]
    assert rates == [0.02, 0.02, 0.02, 0.01, 0.001]
