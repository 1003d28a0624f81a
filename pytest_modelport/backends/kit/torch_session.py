"""Calling a loaded torch artifact with a feed. Shared by the runtimes that run in torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core import tree
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.core.tensor_stats import TensorStats

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.backends.contract import Subject


def compiler() -> str:
    """Why nothing can be compiled here: there is no C++ compiler where torch looks for one. Empty
    when there is.
    """
    wanted = [name for name in (os.environ.get("CXX"), "g++", "c++", "clang++") if name]
    if any(shutil.which(name) for name in wanted):
        return ""
    return f"no C++ compiler: none of {', '.join(wanted)} is on the path; install one or set CXX"


def callable_of(module: nn.Module, manifest: Manifest, subject: Subject) -> nn.Module:
    """The module as the manifest says it is called: itself, or behind flat tensors."""
    from pytest_modelport.subject.flat import FlatModule

    if manifest.call != "flat":
        return module
    return FlatModule(
        module, subject.inputs.sample, tuple(value.name for value in manifest.outputs)
    )


class TorchSession:
    """A callable torch artifact, called with the subject's nested arguments or with flat tensors,
    as its manifest says.
    """

    def __init__(
        self, function: Callable[..., Any], manifest: Manifest, session_options: SessionOptions
    ) -> None:
        import torch

        torch.set_num_threads(session_options.threads)
        self._function, self._manifest, self._device = function, manifest, session_options.device
        self.options = {
            "device": session_options.device,
            "intra_op_threads": session_options.threads,
            "torch": torch.__version__,
        }
        self.options |= rounding(session_options.device)

    def run(self, feed: Feed) -> Answer:
        """One call, without gradients. Inputs that the artifact changes in place come back in
        `mutated`.
        """
        import torch

        from pytest_modelport.core.tensors import dense, is_tensor, to_array, to_tensor

        tensors = {name: to_tensor(array, self._device) for name, array in feed.inputs.items()}
        with torch.no_grad():
            if self._manifest.call == "flat":
                result = self._function(*tensors.values())
            else:
                args, kwargs = tree.build(feed.spec, list(tensors.values()))
                result = self._function(*args, **kwargs)
        flat = tree.flatten(result, is_tensor)
        mutated = {
            name: to_array(tensor)
            for name, tensor in tensors.items()
            if (after := to_array(tensor, strided=True)).shape != feed.inputs[name].shape
            or not after.same(feed.inputs[name])
        }
        outputs = [to_array(dense(tensor)) for _, tensor in flat.leaves]
        constants = tuple((tree.name(path, root="output"), value) for path, value in flat.constants)
        return Answer(tuple(zip(self._names(flat), outputs, strict=True)), constants, mutated)

    def prepare(self, feed: Feed) -> Callable[[], Any]:
        """The call alone, on tensors that are already where they belong."""
        import torch

        from pytest_modelport.core.tensors import to_tensor

        tensors = [to_tensor(array, self._device) for array in feed.inputs.values()]
        args, kwargs = (
            (tuple(tensors), {})
            if self._manifest.call == "flat"
            else tree.build(feed.spec, tensors)
        )

        def call() -> Any:
            with torch.no_grad():
                return self._function(*args, **kwargs)

        return completed(call, self._device)

    def _names(self, flat: tree.Flattened) -> tuple[str, ...]:
        """The port's own names where it has any; a flat artifact's outputs are the promised ones,
        in order.
        """
        if self._manifest.call == "flat" and len(flat.leaves) == len(self._manifest.outputs):
            return tuple(value.name for value in self._manifest.outputs)
        return tree.names(flat.leaves, root="output")


def rounding(device: str) -> dict[str, bool]:
    """Whether products are computed with ten bits of mantissa (TF32): what a GPU is allowed, by
    torch's settings now.
    """
    import torch

    if not device.startswith("cuda"):
        return {}
    return {
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
    }


def completed(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """The call until its work on the device is done; on the CPU it is when the call returns."""
    return OnGpu(call, device) if device.startswith("cuda") else call


class OnGpu:
    """A call that returns when the GPU is done with it.

    seconds: what the last one took by the GPU's own events, from its first kernel's turn in the
    stream to the end of its last.
    """

    def __init__(self, call: Callable[[], Any], device: str) -> None:
        import torch

        self._call, self._stream = call, torch.cuda.current_stream(device)
        self._began, self._ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._wait: Callable[[], None] = lambda: torch.cuda.synchronize(device)

    def __call__(self) -> Any:
        self._began.record(self._stream)
        result = self._call()
        self._ended.record(self._stream)
        self._wait()
        return result

    @property
    def seconds(self) -> float:
        return float(self._began.elapsed_time(self._ended)) / 1e3


def traced(
    session: TorchSession, feeds: list[tuple[Feed, int]], seed: Callable[[int], None]
) -> Iterator[TensorStats]:
    """Every value a torch artifact computes for the last of these feeds, after those before it."""
    from pytest_modelport.reference.trace import Tracer

    for feed, number in feeds[:-1]:
        seed(number)
        session.run(feed)
    feed, number = feeds[-1]
    seed(number)
    with Tracer(lambda: "") as tracer:
        session.run(feed)
    for operation in tracer.operations:
        yield from map(TensorStats.from_list, operation["signatures"])
