"""The one place that sequences the stages. Knows no concrete format, runtime or check."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from pytest_modelport.backends import registry
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.errors import BrokenItem, UsageError
from pytest_modelport.core.route import Route
from pytest_modelport.core.verdict import PLACES, Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.request.case import Case
from pytest_modelport.workbench.availability import preload, unavailable
from pytest_modelport.workbench.transform_model import prepared
from pytest_modelport.workbench.workbench import Workbench


def expect(workspace: Workspace, routes: Iterable[Route], threads: int = 1) -> None:
    """Say early which routes will come, so that the clean room can import what they need in the
    meantime.
    """
    for route in routes:
        preload(workspace, route, threads)


@cache
def default_checks() -> tuple[str, ...]:
    """The checks asked without being named, parity first."""
    return tuple(sorted(registry.default_checks(), key=lambda name: name != "parity"))


def checks_for(case: Case, named: Sequence[str] | None = None) -> tuple[str, ...]:
    """Those named, else the default ones and shapes where dims may vary; and, named or not, what
    else the user said calls for.

    A budget, a replay or a domain that no check asked about would be green without proof.
    """
    varies = case.shapes.dynamic and case.search.examples
    asked = named or (*default_checks(), *(("shapes",) if varies else ()))
    further = {"shapes": case.search.wanted, "quality": case.hooks.metric is not None}
    called_for = [name for name, wanted in further.items() if wanted]
    return tuple(dict.fromkeys((*asked, *called_for, *case.budgets.checks)))


def prove(workspace: Workspace, case: Case, route: Route, named: Sequence[str]) -> list[Verdict]:
    """Every check's verdicts on one route. The first stage that fails ends the route."""
    workbench = Workbench(case, route, workspace)
    verdicts: list[Verdict] = []
    try:
        absent = unavailable(workbench)
        if absent is not None:
            return [absent]
        workbench = prepared(workbench)
        for found in _checked(workbench, named):
            verdicts += found
    except Stop as end:
        stopped = workbench.verdict(named[0], end.stage, end.outcome, end.reason, end.evidence)
        verdicts.append(stopped)
    except BrokenItem as error:  # the route's own format, runtime or transform
        return [_broken(case, route, named[0], str(error))]
    except OSError as error:
        # Scratch files could not be written or read: the disk's fault, not the port's.
        reason = f"cannot write: {error.strerror or error}: {error.filename or workspace.folder}"
        verdicts.append(workbench.verdict(named[0], Stage.RUN, Outcome.ERROR, reason))
    return verdicts if all(verdict.passed for verdict in verdicts) else _red(workbench, verdicts)


def _red(workbench: Workbench, verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts of a route that is not green, with what is known of the cause; its artifact is
    kept.
    """
    case, workspace = workbench.case, workbench.workspace
    if case.training:
        verdicts = [_in_train_mode(case.training, verdict) for verdict in verdicts]
    if workbench.transforms:
        verdicts = [_blamed(workbench, verdict) for verdict in verdicts]
    if workspace.keeps == "none":
        return [_placeless(verdict) for verdict in verdicts]
    if workbench.progress.artifact is not None:
        workspace.keep(workbench.progress.artifact.folder)
    return verdicts


def _checked(workbench: Workbench, named: Sequence[str]) -> Iterator[list[Verdict]]:
    """Each check's verdicts, in order, until one of them ends the route."""
    # Parity says nothing of the values in a file that was changed.
    further = ("quality",) if workbench.reshaped else ()
    wrong = False
    for name in dict.fromkeys((*named, *further)):
        if wrong and _only_green(name):
            continue
        started = time.perf_counter()
        found, ended = _asked(workbench, name)
        seconds = round((time.perf_counter() - started) / max(len(found), 1), 3)
        yield [replace(verdict, seconds=seconds) for verdict in found]
        if ended:
            return
        wrong = wrong or any(map(_wrong, found))


def _blamed(workbench: Workbench, verdict: Verdict) -> Verdict:
    """What a port of a transformed model cannot do, with whether the untransformed one can."""
    if verdict.check != "parity" or verdict.passed or verdict.stage is Stage.TRANSFORM:
        return verdict
    plain = _asked(workbench.untransformed, "parity")[0][0]
    chain = "|".join(workbench.route.transforms)
    if plain.passed:
        return replace(verdict, notes=(*verdict.notes, f"without {chain} this target passes"))
    said = f"{verdict.reason} (and without {chain} it is {plain.outcome}: {plain.reason})"
    return replace(
        verdict, reason=said, evidence={**verdict.evidence, "untransformed": str(plain.outcome)}
    )


def _placeless(verdict: Verdict) -> Verdict:
    """Without the folders that nobody will find."""
    kept = {key: said for key, said in verdict.evidence.items() if key not in PLACES}
    return replace(verdict, evidence=kept)


def _in_train_mode(parts: str, verdict: Verdict) -> Verdict:
    """The usual cause of what is not green, said first."""
    if verdict.passed:
        return verdict
    return replace(verdict, reason=f"in train mode ({parts}): {verdict.reason}")


def _wrong(verdict: Verdict) -> bool:
    """Whether this says that the port is not the subject, rather than that it costs too much."""
    return not verdict.passed and verdict.stage is not Stage.BUDGET


def _only_green(check: str) -> bool:
    """Whether a check has nothing to say of a port that is wrong. A broken one says that it is."""
    with contextlib.suppress(BrokenItem):
        return bool(getattr(registry.check(check), "ONLY_GREEN", False))
    return False


def _broken(case: Case, route: Route, check: str, reason: str) -> Verdict:
    """The verdict of a route whose format, runtime or transform is broken."""
    return Verdict(
        route, check, Stage.EXPORT, Outcome.ERROR, reason, notes=case.notes, subject=case.name
    )


def _asked(workbench: Workbench, check: str) -> tuple[list[Verdict], bool]:
    """One check's verdicts, and whether the route ends with them."""
    try:
        return _verdicts(workbench, check), False
    except Stop as stop:
        stopped = workbench.verdict(check, stop.stage, stop.outcome, stop.reason, stop.evidence)
        return [stopped], True
    except UsageError as error:
        return [workbench.verdict(check, Stage.RUN, Outcome.ERROR, str(error))], True
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - a stage border: one route's fault must not take the others along
        log = workbench.workspace.folder / f"fault-{workbench.route.id.replace('/', '_')}.log"
        log.write_text("".join(traceback.format_exception(error)))
        workbench.workspace.keep(log)
        reason = _blame(check, error)
        evidence = {"log": str(log)}
        return [workbench.verdict(check, Stage.COMPARE, Outcome.ERROR, reason, evidence)], True


def _verdicts(workbench: Workbench, check: str) -> list[Verdict]:
    """What a check says. Raises `BrokenItem` where that is something else than verdicts."""
    found = list(registry.check(check).run(workbench))
    for item in found:
        if not isinstance(item, Verdict):
            raise BrokenItem(
                f"{registry.described('checks', check)}: run yields a {type(item).__name__}: "
                "it must yield verdicts, workbench.verdict(...)"
            )
    return found


def _blame(check: str, error: Exception) -> str:
    """Whose code failed: another package's, where one took part, else ours."""
    frames = traceback.walk_tb(error.__traceback__)
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in frames]
    others = [author for module in modules if (author := registry.author(module))]
    message = f"{type(error).__name__}: {error}"
    if others:
        return f"package {others[-1]} failed in {check}: {message}; its author will want the log"
    return f"Modelport itself failed in {check}: {message}; please report it with the log"
