"""What a file on a shelf must offer. The contract suite holds every file to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pytest_modelport.artifact import Manifest, Value
    from pytest_modelport.export import Exported, Request
    from pytest_modelport.feed import Answer, Feed
    from pytest_modelport.signature import Signature
    from pytest_modelport.verdict import Verdict
    from pytest_modelport.wire import Array


class Format(Protocol):
    """How an artifact is made from the subject."""

    REQUIRES: Mapping[str, str]
    """Import name -> pip requirement, for everything `export` and `constants` import."""
    DEVICES: tuple[str, ...]
    KIND: str
    """The kind of artifact made; runtimes say which kind they open."""
    RUNTIME: str
    """The runtime a target without a runtime means."""
    EXTRA: str
    """The extra of pytest-modelport that installs REQUIRES and the default runtime."""

    # Optional: `warm()`, to import in the session what every export would import in its fork.

    def export(self, request: Request) -> Exported:
        """Write the artifact into `request.folder`. Any exception means: this model cannot be expressed."""

    SUFFIXES: tuple[str, ...]
    """How files of this format are named, for an artifact that the user brings."""
    CALL: str
    """How such a file is called: `natural` (the subject's own arguments) or `named` (tensors by name)."""

    def inspect(self, path: Path) -> tuple[tuple[Value, ...], tuple[Value, ...], tuple[str, ...]]:
        """What a brought file says of its inputs and outputs (nothing, where it does not), and the files beside it that it
        needs, relative to it. Must execute nothing that the file holds.
        """

    def constants(self, folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
        """Every tensor stored in the artifact, with its name in the file. Runs in the clean room."""


class Session(Protocol):
    """An artifact opened on one device."""

    options: Mapping[str, Any]
    """What was really set: providers, optimisation level, threads, precision; JSON values."""

    def run(self, feed: Feed) -> Answer:
        """One call. Any exception means: the port refuses this input."""


class Runtime(Protocol):
    """How a kind of artifact is opened. Runs in the clean room: standard library and NumPy at module level."""

    REQUIRES: Mapping[str, str]
    DEVICES: tuple[str, ...]
    OPENS: str
    EXTRA: str
    # Optional: `PRELOAD`, names of modules that opening imports beside REQUIRES, for the clean room to have early.

    def open(self, folder: Path, manifest: Manifest, device: str, threads: int) -> Session:
        """Open the artifact. Any exception means: this runtime cannot load it."""


class Traceable(Runtime, Protocol):
    """A runtime that can also show what happens inside. Optional."""

    def trace(
        self,
        folder: Path,
        manifest: Manifest,
        device: str,
        threads: int,
        feeds: list[tuple[Feed, int]],
        seed: Callable[[int], None],
    ) -> Iterator[Signature]:
        """Signatures of every value computed for the last feed, after the feeds before it, each with its seed."""


class Check(Protocol):
    """One question asked of a route."""

    DEFAULT: bool
    """Whether it is asked without being named."""

    def run(self, bench: Any) -> Iterator[Verdict]:
        """The answers; none when the question does not apply. bench: a `pytest_modelport.bench.Bench`."""
