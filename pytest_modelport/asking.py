"""A port is asked: the subject's calls on its session, in order, whatever becomes of it."""

from __future__ import annotations

import logging
import math
import time

from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.isolate import Raised
from pytest_modelport.reference import Reference
from pytest_modelport.stopped import Stopped, stopped
from pytest_modelport.verdict import Stage

#: What a port gave for one call: what it was fed and its answer, or why there is none.
Given = tuple[Feed, Answer] | Stopped


def asked(bench: Bench, reference: Reference, *, lives: int = 1, seconds: float = math.inf) -> list[Given]:
    """The port's answers to every call on one session, opened again after each death but the last.

    Fewer than the calls when it has no life left or the time is over. Raises `Stopped` when it does not open.
    """
    given: list[Given] = []
    started = said = time.monotonic()
    while len(given) < len(reference.steps) and lives:
        lives -= 1
        with bench.session() as session:
            for step in reference.steps[len(given) :]:
                now = time.monotonic()
                if given and now - started >= seconds:
                    return given
                if now - said >= _SILENCE:
                    said = now
                    _LOG.info("%s: %d of %d calls, %.0f s", bench.route.id, len(given), len(reference.steps), now - started)
                try:
                    feed = bench.feed(step.call)
                    given.append((feed, session.run(feed, step.call.seed)))
                except Stopped as end:
                    given.append(end)
                except RoomEnded as ended:
                    given.append(stopped(Stage.RUN, ended.ending, f"running the port on {step.call.label}"))
                    if not isinstance(ended.ending, Raised):
                        break
    return given


#: Seconds after which a run says how far it is, to whoever listens (`pytest --log-cli-level=INFO`).
_SILENCE = 10.0
_LOG = logging.getLogger("pytest_modelport")
