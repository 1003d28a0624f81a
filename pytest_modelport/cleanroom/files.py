"""Files for tensors on their way between session and clean room, written again once nobody looks
into them.

Fresh memory costs several times what copying into memory that is already there does.
"""

from __future__ import annotations

import os
from pathlib import Path


class Files:
    """A room's files. Only this process names them; it tells the other where to read and write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._free: list[Path] = []
        self._known: set[Path] = set()
        self._made = 0

    def take(self) -> Path:
        """A file that nobody looks into: the one given back last, which the processor may still
        have, or a new name.
        """
        if self._free:
            return self._free.pop()
        self._made += 1
        path = self._folder / f"wire-{os.getpid()}-{self._made}.bin"
        self._known.add(path)
        return path

    def give_back(self, path: Path) -> None:
        """Nobody looks into it any more. Nothing happens where it has been dropped."""
        if path in self._known:
            self._free.append(path)

    def drop(self, path: Path) -> None:
        """Somebody may look into it for as long as they like: what is mapped stays theirs."""
        self._known.discard(path)
        path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Drop all."""
        self._free.clear()
        for path in list(self._known):
            self.drop(path)
