"""Parity: does the port answer as the subject does?"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.finding import Finding
from pytest_modelport.isolate import Raised
from pytest_modelport.stopped import Stopped, stopped
from pytest_modelport.verdict import Stage, Verdict

DEFAULT = True


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict: the worst of all outputs of all calls. Raises `Stopped` where the route ends earlier."""
    finding = Finding(bench, bench.reference)
    with bench.session() as session:
        for position, step in enumerate(finding.reference.steps):
            try:
                feed = bench.feed(step.call)
                answer = session.run(feed, step.call.seed)
            except Stopped as end:
                finding.refuse(step, end)
            except RoomEnded as ended:
                finding.refuse(step, stopped(Stage.RUN, ended.ending, f"running the port on {step.call.label}"))
                if not isinstance(ended.ending, Raised):
                    break
            else:
                finding.receive(position, feed, answer)
    yield finding.verdict()
