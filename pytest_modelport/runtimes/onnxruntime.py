"""ONNX files in ONNX Runtime, at the optimisation level a deployment gets when it sets nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_modelport import ortsession
from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Feed
from pytest_modelport.setting import Setting
from pytest_modelport.signature import Signature

REQUIRES = {"onnxruntime": "onnxruntime>=1.17"}
DEVICES = ("cpu", "cuda")
OPENS = ("onnx",)
EXTRA = "onnx"
REFEREE = True
OPTIONS = {"optimization": ortsession.OPTIMIZATION}

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def providers(setting: Setting) -> ortsession.Providers:
    """The provider of the device."""
    kind, _, index = setting.device.partition(":")
    return [(_PROVIDERS[kind], {"device_id": index} if index else {})]


def open(folder: Path, manifest: Manifest, setting: Setting) -> ortsession.OnnxRuntimeSession:
    """Open the file. Raises what ONNX Runtime raises, and `RuntimeError` when it did not take the device asked for."""
    return ortsession.OnnxRuntimeSession(str(folder / manifest.entry), setting, providers(setting))


def trace(
    folder: Path, manifest: Manifest, setting: Setting, feeds: list[tuple[Feed, int]], seed: Callable[[int], None]
) -> Iterator[Signature]:
    """As `ortsession.trace`, on the provider of the device."""
    return ortsession.trace(folder, manifest, setting, feeds, seed, providers(setting))
