"""A port is asked: the subject's calls on its session, in order, whatever becomes of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.core.verdict import Stage
from pytest_modelport.isolation.jobs import Raised
from pytest_modelport.isolation.stops import Stop, stop_for
from pytest_modelport.reference.expected import ExpectedCall
from pytest_modelport.workbench.workbench import Workbench

#: What a port gave for one call: what it was fed and its answer, or why there is none.
PortAnswer = tuple[Feed, Answer] | Stop


def answers_of(
    workbench: Workbench,
    steps: Sequence[ExpectedCall],
    *,
    lives: int = 1,
    seconds: float = math.inf,
    first: int = 1,
) -> list[PortAnswer]:
    """The port's answers to every call on one session, opened again after each death but the last.

    first: so many are asked however long they take. Fewer than the calls when it has no life left
    or the time is over. Raises `Stop` when it does not open.
    """
    given: list[PortAnswer] = []
    started = said = time.monotonic()
    while len(given) < len(steps) and lives:
        lives -= 1
        with workbench.session() as session:
            for step in steps[len(given) :]:
                now = time.monotonic()
                if len(given) >= first and now - started >= seconds:
                    return given
                if now - said >= _SILENCE:
                    said = now
                    _LOG.info(
                        "%s: %d of %d calls, %.0f s",
                        workbench.route.id,
                        len(given),
                        len(steps),
                        now - started,
                    )
                try:
                    feed = workbench.feed(step.call)
                    given.append((feed, session.run(feed, step.call.seed)))
                except Stop as end:
                    given.append(end)
                except RoomEnded as ended:
                    doing = f"running the exported model on {step.call.label}"
                    given.append(stop_for(Stage.RUN, ended.ending, doing))
                    if not isinstance(ended.ending, Raised):
                        break
    return given


#: Seconds after which a run says how far it is, to whoever listens (`pytest --log-cli-level=INFO`).
_SILENCE = 10.0
_LOG = logging.getLogger("pytest_modelport")
