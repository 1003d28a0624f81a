"""AOTInductor packages, opened with `torch._inductor.aoti_load_package`, their input checks
switched on.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from pytest_modelport.backends.kit.torch_session import TorchSession
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = ("aotinductor",)
EXTRA = ""
PRELOAD = ("torch._inductor",)
#: Without it a package reads whatever it is given as what it was compiled for, and answers nonsense
#: or dies.
_CHECKS = "AOTI_RUNTIME_CHECK_INPUTS"


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> TorchSession:
    """Load the library. Raises what torch raises, and at a call `RuntimeError` where the package
    does not take the input, with whose check that is.
    """
    os.environ[_CHECKS] = "1"
    import torch

    package = torch._inductor.aoti_load_package(str(folder / manifest.entry))
    session = TorchSession(functools.partial(_called, package), manifest, session_options)
    session.options[_CHECKS] = "1"
    return session


def _called(package: Any, *args: Any, **kwargs: Any) -> Any:
    """A call of the package. Its own check of an input says neither that it is one nor who asked
    for it.
    """
    try:
        return package(*args, **kwargs)
    except RuntimeError as error:
        if "input_handles[" not in str(error):
            raise
        said = str(error).partition("\n")[0]
        raise RuntimeError(
            f"{said} (what it was compiled for, by its own check, which Modelport turns on "
            f"with {_CHECKS}=1; without it the package computes with whatever it is given)"
        ) from None
