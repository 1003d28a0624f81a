"""What the change of a file costs at other values than the user's: numbers that hold the sample's
range may not hold a mask's, or a larger one's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_modelport.checks._answers import PortAnswer, answers_of
from pytest_modelport.checks._other_values import Make, other_values
from pytest_modelport.checks._quality_floors import decibels
from pytest_modelport.checks._structure import in_order
from pytest_modelport.compare.fidelity import Fidelity, fidelity_of
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.expected import ExpectedCall
from pytest_modelport.request.quality_floors import Floors
from pytest_modelport.search.variations import padded, variations
from pytest_modelport.workbench.workbench import Workbench

#: Rows of floors whose price does not depend on the samples that a transform was calibrated with.
_EVERYWHERE = ("exact", "fp16", "bf16", "int8_weight", "int8_dynamic", "int4_weight", "fp8_weight")
#: The share of a floor's decibels that must be left at values that nobody chose.
_LEFT = 0.5
#: Decibels to which an exported file answers as the model does.
_SOUND = 80.0


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
    prices = [*_prices(workbench, variations)]
    if workbench.case.artifact is None:  # what a brought file was before nobody knows
        prices += _prices(workbench, padded)
    if not prices:
        return None
    worst, sample = min(prices, key=lambda one: (-one[0].nonfinite, _size(one[0])))
    return Elsewhere(len(prices), _size(worst), worst.nonfinite, sample)


def _prices(workbench: Workbench, make: Make) -> Iterator[tuple[Fidelity, str]]:
    """The price at each sample at which the file was right before it was changed."""
    others = other_values(workbench, make)
    if isinstance(others, str) or others.reference.changes:
        return
    steps, seconds = others.reference.steps, workbench.case.search.seconds
    after = answers_of(workbench.on(others.reference), steps, seconds=seconds)
    plain = workbench.exported
    before = after
    if workbench.case.artifact is None:
        before = answers_of(plain.on(others.reference), steps, seconds=seconds)
    for step, one, other in zip(steps, before, after, strict=False):
        price = _price(workbench, step, other)
        if price is not None and (one is other or _sound(_price(plain, step, one))):
            yield price, step.call.label


def _sound(price: Fidelity | None) -> bool:
    return price is not None and not price.nonfinite and _size(price) >= _SOUND


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
