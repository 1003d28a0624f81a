"""What torch.export's files hold as text and torch makes something of when it opens them: sizes and
guards of inputs, which it evaluates as Python; operators, which it calls by name.
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
#: Operators of torch's that take a file's name (every schema of torch 2.13 with such a text).
_ON_FILES = re.compile(r"torch\.ops\.\w+\.(save|from_file|load|load_tensor)\b.*")
#: Operators that hold graphs, as torch.export writes them. Others print, call objects, or run code
#: that lies beside them.
_HIGHER = re.compile(
    r"torch\.ops\.higher_order\.(?!(cond|map_impl|while_loop|scan|associative_scan|wrap|strict_mode"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast|wrap_activation_checkpoint"
    r"|tag_activation_checkpoint|out_dtype|flex_attention|auto_functionalized|auto_functionalized_v2"
    r"|hints_wrapper|invoke_subgraph|with_effects)$).*"
)


def odd(data: bytes) -> Iterator[str]:
    """What a program's JSON would have evaluated that is no arithmetic on sizes, or called that is
    no arithmetic on tensors.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return  # torch cannot read it either
    for text in _evaluated(document):
        if not _arithmetic(text):
            yield f"it has {text[:80]!r} evaluated"
    for name in sorted(set(_called(document))):
        if _ON_FILES.fullmatch(name) or _HIGHER.fullmatch(name):
            yield f"it calls {name[:80]}"
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


def _called(value: Any) -> Iterator[str]:
    """The operators of a graph and of the graphs in it."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if isinstance(item.get("target"), str):
                yield item["target"]
            pending += item.values()
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
