"""The layout of a zip archive. Readers differ: Python's follows the directory at the end and shifts
what it finds there, torch's does not. What all of them read alike is one archive whose members
follow each other from the first byte on, and nothing else.
"""

from __future__ import annotations

import struct
import zipfile

_END, _END_64, _LOCATOR, _LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x03\x04"
_END_SIZE, _END_64_SIZE, _LOCATOR_SIZE, _LOCAL_SIZE = 22, 56, 20, 30
#: A member whose sizes follow its data: with or without a signature, of 32 or 64 bits.
_FOLLOWS, _DESCRIPTORS = 0x08, (12, 16, 20, 24)
_ENCRYPTED = 0x01


def ambiguous(data: bytes, archive: zipfile.ZipFile) -> str:
    """Why readers may see different archives in these bytes; empty where all see one."""
    end = len(data) - _END_SIZE
    if end < 0 or data[end : end + 4] != _END:
        return "something follows its directory"
    size, start = struct.unpack("<II", data[end + 12 : end + 20])
    if data[end - _LOCATOR_SIZE : end - _LOCATOR_SIZE + 4] == _LOCATOR:
        end -= _LOCATOR_SIZE + _END_64_SIZE
        if data[end : end + 4] != _END_64:
            return "its directory's end is not where it says"
        size, start = struct.unpack("<QQ", data[end + 40 : end + 56])
    if start + size != end:
        return "its directory is not where it says"
    names = [member.filename for member in archive.infolist()]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        return f"its member {twice!r} is there twice"
    return _members(data, archive, start)


def _members(data: bytes, archive: zipfile.ZipFile, directory: int) -> str:
    """The same of what lies before the directory."""
    reached, free = 0, False
    for member in sorted(archive.infolist(), key=lambda item: item.header_offset):
        at = member.header_offset
        gap = at - reached
        if gap and not (free and gap in _DESCRIPTORS):
            return f"{gap} bytes before its member {member.filename!r} are nobody's"
        head = data[at : at + _LOCAL_SIZE]
        if len(head) < _LOCAL_SIZE or head[:4] != _LOCAL:
            return f"its member {member.filename!r} is not where it says"
        flags, method = struct.unpack("<HH", head[6:10])
        name_size, extra = struct.unpack("<HH", head[26:30])
        name = data[at + _LOCAL_SIZE : at + _LOCAL_SIZE + name_size]
        if name.decode("utf-8", "replace") != member.orig_filename or (
            method != member.compress_type
        ):
            return f"its member {member.filename!r} has another name or method in its own place"
        if flags & _ENCRYPTED:
            return f"its member {member.filename!r} is encrypted"
        free = bool(flags & _FOLLOWS)
        reached = at + _LOCAL_SIZE + name_size + extra + member.compress_size
    gap = directory - reached
    if gap and not (free and gap in _DESCRIPTORS):
        return f"{gap} bytes before its directory are nobody's"
    return ""
