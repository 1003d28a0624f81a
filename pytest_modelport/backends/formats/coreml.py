"""Core ML: an exported program, converted to an ML program in float32."""

from __future__ import annotations

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs

REQUIRES = {"torch": "torch", "coremltools": "coremltools>=9.0"}
DEVICES = ("cpu",)
KIND = "coreml"
RUNTIME = "coreml"
EXTRA = "coreml"
SUFFIXES = (".mlpackage", ".mlmodel")
CALL = "named"
OPTIONS = {"precision": ("float32", "float16")}
_ENTRY = "model.mlpackage"
inspect, warm = programs.opaque, programs.warm
#: Core ML's own format; its weights are read by Core ML only.
constants = None


def export(request: ExportRequest) -> Exported:
    """Export behind flat tensors, convert, save as a package."""
    import coremltools

    program = programs.flat_program(request)
    precision = getattr(coremltools.precision, request.options.get("precision", "float32").upper())
    model = coremltools.convert(
        program.run_decompositions({}),
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS17,
        compute_precision=precision,
        skip_model_load=True,
    )
    model.save(str(request.folder / _ENTRY))
    return Exported(
        _ENTRY,
        "flat",
        *programs.promise(program, request),
        versions("torch", "coremltools"),
        (programs.UNREADABLE,),
    )
