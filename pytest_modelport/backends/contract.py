"""What an item must offer, in types. `item_faults.py` holds every item to it when it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.backends.export import Exported, ExportRequest
    from pytest_modelport.backends.session_options import SessionOptions
    from pytest_modelport.core.arrays import Array
    from pytest_modelport.core.artifact import Manifest, TensorSpec
    from pytest_modelport.core.feed import Answer, Feed
    from pytest_modelport.core.sample import Sample
    from pytest_modelport.core.tensor_stats import TensorStats
    from pytest_modelport.core.verdict import Verdict
    from pytest_modelport.subject.inputs import Inputs


class Needy(Protocol):
    """What needs packages."""

    REQUIRES: Mapping[str, str]
    EXTRA: str


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

    # Optional: `OPTIONS`, what a route may ask of the export, `onnx(opset=20)`: name -> `int`,
    # `bool` or words to choose from. Optional: `ENVIRONMENT` and `convert`, see `Converting`.
    # Optional: `QUANTIZER`, the one of PT2E's whose patterns its runtime knows, where that is not
    # the default one. Optional: `PERSISTENT = True`, where only what `state_dict()` has can be in
    # an artifact. Optional: `PROGRAM = True`, where a file can do whatever its builder wrote, and
    # not only compute on tensors. Optional: `VIA`, the format whose file it is made from, a witness
    # where it is wrong. Optional: `absent(options)`, what the export needs beyond packages and does
    # not find (a compiler), else an empty string. Optional: `rounds_activations(folder)`, whether a
    # file that is brought rounds values while it runs. Optional: `settings(folder, manifest)`, the
    # numbers and words that its operators are set to. Optional: `warm()`, to import in the session
    # what every export would import in its fork.

    def export(self, request: ExportRequest) -> Exported:
        """Write the artifact into `request.folder`. Any exception means: this model cannot be
        expressed.
        """

    SUFFIXES: tuple[str, ...]
    """How files of this format are named, for an artifact that the user brings."""
    CALL: str
    """How such a file is called: `natural` (the subject's own arguments) or `named` (tensors by
    name).
    """

    def inspect(
        self, path: Path
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
        """What a brought file says of its inputs and outputs (nothing, where it does not), and the
        files beside it that it needs, relative to it. Must execute nothing that the file holds.
        """

    def constants(self, folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
        """Every tensor stored in the artifact, with its name in the file. Runs in the clean room.

        `constants = None` where an artifact stores none: then the check `weights` does not apply.
        """


class Converting(Format, Protocol):
    """A format whose converter needs an environment of its own."""

    ENVIRONMENT: str

    def convert(self, folder: Path, manifest: Manifest) -> Manifest:
        """Make the artifact of what `export` left in the folder. Runs in the clean room of that
        environment.
        """


class Session(Protocol):
    """An artifact opened on one device."""

    options: Mapping[str, Any]
    """What was really set: providers, optimisation level, threads, precision; JSON values."""

    def run(self, feed: Feed) -> Answer:
        """One call. Any exception means: the port refuses this input."""


class Runtime(Protocol):
    """How a kind of artifact is opened. Runs in the clean room: standard library and NumPy at
    module level.
    """

    REQUIRES: Mapping[str, str]
    DEVICES: tuple[str, ...]
    OPENS: tuple[str, ...]
    """The kinds of artifacts it opens."""
    EXTRA: str
    # Optional: `OPTIONS`, as a format's: what a route may ask of the session,
    # `onnx(optimization=disabled)`. Optional: `ENVIRONMENT`, the installation it opens artifacts in
    # where the target names none. Optional: `ROUNDING`, how many times further than a plain sum's
    # its results may lie from the oracle, with the reason. Optional: `REFEREE = True`, where its
    # word tells whether the file or another runtime is wrong. Optional: `UNOPTIMISED`, the options
    # with which it computes a file as it stands. Optional: `absent(options)`, as a
    # format's, for `modelport doctor`: a route of it fails when the session opens. Optional:
    # `PRELOAD`, names of modules that opening imports beside REQUIRES, for the clean room to have
    # early.

    def open(self, folder: Path, manifest: Manifest, session_options: SessionOptions) -> Session:
        """Open the artifact. Any exception means: this runtime cannot load it."""


class Subject(Protocol):
    """What a live runtime gets: the user's own code, in a process that is thrown away."""

    @property
    def module(self) -> nn.Module:
        """The module as it was handed over."""

    @property
    def inputs(self) -> Inputs:
        """The sample it is exported with."""

    def fresh(self) -> nn.Module:
        """Another instance: the user's factory's, or a copy of the module."""


class LiveRuntime(Protocol):
    """A runtime whose artifact is nothing without the subject's own code. Runs in a fork of the
    session.
    """

    REQUIRES: Mapping[str, str]
    DEVICES: tuple[str, ...]
    OPENS: tuple[str, ...]
    EXTRA: str
    LIVE: bool

    def open(
        self, folder: Path, manifest: Manifest, session_options: SessionOptions, subject: Subject
    ) -> Session:
        """As `Runtime.open`."""


def is_live(runtime: object) -> TypeGuard[LiveRuntime]:
    """Whether a runtime runs with the subject's own code."""
    return bool(getattr(runtime, "LIVE", False))


class Traceable(Runtime, Protocol):
    """A runtime that can also show what happens inside. Optional."""

    def trace(
        self,
        folder: Path,
        manifest: Manifest,
        session_options: SessionOptions,
        feeds: list[tuple[Feed, int]],
        seed: Callable[[int], None],
    ) -> Iterator[TensorStats]:
        """Signatures of every value computed for the last feed, after the feeds before it, each
        with its seed.
        """


class Transform(Protocol):
    """What is done to the model before it is exported, or to the file afterwards."""

    REQUIRES: Mapping[str, str]
    EXTRA: str
    ON: str
    """`subject`, or the kind of artifact it changes."""
    FLOOR: str
    """The row of `request.quality_floors.FLOORS` that says what it may cost."""
    # Optional: `OPTIONS`, `prune_global(amount=0.4)`: name -> `int`, `float`, `bool` or words to
    # choose from. Optional: `INPUTS`, the dtype that the transformed model takes floating point
    # inputs in. Optional: `STEPS = True`, where values inside are rounded to steps, so that sound
    # ports differ by a step here and there. Optional: `TRY`, options worth trying where what it
    # costs is too much: texts as in the chain. Optional: `TRAINS = True`, where the user's
    # `finetune` is part of it. Optional: `IMPORTS`, modules that register the operators it brings
    # into the model.

    def apply(self, work: Any) -> Any:
        """What becomes of the model: `work` is a `transform_work.ModuleWork`, the result an
        `nn.Module`. Or of the file: a `transform_work.FileWork`, and the result is notes for a
        reader. Any exception means: this cannot be transformed so.
        """


class Library(Protocol):
    """A package whose models can be asked for by name."""

    REQUIRES: Mapping[str, str]

    def build(self, name: str, options: Mapping[str, str]) -> tuple[nn.Module, Sample]:
        """A model, the same each time, and a sample for it. Raises `UsageError` for names and
        options that are not known.
        """


class FolderLibrary(Library, Protocol):
    """A package that saves models as folders."""

    def recognises(self, folder: Path) -> bool:
        """Whether a folder is one of these."""

    def from_folder(self, folder: Path) -> tuple[nn.Module, Sample, tuple[str, ...]]:
        """The model, a sample for it, and notes. No code that lies in the folder may run."""


def knows_folders(library: Library) -> TypeGuard[FolderLibrary]:
    """Whether a library has folders of its own."""
    return hasattr(library, "recognises")


class Check(Protocol):
    """One question asked of a route."""

    DEFAULT: bool
    """Whether it is asked without being named."""
    # Optional: `ONLY_GREEN = True`, where it is pointless after a verdict that is not green.

    def run(self, workbench: Any) -> Iterator[Verdict]:
        """The answers; none when the question does not apply. workbench: a
        `pytest_modelport.workbench.workbench.Workbench`.
        """
