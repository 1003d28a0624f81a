"""ncnn nets on the CPU, in float32, one call for each sample of the batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

if TYPE_CHECKING:
    import numpy.typing as npt

REQUIRES = {"ncnn": "ncnn>=1.0.20250503"}
DEVICES = ("cpu",)
OPENS = ("ncnn",)
EXTRA = "ncnn"
#: It convolves by Winograd's transforms, whose rounding errors are several times those of a direct
#: sum (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Measured on the
#: digits: up to 4.5 times the noise.
ROUNDING = 4.0


class NcnnSession:
    """A net with its reduced precisions switched off."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import ncnn

        self._ncnn, self._net, self._manifest = ncnn, ncnn.Net(), manifest
        self._net.opt.num_threads = session_options.threads
        for name in (
            "use_fp16_packed",
            "use_fp16_storage",
            "use_fp16_arithmetic",
            "use_bf16_storage",
        ):
            setattr(self._net.opt, name, False)
        if status := self._net.load_param(str(path)):
            raise RuntimeError(
                f"ncnn cannot load {path.name} (status {status}): "
                "it has a layer that ncnn does not know"
            )
        weights = path.with_suffix(".bin")
        if status := self._net.load_model(str(weights)):
            raise RuntimeError(f"ncnn cannot load the weights in {weights.name} (status {status})")
        self.options = {
            "precision": "fp32",
            "intra_op_threads": session_options.threads,
            "ncnn": ncnn.__version__,
        }

    def run(self, feed: Feed) -> Answer:
        """One call for each sample. Raises `ValueError` when the batches of the inputs differ."""
        import numpy as np

        given = ordered.arrays(self._manifest, feed)
        if len({len(array) for array in given}) != 1:
            lengths = [len(array) for array in given]
            raise ValueError(f"ncnn has no batch axis; the inputs' first axes differ: {lengths}")
        rows = [
            self._single([np.ascontiguousarray(array[number]) for array in given])
            for number in range(len(given[0]))
        ]
        return ordered.answer(
            self._manifest, [np.stack(column) for column in zip(*rows, strict=True)]
        )

    def _single(self, arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        import numpy as np

        extractor = self._net.create_extractor()
        # Of their own memory: a first layer that works in place frees or overwrites another's.
        given = [self._ncnn.Mat(array).clone() for array in arrays]
        for name, mat in zip(self._net.input_names(), given, strict=True):
            if extractor.input(name, mat):
                raise RuntimeError(f"ncnn refuses the input {name}")
        results = []
        for name in self._net.output_names():
            status, result = extractor.extract(name)
            if status:
                raise RuntimeError(f"ncnn cannot compute {name} (status {status})")
            results.append(np.array(result))
        return results


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> NcnnSession:
    """Load graph and weights. Raises `RuntimeError` when ncnn cannot."""
    return NcnnSession(folder / manifest.entry, manifest, session_options)
