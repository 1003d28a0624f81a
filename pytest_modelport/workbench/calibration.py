"""The data that a transform measures ranges on: what the user's `calibrate` runs through the model,
else the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.errors import CannotTransform
from pytest_modelport.core.sample import Call, Sample
from pytest_modelport.request.case import Case
from pytest_modelport.workbench.feeds import feed


def calibrator(case: Case) -> Callable[[Callable[..., Any]], None]:
    """Shows a callable the calibration data."""
    user = case.hooks.calibrate

    def calibrate(model: Callable[..., Any]) -> None:
        with torch.no_grad():
            if user is not None:
                user(model)
                return
            for sample in calibration_samples(case):
                model(*sample.args, **sample.kwargs)

    return calibrate


def calibration_samples(case: Case) -> tuple[Sample, ...]:
    """Every sample once."""
    return tuple({id(call.sample): call.sample for call in case.calls}.values())


def feeds_of(case: Case, manifest: Manifest) -> tuple[dict[str, npt.NDArray[np.generic]], ...]:
    """The calibration data as an artifact takes it, by its inputs' names. Raises `CannotTransform`
    where there is none.
    """
    seen: list[Sample] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        seen.append(Sample(args, kwargs))
        return case.module(*args, **kwargs)

    calibrator(case)(note)
    if not seen:
        raise CannotTransform(
            "calibrate never called the model it was given: no data to measure ranges on"
        )
    fed = (feed(case, manifest, Call(sample, case.seed, "the calibration data")) for sample in seen)
    names = [value.name for value in manifest.inputs]
    return tuple(_named(one.inputs, names) for one in fed)


def _named(arrays: Any, names: list[str]) -> dict[str, npt.NDArray[np.generic]]:
    """A file whose inputs have names of its own takes them by position."""
    values = [array.numpy() for array in arrays.values()]
    return dict(zip(arrays if set(names) <= set(arrays) else names, values, strict=True))
