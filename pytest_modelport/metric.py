"""The user's own metric, of the original and of the port that ships."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pytest_modelport import tree
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.isolate import Done, Raised, run
from pytest_modelport.sample import Call, Sample
from pytest_modelport.stopped import Stopped, evidence_of, stopped
from pytest_modelport.subject import digest
from pytest_modelport.verdict import Outcome, Stage


@dataclass(frozen=True)
class Measured:
    """The metric of the original in eager, and of the port; more is better."""

    original: float
    port: float

    @property
    def drop(self) -> float:
        """How much less the port's is; NaN where one of them is."""
        return self.original - self.port


def measured(bench: Bench) -> Measured:
    """Raises `Stopped` where the metric cannot be taken."""
    metric, plain = bench.case.hooks.metric, bench.untransformed
    assert metric is not None

    def ask() -> float:
        import torch

        with torch.no_grad():
            return float(metric(plain.case.module))

    def make() -> Any:
        return run(
            ask, timeout=bench.case.timeout, log=bench.workspace.fresh("metric") / "metric.log", restore=plain.case.module
        )

    ending = bench.workspace.once(("metric", plain.case.key, digest(metric), bench.route.device), make)
    if not isinstance(ending, Done):
        said = ending.cause.headline if isinstance(ending, Raised) else type(ending).__name__
        raise Stopped(Stage.TRANSFORM, Outcome.ERROR, f"metric fails on the original: {said}", evidence_of(ending))
    return Measured(float(ending.value), _of_port(bench, metric))


def _of_port(bench: Bench, metric: Any) -> float:
    with bench.session() as session:

        def port(*args: Any, **kwargs: Any) -> Any:
            return _answered(bench, session, Call(Sample(args, kwargs), bench.case.seed, "input of metric"))

        try:
            return float(metric(port))
        except RoomEnded as ended:
            raise stopped(Stage.RUN, ended.ending, "running the port for metric") from None
        except Stopped:
            raise
        except Exception as error:  # the user's code may raise anything
            reason = f"metric fails on the port: {type(error).__name__}: {error}"
            raise Stopped(Stage.TRANSFORM, Outcome.ERROR, reason) from error


def _answered(bench: Bench, session: Any, call: Call) -> Any:
    """The port's answer, nested as the subject's; by name, where that is an object of a class."""
    from pytest_modelport.tensors import cast, to_tensor

    sample = cast(call.sample, bench.case.dtype)
    answer = session.run(bench.feed(Call(sample, call.seed, call.label)), call.seed)
    by_name = dict(answer.outputs)
    names = [item.name for item in bench.reference.steps[0].outputs]
    arrays = [by_name[name] for name in names] if set(names) <= set(by_name) else [array for _, array in answer.outputs]
    leaves, spec = [to_tensor(array) for array in arrays], bench.reference.spec
    return tree.build(spec, leaves) if tree.buildable(spec) else SimpleNamespace(**dict(zip(names, leaves, strict=True)))
