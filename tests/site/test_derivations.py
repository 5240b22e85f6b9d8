"""The formulas that pages of docs/backpropagation write in indented lines become TeX, and nothing else does."""

from derivations import derivation

PAGE = """## The net
    z = W @ x      h = max(z, 0)

Its loss is

    loss = y^2
    d_y = 2 * y

as in
```python
def loss(y):

    return y^2

```
- a point
    that goes on
"""


def test_indented_lines_are_typeset():
    shown = derivation(PAGE).replace(r"\displaystyle ", "")
    assert (
        shown
        == r"""## The net

\(z = W \, x\) &emsp; \(h = \max(z,\,0)\)
{: .derivation }

Its loss is

\(\mathrm{loss} = {y}^{2}\)<br>
\(\mathrm{d}y = 2 \cdot y\)
{: .derivation }

as in
```python
def loss(y):

    return y^2

```
- a point
    that goes on
"""
    )
