"""Hygiene: what does the artifact tell of the machine it was made on, could it do harm, does it need all its files?

Asked by name: some formats write the lines and paths of their sources into every file. What could do harm is refused for every
file that is brought, before it is opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from pytest_modelport import artifact
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.dangers import dangers, leaks
from pytest_modelport.stopped import Stopped, stopped
from pytest_modelport.verdict import Outcome, Stage, Verdict

DEFAULT = False
_SHOWN = 5
#: Files that are left out one by one: most artifacts have one or two.
_TRIED = 20


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict. Raises `Stopped`."""
    harmful, told = dangers(bench.artifact.folder), leaks(bench.artifact.folder)
    idle = [f"{name} is not needed: the port opens and answers without it" for name in _idle(bench)]
    found = [*harmful, *told, *idle]
    evidence = {"dangers": harmful[:_SHOWN], "leaks": told[:_SHOWN], "idle": idle[:_SHOWN], "count": len(found)}
    if found:
        reason = found[0] + (f", and {len(found) - 1} more such" if len(found) > 1 else "")
        yield bench.verdict("hygiene", Stage.EXPORT, Outcome.FAILED, reason, evidence)
    else:
        files = len(bench.artifact.manifest.files)
        yield bench.verdict("hygiene", Stage.EXPORT, Outcome.PASSED, f"{files} files tell nothing of this machine", evidence)


def _idle(bench: Bench) -> Iterator[str]:
    """Files beside the entry without which the port answers the same: what ships with them is nobody's. Raises `Stopped`."""
    made = bench.artifact
    others = [name for name in made.manifest.files if name != made.manifest.entry][:_TRIED]
    whole = _answer(bench, made) if others else None
    for name in others:
        folder = bench.workspace.fresh("without")
        shutil.copytree(made.folder, folder, dirs_exist_ok=True)
        (folder / name).unlink()
        try:
            if _answer(bench, artifact.seal(folder, made.manifest)) == whole:
                yield name
        except Stopped:
            continue
        finally:
            shutil.rmtree(folder)


def _answer(bench: Bench, made: artifact.Artifact) -> list[bytes]:
    call = bench.case.calls[0]
    try:
        with bench.beside(made) as session:
            return [bytes(array.data) for _, array in session.run(bench.feed(call), call.seed).outputs]
    except RoomEnded as ended:
        raise stopped(Stage.RUN, ended.ending, "running the port") from None
