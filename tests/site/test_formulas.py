"""What docstrings write in ASCII becomes TeX, and what is no formula stays as it is."""

import pytest
from formulas import typeset


def tex(text):
    return typeset(text).replace(r"\displaystyle ", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y = x @ W.T + b", r"\(y = x \, {W}^{\top} + b\)"),
        ("d_x = d_y * weight", r"\(\mathrm{d}x = \mathrm{d}y \cdot \mathrm{weight}\)"),
        ("a / b / (c + 1)", r"\(\frac{a}{b \cdot (c + 1)}\)"),
        ("y = a * b / c * d", r"\(y = \frac{a \cdot b}{c} \cdot d\)"),
        ("r = 1 / sqrt(variance + eps)", r"\(r = \frac{1}{\sqrt{\mathrm{variance} + \varepsilon}}\)"),
        ("h_(t-1) and beta1^t", r"\(h_{t-1}\) and \({\beta_{1}}^{t}\)"),
        ("b ** -beta", r"\({b}^{-\beta}\)"),
        ("t * size // count", r"\(\left\lfloor \frac{t \cdot \mathrm{size}}{\mathrm{count}} \right\rfloor \)"),
        ("x[start(t):end(t)]", r"\({x}_{\mathrm{start}(t){:}\mathrm{end}(t)}\)"),
        ("sum over i, k of w[i, k] * x[k]", r"\(\sum_{i,k} {w}_{i,\,k} \cdot {x}_{k}\)"),
        ("|x| > lambd", r"\(\lvert x \rvert  > \lambda\)"),
        ("y = x where x > 0, else 0", r"\(y = \begin{cases}x & x > 0 \\ 0 & \text{else}\end{cases}\)"),
        ("p * (sum of q over it)", r"\(p \cdot \left(\sum q\ \text{over}\ \mathrm{it}\right)\)"),
        ("at least 1e-12 / n", r"at least \(\frac{10^{-12}}{n}\)"),
    ],
)
def test_formulas_are_typeset(text, expected):
    assert tex(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the sum of all, divided by the count", "the sum of all, divided by the count"),
        ("a log-probability (one a row)", "a log-probability (one a row)"),
        ("the head's last_value, of aten.elu", "the head's `last_value`, of `aten.elu`"),
        ('for approximate="tanh", or `size`', 'for `approximate="tanh"`, or `size`'),
        ("lists [a] and *b and <c", r"lists \[a\] and \*\(b\) and &lt;\(c\)"),
        ("where it is or / and not", "where it is or / and not"),
        ("unbalanced (a + ) b", r"unbalanced (a + ) \(b\)"),
    ],
)
def test_words_stay_words(text, expected):
    assert tex(text) == expected


def test_a_formula_goes_on_within_its_sentence():
    assert tex("n = (x - mean) * r with r = 1 / s, over it") == (
        r"\(n = (x - \mathrm{mean}) \cdot r\) with \(r = \frac{1}{s}\), over it"
    )
