"""Elements of which the oracle knows nothing are judged against eager, and never left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pytest_modelport import Outcome
from pytest_modelport.compare.comparison import compare
from pytest_modelport.compare.judge import judge
from pytest_modelport.core.tensors import to_array
from pytest_modelport.reference.expected import Expected, Noise
from pytest_modelport.request.tolerance import Tolerance


def expected(eager, oracle, evaluations):
    """An output with these answers of its evaluations."""
    eager = torch.tensor(eager)
    noise = Noise.none(tuple(eager.shape))
    made = Expected("y", to_array(eager), np.asarray(oracle, np.float64), noise)
    for values in [eager.tolist(), *evaluations]:
        made.observe(to_array(torch.tensor(values)))
    return made


def outcome(wanted, port):
    comparison = compare("args", wanted, to_array(torch.tensor(port)))
    return judge(comparison, Tolerance()).outcome, comparison.against_eager


def test_an_oracle_that_is_nan_where_eager_is_not():
    wanted = expected([1.0, 0.5], [1.0, np.nan], [[1.0, 0.5], [1.0, 0.50001]])
    assert outcome(wanted, [1.0, 0.5]) == (Outcome.PASSED, 1)
    assert outcome(wanted, [1.0, 0.50002]) == (Outcome.PASSED, 1)
    assert outcome(wanted, [1.0, 0.6]) == (Outcome.FAILED, 1)
    assert outcome(wanted, [1.1, 0.5]) == (Outcome.FAILED, 1)


def test_an_oracle_that_no_evaluation_comes_near():
    wanted = expected([2.0, 3.0], [2.0, 1.0], [[2.0000002, 3.0000002], [1.9999998, 2.9999998]])
    assert outcome(wanted, [2.0, 3.000001]) == (Outcome.PASSED, 1)
    assert outcome(wanted, [2.0, 1.0]) == (Outcome.FAILED, 1)  # as the oracle has it


def test_evaluations_that_scatter_as_far_as_the_oracle_lies_are_noise():
    wanted = expected([2.0, 3.0], [2.0, 1.0], [[2.0, 1.5], [2.0, 0.5]])
    assert outcome(wanted, [2.0, 3.0])[1] == 0


class Written(nn.Module):
    """Writes by NumPy, which no dispatcher sees."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        y = x.clone()
        y.numpy()[1:] *= self.factor
        return y + 1


@pytest.mark.parametrize(("factor", "passes"), [(3, True), (1, False), (3.01, False)])
def test_a_subject_that_the_dispatcher_does_not_see_is_judged_by_its_answers(
    prove, tmp_path, factor, passes
):
    class Port(nn.Module):
        def forward(self, x):
            return torch.cat([x[:1], x[1:] * factor]) + 1

    x = torch.linspace(1, 2, 8)
    torch.export.save(torch.export.export(Port(), (x,)), tmp_path / "port.pt2")
    report = prove(
        ["torch_export"],
        Written(3),
        x,
        artifact=tmp_path / "port.pt2",
        checks=["parity"],
        examples=0,
    )
    [verdict] = report.verdicts
    assert verdict.passed is passes, verdict
    if passes:
        said = "the oracle is not usable at 7 of 8 elements of 'output' at args"
        assert any(said in note for note in verdict.notes), verdict.notes


VIEWS = {
    "conj": lambda z: z.conj() * z,
    "imag of conj": lambda z: z.conj().imag + z.real,
    "adjoint": lambda z: z.mH @ z,
    "neg": lambda z: torch._neg_view(z.real) * 2,
    "written through": lambda z: torch.view_as_real(z.clone().conj().resolve_conj()),
    "conj in place": lambda z: z.clone().conj().mul_(2j),
    "real of adjoint": lambda z: (z.adjoint().imag * 3).sum(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_lazy_views_keep_their_bit(name):
    from pytest_modelport.reference.oracle import Oracle

    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, 3, dtype=torch.complex64, generator=generator)
    with Oracle() as oracle, torch.no_grad():
        made = VIEWS[name](z * 1)
        exact = oracle.of(made)
    wanted = VIEWS[name](z.to(torch.complex128))
    assert torch.allclose(exact.resolve_conj().resolve_neg(), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", VIEWS)
def test_lazy_views_have_noise_around_what_they_are(name):
    from pytest_modelport.reference.noise import MonteCarlo

    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, 3, dtype=torch.complex64, generator=generator)
    with MonteCarlo(0), torch.no_grad():
        made = VIEWS[name](z * 1)
    assert torch.allclose(made.resolve_conj().resolve_neg(), VIEWS[name](z), rtol=1e-5)


class Inverse(nn.Module):
    """torch computes another pseudoinverse of complex numbers where a mode is active."""

    def __init__(self, off=0.0):
        super().__init__()
        self.off = off

    def forward(self, x, y):
        return torch.view_as_real(torch.linalg.pinv(torch.complex(x, y))) + self.off


@pytest.mark.parametrize(("off", "passes"), [(0.0, True), (0.01, False)])
def test_what_torch_computes_otherwise_below_a_mode_is_judged_by_eager(prove, off, passes):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(4, 4, generator=generator) for _ in range(2))
    made = prove(["torchscript"], Inverse(off), (x, y), checks=["parity"], examples=0)
    file = next(Path(made.verdicts[0].evidence["artifact"]).glob("*.pt"))
    [verdict] = prove(
        ["torchscript"], Inverse(), (x, y), checks=["parity"], examples=0, artifact=file
    ).verdicts
    assert verdict.passed is passes, verdict
    if passes:
        assert any("the oracle is not usable" in note for note in verdict.notes)
