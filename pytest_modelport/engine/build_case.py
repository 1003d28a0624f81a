"""From what the user wrote to a case: the model loaded, its inputs named, its dims and samples
checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.sample import Sample, sequence
from pytest_modelport.isolation.jobs import forks
from pytest_modelport.request.case import Case
from pytest_modelport.request.dynamic_shapes import Shapes
from pytest_modelport.request.options import Options
from pytest_modelport.request.transform_chain import Function

_NO_FORK = (
    "no fork on this system or with CUDA in use: exports run in this process, one after the other"
)

_TRAINING = "the model is in train mode, as it was given: {}"


def build_case(
    model: Any,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    seed: int = 0,
    name: str = "",
    functions: Mapping[str, Function] | None = None,
) -> Case:
    """Everything the user said about the model, checked.

    functions: the user's own transforms, by name. Raises `UsageError`.
    """
    from pytest_modelport.engine.load_model import load
    from pytest_modelport.search.candidates import built, enlarged
    from pytest_modelport.subject import identity, modules
    from pytest_modelport.subject.inputs import name_inputs
    from pytest_modelport.subject.samples import samples_of

    options.check()
    loaded = load(model)
    module, unsaid = loaded.module, isinstance(args, tuple) and not args and not kwargs
    if unsaid and loaded.sample is None:
        raise UsageError(
            f"no inputs for {type(module).__name__}: "
            "give args, or let the factory return (module, args)"
        )
    sample = loaded.sample if unsaid and loaded.sample is not None else Sample.of(args, kwargs)
    lazy = modules.initialised(module, sample)
    first = name_inputs(module, sample)
    shapes, inferred = _shapes(options.dynamic_shapes, module, first, options.timeout)
    notes = (*loaded.notes, *lazy, *inferred)
    training = modules.training(module)
    case = Case(
        module=module,
        inputs=first,
        calls=(),
        shapes=shapes,
        tolerance=options.tolerance,
        key="",
        seed=seed,
        name=name or type(module).__name__,
        timeout=options.timeout,
        search=options.search,
        threads=options.threads,
        notes=notes if forks() else (*notes, _NO_FORK),
        factory=loaded.factory,
        imports=options.modules,
        budgets=options.budgets,
        hooks=options.hooks(functions or {}),
        training=training,
        cautions=(_TRAINING.format(training),) if training else (),
    )
    case = enlarged(case)
    others, left_out = samples_of(built(case, options.samples), first.sample)
    further = tuple(name_inputs(module, sample).sample for sample in others)
    return replace(
        case,
        calls=sequence(first.sample, further, seed),
        key=f"{identity.fingerprint(module, first.sample, *further)}-{seed}",
        notes=(*case.notes, *left_out),
    )


def _shapes(asked: Any, module: Any, inputs: Any, timeout: float) -> tuple[Shapes, tuple[str, ...]]:
    """Which dims may vary, and a note that can be pasted into the test where the subject said it.
    Raises `UsageError`.
    """
    from pytest_modelport.request.dynamic_shapes import normalise
    from pytest_modelport.search.infer import inferred, pasted

    if not isinstance(asked, str):
        shaped = tuple((item.name, item.path, item.tensor.dim()) for item in inputs.tensors)
        return normalise(asked, shaped, inputs.parameters), ()
    if asked != "infer":
        raise unknown("dynamic_shapes", asked, ("infer",))
    shapes = inferred(module, inputs, timeout)
    return shapes, (f"dynamic_shapes={pasted(shapes)} (inferred)",)
