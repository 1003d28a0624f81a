"""For runtimes that know inputs and outputs by their position: from a feed to arrays, from arrays
to an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.errors import WrongCount
from pytest_modelport.core.feed import Answer, Feed

if TYPE_CHECKING:
    import numpy.typing as npt


def placed(manifest: Manifest, feed: Feed) -> dict[int, Array]:
    """A feed's arrays by promised position. What the feed lacks is left out: refusing that is the
    port's part.
    """
    names = [value.name for value in manifest.inputs] or list(feed.inputs)
    return {
        position: feed.inputs[name] for position, name in enumerate(names) if name in feed.inputs
    }


def arrays(manifest: Manifest, feed: Feed) -> list[npt.NDArray[Any]]:
    """Dense copies of a feed's arrays, in the promised order."""
    return [dense(array) for array in placed(manifest, feed).values()]


def dense(array: Array) -> npt.NDArray[Any]:
    """A copy in C order that a runtime may write to."""
    import numpy as np

    return np.array(array.numpy(), order="C", copy=True)


def packed(array: Array) -> bytes:
    """The memory of an array of any dtype, in C order."""
    import numpy as np

    if array.strides is None:
        return bytes(array.data)
    size = len(array.data) // max(
        1 + sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)), 1
    )
    elements = np.frombuffer(array.data, f"V{size}")
    steps = [stride * size for stride in array.strides]
    return np.lib.stride_tricks.as_strided(elements, array.shape, steps).tobytes()


def narrowed(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Integers in the narrower dtype a file takes; everything else as it is, for the port to
    refuse.

    Raises `OverflowError` for integers that have no place in it.
    """
    import numpy as np

    wanted = np.dtype(dtype)
    if array.dtype == wanted or array.dtype.kind not in "iu" or wanted.kind not in "iu":
        return array
    narrow = array.astype(wanted)
    if not np.array_equal(narrow, array):
        raise OverflowError(
            f"numbers from {array.min()} to {array.max()} do not fit the exported model's {wanted}"
        )
    return narrow


def widened(array: npt.NDArray[Any], promised: str) -> npt.NDArray[Any]:
    """Integers of a port with fewer kinds of them as what was promised, where that has the same
    values.

    Any other dtype stays, and shows.
    """
    import numpy as np

    if array.dtype.kind not in "iu" or promised not in _INTEGERS:
        return array
    wide = array.astype(promised)
    return wide if np.array_equal(wide, array) else array


_INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8")


def answer(manifest: Manifest, results: Sequence[npt.ArrayLike | Array]) -> Answer:
    """The results under the promised names, copied: a runtime may take their memory back with the
    objects they came in.

    Raises `WrongCount`.
    """
    import numpy as np

    names = [value.name for value in manifest.outputs] or [
        f"output_{number}" for number in range(len(results))
    ]
    if len(names) != len(results):
        raise WrongCount(
            f"the exported model returns {len(results)} tensors, not the {len(names)} declared: "
            f"{', '.join(names[:5])}"
        )
    made = [
        result if isinstance(result, Array) else Array.of(np.array(result)) for result in results
    ]
    return Answer(tuple(zip(names, made, strict=True)))
