"""The user's own metric, of the original and of the port that ships."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core import tree
from pytest_modelport.core.sample import Call, Sample
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Done, Raised, run
from pytest_modelport.isolation.stops import Stop, evidence_of, stop_for
from pytest_modelport.subject.identity import digest
from pytest_modelport.workbench.workbench import Workbench


@dataclass(frozen=True)
class Measured:
    """The metric of the original in eager, and of the port; more is better."""

    original: float
    port: float

    @property
    def drop(self) -> float:
        """How much less the port's is; NaN where one of them is."""
        return self.original - self.port

    @property
    def ratio(self) -> float:
        """Which share of the original's is left; NaN where that says nothing."""
        return self.port / self.original if self.original > 0 else math.nan


def measured(workbench: Workbench) -> Measured:
    """Raises `Stop` where the metric cannot be taken."""
    metric, plain = workbench.case.hooks.metric, workbench.untransformed
    assert metric is not None

    def ask() -> float:
        import torch

        with torch.no_grad():
            return float(metric(plain.case.module))

    def make() -> Any:
        return run(
            ask,
            timeout=workbench.case.timeout,
            log=workbench.workspace.fresh("metric") / "metric.log",
            restore=plain.case.module,
        )

    ending = workbench.workspace.once(
        ("metric", plain.case.key, digest(metric), workbench.route.device), make
    )
    if not isinstance(ending, Done):
        said = ending.cause.headline if isinstance(ending, Raised) else type(ending).__name__
        raise Stop(
            Stage.TRANSFORM,
            Outcome.ERROR,
            f"metric fails on the original: {said}",
            evidence_of(ending),
        )
    return Measured(float(ending.value), _of_port(workbench, metric))


def _of_port(workbench: Workbench, metric: Any) -> float:
    with workbench.session() as session:

        def port(*args: Any, **kwargs: Any) -> Any:
            return _answered(
                workbench,
                session,
                Call(Sample(args, kwargs), workbench.case.seed, "input of metric"),
            )

        try:
            return float(metric(port))
        except RoomEnded as ended:
            doing = "running the exported model for metric"
            raise stop_for(Stage.RUN, ended.ending, doing) from None
        except Stop:
            raise
        except Exception as error:  # the user's code may raise anything
            reason = f"metric fails on the exported model: {type(error).__name__}: {error}"
            raise Stop(Stage.TRANSFORM, Outcome.ERROR, reason) from error


def _answered(workbench: Workbench, session: Any, call: Call) -> Any:
    """The port's answer, nested as the subject's; by name, where that is an object of a class."""
    from pytest_modelport.core.tensors import cast, to_tensor

    sample = cast(call.sample, workbench.case.dtype)
    answer = session.run(workbench.feed(Call(sample, call.seed, call.label)), call.seed)
    by_name = dict(answer.outputs)
    names = [item.name for item in workbench.reference.steps[0].outputs]
    arrays = (
        [by_name[name] for name in names]
        if set(names) <= set(by_name)
        else [array for _, array in answer.outputs]
    )
    leaves, spec = [to_tensor(array) for array in arrays], workbench.reference.spec
    return (
        tree.build(spec, leaves)
        if tree.buildable(spec)
        else Outputs(zip(names, leaves, strict=True))
    )


class Outputs(OrderedDict[str, Any]):
    """Outputs in place of an object of a class: by name, by attribute or by position, as those of
    transformers are read.
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, slice)):
            return tuple(self.values())[key]
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"the exported model has no output {name!r}: it has {', '.join(self)}"
            ) from None

    def to_tuple(self) -> tuple[Any, ...]:
        """All of them in order."""
        return tuple(self.values())
