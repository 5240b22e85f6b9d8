"""An explanation as text, in a notebook and as a page."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch
from rich.console import Console
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError

from mytorch.core import Module
from mytorch.train import explain
from mytorch.train.explain import Numbers, page_of, words
from mytorch.train.explain.formula import formula_of, summary_of


class Formula(Module):
    """Doubles; [bold]<b>&amp;</b>[/bold] is no markup.

    Wanted:    w = 2
    Forward:   y = w * x, which is written out here at such a length that eighty columns are by no means enough;
               and on with it
    Backward:
        d_x = w * d_y
    Shapes:    x, y: any
    """

    def forward(self, x):
        return x * 2, None

    def backward(self, d_y, saved):
        return d_y * 2


class Named(Chain):
    """Its layers, under names that are no good."""

    def named_children(self):
        return zip(("<script>alert(1)</script>", "[red]a"), self.layers, strict=True)


@pytest.fixture
def found():
    net = Named(Dense(2, 3), Chain(Formula(), Rectify(), Dense(3, 13)))
    return explain(net, SquaredError(), torch.randn(3, 2), torch.randn(3, 13), SGD(net.param()))


def test_plain_text_fits_80_columns_and_takes_names_as_they_are(found):
    text = str(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "<script>alert(1)</script>  Dense" in text
    assert "[red]a.0  Formula" in text
    assert "  w = 2\n  y = w * x, which is written" in text
    assert "(the docstring has no Backward: line)" in text  # Dense's
    assert re.findall(r"─ (.*?) ─", text) == ["forward", "loss", "backward", "norms of the gradients", "update"]
    assert re.search(r"keeps +x \(held already\)", text)


def test_rich_shows_it_in_any_width_and_encoding(found):
    for width in (40, 120):
        console = Console(file=io.StringIO(), width=width, force_terminal=True)
        console.print(found)
        assert "Formula" in console.file.getvalue()
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=ascii_only, width=80).print(found)
    ascii_only.seek(0)
    assert "d_weight" in ascii_only.read()


class Page(HTMLParser):
    """Checks that tags are closed in order, and gathers tags, attributes and text."""

    void = ("meta", "br", "img", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_a_notebook_gets_a_piece_of_html_that_escapes_names(found):
    text = replace(found, title="</title><script>")._repr_html_()
    seen = Page(text)
    assert seen.tags[:2] == ["div", "style"]
    assert "script" not in seen.tags
    assert all(value.startswith("data:") for name, value in seen.attributes if name in ("src", "href"))
    assert "<script>alert(1)</script>  Dense" in seen.text
    assert "y = w * x" in seen.text
    assert seen.tags.count("details") == len(found.steps)
    widths = [value for name, value in seen.attributes if name == "style" and value.startswith("width: ")]
    assert "width: 100.00%" in widths


def test_the_page_is_whole_escapes_names_and_needs_nothing_beside_it(found):
    page = replace(found, title="</title><script>").page()
    seen = Page(page)
    assert page.startswith("<!DOCTYPE html>")
    assert seen.tags.count("script") == 2  # the data, and what draws them
    assert not re.search(r"https?:|@import|url\(|\bsrc=|(?m:^(?:import|export) )", page)
    assert ("name", "viewport") in seen.attributes
    data = json.loads(re.search(r'id="explained">(.*?)</script>', page)[1])
    assert [step["path"] for step in data[0]["steps"]] == [step.path for step in found.steps]
    assert data[0]["title"] == "</title><script>"


def test_a_page_about_several_steps_has_each(found):
    other = replace(found, title="another")
    data = json.loads(re.search(r'id="explained">(.*?)</script>', page_of([found, other]))[1])
    assert [each["title"] for each in data] == [found.title, "another"]


def test_bars_are_shares_of_the_largest_norm(found):
    bars = words.bars(found.steps)
    assert max(share for _, _, share in bars) == 1
    assert [name for name, _, _ in bars][:4] == [
        "loss d_prediction",
        "[red]a.2 d_weight",
        "[red]a.2 d_bias",
        "[red]a.2 d_x",
    ]
    assert all(share == pytest.approx(norm / max(norm for _, norm, _ in bars)) for _, norm, share in bars)


@pytest.mark.parametrize("number", [0.0, float("nan")])
def test_gradients_that_are_zero_or_no_number(number):
    found = explain(Dense(2, 1), SquaredError(), torch.full((1, 2), number), torch.full((1, 1), number))
    assert "norms of the gradients" in str(found)
    assert Page(found.page())
    assert Page(found._repr_html_())


def test_formulas_come_from_docstrings():
    assert formula_of(Formula, "forward") == (
        "w = 2",
        "y = w * x, which is written out here at such a length that eighty columns are by no means enough;",
        "and on with it",
    )
    assert formula_of(Formula, "backward") == ("d_x = w * d_y",)
    assert formula_of(Dense, "forward") == ()
    assert formula_of(Module, "forward") == ()
    assert summary_of(Dense) == "y = x weight^T + bias"


def test_a_formula_is_inherited_with_the_method_that_it_is_of():
    class Same(Formula):
        pass

    class Other(Formula):
        def forward(self, x):
            return x * 3, None

    assert formula_of(Same, "forward") == formula_of(Formula, "forward")
    assert formula_of(Other, "forward") == ()
    assert formula_of(Other, "backward") == ("d_x = w * d_y",)
    assert summary_of(Other) == ""


def test_numbers_and_times():
    assert words.numbers(Numbers.of("x", torch.tensor([[1.0, -0.0], [2.5, 1e-7]]))) == "[[1, 0], [2.5, 1e-07]]"
    assert words.numbers(Numbers.of("x", torch.tensor([True, False]))) == "[True, False]"
    assert words.numbers(Numbers.of("x", torch.arange(20))) == "0 to 19, mean 9.5, norm 49.7"
    assert words.numbers(Numbers.of("x", 1.0)) == "1"
    assert Numbers.of("x", torch.tensor([3 + 4j])).norm == 5
    assert [words.duration(time) for time in (2e-6, 0.0025, 2.5)] == ["2 us", "2.5 ms", "2.5 s"]
