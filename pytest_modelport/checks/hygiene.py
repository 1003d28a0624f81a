"""Hygiene: does the artifact name the machine it was made on, could it do harm, does it need all
its files?

Some formats write the lines and paths of their sources into every file. A file given as `artifact=`
that could do harm is refused before it is opened, whichever checks run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from pytest_modelport.checks._leaks import leaks
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core import artifact
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import Stop, stop_for
from pytest_modelport.workbench.safety import dangers
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = False
WHEN = "runs when named in `checks=`"
_SHOWN = 5
#: Files that are left out one by one: most artifacts have one or two.
_TRIED = 20


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict. Raises `Stop`."""
    made = workbench.artifact
    harmful = [] if made.manifest.brought else dangers(made.folder)  # else it would not be here
    told = leaks(made.folder)
    idle = [
        f"{name} is not needed: the exported model opens and answers without it"
        for name in _idle(workbench)
    ]
    found = [*harmful, *told, *idle]
    evidence = {
        "dangers": harmful[:_SHOWN],
        "leaks": told[:_SHOWN],
        "idle": idle[:_SHOWN],
        "count": len(found),
    }
    if found:
        reason = found[0] + (f", and {len(found) - 1} more findings" if len(found) > 1 else "")
        yield workbench.verdict("hygiene", Stage.EXPORT, Outcome.FAILED, reason, evidence)
    else:
        files = len(workbench.artifact.manifest.files)
        yield workbench.verdict(
            "hygiene",
            Stage.EXPORT,
            Outcome.PASSED,
            f"{files} files: nothing about this machine, nothing harmful, none unneeded",
            evidence,
        )


def _idle(workbench: Workbench) -> Iterator[str]:
    """Files beside the entry without which the port answers the same: what ships with them is
    nobody's. Raises `Stop`.
    """
    made = workbench.artifact
    others = [name for name in made.manifest.files if name != made.manifest.entry][:_TRIED]
    whole = _answer(workbench, made) if others else None
    for name in others:
        folder = workbench.workspace.fresh("without")
        shutil.copytree(made.folder, folder, dirs_exist_ok=True)
        (folder / name).unlink()
        try:
            if _answer(workbench, artifact.seal(folder, made.manifest)) == whole:
                yield name
        except Stop:
            continue
        finally:
            shutil.rmtree(folder)


def _answer(workbench: Workbench, made: artifact.Artifact) -> list[bytes]:
    call = workbench.case.calls[0]
    try:
        with workbench.beside(made) as session:
            return [
                bytes(array.data)
                for _, array in session.run(workbench.feed(call), call.seed).outputs
            ]
    except RoomEnded as ended:
        raise stop_for(Stage.RUN, ended.ending, "running the exported model") from None
