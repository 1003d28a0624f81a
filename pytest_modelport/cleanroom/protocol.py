"""Messages between the session and a clean room: length-prefixed JSON over two pipes. Tensors go
through files (`core/arrays.py`).
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import IO, Any, Protocol

_HEADER = struct.Struct("<I")
#: A longer message than anything either side says: something else has written into the pipe.
_LONGEST = 1 << 28


class Garbled(Exception):
    """What came through the pipe is no message."""


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one message. Raises `BrokenPipeError` when the other side is gone."""
    data = json.dumps(message).encode()
    stream.write(_HEADER.pack(len(data)) + data)
    stream.flush()


class Reader(Protocol):
    """Something to read bytes from: a file, or a pipe with a deadline."""

    def read(self, count: int, /) -> bytes:
        """Exactly `count` bytes, or fewer at the end of the stream."""


def receive(stream: Reader) -> dict[str, Any] | None:
    """Read one message; None at the end of the stream, also in the middle of a message. Raises
    `Garbled`.
    """
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (length,) = _HEADER.unpack(header)
    if length > _LONGEST:
        raise Garbled
    data = stream.read(length)
    if len(data) < length:
        return None
    try:
        message = json.loads(data)
    except ValueError:
        raise Garbled from None
    if not isinstance(message, dict):
        raise Garbled
    return message


class Deadline:
    """A pipe's reading end whose reads raise `TimeoutError` at the deadline."""

    def __init__(self, descriptor: int, deadline: float) -> None:
        self._descriptor, self._deadline = descriptor, deadline

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, or fewer at the end of the stream."""
        data = b""
        while len(data) < count:
            left = self._deadline - time.monotonic()
            if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(self._descriptor, min(count - len(data), 1 << 20))
            if not chunk:
                break
            data += chunk
        return data
