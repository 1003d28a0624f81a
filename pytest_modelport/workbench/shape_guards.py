"""What torch.export decides about dims while it traces: sizes that it fixes, conditions that it
assumes, each with its line.

torch says so in its log alone, and an ONNX file keeps none of it.
"""

from __future__ import annotations

import contextlib
import linecache
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from pytest_modelport.core.cause import is_machinery
from pytest_modelport.core.errors import CannotVary, WrongArtifact

if TYPE_CHECKING:
    from pytest_modelport.backends.export import Exported
    from pytest_modelport.request.dynamic_shapes import Shapes

_LOGGER = "torch.fx.experimental.symbolic_shapes"
_CREATED = re.compile(
    r"create_symbol (?P<symbol>\w+) = -?\d+ for (?P<place>L\[.+?\])\.size\(\)\[(?P<axis>\d+)\]"
)
_FIXED = re.compile(r"set_replacement (?P<symbol>\w+) = (?P<size>\d+) ")
_ASSUMED = re.compile(r"eval (?P<condition>.+?) \[guard added\]")
_KEYS = re.compile(r"\[['\"]?([^\]'\"]+)['\"]?\]")
#: A file with more conditions than this is not read condition by condition.
_MOST = 50


@dataclass
class Watched:
    """places: symbol -> input and axis as torch names them. fixed: symbol -> size, and the line
    that fixed it. guards: conditions assumed, each with its line. around: frames outside of the
    export; the frames and not their ids, which a frame of the export can have once one has ended.
    """

    around: frozenset[FrameType] = frozenset()
    places: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    fixed: dict[str, tuple[int, str]] = field(default_factory=dict)
    guards: dict[str, str] = field(default_factory=dict)

    def heard(self, said: str) -> None:
        """Note what one line of torch's log says."""
        if created := _CREATED.match(said):
            self.places[created["symbol"]] = (
                tuple(_KEYS.findall(created["place"])),
                int(created["axis"]),
            )
        elif fixed := _FIXED.match(said):
            self.fixed.setdefault(fixed["symbol"], (int(fixed["size"]), self._line()))
        elif (assumed := _ASSUMED.match(said)) and len(self.guards) < _MOST:
            self.guards.setdefault(assumed["condition"], self._line())

    def line(self, name: str, position: int, axis: int) -> str:
        """The line that fixed this axis of an input, the `position`-th; empty where no line of the
        user's did.
        """
        keys = {tuple(name.split(".")), (name,)}
        for symbol, (_, line) in self.fixed.items():
            place, number = self.places.get(symbol, ((), -1))
            if number == axis and (place in keys or place[-1:] == (str(position),)):
                return line
        return ""

    def assumed(self) -> tuple[str, ...]:
        """The conditions in the user's terms: `x.shape[0] > 3 (model.py:7: if x.shape[0] > 3:)`."""
        return tuple(
            f"{self._worded(condition)}{f' ({line})' if line else ''}"
            for condition, line in self.guards.items()
        )

    def _line(self) -> str:
        """The deepest line of the user's that is running now, inside of the export."""
        for frame, number in traceback.walk_stack(sys._getframe(1)):
            file = frame.f_code.co_filename
            if frame in self.around:
                break
            if not is_machinery(file) and not file.startswith("<"):
                return f"{file}:{number}: {linecache.getline(file, number).strip()}"
        return ""

    def _worded(self, condition: str) -> str:
        for symbol, (keys, axis) in self.places.items():
            size = f"{'.'.join(keys)}.shape[{axis}]"
            condition = re.sub(rf"\b{symbol}\b", size.replace("\\", r"\\"), condition)
        return condition


class _Ear(logging.Handler):
    def __init__(self, watched: Watched) -> None:
        super().__init__()
        self._watched = watched

    def emit(self, record: logging.LogRecord) -> None:
        self._watched.heard(record.getMessage())


@contextlib.contextmanager
def watching() -> Iterator[Watched]:
    """Hear what torch.export decides while the block runs, instead of torch's own log."""
    watched = Watched(frozenset(frame for frame, _ in traceback.walk_stack(sys._getframe(1))))
    logger = logging.getLogger(_LOGGER)
    before = (
        logger.level,
        logger.propagate,
        logger.handlers,
        logger.disabled,
        logging.root.manager.disable,
    )
    logger.level, logger.propagate, logger.handlers, logger.disabled = (
        logging.INFO,
        False,
        [_Ear(watched)],
        False,
    )
    logging.disable(logging.NOTSET)
    try:
        yield watched
    finally:
        watched.around = frozenset()
        logger.level, logger.propagate, logger.handlers, logger.disabled = before[:4]
        logging.disable(before[4])


def open_as_asked(exported: Exported, shapes: Shapes, watched: Watched) -> None:
    """Raises `WrongArtifact` where the artifact's promise has a size for a dim that was to vary."""
    for position, value in enumerate(exported.inputs):
        for axis, dim in shapes.varying(value.name).items():
            size = (
                value.shape[axis] if value.shape is not None and axis < len(value.shape) else None
            )
            if isinstance(size, int):
                raise WrongArtifact(
                    _fixed(
                        f"{value.name} axis {axis} ({dim})",
                        size,
                        watched.line(value.name, position, axis),
                    )
                )


def refused(error: Exception, names: Sequence[str], watched: Watched) -> Exception:
    """What an export raised, in the user's terms where a dim was the reason. names: of the inputs,
    in order.
    """
    if "Constraints violated" not in str(error) or not (watched.fixed or watched.guards):
        return error
    if not watched.fixed:
        return CannotVary(
            f"the declared dims are wider than what it assumes: {watched.assumed()[-1]}"
        )
    symbol, (size, line) = next(iter(watched.fixed.items()))
    keys, axis = watched.places.get(symbol, ((symbol,), 0))
    name = names[int(keys[-1])] if len(keys) == 2 and keys[-1].isdigit() else ".".join(keys)
    return CannotVary(_fixed(f"{name} axis {axis}", size, line))


def _fixed(what: str, size: int, line: str) -> str:
    why = (
        f"by {line}"
        if line
        else "as exporters do with 0 and 1 in the sample"
        if size < 2
        else "by the exporter"
    )
    return f"{what} was to vary and is fixed at {size}, {why}"
