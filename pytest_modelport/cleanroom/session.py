"""A session in the clean room: an artifact that another process has opened."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Protocol

from pytest_modelport.cleanroom.files import Files
from pytest_modelport.cleanroom.stopwatch import Lap
from pytest_modelport.core.arrays import read_arrays, write_arrays
from pytest_modelport.core.feed import Answer, Feed


class Requests(Protocol):
    """What a session needs of its room."""

    files: Files

    def request(self, timeout: float, **message: Any) -> dict[str, Any]:
        """One request and its reply."""


class RemoteSession:
    """A session in the clean room."""

    def __init__(
        self,
        room: Requests,
        number: int,
        options: Mapping[str, Any],
        timeout: float,
        load_seconds: float,
    ) -> None:
        self._room, self._number, self._timeout = room, number, timeout
        self.options, self.load_seconds = dict(options), load_seconds

    def prepare(self, feed: Feed, seed: int) -> Lap:
        """Get ready to time calls with this feed. Returns the first one. Raises `RoomEnded`."""
        given = self._room.files.take()
        try:
            table = write_arrays(given, feed.inputs.values())
            inputs = dict(zip(feed.inputs, table, strict=True))
            message = {
                "session": self._number,
                "inputs": inputs,
                "file": str(given),
                "spec": feed.spec,
                "seed": seed,
            }
            return Lap(*self._room.request(self._timeout, op="prepare", **message)["first"])
        finally:
            self._room.files.drop(given)

    def laps(self, count: int, warm: int = 0) -> list[Lap]:
        """So many timed calls, after others that are not. Raises `RoomEnded`."""
        reply = self._room.request(
            self._timeout, op="time", session=self._number, count=count, warm=warm
        )
        return [Lap(*row) for row in reply["laps"]]

    def run(self, feed: Feed, seed: int) -> Answer:
        """One call with this seed. Raises `RoomEnded` when the port refuses, crashes or hangs."""
        files = self._room.files
        given, out = files.take(), files.take()
        try:
            table = write_arrays(given, feed.inputs.values())
            reply = self._room.request(
                self._timeout,
                op="run",
                session=self._number,
                inputs=dict(zip(feed.inputs, table, strict=True)),
                file=str(given),
                spec=feed.spec,
                seed=seed,
                out=str(out),
            )
            arrays = read_arrays(out, reply["table"], functools.partial(files.give_back, out))
        except BaseException:
            files.drop(given)
            files.drop(out)
            raise
        if reply["released"]:
            files.give_back(given)
        else:
            files.drop(given)
        outputs = len(reply["outputs"])
        return Answer(
            tuple(zip(reply["outputs"], arrays[:outputs], strict=True)),
            tuple((name, value) for name, value in reply["constants"]),
            dict(zip(reply["mutated"], arrays[outputs:], strict=True)),
        )
