import doctest

import pytest
import torch

from mytorch.core import EachSample, OuterProducts, ShapeError, Stacked, TableRows, added, quantity, sample_gradients

D = torch.float64
pytestmark = pytest.mark.numbers


def random(*sizes):
    return torch.randn(sizes, dtype=D, generator=torch.Generator().manual_seed(sum(sizes)))


def table_rows():
    sample_of, row_of = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([3, 1, 3, 0, 4, 4])
    return TableRows.of_uses(sample_of, row_of, random(6, 2), 4, (5, 2))


FORMS = {
    "each sample": lambda: EachSample(random(4, 2, 3)),
    "outer products of one row": lambda: OuterProducts(random(4, 1, 2), random(4, 1, 3), (2, 3)),
    "outer products of few rows": lambda: OuterProducts(random(4, 2, 20), random(4, 2, 30), (20, 30)),
    "outer products of many rows": lambda: OuterProducts(random(4, 9, 2), random(4, 9, 3), (2, 3)),
    "outer products of two blocks": lambda: OuterProducts(random(4, 2, 9, 2), random(4, 2, 9, 3), (4, 3)),
    "outer products of two blocks, one row": lambda: OuterProducts(random(4, 2, 1, 2), random(4, 2, 1, 3), (4, 3)),
    "outer products of two blocks, few rows": lambda: OuterProducts(random(4, 2, 2, 9), random(4, 2, 2, 8), (18, 8)),
    "rows of a table": table_rows,
    "stacked": lambda: Stacked((EachSample(random(4, 2, 3)), EachSample(random(4, 1, 3))), (3, 3)),
}


@pytest.mark.parametrize("factor", [1.0, -0.5])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_asked_of_a_form_is_that_of_the_gradients_themselves(form, factor):
    stated = FORMS[form]().scaled(factor)
    each, weights = stated.each(), random(4)
    assert stated.sizes() == each.shape
    torch.testing.assert_close(each, FORMS[form]().each() * factor, rtol=0, atol=1e-12)
    torch.testing.assert_close(stated.squared_norms(), each.flatten(1).square().sum(1), rtol=0, atol=1e-11)
    summed = (weights.reshape(-1, *[1] * (each.dim() - 1)) * each).sum(0)
    torch.testing.assert_close(stated.weighted_sum(weights), summed, rtol=0, atol=1e-12)
    torch.testing.assert_close(stated.sum_of_squares(), each.square().sum(0), rtol=0, atol=1e-11)


OTHERS = {
    "outer products of two rows beside nine": lambda: OuterProducts(random(5, 2, 2), random(5, 2, 3), (2, 3)),
    "outer products of few rows beside others": lambda: OuterProducts(random(3, 1, 20), random(3, 1, 30), (20, 30)),
    "rows of a table that others use": lambda: TableRows.of_uses(
        torch.tensor([0, 2, 2, 2, 1]), torch.tensor([1, 3, 4, 1, 2]), random(5, 2), 3, (5, 2)
    ),
    "stacked of other blocks": lambda: Stacked((EachSample(random(3, 3)), EachSample(random(3, 6))), (3, 3)),
    "stacked of outer products": lambda: Stacked(
        (OuterProducts(random(2, 1, 2), random(2, 1, 3), (2, 3)), EachSample(random(2, 1, 3))), (3, 3)
    ),
}


@pytest.mark.parametrize("at_once", [sample_gradients.AT_ONCE, 7])
@pytest.mark.parametrize("form", FORMS)
def test_products_are_those_of_the_gradients_themselves(form, at_once, monkeypatch):
    monkeypatch.setattr(sample_gradients, "AT_ONCE", at_once)
    one, tried = FORMS[form]().scaled(-0.5), 0
    torch.testing.assert_close(one.products(one).diagonal(), one.squared_norms(), rtol=0, atol=1e-11)
    for build in (*FORMS.values(), *OTHERS.values()):
        other = build().scaled(3.0)
        if other.sizes()[1:] == one.sizes()[1:]:
            for two in (other, EachSample(other.each())):
                wanted = one.each().flatten(1) @ two.each().flatten(1).T
                torch.testing.assert_close(one.products(two), wanted, rtol=0, atol=1e-11)
                tried += 1
    assert tried >= 2


@pytest.mark.parametrize("form", FORMS)
def test_some_samples_have_the_gradients_that_they_had(form):
    whole = FORMS[form]().scaled(2.0)
    for start, end in ((0, 4), (1, 3), (2, 9)):
        torch.testing.assert_close(whole.some(start, end).each(), whole.each()[start:end], rtol=0, atol=1e-12)


def test_products_of_factors_form_no_gradient(monkeypatch):
    one, other = FORMS["outer products of few rows"](), OTHERS["outer products of few rows beside others"]()
    wanted = one.each().flatten(1) @ other.each().flatten(1).T
    monkeypatch.delattr(OuterProducts, "each")
    torch.testing.assert_close(one.products(other), wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "wrong",
    [
        OuterProducts(random(4, 2, 2), random(3, 2, 3), (2, 3)),
        OuterProducts(random(4, 2, 2), random(4, 2, 3), (3, 3)),
        OuterProducts(random(4, 2), random(4, 3), (2, 3)),
        TableRows(random(2, 3), torch.tensor([0, 1]), torch.tensor([0]), 4, (5, 3)),
        TableRows(random(2, 3), torch.tensor([0, 1]), torch.tensor([0, 1]), 4, (5, 2)),
        Stacked((EachSample(random(4, 2, 3)), EachSample(random(3, 1, 3))), (3, 3)),
        Stacked((EachSample(random(4, 2, 3)),), (3, 3)),
    ],
)
def test_a_form_whose_parts_do_not_fit_has_no_sizes(wrong):
    with pytest.raises(ShapeError, match=f"{type(wrong).__name__}: .* must be"):
        wrong.sizes()


def test_a_sum_of_outer_products_is_that_of_a_loop():
    d_rows, rows = random(4, 9, 2), random(4, 9, 3)
    for sample, gradient in enumerate(OuterProducts(d_rows, rows, (2, 3)).each()):
        looped = sum(torch.outer(d_rows[sample, t], rows[sample, t]) for t in range(9))
        torch.testing.assert_close(gradient, looped, rtol=0, atol=1e-12)


def test_a_row_that_a_sample_uses_twice_has_one_gradient():
    stated, d_rows = table_rows(), random(6, 2)
    assert len(stated.values) == 4  # (0, 1), (0, 3), (1, 0), (2, 4); sample 3 uses none
    torch.testing.assert_close(stated.each()[0, 3], d_rows[0] + d_rows[2])
    assert stated.each()[3].eq(0).all()


def test_gradients_of_several_uses_are_added_sample_by_sample():
    two = [
        OuterProducts(random(4, 2, 2), random(4, 2, 3), (2, 3)),
        OuterProducts(random(4, 5, 2), random(4, 5, 3), (2, 3)),
    ]
    joined = added(two)
    assert isinstance(joined, OuterProducts)  # so that norms still need no gradients
    torch.testing.assert_close(joined.each(), two[0].each() + two[1].each())
    mixed = added([*two, EachSample(random(4, 2, 3)), two[0].scaled(3.0)])
    torch.testing.assert_close(mixed.each(), two[0].each() * 4 + two[1].each() + random(4, 2, 3))
    assert added(two[:1]) is two[0]


def test_some_samples_at_a_time_give_what_all_give(monkeypatch):
    stated = OuterProducts(random(5, 9, 2), random(5, 9, 3), (2, 3))
    norms, squares = stated.squared_norms(), stated.sum_of_squares()
    monkeypatch.setattr(sample_gradients, "AT_ONCE", 12)
    torch.testing.assert_close(stated.squared_norms(), norms)
    torch.testing.assert_close(stated.sum_of_squares(), squares)


def test_the_example_of_the_docstring():
    assert doctest.testmod(sample_gradients).attempted > 0
    assert doctest.testmod(sample_gradients).failed == 0


def test_a_quantity_by_itself_takes_what_it_is_shown_and_tells_nothing():
    plain = quantity.Quantity()
    assert plain.names(None) == []
    assert plain.results() == plain.state_dict() == {}
