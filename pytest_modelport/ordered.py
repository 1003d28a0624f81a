"""For runtimes that know inputs and outputs by their position: from a feed to arrays, from arrays to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.wire import Array

if TYPE_CHECKING:
    import numpy.typing as npt


class WrongCount(Exception):
    """The port returns more or fewer tensors than the artifact promises."""


def placed(manifest: Manifest, feed: Feed) -> dict[int, Array]:
    """A feed's arrays by promised position. What the feed lacks is left out: refusing that is the port's part."""
    names = [value.name for value in manifest.inputs] or list(feed.inputs)
    return {position: feed.inputs[name] for position, name in enumerate(names) if name in feed.inputs}


def arrays(manifest: Manifest, feed: Feed) -> list[npt.NDArray[Any]]:
    """Dense copies of a feed's arrays, in the promised order."""
    return [dense(array) for array in placed(manifest, feed).values()]


def dense(array: Array) -> npt.NDArray[Any]:
    """A copy in C order that a runtime may write to."""
    import numpy as np

    return np.array(array.numpy(), order="C", copy=True)


def answer(manifest: Manifest, results: Sequence[npt.ArrayLike | Array]) -> Answer:
    """The results under the promised names. Raises `WrongCount`."""
    names = [value.name for value in manifest.outputs] or [f"output_{number}" for number in range(len(results))]
    if len(names) != len(results):
        raise WrongCount(f"the port returns {len(results)} tensors; promised are {len(names)}: {', '.join(names[:5])}")
    made = [result if isinstance(result, Array) else Array.of(result) for result in results]
    return Answer(tuple(zip(names, made, strict=True)))
