"""TorchScript files: how a scripted or traced module becomes one, and what it stores."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import TRACED, Manifest, TensorSpec

#: freeze: `torch.jit.freeze`; optimize: `torch.jit.optimize_for_inference`, which freezes too.
#: debug: keep lines and paths.
OPTIONS: Mapping[str, type] = {"freeze": bool, "optimize": bool, "debug": bool}
#: What a file does not need, and what the writer adds itself.
_DEBUG, _OWN = ".debug_pkl", ("version", ".data/version", "byteorder", ".data/serialization_id")


def save(module: Any, path: Path, options: Mapping[str, Any]) -> None:
    """Freeze and optimise as asked, and save. Raises what torch raises, for a module in train mode
    among others.
    """
    import torch

    if options.get("optimize"):
        module = torch.jit.optimize_for_inference(module)
    elif options.get("freeze"):
        module = torch.jit.freeze(module)
    torch.jit.save(module, path)
    if not options.get("debug"):
        stripped(path)


def stripped(path: Path) -> None:
    """Take out of a file where each line of its code came from: the paths of the machine it was
    made on.
    """
    import torch

    reader: Any = torch._C.PyTorchFileReader(str(path))
    whole = path.with_suffix(".stripped")
    writer: Any = torch._C.PyTorchFileWriter(str(whole))
    # By it torch knows which meaning its operators had (integer division, gelu's arguments).
    version = ".data/version" if reader.has_record(".data/version") else "version"
    writer.set_min_version(int(reader.get_record(version)))
    for name in reader.get_all_records():
        if not name.endswith(_DEBUG) and name not in _OWN:
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    whole.replace(path)


def load(path: Path, device: str) -> Any:
    """The module in a file, on `device`. Raises what torch raises."""
    import torch

    with warnings.catch_warnings():
        # Whoever asks for TorchScript has decided.
        warnings.filterwarnings(
            "ignore", message=".*torch.jit.* is deprecated", category=DeprecationWarning
        )
        return torch.jit.load(path, map_location=device)


def frozen(caught: Iterable[warnings.WarningMessage]) -> tuple[str, ...]:
    """What the tracer warned about: values that are fixed from now on."""
    return tuple(
        dict.fromkeys(
            map(_said, (item for item in caught if item.category.__name__ == "TracerWarning"))
        )
    )


def _said(warning: warnings.WarningMessage) -> str:
    text = str(warning.message).partition(". ")[0].strip().splitlines()[0]
    return f"{TRACED}{warning.filename}:{warning.lineno}: {text}"


def constants(folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
    """Parameters, buffers and attributes, and the constants of the graph itself."""
    from pytest_modelport.core.tensors import to_array

    module: Any = load(folder / manifest.entry, "cpu")
    for name, value in module.state_dict(keep_vars=True).items():
        yield name, to_array(value)
    for method in module._c._method_names():  # an overloaded forward is several
        graph = module._c._get_method(
            method
        ).inlined_graph  # its nodes live only as long as it does
        for node in graph.findAllNodes("prim::Constant"):
            if node.hasAttribute("value") and node.kindOf("value") == "t":
                yield f"{method}:{node.output().debugName()}", to_array(node.t("value"))


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """A torch file says nothing without being loaded, which only the clean room does."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is not an archive that torch has written")
    return (), (), ()
