"""Typesets the formulas that docstrings write in ASCII, such as `y = x @ W.T + b`, as TeX for KaTeX.

Formulas stand among words: "n = (x - mean) * r with r = 1 / sqrt(variance + eps), over the last axes". `typeset` finds
the longest formula at each place, by a small grammar, and leaves everything else as text. What the grammar does not
know stays as it was written, so nothing can be lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<code>`[^`]*` | \w+="[^"]*" | "[^"]*")
    | (?P<number>\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:\.\.\.)?(?![\w]))
    | (?P<name>[^\W\d](?:\w*\w)?(?:\.\w+|'\w+|-(?=[a-z])\w+)*(?:(?<=_)\([^()\s]+\))?)
    | (?P<dots>\.\.\.)
    | (?P<operator>(?<=\s)\.(?=\s)|\*\*|//|->|<=|>=|==|[-+*/@^=<>])
    | (?P<other>.)""",
    re.VERBOSE,
)
GREEK = {"alpha", "beta", "gamma", "delta", "eta", "rho", "mu", "pi", "sigma", "theta", "tau"}
SYMBOLS = {"eps": r"\varepsilon", "lambd": r"\lambda", "inf": r"\infty"} | {name: rf"\{name}" for name in GREEK}
FUNCTIONS = {"exp", "log", "sin", "cos", "tanh", "max", "min"}
RELATIONS = {"=": "=", "==": "=", "<": "<", ">": ">", "<=": r"\le", ">=": r"\ge", "->": r"\to"}
PRODUCTS = {"*": r"\cdot", "@": r"\,", ".": r"\cdot"}
WORDS = {"and", "as", "at", "by", "else", "for", "in", "is", "of", "on", "or", "over", "the", "to", "where", "with"}
"""What is never a quantity, whatever stands beside it."""
AROUND = {"sqrt": (r"\sqrt{", "}"), "floor": (r"\lfloor ", r"\rfloor "), "ceil": (r"\lceil ", r"\rceil ")}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    before: str
    """The white space in front of it."""


@dataclass(frozen=True)
class Tex:
    """A formula or a part of one."""

    text: str
    is_formula: bool = True
    """False for a word that only a formula around it makes a quantity: `count` in `d_y / count`."""
    inner: str | None = None
    """Of a group in parentheses, what is inside of them."""

    @property
    def bare(self) -> str:
        """What stands above or below a fraction's line, where parentheses are not needed."""
        return self.text if self.inner is None else self.inner


class NoFormulaError(Exception):
    """What comes next is no formula."""


def typeset(text: str) -> str:
    """A line of a docstring as Markdown, in which every formula is TeX between `\\(` and `\\)`."""
    tokens, at, out = tokens_of(text), 0, []
    while at < len(tokens):
        reader = Reader(tokens, at)
        try:
            found = reader.statement()
        except NoFormulaError:
            found = None
        if found and found.is_formula:
            out.append(f"{tokens[at].before}\\(\\displaystyle {found.text}\\)")
            at = reader.at
        else:
            out.append(tokens[at].before + as_text(tokens[at]))
            at += 1
    return "".join(out)


def as_text(token: Token) -> str:
    if token.kind == "code":
        return token.text if token.text[0] == "`" else f"`{token.text}`"
    if token.kind == "name" and ("." in token.text or "_" in token.text):
        return f"`{token.text}`"
    return escaped(token.text)


def escaped(text: str) -> str:
    """Text in which Markdown finds nothing to format; what is between backticks is code and stays."""
    pieces = re.split(r"(`[^`]*`)", text)
    pieces[::2] = [re.sub(r"([*_\[\]{}\\])", r"\\\1", piece).replace("<", "&lt;") for piece in pieces[::2]]
    return "".join(pieces)


def tokens_of(text: str) -> list[Token]:
    found, before = [], ""
    for match in TOKEN.finditer(text):
        if match.lastgroup == "space":
            before = match[0]
        else:
            found.append(Token(str(match.lastgroup), match[0], before))
            before = ""
    return found


class Reader:
    """Reads one formula from a place among tokens; `at` is the place behind it."""

    def __init__(self, tokens: list[Token], at: int) -> None:
        self.tokens, self.at = tokens, at

    # Tokens

    def peek(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else Token("end", "", "")

    def take(self, *texts: str) -> bool:
        """Go past the tokens with these texts, if they come next."""
        if [self.peek(ahead).text for ahead in range(len(texts))] != list(texts):
            return False
        self.at += len(texts)
        return True

    def need(self, text: str) -> None:
        if not self.take(text):
            raise NoFormulaError

    def is_infix(self) -> bool:
        """Operators have white space on both sides or on none, and hyphens between words are none."""
        token, after = self.peek(), self.peek(1)
        return token.kind == "operator" and bool(token.before) == bool(after.before) and bool(token.before)

    # Grammar, from the loosest operator to the tightest

    def statement(self) -> Tex:
        """A formula, by cases or not; one that begins with + goes on from the text in front of it."""
        if self.peek().text == "+" and self.peek(1).before:
            self.at += 1
            right = self.cases()
            return Tex("{} + " + right.text, right.is_formula)
        return self.cases()

    def cases(self) -> Tex:
        """`a where x > 0, else b`."""
        first = self.relation()
        rows, start = [], self.at
        left, relation, value = first.text.rpartition(" = ")
        try:
            while self.take("where"):
                condition = self.relation()
                rows.append(rf"{value} & {condition.text}")
                self.take(",")
                if self.take("else"):
                    rows.append(rf"{self.sum().text} & \text{{else}}")
                    return Tex(left + relation + r"\begin{cases}" + r" \\ ".join(rows) + r"\end{cases}")
                value = self.sum().text
        except NoFormulaError:
            pass
        self.at = start
        return first

    def relation(self) -> Tex:
        left = self.sum()
        while self.is_infix() and self.peek().text in RELATIONS:
            start, sign = self.at, RELATIONS[self.peek().text]
            self.at += 1
            try:
                left = Tex(f"{left.text} {sign} {self.sum().text}")
            except NoFormulaError:
                self.at = start
                break
        return left

    def sum(self) -> Tex:
        left = self.product()
        while self.is_infix() and self.peek().text in ("+", "-"):
            start, sign = self.at, self.peek().text
            self.at += 1
            try:
                left = Tex(f"{left.text} {sign} {self.product().text}")
            except NoFormulaError:
                self.at = start
                break
        return left

    def product(self) -> Tex:
        """Products, in which everything in front of / is above the line, and a further / goes below the same line."""
        left, above = self.power(), ""
        below: list[Tex] = []
        while self.is_infix() and self.peek().text in (*PRODUCTS, "/", "//"):
            start, sign = self.at, self.peek().text
            self.at += 1
            try:
                right = self.power()
            except NoFormulaError:
                self.at = start
                break
            if sign == "/":
                above, below = (above, [*below, right]) if below else (left.bare, [right])
                product = below[0].bare if len(below) == 1 else r" \cdot ".join(factor.text for factor in below)
                left = Tex(rf"\frac{{{above}}}{{{product}}}")
                continue
            below = []
            if sign == "//":
                left = Tex(rf"\left\lfloor \frac{{{left.bare}}}{{{right.bare}}} \right\rfloor ")
            else:
                left = Tex(f"{left.text} {PRODUCTS[sign]} {right.text}")
        return left

    def power(self) -> Tex:
        if self.peek().text == "-" and not self.peek(1).before:
            self.at += 1
            right = self.power()
            return Tex(f"-{right.text}", right.is_formula)
        base = self.postfix()
        if self.peek().text in ("^", "**"):
            self.at += 1
            return Tex(f"{{{base.text}}}^{{{self.power().bare}}}")
        return base

    def postfix(self) -> Tex:
        """An atom with its indices and arguments: `weight[o, i]`, `start(t)`."""
        head, left = self.peek(), self.atom()
        while self.peek().text in ("[", "(") and not self.peek().before:
            opened = self.peek().text
            self.at += 1
            inner = self.inside("]" if opened == "[" else ")")
            if opened == "[":
                left = Tex(f"{{{left.text}}}_{{{inner}}}")
            elif head.text in AROUND:
                left = Tex(inner.join(AROUND[head.text]))
            elif head.text == "sum":
                left = Tex(rf"\sum {in_parentheses(inner)}")
            else:
                left = Tex(f"{left.text}{in_parentheses(inner)}")
        return left

    def inside(self, closing: str) -> str:
        """Arguments or indices up to the closing bracket."""
        start = self.at
        try:
            return self.arguments(closing)
        except NoFormulaError:
            self.at = start
            return self.words(closing)

    def arguments(self, closing: str) -> str:
        """What is separated by commas; a `:` is a slice."""
        parts: list[str] = []
        while not self.take(closing):
            if self.peek().text not in (",", ":"):
                parts.append(self.cases().text)
            if self.take(","):
                parts.append(r",\,")
            elif self.take(":"):
                parts.append("{:}")
            elif self.peek().text != closing:
                raise NoFormulaError
        return "".join(parts)

    def atom(self) -> Tex:
        token = self.peek()
        if token.text == "sum" and (found := self.big_sum()):
            return found
        self.at += 1
        if token.kind == "number":
            return Tex(number(token.text), is_formula=False)
        if token.kind == "dots":
            return Tex(r"\dots ", is_formula=False)
        if token.kind == "name":
            return name(token.text)
        if token.text == "(":
            return self.group()
        if token.text == "|":
            inner = self.sum()
            self.need("|")
            return Tex(rf"\lvert {inner.text} \rvert ")
        raise NoFormulaError

    def group(self) -> Tex:
        start = self.at
        try:
            return self.terms()
        except NoFormulaError:
            self.at = start
            return Tex(in_parentheses(self.words(")")), is_formula=False)

    def words(self, closing: str) -> str:
        """What stands in brackets, if it is words and formulas: `(sum of q over the classes)`."""
        inner = ""
        while not self.take(closing):
            token, start = self.peek(), self.at
            space = r"\ " * bool(token.before and inner)
            try:
                inner += space + self.cases().text
            except NoFormulaError:
                if token.kind in ("end", "code"):
                    raise
                self.at = start + 1
                inner += rf"{space}\text{{{plain(token.text)}}}"
        return inner

    def terms(self) -> Tex:
        parts = [self.cases()]
        while self.take(","):
            parts.append(self.cases())
        self.need(")")
        inner = r",\, ".join(part.text for part in parts)
        alone = inner if len(parts) == 1 else None
        return Tex(in_parentheses(inner), any(part.is_formula for part in parts), alone)

    def big_sum(self) -> Tex | None:
        """`sum over i and j of f`, or `sum of f`."""
        start, indices = self.at, []
        self.at += 1
        if self.take("over"):
            while self.peek().kind == "name" and len(self.peek().text) == 1:
                indices.append(self.peek().text)
                self.at += 1
                if not (self.take(",") or self.take("and")):
                    break
            if not indices:
                self.at = start
                return None
        try:
            self.need("of")
            term = self.product()
        except NoFormulaError:
            self.at = start
            return None
        if not term.is_formula:
            self.at = start
            return None
        below = f"_{{{','.join(indices)}}}" if indices else ""
        return Tex(rf"\sum{below} {term.text}")


def in_parentheses(inner: str) -> str:
    tall = any(sign in inner for sign in (r"\frac", r"\begin", r"\sum"))
    return rf"\left({inner}\right)" if tall else f"({inner})"


def number(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    if e:
        power = f"10^{{{int(exponent)}}}"
        return power if mantissa == "1" else rf"{mantissa} \cdot {power}"
    return text.replace("...", r"\ldots ")


def name(text: str) -> Tex:
    """A name as TeX: `d_x` is the gradient of x, `h_(t-1)` has an index, and `W.T` is transposed."""
    base, dot, suffix = text.partition(".")
    if text in WORDS or (dot and suffix != "T") or "'" in text or "-" in text.partition("(")[0]:
        raise NoFormulaError  # a module, a genitive, a word with a hyphen
    gradient = base.startswith("d_") and len(base) > 2
    symbol, is_formula = quantity(base[2:] if gradient else base)
    if gradient:
        symbol = r"\mathrm{d}" + r"\," * symbol.startswith(r"\mathrm") + symbol
    if dot:
        symbol = rf"{{{symbol}}}^{{\top}}"
    return Tex(symbol, is_formula or gradient or bool(dot))


def quantity(text: str) -> tuple[str, bool]:
    """A name without its `d_` and `.T`, and whether it can be nothing but a quantity."""
    first, line, index = text.partition("_")
    if text in SYMBOLS:
        return SYMBOLS[text], False
    if text in FUNCTIONS:
        return rf"\{text}", False
    if line and index and (len(first) == 1 or len(index) == 1 or index[0] == "("):
        index = index[1:-1] if index[0] == "(" else index
        shown = rf"\mathrm{{{index}}}" if len(index) > 2 and index.isalpha() else plain(index)
        return rf"{symbol_of(first)}_{{{shown}}}", True
    if re.fullmatch(r"[^\W\d]\d", text) or (first in SYMBOLS and text == first):
        return f"{text[0]}_{text[1:]}", True
    if found := re.fullmatch(r"([a-z]+)(\d)", text):
        return rf"{symbol_of(found[1])}_{{{found[2]}}}", True
    return symbol_of(text), len(text) == 1 and text not in "aAI"


def symbol_of(text: str) -> str:
    if text in SYMBOLS:
        return SYMBOLS[text]
    return text if len(text) == 1 else rf"\mathrm{{{plain(text)}}}"


def plain(text: str) -> str:
    """Text in which TeX finds no commands."""
    return re.sub(r"([#$%&_{}])", r"\\\1", text)
