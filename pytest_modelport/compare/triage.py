"""Answers so near to the subject's own that no oracle is needed to see that they are right."""

from __future__ import annotations

import numpy as np

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.reference.expected import Expected, ExpectedCall

#: Units in the last place of a tensor's largest element: less than the rounding of any sum of a few
#: terms.
_UNITS = 4


def evident(step: ExpectedCall, feed: Feed, answer: Answer, *, values: bool = True) -> bool:
    """Whether every output is the subject's but for its last places, and nothing else differs.
    values: whether they must be; else finite where the subject's are.
    """
    got = dict(answer.outputs)
    if [name for name, _ in answer.outputs] != [item.name for item in step.outputs]:
        return False
    left = {name: answer.mutated.get(name, array) for name, array in feed.inputs.items()}
    changed = {name for name, array in left.items() if not array.same(feed.inputs[name])}
    plain = not (step.mutated or changed or step.constants or answer.constants)
    return plain and all(_near(item, got[item.name], values=values) for item in step.outputs)


def _near(expected: Expected, got: Array, *, values: bool) -> bool:
    if (got.dtype, got.shape) != (expected.eager.dtype, expected.eager.shape):
        return False
    if got.same(expected.eager):
        return True
    eager, port = expected.eager.numpy(), got.numpy()
    if eager.dtype.kind not in "fc" or eager.dtype.itemsize < 4:
        return False
    finite = np.isfinite(eager)
    if (
        not np.array_equal(eager[~finite], port[~finite], equal_nan=True)
        or not np.isfinite(port[finite]).all()
    ):
        return False
    if not values:
        return True
    bound = _UNITS * np.finfo(eager.dtype).eps * np.abs(eager[finite]).max(initial=0.0)
    return bool((np.abs(port[finite] - eager[finite]) <= bound).all())
