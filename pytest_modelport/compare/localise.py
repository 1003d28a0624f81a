"""The first operation of the subject that the port gets wrong from right inputs.

The subject's operations are looked for among the values the port computes. Exporters fuse, split
and reorder, so a value that cannot be found is no proof: an operation is in the clear when its own
value, or one computed from it, is found. The fault lies in the first operation that is not,
although everything it was computed from is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_modelport.core.tensor_stats import TensorStats
from pytest_modelport.reference.trace import Operation


def first_wrong(
    operations: Sequence[Operation], output: int, found: Iterable[TensorStats], tolerance: float
) -> Operation | None:
    """The operation where the port leaves the subject; None when it cannot be told, as where all
    but the output is found and that looks right, too.

    output: the operation that made the wrong output. found: signatures of the port's values.
    tolerance: relative.
    """
    known = list(found)
    relevant = _ancestors(operations, output)
    clear: dict[int, bool] = {}
    looks_right = False
    consumers = _consumers(operations, relevant)
    for number in sorted(relevant, reverse=True):
        seen = operations[number].allocates or any(
            _present(item, known, tolerance) for item in operations[number].signatures
        )
        if number == output:  # it is wrong, however right it looks
            seen, looks_right = False, seen
        clear[number] = seen or any(clear[consumer] for consumer in consumers[number])
    for number in sorted(relevant):
        if not clear[number] and all(clear[source] for source in operations[number].sources):
            return None if number == output and looks_right else operations[number]
    return None


def _present(wanted: TensorStats, known: list[TensorStats], tolerance: float) -> bool:
    return wanted.count > 0 and any(wanted.agrees(item, tolerance) for item in known)


def _ancestors(operations: Sequence[Operation], output: int) -> set[int]:
    """`output` and everything it was computed from."""
    relevant: set[int] = set()
    pending = [output]
    while pending:
        number = pending.pop()
        if number not in relevant:
            relevant.add(number)
            pending += operations[number].sources
    return relevant


def _consumers(operations: Sequence[Operation], relevant: set[int]) -> dict[int, list[int]]:
    consumers: dict[int, list[int]] = {number: [] for number in relevant}
    for number in relevant:
        for source in operations[number].sources:
            consumers[source].append(number)
    return consumers
