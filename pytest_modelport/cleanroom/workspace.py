"""What lives as long as a session: the scratch folder, the clean rooms, and what routes of one
subject share.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pytest_modelport.cleanroom.environments import Environment, environment, own, variables
from pytest_modelport.cleanroom.room import Room

T = TypeVar("T")


class Workspace:
    """Scratch folder, clean rooms, and the memory of finished references and exports.

    folder: where artifacts go; a temporary one when None. keep_all: leave everything behind on
    `close`, not only what `keep` was called for. environments: ours and those that the project
    declares; ours alone when None. in_process: export and run ports in this process, for a
    debugger.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        keep_all: bool = False,
        environments: Mapping[str, Environment] | None = None,
        in_process: bool = False,
    ) -> None:
        self.in_process = in_process
        self._environments = own() if environments is None else environments
        self._temporary, self._keep_all = folder is None, keep_all
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="modelport-"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._rooms: dict[tuple[int, str], Room] = {}
        self._memory: dict[Hashable, Any] = {}
        self._kept: set[Path] = set()
        self._numbers = itertools.count()
        self._owner = os.getpid()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def environment(self, name: str) -> Environment:
        """The environment called `name`. Raises `UsageError` when the project declares no such."""
        return environment(name, self._environments)

    def room(self, threads: int, name: str = "") -> Room:
        """The clean room whose processes run this many threads. name: of the environment; empty for
        the session's own.
        """
        key = (threads, name)
        if key not in self._rooms:
            scratch = self.folder / "-".join(filter(None, ("cleanroom", str(threads), name)))
            scratch.mkdir(exist_ok=True)
            self._rooms[key] = self._room(scratch, threads, name)
        return self._rooms[key]

    @contextlib.contextmanager
    def room_for_one(self, threads: int, name: str) -> Iterator[Room]:
        """A clean room of its own, for what leaves traces in its process, as converters do."""
        with contextlib.closing(self._room(self.fresh("cleanroom"), threads, name)) as room:
            yield room

    def _room(self, scratch: Path, threads: int, name: str) -> Room:
        python: dict[str, Any] = (
            {"python": self.environment(name).python, "variables": variables()} if name else {}
        )
        return Room(scratch, threads=threads, **python)

    def fresh(self, name: str) -> Path:
        """A new empty folder, beside those of a former run. Raises `OSError` when it cannot be
        made.
        """
        while True:
            folder = self.folder / f"{next(self._numbers):03d}-{name}"
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)
                return folder

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make`, computed the first time this key is asked for. What raises is asked
        for again.
        """
        if key not in self._memory:
            self._memory[key] = make()
        return cast("T", self._memory[key])

    def keep(self, folder: Path) -> None:
        """Leave this folder behind on `close`: something in it failed and will be looked at."""
        self._kept.add(folder)

    def close(self) -> None:
        """End the clean rooms and remove what is not kept."""
        for room in self._rooms.values():
            room.close()
        self._rooms.clear()
        self._memory.clear()
        if self._keep_all or os.getpid() != self._owner:
            return
        # pytest may have removed it already, by its own `tmp_path_retention_policy`.
        for child in [*self.folder.iterdir()] if self.folder.is_dir() else []:
            if child.is_dir() and child not in self._kept:
                shutil.rmtree(child, ignore_errors=True)
            elif child not in self._kept:
                child.unlink(missing_ok=True)
        if self._temporary and not self._kept:
            shutil.rmtree(self.folder, ignore_errors=True)
