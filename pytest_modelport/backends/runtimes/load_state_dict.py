"""A state dict loaded strictly into another instance of the model, whose own numbers are erased
before.
"""

from __future__ import annotations

from pathlib import Path

from pytest_modelport.backends.contract import Subject
from pytest_modelport.backends.kit.torch_session import TorchSession, callable_of
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = ("state_dict",)
EXTRA = ""
LIVE = True


def open(
    folder: Path, manifest: Manifest, session_options: SessionOptions, subject: Subject
) -> TorchSession:
    """Load into a fresh instance that is emptied first: what the file does not bring shows. Raises
    what torch raises.
    """
    import torch

    stored = torch.load(
        folder / manifest.entry, weights_only=True, map_location=session_options.device
    )
    module = subject.fresh()
    with torch.no_grad():
        for value in module.state_dict(keep_vars=True).values():
            if isinstance(value, torch.Tensor):
                value.fill_(float("nan") if value.is_floating_point() or value.is_complex() else 0)
    module.load_state_dict(stored, strict=True)
    return TorchSession(
        callable_of(module.to(session_options.device), manifest, subject), manifest, session_options
    )
