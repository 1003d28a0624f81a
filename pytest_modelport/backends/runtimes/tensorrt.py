"""ONNX files in TensorRT itself: an engine is built when the file is opened, for the sizes that the
artifact declares.

In float32: TensorRT's own default is TF32, which the route asks for with `precision=tf32`. Other
dtypes are the file's (from TensorRT 11 on a network computes in the dtypes it is written in), so a
half precision engine is a cast model's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"tensorrt": "tensorrt>=10.0", "torch": "torch>=2.9"}
DEVICES = ("cuda",)
OPENS = ("onnx",)
EXTRA = "tensorrt"
OPTIONS = {"precision": ("f32", "tf32")}
#: TensorRT's names of dtypes -> torch's.
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}
Shape = tuple[int, ...]


class TensorrtSession:
    """An engine and one execution context."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import tensorrt
        import torch

        torch.cuda.set_device(session_options.device)  # TensorRT builds for the current one
        self._logger = _logger()
        plan = _built(
            path, manifest, self._logger, tf32=session_options.options.get("precision") == "tf32"
        )
        self._device = session_options.device
        self._runtime = tensorrt.Runtime(self._logger)  # outlives its engine
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise RuntimeError(f"TensorRT cannot load its own engine: {self._logger.last}")
        self._context = self._engine.create_execution_context()
        names = [
            self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)
        ]
        self._inputs = [
            name
            for name in names
            if self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT
        ]
        self._outputs = [name for name in names if name not in self._inputs]
        self.options = {
            "precision": session_options.options.get("precision", "f32"),
            "device": session_options.device,
            "tensorrt": tensorrt.__version__,
        }

    def prepare(self, feed: Feed) -> Callable[[], Any]:
        """Execution alone, on tensors that are on the device, until the device has finished."""
        call, _ = self._bound(feed)
        return call

    def run(self, feed: Feed) -> Answer:
        """One call. Raises `RuntimeError` for sizes the engine was not built for."""
        from pytest_modelport.core.tensors import to_array

        call, received = self._bound(feed)
        call()
        return Answer(
            tuple(
                (name, to_array(received[name].tensor(_dtype(self._engine, name))))
                for name in self._outputs
            )
        )

    def _bound(self, feed: Feed) -> tuple[Callable[[], None], dict[str, Any]]:
        """A call on these inputs, and where its outputs will be."""
        import tensorrt
        import torch

        from pytest_modelport.core.tensors import to_tensor

        held: list[torch.Tensor] = []
        for name in self._inputs:
            here = self._engine.get_tensor_location(name) == tensorrt.TensorLocation.HOST
            tensor = to_tensor(
                _given(feed, name, _dtype(self._engine, name)), "cpu" if here else self._device
            ).contiguous()
            if not self._context.set_input_shape(name, tuple(tensor.shape)):
                raise RuntimeError(
                    f"TensorRT refuses {name} {list(tensor.shape)}: {self._logger.last}"
                )
            self._context.set_tensor_address(name, tensor.data_ptr())
            held.append(tensor)
        received = {name: _allocator(self._device) for name in self._outputs}
        for name, allocator in received.items():
            self._context.set_output_allocator(name, allocator)
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(
            torch.cuda.current_stream(self._device)
        )  # the inputs are being copied there

        def call() -> None:
            if not self._context.execute_async_v3(stream.cuda_stream):
                raise RuntimeError(f"TensorRT does not run: {self._logger.last}")
            stream.synchronize()
            assert held  # inputs live as long as the call may be made

        return call, received


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> TensorrtSession:
    """Build the engine and load it. Raises `RuntimeError` with what TensorRT logged."""
    return TensorrtSession(folder / manifest.entry, manifest, session_options)


def profile(manifest: Manifest, name: str, shape: Shape) -> tuple[Shape, Shape]:
    """The smallest and largest sizes promised for one input whose open dims are -1 in the network.

    Raises `RuntimeError` for a dim without an upper bound: an engine is built for a range.
    """
    promised = next((value.shape for value in manifest.inputs if value.name == name), None) or ()
    low, high = list(shape), list(shape)
    for axis, size in enumerate(shape):
        if size >= 0:
            continue
        symbol = promised[axis] if axis < len(promised) else None
        least, most = manifest.ranges.get(str(symbol), (1, None))
        if most is None:
            fix = 'declare one, as torch.export.Dim("batch", max=64)'
            raise RuntimeError(
                f"no upper bound for dim {axis} of {name} ({symbol}): "
                f"TensorRT builds for a range; {fix}"
            )
        low[axis], high[axis] = least, most
    return tuple(low), tuple(high)


def _built(path: Path, manifest: Manifest, logger: Any, *, tf32: bool) -> Any:
    """The serialised engine. Raises `RuntimeError`."""
    import tensorrt

    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        why = parser.get_error(0) if parser.num_errors else logger.last
        raise RuntimeError(f"TensorRT cannot read the file: {why}")
    config, sizes = builder.create_builder_config(), builder.create_optimization_profile()
    if not tf32:
        config.clear_flag(tensorrt.BuilderFlag.TF32)
    for number in range(network.num_inputs):
        item = network.get_input(number)
        if any(size < 0 for size in item.shape):
            low, high = profile(manifest, item.name, tuple(item.shape))
            sizes.set_shape(item.name, low, high, high)
    config.add_optimization_profile(sizes)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(f"TensorRT cannot build an engine: {logger.last}")
    return plan


def _given(feed: Feed, name: str, dtype: str) -> Array:
    """One input. Raises `KeyError` where it is not there, `TypeError` where it has another dtype:
    TensorRT sees addresses.
    """
    array = feed.inputs[name]
    if array.dtype != dtype:
        raise TypeError(f"{name} is {array.dtype}; the engine takes {dtype}")
    return array


def _dtype(engine: Any, name: str) -> str:
    """What torch calls an input's or output's dtype. Raises `KeyError` for a dtype torch has no
    equivalent of.
    """
    return _DTYPES[engine.get_tensor_dtype(name).name]


def _logger() -> Any:
    """A logger that keeps the last error."""
    import tensorrt

    class Logger(tensorrt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = "it logged no error"

        def log(self, severity: Any, msg: str) -> None:
            if severity in (
                tensorrt.ILogger.Severity.ERROR,
                tensorrt.ILogger.Severity.INTERNAL_ERROR,
            ):
                self.last = msg

    return Logger()


def _allocator(device: str) -> Any:
    """Memory for one output, as large as TensorRT asks for: what comes may depend on the values."""
    import tensorrt
    import torch

    class Allocator(tensorrt.IOutputAllocator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._memory, self._shape = torch.empty(1, dtype=torch.uint8, device=device), (0,)

        def reallocate_output(
            self,
            tensor_name: str,  # noqa: ARG002
            memory: int,  # noqa: ARG002
            size: int,
            alignment: int,  # noqa: ARG002
        ) -> int:
            if size > self._memory.numel():
                self._memory = torch.empty(size, dtype=torch.uint8, device=device)
            return int(self._memory.data_ptr())

        def reallocate_output_async(
            self,
            tensor_name: str,
            memory: int,
            size: int,
            alignment: int,
            stream: int,  # noqa: ARG002
        ) -> int:
            return self.reallocate_output(tensor_name, memory, size, alignment)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:  # noqa: ARG002
            self._shape = tuple(shape)

        def tensor(self, dtype: str) -> torch.Tensor:
            kind: torch.dtype = getattr(torch, dtype)
            count = torch.Size(self._shape).numel()
            return self._memory[: count * kind.itemsize].view(kind).reshape(self._shape)

    return Allocator()
