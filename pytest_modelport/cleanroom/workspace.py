"""What lives as long as a run: the scratch folder and the clean rooms; and, as long as a subject
has routes to come, what its routes share.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pytest_modelport.cleanroom.environments import Environment, environment, own, variables
from pytest_modelport.cleanroom.room import Room

T = TypeVar("T")

#: Which folders a run leaves behind: of routes that did not pass, of all, of none.
Keep = Literal["failed", "all", "none"]
#: Owner of what is not one subject's.
_RUN = ""


@dataclass
class _Belongings:
    """What was made for one subject, or for the run: results by key, and folders."""

    memory: dict[Hashable, Any] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)


class Workspace:
    """Scratch folder, clean rooms, and the memory of finished references and exports.

    folder: where artifacts go; a temporary one when None. keep: which folders are left behind:
    those that `keep` was called for, everything, or nothing. environments: ours and those that the
    project declares; ours alone when None. in_process: export and run ports in this process, for a
    debugger.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        keep: Keep = "failed",
        environments: Mapping[str, Environment] | None = None,
        in_process: bool = False,
    ) -> None:
        self.in_process = in_process
        self._environments = own() if environments is None else environments
        self._temporary, self.keeps = folder is None, keep
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="modelport-"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._rooms: dict[tuple[int, str], Room] = {}
        self._belongings: defaultdict[str, _Belongings] = defaultdict(_Belongings)
        self._subject = _RUN
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
                self._belongings[self._subject].folders.append(folder)
                return folder

    @contextlib.contextmanager
    def subject(self, name: str) -> Iterator[None]:
        """What is made in here belongs to this subject, other than `once_per_run`: see
        `let_go`.
        """
        before, self._subject = self._subject, name
        try:
            yield
        finally:
            self._subject = before

    def let_go(self, subject: str) -> None:
        """Forget what belongs to a subject, and remove its folders but for what is kept: no route
        of it will come.
        """
        belongings = self._belongings.pop(subject, _Belongings())
        for folder in belongings.folders if self._removes else ():
            self._remove(folder)
            self._remove(log_of(folder))
        del belongings
        _return_memory()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make`, computed the first time this key is asked for in this subject. What
        raises is asked for again.
        """
        return self._once(self._subject, key, make)

    def once_per_run(self, key: Hashable, make: Callable[[], T]) -> T:
        """The same for what has nothing to do with the subject."""
        return self._once(_RUN, key, make)

    def _once(self, owner: str, key: Hashable, make: Callable[[], T]) -> T:
        memory = self._belongings[owner].memory
        if key not in memory:
            memory[key] = make()
        return cast("T", memory[key])

    def keep(self, folder: Path) -> None:
        """Leave this folder behind: something in it failed and will be looked at."""
        self._kept.add(folder)

    @property
    def _removes(self) -> bool:
        """Whether anything is removed; a fork that inherits this object must not."""
        return self.keeps != "all" and os.getpid() == self._owner

    def _remove(self, path: Path) -> None:
        if path in self._kept and self.keeps == "failed":
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the clean rooms and remove what is not kept."""
        for room in self._rooms.values():
            room.close()
        self._rooms.clear()
        self._belongings.clear()
        if not self._removes:
            return
        # pytest may have removed it already, by its own `tmp_path_retention_policy`.
        for child in [*self.folder.iterdir()] if self.folder.is_dir() else []:
            self._remove(child)
        if self._temporary:
            with contextlib.suppress(OSError):  # something was kept, or it is gone
                self.folder.rmdir()


def _return_memory() -> None:
    """Give what was freed back to the system. glibc keeps what torch's aligned blocks leave between
    smaller ones that live on, and does not use it again: a megabyte for each small model.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def log_of(folder: Path) -> Path:
    """Where what is printed while a folder's content is made goes: beside it."""
    return folder.with_name(f"{folder.name}.log")
