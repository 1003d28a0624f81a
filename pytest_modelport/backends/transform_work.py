"""What a transform is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.cause import Cause
from pytest_modelport.core.errors import CannotTransform

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from pytest_modelport.backends.export import ExportRequest
    from pytest_modelport.core.sample import Sample


def said(cause: Cause) -> str:
    """Why a transform did not come to its end, in its own words where it has some."""
    return cause.message if cause.type == CannotTransform.__name__ else cause.headline


@dataclass(frozen=True)
class ModuleWork:
    """A module to transform.

    module: a copy of the subject, to change or to replace. request: how it would be exported.
    calibrate: shows a callable the data that ranges are measured on: the user's, else the samples.
    finetune: the user's training, where it was given: takes a module and trains it in place.
    scratch: an empty folder. timeout: seconds.
    """

    module: nn.Module
    samples: tuple[Sample, ...]
    request: ExportRequest
    calibrate: Callable[[Callable[..., Any]], None]
    finetune: Callable[[nn.Module], Any] | None
    scratch: Path
    timeout: float
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileWork:
    """An artifact to transform.

    source: the file to open of the artifact as it was exported. target: where to write, in a folder
    of its own. feeds: calibration data, by input name.
    """

    source: Path
    target: Path
    manifest: Manifest
    feeds: tuple[Mapping[str, npt.NDArray[np.generic]], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
