"""The files that a user brings, copied before anybody looks into them: what is looked at is then
what is opened, whoever else may write where they lie.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.stops import Stop

_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a FIFO: whoever reads it waits for a writer"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
#: A file this large, of which less than an eighth lies on the disk, is mostly hole.
_LARGE, _HOLE = 1 << 26, 8
_BLOCK = 512  # bytes, in which st_blocks counts (POSIX)


def copied(path: Path, companions: Sequence[str], folder: Path) -> None:
    """Copy a file, or a folder, and those beside it that belong to it. Raises `Stop` for anything
    else than plain files.
    """
    for name in (path.name, *companions):
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise refusal(f"{name} lies outside of its folder")
        for part in reversed([PurePath(name), *PurePath(name).parents[:-1]]):
            if (path.parent / part).is_symlink():
                raise refusal(f"{part} is a link to {(path.parent / part).readlink()}")
        for file in _files(path.parent / name):
            target = folder / file.relative_to(path.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(file, target)


def plain(path: Path) -> None:
    """Raises `Stop` where a file, or one in a folder, is none that may be read."""
    for file in _files(path):
        _hold(file, file.lstat())


def _files(path: Path) -> Iterator[Path]:
    """A file itself; of a folder all that lies in it, links to folders as the links they are."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for inner in sorted(path.iterdir()):
        yield from _files(inner)


def _copy(path: Path, target: Path) -> None:
    """What is opened is asked what it is, not what lay at the path before; opening waits for
    nobody.
    """
    try:
        source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        _hold(path, path.lstat())
        raise refusal(f"{path.name} cannot be read: {error.strerror}") from None
    with os.fdopen(source, "rb") as file, target.open("wb") as copy:
        _hold(path, os.fstat(source))
        shutil.copyfileobj(file, copy, 1 << 20)


def _hold(path: Path, found: os.stat_result) -> None:
    for is_kind, kind in _KINDS:
        if is_kind(found.st_mode):
            place = f" to {path.readlink()}" if kind == "a link" else ""
            raise refusal(f"{path.name} is {kind}{place}")
    written = found.st_blocks * _BLOCK
    if found.st_size > _LARGE and written * _HOLE < found.st_size:
        holds = f"{found.st_size / 1e9:.3g} GB, of which {written / 1e9:.3g} GB lie on the disk"
        raise refusal(f"{path.name} is a sparse file of {holds}")


def refusal(said: str, dangers: Sequence[str] = ()) -> Stop:
    """The end of a route whose file must not be opened. dangers: all that speaks against it."""
    evidence = {"dangers": list(dangers or [said])[:5]}
    return Stop(Stage.OPEN, Outcome.FAILED, f"not opened: {said}", evidence)
