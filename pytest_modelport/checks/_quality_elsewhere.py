"""What the change of a file costs at other values than the user's: numbers that hold the sample's
range may not hold a mask's, or a larger one's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_modelport.checks._answers import PortAnswer, answers_of
from pytest_modelport.checks._other_values import other_values
from pytest_modelport.checks._quality_floors import decibels
from pytest_modelport.checks._structure import in_order
from pytest_modelport.compare.fidelity import Fidelity, fidelity_of
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.expected import ExpectedCall
from pytest_modelport.request.quality_floors import Floors
from pytest_modelport.workbench.workbench import Workbench

#: Rows of floors whose price does not depend on the samples that a transform was calibrated with.
_EVERYWHERE = ("exact", "fp16", "bf16", "int8_weight", "int8_dynamic", "int4_weight", "fp8_weight")
#: The share of a floor's decibels that must be left at values that nobody chose.
_LEFT = 0.5


@dataclass(frozen=True)
class Elsewhere:
    """The most that was lost at one of so many samples with other values, and which one."""

    samples: int
    sqnr_db: float
    nonfinite: int
    sample: str

    def below(self, floors: Floors) -> list[str]:
        """What is lost beyond what may be, in words."""
        where = f"at other values ({self.sample})"
        if self.nonfinite:
            lost = f"{self.nonfinite} elements are NaN or infinite, and finite in the original"
            return [f"{where} {lost}"]
        if floors.sqnr_db is None or self.sqnr_db >= _LEFT * floors.sqnr_db:
            return []
        return [
            f"{where} signal over error is {decibels(self.sqnr_db)}, "
            f"at least {_LEFT * floors.sqnr_db:g} dB are required there"
        ]


def elsewhere(workbench: Workbench, rows: Iterable[str]) -> Elsewhere | None:
    """The price of a changed file at other values; None where no transform of files alone made it,
    where it depends on calibration, or where there are no other values. Raises `Stop`.
    """
    on_file = all(transform.on_file for transform in workbench.transforms)
    if not workbench.reshaped or not on_file or not set(rows) <= set(_EVERYWHERE):
        return None
    others = other_values(workbench)
    if isinstance(others, str) or others.reference.changes:
        return None
    steps, seconds = others.reference.steps, workbench.case.search.seconds
    answers = answers_of(workbench.on(others.reference), steps, seconds=seconds)
    prices = [
        (price, step.call.label)
        for step, answer in zip(steps, answers, strict=False)
        if (price := _price(workbench, step, answer)) is not None
    ]
    if not prices:
        return None
    worst, sample = min(prices, key=lambda one: (-one[0].nonfinite, _size(one[0])))
    return Elsewhere(len(prices), _size(worst), worst.nonfinite, sample)


def _price(workbench: Workbench, step: ExpectedCall, answer: PortAnswer) -> Fidelity | None:
    """Of one sample; None where parity has something to say of it."""
    if isinstance(answer, Stop):
        return None
    outputs = in_order(step, answer[1], workbench.artifact.manifest)
    if isinstance(outputs, str):
        return None
    pairs = zip(step.outputs, outputs, strict=True)
    return fidelity_of(
        (item.name, item.eager.numpy(), got.numpy())
        for item, got in pairs
        if not item.exact and item.eager.shape == got.shape
    )


def _size(price: Fidelity) -> float:
    return math.inf if price.sqnr_db is None else price.sqnr_db
