"""Text that torch.export's files hold and that torch evaluates as Python when it opens them: sizes,
and guards of inputs.
"""

from __future__ import annotations

import ast
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


def odd(data: bytes) -> Iterator[str]:
    """What a program's JSON would have evaluated that is no arithmetic on sizes."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return  # torch cannot read it either
    for text in _evaluated(document):
        if not _arithmetic(text):
            yield f"it has {text[:80]!r} evaluated"
    for name in _imported(document):
        if not name.startswith("torch."):
            yield f"its tree of inputs imports {name.partition(':')[0][:80]!r}"


def _evaluated(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if key in _EVALUATED:
                    yield from map(str, inner if isinstance(inner, list) else [inner])
                else:
                    pending.append(inner)
        elif isinstance(item, list):
            pending += item


def _imported(value: Any) -> Iterator[str]:
    """Names that trees of inputs and outputs are made of by importing them, JSON in JSON
    (torch/utils/_pytree.py, `enum_object_hook`).
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "__enum__" in item:
                yield str(item.get("fqn"))
            pending += item.values()
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str) and "__enum__" in item:
            try:
                pending.append(json.loads(item))
            except (ValueError, RecursionError):
                continue  # torch cannot read it either


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
