"""What a file may do to whoever opens it, and what it tells about whoever made it. Read as bytes: nothing in it is executed."""

from __future__ import annotations

import getpass
import io
import pickletools
import re
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

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
#: An archive whose members are so many times larger than itself is a trap.
_BOMB = 1000
_LARGE = 1 << 30
_NESTED = 2
#: Whatever is called so is read as one.
_PICKLES = (".pkl", ".pickle")


def dangers(folder: Path) -> list[str]:
    """Why an artifact must not be opened; empty when nothing speaks against it. folder: or one file."""
    files = [folder] if folder.is_file() or folder.is_symlink() else sorted(folder.rglob("*"))
    found: list[str] = []
    for path in files:
        name = path.name if path == folder else str(path.relative_to(folder))
        if path.is_symlink():
            found.append(f"{name} is a link to {path.readlink()}")
        elif path.is_file():
            found += [f"{name}: {said}" for said in _file(path.read_bytes(), name, 0)]
    return found


def _file(data: bytes, name: str, depth: int) -> Iterator[str]:
    if zipfile.is_zipfile(io.BytesIO(data)):
        yield from _archive(data, depth) if depth < _NESTED else ["an archive in an archive in an archive"]
    elif name.endswith(_PICKLES) or _is_pickle(data):
        yield from _pickle(data)


def _archive(data: bytes, depth: int) -> Iterator[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > _LARGE and size > _BOMB * len(data):
                yield f"unpacks to {size / 1e9:.3g} GB, {size / len(data):.0f} times its size"
                return
            for member in members:
                place = PurePosixPath(member.filename.replace("\\", "/"))
                if place.is_absolute() or ".." in place.parts:
                    yield f"its member {member.filename!r} lies outside of it"
                elif member.file_size:
                    inner = _file(archive.read(member), member.filename, depth + 1)
                    yield from (f"{member.filename}: {said}" for said in inner)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        yield f"is a broken archive: {error}"


def _is_pickle(data: bytes) -> bool:
    return data[:1] == b"\x80" and len(data) > 2 and data[1] <= 5 and data.rstrip(b"\0")[-1:] == b"."


def _pickle(data: bytes) -> Iterator[str]:
    """Names that a pickle would import, and which are none of torch's own."""
    try:
        for name in sorted(set(_globals(data))):
            if not _HARMLESS.fullmatch(name):
                yield f"its pickle calls {name.replace(' ', '.')}"
    except (ValueError, IndexError, KeyError) as error:
        yield f"its pickle cannot be read: {error}"


def _globals(data: bytes) -> Iterator[str]:
    """`module name` for everything that the pickles in a file import. Raises `ValueError` for one that hides it."""
    stream = io.BytesIO(data)
    while True:
        yield from _imported(stream)
        if data[stream.tell() : stream.tell() + 1] != b"\x80":  # what follows is no further pickle
            return


def _imported(stream: io.BytesIO) -> Iterator[str]:
    """The same for one pickle. A name must be made of the two texts before it: what else may lie on the stack is not known."""
    texts: list[str] = []
    memory: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            yield str(argument)
            texts = []
        elif name == "STACK_GLOBAL":
            if len(texts) < 2:
                raise ValueError("it makes a name of what is no text")
            yield f"{texts[-2]} {texts[-1]}"
            texts = []
        elif name.startswith("EXT"):
            raise ValueError("it takes names from a registry")
        elif "UNICODE" in name or name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
            texts.append(str(argument))
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            memory[len(memory) if name == "MEMOIZE" else int(str(argument))] = texts[-1] if texts else ""
        elif name in ("GET", "BINGET", "LONG_BINGET") and memory.get(int(str(argument))):
            texts.append(memory[int(str(argument))])
        elif name not in ("PROTO", "FRAME"):
            texts = []


def leaks(folder: Path) -> list[str]:
    """What an artifact tells of the machine it was made on: paths, names, and example inputs that it stores."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            name = str(path.relative_to(folder))
            found += [f"{name} {said}" for said in _told(path.read_bytes())]
    return found


def _told(data: bytes) -> Iterator[str]:
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                if re.search(r"(sample|traced)_inputs", member.filename) and _says_something(archive.read(member)):
                    yield f"stores example inputs in {member.filename} ({member.file_size} bytes)"
                yield from (f"in {member.filename} {said}" for said in _names(archive.read(member)))
    else:
        yield from _names(data)


def _says_something(data: bytes) -> bool:
    """Whether stored inputs are more than zeros of their shape."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return any(data) and not _is_pickle(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return any(re.search(r"/data/\d+$", one.filename) and any(archive.read(one)) for one in archive.infolist())


def _names(data: bytes) -> Iterator[str]:
    for what, text in _private().items():
        count = data.count(text.encode())
        if count:
            yield f"has {what} {text!r} ({count} times)"


def _private() -> dict[str, str]:
    """What of this machine nobody else needs to know."""
    home, here, name = str(Path.home()), str(Path.cwd()), socket.gethostname()
    known = {"the folder": here, "the home folder": f"{home}/", "the installation's folder": sys.prefix}
    user = getpass.getuser()
    known |= {"the user's folder": f"/{user}/"} if len(user) > 2 and user not in ("root", "user") else {}
    known |= {"the machine's name": name} if len(name) > 5 else {}
    return {what: text for what, text in known.items() if len(text) > 3}
