"""What is typed into the hidden line: read, and refused where it holds more than arithmetic with tensors.

This is the first of two barriers; `limits.py` has the other. What passes here has no import, no name that begins with
an underscore, and no function but those that are listed below.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Set
from dataclasses import dataclass
from difflib import get_close_matches

from mytorch.plugins import MytorchError

BLANK = "____"
"""What stands in the place of the hidden line's right-hand side."""
LONGEST = 4_000
"""Characters of an answer."""
FIRST_LINE = 1_000_000
"""Where the lines of an answer are counted from, so that those of the layer are told from them."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    """
    abs all any bool dict enumerate float int len list max min pow print range reversed round set slice sorted sum
    tuple zip True False None torch math
    """
)
"""What an answer may call beside the names of the layer."""
OPERATIONS = _words(
    """
    abs add add_ addcmul addmm all allclose amax amin any append arange argmax argmin argsort as_tensor baddbmm bmm
    bool broadcast_to cat ceil chunk clamp clone concat contiguous copy_ copysign cos cosh count_nonzero cumprod
    cumsum detach device diag diag_embed diagonal diff dim div div_ dot double dtype e einsum empty empty_like eq
    equal erf exp expand expand_as expm1 eye fill_ finfo flatten flip float float32 float64 floor floor_divide frac
    full full_like gather ge gt heaviside hstack index_add index_add_ index_copy index_fill index_put index_put_
    index_select indices inf int int64 inverse is_floating_point isfinite isinf isnan item kron le lerp linspace
    log log10 log1p log2 log_softmax logical_and logical_not logical_or logsumexp long lt masked_fill masked_fill_
    masked_scatter masked_select matmul max maximum mean median min minimum mm movedim mT mul mul_ multiply mv
    narrow ndim ndimension ne neg negative new_full new_ones new_zeros nonzero norm numel ones ones_like outer
    permute pi pow prod rand rand_like randn randn_like reciprocal relu remainder repeat repeat_interleave reshape
    reshape_as roll rot90 round rsqrt scatter scatter_ scatter_add scatter_add_ scatter_reduce select sgn shape
    sigmoid sign sin sinh size softmax sort split sqrt square squeeze stack std sub sub_ subtract sum swapaxes
    swapdims T t take take_along_dim tan tanh tensor tensordot tile to tolist topk trace transpose tril triu
    true_divide type type_as unbind unflatten unfold unsqueeze values var var_mean view view_as vstack where zero_
    zeros zeros_like
    """
)
"""Functions of torch and math, and methods and attributes of tensors, that an answer may use."""
ONE_HOT = "torch.nn.functional.one_hot"
"""The one function of an answer that lies deeper in torch; what else lies beside it is not allowed."""
STATEMENTS = (
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Expr,
    ast.For,
    ast.While,
    ast.If,
    ast.Pass,
    ast.Break,
    ast.Continue,
)
WORDS = {
    ast.Import: "an import",
    ast.ImportFrom: "an import",
    ast.FunctionDef: "def",
    ast.ClassDef: "class",
    ast.Return: "return",
    ast.With: "with",
    ast.Try: "try",
    ast.Delete: "del",
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.Raise: "raise",
    ast.Assert: "assert",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.Await: "await",
}


class AnswerError(MytorchError, ValueError):
    """An answer that is not judged; the text says why. line: of the answer, where one is at fault."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True)
class Place:
    """Where a hidden line belongs.

    target: the name that is assigned;  names: those that may be used;  attributes: those of the layer
    """

    target: str
    names: frozenset[str]
    attributes: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """Statements that assign the target."""

    statements: list[ast.stmt]


def find_place(layer: str) -> Place:
    """Where the code of a layer has its blank. Raises ValueError unless there is one, in a method `backward`."""
    tree = ast.parse(layer)
    blanks = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == BLANK]
    methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "backward"]
    found = [(method, node) for method in methods for node in ast.walk(method) if _is_blank(node)]
    if len(found) != 1 or len(blanks) != 1:
        raise ValueError(
            f"layer must have one line `name = {BLANK}`, in a method called backward, got {len(found)} such lines and "
            f"{len(blanks)} blanks"
        )
    method, line = found[0]
    assert isinstance(line, ast.Assign)
    assert isinstance(line.targets[0], ast.Name)
    arguments = {argument.arg for argument in method.args.args}
    stored = {node.id for node in ast.walk(method) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _root(node) == "self"}
    return Place(line.targets[0].id, frozenset(arguments | stored), frozenset(name for name in own if name[0] != "_"))


def _is_blank(node: ast.AST) -> bool:
    """Whether a statement is `name = ____`."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Name)
        and node.value.id == BLANK
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
    )


def _root(node: ast.expr) -> str | None:
    """The name that a chain of attributes, such as self.weight.value, begins with."""
    return (_path(node) or "").partition(".")[0] or None


def _path(node: ast.AST) -> str | None:
    """A chain of attributes as it is written, such as self.weight.value; None where it begins with no name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else None


def read_answer(text: str, place: Place) -> Answer:
    """The statements of an answer: an expression, which is assigned, or lines that assign the target.

    Raises AnswerError for what is no Python, or more than arithmetic with tensors.
    """
    if not text.strip():
        raise AnswerError(f"write what belongs behind `{place.target} =`")
    if len(text) > LONGEST:
        raise AnswerError(f"an answer must have at most {LONGEST:,} characters, got {len(text):,}")
    try:
        body = ast.parse(textwrap.dedent(text).strip()).body
    except SyntaxError as error:
        raise AnswerError(f"this is no Python: {error.msg}", error.lineno) from None
    except (ValueError, RecursionError, MemoryError):  # a null character, or brackets within brackets
        raise AnswerError("this is no Python that can be read") from None
    if len(body) == 1 and isinstance(body[0], ast.Expr):
        name = ast.Name(place.target, ast.Store(), lineno=1, col_offset=0)
        body = [ast.copy_location(ast.Assign([name], body[0].value), body[0])]
    _require_allowed(body, place)
    if place.target not in _stored(body):
        raise AnswerError(f"the lines must assign {place.target}, and none does")
    for statement in body:
        ast.increment_lineno(statement, FIRST_LINE)
    return Answer([ast.fix_missing_locations(statement) for statement in body])


def _stored(body: list[ast.stmt]) -> set[str]:
    names = (node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _require_allowed(body: list[ast.stmt], place: Place) -> None:
    """Raise AnswerError for a statement, a name or an attribute that is not allowed."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
    known = place.names | FUNCTIONS | _stored(body) | arguments
    read = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
    one_hot = {id(part) for node in read if _path(node) == ONE_HOT for part in ast.walk(node)}
    for node in nodes:
        line = getattr(node, "lineno", None)
        word = WORDS.get(type(node))
        if word is not None or (isinstance(node, ast.stmt) and not isinstance(node, STATEMENTS)):
            raise AnswerError(f"{word or type(node).__name__} is not allowed in an answer: compute with tensors", line)
        if isinstance(node, ast.Name):
            _require_name(node.id, known, place.names, line)
        elif isinstance(node, ast.arg):
            _require_name(node.arg, known, place.names, line)
        elif isinstance(node, ast.Attribute) and id(node) not in one_hot:
            _require_attribute(node, place, line)


def _require_name(name: str, known: Set[str], names: Set[str], line: int | None) -> None:
    """Raise AnswerError for a name that is not known. names: those of the layer, which are told."""
    if name == BLANK:
        raise AnswerError(f"{BLANK} stands for what you are asked to write", line)
    if (name.startswith("_") and name != "_") or name not in known:
        raise AnswerError(f"there is no {name!r} here. {_near(name, known, sorted(names))}", line)


def _require_attribute(node: ast.Attribute, place: Place, line: int | None) -> None:
    known = OPERATIONS | place.attributes | {"value"}  # of a parameter
    if node.attr.startswith("_") or node.attr not in known:
        instead = _near(node.attr, known, ["sum", "mean", "T", "reshape", "scatter", "where", "exp", "shape"])
        raise AnswerError(f"{node.attr!r} is not among the operations of an answer. {instead}", line)
    if not isinstance(node.ctx, ast.Load):
        raise AnswerError(f"an answer must leave attributes as they are, got an assignment to {node.attr!r}", line)


def _near(name: str, known: Set[str], some: list[str]) -> str:
    """Names that are spelled alike, or else some that there are."""
    near = get_close_matches(name, known, 3, 0.7)
    return f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(some)}, and others."
