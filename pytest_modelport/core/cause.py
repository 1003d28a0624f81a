"""An exception as data: what was said, and where in the user's model it happened."""

from __future__ import annotations

import errno
import linecache
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pytest_modelport.core.package import ROOT

_OPERATOR = re.compile(
    r"\b(?:aten|prims|prim|onnx|torchvision|quantized|[a-z_]\w*)(?:::|\.)\w+(?:\.\w+)?(?=[\s'\"(,;:>)]|$)"
)
_KNOWN_NAMESPACE = re.compile(r"^(aten|prims|prim|onnx|torchvision|quantized)(::|\.)")
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
_PLACES = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "
    r"|Load model from \S+ failed: ?"
    r"|/\S+\.(?:h|hpp|c|cc|cpp):\d+ (?:\w[^()]*\([^()]*\)(?: const)? )?"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
#: Errors of the disk, not of the model.
_STORAGE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}
)
#: Code that is never the user's: an exporter's own frames do not say where the model is at fault.
_MACHINERY = ("torch", "onnx", "onnxscript", "onnx_ir", "numpy", "onnxruntime", "sympy")
_OURSELVES = ROOT


@dataclass(frozen=True)
class Cause:
    """Why something raised. `text` is the whole traceback, the rest what a person needs first."""

    type: str
    message: str
    root: str = ""
    operator: str = ""
    module: str = ""
    source: str = ""
    storage: bool = False
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cause:
        return cls(**data)

    @property
    def headline(self) -> str:
        """The root cause's first line, for a reason: without the places in a C++ library's own
        source.

        A line that ends with a colon says nothing yet: the next one is part of it.
        """
        text = _PLACES.sub("", self.root or f"{self.type}: {self.message}")
        lines = [line.strip() for line in text.splitlines() if line.strip()] or [self.type]
        return f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]


def plain(text: str) -> str:
    """`text` without terminal colours."""
    return _ANSI.sub("", text)


def chain(error: BaseException) -> list[BaseException]:
    """`error` and what caused it, outermost first."""
    errors: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in errors:
        errors.append(current)
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return errors


def describe(error: BaseException, paths: Mapping[int, str] | None = None) -> Cause:
    """Turn an exception into data. `paths` maps `id(module)` to its path in the subject."""
    errors = chain(error)
    root = _root(errors)
    message = plain(str(error)).strip()
    said = [plain(str(item)) for item in errors]
    module, source = _where(errors, paths or {})
    return Cause(
        type=type(error).__name__,
        message=message,
        root=_sentence(root),
        operator=next(filter(None, map(_operator, reversed(said))), ""),
        module=module,
        source=source or next(filter(None, map(_source_in_text, reversed(said))), ""),
        storage=any(isinstance(item, OSError) and item.errno in _STORAGE for item in errors)
        or any("No space left on device" in text for text in said),
        text="".join(traceback.format_exception(error)),
    )


def _root(errors: list[BaseException]) -> BaseException:
    """The innermost error that says something (an empty assertion does not)."""
    return next((item for item in reversed(errors) if str(item).strip()), errors[0])


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {plain(str(error)).strip()}"


def _operator(text: str) -> str:
    """The first operator named in an error message: `aten.svd.default`, `aten::fft`."""
    return next(
        (
            match.group(0)
            for match in _OPERATOR.finditer(text)
            if _KNOWN_NAMESPACE.match(match.group(0))
        ),
        "",
    )


def _frames(error: BaseException) -> Iterator[TracebackType]:
    frame = error.__traceback__
    while frame is not None:
        yield frame
        frame = frame.tb_next


def is_machinery(file: str) -> bool:
    """Whether code in this file is never the user's: torch, exporters, the standard library,
    Modelport.
    """
    path = Path(file)
    if path.is_relative_to(_OURSELVES):
        return True
    if path.is_relative_to(sys.base_prefix) and "site-packages" not in path.parts:
        return True
    parts = (
        path.parts[path.parts.index("site-packages") + 1 :]
        if "site-packages" in path.parts
        else path.parts[-2:]
    )
    return bool(parts) and parts[0] in _MACHINERY


def _where(errors: list[BaseException], paths: Mapping[int, str]) -> tuple[str, str]:
    """The deepest submodule of the subject on any traceback, and the deepest line of code that is
    the user's.
    """
    module = source = ""
    for error in errors:
        for frame in _frames(error):
            owner = paths.get(id(frame.tb_frame.f_locals.get("self")))
            module = owner if owner is not None else module
            file = frame.tb_frame.f_code.co_filename
            if not is_machinery(file) and not file.startswith("<"):
                source = _source(file, frame.tb_lineno)
    return module, source


def _source(file: str, line: int) -> str:
    code = linecache.getline(file, line).strip()
    return f"{file}:{line}" + (f": {code}" if code else "")


def _source_in_text(text: str) -> str:
    """The last user frame that an error message quotes (exporters put the model's stack into their
    text).
    """
    found = [
        match
        for match in _FRAME.finditer(text)
        if not is_machinery(match["file"]) and not match["file"].startswith("<")
    ]
    return _source(found[-1]["file"], int(found[-1]["line"])) if found else ""
