"""What torch.export's files hold as text and torch makes something of when it opens them: sizes and
guards of inputs, which it evaluates as Python; operators, which it calls by name.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

#: The keys in a program's JSON whose text is evaluated (torch/_export/serde/serialize.py,
#: torch/export/_unlift.py).
_EVALUATED = ("expr_str", "guards_code")
_NODES = (
    ast.Expression,
    ast.BoolOp,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Call,
    ast.Constant,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.keyword,
    ast.IfExp,
    ast.Load,
    ast.boolop,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
)
#: What arithmetic on sizes is made of: SymPy's and torch's own functions, and symbols.
_NAMES = re.compile(
    r"[a-z]{1,4}\d+|Symbol|Integer|Float|Rational|Mul|Add|Pow|Mod|Max|Min|Abs|And|Or|Not|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality"
    r"|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|FloorDiv|CleanDiv|CeilDiv|PythonMod|ModularIndexing|Where|ToFloat"
    r"|TruncToInt|TruncToFloat|RoundToInt|RoundDecimal|CeilToInt|FloorToInt|IntTrueDiv|FloatTrueDiv|PowByNatural|FloatPow|LShift"
    r"|RShift|Identity|IsNonOverlappingAndDenseIndicator|(OpaqueUnaryFn|BitwiseFn)_\w+|floor|ceiling|sqrt|true|false|oo|nan"
    r"|Half|One|Zero|NegativeOne|Infinity|NegativeInfinity|BooleanTrue|BooleanFalse|L|math|max|min|abs|int|float|bool|len"
)
_ATTRIBUTES = re.compile(
    r"size|shape|stride|storage_offset|ndim|dtype|device|item|floor|ceil|trunc|sqrt|pow|inf|nan"
)
_TEXT = re.compile(r"[\w.\- ]*")
#: Operators of torch's that take a file's name (every schema of torch 2.13 with such a text).
_ON_FILES = re.compile(r"torch\.ops\.\w+\.(save|from_file|load|load_tensor)\b.*")
#: Operators that hold graphs, as torch.export writes them. Others print, call objects, or run code
#: that lies beside them.
_HIGHER = "torch.ops.higher_order."
_GRAPHS = re.compile(
    r"cond|map_impl|while_loop|scan|associative_scan|wrap|strict_mode|wrap_with_set_grad_enabled"
    r"|wrap_with_autocast|wrap_activation_checkpoint|tag_activation_checkpoint|out_dtype"
    r"|flex_attention|auto_functionalized(_v2)?|hints_wrapper|invoke_subgraph|with_effects"
)
#: The key of what a tree of inputs makes by importing it (torch/utils/_pytree.py).
_ENUM = "__enum__"


def odd(data: bytes) -> Iterator[str]:
    """What a program's JSON would have evaluated that is no arithmetic on sizes, or called that is
    no arithmetic on tensors.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return  # torch cannot read it either
    for item in _objects(document):
        for text in (text for key in _EVALUATED if key in item for text in _texts(item[key])):
            if not _arithmetic(text):
                yield f"it has {text[:80]!r} evaluated"
        target = item.get("target")
        if isinstance(target, str) and not _on_tensors(target):
            yield f"it calls {target[:80]}"
        if _ENUM in item and not (name := str(item.get("fqn"))).startswith("torch."):
            yield f"its tree of inputs imports {name.partition(':')[0][:80]!r}"


def _on_tensors(target: str) -> bool:
    """Whether a node's operator computes on tensors, or holds graphs that do."""
    if target.startswith(_HIGHER):
        return _GRAPHS.fullmatch(target.removeprefix(_HIGHER)) is not None
    return _ON_FILES.fullmatch(target) is None


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document, those in JSON that stands in it as text included: trees of inputs
    and outputs are written so.
    """
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str) and _ENUM in item:
            with contextlib.suppress(ValueError, RecursionError):  # torch cannot read it either
                pending.append(json.loads(item))


def _texts(value: Any) -> list[str]:
    """A text, or the texts in a list."""
    return list(map(str, value if isinstance(value, list) else [value]))


def _arithmetic(text: str) -> bool:
    try:
        return all(map(_harmless, ast.walk(ast.parse(text.strip(), mode="eval"))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return _NAMES.fullmatch(node.id) is not None
    if isinstance(node, ast.Attribute):
        return _ATTRIBUTES.fullmatch(node.attr) is not None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _TEXT.fullmatch(node.value) is not None
    return isinstance(node, _NODES)
