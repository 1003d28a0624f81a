"""Every format and runtime x every trait, against what is known to become of it, and rule 10 on the
way.
"""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch

from fixtures import traits
from pytest_modelport import verify
from pytest_modelport.backends import registry
from pytest_modelport.core.tree import flatten
from pytest_modelport.core.verdict import worst
from pytest_modelport.subject.snapshot import Snapshot

#: (trait, target) -> outcome, where it is not `passed`. An unexpected green is as red as an
#: unexpected red.
KNOWN: dict[tuple[str, str], str] = {
    (
        "lstm",
        "torch_compile",
    ): "failed",  # dynamo leaves recurrent layers to eager: nothing is compiled
    (
        "weight_norm",
        "torchscript_script",
    ): "failed",  # scripts, and its parametrization does not run
    **{
        (
            trait,
            "torchscript_script",
        ): "unsupported"  # keyword-only, variadic or unannotated containers; generated source
        for trait in (
            "dataclass_input",
            "dataclass_output",
            "many_inputs",
            "nested_input",
            "optional_input",
            "scalar_input",
            "var_args",
        )
    },
}


#: Deployment runtimes are asked in tests/contract/test_deployment.py.
OURS = [
    target
    for target in registry.targets()
    if registry.format_(registry.target(target).format).EXTRA in ("", "onnx")
]
OURS = [
    target
    for target in OURS
    if registry.runtime(registry.target(target).runtime).EXTRA in ("", "onnx")
]
OURS = [target for target in OURS if not registry.target(target).environment]
OURS = [
    target for target in OURS if "cpu" in registry.runtime(registry.target(target).runtime).DEVICES
]
#: Targets that take a compiler's time, and the traits that are worth it.
WORTH_IT = {
    "torch_compile": {"batch_norm", "dataclass_input", "half", "lstm", "nested_input"},
    "aotinductor": {"batch_norm", "nested_input"},
}


@pytest.mark.parametrize("name", traits.TRAITS)
def test_a_trait_through_every_target(name, prove):
    model, args, kwargs = traits.build(name)
    tensors = [
        leaf
        for _, leaf in flatten((args, kwargs), lambda value: isinstance(value, torch.Tensor)).leaves
    ]
    before = (
        Snapshot(model),
        [tensor.clone() for tensor in tensors],
        [p.requires_grad for p in model.parameters()],
    )
    versions = [tensor._version for tensor in tensors]
    generators = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    modes, threads = [part.training for part in model.modules()], torch.get_num_threads()
    settings = (
        torch.backends.mkldnn.enabled,
        torch.backends.mha.get_fastpath_enabled(),
        torch.is_grad_enabled(),
    )

    report = prove(
        [target for target in OURS if name in WORTH_IT.get(target, traits.TRAITS)],
        model,
        args,
        kwargs,
    )

    for route, verdicts in report.routes.items():
        outcome = KNOWN.get((name, route.target), "passed")
        assert str(worst(verdicts).outcome) == outcome, verdicts
        assert outcome != "passed" or {str(verdict.outcome) for verdict in verdicts} == {"passed"}
        assert verdicts[0].check == "parity"
    assert before[0].changes() == ()
    assert all(torch.equal(tensor, old) for tensor, old in zip(tensors, before[1], strict=True))
    assert [tensor._version for tensor in tensors] == versions
    assert [p.requires_grad for p in model.parameters()] == before[2]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert np.array_equal(np.random.get_state()[1], generators[1])
    assert random.getstate() == generators[2]
    assert [part.training for part in model.modules()] == modes
    assert torch.get_num_threads() == threads
    assert (
        torch.backends.mkldnn.enabled,
        torch.backends.mha.get_fastpath_enabled(),
        torch.is_grad_enabled(),
    ) == settings


@pytest.mark.parametrize("name", ["batch_norm", "dict_output", "lstm"])
def test_without_a_fork_it_is_the_same(name, monkeypatch, tmp_path):
    """In a process of its own: what torch remembers of a first export changes the next one, of an
    LSTM for example.
    """
    from pytest_modelport.engine import build_case
    from pytest_modelport.isolation import jobs
    from pytest_modelport.workbench import sessions

    def job():
        for module in (jobs, sessions, build_case):
            monkeypatch.setattr(module, "forks", lambda: False)
        _the_same(name)

    ending = jobs.run(job, timeout=300, log=tmp_path / "log")
    assert ending == jobs.Done(None), ending


def _the_same(name):
    model, args, kwargs = traits.build(name)
    before, mine = Snapshot(model), copy.deepcopy(model)
    report = verify(mine, args, kwargs, targets=["onnx", "torchscript", "torch_export"])
    assert report.passed, report
    assert before.changes() == ()
    assert all(
        torch.equal(left, right)
        for left, right in zip(model.state_dict().values(), mine.state_dict().values(), strict=True)
    )
    assert all("no fork" in " ".join(verdict.notes) for verdict in report.verdicts)
