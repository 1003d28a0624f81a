"""An artifact: an immutable folder that an export made, and the manifest that says what is in it
and what it promises.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import ModelportError

SCHEMA = 1
MANIFEST = "manifest.json"


class CorruptArtifact(ModelportError):
    """The files are not those the manifest describes."""


#: How a note begins in which a tracer warns of a value that it froze.
TRACED = "traced at "


@dataclass(frozen=True)
class TensorSpec:
    """One promised input or output. A dim is its size, or a symbol's name, or None where the file
    does not say. stored: its name in the file, where that is another. optional: an input that may
    be left out.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None = None
    stored: str = ""
    optional: bool = False

    @property
    def file_name(self) -> str:
        """Its name in the file."""
        return self.stored or self.name


@dataclass(frozen=True)
class Manifest:
    """What the artifact is.

    call: `natural` (called with the subject's own nested arguments), `flat` (tensors in the
    promised order) or `named` (tensors by name). brought: not exported here but given by the user,
    so its names are its own. constants: Python values among the outputs that were fixed at export,
    by output name; baked: the same among the inputs. ranges: symbol -> [lowest, highest or None].
    guards: what else the export assumed of the inputs, each with its line; a file may not check it.
    options: what the route asked of the export. sessions: what opening it really set, by route.
    transforms: what was done to the file after the export. subject: in a release, of which weights
    and code.
    """

    format: str
    kind: str
    entry: str
    call: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    constants: Mapping[str, Any] = field(default_factory=dict)
    baked: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    guards: tuple[str, ...] = ()
    producers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()
    subject: Mapping[str, str] = field(default_factory=dict)
    brought: bool = False
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sessions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def frozen(self) -> tuple[str, ...]:
        """The notes in which a tracer says that it took a value of the sample's for a constant."""
        return tuple(note for note in self.notes if note.startswith(TRACED))

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """Undo `to_dict`. Raises `CorruptArtifact` for another schema or missing fields."""
        if data.get("schema") != SCHEMA:
            raise CorruptArtifact(
                f"manifest schema {data.get('schema')!r} is not readable here: "
                f"this version reads {SCHEMA}"
            )
        try:
            values = {key: value for key, value in data.items() if key != "schema"}
            return cls(
                **{
                    **values,
                    **{key: _values(values[key]) for key in ("inputs", "outputs")},
                    **{key: tuple(values[key]) for key in ("notes", "guards", "transforms")},
                }
            )
        except (KeyError, TypeError) as error:
            raise CorruptArtifact(f"manifest is not complete: {error}") from error


def _values(rows: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            row["name"],
            row["dtype"],
            None if row["shape"] is None else tuple(row["shape"]),
            row.get("stored", ""),
            bool(row.get("optional")),
        )
        for row in rows
    )


@dataclass(frozen=True)
class Artifact:
    """A folder with a manifest."""

    folder: Path
    manifest: Manifest

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(int(row["size"]) for row in self.manifest.files.values())

    def opened(self, route: str, options: Mapping[str, Any]) -> Artifact:
        """The artifact with what a route's session really set noted in its manifest, beside what
        those before it have noted.
        """
        noted = _read_manifest(self.folder).sessions
        manifest = replace(self.manifest, sessions={**noted, route: dict(options)})
        write_manifest(self.folder, manifest)
        return Artifact(self.folder, manifest)


def seal(folder: Path, manifest: Manifest) -> Artifact:
    """Hash every file in the folder into the manifest and write it. Raises `OSError` when it cannot
    be written.
    """
    files = {
        str(path.relative_to(folder)): {"sha256": sha256(path), "size": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    sealed = replace(manifest, files=files)
    write_manifest(folder, sealed)
    return Artifact(folder, sealed)


def load(folder: Path) -> Artifact:
    """Open a sealed folder. Raises `CorruptArtifact` when a file is missing, was added or does not
    hash as it did.
    """
    manifest = _read_manifest(folder)
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    for name in sorted(found ^ set(manifest.files)):
        raise CorruptArtifact(
            f"{name} is {'not in the manifest' if name in found else 'missing'}: {folder}"
        )
    for name, row in manifest.files.items():
        if sha256(folder / name) != row["sha256"]:
            raise CorruptArtifact(
                f"{name} is not the file that was exported (sha256 differs): {folder}"
            )
    return Artifact(folder, manifest)


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.from_dict(json.loads((folder / MANIFEST).read_text()))
    except (OSError, json.JSONDecodeError) as error:
        raise CorruptArtifact(f"no readable manifest in {folder}: {error}") from error


def sha256(path: Path) -> str:
    """Hex digest of a file's contents."""
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else _digest(file)
        )


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest atomically."""
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".manifest-")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(manifest.to_dict(), file, indent=2)
        Path(temporary).replace(folder / MANIFEST)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
