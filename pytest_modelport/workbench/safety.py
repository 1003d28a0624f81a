"""What a file may do to whoever opens it, and what it tells about whoever made it. Read as bytes:
nothing in it is executed.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_modelport.workbench.safety_archives import ambiguous
from pytest_modelport.workbench.safety_expressions import odd

#: What torch's own files make when they are read; anything else can run whatever it likes.
_HARMLESS = re.compile(
    r"(collections OrderedDict"
    r"|torch\._utils _rebuild_\w+"
    r"|torch(\.storage)? \w*Storage"
    r"|torch\.serialization _get_layout"
    r"|torch (Size|device|dtype|float\d+|bfloat16|int\d+|uint8|bool|complex\d+|float8_\w+)"
    r"|torch\.nn\.parameter Parameter"
    r"|torch\._tensor _rebuild_from_type_v2"
    r"|torch\.jit\._pickle \w+"
    r"|__torch__(\.\w+)* \w+"
    r"|builtins (set|frozenset|complex|bytearray|slice|range)"
    r"|_codecs encode)"
)
#: An archive whose members are so many times larger than itself is a trap: torch's own are not
#: compressed.
_BOMB = 10
_LARGE = 1 << 30
_NESTED = 2
#: Archives that only IREE reads, which leaves space before what it maps into memory.
_PADDED = (".vmfb",)
#: Whatever is called so is opened as a pickle, or as an archive with one.
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt")
#: The same among a program's constants (torch/export/pt2_archive/constants.py).
OBJECTS = re.compile(r"(custom|opaque)_obj_\d*")
#: How an archive begins: what begins otherwise and ends like one is read by some as the one and by
#: others as the other.
_ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06")
#: torch's operations that take a file's name, and those of other libraries that are called so.
_ON_FILES = re.compile(rb"\b(?:torch|ops\.\w+)\.(?:save|from_file|load_tensor|load)\(")
#: Pickles at the head of what torch.save wrote before it wrote archives: the numbers of its format,
#: the value, its keys.
_LEGACY = 5
#: What the standard library raises for bytes that are no pickle.
_UNREADABLE = (ValueError, IndexError, KeyError)


def dangers(folder: Path) -> list[str]:
    """Why an artifact must not be opened; empty when nothing speaks against it. folder: or one
    file.
    """
    files = [folder] if folder.is_file() or folder.is_symlink() else sorted(folder.rglob("*"))
    found: list[str] = []
    for path in files:
        name = path.name if path == folder else str(path.relative_to(folder))
        if path.is_symlink():
            found.append(f"{name} is a link to {path.readlink()}")
        elif path.is_file():
            found += [f"{name}: {said}" for said in _of(path, name)]
    return found


def _of(path: Path, name: str) -> Iterator[str]:
    """What is only numbers is not read whole, however large it is."""
    with path.open("rb") as file:
        head = file.read(len(_ARCHIVE[0]))
    if (
        head.startswith((*_ARCHIVE, b"\x80"))
        or name.endswith((*_PICKLES, ".json", ".py"))
        or (OBJECTS.fullmatch(path.name))
    ):
        yield from _file(path.read_bytes(), name, 0)


def _file(data: bytes, name: str, depth: int, *, pickled: bool = False) -> Iterator[str]:
    """pickled: it will be read as a pickle, whatever its name."""
    strict = (
        pickled
        or name.endswith(_PICKLES)
        or OBJECTS.fullmatch(PurePosixPath(name).name) is not None
    )
    if data.startswith(_ARCHIVE) and _ends_as_archive(data):
        deep = depth >= _NESTED
        yield from (
            ["an archive in an archive in an archive"] if deep else _archive(data, name, depth)
        )
    elif strict and data:
        yield from _pickle(data, strict=True)
    elif data[:1] == b"\x80" and data[1:2] <= b"\x05":  # a pickle, or numbers that begin like one
        yield from _pickle(data, strict=False)
    elif name.endswith(".json"):
        yield from odd(data)
    elif name.endswith(".py"):
        yield from _file_calls(data)


def _ends_as_archive(data: bytes) -> bool:
    """Whether there is an archive's directory, a broken one included: what is told of it is why."""
    try:
        return zipfile.is_zipfile(io.BytesIO(data))
    except zipfile.BadZipFile:
        return True


def _file_calls(data: bytes) -> Iterator[str]:
    """Operations of TorchScript's code that read or write files."""
    called = sorted({match.group() for match in _ON_FILES.finditer(data)})
    yield from (f"its code calls {name.decode().removesuffix('(')}" for name in called)


def _archive(data: bytes, outer: str, depth: int) -> Iterator[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            said = "" if outer.endswith(_PADDED) else ambiguous(data, archive)
            if said:
                yield f"readers may see other archives in it: {said}"
                return
            size = sum(member.file_size for member in members)
            if size > _LARGE and size > _BOMB * len(data):
                yield f"unpacks to {size / 1e9:.3g} GB, {size / len(data):.0f} times its size"
                return
            pickled = _pickled(archive)
            for member in members:
                place = PurePosixPath(member.filename.replace("\\", "/"))
                if place.is_absolute() or ".." in place.parts:
                    yield f"its member {member.filename!r} lies outside of it"
                elif member.file_size:
                    inner = _file(
                        archive.read(member),
                        member.filename,
                        depth + 1,
                        pickled=place.name in pickled,
                    )
                    yield from (f"{member.filename}: {said}" for said in inner)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, ValueError) as error:
        yield f"is a broken archive: {error}"


def _pickled(archive: zipfile.ZipFile) -> set[str]:
    """Members that a program's lists of weights and constants have read as pickles."""
    found = set()
    for member in archive.infolist():  # one name may be there twice
        if member.filename.endswith("_config.json"):
            with contextlib.suppress(ValueError, RecursionError):
                found |= set(_named_pickles(json.loads(archive.read(member))))
    return found


def _named_pickles(document: Any) -> Iterator[str]:
    config = document.get("config") if isinstance(document, dict) else None
    for row in config.values() if isinstance(config, dict) else ():
        if isinstance(row, dict) and row.get("use_pickle"):
            yield PurePosixPath(str(row.get("path_name"))).name


def _pickle(data: bytes, *, strict: bool) -> Iterator[str]:
    """Names that a pickle would import, and which are none of torch's own. strict: what cannot be
    read is told, too.
    """
    called: set[str] = set()
    error = ""
    try:
        for name in _globals(data):
            called.add(name)
    except _UNREADABLE as raised:
        error = f"its pickle cannot be read: {raised}"
    yield from (
        f"its pickle calls {name.replace(' ', '.')}"
        for name in sorted(called)
        if not _HARMLESS.fullmatch(name)
    )
    if strict and error:
        yield error


def _globals(data: bytes) -> Iterator[str]:
    """`module name` for everything that the pickles in a file import, one after the other. Raises
    `ValueError` for one that hides it, and for what is none.
    """
    stream, read = io.BytesIO(data), 0
    while stream.tell() < len(data):
        try:
            yield from _imported(stream)
        except _UNREADABLE:
            if read >= _LEGACY:  # the numbers that torch.save once wrote after its pickles
                return
            raise
        read += 1


def _imported(stream: io.BytesIO) -> Iterator[str]:
    """The same for one pickle. A name must be made of the two texts before it: what else may lie on
    the stack is not known.
    """
    texts: list[str] = []
    memory: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            yield str(argument)
            texts = []
        elif name == "STACK_GLOBAL":
            if len(texts) < 2:
                raise ValueError("it makes a name of something that is not text")
            yield f"{texts[-2]} {texts[-1]}"
            texts = []
        elif name.startswith("EXT"):
            raise ValueError("it takes names from a registry")
        elif "UNICODE" in name or name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
            texts.append(str(argument))
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            memory[len(memory) if name == "MEMOIZE" else int(str(argument))] = (
                texts[-1] if texts else ""
            )
        elif name in ("GET", "BINGET", "LONG_BINGET") and memory.get(int(str(argument))):
            texts.append(memory[int(str(argument))])
        elif name not in ("PROTO", "FRAME"):
            texts = []
