"""What the PT2E transforms share: export, prepare with a quantizer, calibrate or train, convert,
without what nobody reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.kit import programs
from pytest_modelport.backends.transform_work import ModuleWork, said
from pytest_modelport.core.errors import CannotTransform
from pytest_modelport.isolation.jobs import Done, Raised, run

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch", "torchao": "torchao>=0.14"}
IMPORTS = ("torchao.quantization.pt2e",)
#: Each fits what will run it: x86's for ONNX Runtime and inductor, XNNPACK's for ExecuTorch.
QUANTIZERS = ("x86", "xnnpack")


def quantized(work: ModuleWork, *, dynamic: bool = False, qat: bool = False) -> nn.Module:
    """The quantized program as a module. Raises `CannotTransform`.

    Made in a fork, it comes back as a file: torch.export leaves traces in its process, and verdicts
    must not depend on them.
    """
    import torch

    path = work.scratch / "quantized.pt2"

    def job() -> None:
        torch.export.save(_program(work, dynamic=dynamic, qat=qat), path)

    ending = run(job, timeout=work.timeout, log=work.scratch / "pt2e.log")
    if isinstance(ending, Raised):
        raise CannotTransform(said(ending.cause))
    if not isinstance(ending, Done):
        raise CannotTransform(f"the quantizer's process ended: {ending}")
    import torchao.quantization.pt2e  # noqa: F401  (registers the operators the file has)

    return torch.export.load(path).module()


def _program(work: ModuleWork, *, dynamic: bool, qat: bool) -> Any:
    import torch
    from torchao.quantization import pt2e
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e

    if programs.call_style(work.request) != "natural":
        raise CannotTransform(
            "an exported program cannot take or return the model's objects: "
            "quantize a submodule that takes and returns tensors"
        )
    if qat:
        work.module.train()
    module, args, kwargs, shapes = programs.arguments(work.request, "natural", programs.export_dim)
    exported = torch.export.export(
        module, args, kwargs, dynamic_shapes=shapes, strict=False
    ).module()
    quantizer = _quantizer(work.options.get("quantizer", "x86"), dynamic=dynamic, qat=qat)
    prepared = (prepare_qat_pt2e if qat else prepare_pt2e)(exported, quantizer)
    if qat:
        if work.finetune is None:
            raise CannotTransform(
                "quantization-aware training needs finetune=: "
                "a function that trains the module it is given"
            )
        pt2e.move_exported_model_to_train(prepared)
        work.finetune(prepared)
        pt2e.move_exported_model_to_eval(prepared)
    else:
        work.calibrate(prepared)
    converted = convert_pt2e(prepared)
    drop_unread(converted)
    return torch.export.export(converted, args, kwargs, dynamic_shapes=shapes, strict=False)


def _quantizer(name: str, *, dynamic: bool, qat: bool) -> Any:
    if name == "xnnpack":
        return _xnnpack(dynamic=dynamic, qat=qat)
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    config = get_default_x86_inductor_quantization_config(is_dynamic=dynamic, is_qat=qat)
    return X86InductorQuantizer().set_global(config)


def _xnnpack(*, dynamic: bool, qat: bool) -> Any:
    try:
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
    except ImportError as error:
        raise CannotTransform(
            "XNNPACK's quantizer comes with executorch: pip install 'pytest-modelport[executorch]'"
        ) from error
    return XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic, is_qat=qat)
    )


def drop_unread(converted: nn.Module) -> None:
    """Delete tensors that the graph does not read: converting leaves the float weights, and files
    keep them.
    """
    graph: Any = converted.graph
    read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    for name in [name for name in converted.state_dict() if name not in read]:
        owner, _, attribute = name.rpartition(".")
        delattr(converted.get_submodule(owner) if owner else converted, attribute)
