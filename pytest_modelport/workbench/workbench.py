"""One route of one subject: what a check may ask for, made when first asked and shared with the
subject's other routes.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pytest_modelport.backends import registry
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.compare.fidelity import fidelity_of
from pytest_modelport.compare.judge import within_steps
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Artifact
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.route import Route
from pytest_modelport.core.sample import Call, Sample
from pytest_modelport.core.target import Target
from pytest_modelport.core.tensor_stats import TensorStats
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.reference import Reference
from pytest_modelport.request.case import Case
from pytest_modelport.request.tolerance import Tolerance
from pytest_modelport.workbench import brought, export
from pytest_modelport.workbench.brought import Quantized
from pytest_modelport.workbench.feeds import feed
from pytest_modelport.workbench.sessions import Opened, Session, Sessions, options_for
from pytest_modelport.workbench.shared_answers import eager_answers, reference_answers
from pytest_modelport.workbench.steps import RouteTransform, route_transforms
from pytest_modelport.workbench.transform_file import through


@dataclass
class Progress:
    """What has been made for a route so far. None: nobody has asked for it, or it cannot be had."""

    artifact: Artifact | None = None
    reference: Reference | None = None
    tolerance: Tolerance | None = None


@dataclass
class Workbench:
    """A case on one route."""

    case: Case
    route: Route
    workspace: Workspace
    original: Case | None = None
    progress: Progress = field(default_factory=Progress, init=False, repr=False, compare=False)

    @cached_property
    def transforms(self) -> tuple[RouteTransform, ...]:
        """The route's transforms."""
        return route_transforms(self.route.transforms, self.case.hooks.functions)

    @property
    def reshaped(self) -> bool:
        """Whether something that was done to the file may have changed answers."""
        lossy = any(transform.on_file and transform.lossy for transform in self.transforms)
        return lossy or (self.quantized is not None and not self.case.tolerance.fixed)

    @cached_property
    def quantized(self) -> Quantized | None:
        """How a file that the user brings rounds its numbers; None where it does not."""
        case = self.case
        if case.artifact is None or registry.format_(self.format).constants is None:
            return None

        def look() -> Quantized | None:
            try:
                return brought.quantized(self.artifact, case.module, self.constants())
            except RoomEnded:  # what cannot be read is judged as any file is
                return None

        key = ("quantized", str(case.artifact), case.key, self.format)
        return self.workspace.once(key, look)

    @property
    def exported(self) -> Workbench:
        """The same route without transforms of the file; a file that is brought is as it is."""
        # Keeping itself would be a cycle that holds the model until it is collected.
        changed = any(transform.on_file for transform in self.transforms)
        return self._exported if changed and self.case.artifact is None else self

    @cached_property
    def _exported(self) -> Workbench:
        kept = tuple(transform.text for transform in self.transforms if not transform.on_file)
        return replace(self, route=replace(self.route, transforms=kept))

    @cached_property
    def untransformed(self) -> Workbench:
        """The same route without any transform."""
        route = replace(self.route, transforms=())
        return replace(self, route=route, case=self.original or self.case, original=None)

    @cached_property
    def _target(self) -> Target:
        return registry.target(self.route.target)

    @property
    def format(self) -> str:
        return self._target.format

    @property
    def runtime(self) -> str:
        return self._target.runtime

    @property
    def environment(self) -> str:
        """The installation that opens the artifact; empty for the session's own."""
        return self._target.environment

    @property
    def tolerance(self) -> Tolerance:
        """What the user allows, and what the runtime's way of computing costs."""
        if self.progress.tolerance is None:
            rounding = getattr(registry.runtime(self.runtime), "ROUNDING", 1.0)
            self.progress.tolerance = replace(
                self.case.tolerance, rounding=rounding, sqnr_db=self._sqnr_db()
            )
        return self.progress.tolerance

    def _sqnr_db(self) -> float | None:
        """What answers are held to where the noise cannot say: nothing but structure after the file
        was changed.
        """
        if self.reshaped:
            return -math.inf
        if not any(getattr(transform.item, "STEPS", False) for transform in self.transforms):
            return None
        pairs = zip(self.untransformed.eager.steps, self.eager.steps, strict=True)
        outputs = (
            both for one, two in pairs for both in zip(one.outputs, two.outputs, strict=False)
        )
        values = ((a.name, a.eager.numpy(), b.eager.numpy()) for a, b in outputs)
        return within_steps(fidelity_of(values).sqnr_db)

    @property
    def options(self) -> dict[str, Any]:
        """What the route asks of the export."""
        return options_for(registry.format_(self.format), self._target)

    def verdict(
        self,
        check: str,
        stage: Stage,
        outcome: Outcome,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Verdict:
        """A verdict about this route, with what is known about the subject and the artifact among
        its notes.
        """
        artifact, reference = self.progress.artifact, self.progress.reference
        cautions = (*self.case.cautions, *(artifact.manifest.frozen if artifact else ()))
        every_note = (
            *cautions,
            *self.case.notes,
            *(reference.notes if reference else ()),
            *(artifact.manifest.notes if artifact else ()),
            *notes,
        )
        said = {"cautions": list(cautions)} if cautions else {}
        return Verdict(
            self.route,
            check,
            stage,
            outcome,
            reason,
            {**self.place, **said, **(evidence or {})},
            tuple(dict.fromkeys(every_note)),
            subject=self.case.name,
        )

    @property
    def place(self) -> dict[str, Any]:
        """Evidence of which artifact a verdict is about, and how it was opened: that is what a
        release takes.
        """
        artifact = self.progress.artifact
        place: dict[str, Any] = {"artifact": str(artifact.folder)} if artifact else {}
        if self.environment:
            place["environment"] = self.workspace.environment(self.environment).summary
        if artifact and (session := artifact.manifest.sessions.get(self.route.id)):
            place["session"] = dict(session)
        return place

    @property
    def reference(self) -> Reference:
        """The subject's answers on this route's device. Raises `Stop`."""
        if self.progress.reference is None:
            self.progress.reference = reference_answers(
                self.workspace, self.case, self.route.device
            )
        return self.progress.reference

    @cached_property
    def eager(self) -> Reference:
        """The subject's own answers alone, without oracle and noise. Raises `Stop`."""
        return eager_answers(self.workspace, self.case, self.route.device)

    def on(self, reference: Reference) -> Workbench:
        """The same route and artifact with other calls."""
        other = replace(self, case=replace(self.case, calls=reference.calls))
        other.progress = Progress(self.artifact, reference, self.tolerance)
        return other

    @property
    def artifact(self) -> Artifact:
        """The artifact of this route. Raises `Stop` when there is none."""
        if self.progress.artifact is None:
            artifact = self._artifact()
            if isinstance(artifact, Stop):
                raise artifact
            self.progress.artifact = artifact
        return self.progress.artifact

    def _artifact(self) -> Artifact | Stop:
        """The user's file, or an export and what the transforms of the file make of it."""
        case, device, workspace = self.case, self.route.device, self.workspace
        if case.artifact is not None:
            return brought.brought(workspace, case, self.reference, self.format, case.artifact)
        options, axes = repr(self.options), repr(case.shapes.axes)
        key = ("artifact", case.key, self.format, options, device, axes)

        def make() -> Artifact | Stop:
            return export.export(workspace, case, self.reference, self.format, self.options, device)

        artifact = workspace.once(key, make)
        if isinstance(artifact, Stop):
            return artifact
        on_file = [transform for transform in self.transforms if transform.on_file]
        return through(workspace, case, artifact, on_file, key)

    @property
    def _sessions(self) -> Sessions:
        return Sessions(self.case, self.route, self.workspace)

    @contextlib.contextmanager
    def session(
        self, runtime: str = "", options: Mapping[str, Any] | None = None
    ) -> Iterator[Session]:
        """The artifact opened by the route's runtime, or by one that is named, in the run's own
        environment, perhaps with other options. Raises `Stop`.
        """
        if runtime:
            with self._sessions.of_runtime(self.artifact, runtime, options) as session:
                yield session
            return
        with self._sessions.of_route(self.artifact) as session:
            self.progress.artifact = self.artifact.opened(self.route.id, session.options)
            yield session

    def beside(self, other: Artifact, environment: str = "") -> Opened:
        """Another artifact opened as the route's own is, in the same process where that is a clean
        room, or in another environment. Raises `Stop`.
        """
        return self._sessions.of_route(other, environment)

    def constants(self) -> list[tuple[str, Array]]:
        """Every tensor stored in the artifact, with its name there. Raises `RoomEnded`, `Stop`."""
        return self._sessions.constants(self.artifact)

    def memory(self, calls: int) -> tuple[int, int, int | None]:
        """What opening the artifact and some calls take; see `Sessions.memory`. Raises `RoomEnded`,
        `Stop`.
        """
        return self._sessions.memory(self.artifact, calls)

    def traced(self, step: int) -> list[TensorStats]:
        """What every value is like that the port computes in one call, after the calls before it.
        Raises `RoomEnded`, `Stop`.
        """
        return self._sessions.traced(self.artifact, step)

    def fed(self, sample: Sample, *, without: str = "") -> Feed:
        """A sample for the artifact whether it promised to take it or not, perhaps without one of
        its inputs.
        """
        probe = Call(sample, self.case.seed, "a probe")
        whole = feed(self.case, self.artifact.manifest, probe, promised=False)
        inputs = {name: array for name, array in whole.inputs.items() if name != without}
        return Feed(inputs, whole.spec)

    def feed(self, call: Call) -> Feed:
        """One call's inputs for the artifact. Raises `Stop` when the artifact has no place for
        them.
        """
        return feed(self.case, self.artifact.manifest, call)
