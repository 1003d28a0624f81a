"""AOTInductor packages, opened with `torch._inductor.aoti_load_package`, their input checks
switched on.
"""

from __future__ import annotations

import os
from pathlib import Path

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
    """Load the library. Raises what torch raises."""
    os.environ[_CHECKS] = "1"
    import torch

    package = torch._inductor.aoti_load_package(str(folder / manifest.entry))
    session = TorchSession(package, manifest, session_options)
    session.options[_CHECKS] = "1"
    return session
